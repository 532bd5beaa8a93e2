"""The rows of a problem as flat tables, without its customers: what every chunk is read against.

Customers are numbered by segment, so that every row folds into three price tables (segment,
product) and a pass over the pairs costs the same however many rows there are. Rows are turned to
``<=``. Legend in ``problem``; cell = segment · p + product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation.problem import LimitRow, PriceTables

__all__ = ["Reference", "Terms", "compile_terms", "cover_of"]

_KIND = {"count": 0, "cost": 1, "approval": 2}

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Terms:
    """Rows by cell, and the scales of a problem. Small, picklable, the same for every chunk.

    ``cell_row[cell_ptr[cell]:cell_ptr[cell + 1]]`` are the rows of a cell, with their kind (0
    count, 1 cost, 2 approval), sign (−1 for ``>=``) and floor. ``limit`` is b of each row as
    ``<=``; ``size`` a typical coefficient; ``ceiling`` bounds λ; ``whole`` marks rows whose
    coefficients are all whole numbers, so that their sums are exact; ``value_scale`` is a
    customer's mean best value.
    """

    rows: tuple[LimitRow, ...]
    n_products: int
    n_segments: int
    cell_ptr: NDArray[np.int64]
    cell_row: NDArray[np.int32]
    cell_kind: NDArray[np.int8]
    cell_sign: Floats
    cell_floor: Floats
    limit: Floats
    size: Floats
    ceiling: Floats
    whole: NDArray[np.bool_]
    value_scale: float = 1.0

    @property
    def n_cells(self) -> int:
        return self.n_segments * self.n_products

    @property
    def block(self) -> int:
        """Customers summed as one: a chunk begins at a multiple of it. Depends on rows only."""
        return 4096 << min(max((self.n_cells // 2048).bit_length(), 0), 4)

    @property
    def hard(self) -> NDArray[np.bool_]:
        return np.array([row.soft_penalty is None for row in self.rows], bool)

    @property
    def penalty(self) -> Floats:
        return np.array([row.soft_penalty or 0.0 for row in self.rows], np.float64)

    @property
    def entry_cell(self) -> NDArray[np.int64]:
        """The cell of each entry of ``cell_row``."""
        return np.repeat(np.arange(self.n_cells), np.diff(self.cell_ptr))

    def tables(self, duals: Floats) -> tuple[Floats, Floats, Floats]:
        """Return the price a unit of use, of cost and of use × approval, (n_cells,) each."""
        cells, weight = self.entry_cell, duals[self.cell_row] * self.cell_sign

        def total(kind: int, scale: Floats | float = 1.0) -> Floats:
            part = np.where(self.cell_kind == kind, weight * scale, 0.0)
            return np.bincount(cells, part, minlength=self.n_cells).astype(np.float64)

        return total(0) - total(2, self.cell_floor), total(1), total(2)

    def price_tables(self, duals: Floats, segment: NDArray[np.int32]) -> PriceTables:
        """Return the tables for serving, (n_segments, n_products) each."""
        shape = (self.n_segments, self.n_products)
        count, cost, approval = (table.reshape(shape) for table in self.tables(duals))
        return PriceTables(segment, count, cost, approval)

    def row_sums(self, usage: Floats) -> Floats:
        """Return Σ a·x of each row from usage (3, n_cells): use, cost, use × approval."""
        cells = self.entry_cell
        amount = usage[self.cell_kind, cells] - np.where(
            self.cell_kind == 2, self.cell_floor * usage[0, cells], 0.0
        )
        sums = np.bincount(self.cell_row, self.cell_sign * amount, minlength=len(self.rows))
        return sums.astype(np.float64)

    def scaled(self, scale: float, size: Floats) -> Terms:
        """Return the same terms with their scales set."""
        ceiling = np.array(
            [1e4 * scale / s if row.soft_penalty is None else row.soft_penalty
             for row, s in zip(self.rows, size, strict=True)], np.float64,
        )  # fmt: skip
        return replace(self, value_scale=scale, size=size, ceiling=ceiling)


@dataclass(frozen=True, eq=False)
class Reference:
    """The prices of one pass, and how far each cell's may move while its decisions stand.

    ``room`` (n_cells,) in units of value is how far the price of a pair may fall, ``rise`` how far
    it may rise: a customer whose choice could change meanwhile stays undecided. A rise concerns
    only those who take the pair. ``valueless`` reads every value as 0, to see whether the rows
    alone can be met.
    """

    duals: Floats
    room: Floats
    rise: Floats
    count: Floats
    cost: Floats
    approval: Floats
    valueless: bool = False

    @classmethod
    def of(
        cls, terms: Terms, duals: Floats, room: float | Floats, rise: float | Floats | None = None
    ) -> Reference:
        """Return the reference of duals; one room for all cells, or (n_cells,), either way."""
        both = (room, room if rise is None else rise)
        down, up = (
            np.ascontiguousarray(np.broadcast_to(np.float64(one), (terms.n_cells,))) for one in both
        )
        return cls(duals, down, up, *terms.tables(duals))


def cover_of(rows: Sequence[LimitRow], n_segments: int) -> NDArray[np.bool_]:
    """Return which segments each row speaks of, (m, n_segments), from ``LimitRow.segments``."""
    cover = np.ones((len(rows), n_segments), bool)
    for line, row in zip(cover, rows, strict=True):
        if row.segments is not None:
            line[:] = False
            line[row.segments] = True
    return cover


def compile_terms(
    rows: Sequence[LimitRow],
    n_products: int,
    cover: NDArray[np.bool_],
    *,
    whole_use: bool = False,
    whole_cost: bool = False,
) -> Terms:
    """Return the terms of checked rows; scales are 1 until ``Terms.scaled``.

    ``cover`` (m, n_segments) says which segments each row speaks of; ``whole_use`` and
    ``whole_cost`` that every use and every cost of the problem is a whole number.
    """
    rows = tuple(rows)
    cells = [
        (np.flatnonzero(line)[:, None] * n_products + row.products).ravel()
        for row, line in zip(rows, cover, strict=True)
    ]
    counts = [len(part) for part in cells]
    flat = np.concatenate(cells) if cells else np.zeros(0, np.int64)
    order = np.argsort(flat, kind="stable")
    n_cells = cover.shape[1] * n_products
    pointer = np.zeros(n_cells + 1, np.int64)
    np.cumsum(np.bincount(flat, minlength=n_cells), out=pointer[1:])

    def spread(numbers: list[float], dtype: type) -> NDArray[np.generic]:
        return np.repeat(np.array(numbers, dtype=dtype), counts)[order]

    sign = np.array([1.0 if row.sense == "<=" else -1.0 for row in rows])
    whole = {"count": whole_use, "cost": whole_cost, "approval": False}
    return Terms(
        rows, n_products, cover.shape[1], pointer,
        spread(list(range(len(rows))), np.int32).astype(np.int32),
        spread([_KIND[row.measure] for row in rows], np.int8).astype(np.int8),
        spread(list(sign), np.float64).astype(np.float64),
        spread([row.floor if row.measure == "approval" else 0.0 for row in rows], np.float64)
        .astype(np.float64),
        sign * np.array([row.limit for row in rows], np.float64),
        np.ones(len(rows)), np.full(len(rows), np.inf),
        np.array([whole[row.measure] for row in rows], bool),
    )  # fmt: skip
