"""One indicator: figures in, a ``Metric`` out, named and defined by the message catalogue."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from jinqiao.domain.messages import render
from jinqiao.domain.metric import Metric
from jinqiao.domain.time import DAY_US, from_us
from jinqiao.insight.interval import Interval, poisson, wilson

__all__ = ["NAMES", "Window", "count_of", "family_of", "figure", "share_of", "stock_of"]

Breakdown = Sequence[tuple[str, float]]


@dataclass(frozen=True, slots=True)
class Window:
    """``days`` days up to and with the as-of."""

    as_of_us: int
    days: int

    @property
    def from_us(self) -> int:
        return self.as_of_us - self.days * DAY_US

    def longer(self, days: int) -> Window:
        """Return the window of so many days with the same end."""
        return Window(self.as_of_us, days)


def figure(
    name: str,
    window: Window,
    parts: tuple[float, float | None],
    value: float | None,
    interval: Interval | None,
    breakdown: Breakdown = (),
) -> Metric:
    """Return an indicator of (numerator, denominator), a value and an interval that may be None."""
    family, unit = _KINDS[name]
    known = interval if value is not None else None
    return Metric(
        name=name,
        family=family,
        zh=render(f"kpi_{name}", "zh"),
        en=render(f"kpi_{name}", "en"),
        unit=unit,
        numerator=parts[0],
        denominator=parts[1],
        value=value,
        lower=None if known is None else known[0],
        upper=None if known is None else known[1],
        window_days=window.days,
        as_of=from_us(window.as_of_us).isoformat(),
        definition=render(f"kpi_{name}_definition", "en"),
        breakdown=tuple((label, float(number)) for label, number in breakdown),
    )


def stock_of(name: str, window: Window, number: int, breakdown: Breakdown = ()) -> Metric:
    """Return a count of what is there now: not a sample, so the interval is the value itself."""
    return figure(name, window, (number, None), number, (number, number), breakdown)


def count_of(name: str, window: Window, number: int, breakdown: Breakdown = ()) -> Metric:
    """Return a count of events, with a Poisson interval."""
    return figure(name, window, (number, None), number, poisson(number), breakdown)


def share_of(
    name: str, window: Window, parts: tuple[float, float], breakdown: Breakdown = ()
) -> Metric:
    """Return a share with a Wilson interval; without a denominator the value is None."""
    k, n = parts
    value = k / n if n > 0 else None
    kept = [(label, number) for label, number in breakdown if math.isfinite(number)]
    return figure(name, window, parts, value, wilson(k, n), kept)


_KINDS = {
    "identified_customers": ("scale", "count"),
    "monthly_actives": ("scale", "count"),
    "institutions_live": ("scale", "count"),
    "products_live": ("scale", "count"),
    "applications": ("scale", "count"),
    "funded_minor": ("scale", "minor"),
    "impressions": ("traffic", "count"),
    "click_rate": ("traffic", "ratio"),
    "cost_per_visit_minor": ("traffic", "minor"),
    "return_rate": ("traffic", "ratio"),
    "consent_rate": ("traffic", "ratio"),
    "frequency_fatigue": ("traffic", "ratio"),
    "click_to_application": ("effect", "ratio"),
    "application_to_approval": ("effect", "ratio"),
    "approval_to_activation": ("effect", "ratio"),
    "days_to_convert": ("effect", "days"),
    "value_per_1000_visits_minor": ("effect", "minor"),
    "delinquency_rate": ("effect", "ratio"),
}
NAMES = tuple(_KINDS)
"""Every indicator, in order: six a family."""


def family_of(name: str) -> tuple[str, str]:
    """Return the family and the unit of an indicator."""
    return _KINDS[name]
