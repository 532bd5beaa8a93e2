"""The report: text, JSON, plots and the page of definitions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from jinqiao.insight import (
    Bar,
    kpi_reference,
    report_json,
    report_text,
    svg_bars,
    svg_funnel,
    svg_trend,
)
from jinqiao.insight.measure import NAMES

Market = Any
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "kpis.md"
SVG = "{http://www.w3.org/2000/svg}"


def test_the_page_is_the_catalogue() -> None:
    """docs/reference/kpis.md says exactly what the message catalogue says."""
    assert PAGE.read_text(encoding="utf-8") == kpi_reference(), (
        "write it again: python -c 'from jinqiao.insight import kpi_reference; "
        'open("docs/reference/kpis.md", "w").write(kpi_reference())\''
    )


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_text_names_every_indicator(market: Market, language: str) -> None:
    """Eighteen lines in three families; what has no data says so and shows no 0."""
    found = market.metrics()
    text = report_text(list(found.values()), language)
    for metric in found.values():
        assert (metric.zh if language == "zh" else metric.en) in text
    assert text.count("暂无数据" if language == "zh" else "no data yet") == sum(
        metric.value is None for metric in found.values()
    )


def test_no_metrics_is_said(market: Market) -> None:
    """An empty report is a sentence, not an empty table."""
    assert report_text([], "en") == "no data yet\n"


def test_a_ratio_is_shown_with_its_interval_and_parts(market: Market) -> None:
    """Value, both ends, numerator and denominator stand in one line."""
    for number in range(4):
        market.show(f"t{number}", "c1", "p_loan", 1)
    market.tell("t0", "p_loan", "click", 0.5)
    text = report_text(list(market.metrics().values()), "en")
    line = next(line for line in text.splitlines() if "click rate" in line)
    assert "25.0% (4.56% – 69.9%)" in line
    assert line.endswith("1 of 4")


def test_the_json_holds_every_field(market: Market) -> None:
    """It parses, has every name, and no number that JSON does not know."""
    whole = json.loads(report_json(list(market.metrics().values())))
    assert tuple(whole) == NAMES
    assert whole["click_rate"]["value"] is None
    assert whole["products_live"]["breakdown"] == {"credit_card": 1, "fund": 1, "loan": 1}


def _read(svg: str) -> ElementTree.Element:
    root = ElementTree.fromstring(svg)
    assert root.get("role") == "img"
    assert root.findtext(f"{SVG}title")
    return root


def test_bars_have_intervals_and_words() -> None:
    """One bar a row, a whisker where there is an interval, text escaped, a description."""
    bars = [Bar("a & b", 2.0, "2 <ok>", 1.0, 3.0), Bar("c", 0.0, "0")]
    root = _read(svg_bars("Bars", bars))
    assert len(root.findall(f"{SVG}rect")) == 2
    assert len(root.findall(f"{SVG}g")) == 1
    assert root.findtext(f"{SVG}desc") == "a & b 2 <ok>; c 0"


def test_a_funnel_says_each_share() -> None:
    """Each step after the first says its share of the one before; a zero step divides nothing."""
    steps = [Bar("shown", 100, "100"), Bar("click", 5, "5"), Bar("none", 0, "0"), Bar("x", 0, "0")]
    root = _read(svg_funnel("Funnel", steps))
    assert root.findtext(f"{SVG}desc") == "shown 100; click 5 (5.0%); none 0 (0.0%); x 0"


def test_a_trend_has_a_line_a_name() -> None:
    """One line a series, also for one day or none."""
    for days in ([], ["d1"], ["d1", "d2", "d3"]):
        root = _read(svg_trend("Trend", days, {"a": [1.0] * len(days), "b": [0.0] * len(days)}))
        assert len(root.findall(f"{SVG}polyline")) == 2
    assert len(_read(svg_bars("None", [])).findall(f"{SVG}rect")) == 0
