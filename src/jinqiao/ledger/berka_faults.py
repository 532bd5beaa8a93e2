"""Rows of Berka's ``trans`` that cannot be understood: set apart, kept as raw rows for an intake.

An intake refuses them with a reason and keeps them; nothing is dropped here and nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from jinqiao.domain.tables import RAW_TRANSACTIONS
from jinqiao.domain.time import DAY_US
from jinqiao.errors import SchemaError
from jinqiao.ledger.berka import BERKA_COLUMNS, category_of, sign_of

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["split_berka"]

_CELLS = ("trans_id", "account_id", "amount", "balance", "date")
_EPOCH = date(1970, 1, 1).toordinal()


def split_berka(
    trans: pa.Table, *, user_of: Callable[[int], str] = lambda account: f"berka-{account}"
) -> tuple[pa.Table, pa.Table]:
    """Return the rows ``berka_transactions`` understands, and the others as RAW_TRANSACTIONS rows.

    The second table has nulls where a cell says nothing, and the code itself where it is unknown;
    it is empty for the bank's own files. Raises SchemaError for a missing column.
    """
    import numpy as np
    import pyarrow as pa

    for name in BERKA_COLUMNS:
        if name not in trans.column_names:
            raise SchemaError("the column is missing", record="trans", field=name)
    good = np.ones(trans.num_rows, bool)
    for name in _CELLS:
        good &= _readable(trans, name)
    good &= _known(trans, ("type",), lambda row: sign_of(row[0]) is not None)
    good &= _known(trans, ("k_symbol", "operation"), lambda row: category_of(*row) is not None)
    kept = trans.filter(pa.array(good))
    return kept, _raw(trans.filter(pa.array(~good)), user_of)


def _readable(trans: pa.Table, name: str) -> Any:
    """Return which cells of a column hold what it is for, (n,) bool."""
    import numpy as np
    import pyarrow as pa

    column = trans[name]
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_integer(kind):
        if name != "date" or not pa.types.is_integer(kind):
            return ~np.asarray(column.is_null())
        return np.array([_day(value) is not None for value in column.to_pylist()], bool)
    read = _day if name == "date" else _whole if name.endswith("_id") else _money
    return np.array([read(value) is not None for value in column.to_pylist()], bool)


def _known(trans: pa.Table, names: Sequence[str], good: Callable[[tuple[str, ...]], bool]) -> Any:
    import numpy as np
    import pyarrow as pa

    columns = [trans[name].cast(pa.string()).to_pylist() for name in names]
    said: dict[tuple[str, ...], bool] = {}
    found = np.empty(trans.num_rows, bool)
    for place, cells in enumerate(zip(*columns, strict=True)):
        row = tuple((cell or "").strip() for cell in cells)
        if row not in said:
            said[row] = good(row)
        found[place] = said[row]
    return found


def _raw(rows: pa.Table, user_of: Callable[[int], str]) -> pa.Table:
    import pyarrow as pa

    from jinqiao.engines.tables import arrow_schema

    made = [_row(row, user_of) for row in rows.to_pylist()]
    fields = arrow_schema(RAW_TRANSACTIONS)
    relaxed = pa.schema([field.with_nullable(True) for field in fields])
    return pa.Table.from_pylist(made, schema=relaxed)


def _row(row: dict[str, Any], user_of: Callable[[int], str]) -> dict[str, Any]:
    number, account = _whole(row["trans_id"]), _whole(row["account_id"])
    day, amount = _day(row["date"]), _money(row["amount"])
    sign = sign_of(str(row["type"] or "").strip())
    words = tuple(str(row[name] or "").strip() for name in ("k_symbol", "operation"))
    balance = _money(row["balance"])
    return {
        "transaction_id": None if number is None else f"txn_berka_{number}",
        "user_id": None if account is None else user_of(account),
        "account_id": None if account is None else f"acc_berka_{account}",
        "occurred_at": None if day is None else day * DAY_US,
        "received_at": None if day is None else (day + 1) * DAY_US - 1,
        "amount_minor": None if amount is None or sign is None else sign * amount,
        "currency": "CZK",
        "balance_minor": balance,
        "category": category_of(*words) or (words[0] or words[1] or "none")[:64],
        "instrument": "bank",
    }


def _whole(value: Any) -> int | None:
    try:
        return None if value is None else int(str(value))
    except ValueError:
        return None


def _money(value: Any) -> int | None:
    """Return whole hellers of a cell in crowns, None where it is no number."""
    try:
        crowns = float(value)
    except (TypeError, ValueError):
        return None
    return round(crowns * 100) if abs(crowns) < 1e13 else None


def _day(value: Any) -> int | None:
    """Return days since 1970 of a date or of yymmdd, None where it is none."""
    if isinstance(value, datetime):
        return value.date().toordinal() - _EPOCH
    if isinstance(value, date):
        return value.toordinal() - _EPOCH
    number = _whole(value)
    if number is None or number < 0:
        return None
    try:
        day = date(1900 + number // 10_000, number // 100 % 100, number % 100)
    except ValueError:
        return None
    return day.toordinal() - _EPOCH
