"""Experiments on record: started once, stopped once, kept for ever with what was found of them.

Two that run at once have salts of their own, so each is split evenly over the arms of the other.
Two that change the same setting cannot both have their way with one unit: they must divide one
layer, of which each takes a slice that no other has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from types import MappingProxyType
from typing import Any

from jinqiao.domain.experiment import Arm, Guardrail, Trial
from jinqiao.domain.time import from_us
from jinqiao.errors import Conflict, InputError, NotFound
from jinqiao.store.base import Row, Tx

__all__ = [
    "keep_result", "kept_result", "one_trial", "running_trials", "start_trial", "stop_trial",
    "trials",
]  # fmt: skip

_HAIR = 1e-9


def start_trial(
    tx: Tx, trial: Trial, *, actor: str, now_us: int, versions: Mapping[str, str]
) -> Trial:
    """Return an experiment as it now runs, written down for good.

    Raises Conflict for an id that was used before, a setting that another one changes, or a layer
    without room; InputError where nobody is named.
    """
    if not actor.strip():
        raise InputError("who starts an experiment is recorded", field="actor")
    others = running_trials(tx)
    _apart(trial, others)
    layer = trial.layer or trial.experiment_id
    made = replace(
        trial, salt=trial.salt or trial.experiment_id, layer=layer,
        slice=_slice(trial, [one for one in others if one.layer == layer]),
        versions=MappingProxyType(dict(versions)), started_at=from_us(now_us), started_by=actor,
    )  # fmt: skip
    if not tx.insert_new("experiments", [_row(made, now_us)])[0]:
        raise Conflict(
            "an experiment of this id was run already", record=trial.experiment_id,
            field="experiment_id", fix="choose another id; what was run is kept for ever",
        )  # fmt: skip
    return made


def _apart(trial: Trial, others: tuple[Trial, ...]) -> None:
    layer = trial.layer or trial.experiment_id
    for other in others:
        both = sorted(trial.settings & other.settings)
        if both and other.layer != layer:
            raise Conflict(
                f"{other.experiment_id} is trying the same setting", record=trial.experiment_id,
                field=both[0], fix="stop it first, or start both with one --layer and less traffic",
            )  # fmt: skip
        if other.layer == layer and other.unit != trial.unit:
            raise Conflict(
                f"the layer is divided by {other.unit}", record=layer, field="unit",
                fix="choose another layer",
            )  # fmt: skip


def _slice(trial: Trial, others: list[Trial]) -> tuple[float, float]:
    """Return the first stretch of the layer that is free and long enough."""
    begin, wanted = 0.0, trial.traffic
    for first, last in sorted(one.slice for one in others):
        if first - begin >= wanted - _HAIR:
            break
        begin = max(begin, last)
    if begin + wanted > 1 + _HAIR:
        raise Conflict(
            f"its layer has {1 - begin:.3g} of its units free, not {wanted:.3g}",
            record=trial.experiment_id, field="traffic", fix="ask for less, or stop another",
        )  # fmt: skip
    return begin, min(begin + wanted, 1.0)


def stop_trial(tx: Tx, experiment_id: str, *, actor: str, why: str, now_us: int) -> Trial:
    """Return an experiment that has ended now; stopping it again changes nothing.

    Raises NotFound for an unknown one, InputError where nobody or no reason is named.
    """
    if not actor.strip() or not why.strip():
        raise InputError(
            "who stops an experiment, and why, is recorded", record=experiment_id, field="why"
        )
    one = tx.get("experiments", {"experiment_id": experiment_id}, lock=True)
    if one is None:
        raise _unknown(experiment_id)
    if one["stopped_at"] is None:
        end = {
            "stopped_at": max(now_us, one["started_at"]),
            "stopped_by": actor, "stopped_why": why,
        }  # fmt: skip
        tx.update("experiments", {"experiment_id": experiment_id, "stopped_at": None}, end)
    return one_trial(tx, experiment_id)


def one_trial(tx: Tx, experiment_id: str) -> Trial:
    """Return an experiment, running or ended; raise NotFound for an unknown one."""
    row = tx.get("experiments", {"experiment_id": experiment_id})
    if row is None:
        raise _unknown(experiment_id)
    return _trial(row)


def trials(tx: Tx) -> tuple[Trial, ...]:
    """Return everything that was ever run, newest first."""
    return tuple(map(_trial, tx.find("experiments", order_by=("-started_at", "experiment_id"))))


def running_trials(tx: Tx) -> tuple[Trial, ...]:
    """Return what runs now, by id."""
    rows = tx.find("experiments", {"stopped_at": None}, order_by=("experiment_id",))
    return tuple(map(_trial, rows))


def keep_result(tx: Tx, experiment_id: str, as_of_us: int, result: Mapping[str, Any]) -> None:
    """Keep what was found of an experiment as of an instant; the same instant again replaces it."""
    row = {"experiment_id": experiment_id, "as_of_at": as_of_us, "result": dict(result)}
    tx.upsert("experiment_results", [row])


def kept_result(tx: Tx, experiment_id: str) -> dict[str, Any] | None:
    """Return what was found last, or None."""
    rows = tx.find(
        "experiment_results", {"experiment_id": experiment_id}, order_by=("-as_of_at",), limit=1
    )
    return dict(rows[0]["result"]) if rows else None


def _unknown(experiment_id: str) -> NotFound:
    return NotFound(
        "no such experiment", record=experiment_id, field="experiment_id",
        fix="see `jinqiao experiment list`",
    )  # fmt: skip


def _row(trial: Trial, now_us: int) -> dict[str, Any]:
    return {
        "experiment_id": trial.experiment_id, "name": trial.name, "hypothesis": trial.hypothesis,
        "unit": trial.unit, "metrics": list(trial.metrics),
        "arms": [
            {"name": arm.name, "share": arm.share, "changes": dict(arm.changes)}
            for arm in trial.arms
        ],
        "salt": trial.salt, "holdout": trial.holdout, "layer": trial.layer,
        "slice": list(trial.slice), "guardrails": [asdict(rail) for rail in trial.guardrails],
        "versions": dict(trial.versions), "started_at": now_us, "started_by": trial.started_by,
        "stopped_at": None, "stopped_by": None, "stopped_why": None,
    }  # fmt: skip


def _trial(row: Row) -> Trial:
    stopped = row["stopped_at"]
    return Trial(
        row["experiment_id"], row["name"], row["hypothesis"], tuple(row["metrics"]),
        tuple(
            Arm(arm["name"], arm["share"], MappingProxyType(arm["changes"])) for arm in row["arms"]
        ),
        row["holdout"], row["unit"], row["salt"], row["layer"],
        (row["slice"][0], row["slice"][1]),
        tuple(Guardrail(**rail) for rail in row["guardrails"]),
        MappingProxyType(row["versions"]), from_us(row["started_at"]), row["started_by"],
        None if stopped is None else from_us(stopped), row["stopped_by"] or "",
        row["stopped_why"] or "",
    )  # fmt: skip
