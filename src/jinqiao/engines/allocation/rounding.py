"""From prices to an integral plan: feedback of errors, exact repair, then what still fits.

1. Every customer takes the K best positive reduced values; only customers near a tie matter after.
2. Feedback: local moves of near-tie customers under a quadratic pull of each binding row towards
   its limit, stiffer sweep by sweep. 3. Repair: hard rows may only come down, until none is above.
4. Fill: moves that raise the true value and break nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation.dual import Dual, core_arrays
from jinqiao.engines.allocation.exchange import exchange, moves_of
from jinqiao.engines.allocation.local import best_pairs, improve, use_of
from jinqiao.engines.allocation.sweep import draw, reduce_pairs

__all__ = ["Rounded", "margins", "round_plan"]

_FEW = 4_000
"""Customers up to whom moves are tried two at a time."""

_EXCHANGES, _MOVES, _LOOKED = 6, 3_000, 300_000
"""Rounds of that; moves that are paired, of the customers nearest to a tie; twos looked at."""

_TURNS, _STIFFER = 16, 1.73
"""Sweeps of feedback, and how much stiffer each is than the one before."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class _Shape(NamedTuple):
    under: Floats
    over: Floats
    slope: Floats
    hard: NDArray[np.bool_]
    slack: Floats


@dataclass(frozen=True, eq=False)
class Rounded:
    """Choices of a core: ``chosen`` (core.n_pairs,), what the whole plan then uses of each row (as
    ``<=``), its value with soft penalties taken off, its excess over hard rows.
    """

    chosen: NDArray[np.bool_]
    used: Floats
    primal: float
    excess: float


def round_plan(
    dual: Dual, duals: Floats, mu: float, rng: np.random.Generator, jitter: float = 0.0
) -> Rounded:
    """Return an integral plan near these prices; ``excess`` is 0 when every hard row holds.

    It begins with choices drawn from the smoothed ones at width mu (in units of value), which use
    of each row what those do, within chance. ``jitter`` in units of a customer's mean best value
    shakes the reduced values, for another try where repair was stuck.
    """
    return _Rounding(dual, duals, mu, rng, jitter).run()


def margins(dual: Dual, duals: Floats) -> Floats:
    """Return what each undecided customer loses at least by another choice, (k,)."""
    arrays, reduced = core_arrays(dual.core), np.empty(dual.core.n_pairs)
    reduce_pairs(arrays, duals, reduced)
    margin = np.empty(dual.core.n_customers)
    best_pairs(arrays, reduced, np.zeros(len(reduced), bool), margin)
    return margin


class _Rounding:
    def __init__(
        self, dual: Dual, duals: Floats, mu: float, rng: np.random.Generator, jitter: float
    ) -> None:
        self.terms, self.arrays, self.decided = dual.terms, core_arrays(dual.core), dual.value
        self.duals, self.rng, self.mu = duals, rng, mu
        self.start = dual.used
        self.reduced = np.empty(dual.core.n_pairs)
        reduce_pairs(self.arrays, duals, self.reduced)
        if jitter > 0:
            self.reduced += rng.normal(0.0, jitter * self.terms.value_scale, len(self.reduced))
        self.chosen = np.zeros(len(self.reduced), bool)
        self.margin = np.empty(dual.core.n_customers)
        best_pairs(self.arrays, self.reduced, self.chosen, self.margin)
        self.chosen[:] = False
        draw(self.arrays, self.reduced, mu, rng.random(dual.core.n_customers), self.chosen)
        self.used = np.zeros(len(self.terms.rows))
        self._recount()
        self.penalty, self.hard = self.terms.penalty, self.terms.hard
        size = np.maximum(1.0, np.abs(self.terms.limit))
        self.slack = np.where(self.terms.whole, 0.0, 1e-10 * size)
        self.width = 0.0
        self.tiny = 1e-9 * self.terms.value_scale

    def run(self) -> Rounded:
        if len(self.terms.rows) == 0:
            return self.result()
        self._feedback()
        self._repair()
        self._fill()
        if len(self.margin) <= _FEW and not self._excess().any():
            self._exchange()
        return self.result()

    def result(self) -> Rounded:
        self._recount()
        over = np.maximum(self.used - self.terms.limit, 0.0)
        value = float(self.arrays.value[self.chosen].sum()) + self.decided
        primal = value - float((over * self.penalty)[~self.hard].sum())
        hard_over = np.where(self.hard & (over > self.slack), over, 0.0)
        excess = float((hard_over / self.terms.size).sum())
        return Rounded(self.chosen, self.used, primal, excess)

    def _recount(self) -> None:
        self.used[:] = self.start
        use_of(self.arrays, self.chosen, self.used)

    def _excess(self) -> NDArray[np.bool_]:
        mask: NDArray[np.bool_] = self.hard & (self.used - self.terms.limit > self.slack)
        return mask

    def _near(self, count: int, least: float = 0.0) -> tuple[Ints, float]:
        """Return the customers nearest to a tie, in random order, and the widest margin.

        Whoever is nearer than ``least`` is among them, however many they are.
        """
        margin = self.margin
        count = min(count, int(np.isfinite(margin).sum()))
        if count == 0:
            return np.zeros(0, np.int64), 0.0
        width = max(float(np.partition(margin, count - 1)[count - 1]), least)
        return self.rng.permutation(np.flatnonzero(margin <= width)), width

    def _nearest(self, who: Ints, count: int) -> Ints:
        """Return so many of these customers, nearest to a tie, nearest first."""
        margin = self.margin[who]
        if len(who) > count:
            kept = np.argpartition(margin, count)[:count]
            who, margin = who[kept], margin[kept]
        return who[np.lexsort((who, margin))]

    def _sweep(self, who: Ints, weight: Floats, window: float, shape: _Shape) -> int:
        moves: int = improve(
            self.arrays, who, weight, window, self.tiny, self.terms.limit, shape,
            self.chosen, self.used,
        )  # fmt: skip
        return moves

    def _pull(self, strength: float) -> tuple[Floats, Floats]:
        """Return the stiffness of each row below and above its limit."""
        pull = strength / self.terms.size**2
        priced = self.duals * self.terms.size > self.tiny
        saturated = ~self.hard & (self.duals >= self.penalty * (1 - 1e-9))
        return np.where(priced, pull, 0.0), np.where(saturated, 0.0, pull)

    def _feedback(self) -> None:
        m = len(self.terms.rows)
        who, self.width = self._near(max(2000, 20 * m), self.mu)
        width = self.width
        none = np.zeros(m)
        strength = max(width, 1e-4 * self.terms.value_scale) / 8
        for turn in range(_TURNS):
            under, over = self._pull(strength)
            shape = _Shape(under, over, none, np.zeros(m, bool), self.slack)
            moves = self._sweep(who, self.reduced, np.inf, shape)
            strength *= _STIFFER
            if turn > 2 and moves == 0:
                break
        hardened = _Shape(*self._pull(strength), none, self.hard, self.slack)
        self._sweep(who, self.reduced, np.inf, hardened)

    def _repair(self) -> None:
        m = len(self.terms.rows)
        steep = 1e3 * self.terms.value_scale / self.terms.size
        under, over = self._pull(self.terms.value_scale)
        count = max(4000, 40 * m)
        for turn in range(12):
            if not self._excess().any():
                return
            who, _ = self._near(count)
            slope = np.where(self.hard, steep, 0.0)
            # At first nothing may get worse; where that is stuck, excess may move between rows.
            hard = self.hard if turn % 3 < 2 else np.zeros(m, bool)
            shape = _Shape(under if turn < 6 else np.zeros(m), over, slope, hard, self.slack)
            self._sweep(who, self.reduced, np.inf, shape)
            count *= 4
            if turn % 3 == 2:
                steep = steep * self.rng.uniform(0.5, 3.0, m)

    def _fill(self) -> None:
        m = len(self.terms.rows)
        none = np.zeros(m)
        shape = _Shape(none, none, np.where(self.hard, 0.0, self.penalty), self.hard, self.slack)
        for _ in range(4):
            # A move gains at most what the slack of the rows is priced at, less its margin.
            room = float(self.duals @ np.maximum(self.terms.limit - self.used, 0.0))
            who = np.flatnonzero(self.margin <= max(room, self.width))
            who = self._nearest(who, max(4000, 40 * m))
            window = np.inf if (~self.hard).any() else 0.0
            if self._sweep(who, self.arrays.value, window, shape) == 0:
                return

    def _exchange(self) -> None:
        """Take moves two at a time while they raise the value; nothing that holds is broken."""
        m = len(self.terms.rows)
        none = np.zeros(m)
        shape = _Shape(none, none, np.where(self.hard, 0.0, self.penalty), self.hard, self.slack)
        for _ in range(_EXCHANGES):
            room = self._spare()
            if room <= self.tiny:
                return
            who = np.flatnonzero(self.margin <= room)
            moves = np.empty((_MOVES, 3), np.int64)
            who = self._nearest(who, len(who))
            moves = moves[: moves_of(self.arrays, who, self.reduced, self.chosen, -room, moves)]
            gains = self._worth(moves[:, 2]) - self._worth(moves[:, 1])
            order = np.argsort(-gains, kind="stable")
            found = exchange(
                self.arrays, moves[order], gains[order], self.arrays.value, room, self.tiny,
                _LOOKED, self.terms.limit, shape, self.chosen, self.used,
            )  # fmt: skip
            if not found:
                return
            self._fill()

    def _worth(self, pair: Ints) -> Floats:
        return np.where(pair >= 0, self.reduced[pair], 0.0)

    def _spare(self) -> float:
        """Return what slack and misses of rows cost the plan at these prices."""
        left = self.terms.limit - self.used
        missed = np.where(self.hard, 0.0, np.maximum(self.penalty - self.duals, 0.0))
        return float(self.duals @ np.maximum(left, 0.0) + missed @ np.maximum(-left, 0.0))
