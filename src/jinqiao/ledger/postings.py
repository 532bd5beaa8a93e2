"""What a standard bill says before it is rows: statements with their balances and postings.

OFX, QIF, camt and MT940 say the same few things in four ways; their readers end here, and the rest
(ids, running balances, faults) is done once.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from jinqiao.domain.ids import keyed_id
from jinqiao.domain.money import CURRENCIES, Money
from jinqiao.domain.row_fault import RowFault
from jinqiao.domain.time import from_us, local_date, to_us
from jinqiao.errors import InputError, SchemaError

__all__ = [
    "VALUE_DAY",
    "BillHints",
    "Posting",
    "Statement",
    "StatementBalance",
    "balance_of",
    "day_us",
    "known_currency",
    "minor",
    "posting_rows",
    "row_fault",
    "us_of",
]

VALUE_DAY = "起息日："
"""Stands before the value date at the end of a memo, where it is not the day of booking."""

MOST_MINOR = 10**15
_NUMBER = re.compile(r"^[+-]?(\d+[.,]?\d*|[.,]\d+)$", re.ASCII)
_NO_REFERENCE = re.compile(
    r"^(NONREF|NOREF|NOTPROVIDED|NOT PROVIDED|NONE|[0\s./-]*)$", re.IGNORECASE
)
_MEMO = 1_000


@dataclass(frozen=True, slots=True)
class BillHints:
    """What a standard bill may leave out.

    ``zone`` is where a date without an offset is a day; ``currency`` (ISO 4217) what a QIF file's
    amounts are in, "" for CNY; ``day_first`` whether its dates are 3/2 for the third of February,
    None to tell it from the file. Raises InputError for a zone or currency nobody knows.
    """

    zone: str = "Asia/Shanghai"
    currency: str = ""
    day_first: bool | None = None

    def __post_init__(self) -> None:
        if self.currency and self.currency not in CURRENCIES:
            fix = "an ISO 4217 code, such as CNY"
            raise InputError(f"no currency {self.currency!r}", field="currency", fix=fix)
        try:
            ZoneInfo(self.zone)
        except (KeyError, ValueError, OSError) as error:
            fix = "a name of the time zone database, such as Europe/Berlin"
            raise InputError(f"no zone {self.zone!r}", field="zone", fix=fix) from error


@dataclass(frozen=True, slots=True)
class Posting:
    """One booked amount. ``reference`` is the bank's own; ``once``: it alone makes the row."""

    row: int
    at_us: int
    amount_minor: int
    currency: str
    reference: str = ""
    once: bool = False
    counterparty: str = ""
    memo: tuple[str, ...] = ()
    value_day: str = ""
    category: str = ""


@dataclass(slots=True)
class Statement:
    """Postings of one account, the balances before and after them (None: not stated)."""

    account: str
    currency: str
    instrument: str = "bank"
    opening_minor: int | None = None
    closing_minor: int | None = None
    postings: list[Posting] = field(default_factory=list)
    faults: list[RowFault] = field(default_factory=list)
    notes: int = 0


@dataclass(frozen=True, slots=True)
class StatementBalance:
    """Whether opening balance + rows = closing balance; ``agrees`` is None where one is not stated.

    ``difference_minor`` is what is missing: closing − opening − rows.
    """

    account_id: str
    currency: str
    rows: int
    opening_minor: int | None
    closing_minor: int | None
    moved_minor: int

    @property
    def difference_minor(self) -> int | None:
        """Return closing − opening − rows in minor units, None where a balance is not stated."""
        if self.opening_minor is None or self.closing_minor is None:
            return None
        return self.closing_minor - self.opening_minor - self.moved_minor

    @property
    def agrees(self) -> bool | None:
        """Return whether the rows lead from one balance to the other, None where unknown."""
        missing = self.difference_minor
        return None if missing is None else missing == 0


def minor(text: str, currency: str, name: str) -> int:
    """Return whole minor units of a plain decimal text (point or comma, no thousands).

    Raises SchemaError with a message code, naming the field, for anything else.
    """
    plain = text.strip()
    if not plain:
        raise SchemaError("ledger_no_amount", field=name)
    if not _NUMBER.match(plain):
        raise SchemaError("ledger_bad_amount", field=name)
    try:
        amount = Money.parse(plain.replace(",", "."), currency).amount_minor
    except InputError as error:
        raise SchemaError("ledger_bad_amount", field=name) from error
    if abs(amount) > MOST_MINOR:
        raise SchemaError("ledger_bad_amount", field=name)
    return amount


def known_currency(text: str, name: str) -> str:
    """Return an ISO 4217 code we know; raise SchemaError naming the field otherwise."""
    code = text.strip().upper()
    if code not in CURRENCIES:
        raise SchemaError("ledger_bad_currency", field=name)
    return code


def day_us(day: date, zone: str, name: str) -> int:
    """Return the instant a calendar day begins in a zone (µs UTC)."""
    return us_of(datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)), name)


def us_of(at: datetime, name: str) -> int:
    """Return an aware instant (µs UTC) between 1971 and 2099; raise SchemaError otherwise."""
    if not 1970 < at.year < 2100:
        raise SchemaError("ledger_bad_date", field=name)
    return to_us(at)


def row_fault(row: int, error: SchemaError, name: str) -> RowFault:
    """Return the fault of a row whose reader raised a message code."""
    return RowFault(row, error.field or "row", error.message, {}, name)


def balance_of(statement: Statement) -> StatementBalance:
    """Return what a statement says of its balances, and whether its rows agree."""
    same = [p.amount_minor for p in statement.postings if p.currency == statement.currency]
    return StatementBalance(
        f"{statement.account}:{statement.currency}", statement.currency,
        len(statement.postings), statement.opening_minor, statement.closing_minor, sum(same),
    )  # fmt: skip


def posting_rows(
    statements: Sequence[Statement], zone: str, digest: Callable[[str], str]
) -> list[dict[str, Any]]:
    """Return rows of BILL_ROWS of all statements, in the file's order.

    A row has a running balance where its statement's balances agree. Its id is made of the account
    and the bank's reference, or, where there is none, of all that the row says, never of what the
    rows around it say: a bill mended and read again gives its good rows the ids they had. Like rows
    are numbered, on through a statement that begins with the balance the last one ended with, and
    anew in one that does not, which may overlap it.
    """
    rows: list[dict[str, Any]] = []
    seen: dict[str, Counter[str]] = {}
    ended: dict[str, int | None] = {}
    for statement in statements:
        key, opening = f"{statement.account}:{statement.currency}", statement.opening_minor
        if opening is None or ended.get(key) != opening:
            seen[key] = Counter()
        ended[key] = statement.closing_minor
        running = _running(statement)
        for place, posting in enumerate(statement.postings):
            row = _row(posting, statement, running.get(place), digest)
            base = _base(posting, row, zone)
            seen[key][base] += 1
            number = 1 if posting.once and _named(posting.reference) else seen[key][base]
            rows.append({"transaction_id": keyed_id("txn", base, number), **row})
    return rows


def _running(statement: Statement) -> dict[int, int]:
    """Return the balance after each posting by its place, in the order of time."""
    if not balance_of(statement).agrees:
        return {}
    balance = statement.opening_minor or 0
    places = [
        place for place, one in enumerate(statement.postings) if one.currency == statement.currency
    ]
    found = {}
    for place in sorted(places, key=lambda place: statement.postings[place].at_us):
        balance += statement.postings[place].amount_minor
        found[place] = balance
    return found


def _row(
    posting: Posting, statement: Statement, balance: int | None, digest: Callable[[str], str]
) -> dict[str, Any]:
    party = " ".join(posting.counterparty.split())
    unsorted = "other_in" if posting.amount_minor > 0 else "other_out"
    return {
        "account_id": f"{statement.account}:{posting.currency}",
        "occurred_at": posting.at_us,
        "received_at": None,
        "amount_minor": posting.amount_minor,
        "currency": posting.currency,
        "balance_minor": balance,
        "category": posting.category or unsorted,
        "instrument": statement.instrument,
        "counterparty_key": digest(party) if party else None,
        "memo": _memo(posting),
    }


def _base(posting: Posting, row: dict[str, Any], zone: str) -> str:
    """Return what makes a row the row it is; a day is a day whatever the zone it is read in."""
    account, amount = row["account_id"], posting.amount_minor
    if _named(posting.reference):
        day = local_date(posting.at_us, zone).isoformat()
        return keyed_id("txn", account, "reference", posting.reference, day, amount)
    local = from_us(posting.at_us).astimezone(ZoneInfo(zone)).replace(tzinfo=None).isoformat()
    return keyed_id("txn", account, local, amount, posting.reference, row["memo"])


def _named(reference: str) -> bool:
    return not _NO_REFERENCE.match(reference)


def _memo(posting: Posting) -> str | None:
    parts = [" ".join(part.split()) for part in posting.memo]
    text = " · ".join(dict.fromkeys(part for part in parts if part))
    if not posting.value_day:
        return text[:_MEMO] or None
    ending = f"{VALUE_DAY}{posting.value_day}"
    text = text[: _MEMO - len(ending) - 3]
    return f"{text} · {ending}" if text else ending
