"""Moments of visits: how time, place, channel and scene truly change what people want.

Letters: s visits, k product classes in the order of ``ProductClass``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jinqiao.domain.time import DAY_US
from jinqiao.synthetic.spec import ZONE_US, Spec

__all__ = ["CHANNELS", "SCENES", "Visits", "before_sales", "class_pull", "local_hour", "month_day"]

CHANNELS = ("app", "web", "mini_program", "partner")
SCENES = ("home", "ledger", "checkout", "branch", "embed")
CARD, LOAN, BNPL, DEPOSIT, FUND, INSURANCE, SUPPLY, ACCOUNT, PAYMENT = range(9)


@dataclass(frozen=True, slots=True)
class Visits:
    """s visits in time order. ``turn``: which of the person's visits that day."""

    person: NDArray[np.int64]
    turn: NDArray[np.int64]
    at_us: NDArray[np.int64]
    channel: NDArray[np.int8]
    scene: NDArray[np.int8]
    bought: NDArray[np.bool_]
    cost_minor: NDArray[np.int64]
    place_tier: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.person)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Visits:
        return Visits(
            self.person[rows], self.turn[rows], self.at_us[rows], self.channel[rows],
            self.scene[rows], self.bought[rows], self.cost_minor[rows], self.place_tier[rows],
        )  # fmt: skip


def local_hour(at_us: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the hour of the local day, 0 to 24."""
    return ((at_us + ZONE_US) % DAY_US) / 3_600_000_000.0


def month_day(at_us: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the local day of the month (1 to 31) and how many days the month still has."""
    days = ((at_us + ZONE_US) // DAY_US).astype("datetime64[D]")
    month = days.astype("datetime64[M]")
    first = (days - month.astype("datetime64[D]")).astype(np.int64) + 1
    last = ((month + 1).astype("datetime64[D]") - days).astype(np.int64) - 1
    return first, last


def class_pull(
    visits: Visits,
    payday: NDArray[np.int8],
    home_tier: NDArray[np.int8],
    spec: Spec,
    start_us: int,
) -> NDArray[np.float64]:
    """Return what the moment adds to the wish for each class, (s, k), on the logit scale.

    ``payday`` and ``home_tier`` are those of each visit's person.
    """
    out = np.zeros((len(visits), 9))
    today, left = month_day(visits.at_us)
    after = (today - payday) % 30
    _add(out, after <= 2, {DEPOSIT: 0.45, FUND: 0.5, ACCOUNT: 0.1, LOAN: -0.25, BNPL: -0.2})
    _add(out, after >= 25, {LOAN: 0.4, BNPL: 0.35, CARD: 0.2, FUND: -0.2})
    _add(out, left <= 2, {LOAN: 0.2, SUPPLY: 0.4})
    weekday = ((visits.at_us + ZONE_US) // DAY_US + 3) % 7
    _add(out, weekday >= 5, {CARD: 0.15, INSURANCE: 0.15, SUPPLY: -0.4})
    hour = local_hour(visits.at_us)
    _add(out, hour >= 19, {BNPL: 0.2, FUND: 0.1, INSURANCE: 0.15})
    _add(out, hour < 7, {LOAN: 0.3, DEPOSIT: -0.2})
    _add(out, visits.scene == 2, {BNPL: 0.8, CARD: 0.45, PAYMENT: 0.3, DEPOSIT: -0.3})
    _add(out, visits.scene == 1, {DEPOSIT: 0.25, FUND: 0.3, LOAN: 0.1})
    _add(out, visits.scene == 3, {DEPOSIT: 0.35, INSURANCE: 0.35, SUPPLY: 0.3})
    _add(out, visits.place_tier != home_tier, {INSURANCE: 0.35, CARD: 0.2, PAYMENT: 0.2})
    out[visits.bought] -= 0.25
    _calendar(out, (visits.at_us - start_us) // DAY_US, spec)
    return out


def _calendar(out: NDArray[np.float64], day: NDArray[np.int64], spec: Spec) -> None:
    for first, lead in before_sales(spec):
        _add(out, (day >= first - lead) & (day < first), {SUPPLY: 0.5})
    for first, last in spec.festivals:
        _add(out, (day >= first) & (day <= last), {CARD: 0.3, BNPL: 0.35, INSURANCE: 0.25})
    for surge_day, _ in spec.surge:
        _add(out, day == surge_day, {BNPL: 1.0, CARD: 0.5, PAYMENT: 0.5, SUPPLY: 0.4, FUND: -0.4})


def before_sales(spec: Spec) -> tuple[tuple[int, int], ...]:
    """Return when shops stock up: the first day of a festival or surge, and how long before it."""
    festivals = tuple((first, 14) for first, _ in spec.festivals)
    return festivals + tuple((day, 24) for day, _ in spec.surge[:1])


def _add(out: NDArray[np.float64], rows: NDArray[np.bool_], shifts: dict[int, float]) -> None:
    for column, shift in shifts.items():
        out[rows, column] += shift
