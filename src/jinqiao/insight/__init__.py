"""Insight: three families of indicators with their intervals, and how to show them.

In: the lake and a few facts of records, as of an instant. Out: ``Metric``s; a report as text, JSON
and SVG. Always: what arrived after the as-of does not count; a reversal takes back what it
reverses; each figure has its numerator, denominator, window and 95 % interval; nothing divided by
nothing is None. From: Wilson 1927; Byar in Breslow and Day 1987; Katz et al. 1978; Aalen and
Johansen 1978.
"""

from jinqiao.insight.facts import Facts
from jinqiao.insight.indicators import daily, indicators
from jinqiao.insight.plot import Bar, svg_bars, svg_funnel, svg_trend
from jinqiao.insight.report import kpi_reference, report_json, report_text

__all__ = [
    "Bar",
    "Facts",
    "daily",
    "indicators",
    "kpi_reference",
    "report_json",
    "report_text",
    "svg_bars",
    "svg_funnel",
    "svg_trend",
]
