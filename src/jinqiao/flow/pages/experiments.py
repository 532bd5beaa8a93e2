"""The operator's pages of experiments: everything ever run, and one of them with its plot."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jinqiao.domain.messages import codes, render

if TYPE_CHECKING:
    from jinqiao.flow.wiring import Engine

__all__ = ["ExperimentPage", "experiment_page", "experiments_page"]


@dataclass(frozen=True, slots=True)
class ExperimentPage:
    """One experiment: its record, what it finds now, and the intervals drawn."""

    row: dict[str, Any]
    found: dict[str, Any]
    plot: str
    currency: str


def experiments_page(engine: Engine) -> tuple[dict[str, Any], ...]:
    """Return everything ever run, newest first, its instants as such."""
    from jinqiao.flow.experiments import experiment_list

    return tuple(_dated(row) for row in experiment_list(engine))


def experiment_page(engine: Engine, experiment_id: str, language: str) -> ExperimentPage:
    """Return one experiment as of now; raise NotFound for an unknown one."""
    from jinqiao.flow.experiment_found import intervals_svg
    from jinqiao.flow.experiments import experiment_show

    row = _dated(experiment_show(engine, experiment_id))
    found = row["found"]
    told = [*found["metrics"], *(one for one in found["stages"] if _new(one, found["metrics"]))]
    names = [_name(one["metric"], language) for one in told]
    title, many = render("experiment_plot", language), len(row["arms"]) > 2
    plot = intervals_svg(title, told, names, arms=many) if told else ""
    return ExperimentPage(row, found, plot, engine.settings.marketplace.currency)


def _new(one: dict[str, Any], told: list[dict[str, Any]]) -> bool:
    return one["metric"] not in {row["metric"] for row in told}


def _name(metric: str, language: str) -> str:
    code = f"experiment_metric_{metric}"
    return render(code, language) if code in codes() else metric


def _dated(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with its instants as such."""
    made = dict(row)
    for name in ("started_at", "stopped_at"):
        made[name] = datetime.fromisoformat(row[name]) if row[name] else None
    for name in ("last", "found"):
        if row.get(name):
            made[name] = {**row[name], "as_of": datetime.fromisoformat(row[name]["as_of"])}
    return made
