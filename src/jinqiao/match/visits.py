"""Compiled: visits in order of arrival, each given the best offers that fit in what is left.

One call serves the visits of one stretch at one set of prices. ``left`` and ``spent`` are
changed in place; nothing here knows of time, so the caller sets prices as often as it wants.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["Arrays", "serve", "settle", "take_late", "unlikely"]

_SLACK = 1e-9
"""Room a limit is given against rounding, as a share of itself."""


class Arrays(NamedTuple):
    """A stream's arrays and the rows of each cell (segment × product); see ``online``.

    ``use``, ``cost``, ``approval``, ``click``, ``keep`` are (nnz,), or (1,) for all. A row's
    ``kind``: 0 use, 1 cost, 2 use × (approval − floor). ``hard`` rows are ceilings never passed,
    ``guarded`` ones floors whose debt is bounded.
    """

    indptr: NDArray[np.int64]
    product: NDArray[np.int32]
    value: NDArray[np.float64]
    use: NDArray[np.float64]
    cost: NDArray[np.float64]
    approval: NDArray[np.float64]
    click: NDArray[np.float64]
    keep: NDArray[np.float64]
    slots: NDArray[np.int32]
    segment: NDArray[np.int32]
    cell_ptr: NDArray[np.int64]
    cell_row: NDArray[np.int64]
    kind: NDArray[np.int8]
    sign: NDArray[np.float64]
    floor: NDArray[np.float64]
    hard: NDArray[np.bool_]
    guarded: NDArray[np.bool_]
    n_products: int


jit = numba.njit(cache=True, nogil=True)


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def _at(column: Any, j: int) -> Any:
    return column[j] if len(column) > 1 else column[0]


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def expected(a: Any, j: int, row: int) -> Any:
    """Return what showing pair j takes of a row in expectation, as the plan counts it."""
    if a.kind[row] == 1:
        return _at(a.cost, j)
    use = _at(a.use, j)
    return use if a.kind[row] == 0 else use * (_at(a.approval, j) - a.floor[row])


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def held(a: Any, j: int, row: int) -> Any:
    """Return what one click-out of pair j reserves of a row: the whole unit, not its chance."""
    chance = _at(a.click, j) * _at(a.keep, j)
    if chance <= 0.0:
        return 0.0
    amount = (_at(a.cost, j) if a.kind[row] == 1 else _at(a.use, j)) / chance
    whole = np.rint(amount)
    return whole if abs(amount - whole) <= 1e-6 * max(1.0, whole) else amount


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def _fits(a: Any, j: int, cell: int, left: Any, size: Any, least: Any, spent: Any) -> Any:
    """Return whether a click-out of pair j fits in every limit, and its floors can bear it."""
    for q in range(a.cell_ptr[cell], a.cell_ptr[cell + 1]):
        row = a.cell_row[q]
        if a.hard[row]:
            amount = held(a, j, row)
            if amount > 0.0 and amount > left[row] + _SLACK * size[row]:
                return False
        elif a.guarded[row]:
            change = expected(a, j, row)
            if change < 0.0 and spent[row] + change < least[row]:
                return False
    return True


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def _take(a: Any, j: int, cell: int, left: Any, part: float) -> None:
    for q in range(a.cell_ptr[cell], a.cell_ptr[cell + 1]):
        row = a.cell_row[q]
        if a.hard[row]:
            left[row] -= part * held(a, j, row)


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def _note(a: Any, j: int, cell: int, spent: Any, gross: Any) -> None:
    for q in range(a.cell_ptr[cell], a.cell_ptr[cell + 1]):
        amount = expected(a, j, a.cell_row[q])
        spent[a.cell_row[q]] += amount
        gross[a.cell_row[q]] += abs(amount)


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def serve(a: Any, span: Any, tables: Any, left: Any, size: Any, least: Any, sums: Any,
          luck: Any, shown: Any, clicked: Any, n_clicked: int) -> Any:  # fmt: skip
    """Serve visits ``span[0]:span[1]``; return (value shown, click-outs so far).

    ``tables`` (3, n_cells): prices of use, cost, use × approval. ``least`` (m,): below it guarded
    floors take no more debt. ``sums``: what was shown for of each row, and its size. ``shown``
    (n, K) gets the pair at each place or −1, ``clicked`` the pairs clicked out. Every offer of a
    visit is held until its visitor has clicked or not, so that whatever is shown can be had.
    """
    spent, gross = sums
    degree = 1
    for i in range(span[0], span[1]):
        degree = max(degree, a.indptr[i + 1] - a.indptr[i])
    reduced = np.empty(degree)
    total = 0.0
    for i in range(span[0], span[1]):
        first, n = a.indptr[i], a.indptr[i + 1] - a.indptr[i]
        base = np.int64(a.segment[i]) * a.n_products
        for k in range(n):
            j = first + k
            cell = base + a.product[j]
            use = _at(a.use, j)
            price = use * (tables[0, cell] + _at(a.approval, j) * tables[2, cell])
            reduced[k] = a.value[j] - price - _at(a.cost, j) * tables[1, cell]
        place = 0
        while place < min(a.slots[i], shown.shape[1]):
            best, most = -1, 0.0
            for k in range(n):
                if reduced[k] > most:
                    best, most = k, reduced[k]
            if best < 0:
                break
            reduced[best] = -np.inf
            j = first + best
            cell = base + a.product[j]
            if not _fits(a, j, cell, left, size, least, spent):
                continue
            _take(a, j, cell, left, 1.0)
            _note(a, j, cell, spent, gross)
            shown[i, place] = j
            total += a.value[j]
            place += 1
        for k in range(place):
            j = shown[i, k]
            if luck[i, k] < _at(a.click, j):
                clicked[n_clicked] = j
                n_clicked += 1
            else:
                _take(a, j, base + a.product[j], left, -1.0)
    return total, n_clicked


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def settle(a: Any, owner: Any, pairs: Any, kept: Any, approved: Any, left: Any) -> None:
    """Give back what settled click-outs held and did not use; the rest stays taken."""
    for i in range(len(pairs)):
        j = pairs[i]
        cell = np.int64(a.segment[owner[i]]) * a.n_products + a.product[j]
        for q in range(a.cell_ptr[cell], a.cell_ptr[cell + 1]):
            row = a.cell_row[q]
            if a.hard[row] and not (kept[i] and (a.kind[row] != 2 or approved[i])):
                left[row] += held(a, j, row)


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def unlikely(a: Any, owner: Any, pairs: Any, chance: Any, out: Any) -> None:
    """Add to ``out`` (m,) what open click-outs hold beyond what they are expected to use."""
    for i in range(len(pairs)):
        j = pairs[i]
        cell = np.int64(a.segment[owner[i]]) * a.n_products + a.product[j]
        for q in range(a.cell_ptr[cell], a.cell_ptr[cell + 1]):
            row = a.cell_row[q]
            if a.hard[row]:
                part = chance[i] * (_at(a.approval, j) if a.kind[row] == 2 else 1.0)
                out[row] += (1.0 - part) * held(a, j, row)


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def take_late(a: Any, visit: int, j: int, approved: bool, left: Any) -> Any:
    """Return whether a report after its hold found a free unit of every limit, and take them."""
    cell = np.int64(a.segment[visit]) * a.n_products + a.product[j]
    for turn in range(2):
        for q in range(a.cell_ptr[cell], a.cell_ptr[cell + 1]):
            row = a.cell_row[q]
            if not a.hard[row] or (a.kind[row] == 2 and not approved):
                continue
            amount = held(a, j, row)
            if turn == 0 and amount > left[row]:
                return False
            if turn == 1:
                left[row] -= amount
    return True
