"""What must be known of all pairs before the first pass: sums and extremes, chunk by chunk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation.chunk import Chunk

__all__ = ["Facts"]

Floats = NDArray[np.float64]


@dataclass(eq=False)
class Facts:
    """Counts, extremes and wholeness of the pairs of a problem; those of chunks merge.

    ``customers_of_segment`` (n_segments,). ``use_range``, ``cost_range`` (2, n_products) are the
    least and the most a pair of the product uses and costs (+inf, −inf where it has none).
    ``lowest`` bounds the value of any plan from below.
    """

    n_customers: int
    n_pairs: int
    customers_of_segment: NDArray[np.int64]
    use_range: Floats
    cost_range: Floats
    lowest: float
    whole_use: bool = True
    whole_cost: bool = True

    @classmethod
    def of(cls, chunk: Chunk, n_products: int, n_segments: int) -> Facts:
        """Return the facts of one chunk."""
        n = len(chunk.indptr) - 1
        low, high = int(chunk.indptr[0]), int(chunk.indptr[-1])
        least = min(float(chunk.value[low:high].min(initial=0.0)), 0.0)
        use_range, whole_use = _column(chunk, chunk.use, n_products)
        cost_range, whole_cost = _column(chunk, chunk.cost, n_products)
        offers = float(np.sum(chunk.slots)) * (n if np.ndim(chunk.slots) == 0 else 1.0)
        return cls(
            n, high - low, _by_segment(chunk, n, n_segments), use_range, cost_range,
            least * min(offers, float(high - low)), whole_use, whole_cost,
        )  # fmt: skip

    @property
    def use_most(self) -> Floats:
        """Return the most a pair of each product uses, (n_products,)."""
        most: Floats = _seen(np.abs(self.use_range)).max(axis=0)
        return most

    @property
    def cost_most(self) -> Floats:
        """Return the most |cost| of a pair of each product, (n_products,)."""
        most: Floats = _seen(np.abs(self.cost_range)).max(axis=0)
        return most

    def ranges(self) -> tuple[Floats, Floats]:
        """Return the ranges of use and cost, 0 where a product has no pair."""
        return _seen(self.use_range), _seen(self.cost_range)

    def merge(self, other: Facts) -> None:
        """Add the facts of other customers."""
        self.n_customers += other.n_customers
        self.n_pairs += other.n_pairs
        self.customers_of_segment = self.customers_of_segment + other.customers_of_segment
        self.use_range = _wider(self.use_range, other.use_range)
        self.cost_range = _wider(self.cost_range, other.cost_range)
        self.lowest += other.lowest
        self.whole_use &= other.whole_use
        self.whole_cost &= other.whole_cost


def _by_segment(chunk: Chunk, n: int, n_segments: int) -> NDArray[np.int64]:
    if np.ndim(chunk.segment) == 0:
        counts = np.zeros(n_segments, np.int64)
        counts[int(chunk.segment)] = n
        return counts
    return np.bincount(np.asarray(chunk.segment), minlength=n_segments).astype(np.int64)


def _column(chunk: Chunk, given: Any, n_products: int) -> tuple[Floats, bool]:
    """Return the least and the most by product, and whether all are whole numbers."""
    if np.ndim(given) != 1:
        flat = np.broadcast_to(np.asarray(given, np.float64).reshape(-1), (n_products,))
        return np.stack((flat, flat)), bool((flat == np.floor(flat)).all())
    from jinqiao.engines.allocation.scan import extremes

    found = np.array([[np.inf], [-np.inf]]).repeat(n_products, axis=1)
    low, high = int(chunk.indptr[0]), int(chunk.indptr[-1])
    whole = extremes(chunk.product, given, low, high, found)
    return found, bool(whole)


def _wider(one: Floats, other: Floats) -> Floats:
    return np.stack((np.minimum(one[0], other[0]), np.maximum(one[1], other[1])))


def _seen(given: Floats) -> Floats:
    return np.where(np.isfinite(given), given, 0.0)
