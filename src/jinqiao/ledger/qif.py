"""QIF: the records are read by quiffen, once their dates and amounts are beyond doubt.

quiffen takes an amount's digits and leaves out the rest, and reads a date that lacks a part with
today's. So each record's dates and amounts are read strictly first and handed to it plainly; which
of two numbers is the month is told by the file or by the reader's hint, never by habit.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any

from jinqiao.domain.money import CURRENCIES
from jinqiao.domain.row_fault import RowFault
from jinqiao.errors import SchemaError
from jinqiao.ledger.encoding import text_of
from jinqiao.ledger.postings import (
    BillHints,
    Posting,
    Statement,
    day_us,
    minor,
    row_fault,
)

__all__ = ["is_qif", "read_qif"]

_FIRST = re.compile(rb"^\s*!(type|account|option|clear)\b", re.IGNORECASE)
_DATE = re.compile(r"^\s*(\d{1,4})\s*[-/.]\s*(\d{1,2})\s*([-/.'])\s*(\d{1,4})\s*$", re.ASCII)
_THOUSANDS = re.compile(r"^[+-]?\d{1,3}(?:([,.' ])\d{3})+(?!\1)(?:[.,]\d+)?$", re.ASCII)
_LISTS = ("cat", "class", "memorized", "security", "prices", "budget", "tax", "template", "payee")
_PAYMENTS = {"bank": "bank", "cash": "wallet", "ccard": "card", "oth a": "bank", "otha": "bank",
             "oth l": "bank", "othl": "bank", "invoice": "bank"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Record:
    """The lines between two ``^``, where they start, and the headers above them."""

    line: int
    kind: str
    account: str
    fields: tuple[str, ...]
    ended: bool


def is_qif(data: bytes) -> bool:
    """Return whether bytes begin like QIF."""
    return bool(_FIRST.match(data))


def read_qif(data: bytes, hints: BillHints, name: str) -> list[Statement]:
    """Return a statement an account of a QIF file; a row's number is the line it begins on.

    Raises SchemaError where no date tells which number is the month and ``hints`` do not say.
    """
    currency = hints.currency or "CNY"
    records = list(_records(text_of(data)))
    payments = [one for one in records if one.kind in _PAYMENTS]
    day_first = _day_first(payments, hints, name)
    statements: dict[tuple[str, str], Statement] = {}
    for record in records:
        key = (record.account, record.kind if record.kind in _PAYMENTS else "")
        account = record.account or record.kind
        found = statements.setdefault(key, Statement(account, currency))
        if record is records[-1] and not record.ended:
            found.faults.append(RowFault(record.line, "^", "ledger_cut_off", {}, name))
        elif record.kind in _LISTS or record.kind == "account":
            found.notes += 1
        elif record.kind not in _PAYMENTS:
            found.faults.append(RowFault(record.line, "row", "ledger_investment", {}, name))
        else:
            found.instrument = _PAYMENTS[record.kind]
            _take(record, found, (hints.zone, day_first), name)
    return list(statements.values())


def _records(text: str) -> Iterator[_Record]:
    kind, account, first = "", "", 0
    fields: list[str] = []
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text.removeprefix("\ufeff")), 1):
        plain = line.strip()
        if plain.startswith("!"):
            if fields:
                account = _name(fields) if kind == "account" else account
                yield _Record(first, kind, account, tuple(fields), False)
            header = plain[1:].lower()
            if not header.startswith(("option", "clear")):
                kind = header.removeprefix("type:").split(":")[0].strip()
            fields = []
        elif plain == "^":
            if fields:
                account = _name(fields) if kind == "account" else account
                yield _Record(first, kind, account, tuple(fields), True)
            fields = []
        elif plain:
            first = first if fields else number
            fields.append(line.lstrip())
    if fields:
        yield _Record(first, kind, account, tuple(fields), False)


def _name(fields: list[str]) -> str:
    return next((one[1:].strip() for one in fields if one[0] == "N"), "")


def _day_first(records: list[_Record], hints: BillHints, name: str) -> bool:
    """Return whether days stand before months, told by a number above 12; else ask."""
    dates = [one[1:] for record in records for one in record.fields if one[0] == "D"]
    found = [(int(m[1]), int(m[2])) for text in dates if (m := _DATE.match(text)) and len(m[1]) < 3]
    if hints.day_first is not None or not found:
        return bool(hints.day_first)
    day, month = any(a > 12 for a, _ in found), any(b > 12 for _, b in found)
    if day == month and any(a != b for a, b in found):
        said = "both" if day else "neither"
        raise SchemaError(
            f"dates may be day-month or month-day: {said} would fit", record=name, field="D",
            fix="say --day-first or --month-first",
        )  # fmt: skip
    return day


def _take(record: _Record, found: Statement, how: tuple[str, bool], name: str) -> None:
    try:
        posting = _posting(record, found, *how)
    except SchemaError as error:
        found.faults.append(row_fault(record.line, error, name))
        return
    if posting is None:
        found.notes += 1
    elif posting.amount_minor:
        found.postings.append(posting)
    else:
        found.faults.append(RowFault(record.line, "T", "ledger_not_settled", {}, name))


def _posting(record: _Record, found: Statement, zone: str, day_first: bool) -> Posting | None:
    """Return the posting of a record, None for the opening balance, which it then sets."""
    if not record.ended:
        raise SchemaError("ledger_cut_off", field="^")
    if any("\ufffd" in one for one in record.fields):
        raise SchemaError("ledger_not_text", field="row")
    day, amount, fields = _plain(record, found.currency, day_first)
    read = _read(fields)
    at = day_us(day, zone, "D")
    payee = read.payee or ""
    into = read.to_account or ""
    if payee.lower() in ("opening balance", "期初余额") and into in ("", found.account):
        found.opening_minor = amount
        return None
    words = [payee, read.memo or "", *_categories(read), str(read.check_number or "")]
    return Posting(
        record.line, at, amount, found.currency, "", False, payee, tuple(words),
        category="own_transfer" if into else "",
    )  # fmt: skip


def _plain(record: _Record, currency: str, day_first: bool) -> tuple[date, int, list[str]]:
    """Return day, amount, and the fields with dates and amounts written plainly."""
    day: date | None = None
    amount: int | None = None
    fields, splits = [], False
    for one in record.fields:
        code, text = one[0], one[1:].strip()
        splits = splits or code == "S"
        if code == "D":
            if day is not None:
                raise SchemaError("ledger_two_rows", field="D")
            day = _day(text, day_first)
            fields.append(f"D{day.isoformat()}")
        elif code in "TU$£":
            value = _amount(text, currency, code)
            if code in "TU":
                if amount not in (None, value) or splits:
                    raise SchemaError("ledger_two_rows", field=code)
                amount = value
            fields.append(f"{code}{Decimal(value).scaleb(-CURRENCIES[currency]):f}")
        else:
            fields.append(one)
    if day is None:
        raise SchemaError("ledger_bad_date", field="D")
    if amount is None:
        raise SchemaError("ledger_no_amount", field="T")
    return day, amount, fields


def _day(text: str, day_first: bool) -> date:
    """Return the day of ``2026-02-03``, ``2/3/2026``, ``2/ 3'26`` or ``03.02.26``."""
    found = _DATE.match(text)
    if found is None:
        raise SchemaError("ledger_bad_date", field="D")
    one, two, last = int(found[1]), int(found[2]), int(found[4])
    try:
        if len(found[1]) == 4:
            return date(one, two, last)
        year = last if len(found[4]) == 4 else 2000 + last
        if len(found[4]) <= 2 and last >= 70 and found[3] != "'":
            year -= 100
        return date(year, two, one) if day_first else date(year, one, two)
    except ValueError as error:
        raise SchemaError("ledger_bad_date", field="D") from error


def _amount(text: str, currency: str, field: str) -> int:
    """Return minor units of ``1,234.50``, ``1.234,50`` or ``1234.5``; never of what may be two."""
    thousands = _THOUSANDS.match(text)
    if thousands and not (thousands[1] == "," and "." not in text and CURRENCIES[currency] == 3):
        mark = thousands[1]
        if mark == "." and "," not in text and CURRENCIES[currency] != 3 and text.count(".") == 1:
            raise SchemaError("ledger_bad_amount", field=field)  # 1.234: which?
        if not (mark == "." and text.count(".") == 1 and "," not in text):
            text = text.replace(mark, "")
    return minor(text, currency, field)


@cache
def _reader() -> Any:
    from quiffen import Transaction

    quiet = logging.getLogger("quiffen")  # it writes memos where it cannot place one
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False
    return Transaction


def _read(fields: list[str]) -> Any:
    try:
        return _reader().from_list(fields)[0]
    except (ValueError, ArithmeticError, TypeError, LookupError, AttributeError) as error:
        raise SchemaError("ledger_unknown_field", field="row") from error


def _categories(read: Any) -> Iterator[str]:
    """Yield the names of the file's own categories, of splits too."""
    for one in (read, *(read.splits or ())):
        if one.category is not None:
            yield " ".join(str(part.name) for part in reversed(one.category.traverse_up()))
        if one is not read and one.memo:
            yield one.memo
