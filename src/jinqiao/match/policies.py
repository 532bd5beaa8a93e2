"""Who sets the prices through the day, and how: ours, and the ones it is measured against.

A policy is called at the beginning of every tick with what is seen so far, and answers with a price
a row. ``paced`` is what serving does; ``resolved`` also solves again now and then, on the visits of
the day so far.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jinqiao.engines.allocation import LimitRow, solve
from jinqiao.errors import InputError, JinqiaoError
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
    """

    stream: Stream
    rows: tuple[LimitRow, ...]
    elapsed: float
    used: Floats
    used_share: Floats
    visits: int


Policy = Callable[[Seen], Floats]


@dataclass(frozen=True, slots=True)
class Pacing:
    """Settings of pacing, one set for replay, rehearsal and serving.

    ``strength`` : η of ``pace``. ``least_share`` : s of a row as a share of the median price of the
    priced rows of its measure. ``solves_at`` : where ``resolved`` solves again, by elapsed share.
    ``sample`` : visits it looks at, at most; ``fewest`` : below so many it trusts the plan.
    """

    strength: float = 4.0
    least_share: float = 0.5
    solves_at: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 0.95)
    sample: int = 20_000
    fewest: int = 1_000

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
               elapsed_share: float, units: ArrayLike = np.inf) -> Floats:  # fmt: skip
        """Return the paced prices of rows: finite, and of soft rows at most their penalty."""
        used = np.minimum(np.asarray(used_share, np.float64), _ALMOST)
        floors = np.array([row.sense == ">=" for row in rows], bool)
        used = np.where(floors, np.asarray(used_share, np.float64), used)
        most = [np.inf if row.soft_penalty is None else row.soft_penalty for row in rows]
        found = pace(
            duals, np.maximum(used, 0.0), elapsed_share, strength=self.strength,
            least=self.least(duals, rows), units=units, floors=floors,
        )  # fmt: skip
        return np.minimum(found, most)


_ALMOST = 0.999
"""A limit that is used up is closed by its own count; its price stays finite."""


def fixed(duals: ArrayLike) -> Policy:
    """Return the policy of prices that stay; zeros make it greedy."""
    given = np.asarray(duals, np.float64)
    return lambda _seen: given


def paced(duals: ArrayLike, pacing: Pacing | None = None, units: ArrayLike = np.inf) -> Policy:
    """Return the policy of ``pace``: the plan's prices, corrected towards what is left.

    ``units`` (m,): about how many conversions fill each limit.
    """
    given, rule = np.asarray(duals, np.float64), pacing or Pacing()
    return lambda seen: rule.prices(given, seen.rows, seen.used_share, seen.elapsed, units)


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
    duals: ArrayLike,
    pacing: Pacing | None = None,
    units: ArrayLike = np.inf,
    *,
    n_products: int,
    seed: int = 0,
) -> Policy:
    """Return the policy that also solves again: the visits so far stand for those to come.

    At each of ``pacing.solves_at`` the plan's problem is solved on at most ``pacing.sample`` visits
    of the day so far, under what is left of every limit scaled to them; between, ``pace`` corrects
    these prices. Rows that such a sample cannot meet leave the prices as they were.
    """
    return _Resolved(
        np.asarray(duals, np.float64), pacing or Pacing(), units, n_products, seed
    )  # fmt: skip


@dataclass(eq=False)
class _Resolved:
    duals: Floats
    rule: Pacing
    units: ArrayLike
    n_products: int
    seed: int
    since: float = 0.0
    base: Floats | None = None
    done: int = 0
    solved: list[float] = field(default_factory=list)

    def __call__(self, seen: Seen) -> Floats:
        due = sum(at <= seen.elapsed for at in self.rule.solves_at)
        if due > self.done and seen.visits >= self.rule.fewest and seen.elapsed < 1:
            self.done = due
            self._solve(seen)
        return self._between(seen)

    def _between(self, seen: Seen) -> Floats:
        left = 1.0 - seen.used_share
        base = np.ones(len(left)) if self.base is None else self.base
        share = np.where(base > 1e-9, 1.0 - left / np.maximum(base, 1e-9), 1.0)
        passed = 1.0 - (1.0 - seen.elapsed) / (1.0 - self.since)
        units = np.asarray(self.units, np.float64) * np.clip(base, 1e-9, 1.0)
        return self.rule.prices(
            self.duals, seen.rows, np.maximum(share, 0.0), min(max(passed, 0.0), 1.0), units
        )

    def _solve(self, seen: Seen) -> None:
        pairs, which = seen.stream.first(seen.visits, self.rule.sample)
        to_come = seen.visits / seen.elapsed * (1.0 - seen.elapsed)
        scale = len(which) / max(to_come, 1.0)
        limit = np.array([row.limit for row in seen.rows])
        left = (limit - seen.used) * scale
        count = np.array([row.measure != "approval" for row in seen.rows], bool)
        left = np.where(count, np.maximum(left, 0.0), left)
        rows = rows_of(seen.rows, seen.stream.pairs.n_customers, which, left)
        slots = np.asarray(seen.stream.slots)
        slots = slots[which] if slots.ndim else int(slots)
        warm = dict(zip((row.name for row in rows), self.duals.tolist(), strict=True))
        try:
            plan = solve(
                pairs, slots, rows, n_products=self.n_products, seed=self.seed, gap_target=5e-3,
                warm=warm,
            )  # fmt: skip
        except (InputError, JinqiaoError):
            return
        self.duals, self.since = plan.duals, seen.elapsed
        self.base = 1.0 - seen.used_share
        self.solved.append(seen.elapsed)
