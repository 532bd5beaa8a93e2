"""Kernels of rounding: the K best pairs at given prices, and local moves on a whole plan.

A move of one customer adds a pair, drops one or swaps one for another. Its merit is the change of
Σ w·x − Σ_i ψ_i(u_i), where w are values or reduced values, u_i what the plan uses of row i, and

    ψ_i(u) = ½ under_i·t² for t < 0,  ½ over_i·t² + slope_i·t for t > 0,  t = u − limit_i.

With ``hard`` rows a move may never bring a row above its limit, nor further above. Quadratic ψ on
both sides of a binding row is the error fed back: what one customer's rounding took too much, a
later one gives back at the least loss of reduced value.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jinqiao.engines.allocation.scan import jit

__all__ = ["best_pairs", "change", "fill_move", "improve", "use_of"]


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def best_pairs(a: Any, reduced: Any, chosen: Any, margin: Any) -> None:
    """Mark each customer's K best positive pairs; fill the least loss of any other choice."""
    for c in range(len(a.slots)):
        start, stop, slots = a.ptr[c], a.ptr[c + 1], a.slots[c]
        margin[c] = np.inf
        if slots == 0:
            continue
        taken, worst, worst_at = 0, np.inf, -1
        for j in range(start, stop):
            r = reduced[j]
            if r <= 0.0:
                continue
            if taken < slots:
                chosen[j] = True
                taken += 1
                if r < worst:
                    worst, worst_at = r, j
            elif r > worst:
                chosen[worst_at] = False
                chosen[j] = True
                worst, worst_at = r, j
                for k in range(start, j):
                    if chosen[k] and reduced[k] < worst:
                        worst, worst_at = reduced[k], k
        after = -np.inf
        for j in range(start, stop):
            if not chosen[j] and reduced[j] > after:
                after = reduced[j]
        if taken == slots:
            margin[c] = worst - max(after, 0.0)
        else:
            margin[c] = min(worst, -after)


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def use_of(a: Any, chosen: Any, used: Any) -> None:
    """Add what the chosen pairs use of each row."""
    for j in range(len(a.value)):
        if chosen[j]:
            for q in range(a.entry[j], a.entry[j + 1]):
                used[a.row[q]] += a.coef[q]


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def _psi(i: int, t: float, shape: Any) -> Any:
    under, over, slope, _, _ = shape
    if t < 0.0:
        return 0.5 * under[i] * t * t
    return (0.5 * over[i] * t + slope[i]) * t


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def change(rows: Any, delta: Any, n: int, used: Any, limit: Any, shape: Any) -> float:
    """Return Σ ψ after − before for a change of n rows, or inf when a hard row forbids it."""
    hard, slack = shape[3], shape[4]
    total = 0.0
    for i in range(n):
        row = rows[i]
        if delta[i] == 0.0:
            continue
        before = used[row] - limit[row]
        after = before + delta[i]
        if hard[row] and delta[i] > 0.0 and after > slack[row]:
            return np.inf
        total += _psi(row, after, shape) - _psi(row, before, shape)
    return total


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def _add(a: Any, j: int, sign: float, rows: Any, delta: Any, n: int) -> int:
    for q in range(a.entry[j], a.entry[j + 1]):
        row = a.row[q]
        value = sign * a.coef[q]
        place = -1
        for i in range(n):
            if rows[i] == row:
                place = i
                break
        if place < 0:
            place = n
            rows[n] = row
            delta[n] = 0.0
            n += 1
        delta[place] += value
    return n


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def fill_move(a: Any, out: int, new: int, n: int, rows: Any, delta: Any) -> int:
    """Add a move that drops ``out`` and takes ``new`` (-1: nothing) to n rows and their deltas."""
    if out >= 0:
        n = _add(a, out, -1.0, rows, delta, n)
    if new >= 0:
        n = _add(a, new, 1.0, rows, delta, n)
    return n


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def _steep(i: int, t: float, shape: Any) -> Any:
    under, over, slope, _, _ = shape
    return under[i] * t if t < 0.0 else over[i] * t + slope[i]


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def _tilted(a: Any, j: int, weight: float, used: Any, limit: Any, shape: Any) -> float:
    """Return weight − ψ′·a of a pair. ψ is convex, so no move has more merit than these promise."""
    total = weight
    for q in range(a.entry[j], a.entry[j + 1]):
        row = a.row[q]
        total -= _steep(row, used[row] - limit[row], shape) * a.coef[q]
    return total


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def improve(
    a: Any, who: Any, weight: Any, window: float, tiny: float, limit: Any, shape: Any,
    chosen: Any, used: Any,
) -> int:  # fmt: skip
    """Take the best move of each customer in turn while its merit is positive; return how many.

    ``weight`` (nnz,) is what Σ counts; a move that loses more than ``window`` of it is not
    tried, one whose merit is not above ``tiny`` not taken.
    """
    widest, degree = 1, 1
    for c in who:
        degree = max(degree, a.ptr[c + 1] - a.ptr[c])
        for j in range(a.ptr[c], a.ptr[c + 1]):
            widest = max(widest, a.entry[j + 1] - a.entry[j])
    rows, delta = np.empty(2 * widest, np.int64), np.empty(2 * widest)
    tilted = np.empty(degree)
    moves = 0
    for c in who:
        start, stop, slots = a.ptr[c], a.ptr[c + 1], a.slots[c]
        for _ in range(slots + 1):
            taken, ceiling = 0, 0.0
            for j in range(start, stop):
                taken += chosen[j]
                tilt = _tilted(a, j, weight[j], used, limit, shape)
                tilted[j - start] = tilt
                if not chosen[j] and tilt > ceiling:
                    ceiling = tilt
            best, best_out, best_in = tiny, -1, -1
            # Out: each chosen pair, or nothing (-1). In: each other pair, or nothing.
            for place in range(start - 1, stop):
                out = place if place >= start else -1
                if out < 0 and taken >= slots:
                    continue
                if out >= 0 and not chosen[out]:
                    continue
                lost = weight[out] if out >= 0 else 0.0
                kept = tilted[out - start] if out >= 0 else 0.0
                if ceiling - kept <= best:
                    continue
                for other in range(start - 1, stop):
                    new = other if other >= start else -1
                    promise = (tilted[new - start] if new >= 0 else 0.0) - kept
                    if promise <= best or (new >= 0 and chosen[new]):
                        continue
                    gain = (weight[new] if new >= 0 else 0.0) - lost
                    if gain < -window or (new < 0 and out < 0):
                        continue
                    n = fill_move(a, out, new, 0, rows, delta)
                    merit = gain - change(rows, delta, n, used, limit, shape)
                    if merit > best:
                        best, best_out, best_in = merit, out, new
            if best_out < 0 and best_in < 0:
                break
            n = fill_move(a, best_out, best_in, 0, rows, delta)
            for i in range(n):
                used[rows[i]] += delta[i]
            if best_out >= 0:
                chosen[best_out] = False
            if best_in >= 0:
                chosen[best_in] = True
            moves += 1
    return moves
