"""Merchants' shops on a platform: orders, returns, settlements, stock and what is still owed.

Shops in collusion sell in a circle: their sham sales are settlements too, and swell what they seem
to be owed. Each settlement is one ``business_income`` row of the ledger taken apart: orders of some
days, less returns, paid out after a lag. So the shop's books and the bank's agree to the cent.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jinqiao.domain.ledger import CATEGORIES
from jinqiao.domain.time import DAY_US
from jinqiao.synthetic.draws import normal_of, uniform
from jinqiao.synthetic.people import People
from jinqiao.synthetic.rows import KNOWN_PARTY, Lines, digits, joined

__all__ = ["order_table", "settlement_table"]

_INCOME = list(CATEGORIES).index("business_income")
_STOCK = list(CATEGORIES).index("supplier_payment")


def settlement_table(people: People, lines: Lines, seed: int) -> pa.Table:
    """Return one row a settlement of a block's shops, by shop and time.

    ``gross_minor − returned_minor = net_minor``, which is the amount of ledger row
    ``transaction_id``. ``stock_minor``: goods paid for and not yet sold at cost, ≥ 0.
    ``receivable_minor``: sold since and not settled yet.
    """
    rows = np.flatnonzero((lines.category == _INCOME) & (lines.amount > 0))
    net, at = lines.amount[rows], lines.at_us[rows]
    key = (people.index[lines.person[rows]], lines.turn[rows].astype(np.int64))
    share = 0.02 + 0.10 * uniform(seed, "returns", *key)
    gross = np.round(net / (1 - share)).astype(np.int64)
    lag = 1 + np.floor(uniform(seed, "settlement lag", *key) * 14).astype(np.int64)
    span = 1 + np.floor(uniform(seed, "settlement span", *key) * 6).astype(np.int64)
    ticket = 3_000 * np.exp(0.6 * normal_of(uniform(seed, "ticket", key[0])))
    sham = lines.party[rows] >= KNOWN_PARTY
    gross, lag = np.where(sham, net, gross), np.where(sham, 12 + lag, lag)
    orders = np.where(sham, 1, np.maximum(np.round(gross / ticket), 1)).astype(np.int64)
    until = at - lag * DAY_US
    user = digits("u", key[0], 8)
    text = joined(digits("t", key[0], 8), digits("", key[1], 5), "-")
    return pa.table(
        {
            "settlement_id": joined("s", text, "-"),
            "user_id": user,
            "transaction_id": text,
            "ordered_from": pa.array(until - span * DAY_US).cast(pa.timestamp("us")),
            "ordered_until": pa.array(until).cast(pa.timestamp("us")),
            "settled_at": pa.array(at).cast(pa.timestamp("us")),
            "orders": pa.array(orders),
            "gross_minor": pa.array(gross),
            "returned_minor": pa.array(gross - net),
            "net_minor": pa.array(net),
            "stock_minor": pa.array(_stock(lines, rows)),
            "receivable_minor": pa.array(np.round(gross * lag / (span + 1)).astype(np.int64)),
        }
    )


def order_table(people: People, lines: Lines, seed: int) -> pa.Table:
    """Return who bought what each settlement pays for: up to three buyers a settlement.

    Two regular buyers with an account of the platform (``buyer_id``), and everyone else in one row
    (``buyer_id`` null). Orders and money add up to the settlement's. ``waybills``: orders that a
    carrier has scanned. A sham sale is one order of one buyer that nobody carried.
    """
    table = settlement_table(people, lines, seed)
    rows = np.flatnonzero((lines.category == _INCOME) & (lines.amount > 0))
    party = lines.party[rows].astype(np.int64)
    sham = party >= KNOWN_PARTY
    shop, turn = people.index[lines.person[rows]], lines.turn[rows].astype(np.int64)
    names = ("orders", "gross_minor", "returned_minor")
    whole = [table[name].to_numpy() for name in names]
    left, parts = [column.copy() for column in whole], []
    for place in (1, 2, 0):
        key = (shop, turn, np.full(len(rows), place))
        share = np.where(sham, 1.0, 0.05 + 0.15 * uniform(seed, "buyer share", *key))
        took = [np.floor(c * share).astype(np.int64) if place else c for c in left]
        took = [np.where(took[0] > 0, one, 0) for one in took]
        took[2] = np.minimum(took[2], took[1])
        left = [have - part for have, part in zip(left, took, strict=True)]
        regular = np.floor(uniform(seed, "regular buyer", shop, place) * len(people))
        buyer = np.where(sham, party - KNOWN_PARTY, regular.astype(np.int64))
        sent = np.ceil(took[0] * (0.9 + 0.1 * uniform(seed, "waybills", *key))).astype(np.int64)
        parts.append(
            pa.table(
                {
                    "settlement_id": table["settlement_id"],
                    "user_id": table["user_id"],
                    "buyer_id": digits("u", people.index[buyer], 8, np.full(len(rows), place == 0)),
                    "ordered_until": table["ordered_until"],
                    **dict(zip(names, (pa.array(c) for c in took), strict=True)),
                    "waybills": pa.array(np.where(sham, 0, sent)),
                }
            ).filter(pa.array(took[0] > 0))
        )
    return pa.concat_tables(parts).combine_chunks()


def _stock(lines: Lines, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return goods on hand after each settlement: bought, less two thirds of what was sold."""
    kind = lines.category
    moved = np.where(kind == _STOCK, -lines.amount, 0)
    moved = moved - np.where(kind == _INCOME, lines.amount * 2 // 3, 0)
    total = np.cumsum(moved)
    first = np.flatnonzero(np.diff(lines.person, prepend=-1))
    before = np.repeat(total[first] - moved[first], np.diff(np.append(first, len(total))))
    return np.asarray(np.maximum(total - before, 0)[rows])
