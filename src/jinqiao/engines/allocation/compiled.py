"""A problem as flat arrays: every row turned to ``<=``, segments numbered, prices in tables.

Customers under the same set of segment masks share one segment, so that every row folds into three
price tables (segment, product) and a pass over the pairs costs the same however many rows there
are. Legend in ``problem``; cell = segment · p + product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation.problem import LimitRow, Pairs, PriceTables

__all__ = ["Arrays", "Compiled", "compile_problem"]

_KIND = {"count": 0, "cost": 1, "approval": 2}


class Arrays(NamedTuple):
    """What a kernel reads. A scalar column has length 1 and step 0."""

    indptr: NDArray[np.int64]
    product: NDArray[np.int32]
    value: NDArray[np.float64]
    use: NDArray[np.float64]
    use_step: int
    cost: NDArray[np.float64]
    cost_step: int
    approval: NDArray[np.float64]
    approval_step: int
    segment: NDArray[np.int32]
    slots: NDArray[np.int32]
    n_products: int
    cell_ptr: NDArray[np.int64]
    """Rows of a cell: ``cell_row[cell_ptr[cell]:cell_ptr[cell + 1]]``."""
    cell_row: NDArray[np.int32]
    cell_kind: NDArray[np.int8]
    cell_sign: NDArray[np.float64]
    cell_floor: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Compiled:
    """``limit``: b of each row as ``<=``; ``size``: a typical coefficient; ``ceiling`` bounds λ."""

    arrays: Arrays
    rows: tuple[LimitRow, ...]
    limit: NDArray[np.float64]
    size: NDArray[np.float64]
    ceiling: NDArray[np.float64]
    whole: NDArray[np.bool_]
    """Rows whose coefficients are all whole numbers: their sums are exact."""
    n_segments: int
    value_scale: float
    pairs_of_row: NDArray[np.float64]

    @property
    def n_customers(self) -> int:
        return len(self.arrays.slots)

    def tables(self, duals: NDArray[np.float64]) -> PriceTables:
        """Return the price tables of duals."""
        a = self.arrays
        cells = np.repeat(np.arange(len(a.cell_ptr) - 1), np.diff(a.cell_ptr))
        weight = duals[a.cell_row] * a.cell_sign
        shape = (self.n_segments, a.n_products)
        size = shape[0] * shape[1]

        def total(part: NDArray[np.bool_], scale: NDArray[np.float64]) -> NDArray[np.float64]:
            w = weight[part] * scale[part]
            return np.bincount(cells[part], w, minlength=size).astype(np.float64)

        one = np.ones(len(weight))
        count = total(a.cell_kind == 0, one) - total(a.cell_kind == 2, a.cell_floor)
        cost, approval = total(a.cell_kind == 1, one), total(a.cell_kind == 2, one)
        return PriceTables(
            a.segment, count.reshape(shape), cost.reshape(shape), approval.reshape(shape)
        )

    def row_sums(self, usage: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return Σ a·x of each row from usage (3, n_cells): use, cost, use × approval."""
        a = self.arrays
        cells = np.repeat(np.arange(len(a.cell_ptr) - 1), np.diff(a.cell_ptr))
        amount = usage[a.cell_kind, cells] - np.where(
            a.cell_kind == 2, a.cell_floor * usage[0, cells], 0.0
        )
        return _sum_by(a.cell_row, a.cell_sign * amount, len(self.rows))


def compile_problem(
    pairs: Pairs, slots: NDArray[np.int32], rows: Sequence[LimitRow], n_products: int
) -> Compiled:
    """Return the flat form of a checked problem."""
    rows = tuple(rows)
    segment, inside = _segments(pairs.n_customers, rows)
    n_segments = inside.shape[1]
    incidence = _incidence(rows, inside, n_products)
    use, use_step = _flat(pairs.use)
    cost, cost_step = _flat(pairs.cost)
    approval, approval_step = _flat(0.0 if pairs.approval is None else pairs.approval)
    arrays = Arrays(
        pairs.indptr, pairs.product, pairs.value, use, use_step, cost, cost_step,
        approval, approval_step, segment, slots, n_products, *incidence,
    )  # fmt: skip
    sign = np.array([1.0 if row.sense == "<=" else -1.0 for row in rows])
    limit = sign * np.array([row.limit for row in rows], dtype=np.float64)
    size, members = _sizes(pairs, arrays, rows, n_segments * n_products)
    scale = _value_scale(pairs, slots)
    ceiling = np.array(
        [1e4 * scale / s if r.soft_penalty is None else r.soft_penalty
         for r, s in zip(rows, size, strict=True)],
        dtype=np.float64,
    )  # fmt: skip
    is_whole = {measure: _is_whole(pairs, measure) for measure in {row.measure for row in rows}}
    whole = np.array([is_whole[row.measure] for row in rows], dtype=bool)
    return Compiled(arrays, rows, limit, size, ceiling, whole, n_segments, scale, members)


def _flat(given: float | NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    array = np.ascontiguousarray(given, np.float64)
    return (array.reshape(1), 0) if np.ndim(given) == 0 else (array, 1)


def _segments(
    n_customers: int, rows: tuple[LimitRow, ...]
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Number the distinct combinations of masks; say which combinations each row covers."""
    segment = np.zeros(n_customers, np.int64)
    masks: dict[bytes, NDArray[np.bool_]] = {}
    key_of_row: list[bytes | None] = []
    for row in rows:
        if row.customers is None:
            key_of_row.append(None)
            continue
        mask = np.zeros(n_customers, bool)
        mask[row.customers] = True
        key = np.packbits(mask).tobytes()
        masks.setdefault(key, mask)
        key_of_row.append(key)
    for mask in masks.values():
        code = segment * 2 + mask
        present = np.bincount(code) > 0
        segment = (np.cumsum(present) - 1)[code]
    n_segments = int(segment.max()) + 1 if n_customers else 1
    covers = {}
    for key, mask in masks.items():
        covers[key] = np.bincount(segment[mask], minlength=n_segments) > 0
    everyone = np.ones(n_segments, bool)
    inside = [everyone if key is None else covers[key] for key in key_of_row]
    stacked = np.stack(inside) if rows else np.ones((0, n_segments), bool)
    return segment.astype(np.int32), stacked


def _incidence(
    rows: tuple[LimitRow, ...], inside: NDArray[np.bool_], n_products: int
) -> tuple[
    NDArray[np.int64],
    NDArray[np.int32],
    NDArray[np.int8],
    NDArray[np.float64],
    NDArray[np.float64],
]:
    cells = [
        (np.flatnonzero(cover)[:, None] * n_products + row.products).ravel()
        for row, cover in zip(rows, inside, strict=True)
    ]
    counts = [len(part) for part in cells]
    flat = np.concatenate(cells) if cells else np.zeros(0, np.int64)
    order = np.argsort(flat, kind="stable")
    n_cells = inside.shape[1] * n_products
    pointer = np.zeros(n_cells + 1, np.int64)
    np.cumsum(np.bincount(flat, minlength=n_cells), out=pointer[1:])

    def spread(numbers: list[float], dtype: type) -> NDArray[np.float64]:
        return np.repeat(np.array(numbers, dtype=dtype), counts)[order]

    return (
        pointer,
        spread(list(range(len(rows))), np.int32).astype(np.int32),
        spread([_KIND[row.measure] for row in rows], np.int8).astype(np.int8),
        spread([1.0 if row.sense == "<=" else -1.0 for row in rows], np.float64),
        spread([row.floor if row.measure == "approval" else 0.0 for row in rows], np.float64),
    )


def _sizes(
    pairs: Pairs, arrays: Arrays, rows: tuple[LimitRow, ...], n_cells: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each row's mean absolute coefficient (1 when all are 0) and its number of pairs."""
    owner = np.repeat(arrays.segment, np.diff(pairs.indptr))
    cell = owner.astype(np.int64) * arrays.n_products + pairs.product
    n_of_cell = np.bincount(cell, minlength=n_cells).astype(np.float64)
    use = _per_cell(cell, pairs.use, n_of_cell, n_cells)
    cost = _per_cell(cell, np.abs(pairs.cost), n_of_cell, n_cells)
    cells = np.repeat(np.arange(n_cells), np.diff(arrays.cell_ptr))
    amount = np.where(arrays.cell_kind == 1, cost[cells], use[cells])
    if (arrays.cell_kind == 2).any():
        spread = _approval_size(pairs, cell, n_of_cell, cells, arrays.cell_floor)
        amount = np.where(arrays.cell_kind == 2, spread, amount)
    total = _sum_by(arrays.cell_row, amount, len(rows))
    members = _sum_by(arrays.cell_row, n_of_cell[cells], len(rows))
    mean = total / np.maximum(members, 1.0)
    return np.where(mean > 0, mean, 1.0), members


def _approval_size(
    pairs: Pairs,
    cell: NDArray[np.int64],
    n_of_cell: NDArray[np.float64],
    cells: NDArray[np.int64],
    floor: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the sum of |use × (approval − floor)| of each entry's cell, by root mean square."""
    use, approval = pairs.column("use"), pairs.column("approval")
    n = np.maximum(n_of_cell, 1.0)
    zero, one, two = (
        (_sum_by(cell, use**2 * approval**power, len(n)) / n)[cells] for power in range(3)
    )
    square: NDArray[np.float64] = two - 2.0 * floor * one + floor**2 * zero
    return n_of_cell[cells] * np.sqrt(np.maximum(square, 0.0))


def _per_cell(
    cell: NDArray[np.int64],
    column: float | NDArray[np.float64],
    n_of_cell: NDArray[np.float64],
    n_cells: int,
) -> NDArray[np.float64]:
    if np.ndim(column) == 0:
        return n_of_cell * float(column)
    return _sum_by(cell, np.asarray(column), n_cells)


def _sum_by(
    place: NDArray[np.integer], amount: NDArray[np.float64], length: int
) -> NDArray[np.float64]:
    return np.bincount(place, amount, minlength=length).astype(np.float64)


def _value_scale(pairs: Pairs, slots: NDArray[np.int32]) -> float:
    """Return the mean of the best value of a customer, or of |value| when none is positive."""
    busy = np.flatnonzero((np.diff(pairs.indptr) > 0) & (slots > 0))
    if not len(busy):
        return 1.0
    best = np.maximum.reduceat(pairs.value, pairs.indptr[:-1][np.diff(pairs.indptr) > 0])
    scale = float(np.maximum(best, 0.0).mean()) or float(np.abs(pairs.value).mean())
    return scale or 1.0


def _is_whole(pairs: Pairs, measure: str) -> bool:
    if measure == "approval":
        return False
    column = np.asarray(pairs.use if measure == "count" else pairs.cost)
    return bool((column == np.floor(column)).all())
