"""Ledger rows being gathered, and the calendar they fall on.

Letters: n people, r rows, months and days of the window; a day is counted from day 0 (local).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jinqiao.domain.ledger import CATEGORIES
from jinqiao.domain.tables import RAW_TRANSACTIONS
from jinqiao.domain.time import DAY_US
from jinqiao.engines.tables import arrow_schema
from jinqiao.synthetic.people import People
from jinqiao.synthetic.spec import Spec

__all__ = [
    "BANK",
    "KNOWN_PARTY",
    "WALLET",
    "Calendar",
    "Lines",
    "Rows",
    "digits",
    "finish",
    "joined",
    "line_table",
    "words",
]

_NAMES = tuple(CATEGORIES)
_MEMOS = tuple(zh for zh, _ in CATEGORIES.values())
_OWN = _NAMES.index("own_transfer")
_FEE = _NAMES.index("fee")
BANK, WALLET = 0, 1
_OVERDRAFT_FEE_MINOR = 1_500
_DRAWN_MINOR = 200_000
KNOWN_PARTY = 2_000
"""From here a party is a person of the block: this plus their row."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """The window of the ledger: ``first`` … ``first + days`` counted from day 0, and its months."""

    first: int
    days: int
    start_us: int
    month_first: NDArray[np.int64]  # (months,) day number of each month's first day
    month_number: NDArray[np.int64]
    weights: NDArray[np.float64]  # cumulative, (days,): weekends are busier

    @classmethod
    def of(cls, spec: Spec, start_us: int) -> Calendar:
        first, days = -spec.history_days, spec.history_days + spec.log_days + spec.plan_days
        zero = np.datetime64(spec.day_zero, "D")
        begin, end = zero + first, zero + first + days - 1
        months = np.arange(begin.astype("datetime64[M]"), end.astype("datetime64[M]") + 1)
        starts = (months.astype("datetime64[D]") - zero).astype(np.int64)
        weekday = (np.arange(first, first + days) + zero.astype(np.int64) + 3) % 7
        weight = np.cumsum(np.where(weekday >= 5, 1.45, 1.0))
        number = months.astype(np.int64) % 12
        return cls(first, days, start_us, starts, number, weight / weight[-1])

    @property
    def months(self) -> int:
        return len(self.month_first)

    def on_day(self, day: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return (n, months) day numbers of a day of the month, each (n,) in 1 to 28."""
        return self.month_first[None, :] + np.asarray(day, np.int64)[:, None] - 1

    def inside(self, day: NDArray[np.integer]) -> NDArray[np.bool_]:
        return (day >= self.first) & (day < self.first + self.days)

    def draw(self, u: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return a day for each uniform draw."""
        return self.first + np.searchsorted(self.weights, u).astype(np.int64)


@dataclass(slots=True)
class Rows:
    """Columns of rows in the making: person, day, second, amount, category, account, party."""

    parts: list[tuple[NDArray[np.int64], ...]] = field(default_factory=list)

    def add(
        self, person: NDArray[np.int64], day: NDArray[np.int64], second: NDArray[np.int64],
        amount: NDArray[np.int64], category: NDArray[np.int64] | int,
        account: NDArray[np.int64] | int, party: NDArray[np.int64] | int = -1,
    ) -> None:  # fmt: skip
        """Add rows; a number stands for all of them, and rows of no money are left out."""
        keep = amount != 0
        columns = (person, day, second, amount, category, account, party)
        spread = [np.broadcast_to(np.asarray(c, np.int64), person.shape)[keep] for c in columns]
        self.parts.append(tuple(spread))

    def columns(self) -> list[NDArray[np.int64]]:
        return [np.concatenate(column) for column in zip(*self.parts, strict=True)]


@dataclass(frozen=True, slots=True)
class Lines:
    """Finished ledger rows of a block, as small numbers: r rows by person, account and time."""

    person: NDArray[np.int16]
    at_us: NDArray[np.int64]
    received_us: NDArray[np.int64]
    amount: NDArray[np.int64]
    balance: NDArray[np.int64]
    category: NDArray[np.int8]
    account: NDArray[np.int8]
    party: NDArray[np.int16]
    told: NDArray[np.bool_]  # whether the row has a memo
    turn: NDArray[np.int32]

    def between(self, from_us: int | None, until_us: int | None) -> NDArray[np.int64]:
        """Return the rows received in [from_us, until_us), as they came."""
        low = -(2**62) if from_us is None else from_us
        high = 2**62 if until_us is None else until_us
        rows = np.flatnonzero((self.received_us >= low) & (self.received_us < high))
        return rows[np.argsort(self.received_us[rows], kind="stable")]


def finish(
    rows: Rows,
    opening: NDArray[np.int64],
    calendar: Calendar,
    rng: np.random.Generator,
    begin: NDArray[np.int64],
) -> Lines:
    """Return gathered rows finished: fed wallets, fees, balances, arrivals.

    ``opening`` is (2, n): what lay in the bank account and the wallet when the window began;
    ``begin`` (n,) the day from which each person's accounts are open.
    """
    _feed_wallets(rows, calendar, begin)
    columns = _sorted(rows, calendar)
    _add_overdraft_fees(rows, columns, opening, calendar)
    person, day, second, amount, category, account, party = _sorted(rows, calendar)
    at = calendar.start_us + day * DAY_US + second * 1_000_000
    first = np.flatnonzero(np.diff(person, prepend=-1))
    turn = np.arange(len(person)) - np.repeat(first, np.diff(np.append(first, len(person))))
    luck = rng.random(len(person))
    late = np.where(luck < 0.01, luck * 400 * DAY_US, 3.6e9 + luck * 7.2e9).astype(np.int64)
    return Lines(
        person.astype(np.int16), at, at + late, amount,
        _balances(person, account, amount, opening), category.astype(np.int8),
        account.astype(np.int8), party.astype(np.int16), (party >= 0) & (luck >= 0.8),
        turn.astype(np.int32),
    )  # fmt: skip


def _feed_wallets(rows: Rows, calendar: Calendar, begin: NDArray[np.int64]) -> None:
    """Move from bank to wallet what the wallet spends: early each month, larger sums one by one.

    A payment of ``_DRAWN_MINOR`` or more is drawn on the card as it is made: the card's bill shows
    a row of the same instant and amount.
    """
    person, day, second, amount, _, account, _ = rows.columns()
    month = np.searchsorted(calendar.month_first, day, side="right") - 1
    drawn = (account == WALLET) & (amount <= -_DRAWN_MINOR)
    for account_code, sign in ((BANK, 1), (WALLET, -1)):
        money = sign * amount[drawn]
        rows.add(person[drawn], day[drawn], second[drawn], money, _OWN, account_code, 998)
    spent = (account == WALLET) & (amount < 0) & ~drawn
    key = person[spent] * calendar.months + month[spent]
    size = (int(person.max(initial=0)) + 1) * calendar.months
    total = np.bincount(key, weights=-amount[spent], minlength=size).astype(np.int64)
    hit = np.flatnonzero(total)
    who, when = hit // calendar.months, hit % calendar.months
    at = np.maximum(calendar.month_first[when], begin[who])
    for account_code, sign in ((BANK, -1), (WALLET, 1)):
        rows.add(who, at, np.zeros(len(hit), np.int64), sign * total[hit], _OWN, account_code, 999)


def _sorted(rows: Rows, calendar: Calendar) -> list[NDArray[np.int64]]:
    """Return the columns inside the window, by person, account and time."""
    columns = rows.columns()
    inside = calendar.inside(columns[1])
    columns = [column[inside] for column in columns]
    person, day, second, amount, _, account, _ = columns
    moment = (day - calendar.first) * 86_400 + second
    key = ((person * 2 + account) * 40_000_000 + moment) * 2 + (amount < 0)
    order = np.argsort(key, kind="stable")
    return [column[order] for column in columns]


def _balances(
    person: NDArray[np.int64], account: NDArray[np.int64], amount: NDArray[np.int64],
    opening: NDArray[np.int64],
) -> NDArray[np.int64]:  # fmt: skip
    """Return the balance after each row, rows by person, account and time."""
    total = np.cumsum(amount)
    key = person * 2 + account
    first = np.flatnonzero(np.diff(key, prepend=-1))
    before = total[first] - amount[first]
    length = np.diff(np.append(first, len(key)))
    return total - np.repeat(before, length) + opening[account, person]


def _add_overdraft_fees(
    rows: Rows, columns: list[NDArray[np.int64]], opening: NDArray[np.int64], calendar: Calendar
) -> None:
    """Add one fee at the end of each month in which the bank account stood below zero."""
    person, day, _, amount, _, account, _ = columns
    balance = _balances(person, account, amount, opening)
    below = (balance < 0) & (account == BANK)
    month = np.searchsorted(calendar.month_first, day[below], side="right") - 1
    hit = np.unique(person[below] * calendar.months + month)
    who, when = hit // calendar.months, hit % calendar.months
    ends = np.append(calendar.month_first[1:], calendar.first + calendar.days) - 1
    rows.add(
        who,
        ends[when],
        np.full(len(hit), 86_000),
        np.full(len(hit), -_OVERDRAFT_FEE_MINOR),
        _FEE,
        BANK,
    )


def line_table(people: People, lines: Lines, rows: NDArray[np.int64]) -> pa.Table:
    """Return RAW_TRANSACTIONS of some rows of a block, in the order given."""
    index = people.index[lines.person[rows]]
    account, party, amount = lines.account[rows], lines.party[rows], lines.amount[rows]
    category = lines.category[rows]
    user = digits("u", index, 8)
    way = np.where(account == WALLET, 2, (party >= 0) & (amount < 0)).astype(np.int8)
    transaction = (digits("t", index, 8), digits("", lines.turn[rows].astype(np.int64), 5), "-")
    where = words(account, ("-bank", "-wallet"))
    values = {
        "transaction_id": joined(*transaction),
        "user_id": user,
        "account_id": joined(user, where, ""),
        "occurred_at": pa.array(lines.at_us[rows]).cast(pa.timestamp("us")),
        "received_at": pa.array(lines.received_us[rows]).cast(pa.timestamp("us")),
        "amount_minor": pa.array(amount),
        "currency": words(np.zeros(len(rows), np.int8), ("CNY",)),
        "balance_minor": pa.array(lines.balance[rows]),
        "category": words(category, _NAMES),
        "instrument": words(way, ("bank", "card", "wallet")),
        "counterparty_key": _party_keys(party.astype(np.int64), people),
        "memo": words(category, _MEMOS, ~lines.told[rows]),
    }
    return pa.table(values, schema=arrow_schema(RAW_TRANSACTIONS))


def _party_keys(party: NDArray[np.int64], people: People) -> pa.Array:
    """Return who stands on the other side: a trader's key, or that of a person of the block."""
    other = digits("k", np.clip(party, 0, KNOWN_PARTY - 1), 4, party < 0)
    known = party >= KNOWN_PARTY
    if not known.any():
        return other
    row = np.where(known, party - KNOWN_PARTY, 0)
    return pc.if_else(pa.array(known), digits("k", people.index[row], 8), other)


def digits(
    prefix: str, numbers: NDArray[np.int64], width: int, mask: NDArray[np.bool_] | None = None
) -> pa.Array:
    """Return texts: a prefix and numbers padded to a width; null where masked."""
    text = pc.cast(pa.array(numbers + 10**width, mask=mask), pa.string())
    return joined(prefix, pc.utf8_slice_codeunits(text, 1), "")


@cache
def _scalar(text: str) -> pa.Scalar:
    return pa.scalar(text, pa.string())


def joined(*parts: pa.Array | str) -> pa.Array:
    """Return texts row by row: all parts but the last, joined by the last."""
    return pc.binary_join_element_wise(*[_scalar(p) if isinstance(p, str) else p for p in parts])


@cache
def _list(words: tuple[str, ...]) -> pa.Array:
    return pa.array(words, pa.string())


def words(
    codes: NDArray[np.generic], of: tuple[str, ...], mask: NDArray[np.bool_] | None = None
) -> pa.Array:
    """Return the word of each code, null where masked."""
    return _list(of).take(pa.array(np.asarray(codes).astype(np.int32), mask=mask))
