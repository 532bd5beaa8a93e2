"""A change of a limit as people say it, and the rows it makes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from jinqiao.engines.allocation import LimitRow
from jinqiao.errors import InputError

__all__ = ["Change", "changed_rows"]

_TEXT = re.compile(r"\s*([+-]?)\s*(\d+(?:[_,]\d{3})*(?:\.\d+)?|\.\d+)\s*(%?)\s*")
_FLOOR = "floor:"


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a number: ``by`` an amount, by a ``share`` of itself, or ``to`` a value."""

    how: str
    amount: float

    @classmethod
    def of(cls, given: Change | float | str, record: str = "change") -> Change:
        """Return the change of "+500", "-10%", "900", or of a number (the new value).

        Raises InputError for any other text, naming the record.
        """
        if isinstance(given, Change):
            return given
        if isinstance(given, int | float | np.number):
            return cls("to", float(given))
        match = _TEXT.fullmatch(given)
        if match is None or (match[3] and not match[1]):
            raise InputError(
                f"{given!r} is no change", record=record, field="change",
                fix="write +500, -10% or the new value",
            )  # fmt: skip
        amount = float(match[2].replace(",", "").replace("_", ""))
        signed = -amount if match[1] == "-" else amount
        if match[3]:
            return cls("share", signed / 100)
        return cls("by" if match[1] else "to", signed)

    def __call__(self, value: float) -> float:
        """Return the number after the change."""
        if self.how == "share":
            return value * (1 + self.amount)
        return value + self.amount if self.how == "by" else self.amount


def changed_rows(
    rows: Sequence[LimitRow], changes: Mapping[str, Change | float | str]
) -> tuple[LimitRow, ...]:
    """Return the rows with some limits (or approval floors) changed."""
    place = {row.name: i for i, row in enumerate(rows)}
    made = list(rows)
    for name, given in changes.items():
        floor, key = name.startswith("floor:") and name not in place, name.removeprefix("floor:")
        if (key if floor else name) not in place:
            raise InputError(
                f"no limit {name!r}", record=name, field="changes",
                fix=f"one of {', '.join(list(place)[:5])} …" if place else "the plan has no rows",
            )  # fmt: skip
        index = place[key if floor else name]
        made[index] = _changed(made[index], Change.of(given, name), floor)
    return tuple(made)


def _changed(row: LimitRow, change: Change, floor: bool) -> LimitRow:
    if floor:
        share = change(row.floor)
        if row.measure != "approval" or not 0 <= share <= 1:
            raise InputError(
                f"a floor of {share:g}", record=row.name, field="floor",
                fix="give an approval row a share in 0 … 1",
            )  # fmt: skip
        return replace(row, floor=share)
    limit = change(row.limit)
    if limit == row.limit:
        return row
    if not math.isfinite(limit) or (limit < 0 <= row.limit):
        raise InputError(
            f"{limit:g} is no limit", record=row.name, field="limit",
            fix=f"it is {row.limit:g} now: take off less",
        )  # fmt: skip
    return replace(row, limit=limit)
