"""Arms at work: what an arm may change, who is in which, and the shelf each is served from.

Compiled when what runs changes, so that a request reads no store: a few hashes say the arm, and
every arm's serving is kept. A shelf's arms stand in each of its rows of the decision log.

Letters: r requests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jinqiao.domain.experiment import CUSTOMER, Trial, arms_in, arms_text
from jinqiao.engines.split import OUTSIDE, Split
from jinqiao.errors import InputError, JinqiaoError, NotFound
from jinqiao.shelf import Requests, Serving
from jinqiao.shelf.rank import POLICIES
from jinqiao.shelf.serving import Chances

if TYPE_CHECKING:
    from jinqiao.domain.shelf import Shelf
    from jinqiao.flow.wiring import Engine
    from jinqiao.shelf import Shelves

__all__ = ["CHANGES", "Arms", "Change", "Parted", "check_changes", "compiled", "serving_then"]


@dataclass(frozen=True, slots=True)
class Change:
    """A setting that an arm may change: ``kind`` is share, whole, switch or word."""

    kind: str
    least: float = 0.0
    most: float = 0.0
    shelf: str = ""
    """Its name in ``shelf.Settings``, "" where it is none."""


CHANGES: Mapping[str, Change] = MappingProxyType(
    {
        "slots": Change("whole", 1, 12, "slots"),
        "exploration_share": Change("share", 0.0, 0.5, "exploration_share"),
        "max_per_class": Change("whole", 1, 12, "class_most"),
        "max_per_institution": Change("whole", 1, 12, "institution_most"),
        "beta": Change("share", 0.0, 10.0, "beta"),
        "refusal_harm_minor": Change("whole", 0, 10**9, "refusal_harm_minor"),
        "pricing": Change("switch"),
        "badge": Change("switch"),
        "policy": Change("word"),
        "model": Change("word"),
    }
)
"""What the serving path has. The first six are those of ``jinqiao.toml``; ``pricing`` off ranks by
value alone; ``badge`` off leaves approval odds unsaid; ``policy`` is a shelf's; ``model`` is one on
record (`jinqiao model list`), a challenger beside the champion."""


def check_changes(engine: Engine, trial: Trial) -> None:
    """Return when every change of every arm is one that serving has, and in its range.

    Raises InputError for a setting that is not there or a value it cannot have, NotFound for a
    model that is not kept.
    """
    for arm in trial.arms:
        for name, value in arm.changes.items():
            where = f"{trial.experiment_id}/{arm.name}"
            if name not in CHANGES:
                raise InputError(
                    "an arm cannot change this", record=where, field=name,
                    fix=f"one of {', '.join(CHANGES)}",
                )  # fmt: skip
            if not _fits(CHANGES[name], value):
                raise InputError(
                    f"{value!r} is not what it may be", record=where, field=name,
                    fix=_range(CHANGES[name]),
                )  # fmt: skip
            if name == "policy" and value not in POLICIES:
                raise InputError(
                    f"no policy {value!r}", record=where, field=name,
                    fix=f"one of {', '.join(POLICIES)}",
                )  # fmt: skip
            if name == "model":
                _model(engine, str(value))


def _fits(change: Change, value: object) -> bool:
    if change.kind == "switch":
        return isinstance(value, bool)
    if change.kind == "word":
        return isinstance(value, str) and bool(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    whole = isinstance(value, int) or change.kind == "share"
    return whole and change.least <= value <= change.most


def _range(change: Change) -> str:
    if change.kind == "switch":
        return "true or false"
    if change.kind == "word":
        return "a name"
    kind = "a whole number" if change.kind == "whole" else "a number"
    return f"{kind} from {change.least:g} to {change.most:g}"


@dataclass(frozen=True, slots=True)
class _Ready:
    """A trial ready to place units: ``texts`` by place, the holdout's (−1) last."""

    unit: str
    split: Split
    texts: tuple[str, ...]

    def text(self, customer_id: str, session_id: str) -> str:
        """Return "trial=arm" of a shelf, "" where it takes no part."""
        unit = customer_id if self.unit == CUSTOMER else session_id
        place = self.split.place(unit) if unit else OUTSIDE
        return "" if place == OUTSIDE else self.texts[place]


@dataclass(eq=False)
class Arms:
    """What runs, over one serving. ``trials`` by id; made by ``compiled``."""

    trials: tuple[Trial, ...]
    base: Serving
    scorers: Mapping[str, tuple[Chances, str]]
    _ready: tuple[_Ready, ...]
    _made: dict[str, tuple[Serving, str]] = field(default_factory=dict)

    def text(self, customer_id: str, session_id: str) -> str | None:
        """Return the arms of a shelf as the log keeps them, None where it is in no trial."""
        found = [text for one in self._ready if (text := one.text(customer_id, session_id))]
        return ";".join(found) or None

    def assigned(self, requests: Requests) -> tuple[Requests, list[str | None]]:
        """Return requests with the arms each is in, and those as plain texts."""
        pairs = zip(requests.customer_id.to_pylist(), requests.session_id.to_pylist(), strict=True)
        texts = [self.text(customer or "", session or "") for customer, session in pairs]
        return replace(requests, arms=pa.array(texts, pa.string())), texts

    def changes(self, text: str | None) -> Mapping[str, object]:
        """Return all that the arms of a shelf change; of a trial that has ended, nothing."""
        return _changes({one.experiment_id: one for one in self.trials}, text)

    def serving(self, text: str | None) -> tuple[Serving, str]:
        """Return what a shelf of these arms is made from, and by which policy."""
        if not text:
            return self.base, "plan"
        made = self._made.get(text)
        if made is None:
            made = self._made[text] = _varied(self.base, self.changes(text), self.scorers)
        return made


def compiled(
    engine: Engine, trials: Sequence[Trial], base: Serving, before: Arms | None = None
) -> Arms | None:
    """Return what runs over a serving, None when nothing does; models already loaded are kept.

    An experiment whose model cannot be read takes nobody: serving goes on without it.
    """
    if not trials:
        return None
    if before is not None and before.base is base and before.trials == tuple(trials):
        return before
    known = dict(before.scorers) if before is not None and _same_goods(before, base) else {}
    scorers: dict[str, tuple[Chances, str]] = {}
    lost: set[str] = set()
    for name in sorted({str(x["model"]) for t in trials for x in _settings(t) if "model" in x}):
        try:
            scorers[name] = known.get(name) or _scorer(engine, name, base)
        except JinqiaoError:
            lost.add(name)
    sound = [t for t in trials if not lost & {str(x.get("model", "")) for x in _settings(t)}]
    ready = tuple(
        _Ready(
            one.unit,
            Split.of(
                one.salt, [arm.share for arm in one.arms], out=one.holdout, layer=one.layer,
                within=one.slice,
            ),
            (
                *(arms_text({one.experiment_id: arm.name}) for arm in one.arms),
                arms_text({one.experiment_id: ""}),
            ),
        )
        for one in sound
    )  # fmt: skip
    return Arms(tuple(trials), base, scorers, ready)


def _same_goods(before: Arms, base: Serving) -> bool:
    same_people = before.base.profiles is base.profiles
    return same_people and before.base.products is base.products


def serving_then(engine: Engine, base: Serving, text: str | None) -> tuple[Serving, str]:
    """Return what a logged shelf was made from, by the arms in its row, and by which policy.

    Raises NotFound for a trial that is not on record, or a model that is not kept any more.
    """
    from jinqiao import insight

    if not text:
        return base, "plan"
    with engine.records.reading() as tx:
        trials = {name: insight.one_trial(tx, name) for name in arms_in(text)}
    changes = _changes(trials, text)
    name = changes.get("model")
    scorers = {str(name): _scorer(engine, str(name), base)} if name else {}
    return _varied(base, changes, scorers)


def _settings(trial: Trial) -> list[Mapping[str, object]]:
    return [arm.changes for arm in trial.arms]


def _changes(trials: Mapping[str, Trial], text: str | None) -> dict[str, object]:
    """Return all that the arms of a shelf change; no two trials of one shelf share a setting."""
    found: dict[str, object] = {}
    for name, arm_name in arms_in(text).items():
        arm = trials[name].arm(arm_name) if name in trials else None
        found |= arm.changes if arm is not None else {}
    return found


def _varied(
    base: Serving, changes: Mapping[str, object], scorers: Mapping[str, tuple[Chances, str]]
) -> tuple[Serving, str]:
    rule = {CHANGES[name].shelf: value for name, value in changes.items() if CHANGES[name].shelf}
    parts: dict[str, object] = {}
    if rule:
        parts["settings"] = replace(base.settings, **rule)  # type: ignore[arg-type]
    if changes.get("pricing") is False:
        free = np.zeros_like(base.prices.count)
        parts["prices"] = replace(base.prices, count=free, cost=free, approval=free)
    if "model" in changes:
        chances, version = scorers[str(changes["model"])]
        parts |= {"chances": chances, "versions": replace(base.versions, model=version)}
    policy = str(changes.get("policy", "plan"))
    return (base.varied(**parts) if parts else base), policy


def _model(engine: Engine, model_id: str) -> Path:
    folder = engine.models.version(model_id)
    if folder is None:
        raise NotFound(
            "no such model is kept", record=model_id, field="model", fix="see `jinqiao model list`"
        )
    return folder


def _scorer(engine: Engine, model_id: str, base: Serving) -> tuple[Chances, str]:
    """Return the chances by a model on record over these profiles, and its version."""
    from jinqiao import propensity

    model = propensity.load(_model(engine, model_id), dictionary=engine.dictionary)
    return propensity.Scorer(model, base.profiles, base.products), model.version


@dataclass(frozen=True, eq=False)
class Parted:
    """Shelves of several arms, as one: ``parts`` are rows of the requests and their shelves."""

    n: int
    parts: tuple[tuple[NDArray[np.int64], Shelves], ...]

    def __len__(self) -> int:
        return self.n

    def rows(self, *, received_us: int | None = None) -> pa.Table:
        """Return the decision log, in the order of the requests; see ``Shelves.rows``."""
        tables = [made.rows(received_us=received_us) for _, made in self.parts]
        at = [rows[made.placed.request] for rows, made in self.parts]
        return _in_order(tables, at)

    def empty_rows(self, *, received_us: int | None = None) -> pa.Table:
        """Return the shelves that hold no offer, in the order of the requests."""
        tables = [made.empty_rows(received_us=received_us) for _, made in self.parts]
        at = [
            rows[np.setdiff1d(np.arange(len(made)), made.placed.request)]
            for rows, made in self.parts
        ]
        return _in_order(tables, at)

    def record(self, i: int) -> Shelf:
        """Return one shelf as a record."""
        for rows, made in self.parts:
            place = np.flatnonzero(rows == i)
            if place.size:
                return made.record(int(place[0]))
        raise NotFound("no such request", record=str(i), field="i")


def _in_order(tables: Sequence[pa.Table], at: Sequence[NDArray[np.int64]]) -> pa.Table:
    order = np.argsort(np.concatenate(at), kind="stable")
    return pa.concat_tables(tables).take(pa.array(order))
