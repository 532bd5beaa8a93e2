"""Insight: three families of indicators with their intervals, and how to show them.

In: the lake and a few facts of records, as of an instant; or anyone's table of timestamped stages,
log of shown rows, or experiment. Out: ``Metric``s; a report as text, JSON and SVG; what a late
funnel will come to; what another policy would have earned; what an experiment shows. Always: what
arrived after the as-of does not count; a reversal takes back what it reverses; each figure has its
numerator, denominator, window and 95 % interval; nothing divided by nothing is None. From: Wilson
1927; Byar in Breslow and Day 1987; Katz et al. 1978; Aalen and Johansen 1978; Dudík, Langford and
Li 2011; Waudby-Smith et al. 2024.
"""

from jinqiao.insight.calibration import Bin, Heard, Reliability, reliability
from jinqiao.insight.experiments import (
    ArmDifference,
    Experiment,
    ExperimentResult,
    Guardrail,
    assign,
    experiment_result,
    sample_ratio,
)
from jinqiao.insight.facts import Facts
from jinqiao.insight.funnel import Cohort, LateFunnel, late_funnel
from jinqiao.insight.indicators import daily, indicators
from jinqiao.insight.offpolicy import PolicyLog, PolicyValue, policy_value, reward_model
from jinqiao.insight.plot import Bar, svg_bars, svg_curves, svg_funnel, svg_trend
from jinqiao.insight.plot_intervals import Span, svg_intervals
from jinqiao.insight.plot_reliability import svg_reliability
from jinqiao.insight.report import kpi_reference, report_json, report_text
from jinqiao.insight.sequential import sample_ratio_anytime
from jinqiao.insight.trials import (
    keep_result,
    kept_result,
    one_trial,
    running_trials,
    start_trial,
    stop_trial,
    trials,
)

__all__ = [
    "ArmDifference",
    "Bar",
    "Bin",
    "Cohort",
    "Experiment",
    "ExperimentResult",
    "Facts",
    "Guardrail",
    "Heard",
    "LateFunnel",
    "PolicyLog",
    "PolicyValue",
    "Reliability",
    "Span",
    "assign",
    "daily",
    "experiment_result",
    "indicators",
    "keep_result",
    "kept_result",
    "kpi_reference",
    "late_funnel",
    "one_trial",
    "policy_value",
    "reliability",
    "report_json",
    "report_text",
    "reward_model",
    "running_trials",
    "sample_ratio",
    "sample_ratio_anytime",
    "start_trial",
    "stop_trial",
    "svg_bars",
    "svg_curves",
    "svg_funnel",
    "svg_intervals",
    "svg_reliability",
    "svg_trend",
    "trials",
]
