"""What a market is made of: sizes, calendar and knobs, under a name and a version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from types import MappingProxyType

from jinqiao.errors import NotFound

__all__ = ["BLOCK", "SPECS", "ZONE_US", "Spec", "find_spec"]

BLOCK = 1_000
"""Customers of one block: everything about a customer is drawn within their block."""
ZONE_US = 8 * 3_600_000_000
"""Asia/Shanghai keeps UTC+8 all year."""


@dataclass(frozen=True, slots=True)
class Spec:
    """The settings of one market. Any change to them, or to the code, is a new version.

    ``knowable`` is the share of the variance of a need that static facts explain. ``surge`` pairs
    a day, counted from day 0, with how many times the usual visits come.
    """

    name: str
    version: int
    day_zero: date
    log_days: int = 28
    plan_days: int = 28
    tail_days: int = 120
    history_days: int = 182
    behaviour_days: int = 60
    visits_per_week: float = 1.2
    slots: int = 4
    knowable: float = 0.55
    need_pull: float = 1.0
    scarce_share: float = 0.34
    demand_to_capacity: float = 1.75
    silent_share: float = 0.5
    faulty_report_share: float = 0.01
    ring_share: float = 0.005
    synthetic_share: float = 0.003
    bot_share: float = 0.001
    lead_share: float = 0.003
    collusion_share: float = 0.005
    festivals: tuple[tuple[int, int], ...] = ()
    surge: tuple[tuple[int, float], ...] = ()

    @property
    def label(self) -> str:
        return f"{self.name}@{self.version}"


_STANDARD = Spec(
    "standard", 1, date(2025, 3, 3), festivals=((32, 34),)  # 4 to 6 April 2025, Qingming
)  # fmt: skip
_PEAK = replace(
    _STANDARD,
    name="peak",
    day_zero=date(2025, 9, 29),
    festivals=((2, 9),),  # 1 to 8 October 2025, National Day and Mid-Autumn
    surge=((42, 4.0), (43, 10.0), (44, 2.0)),  # 10, 11 and 12 November 2025
)

SPECS: Mapping[str, Spec] = MappingProxyType({"standard": _STANDARD, "peak": _PEAK})


def find_spec(name: str) -> Spec:
    """Return a named spec; raise NotFound naming the known ones."""
    if name not in SPECS:
        raise NotFound(f"no market spec {name!r}", field="spec", fix=f"use {', '.join(SPECS)}")
    return SPECS[name]
