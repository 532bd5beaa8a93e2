"""The operator's page of models: which serves, how good it is, the decisions, the drift by day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jinqiao.errors import StoreError

if TYPE_CHECKING:
    from jinqiao.flow.model_drift import ModelDrift
    from jinqiao.flow.wiring import Engine

__all__ = ["ModelsPage", "models_page"]

_MODELS, _DECISIONS, _FEATURES = 12, 20, 8
_BAD = ("moderate", "major")


@dataclass(frozen=True, slots=True)
class ModelsPage:
    """``champion`` is None before the first model; ``plots`` are small, scores first.

    ``alarms`` counts moderate and major shifts of days after the training; ``damaged`` says that
    the champion's files cannot be read.
    """

    champion: dict[str, Any] | None
    models: tuple[dict[str, Any], ...]
    decisions: tuple[dict[str, Any], ...]
    held: bool
    plots: tuple[str, ...]
    alarms: int
    source: str
    damaged: bool


def models_page(engine: Engine, language: str, *, days: int = 28) -> ModelsPage:
    """Return the models on record and the champion's drift over the last days that were logged."""
    from jinqiao.flow.model_drift import model_drift
    from jinqiao.flow.model_record import model_list

    found = model_list(engine)
    rows = [_dated(row) for row in found["models"]]
    champion = next((row for row in rows if row["status"] == "champion"), None)
    drift, damaged = None, False
    if champion is not None:
        try:
            drift = model_drift(engine, days=days)
        except StoreError:
            damaged = True
    told = [one for one in found["decisions"] if one["action"] != "registered"][:_DECISIONS]
    decisions = tuple(_dated(one) | {"why": _why(one, language)} for one in told)
    return ModelsPage(
        champion, tuple(rows[:_MODELS]), decisions, found["held"],
        () if drift is None else tuple(_plots(engine, drift, language)),
        0 if drift is None else len(drift.alarms), "" if drift is None else drift.source, damaged,
    )  # fmt: skip


def _dated(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with its instants as instants, for the page to write."""
    names = ("trained_as_of", "registered_at", "decided_at")
    return row | {name: datetime.fromisoformat(row[name]) for name in names if name in row}


def _why(decision: dict[str, Any], language: str) -> str:
    """Return a decision's reason: a comparison by stage, a known sentence, or its own words."""
    from jinqiao.domain.messages import codes, render

    stages = decision["comparison"].get("stages", ())
    by_name = decision["forced"] or decision["reason"] in ("by name", "rolled back")
    if stages and not by_name:
        told = [
            render("page_stage_" + one["stage"], language)
            + " "
            + render("models_contest_" + one["verdict"], language)
            for one in stages
        ]
        return render("models_compared", language, {
            "other": decision["other_id"], "told": render("models_and", language).join(told),
        })  # fmt: skip
    code = f"models_reason_{decision['reason'].replace(' ', '_')}"
    return render(code, language) if code in codes() else str(decision["reason"])


def _plots(engine: Engine, drift: ModelDrift, language: str) -> list[str]:
    from jinqiao.domain.messages import render

    known = engine.dictionary.by_name
    stages = list(dict.fromkeys(name for one in drift.days for name in one.scores))
    plots = [
        _plot(render(f"page_stage_{name}", language), "scores", name, drift, language)
        for name in stages
    ]
    for name in drift.worst(_FEATURES):
        title = name
        if name in known:
            title = known[name].zh if language == "zh" else known[name].en
        plots.append(_plot(title, "features", name, drift, language))
    return plots


def _plot(title: str, kind: str, name: str, drift: ModelDrift, language: str) -> str:
    from jinqiao.domain.messages import render
    from jinqiao.insight.plot_multiples import DayPoint, svg_days

    points, last, known = [], None, True
    for one in drift.days:
        shift = getattr(one, kind).get(name)
        if shift is not None:
            last, known = shift, one.learnt
            marked = shift.verdict in _BAD
            points.append(DayPoint(one.day[5:], shift.psi, shift.floor, marked, one.learnt))
    assert last is not None
    numbers = {"psi": f"{last.psi:.3f}", "floor": f"{last.floor:.3f}"}
    verdict = "learnt" if known else last.verdict
    said = render(f"models_verdict_{verdict}", language, numbers)
    return svg_days(_short(title), points, (drift.moderate, drift.major), said)


def _short(title: str) -> str:
    """Return a title that fits its plot: a Chinese character is as wide as two others."""
    width, kept = 0, ""
    for letter in title:
        width += 1 if letter.isascii() else 2
        if width > 40:
            return kept + "…"
        kept += letter
    return kept
