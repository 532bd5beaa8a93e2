"""Who sets the prices through the day, and how: ours, and the ones it is measured against.

A policy is called at the beginning of every tick with what is seen so far, and answers with a price
a row. ``paced`` is what serving does; ``resolved`` also solves again now and then, on the visits of
the day so far.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jinqiao.engines.allocation import LimitRow, solve
from jinqiao.errors import JinqiaoError
from jinqiao.match.prices import pace
from jinqiao.match.stream import Stream, rows_of

__all__ = ["Pacing", "Policy", "Seen", "fixed", "mirror", "paced", "pid", "resolved"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Seen:
    """What is known at the beginning of a tick.

    ``elapsed`` : share of the day's expected visits. ``used`` (m,) : what each row has taken, in
    its own units: posted, and of open click-outs what their hazard lets expect. ``used_share``
    (m,) : the same as a share of the limit; of a floor that asks for a rate, 1 − (what is left of
    the day after its deficit). ``visits`` : how many have come; only they may be looked at.
    ``units`` (m,) : about how many conversions fill each limit.
    """

    stream: Stream
    rows: tuple[LimitRow, ...]
    elapsed: float
    used: Floats
    used_share: Floats
    visits: int
    units: Floats


Policy = Callable[[Seen], Floats]


@dataclass(frozen=True, slots=True)
class Pacing:
    """Settings of pacing, one set for replay, rehearsal and serving.

    ``strength`` : η of ``pace``. ``least_share`` : s of a row as a share of the median price of the
    priced rows of its measure. The rest is of ``resolved``: ``solves_at``, where it solves again,
    by elapsed share; ``between`` : η from one to the next; ``sample`` : visits it looks at, at
    most; ``fewest`` : below so many it trusts the plan; ``doubt`` : variance of the logarithm of a
    price that one conversion would give.
    """

    strength: float = 4.0
    least_share: float = 0.5
    solves_at: tuple[float, ...] = (0.002, 0.006, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.93)
    between: float = 2.0
    sample: int = 50_000
    fewest: int = 150
    doubt: float = 0.5

    def least(self, duals: ArrayLike, rows: Sequence[LimitRow]) -> Floats:
        """Return s of every row, (m,) ≥ 0: 0 where no row of its measure has a price."""
        given = np.asarray(duals, np.float64)
        out = np.zeros(len(rows))
        for measure in {row.measure for row in rows}:
            own = np.array([row.measure == measure for row in rows])
            priced = given[own & (given > 0)]
            if len(priced):
                out[own] = self.least_share * float(np.median(priced))
        return out

    def prices(self, duals: ArrayLike, rows: Sequence[LimitRow], used_share: ArrayLike,
               elapsed_share: float, units: ArrayLike = np.inf,
               strength: float | None = None) -> Floats:  # fmt: skip
        """Return the paced prices of rows: finite, and of soft rows at most their penalty."""
        used = np.minimum(np.asarray(used_share, np.float64), _ALMOST)
        floors = np.array([row.sense == ">=" for row in rows], bool)
        used = np.where(floors, np.asarray(used_share, np.float64), used)
        most = [np.inf if row.soft_penalty is None else row.soft_penalty for row in rows]
        found = pace(
            duals, np.maximum(used, 0.0), elapsed_share,
            strength=self.strength if strength is None else strength,
            least=self.least(duals, rows), units=units, floors=floors,
        )  # fmt: skip
        return np.minimum(found, most)


_ALMOST = 0.999
"""A limit that is used up is closed by its own count; its price stays finite."""


def fixed(duals: ArrayLike) -> Policy:
    """Return the policy of prices that stay; zeros make it greedy."""
    given = np.asarray(duals, np.float64)
    return lambda _seen: given


def paced(duals: ArrayLike, pacing: Pacing | None = None) -> Policy:
    """Return the policy of ``pace``: the plan's prices, corrected towards what is left."""
    given, rule = np.asarray(duals, np.float64), pacing or Pacing()
    return lambda seen: rule.prices(given, seen.rows, seen.used_share, seen.elapsed, seen.units)


def mirror(duals: ArrayLike, strength: float = 4.0) -> Policy:
    """Return mirror descent with the whole day's mean rate as its target (Balseiro et al. 2023).

    Algorithm 1 with the entropy: λ = λ₀·exp(η·(used − elapsed)), shares of limit and day.
    """
    given = np.asarray(duals, np.float64)

    def policy(seen: Seen) -> Floats:
        ahead = np.clip(strength * _ahead(seen), -50.0, 50.0)
        return np.asarray(given * np.exp(ahead), np.float64)

    return policy


def pid(duals: ArrayLike, gains: tuple[float, float, float] = (8.0, 16.0, 0.05)) -> Policy:
    """Return PID pacing: log λ follows the error used − elapsed, its sum and its slope."""
    given = np.asarray(duals, np.float64)
    state = {"sum": np.zeros(len(given)), "last": np.zeros(len(given)), "at": np.zeros(1)}

    def policy(seen: Seen) -> Floats:
        error, step = _ahead(seen), seen.elapsed - float(state["at"][0])
        slope = (error - state["last"]) / step if step > 0 else np.zeros(len(error))
        state["sum"] = state["sum"] + error * step
        state["last"], state["at"] = error, np.array([seen.elapsed])
        turn = gains[0] * error + gains[1] * state["sum"] + gains[2] * slope
        return np.asarray(given * np.exp(np.clip(turn, -50.0, 50.0)), np.float64)

    return policy


def _ahead(seen: Seen) -> Floats:
    up = np.array([1.0 if row.sense == "<=" else -1.0 for row in seen.rows])
    return np.asarray(up * (seen.used_share - seen.elapsed), np.float64)


def resolved(
    duals: ArrayLike, pacing: Pacing | None = None, *, n_products: int, seed: int = 0
) -> Policy:
    """Return the policy that also solves again: the visits so far stand for those to come.

    At each of ``pacing.solves_at`` the plan's problem is solved on at most ``pacing.sample`` visits
    of the day so far, under what is left of every limit scaled to them. Such prices are uncertain
    by about ``doubt`` over the conversions seen; the plan's are by how far the two differ beyond
    that, over all rows. Each row takes the mean weighted by certainty (empirical Bayes: Efron &
    Morris 1973, JASA 68, eq. 1.3), so that a day like yesterday keeps yesterday's prices. ``pace``
    corrects from one to the next. Rows that such a sample cannot meet leave the prices as they are.
    """
    return _Resolved(np.asarray(duals, np.float64), pacing or Pacing(), n_products, seed)


class _Resolved:
    """Keeps the prices it solved last, and where limits and day stood then."""

    def __init__(self, plan: Floats, rule: Pacing, n_products: int, seed: int) -> None:
        self.plan, self.rule, self.n_products, self.seed = plan, rule, n_products, seed
        self.duals, self.since, self.due = plan, 0.0, 0
        self.base: Floats | None = None

    def __call__(self, seen: Seen) -> Floats:
        due = sum(at <= seen.elapsed for at in self.rule.solves_at)
        if due > self.due and seen.visits >= self.rule.fewest and seen.elapsed < 1:
            self.due = due
            solved = self._solved(seen)
            if solved is not None:
                self.duals = self._weighed(seen, solved)
                self.since, self.base = seen.elapsed, 1.0 - seen.used_share
        return self._between(seen)

    def _between(self, seen: Seen) -> Floats:
        if self.base is None:
            return self._paced_plan(seen)
        base = np.maximum(self.base, 1e-9)
        share = np.where(self.base > 1e-9, 1.0 - (1.0 - seen.used_share) / base, 1.0)
        passed = 1.0 - (1.0 - seen.elapsed) / (1.0 - self.since)
        return self.rule.prices(
            self.duals, seen.rows, np.maximum(share, 0.0), min(max(passed, 0.0), 1.0),
            seen.units * np.clip(base, 0.0, 1.0), self.rule.between,
        )  # fmt: skip

    def _paced_plan(self, seen: Seen) -> Floats:
        return self.rule.prices(self.plan, seen.rows, seen.used_share, seen.elapsed, seen.units)

    def _weighed(self, seen: Seen, solved: Floats) -> Floats:
        """Return the plan's paced prices and the solved ones, each by its certainty."""
        before, least = self._paced_plan(seen), self.rule.least(self.plan, seen.rows) + 1e-12
        apart = np.log(solved + least) - np.log(before + least)
        share = seen.elapsed * min(1.0, self.rule.sample / max(seen.visits, 1))
        noise = self.rule.doubt / np.maximum(seen.units * share, 1.0)
        priced = (solved > 0) | (before > 0)
        if not priced.any():
            return solved
        drift = max(float(np.mean((apart**2 - noise)[priced])), 0.0)
        weight = drift / (drift + noise)
        mixed: Floats = np.maximum((before + least) * np.exp(weight * apart) - least, 0.0)
        return mixed

    def _solved(self, seen: Seen) -> Floats | None:
        pairs, which = seen.stream.first(seen.visits, self.rule.sample)
        to_come = seen.visits / seen.elapsed * (1.0 - seen.elapsed)
        limit = np.array([row.limit for row in seen.rows], np.float64)
        left = (limit - seen.used) * len(which) / max(to_come, 1.0)
        rate = np.array([row.measure == "approval" and row.sense == ">=" for row in seen.rows])
        left = np.where(rate, left, np.maximum(left, 0.0))
        rows = rows_of(seen.rows, seen.stream.pairs.n_customers, which, left)
        slots = np.asarray(seen.stream.slots)
        warm = dict(zip((row.name for row in rows), self.duals.tolist(), strict=True))
        try:
            plan = solve(
                pairs, slots[which] if slots.ndim else int(slots), rows,
                n_products=self.n_products, seed=self.seed, gap_target=5e-3, warm=warm,
            )  # fmt: skip
        except JinqiaoError:
            return None
        found: Floats = plan.duals
        return found
