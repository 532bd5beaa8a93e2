"""Who stands where: a greedy top-K under the rules of a shelf, and one slot for learning.

Letters: r requests, m candidates (compressed rows), K slots.

Candidates are taken in order of score (ties: the smaller index) as long as their class, institution
and zone still have room. The last place a shelf reaches is the learning slot: with chance ε it is
drawn evenly among every candidate that has room after the places above it. So the chance that a
product stands there is (1 − ε)·[it is the greedy one] + ε/|drawable|, exactly; above it, 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["Candidates", "Caps", "Placed", "choose", "choose_evenly", "choose_one", "draws"]

_UNIT = 2.0**-53


@dataclass(frozen=True, eq=False)
class Candidates:
    """What may be shown: candidates ``start[i]:start[i + 1]`` belong to request i.

    ``closed`` (r, ⌈P/8⌉): packed bits of what nobody may be shown in its place then, or None.
    """

    start: NDArray[np.int64]
    product: NDArray[np.int32]
    closed: NDArray[np.uint8] | None = None

    @property
    def request(self) -> NDArray[np.int64]:
        """Return the request of each candidate, (m,)."""
        return np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))


@dataclass(frozen=True, eq=False)
class Caps:
    """Three codes of every product (class, institution, zone) and how many of a code may stand.

    ``codes`` (3, P) int64; ``most`` a tuple of (codes,) int64 limits.
    """

    codes: NDArray[np.int64]
    most: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True, eq=False)
class Placed:
    """k offers: request, candidate, position (1 = top), display probability, and was it drawn."""

    request: NDArray[np.int64]
    candidate: NDArray[np.int64]
    position: NDArray[np.int8]
    display_probability: NDArray[np.float64]
    drawn: NDArray[np.bool_]


def draws(trace_ids: Sequence[str], seed: int) -> NDArray[np.uint64]:
    """Return one well-mixed number a trace, (r,) uint64: the same trace and seed, the same one."""
    key = (seed % 2**64).to_bytes(8, "little")
    return np.fromiter(
        (
            int.from_bytes(blake2b(trace.encode(), digest_size=8, key=key).digest(), "little")
            for trace in trace_ids
        ),
        np.uint64,
        len(trace_ids),
    )


@numba.njit(cache=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _mixed(x):  # type: ignore[no-untyped-def]
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@numba.njit(cache=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _uniform(word, salt):  # type: ignore[no-untyped-def]
    step = np.uint64(salt + 1) * np.uint64(0x9E3779B97F4A7C15)
    return np.float64(_mixed(word + step) >> np.uint64(11)) * _UNIT


@numba.njit(cache=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _room(p, codes, taken, most_a, most_b, most_c):  # type: ignore[no-untyped-def]
    return (
        taken[0, codes[0, p]] < most_a[codes[0, p]]
        and taken[1, codes[1, p]] < most_b[codes[1, p]]
        and taken[2, codes[2, p]] < most_c[codes[2, p]]
    )


@numba.njit(cache=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _choose(  # type: ignore[no-untyped-def]
    start, product, score, least, words, slots, share,
    codes, most_a, most_b, most_c, out, probability, drawn, filled,
):  # fmt: skip
    width = max(most_a.size, most_b.size, most_c.size)
    taken = np.zeros((3, width), np.int64)
    standing = np.empty(slots, np.int64)
    for i in range(start.size - 1):
        first, last = start[i], start[i + 1]
        taken[:] = 0
        used = np.zeros(last - first, np.bool_)
        placed = 0
        while placed < slots:
            best = -1
            for j in range(first, last):
                if used[j - first] or not score[j] > least:
                    continue
                if best >= 0 and score[j] <= score[best]:
                    continue
                if _room(product[j], codes, taken, most_a, most_b, most_c):
                    best = j
            if best < 0:
                break
            standing[placed] = best
            used[best - first] = True
            for kind in range(3):
                taken[kind, codes[kind, product[best]]] += 1
            placed += 1
        place = placed if placed < slots else slots - 1
        greedy = -1
        if placed == slots:
            greedy = standing[place]
            used[greedy - first] = False
            for kind in range(3):
                taken[kind, codes[kind, product[greedy]]] -= 1
        drawable = 0
        if share > 0.0:
            for j in range(first, last):
                if not used[j - first] and _room(product[j], codes, taken, most_a, most_b, most_c):
                    drawable += 1
        for k in range(place):
            out[i, k] = standing[k]
            probability[i, k] = 1.0
        chosen = greedy
        if drawable > 0 and _uniform(words[i], 0) < share:
            pick = np.int64(_uniform(words[i], 1) * drawable)
            for j in range(first, last):
                if not used[j - first] and _room(product[j], codes, taken, most_a, most_b, most_c):
                    if pick == 0:
                        chosen = j
                        break
                    pick -= 1
            drawn[i] = True
        filled[i] = place
        if chosen >= 0:
            chance = share / drawable if drawable > 0 else 0.0
            if chosen == greedy:
                chance += 1.0 - (share if drawable > 0 else 0.0)
            out[i, place] = chosen
            probability[i, place] = chance
            filled[i] = place + 1


@numba.njit(cache=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _evenly(start, product, words, slots, out, probability, filled):  # type: ignore[no-untyped-def]
    for i in range(start.size - 1):
        first, n = start[i], start[i + 1] - start[i]
        order = np.arange(n)
        k = min(slots, n)
        for place in range(k):
            reach = n - place
            pick = place + np.int64(_uniform(words[i], place) * reach)
            order[place], order[pick] = order[pick], order[place]
            out[i, place] = first + order[place]
            probability[i, place] = 1.0 / n
        filled[i] = k


def choose(
    candidates: Candidates,
    score: NDArray[np.float64],
    words: NDArray[np.uint64],
    caps: Caps,
    *,
    slots: int,
    exploration_share: float,
    least: float = 0.0,
) -> Placed:
    """Return the shelves: candidates with a score above ``least``, and the learning slot.

    ``score`` (m,); ``words`` (r,) from ``draws``. A shelf short of such candidates is short.
    """
    r = len(candidates.start) - 1
    out, chance = _empty(r, slots)
    drawn, filled = np.zeros(r, np.bool_), np.zeros(r, np.int64)
    if slots > 0:
        _choose(
            candidates.start, candidates.product, np.asarray(score, np.float64), float(least),
            words, slots, float(exploration_share), caps.codes, *caps.most,
            out, chance, drawn, filled,
        )  # fmt: skip
    return _placed(out, chance, filled, drawn)


def choose_one(
    product: NDArray[np.int32], score: NDArray[np.float64], word: np.uint64, caps: Caps,
    *, slots: int, exploration_share: float, least: float,
) -> Placed:  # fmt: skip
    """Return one request's shelf, as ``choose`` does: ``product`` (m,), ``slots`` > 0."""
    out, chance = np.empty((1, slots), np.int64), np.empty((1, slots))
    drawn, filled = np.zeros(1, np.bool_), np.zeros(1, np.int64)
    _choose(
        np.array([0, len(product)]), product, score, float(least), np.array([word]), slots,
        float(exploration_share), caps.codes, *caps.most, out, chance, drawn, filled,
    )  # fmt: skip
    k = int(filled[0])
    by_draw = np.zeros(k, np.bool_)
    if k:
        by_draw[-1] = drawn[0]
    position = np.arange(1, k + 1, dtype=np.int8)
    return Placed(np.zeros(k, np.int64), out[0, :k], position, chance[0, :k], by_draw)


def choose_evenly(candidates: Candidates, words: NDArray[np.uint64], *, slots: int) -> Placed:
    """Return shelves drawn evenly without replacement: each product 1/n at each position."""
    r = len(candidates.start) - 1
    out, chance = _empty(r, slots)
    filled = np.zeros(r, np.int64)
    _evenly(candidates.start, candidates.product, words, slots, out, chance, filled)
    return _placed(out, chance, filled, None)


def _empty(r: int, slots: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    return np.full((r, slots), -1, np.int64), np.zeros((r, slots))


def _placed(
    out: NDArray[np.int64],
    chance: NDArray[np.float64],
    filled: NDArray[np.int64],
    drawn: NDArray[np.bool_] | None,
) -> Placed:
    request, place = np.nonzero(out >= 0)
    by_draw = np.ones(len(request), np.bool_)
    if drawn is not None:
        by_draw = drawn[request] & (place == filled[request] - 1)
    position = (place + 1).astype(np.int8)
    return Placed(request, out[request, place], position, chance[request, place], by_draw)
