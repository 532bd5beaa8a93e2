"""Compiled: two customers' moves taken together, where neither may be taken alone.

A quota of one passes from one customer to another by a drop and an add; a budget's last units are
used by a cheaper offer here and a dearer one there. A move's merit in reduced value is at most 0 at
good prices, and what two of them may gain is at most what the slack of rows is priced at: moves in
order of what they lose are paired until that is passed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jinqiao.engines.allocation.local import change, fill_move
from jinqiao.engines.allocation.scan import jit

__all__ = ["exchange", "moves_of"]


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def moves_of(a: Any, who: Any, reduced: Any, chosen: Any, least: float, moves: Any) -> int:
    """Fill (customer, out, new) of every move of these customers that loses at most ``-least``.

    ``out``, ``new``: a pair, or -1 for none. Return how many; those beyond ``moves`` are left out.
    """
    n = 0
    for c in who:
        start, stop, taken = a.ptr[c], a.ptr[c + 1], 0
        for j in range(start, stop):
            taken += chosen[j]
        for place in range(start - 1, stop):
            out = place if place >= start else -1
            if (out < 0 and taken >= a.slots[c]) or (out >= 0 and not chosen[out]):
                continue
            for other in range(start - 1, stop):
                new = other if other >= start else -1
                if (new < 0 and out < 0) or (new >= 0 and chosen[new]) or n >= len(moves):
                    continue
                gain = (reduced[new] if new >= 0 else 0.0) - (reduced[out] if out >= 0 else 0.0)
                if gain >= least:
                    moves[n, 0], moves[n, 1], moves[n, 2] = c, out, new
                    n += 1
    return n


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def exchange(
    a: Any, moves: Any, gains: Any, value: Any, room: float, tiny: float, most: int,
    limit: Any, shape: Any, chosen: Any, used: Any,
) -> int:  # fmt: skip
    """Take two moves of two customers where they raise the value together; return how many.

    ``moves`` (k, 3) in order of falling ``gains`` in reduced value; two that lose more than
    ``room`` cannot gain. At most ``most`` twos are looked at. A customer moves once.
    """
    widest = 1
    for j in range(len(a.value)):
        widest = max(widest, a.entry[j + 1] - a.entry[j])
    rows, delta = np.empty(4 * widest, np.int64), np.empty(4 * widest)
    moved = np.zeros(len(a.slots), np.bool_)
    found, looked = 0, 0
    for first in range(len(moves)):
        c, out, new = moves[first, 0], moves[first, 1], moves[first, 2]
        if moved[c]:
            continue
        own = (value[new] if new >= 0 else 0.0) - (value[out] if out >= 0 else 0.0)
        best, best_other = tiny, -1
        for second in range(first + 1, len(moves)):
            if gains[first] + gains[second] <= best - room or looked >= most:
                break
            other = moves[second, 0]
            if other == c or moved[other]:
                continue
            looked += 1
            left, right = moves[second, 1], moves[second, 2]
            gain = own + (value[right] if right >= 0 else 0.0)
            gain -= value[left] if left >= 0 else 0.0
            n = fill_move(a, out, new, 0, rows, delta)
            n = fill_move(a, left, right, n, rows, delta)
            merit = gain - change(rows, delta, n, used, limit, shape)
            if merit > best:
                best, best_other = merit, second
        if best_other < 0:
            continue
        n = fill_move(a, out, new, 0, rows, delta)
        for which in (first, best_other):
            drop, take = moves[which, 1], moves[which, 2]
            if which != first:
                n = fill_move(a, drop, take, n, rows, delta)
            if drop >= 0:
                chosen[drop] = False
            if take >= 0:
                chosen[take] = True
            moved[moves[which, 0]] = True
        for i in range(n):
            used[rows[i]] += delta[i]
        found += 1
    return found
