"""How far what was served each day lies from what a model was learnt from: PSI by day.

A day is the marketplace's own. Features are those of the snapshot each shelf was made with, of the
customers shown something on that day whose consent stands now; scores are the chances that were
logged, of the offers this very model scored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jinqiao.domain.consent import Purpose
from jinqiao.domain.time import DAY_US, from_us, to_us
from jinqiao.engines.drift import MAJOR, MODERATE
from jinqiao.errors import InputError, NotFound, Unavailable
from jinqiao.flow.wiring import Engine

if TYPE_CHECKING:
    from jinqiao.domain.model import Model
    from jinqiao.engines.drift import Shift
    from jinqiao.propensity import Reference

__all__ = ["SOURCE", "DayDrift", "ModelDrift", "model_drift"]

SOURCE = "Siddiqi, Credit Risk Scorecards (2006); Yurdakul (2018) for the floor"
_EPOCH = date(1970, 1, 1)
_SHOWN = """
select cast(floor((epoch_us(occurred_at) + $offset) / $day_us) as bigint) as day, customer_id,
       epoch_us(feature_as_of) as as_of_us, model_version, p_click, p_application, p_approval,
       p_activation
from decisions
where customer_id <> '' and personalised and epoch_us(occurred_at) >= $begin
"""
_CHANCES = ("p_click", "p_application", "p_approval", "p_activation")


@dataclass(frozen=True, slots=True)
class DayDrift:
    """One day: shifts by feature and by stage, {} where nothing was shown.

    ``learnt``: the model was trained on this day's rows, so what differs is no news.
    """

    day: str
    customers: int
    learnt: bool
    features: Mapping[str, Shift]
    scores: Mapping[str, Shift]


@dataclass(frozen=True, slots=True)
class ModelDrift:
    """The drift of one model, oldest day first. ``moderate`` and ``major`` are the thresholds."""

    model_id: str
    days: tuple[DayDrift, ...]
    moderate: float = MODERATE
    major: float = MAJOR
    source: str = SOURCE

    @property
    def alarms(self) -> tuple[tuple[str, str, str, Shift], ...]:
        """Return (day, kind, name, shift) of moderate and major shifts, the newest day first.

        Of days after the training alone.
        """
        return tuple(
            (one.day, kind, name, shift)
            for one in reversed(self.days)
            if not one.learnt
            for kind, shifts in (("score", one.scores), ("feature", one.features))
            for name, shift in sorted(shifts.items(), key=lambda pair: -pair[1].psi)
            if shift.verdict in ("moderate", "major")
        )

    def worst(self, most: int) -> tuple[str, ...]:
        """Return the features that lie farthest above their floor, by the mean of all days.

        Of days after the training, where there are any.
        """
        after = [one for one in self.days if not one.learnt] or self.days
        beyond: dict[str, list[float]] = {}
        for one in after:
            for name, shift in one.features.items():
                beyond.setdefault(name, []).append(shift.psi - shift.floor)
        mean = {name: sum(parts) / len(parts) for name, parts in beyond.items()}
        return tuple(sorted(mean, key=lambda name: -mean[name])[:most])


def model_drift(engine: Engine, model_id: str = "", *, days: int = 28) -> ModelDrift:
    """Return the drift of a model (without an id the champion) over the last days logged.

    Raises NotFound before any model is on record, Unavailable where its reference is damaged,
    InputError for no days.
    """
    from jinqiao import propensity

    if days < 1:
        raise InputError(f"{days} days", field="days", fix="1 or more")
    with engine.records.reading() as tx:
        model = propensity.find_model(tx, model_id) if model_id else propensity.champion(tx)
    if model is None:
        raise NotFound("no model was trained here yet", fix="run `jinqiao model train`")
    folder = engine.models.version(model.model_id)
    if folder is None:
        raise Unavailable("its files are gone", record=model.model_id, fix="train again")
    reference = propensity.read_reference(folder)
    found = _days(engine, reference, model, days)
    return ModelDrift(model.model_id, tuple(found))


def _days(engine: Engine, reference: Reference, model: Model, days: int) -> Iterator[DayDrift]:
    shown = _shown(engine, days)
    if not shown.num_rows:
        return
    kept: dict[int, pa.Table | None] = {}
    trained_day = (to_us(model.trained_as_of) + _offset_us(engine)) // DAY_US
    day = shown["day"].to_numpy()
    for number in range(int(day.max()) - days + 1, int(day.max()) + 1):
        rows = shown.filter(pa.array(day == number))
        label = (_EPOCH + timedelta(days=number)).isoformat()
        own = rows.filter(pc.equal(rows["model_version"], model.model_id))
        chances = np.column_stack([own[name].to_numpy() for name in _CHANCES])
        people = pc.count_distinct(own["customer_id"]).as_py()
        yield DayDrift(
            label, pc.count_distinct(rows["customer_id"]).as_py(), number < trained_day,
            reference.feature_shifts(_profiles(engine, rows, kept)),
            reference.score_shifts(chances, people),
        )  # fmt: skip


def _shown(engine: Engine, days: int) -> pa.Table:
    """Return the rows of the last days that hold any."""
    newest = engine.lake.query("select epoch_us(max(occurred_at)) as at from decisions")
    at = newest["at"][0].as_py()
    offset = _offset_us(engine)
    begin = 0 if at is None else ((at + offset) // DAY_US - days + 1) * DAY_US - offset
    return engine.lake.query(_SHOWN, offset=offset, day_us=DAY_US, begin=begin)


def _offset_us(engine: Engine) -> int:
    from zoneinfo import ZoneInfo

    here = from_us(engine.clock()).astimezone(ZoneInfo(engine.settings.marketplace.zone))
    offset = here.utcoffset()
    return int(offset.total_seconds() * 1e6) if offset else 0


def _profiles(
    engine: Engine, rows: pa.Table, kept: dict[int, pa.Table | None]
) -> Iterator[pa.Table]:
    """Yield the profiles of a day's customers, each in the snapshot of their first shelf."""
    first = rows.group_by("customer_id").aggregate([("as_of_us", "min")])
    for as_of in pc.unique(first["as_of_us_min"]).to_pylist():
        if as_of is None:
            continue
        if as_of not in kept:
            kept[as_of] = _kept(engine, as_of)
        table = kept[as_of]
        if table is not None:
            ids = first.filter(pc.equal(first["as_of_us_min"], as_of))["customer_id"]
            here = pc.is_in(table["customer_id"], value_set=ids.combine_chunks())
            yield table.filter(here)


def _kept(engine: Engine, as_of_us: int) -> pa.Table | None:
    """Return a profile snapshot without those whose consent does not stand now."""
    from jinqiao import customer

    table = engine.lake.read_features(as_of_us, engine.dictionary.version)
    if table is None:
        return None
    with engine.records.reading() as tx:
        state = customer.consent_state(tx, engine.clock(), purpose=Purpose.PERSONALISE)
    ids = state.filter(state["granted"])["customer_id"].combine_chunks()
    return table.filter(pc.is_in(table["customer_id"], value_set=ids))


def plain(found: ModelDrift) -> dict[str, Any]:
    """Return a drift as plain JSON values, one row a day and name."""
    from dataclasses import asdict

    rows = [
        {"day": one.day, "kind": kind, "name": name, **asdict(shift)}
        for one in found.days
        for kind, shifts in (("score", one.scores), ("feature", one.features))
        for name, shift in shifts.items()
    ]
    return {
        "model_id": found.model_id,
        "moderate": found.moderate,
        "major": found.major,
        "source": found.source,
        "days": [
            {"day": one.day, "customers": one.customers, "learnt": one.learnt} for one in found.days
        ],
        "rows": rows,
        "alarms": [
            {"day": day, "kind": kind, "name": name, **asdict(shift)}
            for day, kind, name, shift in found.alarms
        ],
    }
