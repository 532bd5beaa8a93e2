"""Outcomes that take time: how likely an open case still ends in yes.

A case starts, and later is reached, is refused, or is still open. An open case is not a no. Per
institution the cumulative incidence of each end is estimated from all cases, open ones censored,
and leans on all institutions' where there are few. An open case then counts as a yes with the
chance that it still becomes one, and as a no with the rest.

An institution that hardly ever reports a refusal (fewer than one to twenty yes: a stray reversal is
not a habit) is silent: its cases become a refusal when they are older than its own 99 % delay.

Sources: Aalen & Johansen, Scand. J. Statist. 1978 (competing risks); Chapelle, "Modeling delayed
feedback in display advertising", KDD 2014, section 4 (open cases by their expected label).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.hazards import incidence as ends

__all__ = ["Cases", "Delays", "fit_delays", "incidence"]

_LEAN = 20.0
_SILENCE = 0.99
_HABIT = 0.05


@dataclass(frozen=True, slots=True)
class Cases:
    """n cases: institution code, age now, and when and how each ended.

    ``end`` is 1 reached, 0 refused, −1 open; ``after_us`` the time from start to end as we learnt
    it (any value where open); ``age_us`` the time from start to now.
    """

    institution: NDArray[np.int64]
    age_us: NDArray[np.int64]
    end: NDArray[np.int8]
    after_us: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Delays:
    """Per case: is it decided, and the shares of yes and of no that show by its age.

    ``yes_by`` and ``no_by`` are F1 and F0 at the case's age, in [0, 1]; ``rate`` is the eventual
    yes rate of its institution; ``label`` is 1, 0, or NaN where open.
    """

    label: NDArray[np.float64]
    yes_by: NDArray[np.float64]
    no_by: NDArray[np.float64]
    rate: NDArray[np.float64]

    def expected(self, p: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the expected label of every case when p is its chance of an eventual yes."""
        late_yes = p * (1.0 - self.yes_by)
        late_no = (1.0 - p) * (1.0 - self.no_by)
        total = late_yes + late_no
        still = np.divide(late_yes, total, out=np.zeros_like(total), where=total > 1e-12)
        return np.where(np.isnan(self.label), still, self.label)


def incidence(
    after: NDArray[np.int64], end: NDArray[np.int8]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return times ascending, and the share reached and refused by each (Aalen–Johansen).

    ``after`` is the time to the end, or to now where ``end`` is −1.
    """
    found = ends(after.astype(np.float64), np.where(end == -1, -1, 1 - end), 2)
    return found.times.astype(np.int64), found.share[0], found.share[1]


def _at(
    times: NDArray[np.int64], share: NDArray[np.float64], age: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the step function's value at each age, scaled to end at 1."""
    if share.size == 0 or share[-1] <= 0:
        return np.zeros(len(age))
    spot = np.searchsorted(times, age, side="right")
    return np.concatenate(([0.0], share / share[-1]))[spot]


def _late(times: NDArray[np.int64], share: NDArray[np.float64]) -> int:
    """Return the delay by which 99 % of the yes have shown."""
    spot = int(np.searchsorted(share, _SILENCE * share[-1]))
    return int(times[min(spot, len(times) - 1)])


def fit_delays(cases: Cases) -> Delays:
    """Return, per case, its label and what its age says; no case is dropped."""
    n = len(cases.age_us)
    after = np.where(cases.end == -1, cases.age_us, cases.after_us)
    label = np.where(cases.end == -1, np.nan, cases.end).astype(np.float64)
    yes_by, no_by, rate = np.zeros(n), np.zeros(n), np.full(n, 0.5)
    if n == 0:
        return Delays(label, yes_by, no_by, rate)
    pool = incidence(after, cases.end)
    pool_rate = _rate(pool, int((cases.end == 1).sum()), int((cases.end == 0).sum()))
    pool_late = _late(pool[0], pool[1]) if pool[1][-1] > 0 else int(pool[0][-1])
    order = np.argsort(cases.institution, kind="stable")
    cuts = np.flatnonzero(np.diff(cases.institution[order])) + 1
    for rows in np.split(order, cuts):
        own = incidence(after[rows], cases.end[rows])
        age, ended = cases.age_us[rows], cases.end[rows]
        reached, refused = int((ended == 1).sum()), int((ended == 0).sum())
        lean = reached / (reached + _LEAN)
        yes_by[rows] = lean * _at(own[0], own[1], age) + (1 - lean) * _at(pool[0], pool[1], age)
        if _tells(reached, refused):
            lean0 = refused / (refused + _LEAN)
            no_by[rows] = lean0 * _at(own[0], own[2], age) + (1 - lean0) * _at(
                pool[0], pool[2], age
            )
        else:
            late = _late(own[0], own[1]) if reached else pool_late
            late = int(lean * late + (1 - lean) * pool_late)
            label[rows[(ended == -1) & (age >= late)]] = 0.0
        weight = len(rows) / (len(rows) + _LEAN)
        rate[rows] = weight * _rate(own, reached, refused) + (1 - weight) * pool_rate
    return Delays(label, yes_by, no_by, rate)


def _tells(reached: int, refused: int) -> bool:
    """Return whether refusals are reported as a habit."""
    return refused > 0 and refused >= _HABIT * reached


def _rate(
    shares: tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]],
    reached: int,
    refused: int,
) -> float:
    """Return the eventual yes rate: of those decided where refusals are reported, else of all."""
    yes, no = float(shares[1][-1]), float(shares[2][-1])
    return yes / (yes + no) if _tells(reached, refused) else yes
