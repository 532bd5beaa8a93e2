"""An institution's own list of what it owes: CSV or Parquet, read row by row, faults named."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from jinqiao.domain.application import application_id_of
from jinqiao.domain.decision import Reason
from jinqiao.domain.money import CURRENCIES
from jinqiao.errors import InputError, SchemaError

__all__ = ["BadRow", "TheirRow", "read_rows"]

_NAMES = {
    "application_id": ("application_id", "进件号", "申请编号"),
    "click_id": ("click_id", "点击号"),
    "amount": ("amount", "金额", "结算金额"),
    "amount_minor": ("amount_minor",),
    "currency": ("currency", "币种"),
    "month": ("month", "月份", "结算月份"),
    "reason": ("reason", "事由"),
}
_MOST_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class TheirRow:
    """One usable row: ``row_number`` counts data rows from 1."""

    row_number: int
    application_id: str
    amount_minor: int
    month: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that could not be read, and why."""

    row_number: int
    field: str
    reason: Reason


def read_rows(
    theirs: Path | str | Iterable[Mapping[str, Any]], currency: str
) -> tuple[list[TheirRow], list[BadRow]]:
    """Return the usable rows of an institution's list, and the bad ones.

    ``theirs``: a ``.csv`` (UTF-8 or GB18030) or ``.parquet`` file, or rows. Columns: one of
    application_id or click_id, one of amount (decimal) or amount_minor; currency, month and reason
    if they like. Raises SchemaError for a file that is none of this, InputError when there is none.
    """
    record = str(theirs) if isinstance(theirs, Path | str) else "rows"
    rows = _rows_of_file(Path(theirs)) if isinstance(theirs, Path | str) else list(theirs)
    if not rows:
        return [], []
    names = _columns(dict.fromkeys(str(name) for row in rows for name in row), record)
    good: list[TheirRow] = []
    bad: list[BadRow] = []
    for number, row in enumerate(rows, start=1):
        read = _read(number, {key: row.get(name) for key, name in names.items()}, currency)
        if isinstance(read, TheirRow):
            good.append(read)
        else:
            bad.append(read)
    return good, bad


def _read(number: int, row: Mapping[str, Any], currency: str) -> TheirRow | BadRow:
    name = _text(row.get("application_id"))
    click = _text(row.get("click_id"))
    if not name and not click:
        return BadRow(number, "application_id", Reason("reconcile_no_application"))
    given = _text(row.get("currency"))
    if given and given != currency:
        numbers = {"given": given, "wanted": currency}
        return BadRow(number, "currency", Reason("reconcile_other_currency", numbers))
    amount = _amount(row, currency)
    if amount is None:
        text = _text(row.get("amount_minor")) or _text(row.get("amount"))
        return BadRow(number, "amount", Reason("reconcile_bad_amount", {"text": text}))
    application = name or application_id_of(click)
    return TheirRow(
        number, application, amount, _text(row.get("month")) or None, _text(row.get("reason"))
    )


def _amount(row: Mapping[str, Any], currency: str) -> int | None:
    text, digits = _text(row.get("amount_minor")), 0
    if not text:
        text, digits = _text(row.get("amount")), CURRENCIES[currency]
    try:
        minor = Decimal(text.replace(",", "")).scaleb(digits)
    except InvalidOperation:
        return None
    whole = minor.is_finite() and minor == minor.to_integral_value() and abs(minor) < 10**15
    return int(minor) if whole else None


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()


def _columns(given: Iterable[str], record: str) -> dict[str, str]:
    """Return our name → their name for the columns they have."""
    found = {
        ours: theirs
        for theirs in given
        for ours, known in _NAMES.items()
        if theirs.strip() in known
    }
    for either in (("application_id", "click_id"), ("amount", "amount_minor")):
        if not any(name in found for name in either):
            raise SchemaError(
                f"no column {either[0]} or {either[1]}",
                record=record,
                field=either[0],
                fix="name the columns as in docs/how-to/reconcile-a-statement.md",
            )
    return found


def _rows_of_file(path: Path) -> list[dict[str, Any]]:
    try:
        size = path.stat().st_size
        if size > _MOST_BYTES:
            raise InputError(f"the file has {size:,} bytes", record=str(path), fix="split it")
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", record=str(path)) from error
    if path.suffix.lower() == ".parquet" or content[:4] == b"PAR1":
        return _parquet(content, path)
    return _csv(content, path)


def _parquet(content: bytes, path: Path) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(content))
    except (pa.ArrowException, OSError) as error:
        raise SchemaError("not a Parquet file", record=str(path)) from error
    return list(table.to_pylist())


def _csv(content: bytes, path: Path) -> list[dict[str, Any]]:
    text = _decoded(content, path)
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        rows = [{str(k): v for k, v in row.items() if k is not None} for row in reader]
    except csv.Error as error:
        raise SchemaError(f"not CSV: {error}", record=str(path)) from error
    if not rows and not reader.fieldnames:
        raise SchemaError("the file is empty", record=str(path))
    return rows


def _decoded(content: bytes, path: Path) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise SchemaError("neither UTF-8 nor GB18030", record=str(path), fix="save it as UTF-8")
