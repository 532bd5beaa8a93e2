"""Experiments as an operator runs them: start, list, show, stop; every one kept with its result."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from jinqiao import insight
from jinqiao.domain.experiment import Trial
from jinqiao.errors import InputError
from jinqiao.flow.arms import check_changes
from jinqiao.flow.experiment_found import found_of
from jinqiao.flow.experiment_units import BETTER, MEANS, RATIOS
from jinqiao.flow.wiring import Engine

if TYPE_CHECKING:
    from jinqiao.store.base import Tx

__all__ = [
    "experiment_list", "experiment_show", "keep_results", "start_experiment", "stop_experiment",
    "trial_row",
]  # fmt: skip


def start_experiment(engine: Engine, trial: Trial, *, actor: str) -> dict[str, Any]:
    """Return an experiment that runs from now on: every server has it within a second.

    Raises InputError for an arm, metric or guardrail that is not there, Conflict for an id that was
    used or a setting another experiment changes, NotFound for a model that is not kept.
    """
    check_changes(engine, trial)
    _check_metrics(trial)
    now, versions = engine.clock(), _versions(engine)

    def step(tx: Tx) -> Trial:
        return insight.start_trial(tx, trial, actor=actor, now_us=now, versions=versions)

    made = engine.write(step, durable=True)
    assert isinstance(made, Trial)
    return trial_row(made)


def _check_metrics(trial: Trial) -> None:
    for name in (*trial.metrics, *(rail.metric for rail in trial.guardrails)):
        if name not in BETTER:
            raise InputError(
                f"no metric {name!r}", record=trial.experiment_id, field="metrics",
                fix=f"one of {', '.join((*MEANS, *RATIOS))}",
            )  # fmt: skip
    for rail in trial.guardrails:
        if rail.worse == BETTER[rail.metric] or rail.most < 0:
            raise InputError(
                f"{rail.metric} does not get worse {rail.worse}", record=trial.experiment_id,
                field="guardrails", fix="turn it round; what may be lost is 0 or more",
            )  # fmt: skip


def _versions(engine: Engine) -> dict[str, str]:
    """Return what is served now, by name; nothing before a first publish."""
    from jinqiao import shelf

    folder = engine.snapshots.current()
    if folder is None:
        return {}
    told = shelf.read(folder / "serving").versions
    return {
        "snapshot": told.snapshot, "model": told.model, "plan": told.plan, "catalog": told.catalog,
    }  # fmt: skip


def stop_experiment(engine: Engine, experiment_id: str, *, actor: str, why: str) -> dict[str, Any]:
    """Return an experiment that has ended, with what was found; every shelf is as before again.

    Every server knows within a second. Raises NotFound for an unknown one, InputError without a
    name and a reason.
    """
    now = engine.clock()

    def step(tx: Tx) -> Trial:
        return insight.stop_trial(tx, experiment_id, actor=actor, why=why, now_us=now)

    engine.write(step, durable=True)
    return experiment_show(engine, experiment_id, keep=True)


def experiment_list(engine: Engine) -> list[dict[str, Any]]:
    """Return everything ever run, newest first, each with what was found of it last."""
    with engine.records.reading() as tx:
        pairs = [(one, insight.kept_result(tx, one.experiment_id)) for one in insight.trials(tx)]
    rows = []
    for trial, last in pairs:
        told = None if last is None else {"as_of": last["as_of"], "verdict": last["verdict"]}
        rows.append({**trial_row(trial), "last": told})
    return rows


def experiment_show(
    engine: Engine, experiment_id: str, *, keep: bool = False, as_of_us: int | None = None
) -> dict[str, Any]:
    """Return an experiment and what is found of it now; ``keep`` keeps that as its last result.

    Raises NotFound for an unknown one.
    """
    with engine.records.reading() as tx:
        trial = insight.one_trial(tx, experiment_id)
    now = engine.clock() if as_of_us is None else as_of_us
    found = found_of(engine, trial, now)
    if keep:

        def step(tx: Tx) -> None:
            insight.keep_result(tx, experiment_id, now, found)

        engine.write(step)
    return {**trial_row(trial), "found": found}


def keep_results(engine: Engine, as_of_us: int, *, after_days: int = 84) -> int:
    """Keep what is found now of what runs, and of what ended lately: answers come late.

    Return how many there were.
    """
    from jinqiao.domain.time import DAY_US, to_us

    with engine.records.reading() as tx:
        every = insight.trials(tx)
    lately = as_of_us - after_days * DAY_US
    live = [one for one in every if one.stopped_at is None or to_us(one.stopped_at) > lately]
    for trial in live:
        experiment_show(engine, trial.experiment_id, keep=True, as_of_us=as_of_us)
    return len(live)


def trial_row(trial: Trial) -> dict[str, Any]:
    """Return an experiment as plain values."""
    row = {
        name: getattr(trial, name)
        for name in ("experiment_id", "name", "hypothesis", "unit", "salt", "holdout", "layer")
    }
    return row | {
        "running": trial.stopped_at is None,
        "metrics": list(trial.metrics),
        "arms": [
            {"name": arm.name, "share": arm.share, "changes": dict(arm.changes)}
            for arm in trial.arms
        ],
        "traffic": trial.traffic, "slice": list(trial.slice),
        "guardrails": [asdict(rail) for rail in trial.guardrails],
        "versions": dict(trial.versions),
        "started_at": trial.started_at and trial.started_at.isoformat(),
        "started_by": trial.started_by,
        "stopped_at": trial.stopped_at and trial.stopped_at.isoformat(),
        "stopped_by": trial.stopped_by, "stopped_why": trial.stopped_why,
    }  # fmt: skip
