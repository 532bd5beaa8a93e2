"""Models trained: each a challenger on record, compared with the champion, serving if no worse.

Work that is not finished lies under ``models/.work``, stage by stage, and is gone on with.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinqiao.domain.model import Model, ModelAction, ModelStatus
from jinqiao.domain.time import DAY_US, from_us, to_us
from jinqiao.errors import JinqiaoError, NotFound, Unavailable
from jinqiao.flow.model_record import files_digest, read_model_of
from jinqiao.flow.wiring import Engine, Progress, nothing_to_say

if TYPE_CHECKING:
    from jinqiao.propensity import ChainModel, ChainSpec, StageContest, TrainingSet
    from jinqiao.store.base import Tx

__all__ = ["Trained", "finish_run", "train_challenger", "unfinished_as_of"]

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
    model = propensity.with_context(model, rows, seed=seed)
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
        theirs = read_model_of(engine, standing)
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
    record = _model(model, files_digest(folder), found.champion_id, actor, now)
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
    """Forget a run that came to its end, and work that nobody went on with for a day."""
    import shutil

    home = _work(engine)
    (home / _RUN).unlink(missing_ok=True)
    for left in home.glob("*/"):
        if time.time() - left.stat().st_mtime > _RUN_DAYS * 86_400:
            shutil.rmtree(left, ignore_errors=True)
