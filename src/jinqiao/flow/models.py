"""Models through their life: trained as challengers, compared, promoted, rolled back.

The champion on record is what ``publish`` serves. Files lie under ``models/<id>``, immutable and
with checksums, verified before they are read; work that is not finished under ``models/.work``.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinqiao.domain.model import Model, ModelAction, ModelDecision, ModelStatus
from jinqiao.domain.time import DAY_US, from_us, to_us
from jinqiao.errors import InputError, JinqiaoError, NotFound, Unavailable
from jinqiao.flow.wiring import Engine, Progress, nothing_to_say

if TYPE_CHECKING:
    from jinqiao.propensity import ChainModel, ChainSpec, StageContest, TrainingSet
    from jinqiao.store.base import Tx

__all__ = [
    "Trained", "champion_chain", "model_list", "model_page", "model_show", "promote_model",
    "roll_back_model", "train_challenger", "unfinished_as_of",
]  # fmt: skip

_WORK, _RUN = ".work", "run.json"
_RUN_DAYS = 1


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training came to. ``action`` is the decision; ``champion_id`` serves after it.

    ``resumed`` are the stages a run that was stopped had finished; ``known``: the very model was on
    record already, and nothing was done.
    """

    model_id: str
    action: str
    reason: str
    champion_id: str | None
    known: bool = False
    resumed: tuple[str, ...] = ()
    contest: tuple[StageContest, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)


def train_challenger(
    engine: Engine,
    rows: TrainingSet,
    *,
    seed: int,
    actor: str,
    spec: ChainSpec | None = None,
    margin: float | None = None,
    progress: Progress = nothing_to_say,
) -> Trained:
    """Train a chain of these rows, put it on record, and let it serve if it is no worse.

    Stages that an earlier run finished for the same rows, seed and settings are not trained again,
    and the model is the same bit for bit. A model that is worse than the champion by more than the
    margin in any stage (see ``propensity.contest``), that is broken, or that there are too few new
    rows to compare by, stays a challenger with the reason.
    """
    from jinqiao import propensity

    spec = spec or propensity.ChainSpec()
    model_id = propensity.chain_version(rows, spec, seed)
    known = _on_record(engine, model_id)
    if known is not None:
        return known
    key = propensity.work_key(rows, spec, seed)
    resumed: list[str] = []
    seconds: dict[str, float] = {}
    began = time.perf_counter()

    def told(stage: str, again: bool) -> None:
        if again:
            resumed.append(stage)
        seconds[stage] = round(time.perf_counter() - began, 2)
        progress(f"learn {stage}", 0.8 * len(seconds) / 4)

    work = propensity.UnfinishedStages(_work(engine) / key, rows.layout.names, told)
    progress("learn", 0.0)
    model = propensity.train(rows, seed=seed, spec=spec, kept=work)
    progress("compare", 0.85)
    folder = _write(engine, model, rows, seed)
    told_by = _compared(engine, (model, folder), rows, seed, margin)
    action, champion_id = _record(engine, model, folder, told_by, actor)
    work.drop()
    progress("done", 1.0)
    return Trained(
        model_id, action, told_by.reason, champion_id, False, tuple(resumed), told_by.stages,
        seconds,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Compared:
    champion_id: str | None
    stages: tuple[StageContest, ...]
    action: ModelAction
    reason: str

    def plain(self) -> dict[str, Any]:
        if not self.stages:
            return {}
        return {"champion": self.champion_id, "stages": [asdict(one) for one in self.stages]}


def _on_record(engine: Engine, model_id: str) -> Trained | None:
    from jinqiao import propensity

    with engine.records.reading() as tx:
        try:
            propensity.find_model(tx, model_id)
        except NotFound:
            return None
        last = propensity.model_decisions(tx, model_id, limit=1)[0]
        standing = propensity.champion(tx)
    champion_id = None if standing is None else standing.model_id
    return Trained(model_id, last.action.value, last.reason, champion_id, known=True)


def _write(engine: Engine, model: ChainModel, rows: TrainingSet, seed: int) -> Path:
    """Write a model's files once and for all; they are read back and held against it."""
    from jinqiao import propensity

    def write(folder: Path) -> None:
        propensity.save(model, folder)
        propensity.write_reference(propensity.reference_of(model, rows, seed=seed), folder)

    def check(folder: Path) -> None:
        again = propensity.load(folder, dictionary=engine.dictionary, purpose=rows.purpose)
        if again.version != model.version:
            raise Unavailable("read back as another model", record=model.version)
        propensity.read_reference(folder)

    return engine.models.publish(model.version, write, check)


def _compared(
    engine: Engine, fresh: tuple[ChainModel, Path], rows: TrainingSet, seed: int,
    margin: float | None,
) -> _Compared:  # fmt: skip
    """Return what is to be done with a model that was just trained, and why."""
    from jinqiao import propensity

    model, folder = fresh
    again = propensity.load(folder, dictionary=engine.dictionary, purpose=rows.purpose)
    with engine.records.reading() as tx:
        standing, held = propensity.champion(tx), propensity.is_held(tx)
    name = None if standing is None else standing.model_id
    faults = propensity.faults_of(again, rows, seed=seed)
    if faults:
        return _Compared(name, (), ModelAction.REFUSED, f"broken: {'; '.join(faults)}")
    if standing is None:
        return _Compared(None, (), ModelAction.PROMOTED, "the first of its kind")
    try:
        theirs = _read(engine, standing)
    except JinqiaoError as error:
        said = f"the champion cannot be read: {error}"
        return _Compared(name, (), ModelAction.HELD if held else ModelAction.PROMOTED, said)
    stages = propensity.contest(
        theirs, model, rows, champion_as_of_us=to_us(standing.trained_as_of), seed=seed,
        margin=propensity.MARGIN if margin is None else margin,
    )  # fmt: skip
    worse = [one.stage for one in stages if one.verdict == "worse"]
    if worse:
        said = f"worse than {name} beyond the margin at {', '.join(worse)}"
        return _Compared(name, stages, ModelAction.REFUSED, said)
    if not _judged(stages):
        said = f"too few rows since {name} was trained to compare: it waits"
        return _Compared(name, stages, ModelAction.HELD, said)
    told = ", ".join(f"{one.stage} {one.verdict}" for one in stages)
    if held:
        said = f"no worse than {name} ({told}), but a rollback stands: promote it by name"
        return _Compared(name, stages, ModelAction.HELD, said)
    return _Compared(name, stages, ModelAction.PROMOTED, f"no worse than {name}: {told}")


def _judged(stages: Sequence[StageContest]) -> bool:
    return any(one.verdict != "too_few" for one in stages)


def _record(
    engine: Engine, model: ChainModel, folder: Path, found: _Compared, actor: str
) -> tuple[str, str | None]:
    """Put a model and its decision on record in one transaction; return decision and champion."""
    from jinqiao import propensity

    now = engine.clock()
    record = _model(model, _digest(folder), found.champion_id, actor, now)
    by = propensity.By(actor, now, found.reason, found.plain())

    def step(tx: Tx) -> tuple[str, str | None]:
        propensity.register(tx, record, propensity.By(actor, now))
        standing = propensity.champion(tx)
        name = None if standing is None else standing.model_id
        action, said = found.action, by
        if name != found.champion_id:
            action = ModelAction.REFUSED
            said = propensity.By(actor, now, "the champion changed meanwhile", found.plain())
        if action is ModelAction.PROMOTED:
            propensity.promote(tx, model.version, said)
            return action.value, model.version
        note = propensity.hold if action is ModelAction.HELD else propensity.refuse
        note(tx, model.version, said, other_id=found.champion_id)
        return action.value, name

    done = engine.write(step, durable=True)
    assert isinstance(done, tuple)
    return done


def _model(model: ChainModel, digest: str, parent_id: str | None, actor: str, now_us: int) -> Model:
    from datetime import datetime

    card = model.card
    return Model(
        model.version, str(card["kind"]), ModelStatus.CHALLENGER, model.purpose.value,
        datetime.fromisoformat(card["trained_as_of"]), card["data_sha256"], card["seed"],
        card["code_version"], card["dictionary_version"], digest, json.loads(json.dumps(card)),
        parent_id, None, from_us(now_us), actor,
    )  # fmt: skip


def _digest(folder: Path) -> str:
    """Return the digest of a model's manifest, which holds those of its files."""
    return hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()


def _read(engine: Engine, record: Model) -> ChainModel:
    """Return a model on record, every file verified; raise Unavailable for one that is damaged."""
    from jinqiao import propensity

    folder = engine.models.version(record.model_id)
    if folder is None or _digest(folder) != record.files_sha256:
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
    return None if standing is None else _read(engine, standing)


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
    _read(engine, model)
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
        _read(engine, back)
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


# -- a run that was stopped -------------------------------------------------------------------


def _work(engine: Engine) -> Path:
    return engine.workspace.models / _WORK


def unfinished_as_of(engine: Engine, seed: int, *, afresh: bool = False) -> int:
    """Return the instant to train as of: that of a run that was stopped, else now.

    A run of another seed, or of more than a day ago, is not gone on with; nor any with ``afresh``.
    """
    path, now = _work(engine) / _RUN, engine.clock()
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
        same = run["seed"] == seed and 0 <= now - run["as_of_us"] <= _RUN_DAYS * DAY_US
        if same and not afresh:
            return int(run["as_of_us"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps({"seed": seed, "as_of_us": now}), encoding="utf-8")
    draft.replace(path)
    return now


def finish_run(engine: Engine) -> None:
    """Forget a run, and what earlier ones left: there is nothing to go on with."""
    import shutil

    shutil.rmtree(_work(engine), ignore_errors=True)
