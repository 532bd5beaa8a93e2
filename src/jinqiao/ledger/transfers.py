"""Money that moves between a customer's own accounts, and payments that two bills both tell of.

A wallet payment drawn on a card is on the wallet's bill and on the card's: the wallet's row says
what it was for, so the card's is marked ``own_transfer`` and the payment is counted once.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jinqiao.domain.time import DAY_US
from jinqiao.ledger.bill import VIA

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["mark_own_transfers", "mark_wallet_mirrors"]

OWN = "own_transfer"
_MOVES = frozenset({"transfer_in", "transfer_out", "other_in", "other_out", OWN})
_CARD = re.compile(r"银行|信用卡|储蓄卡|借记卡|\b(card|bank)\b", re.IGNORECASE)
_WALLET = re.compile(
    r"支付宝|财付通|微信|美团|京东|网银在线|抖音|快捷支付|快捷退款|一网通|alipay|tenpay|wechat",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Row:
    place: int
    at_us: int
    account: str
    amount: int
    memo: str


def mark_own_transfers(table: pa.Table, *, window_days: int = 3) -> pa.Table:
    """Return the table with both sides of a transfer between own accounts marked own_transfer.

    Two rows of one customer are one transfer when their amounts cancel, their accounts differ,
    they lie within ``window_days``, and neither is for anything else; the nearest pair goes first,
    each row is in one pair at most. ``user_id`` tells customers apart; without it all is one's own.
    """
    rows, categories = _rows(table)
    groups = _grouped(rows, categories, lambda category: category in _MOVES)
    for some in groups.values():
        outs = [row for row in some if row.amount < 0]
        ins = [row for row in some if row.amount > 0]
        for left, right in _paired(outs, ins, window_days, lambda a, b: a.account != b.account):
            categories[left.place] = categories[right.place] = OWN
    return _with(table, categories)


def mark_wallet_mirrors(table: pa.Table, *, window_days: int = 2) -> pa.Table:
    """Return the table with a card's side of each wallet payment or refund marked own_transfer.

    The wallet's row names a card it drew on, the card's row names a wallet; customer, currency and
    signed amount are equal and they lie within ``window_days``.
    """
    rows, categories = _rows(table)
    wallets = _grouped(_only(rows, table, ("wallet",), _drawn), categories, lambda _: True)
    cards = _grouped(_only(rows, table, ("bank", "card"), _through), categories, lambda _: True)
    for key, some in wallets.items():
        for sign in (-1, 1):
            left = [row for row in some if row.amount * sign > 0]
            right = [row for row in cards.get(key, ()) if row.amount * sign > 0]
            for _, mirror in _paired(left, right, window_days, lambda *_: True):
                categories[mirror.place] = OWN
    return _with(table, categories)


def _drawn(memo: str) -> bool:
    return bool(_CARD.search(memo.partition(VIA)[2]))


def _through(memo: str) -> bool:
    return bool(_WALLET.search(memo))


def _only(
    rows: Iterable[tuple[Any, _Row]],
    table: pa.Table,
    instruments: tuple[str, ...],
    named: Callable[[str], bool],
) -> list[tuple[Any, _Row]]:
    have = table["instrument"].to_pylist()
    return [(k, r) for k, r in rows if have[r.place] in instruments and named(r.memo)]


def _rows(table: pa.Table) -> tuple[list[tuple[Any, _Row]], list[str]]:
    """Return ((customer, currency, size), row) of every row, and the categories to be changed."""
    import pyarrow as pa

    size = table.num_rows
    users = table["user_id"].to_pylist() if "user_id" in table.column_names else [""] * size
    rows = []
    for place, (user, at, account, amount, currency, memo) in enumerate(
        zip(
            users,
            table["occurred_at"].cast(pa.int64()).to_pylist(),
            table["account_id"].to_pylist(),
            table["amount_minor"].to_pylist(),
            table["currency"].to_pylist(),
            table["memo"].to_pylist(),
            strict=True,
        )
    ):
        rows.append(((user, currency, abs(amount)), _Row(place, at, account, amount, memo or "")))
    return rows, table["category"].to_pylist()


def _grouped(
    rows: Iterable[tuple[Any, _Row]], categories: list[str], wanted: Callable[[str], bool]
) -> dict[Any, list[_Row]]:
    groups: dict[Any, list[_Row]] = defaultdict(list)
    for key, row in rows:
        if wanted(categories[row.place]):
            groups[key].append(row)
    return groups


def _paired(
    left: list[_Row], right: list[_Row], days: int, fits: Callable[[_Row, _Row], bool]
) -> list[tuple[_Row, _Row]]:
    """Return pairs within the window, nearest first, each row once."""
    right = sorted(right, key=lambda row: (row.at_us, row.place))
    times = [row.at_us for row in right]
    window = days * DAY_US
    near = []
    for one in left:
        start = bisect_left(times, one.at_us - window)
        for other in right[start:]:
            if other.at_us > one.at_us + window:
                break
            if fits(one, other):
                near.append((abs(other.at_us - one.at_us), one.place, other.place, one, other))
    taken: set[int] = set()
    pairs = []
    for _, a, b, one, other in sorted(near, key=lambda item: item[:3]):
        if a not in taken and b not in taken:
            taken |= {a, b}
            pairs.append((one, other))
    return pairs


def _with(table: pa.Table, categories: list[str]) -> pa.Table:
    import pyarrow as pa

    at = table.column_names.index("category")
    return table.set_column(at, table.schema.field("category"), pa.array(categories, pa.string()))
