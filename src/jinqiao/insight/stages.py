"""Anyone's table of timestamped stages, long or wide, read into when each case reached each stage.

Long: a row a stage reached (case_id, stage, occurred_at). Wide: a row a case, a column a stage.
Instants may be texts. Letters: n cases, s stages that are passed.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jinqiao.domain.time import DAY_US
from jinqiao.engines.given import column_of, instants_of, table_of
from jinqiao.errors import InputError, SchemaError

__all__ = ["Reached", "Stages", "read_stages"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Stages:
    """The stages a case passes, first the one it starts with; how it ends; what columns are called.

    ``columns`` are those of the case, the stage and the instant.
    """

    passed: tuple[str, ...]
    yes: str
    no: tuple[str, ...]
    columns: tuple[str, str, str] = ("case_id", "stage", "occurred_at")

    def __post_init__(self) -> None:
        names = [*self.passed, self.yes, *self.no]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None or not self.passed:
            raise InputError(
                "no stage is named" if twice is None else f"{twice!r} is named twice",
                field="stages", fix="name each once: those passed, yes, and no",
            )  # fmt: skip

    @property
    def place(self) -> dict[str, int]:
        """Return each stage's place: those passed, yes, then all of no."""
        place = {name: i for i, name in enumerate((*self.passed, self.yes))}
        return place | dict.fromkeys(self.no, len(self.passed) + 1)


@dataclass(frozen=True, slots=True)
class Reached:
    """When each case reached each stage: (n, s + 2) days since 1970, inf where it did not.

    Columns: those passed, yes, no. ``newest`` is the latest instant of the table, in days.
    """

    case_id: pa.Array
    at: Floats
    newest: float

    def known(self, now: float) -> Floats:
        """Return the same as it was known at an instant: what came later is inf."""
        return np.where(self.at <= now, self.at, np.inf)

    def take(self, rows: NDArray[np.int64]) -> Reached:
        return Reached(self.case_id.take(pa.array(rows)), self.at[rows], self.newest)


def read_stages(events: Any, stages: Stages) -> Reached:
    """Return when each case reached each stage; warn of what the table can hardly mean.

    Raises
    ------
    SchemaError : a column is missing or has another type, a value is missing, by row. InputError :
        no row of any stage named; a case twice in a wide table.
    """
    table = table_of(events, record="events")
    wide = stages.columns[1] not in table.column_names and stages.passed[0] in table.column_names
    found = _wide(table, stages) if wide else _long(table, stages)
    _doubts(found.at, stages)
    return found


def _long(table: pa.Table, stages: Stages) -> Reached:
    case_name, stage_name, at_name = stages.columns
    for name in stages.columns:
        column = column_of(table, name, record="events")
        if column.null_count:
            row = int(np.argmax(column.is_null().to_numpy()))
            raise SchemaError("a value is missing", record=f"events row {row}", field=name,
                              fix="leave the row out, or say what it is")  # fmt: skip
    at = instants_of(table[at_name], at_name, record="events").to_numpy(zero_copy_only=False)
    text = table[stage_name].cast(pa.string())
    place = pc.index_in(text, pa.array(list(stages.place)))
    kept = place.is_valid().to_numpy()
    if not kept.any():
        seen = ", ".join(repr(v) for v in sorted(text.unique().to_pylist())[:8])
        raise InputError("no row is of a stage that is named", record="events", field=stage_name,
                         fix=f"stages in the table are {seen}")  # fmt: skip
    coded = table[case_name].filter(pa.array(kept)).combine_chunks().dictionary_encode()
    spot = np.array(list(stages.place.values()))[place.drop_null().to_numpy()]
    out = np.full((len(coded.dictionary), len(stages.passed) + 2), np.inf)
    day = at[kept].astype(np.float64) / DAY_US
    np.minimum.at(out, (coded.indices.to_numpy(zero_copy_only=False), spot), day)
    return Reached(coded.dictionary, out, float(at.max()) / DAY_US)


def _wide(table: pa.Table, stages: Stages) -> Reached:
    name = stages.columns[0]
    case = column_of(table, name, record="events").combine_chunks()
    if len(case.unique()) < len(case):
        twice = next(i for i, v in enumerate(case.to_pylist()) if case.index(v).as_py() < i)
        raise InputError(f"{case[twice].as_py()!r} is there twice", record=f"events row {twice}",
                         field=name, fix="a row a case, or a row a stage reached")  # fmt: skip
    out = np.full((len(case), len(stages.passed) + 2), np.inf)
    for stage, spot in stages.place.items():
        found = instants_of(column_of(table, stage, record="events"), stage, record="events")
        day = found.cast(pa.float64()).to_numpy(zero_copy_only=False) / DAY_US
        out[:, spot] = np.fmin(out[:, spot], day)
    reached = out[np.isfinite(out)]
    if not len(reached):
        raise InputError("no case has reached any stage", record="events", field=stages.passed[0],
                         fix="give an instant for each stage reached")  # fmt: skip
    return Reached(case, out, float(reached.max()))


def _doubts(at: Floats, stages: Stages) -> None:
    """Warn of cases that never start, and of those that end before they start."""
    first, ends = at[:, 0], np.minimum(at[:, -2], at[:, -1])
    lost = int((~np.isfinite(first) & np.isfinite(ends)).sum())
    before = int((np.isfinite(first) & (ends < first)).sum())
    both = int((np.isfinite(at[:, -2]) & (at[:, -2] == at[:, -1])).sum())
    if not np.isfinite(at[:, -2]).any():
        warnings.warn(f"no case has reached {stages.yes!r}", UserWarning, stacklevel=4)
    for count, what in (
        (lost, f"end without {stages.passed[0]!r}: they are left out"),
        (before, f"end before {stages.passed[0]!r}: they count as ended at once"),
        (both, "end in yes and no at one instant: they count as yes"),
    ):
        if count:
            warnings.warn(f"{count} of {len(at)} cases {what}", UserWarning, stacklevel=4)
