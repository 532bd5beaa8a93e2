"""Indicators as text, as JSON, and as the page that defines them."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict

from jinqiao.domain.messages import render
from jinqiao.domain.metric import Metric
from jinqiao.domain.money import Money
from jinqiao.insight.measure import NAMES, family_of

__all__ = ["kpi_reference", "report_json", "report_text", "value_text"]

_FAMILIES = ("scale", "traffic", "effect")


def value_text(metric: Metric, number: float | None, *, currency: str = "CNY") -> str:
    """Return a number of an indicator in its unit, "–" for None."""
    if number is None:
        return "–"
    if metric.unit == "minor":
        return str(Money(round(number), currency))
    if metric.unit == "ratio":
        if metric.name == "frequency_fatigue":
            return f"{number:.2f}"
        return f"{number * 100:.2f}%" if number < 0.1 else f"{number * 100:.1f}%"
    if metric.unit == "days":
        return f"{number:,.1f}"
    return f"{number:,.0f}"


def report_text(metrics: Sequence[Metric], language: str = "zh", *, currency: str = "CNY") -> str:
    """Return the indicators as a plain table, a family after another, in ``zh`` or ``en``."""
    if not metrics:
        return render("kpi_none", language) + "\n"
    lines = []
    for family in _FAMILIES:
        own = [metric for metric in metrics if metric.family == family]
        if own:
            lines += ["", render(f"kpi_family_{family}", language)]
            lines += _aligned([_cells(metric, language, currency) for metric in own])
    first = {"as_of": metrics[0].as_of, "days": metrics[0].window_days}
    return "\n".join([render("kpi_head", language, first), *lines]) + "\n"


def _cells(metric: Metric, language: str, currency: str) -> tuple[str, str, str]:
    name = metric.zh if language == "zh" else metric.en
    if metric.value is None:
        return name, render("kpi_none", language), ""
    text = value_text(metric, metric.value, currency=currency)
    if metric.lower is not None and metric.lower != metric.upper:
        ends = [value_text(metric, end, currency=currency) for end in (metric.lower, metric.upper)]
        numbers = {"value": text, "lower": ends[0], "upper": ends[1]}
        text = render("kpi_line", language, numbers)
    if metric.denominator is None:
        return name, text, ""
    parts = {"numerator": _plain(metric.numerator), "denominator": _plain(metric.denominator)}
    return name, text, render("kpi_of", language, parts)


def _plain(number: float) -> str:
    return f"{number:,.0f}" if float(number).is_integer() else f"{number:,.4f}"


def _aligned(rows: Sequence[tuple[str, str, str]]) -> list[str]:
    widths = [max(_width(row[place]) for row in rows) for place in (0, 1)]
    return [
        "  " + "  ".join((_padded(a, widths[0]), _padded(b, widths[1]), c)).rstrip()
        for a, b, c in rows
    ]


def _width(text: str) -> int:
    """Return how many columns a terminal gives a text: Chinese takes two a character."""
    return sum(2 if unicodedata.east_asian_width(mark) in "WF" else 1 for mark in text)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def report_json(metrics: Sequence[Metric]) -> str:
    """Return the indicators as JSON: an object by name, breakdowns as objects."""
    whole = {m.name: asdict(m) | {"breakdown": dict(m.breakdown)} for m in metrics}
    return json.dumps(whole, ensure_ascii=False, indent=2, allow_nan=False)


def kpi_reference() -> str:
    """Return docs/reference/kpis.md: every indicator and its definition in both languages."""
    text = (
        "# Indicators 指标\n\nGenerated from `src/jinqiao/domain/messages/insight.toml`; "
        "`tests/insight/test_report.py` holds this page equal to it.\n\n"
        "Every indicator is as of an instant: what arrived later does not count, and of an outcome "
        "only the last word does. A ratio without a denominator is shown as no data, never as 0. "
        "Intervals are 95 %.\n"
    )
    for family in _FAMILIES:
        title = render(f"kpi_family_{family}", "en")
        text += f"\n## {title[:1].upper()}{title[1:]} {render(f'kpi_family_{family}', 'zh')}\n\n"
        text += "| indicator | unit | definition | 定义 |\n|---|---|---|---|\n"
        for name in NAMES:
            if family_of(name)[0] == family:
                label = f"`{name}` {render(f'kpi_{name}', 'en')} {render(f'kpi_{name}', 'zh')}"
                said = [render(f"kpi_{name}_definition", language) for language in ("en", "zh")]
                text += f"| {label} | {family_of(name)[1]} | {said[0]} | {said[1]} |\n"
    return text
