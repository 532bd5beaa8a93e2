"""Compiled: one pass over customers at given prices that sets aside those who are near a tie.

Every customer takes the K best positive reduced values. Who takes the same whatever prices do
within the room of each cell is decided: their sums are added up. The others are put out as
positions, with only the pairs that could be chosen or dropped within that room.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

__all__ = ["choose", "entries", "extremes", "jit", "scan"]

jit = numba.njit(cache=True, nogil=True, error_model="numpy")


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def _reduce(a: Any, start: int, stop: int, base: int, prices: Any, r: Any) -> None:
    """Fill r with the reduced values of pairs ``start:stop`` (``prices[0]`` per pair if flat)."""
    count, cost, approval, _, flat = prices
    if flat:
        for j in range(start, stop):
            r[j - start] = a.value[j] - count[base + a.product[j]]
        return
    for j in range(start, stop):
        p = np.int64(a.product[j])
        cell = base + p
        chance = a.approval[j * a.approval_by[0] + p * a.approval_by[1]]
        use = a.use[j * a.use_by[0] + p * a.use_by[1]]
        money = a.cost[j * a.cost_by[0] + p * a.cost_by[1]]
        r[j - start] = (
            a.value[j] - (count[cell] + chance * approval[cell]) * use - money * cost[cell]
        )


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def _rank(r: Any, n: int, k: int, top: Any, at: Any) -> Any:
    """Fill the k + 1 best r and their places, best first; return how many there are."""
    if k == 1:
        best, second, place, other = -np.inf, -np.inf, -1, -1
        for i in range(n):
            x = r[i]
            if x > second:
                if x > best:
                    second, other = best, place
                    best, place = x, i
                else:
                    second, other = x, i
        top[0], top[1], at[0], at[1] = best, second, place, other
        return min(n, 2)
    kept = 0
    for i in range(n):
        x = r[i]
        if kept <= k:
            spot = kept
            kept += 1
        elif x > top[k]:
            spot = k
        else:
            continue
        while spot > 0 and top[spot - 1] < x:
            top[spot], at[spot] = top[spot - 1], at[spot - 1]
            spot -= 1
        top[spot], at[spot] = x, i
    return kept


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def _margin(top: Any, kept: int, k: int) -> Any:
    """Return how many pairs are chosen, and the least loss of any other choice."""
    taken = 0
    while taken < kept and taken < k and top[taken] > 0.0:
        taken += 1
    after = top[taken] if taken < kept else -np.inf
    if taken == k:
        return taken, top[k - 1] - max(after, 0.0)
    return taken, min(top[taken - 1] if taken > 0 else np.inf, -after)


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def _limits(a: Any, start: int, n: int, base: int, room: Any, r: Any, at: Any, taken: int) -> Any:
    """Return the least a chosen pair can come to, and the most any other can."""
    low, high = np.inf, -np.inf
    for i in range(taken):
        low = min(low, r[at[i]] - room[base + a.product[start + at[i]]])
    if taken == 1:
        place = at[0]
        kept, r[place] = r[place], -np.inf
        for i in range(n):
            high = max(high, r[i] + room[base + a.product[start + i]])
        r[place] = kept
        return low, high
    for i in range(n):
        up = r[i] + room[base + a.product[start + i]]
        if up > high:
            mine = False
            for q in range(taken):
                mine |= at[q] == i
            if not mine:
                high = up
    return low, high


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def _rooms(a: Any, lo: int, hi: int) -> Any:
    degree, most = 1, 1
    for position in range(lo, hi):
        c = a.who[position] if a.chosen_few else position
        degree = max(degree, a.indptr[c + 1] - a.indptr[c])
        most = max(most, a.slots[c * a.slots_step])
    width = min(most, degree) + 2
    return np.empty(degree), np.empty(width), np.empty(width, np.int64)


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def _pick(a: Any, j: int, cell: int, flat: bool, weight: float, picks: Any) -> None:
    if flat:
        picks[0, cell] += weight
        return
    p = np.int64(a.product[j])
    use = weight * a.use[j * a.use_by[0] + p * a.use_by[1]]
    picks[0, cell] += use
    picks[1, cell] += weight * a.cost[j * a.cost_by[0] + p * a.cost_by[1]]
    picks[2, cell] += use * a.approval[j * a.approval_by[0] + p * a.approval_by[1]]


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def scan(
    a: Any, prices: Any, lo: int, hi: int, block: int,
    sums: Any, picks: Any, undecided: Any, numbers: Any, places: Any,
) -> Any:  # fmt: skip
    """Add the sums of customers ``lo:hi`` block by block; put out who is undecided.

    ``sums`` (blocks, 3): exact part, value of what is decided, offers decided. ``picks`` (blocks,
    1 or 3, n_cells). ``undecided`` (·, 3) int64: customer, slots left, number of pairs;
    ``numbers`` (·, 2): margin, weight; ``places`` int64: their pairs. Return how many of each.
    """
    room, flat = prices[3], prices[4]
    r, top, at = _rooms(a, lo, hi)
    n_out, n_places = 0, 0
    for position in range(lo, hi):
        c = a.who[position] if a.chosen_few else position
        k = a.slots[c * a.slots_step]
        start, stop = a.indptr[c], a.indptr[c + 1]
        n = stop - start
        if k == 0 or n == 0:
            continue
        b = (position - lo) // block
        base = np.int64(a.segment[c * a.segment_step]) * a.n_products
        weight = a.weight[position * a.weight_step]
        _reduce(a, start, stop, base, prices, r)
        kept = _rank(r, n, k, top, at)
        taken, margin = _margin(top, kept, k)
        for i in range(taken):
            sums[b, 0] += weight * top[i]
        low, high = _limits(a, start, n, base, room, r, at, taken)
        sure = max(high, 0.0)
        if low >= sure and (taken == k or high <= 0.0):
            sums[b, 2] += weight * taken
            for i in range(taken):
                j = start + at[i]
                sums[b, 1] += weight * a.value[j]
                _pick(a, j, base + a.product[j], flat, weight, picks[b])
            continue
        # What stays chosen however prices move is decided; the rest is put out.
        floor = max(low, 0.0) if taken == k else 0.0
        for i in range(taken):
            j = start + at[i]
            if r[at[i]] - room[base + a.product[j]] >= sure:
                sums[b, 1] += weight * a.value[j]
                sums[b, 2] += weight
                _pick(a, j, base + a.product[j], flat, weight, picks[b])
                r[at[i]] = -np.inf
                k -= 1
        before = n_places
        for i in range(n):
            if r[i] > -np.inf and r[i] + room[base + a.product[start + i]] > floor:
                places[n_places] = start + i
                n_places += 1
        undecided[n_out, 0] = c
        undecided[n_out, 1] = k
        undecided[n_out, 2] = n_places - before
        numbers[n_out, 0] = margin
        numbers[n_out, 1] = weight
        n_out += 1
    return n_out, n_places


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def choose(a: Any, prices: Any, lo: int, hi: int, chosen: Any) -> None:
    """Mark what ``scan`` decides at these prices and rooms."""
    room = prices[3]
    r, top, at = _rooms(a, lo, hi)
    for c in range(lo, hi):
        k = a.slots[c * a.slots_step]
        start, stop = a.indptr[c], a.indptr[c + 1]
        n = stop - start
        if k == 0 or n == 0:
            continue
        base = np.int64(a.segment[c * a.segment_step]) * a.n_products
        _reduce(a, start, stop, base, prices, r)
        kept = _rank(r, n, k, top, at)
        taken, _ = _margin(top, kept, k)
        low, high = _limits(a, start, n, base, room, r, at, taken)
        sure = max(high, 0.0)
        for i in range(taken):
            if low >= sure or r[at[i]] - room[base + a.product[start + at[i]]] >= sure:
                chosen[start + at[i]] = True


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def entries(a: Any, t: Any, owner: Any, places: Any, ptr: Any, row: Any, coef: Any) -> None:
    """Fill the rows of pairs ``places`` and their coefficients, from ``ptr[i]`` on for pair i."""
    for i in range(len(places)):
        j = places[i]
        p = np.int64(a.product[j])
        cell = np.int64(a.segment[owner[i] * a.segment_step]) * a.n_products + p
        use = a.use[j * a.use_by[0] + p * a.use_by[1]]
        spot = ptr[i]
        for q in range(t.cell_ptr[cell], t.cell_ptr[cell + 1]):
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
def extremes(product: Any, column: Any, lo: int, hi: int, most: Any) -> Any:
    """Raise ``most`` to |column| by product; return whether all are whole, and the least or 0."""
    whole, least = True, 0.0
    for j in range(lo, hi):
        x = np.float64(column[j])
        whole &= x == np.floor(x)
        least = min(least, x)
        most[product[j]] = max(most[product[j]], abs(x))
    return whole, least
