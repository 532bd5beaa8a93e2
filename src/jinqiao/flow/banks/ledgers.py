"""Berka's tables as accounts, owners, loans and cards; original codes or translated ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jinqiao.domain.time import DAY_US
from jinqiao.errors import NotFound, SchemaError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["BAD", "Bank", "Loans", "read_bank", "user_of"]

BAD = frozenset({"B", "D"})
"""Loan statuses: A finished and paid, B finished and not; C running well, D running in debt."""
_NEEDED: Mapping[str, tuple[str, ...]] = {
    "trans": ("trans_id", "account_id"),
    "account": ("account_id", "date"),
    "client": ("client_id",),
    "disp": ("disp_id", "client_id", "account_id", "type"),
    "card": ("disp_id", "issued"),
    "loan": ("loan_id", "account_id", "date", "amount", "duration", "payments", "status"),
}
_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True)
class Loans:
    """Loans in the order of their ids; ``day_us`` the midnight (UTC) of the day it was granted."""

    loan_id: NDArray[np.int64]
    account_id: NDArray[np.int64]
    day_us: NDArray[np.int64]
    asked: pa.Table
    """account_id and what was asked for: amount and payments (CZK), duration (months)."""
    bad: NDArray[np.int64]


@dataclass(frozen=True)
class Bank:
    """What the import needs of the eight tables.

    ``owner``: account → owning client; ``birth_year``: client → year; ``opened_us``: account →
    day; ``card_us``: account → day of the first card.
    """

    trans: pa.Table
    owner: Mapping[int, int]
    birth_year: Mapping[int, int]
    opened_us: Mapping[int, int]
    loans: Loans
    card_us: Mapping[int, int]
    tables: Mapping[str, int]
    """Rows of every table found, also of those not used."""


def user_of(client: int) -> str:
    """Return the raw user id of a client."""
    return f"berka-client-{client}"


def read_bank(folder: Path) -> Bank:
    """Return the tables of a folder of ``.asc`` files or Parquet tables of the same names.

    Raises NotFound for a missing folder or table, SchemaError naming table, row and column.
    """
    from jinqiao import ledger

    if not folder.is_dir():
        raise NotFound("no such folder", record=str(folder), fix="name the data's folder")
    tables = ledger.read_berka(folder)
    for name, columns in _NEEDED.items():
        if name not in tables:
            raise NotFound(
                f"no {name}.parquet or {name}.asc", record=str(folder),
                fix="put all of the bank's tables into one folder",
            )  # fmt: skip
        for column in columns:
            if column not in tables[name].column_names:
                raise SchemaError("the column is missing", record=name, field=column)
    accounts, disp = tables["account"], tables["disp"]
    owner = _owners(disp)
    account_of = dict(zip(_ids(disp, "disp", "disp_id"), _ids(disp, "disp", "account_id"),
                          strict=True))  # fmt: skip
    opened = zip(_ids(accounts, "account", "account_id"), _days(accounts, "account", "date"),
                 strict=True)  # fmt: skip
    return Bank(
        tables["trans"], owner, _births(tables["client"]), dict(opened), _loans(tables["loan"]),
        _cards(tables["card"], account_of), {name: t.num_rows for name, t in tables.items()},
    )  # fmt: skip


def _owners(disp: pa.Table) -> dict[int, int]:
    owner: dict[int, int] = {}
    kinds = disp["type"].cast("string").to_pylist()
    rows = zip(_ids(disp, "disp", "account_id"), _ids(disp, "disp", "client_id"), kinds,
               strict=True)  # fmt: skip
    for account, client, kind in rows:
        if (kind or "").strip().upper() == "OWNER":
            owner[account] = client
    return owner


def _births(client: pa.Table) -> dict[int, int]:
    """Return each client's year of birth, of ``birth_date`` or of the original birth number."""
    ids = _ids(client, "client", "client_id")
    if "birth_date" in client.column_names:
        days = _days(client, "client", "birth_date")
        years = [date.fromordinal(day // DAY_US + _EPOCH).year for day in days]
    elif "birth_number" in client.column_names:
        years = [1900 + number // 10_000 for number in _ids(client, "client", "birth_number")]
    else:
        raise SchemaError("the column is missing", record="client", field="birth_number")
    return dict(zip(ids, years, strict=True))


def _loans(loan: pa.Table) -> Loans:
    import pyarrow as pa

    ids = np.array(_ids(loan, "loan", "loan_id"), np.int64)
    order = np.argsort(ids, kind="stable")
    loan = loan.take(pa.array(order))
    status = [(word or "").strip().upper() for word in loan["status"].cast("string").to_pylist()]
    for place, word in enumerate(status):
        if word not in ("A", "B", "C", "D"):
            raise SchemaError(
                f"no status {word!r}", record=f"loan {ids[order][place]}", field="status"
            )
    accounts = np.array(_ids(loan, "loan", "account_id"), np.int64)
    asked = {name: _numbers(loan, name) for name in ("amount", "duration", "payments")}
    return Loans(
        ids[order], accounts, np.array(_days(loan, "loan", "date"), np.int64),
        pa.table({"account_id": accounts, **asked}),
        np.array([word in BAD for word in status], np.int64),
    )  # fmt: skip


def _cards(card: pa.Table, account_of: Mapping[int, int]) -> dict[int, int]:
    found: dict[int, int] = {}
    for disp, day in zip(_ids(card, "card", "disp_id"), _days(card, "card", "issued"), strict=True):
        account = account_of.get(disp)
        if account is None:
            raise SchemaError("no such disposition", record=f"disp {disp}", field="card.disp_id")
        found[account] = min(day, found.get(account, day))
    return found


def _ids(table: pa.Table, record: str, name: str) -> list[int]:
    found = []
    for row, value in enumerate(table[name].to_pylist(), 1):
        try:
            found.append(int(value))
        except (TypeError, ValueError) as error:
            raise SchemaError(
                f"{value!r} is no whole number", record=f"{record} row {row}", field=name
            ) from error
    return found


def _numbers(table: pa.Table, name: str) -> pa.Array:
    import pyarrow as pa

    try:
        numbers = table[name].cast(pa.float64()).combine_chunks()
    except pa.ArrowInvalid as error:
        raise SchemaError("not numbers", record="loan", field=name) from error
    if numbers.null_count:
        raise SchemaError("a number is missing", record="loan", field=name)
    return numbers


def _days(table: pa.Table, record: str, name: str) -> list[int]:
    """Return midnights (µs UTC) of dates, of yymmdd numbers, or of ``yymmdd hh:mm:ss`` texts."""
    found = []
    for row, value in enumerate(table[name].to_pylist(), 1):
        day = _day(value)
        if day is None:
            raise SchemaError(f"{value!r} is no day", record=f"{record} row {row}", field=name)
        found.append(day * DAY_US)
    return found


def _day(value: Any) -> int | None:
    if isinstance(value, datetime):
        value = value.date()
    if isinstance(value, date):
        return value.toordinal() - _EPOCH
    try:
        number = int(str(value).split(" ", 1)[0])
        day = date(1900 + number // 10_000, number // 100 % 100, number % 100)
    except ValueError:
        return None
    return day.toordinal() - _EPOCH
