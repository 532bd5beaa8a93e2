"""MT940: the tags are read by mt-940, one statement at a time, and what it cannot read is kept.

mt-940 stops at the first tag it cannot read, moves a day that February lacks, and takes two
statement lines for one where the first has no type. Here a line is a posting or a fault, always,
and their number is the number of ``:61:`` lines.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any

from jinqiao.domain.row_fault import RowFault
from jinqiao.errors import SchemaError
from jinqiao.ledger.encoding import text_of
from jinqiao.ledger.postings import (
    BillHints,
    Posting,
    Statement,
    day_us,
    known_currency,
    minor,
    row_fault,
)

__all__ = ["is_mt940", "read_mt940"]

_TAGS = (re.compile(rb"^:20:", re.MULTILINE), re.compile(rb"^:25[A-Z]?:", re.MULTILINE))
_ENVELOPE = re.compile(r"^(?:\{[^\n]*\}?\{4:\s*|\{4:\s*)(?=:|$)|^-\}[^\n]*$", re.MULTILINE)
_AFTER = re.compile(
    r"(^:62[FM]?:[^\n]*\n(?:(?!:86:)[^\n]*\n)*?):86:(?:(?!^:\d\d)[^\n]*(?:\n|\Z))*", re.M
)
_START = re.compile(r"^(?=:20:)", re.MULTILINE)
_LINE = re.compile(r"^:61:", re.MULTILINE)
_OPENING = re.compile(r"^:60[A-Z]?:", re.MULTILINE)
_CLOSING = re.compile(r"^:62[A-Z]?:", re.MULTILINE)
_INTERIM = re.compile(r"^:34F:", re.MULTILINE)  # MT942 states a floor limit and no balance
_UNREAD = "unread"
_REVERSED = "冲正"


def is_mt940(data: bytes) -> bool:
    """Return whether bytes have the first tags of an MT940 statement."""
    start = re.sub(rb"\{4:\s*", b"\n", data.replace(b"\r", b"\n"))
    return all(tag.search(start) for tag in _TAGS)


def read_mt940(data: bytes, hints: BillHints, name: str) -> list[Statement]:
    """Return the statements of an MT940 file; a row's number is its line.

    Raises SchemaError where a statement line stands outside a statement.
    """
    text = re.sub(r"\r\n?", "\n", text_of(data))
    text = _ENVELOPE.sub("", text)
    lines = [n for n, line in enumerate(text.split("\n"), 1) if line.startswith(":61:")]
    statements, taken = [], 0
    for block in _START.split(text):
        count = len(_LINE.findall(block))
        if block.startswith(":20:"):
            statements.append(_statement(block, lines[taken : taken + count], hints, name))
        elif count:
            raise SchemaError(
                "a :61: stands before the first :20:", record=f"{name}:{lines[taken]}",
                fix="export the bill again",
            )  # fmt: skip
        taken += count
    return statements


@cache
def _tags() -> dict[int | str, Any]:
    """Return mt-940's tags, made to keep what they cannot read instead of raising."""
    import mt940

    quiet = logging.getLogger("mt940")  # it writes whole rows where it cannot read one
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False

    class Kept:
        def parse(self, transactions: Any, value: str) -> dict[str, Any]:
            found = self.re.match(value)  # type: ignore[attr-defined]
            if found is None:
                return {_UNREAD: value}
            parsed = super().parse(transactions, value)  # type: ignore[misc]
            return dict(parsed)

        def __call__(self, transactions: Any, value: dict[str, Any]) -> dict[str, Any]:
            if _UNREAD not in value:
                try:
                    read = dict(super().__call__(transactions, value))  # type: ignore[misc]
                except (ValueError, ArithmeticError, TypeError):
                    read = {_UNREAD: ""}
            else:
                read = dict(value)
            if isinstance(self, mt940.tags.Statement):
                return {**read, "id": read.get("id") or "NONE"}
            return {key: one for key, one in read.items() if key != _UNREAD}

    kept: dict[int | str, Any] = {}
    for tag in mt940.tags.Tags:
        base = type(tag.value)
        kept[base.id] = type(base.__name__, (Kept, base), {})()
    return kept


def _parsed(block: str) -> Any:
    import mt940

    block = _AFTER.sub(r"\1", block)  # what a bank says of the statement is of no one line
    ours: dict[str, list[Any]] = {
        "pre_statement": []
    }  # a day that February lacks is a fault, not the day before
    transactions = mt940.models.Transactions(
        processors=ours, tags=_tags(), options=mt940.Options.all()
    )
    transactions.parse(block)
    return transactions


def _statement(block: str, lines: list[int], hints: BillHints, name: str) -> Statement:
    needed = (_OPENING, _CLOSING) if not _INTERIM.search(block) else ()
    if not all(tag.search(block) for tag in needed):
        raise SchemaError(
            "a statement has no opening or no closing balance: the file is cut off",
            record=name, fix="export the bill again",
        )  # fmt: skip
    try:
        parsed = _parsed(block)
    except (RuntimeError, ValueError, ArithmeticError, LookupError, TypeError) as error:
        raise SchemaError(
            "the statement cannot be read", record=name, fix="export the bill again"
        ) from error
    if len(parsed.transactions) != len(lines):
        raise SchemaError("statement lines run into each other", record=name)
    data = parsed.data
    found = Statement(_plain(data.get("account_identification")), _plain(parsed.currency).upper())
    found.opening_minor = _balance(data, "opening", found.currency)
    found.closing_minor = _balance(data, "closing", found.currency)
    for line, one in zip(lines, parsed.transactions, strict=True):
        try:
            posting = _posting(one.data, line, found.currency, hints)
        except SchemaError as error:
            found.faults.append(row_fault(line, error, name))
            continue
        if posting.amount_minor:
            found.postings.append(posting)
        else:
            found.faults.append(RowFault(line, ":61:", "ledger_not_settled", {}, name))
    return found


def _balance(data: dict[str, Any], which: str, currency: str) -> int | None:
    """Return the balance before or after a statement; of a page in between where it is one."""
    for kind in (f"final_{which}_balance", f"intermediate_{which}_balance", f"{which}_balance"):
        amount = getattr(data.get(kind), "amount", None)
        if amount is not None and amount.currency == currency:
            try:
                return minor(format(amount.amount, "f"), known_currency(currency, kind), kind)
            except SchemaError:
                return None
    return None


def _posting(data: dict[str, Any], line: int, currency: str, hints: BillHints) -> Posting:
    if _UNREAD in data:
        raise SchemaError("ledger_bad_line", field=":61:")
    amount = getattr(data.get("amount"), "amount", None)
    if not isinstance(amount, Decimal):
        raise SchemaError("ledger_no_amount", field=":61:")
    value = minor(format(amount, "f"), known_currency(currency, ":60F:"), ":61:")
    booked, valued = data.get("entry_date") or data["date"], data["date"]
    at = day_us(date(booked.year, booked.month, booked.day), hints.zone, ":61:")
    words = list(_words(data))
    if any("\ufffd" in word for word in words):
        raise SchemaError("ledger_not_text", field=":86:")
    reversal = str(data.get("status") or "").upper().startswith("R")
    party = " ".join(
        part for key in ("applicant_name", "recipient_name") if (part := _plain(data.get(key)))
    )
    return Posting(
        line, at, value, currency, _plain(data.get("bank_reference")), False, party,
        (_REVERSED if reversal else "", *words),
        "" if booked == valued else valued.isoformat(),
        "refund" if reversal and value > 0 else "",
    )  # fmt: skip


def _words(data: dict[str, Any]) -> Iterator[str]:
    for key in (
        "posting_text", "applicant_name", "recipient_name", "purpose", "additional_purpose",
        "transaction_details", "extra_details", "customer_reference", "end_to_end_reference",
    ):  # fmt: skip
        text = _plain(data.get(key))
        if text and text.upper() not in ("NONREF", "NOTPROVIDED"):
            yield text


def _plain(value: object) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""
