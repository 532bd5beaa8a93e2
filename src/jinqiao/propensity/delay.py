"""Outcomes that take time: how likely an open case still ends in yes.

A case starts, and later is reached, is refused, or is still open. An open case is not a no. Per
institution, and per product of it, the cumulative incidence of each end is estimated from all
cases, open ones censored, and leans on the wider group's where there are few. What takes longer
than anything watched yet is added by a law of the delays (``tail``). An open case then counts as a
yes with the chance that it still becomes one, and as a no with the rest.

An institution that hardly ever reports a refusal (fewer than one to twenty yes: a stray reversal is
not a habit) is silent: its cases become a refusal when they are older than its own 99 % delay.

Sources: Aalen & Johansen, Scand. J. Statist. 1978 (competing risks); Chapelle, "Modeling delayed
feedback in display advertising", KDD 2014, section 4 (open cases by their expected label).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jinqiao.domain.time import DAY_US
from jinqiao.engines.hazards import incidence as shares_of
from jinqiao.propensity.tail import Tail, fit_tail

__all__ = ["Cases", "Delays", "fit_delays", "incidence"]

_LEAN = 20.0
_SILENCE = 0.99
_HABIT = 0.05
_LEAST_SEEN = 0.2
"""A law that has more than four fifths still to come is not believed that far."""


@dataclass(frozen=True, slots=True)
class Cases:
    """n cases: institution code, age now, and when and how each ended.

    ``end`` is 1 reached, 0 refused, −1 open; ``after_us`` the time from start to end as we learnt
    it (any value where open); ``age_us`` the time from start to now. ``product`` is a code within
    everything; without one an institution's cases are all of one kind.
    """

    institution: NDArray[np.int64]
    age_us: NDArray[np.int64]
    end: NDArray[np.int8]
    after_us: NDArray[np.int64]
    product: NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True)
class Delays:
    """Per case: is it decided, and the shares of yes and of no that show by its age.

    ``yes_by`` and ``no_by`` are F1 and F0 at the case's age, in [0, 1]; ``rate`` is the eventual
    yes rate of its product; ``label`` is 1, 0, or NaN where open.
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
    found = shares_of(after.astype(np.float64), np.where(end == -1, -1, 1 - end), 2)
    return found.times.astype(np.int64), found.share[0], found.share[1]


@dataclass(frozen=True, slots=True)
class _Law:
    """The laws of the delays of yes and no, whose they are (−1: everyone's), and whether refusals
    are reported, so that yes and no together are all.
    """

    tails: tuple[Tail, Tail]
    institution: int
    tells: bool


@dataclass(frozen=True, slots=True)
class _Curve:
    """How one group's cases end: shares of its yes and of its no by age, and the eventual rate.

    Each of ``yes`` and ``no`` is a step function of age that ends at the share of that end which
    the time watched can show.
    """

    times: NDArray[np.int64]
    yes: NDArray[np.float64]
    no: NDArray[np.float64]
    rate: float

    def by(self, age: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the shares of yes and no that show by some ages, (2, m)."""
        spot = np.searchsorted(self.times, age, side="right")
        return np.stack([np.concatenate(([0.0], share))[spot] for share in (self.yes, self.no)])


def fit_delays(cases: Cases) -> Delays:
    """Return, per case, its label and what its age says; no case is dropped."""
    n = len(cases.age_us)
    after = np.where(cases.end == -1, cases.age_us, cases.after_us)
    label = np.where(cases.end == -1, np.nan, cases.end).astype(np.float64)
    by, rate = np.zeros((2, n)), np.full(n, 0.5)
    if n == 0:
        return Delays(label, by[0], by[1], rate)
    tails = _tails(cases)
    everyone = np.arange(n)
    houses = _groups(cases.institution, everyone)
    tells = [_tells(*_counts(cases.end[house])) for house in houses]
    whole = _curve(cases, after, everyone, _Law(tails, -1, all(tells)))
    for house, tell in zip(houses, tells, strict=True):
        law = _Law(tails, int(cases.institution[house[0]]), tell)
        told = _leaning(cases, after, house, law, (whole.by(cases.age_us[house]), whole.rate))
        kinds = [house] if cases.product is None else _groups(cases.product, house)
        for rows in kinds if len(kinds) > 1 else ():
            place = np.searchsorted(house, rows)
            told[0][:, place], told[1][place] = _leaning(
                cases, after, rows, law, (told[0][:, place], float(told[1][place[0]]))
            )
        by[:, house], rate[house] = told
        if not tell:
            by[1, house] = 0.0
            label[house[(cases.end[house] == -1) & (by[0, house] >= _SILENCE)]] = 0.0
    return Delays(label, by[0], by[1], rate)


def _groups(code: NDArray[np.int64], rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the rows of each code among some rows, ascending within a group."""
    order = rows[np.argsort(code[rows], kind="stable")]
    return list(np.split(order, np.flatnonzero(np.diff(code[order])) + 1))


def _tails(cases: Cases) -> tuple[Tail, Tail]:
    """Return the laws of the delays of yes and of no, by institution."""
    n_groups = int(cases.institution.max()) + 1
    found = []
    for end in (1, 0):
        rows = np.flatnonzero(cases.end == end)
        after, age = (t[rows] / DAY_US for t in (cases.after_us, cases.age_us))
        found.append(fit_tail(after, age, cases.institution[rows], n_groups))
    return found[0], found[1]


def _counts(end: NDArray[np.int8]) -> tuple[int, int]:
    return int((end == 1).sum()), int((end == 0).sum())


def _curve(
    cases: Cases,
    after: NDArray[np.int64],
    rows: NDArray[np.int64],
    law: _Law,
) -> _Curve:
    """Return how some rows end; what lies beyond the time watched is of the institution's law."""
    times, yes, no = incidence(after[rows], cases.end[rows])
    last, group = cases.age_us[rows].max() / DAY_US, np.array([law.institution])
    seen = [float(tail.by(np.array([last]), group)[0]) for tail in law.tails]
    ends = list(zip((yes, no), seen, strict=True))
    final = [share[-1] / max(part, _LEAST_SEEN) for share, part in ends]
    shares = [s / whole if whole > 0 else s for s, whole in zip((yes, no), final, strict=True)]
    both = final[0] + final[1]
    rate = final[0] / both if law.tells and both > 0 else final[0]
    return _Curve(times, shares[0], shares[1], float(np.clip(rate, 0.0, 1.0)))


def _leaning(
    cases: Cases,
    after: NDArray[np.int64],
    rows: NDArray[np.int64],
    law: _Law,
    wider: tuple[NDArray[np.float64], float],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return shares by age (2, rows) and the rate (rows,), leaning on the wider group's."""
    own = _curve(cases, after, rows, law)
    seen = np.array(_counts(cases.end[rows]), np.float64)[:, None]
    lean = seen / (seen + _LEAN)
    by = lean * own.by(cases.age_us[rows]) + (1.0 - lean) * wider[0]
    weight = len(rows) / (len(rows) + _LEAN)
    return by, np.full(len(rows), weight * own.rate + (1.0 - weight) * wider[1])


def _tells(reached: int, refused: int) -> bool:
    """Return whether refusals are reported as a habit."""
    return refused > 0 and refused >= _HABIT * reached
