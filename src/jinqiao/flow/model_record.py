"""The record of models: which serves, what each was made from, promoted and rolled back by name.

The champion on record is what ``publish`` serves. Files lie under ``models/<id>``, immutable and
with checksums, verified before they are read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinqiao.domain.model import Model, ModelAction, ModelDecision
from jinqiao.errors import InputError, NotFound, Unavailable
from jinqiao.flow.wiring import Engine

if TYPE_CHECKING:
    from jinqiao.propensity import ChainModel
    from jinqiao.store.base import Tx

__all__ = [
    "champion_chain", "files_digest", "model_list", "model_page", "model_show", "promote_model",
    "read_model_of", "roll_back_model", "stage_figures",
]  # fmt: skip


def files_digest(folder: Path) -> str:
    """Return the digest of a model's manifest, which holds those of its files."""
    return hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()


def read_model_of(engine: Engine, record: Model) -> ChainModel:
    """Return a model on record, every file verified; raise Unavailable for one that is damaged."""
    from jinqiao import propensity

    folder = engine.models.version(record.model_id)
    if folder is None or files_digest(folder) != record.files_sha256:
        raise Unavailable(
            "its files are gone or not those on record", record=record.model_id,
            fix="`jinqiao model rollback`, or train again",
        )  # fmt: skip
    return propensity.load(folder, dictionary=engine.dictionary)


def champion_chain(engine: Engine) -> ChainModel | None:
    """Return the model that is published, verified against its record, or None before the first.

    Raises Unavailable when its files are damaged, ConsentError when a feature of it is not allowed
    any more.
    """
    from jinqiao import propensity

    with engine.records.reading() as tx:
        standing = propensity.champion(tx)
    return None if standing is None else read_model_of(engine, standing)


def promote_model(
    engine: Engine, model_id: str, *, actor: str, reason: str = "", force: bool = False
) -> dict[str, Any]:
    """Make a model the champion; the next publish serves it. Return it as ``model_list`` does.

    Without ``force`` only one that was compared with the present champion and found no worse.

    Raises
    ------
    NotFound : no such model. Unavailable : its files are damaged. InputError : not found to be no
        worse, and not forced; or forced without a reason.
    """
    from jinqiao import propensity

    with engine.records.reading() as tx:
        model = propensity.find_model(tx, model_id)
        standing = propensity.champion(tx, model.kind)
        last = _verdict(propensity.model_decisions(tx, model_id))
    read_model_of(engine, model)
    if not force:
        _refuse_unproven(model, standing, last)
    compared = last.comparison if last is not None else {}
    why = reason if force else reason or "by name"
    by = propensity.By(actor, engine.clock(), why, compared, force)
    engine.write(lambda tx: propensity.promote(tx, model_id, by), durable=True)
    return model_show(engine, model_id)["model"]  # type: ignore[no-any-return]


def _verdict(decisions: Sequence[ModelDecision]) -> ModelDecision | None:
    told = (ModelAction.REFUSED, ModelAction.HELD, ModelAction.PROMOTED)
    return next((one for one in decisions if one.action in told), None)


def _refuse_unproven(model: Model, standing: Model | None, last: ModelDecision | None) -> None:
    if standing is None or standing.model_id == model.model_id:
        return
    why = "it was not compared with the present champion"
    if last is not None and last.action is ModelAction.REFUSED:
        why = last.reason
    elif last is not None and last.comparison.get("champion") == standing.model_id:
        if any(one["verdict"] != "too_few" for one in last.comparison["stages"]):
            return
        why = last.reason
    raise InputError(
        why, record=model.model_id, field="model", fix="--force with --reason promotes it anyway"
    )


def roll_back_model(engine: Engine, *, actor: str, reason: str = "") -> dict[str, Any]:
    """Put the former champion back; the next publish serves it. Return both as rows.

    Raises NotFound when there is no former one, Unavailable when its files are damaged.
    """
    from jinqiao import propensity

    by = propensity.By(actor, engine.clock(), reason or "rolled back")

    def step(tx: Tx) -> tuple[Model, Model]:
        gone, back = propensity.roll_back(tx, by)
        read_model_of(engine, back)
        return gone, back

    done = engine.write(step, durable=True)
    assert isinstance(done, tuple)
    return {"gone": _row(done[0]), "champion": _row(done[1])}


def model_list(engine: Engine) -> dict[str, Any]:
    """Return every model on record, newest first, and every decision, newest first."""
    from jinqiao import propensity

    with engine.records.reading() as tx:
        found, decided = propensity.models(tx), propensity.model_decisions(tx)
        held = propensity.is_held(tx)
    return {
        "models": [_row(one) for one in found],
        "decisions": [_decision(one) for one in decided],
        "held": held,
    }


def model_show(engine: Engine, model_id: str = "") -> dict[str, Any]:
    """Return one model with its card and decisions; without an id the champion.

    Raises NotFound for one that is not on record, or before there is any.
    """
    from jinqiao import propensity

    with engine.records.reading() as tx:
        model = propensity.find_model(tx, model_id) if model_id else propensity.champion(tx)
        if model is None:
            raise NotFound("no model was trained here yet", fix="run `jinqiao model train`")
        decided = propensity.model_decisions(tx, model.model_id)
    return {
        "model": _row(model),
        "card": dict(model.card),
        "decisions": [_decision(one) for one in decided],
    }


def model_page(found: Mapping[str, Any]) -> str:
    """Return what ``model_show`` returns as a Markdown page."""
    from jinqiao import propensity

    row = found["model"]
    told = (
        "model_id", "kind", "status", "parent_id", "former_id", "registered_at", "registered_by",
        "data_sha256", "files_sha256",
    )  # fmt: skip
    lines = ["", "## On record", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {row[name] or '–'} |" for name in told]
    lines += ["", "| when | what | who | why |", "|---|---|---|---|"]
    lines += [
        f"| {one['decided_at']} | {one['action']}{' (forced)' if one['forced'] else ''} "
        f"| {one['actor']} | {one['reason'] or '–'} |"
        for one in found["decisions"]
    ]
    return propensity.card_page(found["card"]) + "\n".join(lines) + "\n"


def _row(model: Model) -> dict[str, Any]:
    card = model.card
    return {
        "model_id": model.model_id, "kind": model.kind, "status": model.status.value,
        "purpose": model.purpose, "trained_as_of": model.trained_as_of.isoformat(),
        "data_sha256": model.data_sha256, "seed": model.seed, "code_version": model.code_version,
        "dictionary_version": model.dictionary_version, "files_sha256": model.files_sha256,
        "shown_offers": card["shown_offers"], "parent_id": model.parent_id,
        "former_id": model.former_id, "registered_at": model.registered_at.isoformat(),
        "registered_by": model.registered_by,
        "metrics": {name: stage_figures(stage) for name, stage in card["stages"].items()},
    }  # fmt: skip


def stage_figures(stage: Mapping[str, Any]) -> dict[str, Any]:
    """Return the out-of-time figures of a stage's served kind; None where too few to judge."""
    found = stage["metrics"].get(stage["chosen"], {})
    names = ("log_loss", "log_loss_ci", "auc", "auc_ci", "ece", "ece_floor", "ece_floor_most")
    return {"chosen": stage["chosen"], "rows": stage["rows"], "yes": stage["yes"],
            **{name: found.get(name) for name in names}}  # fmt: skip


def _decision(one: ModelDecision) -> dict[str, Any]:
    row = asdict(one)
    row["action"], row["decided_at"] = one.action.value, one.decided_at.isoformat()
    return row
