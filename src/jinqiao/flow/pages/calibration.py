"""The operator's page of calibration: what was said beside what came, and beside chance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from jinqiao.domain.time import from_us
from jinqiao.flow.calibration import STAGES, Calibrations, ShownRatio, calibration_of

if TYPE_CHECKING:
    from jinqiao.flow.wiring import Engine
    from jinqiao.insight import Reliability

__all__ = ["CalibrationPage", "Line", "calibration_page"]

_WINDOWS = (7, 28, 84)


@dataclass(frozen=True, slots=True)
class Line:
    """A set or group by its name in both languages ("" where the face knows a word for ``key``)."""

    key: str
    zh: str
    en: str
    found: Reliability


@dataclass(frozen=True)
class CalibrationPage:
    """``plots`` by stage; ``lines``: all, then its sets; ``groups`` by stage and kind of group."""

    window_days: int
    windows: tuple[int, ...]
    as_of: datetime
    offers: int
    shown: tuple[ShownRatio, ...]
    plots: dict[str, str]
    lines: dict[str, tuple[Line, ...]]
    groups: dict[str, dict[str, tuple[Line, ...]]]


def calibration_page(engine: Engine, language: str, *, window_days: int = 28) -> CalibrationPage:
    """Return calibration of the offers shown in a window, by stage, set, institution, segment."""
    days = window_days if window_days in _WINDOWS else 28
    found = calibration_of(engine, window_days=days)
    stages = [stage for stage in STAGES if stage in found.whole]
    return CalibrationPage(
        days, _WINDOWS, from_us(found.as_of_us), found.offers, found.shown,
        {stage: _plot(stage, found.whole[stage], language) for stage in stages},
        {stage: _lines(found, stage) for stage in stages},
        {stage: _groups(engine, found, stage) for stage in stages},
    )  # fmt: skip


def _lines(found: Calibrations, stage: str) -> tuple[Line, ...]:
    sets = found.by_set[stage].items()
    return (Line("all", "", "", found.whole[stage]), *(Line(k, "", "", one) for k, one in sets))


def _groups(engine: Engine, found: Calibrations, stage: str) -> dict[str, tuple[Line, ...]]:
    """Return each kind of group, the worst beside its noise first."""
    catalog = engine.catalog()
    out = {}
    for kind, parts in found.by_group[stage].items():
        lines = []
        for key, one in parts.items():
            house = catalog.institution(key) if kind == "institution_id" else None
            names = (house.name_zh, house.name_en) if house else ("", "")
            lines.append(Line(key, *names, one))
        lines.sort(key=lambda line: line.found.noise_most - line.found.error)
        if lines:
            out[kind] = tuple(lines)
    return out


def _plot(stage: str, one: Reliability, language: str) -> str:
    from jinqiao.domain.messages import render
    from jinqiao.insight import svg_reliability
    from jinqiao.insight.plot_reliability import Words

    def said(code: str) -> str:
        return render(f"page_calibration_{code}", language)

    title = render(f"page_report_{stage}s", language)
    return svg_reliability(Words(title, said("said"), said("came"), said("band")), one.bins)
