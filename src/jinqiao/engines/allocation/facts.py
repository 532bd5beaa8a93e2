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

    ``customers_of_segment`` (n_segments,). ``use_most``, ``cost_most`` (n_products,) bound |use|
    and |cost| of a pair of the product. ``lowest`` bounds the value of any plan from below.
    """

    n_customers: int
    n_pairs: int
    customers_of_segment: NDArray[np.int64]
    use_most: Floats
    cost_most: Floats
    lowest: float
    whole_use: bool = True
    whole_cost: bool = True
    cost_least: float = 0.0
    """The least cost of any pair, at most 0."""

    @classmethod
    def of(cls, chunk: Chunk, n_products: int, n_segments: int) -> Facts:
        """Return the facts of one chunk."""
        n = len(chunk.indptr) - 1
        low, high = int(chunk.indptr[0]), int(chunk.indptr[-1])
        least = min(float(chunk.value[low:high].min(initial=0.0)), 0.0)
        use_most, whole_use, _ = _column(chunk, chunk.use, n_products)
        cost_most, whole_cost, cost_least = _column(chunk, chunk.cost, n_products)
        offers = float(np.sum(chunk.slots)) * (n if np.ndim(chunk.slots) == 0 else 1.0)
        return cls(
            n, high - low, _by_segment(chunk, n, n_segments), use_most, cost_most,
            least * min(offers, float(high - low)), whole_use, whole_cost,
            cost_least,
        )  # fmt: skip

    def merge(self, other: Facts) -> None:
        """Add the facts of other customers."""
        self.n_customers += other.n_customers
        self.n_pairs += other.n_pairs
        self.customers_of_segment = self.customers_of_segment + other.customers_of_segment
        self.use_most = np.maximum(self.use_most, other.use_most)
        self.cost_most = np.maximum(self.cost_most, other.cost_most)
        self.lowest += other.lowest
        self.whole_use &= other.whole_use
        self.whole_cost &= other.whole_cost
        self.cost_least = min(self.cost_least, other.cost_least)


def _by_segment(chunk: Chunk, n: int, n_segments: int) -> NDArray[np.int64]:
    if np.ndim(chunk.segment) == 0:
        counts = np.zeros(n_segments, np.int64)
        counts[int(chunk.segment)] = n
        return counts
    return np.bincount(np.asarray(chunk.segment), minlength=n_segments).astype(np.int64)


def _column(chunk: Chunk, given: Any, n_products: int) -> tuple[Floats, bool, float]:
    """Return the most |given| by product, whether all are whole numbers, the least or 0."""
    if np.ndim(given) != 1:
        flat = np.broadcast_to(np.asarray(given, np.float64).reshape(-1), (n_products,))
        return np.abs(flat), bool((flat == np.floor(flat)).all()), min(float(flat.min()), 0.0)
    from jinqiao.engines.allocation.scan import extremes

    most = np.zeros(n_products)
    low, high = int(chunk.indptr[0]), int(chunk.indptr[-1])
    whole, least = extremes(chunk.product, given, low, high, most)
    return most, bool(whole), float(least)
