"""A chunk and the prices of a pass as the compiled kernels read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation.terms import Reference, Terms

if TYPE_CHECKING:
    from jinqiao.engines.allocation.chunk import Chunk

__all__ = ["Arrays", "Rows", "Tables", "arrays_of", "tables_of", "usage_of_picks"]

Floats = NDArray[np.float64]


class Arrays(NamedTuple):
    """What a kernel reads. A column's place is ``j · by[0] + product · by[1]``."""

    indptr: Any
    product: Any
    value: Any
    use: Any
    use_by: tuple[int, int]
    cost: Any
    cost_by: tuple[int, int]
    approval: Any
    approval_by: tuple[int, int]
    segment: Any
    segment_step: int
    slots: Any
    slots_step: int
    weight: Any
    weight_step: int
    who: Any
    chosen_few: bool
    n_products: int


class Rows(NamedTuple):
    """The rows of each cell."""

    cell_ptr: Any
    cell_row: Any
    cell_kind: Any
    cell_sign: Any
    cell_floor: Any


class Tables(NamedTuple):
    """The price of a pair by cell: base + use·u + cost·c + chance (× use)·a for what is per pair.

    What is a number, or per product, is folded into the tables; ``flat`` if all is.
    """

    base: Floats
    use: Floats
    has_use: bool
    cost: Floats
    has_cost: bool
    chance: Floats
    has_chance: bool
    chance_by_use: bool
    room: Floats
    rise: Floats
    flat: bool


def arrays_of(terms: Terms, chunk: Chunk) -> Arrays:
    """Return the chunk as the kernels read it."""
    use, use_by = _column(chunk.use)
    cost, cost_by = _column(chunk.cost)
    approval, approval_by = _column(chunk.approval)
    segment, segment_step = _number(chunk.segment, np.int32)
    slots, slots_step = _number(chunk.slots, np.int32)
    weight, weight_step = _number(chunk.weight, np.float64)
    few = chunk.who is not None
    who = np.zeros(0, np.int64) if chunk.who is None else chunk.who
    return Arrays(
        chunk.indptr, chunk.product, chunk.value, use, use_by, cost, cost_by,
        approval, approval_by, segment, segment_step, slots, slots_step, weight, weight_step,
        who, few, terms.n_products,
    )  # fmt: skip


def _column(given: Any) -> tuple[NDArray[Any], tuple[int, int]]:
    if np.ndim(given) == 1:
        return given, (1, 0)
    flat = np.ascontiguousarray(given, np.float64).reshape(-1)
    return flat, (0, int(np.ndim(given) == 2))


def _number(given: Any, dtype: type) -> tuple[NDArray[Any], int]:
    array: NDArray[Any] = np.ascontiguousarray(given, dtype)
    return (array.reshape(1), 0) if np.ndim(given) == 0 else (array, 1)


def tables_of(terms: Terms, chunk: Chunk, at: Reference) -> Tables:
    """Return the prices of a reference for a chunk's columns."""
    spread = {name: _spread(terms, getattr(chunk, name)) for name in ("use", "cost", "approval")}
    use, cost, chance = spread["use"], spread["cost"], spread["approval"]
    base, by_use = np.zeros(terms.n_cells), at.count
    by_chance = at.approval
    if chance is not None:
        by_use = by_use + chance * at.approval
        by_chance = np.zeros(terms.n_cells)
    elif use is not None:
        by_chance = use * at.approval
    if use is not None:
        base += use * by_use
        by_use = np.zeros(terms.n_cells)
    by_cost = at.cost
    if cost is not None:
        base += cost * at.cost
        by_cost = np.zeros(terms.n_cells)
    return Tables(
        base, by_use, bool(by_use.any()), by_cost, bool(by_cost.any()),
        by_chance, bool(by_chance.any()), use is None, at.room, at.rise, chunk.flat,
    )  # fmt: skip


def usage_of_picks(terms: Terms, chunk: Chunk) -> Floats | float:
    """Return what turns picks into usage: (3, n_cells) if picks are counts, else 1."""
    if not chunk.flat:
        return 1.0
    use, cost, chance = (_spread(terms, c) for c in (chunk.use, chunk.cost, chunk.approval))
    assert use is not None
    assert cost is not None
    assert chance is not None
    return np.stack((use, cost, use * chance))


def _spread(terms: Terms, given: Any) -> Floats | None:
    """Return a number or a column per product by cell, None for one per pair."""
    if np.ndim(given) == 1:
        return None
    flat = np.broadcast_to(np.asarray(given, np.float64).reshape(-1), (terms.n_products,))
    return np.tile(flat, terms.n_segments)
