"""Compiled: one pass over customers at given prices that sets aside those who are near a tie.

Every customer takes the K best positive reduced values. Who takes the same whatever prices do
within the room of each cell is decided: their sums are added up. The others are put out as
positions, with only the pairs that could be chosen or dropped within that room.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

__all__ = ["counts", "entries", "extremes", "first_wrong", "jit", "scan"]

jit = numba.njit(cache=True, nogil=True, error_model="numpy")


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def _reduce(a: Any, t: Any, first: Any, n: Any, base: Any, r: Any, cell: Any) -> None:
    """Fill the cells and reduced values of the n pairs from ``first`` on.

    One short loop a column, on unsigned places, so that each becomes vector instructions.
    """
    for i in range(n):
        cell[i] = base + np.uint64(a.product[first + i])
        r[i] = a.value[first + i] - t.base[cell[i]]
    if t.has_use:
        for i in range(n):
            r[i] -= a.use[first + i] * t.use[cell[i]]
    if t.has_cost:
        for i in range(n):
            r[i] -= a.cost[first + i] * t.cost[cell[i]]
    if t.has_chance:
        if t.chance_by_use:
            for i in range(n):
                r[i] -= a.approval[first + i] * a.use[first + i] * t.chance[cell[i]]
        else:
            for i in range(n):
                r[i] -= a.approval[first + i] * t.chance[cell[i]]


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def _best(r: Any, n: Any, k: Any, top: Any, at: Any) -> Any:
    """Fill the k best positive r and their places, best first; return how many, and the next."""
    if k == np.uint64(1):
        best = -np.inf
        for i in range(n):
            best = max(best, r[i])
        if best <= 0.0:
            return np.uint64(0), best
        place = np.uint64(0)
        while r[place] != best:
            place += np.uint64(1)
        top[0], at[0] = best, place
        r[place] = -np.inf
        after = -np.inf
        for i in range(n):
            after = max(after, r[i])
        r[place] = best
        return np.uint64(1), after
    kept, bar, after = np.uint64(0), 0.0, -np.inf
    for i in range(n):
        x = r[i]
        if x <= bar:
            after = max(after, x)
            continue
        if kept < k:
            spot = kept
            kept += np.uint64(1)
        else:
            spot = k - np.uint64(1)
            after = max(after, top[spot])
        while spot > np.uint64(0) and top[spot - np.uint64(1)] < x:
            top[spot], at[spot] = top[spot - np.uint64(1)], at[spot - np.uint64(1)]
            spot -= np.uint64(1)
        top[spot], at[spot] = x, i
        if kept == k:
            bar = top[k - np.uint64(1)]
    return kept, after


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def _others(t: Any, r: Any, n: Any, cell: Any, at: Any, taken: Any, up: Any) -> Any:
    """Return the least a chosen pair can come to, and the most any other can (``up``: each)."""
    for i in range(n):
        up[i] = r[i] + t.room[cell[i]]
    low, high = np.inf, -np.inf
    for i in range(taken):
        low = min(low, r[at[i]] - t.rise[cell[at[i]]])
        up[at[i]] = -np.inf
    for i in range(n):
        high = max(high, up[i])
    return low, high


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def _widest(a: Any, lo: int, hi: int) -> Any:
    degree, most = 1, 1
    for position in range(lo, hi):
        c = a.who[position] if a.chosen_few else position
        degree = max(degree, a.indptr[c + 1] - a.indptr[c])
        most = max(most, a.slots[c * a.slots_step])
    return degree, min(most, degree)


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def _pick(a: Any, j: Any, cell: Any, flat: bool, weight: float, picks: Any) -> None:
    if flat:
        picks[0, cell] += weight
        return
    p = np.int64(a.product[j])
    use = weight * a.use[np.int64(j) * a.use_by[0] + p * a.use_by[1]]
    picks[0, cell] += use
    picks[1, cell] += weight * a.cost[np.int64(j) * a.cost_by[0] + p * a.cost_by[1]]
    picks[2, cell] += use * a.approval[np.int64(j) * a.approval_by[0] + p * a.approval_by[1]]


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def scan(
    a: Any, t: Any, lo: int, hi: int, block: int,
    sums: Any, picks: Any, who: Any, left_of: Any, count: Any, margin: Any, places: Any,
    chosen: Any,
) -> Any:  # fmt: skip
    """Add the sums of customers ``lo:hi`` block by block; put out who is undecided.

    ``sums`` (blocks, 3): exact part, value of what is decided, offers decided. ``picks`` (blocks,
    1 or 3, n_cells). Of the undecided: position ``who``, slots ``left_of``, ``count`` of open
    pairs, ``margin``; ``places``: which of a customer's pairs. ``chosen`` is marked where it is as
    long as the pairs. Return how many of each.
    """
    degree, most = _widest(a, lo, hi)
    r, up, cell = np.empty(degree), np.empty(degree), np.empty(degree, np.uint64)
    top, at = np.empty(most), np.empty(most, np.uint64)
    n_out, n_places = 0, 0
    marking = len(chosen) > 0
    for position in range(lo, hi):
        c = a.who[position] if a.chosen_few else position
        first = np.uint64(a.indptr[c])
        n = np.uint64(a.indptr[c + 1]) - first
        k = min(np.uint64(a.slots[c * a.slots_step]), n)
        if k == np.uint64(0):
            continue
        b = (position - lo) // block
        base = np.uint64(a.segment[c * a.segment_step]) * np.uint64(a.n_products)
        weight = a.weight[position * a.weight_step]
        _reduce(a, t, first, n, base, r, cell)
        taken, after = _best(r, n, k, top, at)
        exact = 0.0
        for i in range(taken):
            exact += top[i]
        sums[b, 0] += weight * exact
        low, high = _others(t, r, n, cell, at, taken, up)
        sure = max(high, 0.0)
        full = taken == k and k < n
        if low >= sure and (full or taken == n or high <= 0.0):
            sums[b, 2] += weight * taken
            for i in range(taken):
                j = first + at[i]
                sums[b, 1] += weight * a.value[j]
                _pick(a, j, cell[at[i]], t.flat, weight, picks[b])
                if marking:
                    chosen[j] = True
            continue
        # What stays chosen however prices move is decided; the rest is put out.
        floor = max(low, 0.0) if full else 0.0
        left = np.int64(k)
        for i in range(taken):
            j = first + at[i]
            if top[i] - t.rise[cell[at[i]]] >= sure:
                sums[b, 1] += weight * a.value[j]
                sums[b, 2] += weight
                _pick(a, j, cell[at[i]], t.flat, weight, picks[b])
                left -= 1
                if marking:
                    chosen[j] = True
            else:
                up[at[i]] = np.inf
        before = n_places
        for i in range(n):
            if up[i] > floor:
                places[n_places] = i
                n_places += 1
        who[n_out], left_of[n_out], count[n_out] = position, left, n_places - before
        last = top[taken - np.uint64(1)] if taken > np.uint64(0) else np.inf
        margin[n_out] = last - max(after, 0.0) if full else min(last, -after)
        n_out += 1
    return n_out, n_places


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def counts(a: Any, t: Any, lo: int, hi: int, who: Any, ptr: Any, place: Any, count: Any) -> None:
    """Fill how many rows each open pair of undecided customers ``lo:hi`` is in."""
    for u in range(lo, hi):
        c = a.who[who[u]] if a.chosen_few else np.int64(who[u])
        base = np.int64(a.segment[c * a.segment_step]) * a.n_products
        for i in range(ptr[u], ptr[u + 1]):
            cell = base + np.int64(a.product[a.indptr[c] + place[i]])
            count[i] = t.cell_ptr[cell + 1] - t.cell_ptr[cell]


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def entries(
    a: Any, t: Any, lo: int, hi: int, who: Any, ptr: Any, place: Any, entry: Any,
    value: Any, row: Any, coef: Any,
) -> None:  # fmt: skip
    """Fill value, rows and coefficients of the open pairs of undecided customers ``lo:hi``."""
    for u in range(lo, hi):
        c = a.who[who[u]] if a.chosen_few else np.int64(who[u])
        base = np.int64(a.segment[c * a.segment_step]) * a.n_products
        for i in range(ptr[u], ptr[u + 1]):
            j = a.indptr[c] + place[i]
            p = np.int64(a.product[j])
            value[i] = a.value[j]
            use = a.use[j * a.use_by[0] + p * a.use_by[1]]
            spot = entry[i]
            for q in range(t.cell_ptr[base + p], t.cell_ptr[base + p + 1]):
                kind = t.cell_kind[q]
                if kind == 0:
                    amount = use
                elif kind == 1:
                    amount = np.float64(a.cost[j * a.cost_by[0] + p * a.cost_by[1]])
                else:
                    chance = a.approval[j * a.approval_by[0] + p * a.approval_by[1]]
                    amount = use * (chance - t.cell_floor[q])
                row[spot] = t.cell_row[q]
                coef[spot] = t.cell_sign[q] * amount
                spot += 1


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def extremes(product: Any, column: Any, lo: int, hi: int, found: Any) -> Any:
    """Widen ``found`` (2, n_products), least and most by product; return whether all are whole."""
    whole = True
    for j in range(lo, hi):
        x = np.float64(column[j])
        p = product[j]
        whole &= x == np.floor(x)
        found[0, p] = min(found[0, p], x)
        found[1, p] = max(found[1, p], x)
    return whole


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def first_wrong(indptr: Any, product: Any, n_products: int, lo: int, hi: int) -> int:
    """Return the first pair of customers ``lo:hi`` with an unknown or repeated product, or −1."""
    seen = np.full(n_products, -1, np.int64)
    for c in range(lo, hi):
        for j in range(indptr[c], indptr[c + 1]):
            p = np.int64(product[j])
            if p < 0 or p >= n_products or seen[p] == c:
                return j
            seen[p] = c
    return -1
