"""Models on record: registered once, promoted by a comparison or by somebody, rolled back.

Of each kind at most one is champion, and it alone is published. Every change of status has a line
of decisions with who, when and why; no line is ever changed. After a rollback nothing is promoted
but by name (``held``): the same data would only bring the same model back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jinqiao.domain.model import Model, ModelAction, ModelDecision, ModelStatus
from jinqiao.domain.time import from_us, to_us
from jinqiao.errors import Conflict, InputError, NotFound
from jinqiao.store.base import Row, Tx

__all__ = [
    "CHAIN_KIND", "By", "champion", "find_model", "hold", "is_held", "model_decisions", "models",
    "promote", "refuse", "register", "roll_back",
]  # fmt: skip

CHAIN_KIND = "chain"
_MODELS, _DECISIONS = "models", "model_decisions"
_MOVED = (ModelAction.PROMOTED.value, ModelAction.ROLLED_BACK.value, ModelAction.RESTORED.value)


@dataclass(frozen=True, slots=True)
class By:
    """Who decides, when, why, and the comparison it rests on ({}: none)."""

    actor: str
    now_us: int
    reason: str = ""
    comparison: Mapping[str, Any] = field(default_factory=dict)
    forced: bool = False

    def __post_init__(self) -> None:
        if not self.actor.strip():
            raise InputError("a decision has somebody who made it", field="actor")
        if self.forced and not self.reason.strip():
            raise InputError(
                "a forced promotion has a reason", field="reason", fix="say why by --reason"
            )


def register(tx: Tx, model: Model, by: By) -> bool:
    """Put a new challenger on record; return False when it is there already, unchanged.

    Raises Conflict when the same id is on record with other files.
    """
    row = _row(model) | {"status": ModelStatus.CHALLENGER.value, "former_id": None}
    if not tx.insert_new(_MODELS, [row])[0]:
        known = find_model(tx, model.model_id)
        if known.files_sha256 != model.files_sha256:
            raise Conflict("on record with other files", record=model.model_id)
        return False
    _note(tx, model.kind, model.model_id, ModelAction.REGISTERED, by, model.parent_id)
    return True


def promote(tx: Tx, model_id: str, by: By) -> bool:
    """Make a model the champion of its kind; the former one retires. False: it was already.

    Raises NotFound for an unknown model.
    """
    model = find_model(tx, model_id)
    standing = champion(tx, model.kind)
    if standing is not None and standing.model_id == model_id:
        return False
    former = None if standing is None else standing.model_id
    if former is not None:
        tx.update(_MODELS, {"model_id": former}, {"status": ModelStatus.RETIRED.value})
    changes = {"status": ModelStatus.CHAMPION.value, "former_id": former}
    tx.update(_MODELS, {"model_id": model_id}, changes)
    _note(tx, model.kind, model_id, ModelAction.PROMOTED, by, former)
    return True


def refuse(tx: Tx, model_id: str, by: By, *, other_id: str | None = None) -> None:
    """Note why a challenger is not promoted; its status stays."""
    model = find_model(tx, model_id)
    _note(tx, model.kind, model_id, ModelAction.REFUSED, by, other_id)


def hold(tx: Tx, model_id: str, by: By, *, other_id: str | None = None) -> None:
    """Note that a challenger waits: for more rows to compare by, or for somebody's word."""
    model = find_model(tx, model_id)
    _note(tx, model.kind, model_id, ModelAction.HELD, by, other_id)


def roll_back(tx: Tx, by: By, *, kind: str = CHAIN_KIND) -> tuple[Model, Model]:
    """Put back the model the champion took over from; return (gone, back).

    One that was itself rolled back is passed over for the one before it. Raises NotFound when there
    is no champion, or none before it.
    """
    gone = champion(tx, kind)
    if gone is None:
        raise NotFound("no champion to roll back", record=kind, fix="see `jinqiao model list`")
    back = _former(tx, gone)
    tx.update(_MODELS, {"model_id": gone.model_id}, {"status": ModelStatus.ROLLED_BACK.value})
    tx.update(_MODELS, {"model_id": back.model_id}, {"status": ModelStatus.CHAMPION.value})
    _note(tx, kind, gone.model_id, ModelAction.ROLLED_BACK, by, back.model_id)
    _note(tx, kind, back.model_id, ModelAction.RESTORED, by, gone.model_id)
    return find_model(tx, gone.model_id), find_model(tx, back.model_id)


def _former(tx: Tx, model: Model) -> Model:
    seen, former_id = {model.model_id}, model.former_id
    while former_id is not None and former_id not in seen:
        seen.add(former_id)
        former = find_model(tx, former_id)
        if former.status is not ModelStatus.ROLLED_BACK:
            return former
        former_id = former.former_id
    raise NotFound(
        "no model served before it", record=model.model_id, fix="promote another by its id"
    )


def is_held(tx: Tx, *, kind: str = CHAIN_KIND) -> bool:
    """Return whether promotion waits for somebody: the last change of champion was a rollback."""
    last = tx.find(
        _DECISIONS, {"kind": kind, "action": list(_MOVED)}, order_by=("-number",), limit=1
    )
    return bool(last) and last[0]["action"] != ModelAction.PROMOTED.value


def champion(tx: Tx, kind: str = CHAIN_KIND) -> Model | None:
    """Return the model that is published, or None before there is one."""
    found = tx.find(_MODELS, {"kind": kind, "status": ModelStatus.CHAMPION.value}, limit=1)
    return _model(found[0]) if found else None


def find_model(tx: Tx, model_id: str) -> Model:
    """Return one model; raise NotFound for one that is not on record."""
    row = tx.get(_MODELS, {"model_id": model_id})
    if row is None:
        raise NotFound("no such model", record=model_id, fix="see `jinqiao model list`")
    return _model(row)


def models(tx: Tx, *, kind: str = CHAIN_KIND, limit: int | None = None) -> tuple[Model, ...]:
    """Return the models of a kind, the newest on record first."""
    rows = tx.find(_MODELS, {"kind": kind}, order_by=("-registered_at",), limit=limit)
    return tuple(_model(row) for row in rows)


def model_decisions(
    tx: Tx, model_id: str | None = None, *, kind: str = CHAIN_KIND, limit: int | None = None
) -> tuple[ModelDecision, ...]:
    """Return the decisions of a kind, or of one model of it, newest first."""
    where: dict[str, object] = {"kind": kind}
    if model_id is not None:
        where["model_id"] = model_id
    rows = tx.find(_DECISIONS, where, order_by=("-number",), limit=limit)
    return tuple(
        ModelDecision(
            row["number"], row["model_id"], ModelAction(row["action"]), row["actor"],
            from_us(row["decided_at"]), row["reason"], row["forced"], row["other_id"],
            row["comparison"],
        )
        for row in rows
    )  # fmt: skip


def _note(
    tx: Tx, kind: str, model_id: str, action: ModelAction, by: By, other_id: str | None
) -> None:
    last = tx.find(_DECISIONS, {"kind": kind}, order_by=("-number",), limit=1)
    row = {
        "kind": kind, "number": last[0]["number"] + 1 if last else 1, "model_id": model_id,
        "action": action.value, "actor": by.actor, "decided_at": by.now_us, "reason": by.reason,
        "forced": by.forced, "other_id": other_id, "comparison": dict(by.comparison),
    }  # fmt: skip
    tx.insert(_DECISIONS, [row])


def _row(model: Model) -> dict[str, Any]:
    return {
        "model_id": model.model_id, "kind": model.kind, "status": model.status.value,
        "purpose": model.purpose, "trained_as_of_at": to_us(model.trained_as_of),
        "data_sha256": model.data_sha256, "seed": model.seed, "code_version": model.code_version,
        "dictionary_version": model.dictionary_version, "files_sha256": model.files_sha256,
        "card": dict(model.card), "parent_id": model.parent_id, "former_id": model.former_id,
        "registered_at": to_us(model.registered_at), "registered_by": model.registered_by,
    }  # fmt: skip


def _model(row: Row) -> Model:
    return Model(
        row["model_id"], row["kind"], ModelStatus(row["status"]), row["purpose"],
        from_us(row["trained_as_of_at"]), row["data_sha256"], row["seed"], row["code_version"],
        row["dictionary_version"], row["files_sha256"], row["card"], row["parent_id"],
        row["former_id"], from_us(row["registered_at"]), row["registered_by"],
    )  # fmt: skip
