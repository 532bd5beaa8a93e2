"""A KPI with everything that makes it checkable."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Metric"]


@dataclass(frozen=True, slots=True)
class Metric:
    """``value`` = numerator / denominator (or the numerator alone), with a 95 % interval.

    ``family``: scale, traffic or effect. ``unit``: count, ratio, minor, days. ``breakdown`` splits
    the same figure by one dimension (class, context, institution).
    """

    name: str
    family: str
    zh: str
    en: str
    unit: str
    numerator: float
    denominator: float | None
    value: float | None
    lower: float | None
    upper: float | None
    window_days: int
    as_of: str
    definition: str
    breakdown: tuple[tuple[str, float], ...] = ()
