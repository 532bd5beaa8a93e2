"""What a model may be told: each column names its source, and what it knew and when.

A column from a table without dates, a column that *is* the outcome, and a value made from rows
dated on or after the decision are refused with an error, whoever built them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from jinqiao.domain.time import from_us
from jinqiao.errors import InputError, NotFound

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ASKED", "Cases", "Evidence", "refuse_columns", "training_table"]

_UNDATED: Mapping[str, str] = MappingProxyType(
    {"order": "a standing order has no date: it may have been set up after the loan"}
)
_OUTCOMES: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("loan", "status"): "how the loan ended is the outcome itself",
        ("loan", "has_full_history"): "it tells when the loan was granted, not who asked",
        ("bank_marketing", "duration"): "the length of the call is known only after the call",
        ("bank_marketing", "y"): "the answer is the outcome itself",
    }
)
ASKED = frozenset({"amount", "duration", "payments"})
"""Columns of ``loan`` that the applicant asked for: known on the day of the decision."""


@dataclass(frozen=True)
class Evidence:
    """Columns about accounts and where they come from.

    ``table``: ``account_id`` and the columns, one row an account. ``source``: the source's table.
    ``newest_us`` (n,): the instant of the newest row each row's values were made from; None only
    for what was asked for.
    """

    source: str
    table: pa.Table
    newest_us: NDArray[np.int64] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(name for name in self.table.column_names if name != "account_id")


@dataclass(frozen=True)
class Cases:
    """Accounts (n,), what became of each (n,) 0 or 1, and the instant each was decided (n,) µs.

    Only what happened before that instant may be known.
    """

    account_id: NDArray[np.int64]
    label: NDArray[np.int64]
    decided_us: NDArray[np.int64]


def refuse_columns(source: str, columns: Sequence[str]) -> None:
    """Raise InputError when a source's columns hold an outcome, or the source has no dates."""
    if source in _UNDATED:
        raise InputError(
            f"refused as a feature: {_UNDATED[source]}", record=source,
            field=columns[0] if columns else None, fix="leave the table out",
        )  # fmt: skip
    for name in columns:
        if (source, name) in _OUTCOMES:
            raise InputError(
                f"refused as a feature: {_OUTCOMES[source, name]}",
                record=source, field=name, fix="leave the column out",
            )  # fmt: skip


def training_table(cases: Cases, evidence: Sequence[Evidence], *, target: str) -> pa.Table:
    """Return one row a case: every evidence column, then the label as ``target``.

    Raises
    ------
    InputError : a column from an undated table, an outcome, or a value that knew a row dated on or
        after the decision; NotFound : an account without evidence.
    """
    import pyarrow as pa

    columns: dict[str, pa.ChunkedArray | pa.Array] = {}
    for one in evidence:
        refuse_columns(one.source, one.columns)
        places = _places(one, cases.account_id)
        _refuse_late(one, cases, places)
        part = one.table.take(pa.array(places))
        for name in one.columns:
            if name in columns or name == target:
                raise InputError("two columns of one name", record=one.source, field=name)
            columns[name] = part[name]
    columns[target] = pa.array(cases.label, pa.int64())
    return pa.table(columns)


def _places(one: Evidence, accounts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the evidence row of each account."""
    at = {int(name): i for i, name in enumerate(one.table["account_id"].to_pylist())}
    lost = [name for name in accounts.tolist() if name not in at]
    if lost:
        raise NotFound("no row of this account", record=f"{one.source} account {lost[0]}")
    return np.array([at[name] for name in accounts.tolist()], np.int64)


def _refuse_late(one: Evidence, cases: Cases, places: NDArray[np.int64]) -> None:
    if one.newest_us is None:
        unasked = [name for name in one.columns if one.source != "loan" or name not in ASKED]
        if unasked:
            raise InputError(
                "refused as a feature: nothing says when it was known",
                record=one.source, field=unasked[0], fix="give the instant of its newest row",
            )  # fmt: skip
        return
    late = np.flatnonzero(one.newest_us[places] >= cases.decided_us)
    if late.size:
        case = int(late[0])
        when = from_us(int(one.newest_us[places[case]])).date()
        decided = from_us(int(cases.decided_us[case])).date()
        raise InputError(
            f"refused as a feature: made from a row of {when}, decided on {decided}",
            record=f"{one.source} account {cases.account_id[case]}",
            field=one.columns[0], fix="use rows before the day of the decision only",
        )  # fmt: skip
