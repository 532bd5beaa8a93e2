"""How far prices found on a sample may be from those of everyone.

A limit that s of a sample take is taken by s ± √s others as well, so that its price lies between
those at which so many more, or fewer, would take it: order statistics of the sample itself, true
whatever the values' law, and the only word on limits that few take (David & Nagaraja 2003, *Order
Statistics*, §7.1).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation.dual import Dual, Point, core_arrays
from jinqiao.engines.allocation.facts import Facts
from jinqiao.engines.allocation.local import best_pairs
from jinqiao.engines.allocation.sweep import reduce_pairs
from jinqiao.engines.allocation.terms import Terms

__all__ = ["near_prices", "unsettled"]

_SURE = 3.0
"""Standard errors of a count that are allowed for."""

Floats = NDArray[np.float64]


def unsettled(terms: Terms, point: Point, weight: float) -> NDArray[np.bool_]:
    """Return the rows (m,) that have a price, or are so near their limit that they may."""
    spread = np.sqrt(np.abs(point.used) * weight / terms.size)
    priced = point.duals * terms.size > 1e-9 * terms.value_scale
    return priced | (np.abs(point.gradient) < _SURE * spread)


def near_prices(
    terms: Terms, facts: Facts, dual: Dual, point: Point, weight: float
) -> tuple[Floats, Floats]:
    """Return how far the price of each cell may fall and rise, (n_cells,) each, in units of value.

    ``weight`` is how many customers one of the sample stands for. A rise has no end where so few
    take a row that all of them might leave; 0 where the sample's core holds no answer.
    """
    m = len(terms.rows)
    seen = np.abs(point.used) / (terms.size * weight)
    count = np.ceil(_SURE * np.sqrt(seen) + _SURE).astype(np.int64)
    free = unsettled(terms, point, weight)
    for i, row in enumerate(terms.rows):
        free[i] &= row.measure != "approval"
    away, taken = _away(dual, point.duals)
    fall, rise = np.zeros(m), np.where(free & (seen < count), np.inf, 0.0)
    core = dual.core
    pair = np.repeat(np.arange(core.n_pairs), np.diff(core.entry))
    size = np.abs(core.coef)
    kept = np.flatnonzero(free[core.row] & (size > 0))
    entry, pair = core.row[kept], pair[kept]
    needed, own = away[pair] / size[kept], taken[pair]
    for which, found in ((~own, fall), (own, rise)):
        _nearest(entry[which], needed[which], count, found)
    return _by_cell(terms, facts, fall), _by_cell(terms, facts, rise)


def _nearest(
    row: NDArray[np.int32], needed: Floats, count: NDArray[np.int64], found: Floats
) -> None:
    """Raise ``found`` (m,) to the ``count``-th least of each row's numbers, where there are."""
    order = np.argsort(row, kind="stable")
    ends = np.searchsorted(row[order], np.arange(len(found) + 1))
    for i, k in enumerate(count.tolist()):
        if k <= ends[i + 1] - ends[i]:
            one = needed[order[ends[i] : ends[i + 1]]]
            found[i] = max(found[i], float(np.partition(one, k - 1)[k - 1]))


def _away(dual: Dual, duals: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Return by how much the price of each open pair must move until it is taken, or given up."""
    core = dual.core
    arrays, reduced = core_arrays(core), np.empty(core.n_pairs)
    reduce_pairs(arrays, duals, reduced)
    taken, margin = np.zeros(core.n_pairs, bool), np.empty(core.n_customers)
    best_pairs(arrays, reduced, taken, margin)
    last, first = np.full(core.n_customers, np.inf), np.zeros(core.n_customers)
    owner = np.repeat(np.arange(core.n_customers), np.diff(core.ptr))
    np.minimum.at(last, owner[taken], reduced[taken])
    np.maximum.at(first, owner[~taken], reduced[~taken])
    full = np.bincount(owner[taken], minlength=core.n_customers) >= core.slots
    bar = np.where(full, last, 0.0)[owner]
    return np.where(taken, reduced - first[owner], bar - reduced), taken


def _by_cell(terms: Terms, facts: Facts, moves: Floats) -> Floats:
    """Return the most the price of each cell moves by any one of these moves of duals."""
    use, cost = (np.tile(most, terms.n_segments) for most in (facts.use_most, facts.cost_most))
    cells = terms.entry_cell
    most = np.where(terms.cell_kind == 1, cost[cells], use[cells])
    move = moves[terms.cell_row]
    found = np.zeros(terms.n_cells)
    np.maximum.at(found, cells, np.where(most > 0, move * np.maximum(most, 1e-300), 0.0))
    return found
