"""Money that goes round among people who act together, and the ledgers of people who are made up.

Every trade is two rows, equal and opposite, at one instant; so what a circle moves is nothing.
Letters: n people of a block; money in minor units.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jinqiao.domain.ledger import CATEGORIES
from jinqiao.synthetic.fraud import BOT, COLLUSION, RING, SYNTHETIC
from jinqiao.synthetic.people import MERCHANT, People
from jinqiao.synthetic.rows import BANK, KNOWN_PARTY, Calendar, Rows

__all__ = ["first_days", "go_round", "made_up", "no_history"]

CODE = {name: number for number, name in enumerate(CATEGORIES)}
_TRADES_MONTHLY = 2.5
_ROUND_MINOR = 10_000
_BUST_SHARES = (0.5, 0.3, 0.15)
_BACK_SECONDS = 3_600
_FAR = 1 << 30


def no_history(people: People) -> NDArray[np.bool_]:
    """Return who has no account when the ledger begins: bots never, made-up people not yet."""
    return np.asarray((people.fraud == BOT) | (people.fraud == SYNTHETIC))


def first_days(people: People, calendar: Calendar) -> NDArray[np.int64]:
    """Return the day each person's accounts are opened: the ledger's first for all but made-up."""
    joined = -people.tenure_days.astype(np.int64)
    return np.where(people.fraud == SYNTHETIC, np.maximum(joined, calendar.first), calendar.first)


def go_round(people: People, calendar: Calendar, rng: np.random.Generator, rows: Rows) -> None:
    """Add the trades of every group: sham sales of shops, loans to a ring's head, round trips."""
    for number in np.unique(people.group[people.group >= 0]):
        members = np.flatnonzero(people.group == number)
        kind = int(people.fraud[members[0]])
        if kind == COLLUSION:
            _sham_sales(people, members, calendar, rng, rows)
        elif kind in (RING, SYNTHETIC) and len(members) > 1:
            _passing_on(people, members, calendar, rng, rows)


def _sham_sales(
    people: People, members: NDArray[np.int64], calendar: Calendar, rng: np.random.Generator,
    rows: Rows,
) -> None:  # fmt: skip
    """Add sales of shops to their next shop, and to buyers who get their money back in an hour."""
    shops = members[people.type[members] == MERCHANT]
    buyers = members[people.type[members] != MERCHANT]
    for place, shop in enumerate(shops):
        payers = np.append(buyers, shops[(place + 1) % len(shops)])
        count = int(rng.poisson(_TRADES_MONTHLY * calendar.days / 30.4))
        payer = payers[rng.integers(0, len(payers), count)]
        day = calendar.draw(rng.random(count))
        second = 32_400 + rng.integers(0, 28_800, count)
        size = 0.22 * people.income_minor[shop] * np.exp(0.25 * rng.standard_normal(count))
        money = np.maximum(np.round(size / _ROUND_MINOR), 1).astype(np.int64) * _ROUND_MINOR
        sold = np.full(count, shop)
        buys = np.where(people.type[payer] == MERCHANT, CODE["supplier_payment"], CODE["shopping"])
        _both(rows, (payer, sold), day, second, money, (buys, CODE["business_income"]))
        back = people.type[payer] != MERCHANT
        _both(
            rows, (sold[back], payer[back]), day[back], second[back] + _BACK_SECONDS, money[back],
            (CODE["transfer_out"], CODE["transfer_in"]),
        )  # fmt: skip


def _passing_on(
    people: People, members: NDArray[np.int64], calendar: Calendar, rng: np.random.Generator,
    rows: Rows,
) -> None:  # fmt: skip
    """Add one transfer a month of each member to the next: a ring's takings, a sham income."""
    after = np.roll(members, -1)
    made = people.fraud[members] == SYNTHETIC
    begin = np.where(made, -people.tenure_days[members].astype(np.int64), -_FAR)
    end = people.bust_day[members]
    first, last = np.maximum(begin, np.roll(begin, -1)), np.minimum(end, np.roll(end, -1))
    for month in calendar.month_first:
        day = np.full(len(members), month + 17)
        second = 61_200 + rng.integers(0, 600, len(members))
        money = np.full(len(members), int(rng.integers(10, 30)) * _ROUND_MINOR)
        inside = calendar.inside(day) & (day >= first) & (day < last)
        _both(
            rows, (members[inside], after[inside]), day[inside], second[inside], money[inside],
            (CODE["transfer_out"], CODE["transfer_in"]),
        )  # fmt: skip


def _both(
    rows: Rows, who: tuple[NDArray[np.int64], NDArray[np.int64]], day: NDArray[np.int64],
    second: NDArray[np.int64], money: NDArray[np.int64],
    kinds: tuple[NDArray[np.int64] | int, int],
) -> None:  # fmt: skip
    """Add both sides of payments from the first to the second."""
    payer, paid = who
    rows.add(payer, day, second, -money, kinds[0], BANK, KNOWN_PARTY + paid)
    rows.add(paid, day, second, money, kinds[1], BANK, KNOWN_PARTY + payer)


def made_up(people: People, calendar: Calendar, rows: Rows) -> None:
    """Let a made-up person's ledger begin when they joined and end on the day they are gone.

    It begins with cash paid in and ends with nearly as much taken out, in three withdrawals. Bots
    have no ledger.
    """
    begin = -people.tenure_days.astype(np.int64)
    parts = []
    for part in rows.parts:
        person, day = part[0], part[1]
        fake = people.fraud[person] == SYNTHETIC
        gone = fake & ((day < begin[person]) | (day >= people.bust_day[person]))
        keep = ~gone & (people.fraud[person] != BOT)
        parts.append(tuple(column[keep] for column in part))
    rows.parts[:] = parts
    who = np.flatnonzero(people.fraud == SYNTHETIC)
    cash = np.round(people.liquidity[who] * people.income_minor[who] / 10_000) * 10_000
    paid_in = cash.astype(np.int64)
    rows.add(who, begin[who], np.zeros(len(who), np.int64), paid_in, CODE["cash_in"], BANK)
    for turn, share in enumerate(_BUST_SHARES):
        taken = -np.round(paid_in * share / 100).astype(np.int64) * 100
        second = np.full(len(who), 39_600 + 900 * turn)
        rows.add(who, people.bust_day[who].astype(np.int64), second, taken, CODE["cash_out"], BANK)
