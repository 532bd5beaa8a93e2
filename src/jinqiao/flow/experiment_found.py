"""What an experiment shows, as plain values: differences, stages, guardrails, and what to do.

Every interval holds at every look at once, so it may be asked for any day, and the experiment may
be stopped the day it decides. There is no p-value to peek at: the split's own check is one that
holds at every look too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jinqiao import insight
from jinqiao.domain.experiment import Trial
from jinqiao.domain.time import from_us
from jinqiao.flow.experiment_units import BETTER, RATIOS, Units, units_of

if TYPE_CHECKING:
    from jinqiao.flow.wiring import Engine
    from jinqiao.insight import ArmDifference, ExperimentResult

__all__ = ["LEAST_UNITS", "STAGES", "found_of", "intervals_svg"]

STAGES = ("click_rate", "application_rate", "approval_rate", "activation_rate")
LEAST_UNITS = 100
"""An arm with fewer units says nothing yet: the intervals are of large samples."""
ALPHA = 0.05


def found_of(engine: Engine, trial: Trial, now_us: int) -> dict[str, Any]:
    """Return what is found of an experiment as known at an instant."""
    from jinqiao.flow import daily

    daily.drain_outcomes(engine)
    units = units_of(engine, trial, now_us)
    arm = units.table["arm"].to_pylist()
    counts = {one.name: arm.count(one.name) for one in trial.arms}
    row: dict[str, Any] = {
        "as_of": from_us(now_us).isoformat(),
        "units": counts, "held_out": arm.count(""), "crossed": units.crossed,
        "open_offers": units.open_offers,
        "shelves": int(sum(units.table["shelves"].to_pylist())),
    }  # fmt: skip
    if min(counts.values()) < 2:
        return row | {
            "split": {"p": 1.0, "whole": True}, "metrics": [], "stages": [], "guardrails": [],
            "verdict": {"code": "experiment_too_early", "numbers": {"least": LEAST_UNITS}},
        }  # fmt: skip
    wanted = list(dict.fromkeys([*trial.metrics, *STAGES]))
    found = _result(units, trial, wanted)
    by_name = {(one.metric, one.arm_name): one for one in found.differences}
    others = [one.name for one in trial.arms[1:]]

    def told(names: Sequence[str]) -> list[dict[str, Any]]:
        return [_difference(by_name[name, other]) for name in names for other in others]

    rails = [
        _difference(by_name[rail.metric, other])
        | {"worse": rail.worse, "most": rail.most, "broken": (rail, other) in found.broken}
        for rail in trial.guardrails
        for other in others
    ]
    first = [by_name[trial.metrics[0], other] for other in others]
    return row | {
        "split": {"p": found.sample_ratio_p, "whole": found.whole},
        "metrics": told(trial.metrics), "stages": told(STAGES), "guardrails": rails,
        "verdict": _verdict(found, first, min(counts.values()), trial.stopped_at is None),
    }  # fmt: skip


def _result(units: Units, trial: Trial, wanted: list[str]) -> ExperimentResult:
    kept = units.table.column_names
    rails = [rail.metric for rail in trial.guardrails]
    before = {name: f"before_{name}" for name in wanted + rails if f"before_{name}" in kept}
    asked = insight.Experiment(
        trial.experiment_id, {arm.name: arm.share for arm in trial.arms}, trial.holdout,
        trial.guardrails, trial.salt,
    )  # fmt: skip
    return insight.experiment_result(
        units.table, asked, wanted, before=before, ratios=RATIOS, information="shelves",
        least=LEAST_UNITS, alpha=ALPHA,
    )  # fmt: skip


def _difference(one: ArmDifference) -> dict[str, Any]:
    """Return a difference as plain values; what nothing is known of is None."""

    def plain(value: float) -> float | None:
        return value if math.isfinite(value) else None

    up = one.difference > 0
    return {
        "metric": one.metric, "arm": one.arm_name, "control_value": plain(one.control),
        "arm_value": plain(one.arm), "difference": plain(one.difference),
        "lower": plain(one.lower), "upper": plain(one.upper), "narrowed": plain(one.narrowed),
        "decided": one.decided,
        "better": (up == (BETTER[one.metric] == "up")) if one.decided else None,
    }  # fmt: skip


def _verdict(
    found: ExperimentResult, first: Sequence[ArmDifference], units: int, running: bool
) -> dict[str, Any]:
    """Return what to do now, as a message's code and numbers: a broken split before all else."""
    decided = [one for one in first if one.decided]
    good = [one for one in decided if (one.difference > 0) == (BETTER[one.metric] == "up")]
    if not found.whole:
        return _said("experiment_split_broken", p=found.sample_ratio_p)
    if found.broken:
        return _said(
            "experiment_harm", arms=", ".join(dict.fromkeys(arm for _, arm in found.broken)),
            metrics=", ".join(dict.fromkeys(rail.metric for rail, _ in found.broken)),
        )  # fmt: skip
    if units < LEAST_UNITS:
        return _said("experiment_too_early", least=LEAST_UNITS)
    if good:
        best = max(good, key=lambda one: abs(one.difference))
        return _said("experiment_better", arm=best.arm_name, metric=best.metric)
    if decided:
        return _said("experiment_worse", arm=decided[0].arm_name, metric=decided[0].metric)
    open_ = "experiment_go_on" if running else "experiment_left_open"
    return _said(open_, metric=first[0].metric)


def _said(code: str, **numbers: object) -> dict[str, Any]:
    return {"code": code, "numbers": numbers}


def intervals_svg(
    title: str, rows: Sequence[dict[str, Any]], names: Sequence[str], *, arms: bool = False
) -> str:
    """Return differences as a plot: each in per cent of the control's, 0 is no difference.

    ``arms``: say beside each metric of which arm it is.
    """
    lines = []

    def note(row: dict[str, Any]) -> str:
        return str(row["arm"]) if arms else ""

    for row, name in zip(rows, names, strict=True):
        base = row["control_value"]
        if base and row["lower"] is not None and row["upper"] is not None:
            value, lower, upper = (
                100 * row[end] / abs(base) for end in ("difference", "lower", "upper")
            )
            lines.append(insight.Span(name, value, lower, upper, row["better"], note(row)))
        else:
            lines.append(insight.Span(name, None, None, None, None, note(row)))
    return insight.svg_intervals(title, lines)
