"""Running balances checked to the last minor unit, whatever order a bank lists a day in.

Each row is an edge from the balance before it to the balance after it; rows of one instant have a
consistent order exactly when these edges form one trail from the balance before them (Euler 1741;
Hierholzer 1873 finds it).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["AccountBalance", "chained", "in_order", "reconcile"]


@dataclass(frozen=True, slots=True)
class AccountBalance:
    """Whether an account's rows lead from balance to balance, and the first row that does not.

    ``place`` is that row's place in the table handed in (from 0); ``expected_minor`` its balance
    had it followed the rows before it, ``found_minor`` what it says. ``unchecked`` rows say none.
    """

    account_id: str
    currency: str
    rows: int
    unchecked: int
    agrees: bool
    place: int | None = None
    transaction_id: str | None = None
    expected_minor: int | None = None
    found_minor: int | None = None


@dataclass(frozen=True, slots=True)
class _Step:
    place: int
    at_us: int
    amount: int
    balance: int | None


def reconcile(table: pa.Table, *, tolerance_minor: int = 0) -> tuple[AccountBalance, ...]:
    """Return one check an account and currency, in order of first appearance.

    ``table`` has RAW_TRANSACTIONS' columns (``user_id`` may be absent). Rows are taken by
    ``occurred_at``; those of one instant in whatever order makes their balances agree. A bank that
    rounds balances (Berka's) may be allowed to miss by ``tolerance_minor`` a row; exact otherwise.
    """
    import pyarrow as pa

    accounts: dict[tuple[str, str], list[_Step]] = defaultdict(list)
    columns = (
        table["account_id"].to_pylist(),
        table["currency"].to_pylist(),
        table["occurred_at"].cast(pa.int64()).to_pylist(),
        table["amount_minor"].to_pylist(),
        table["balance_minor"].to_pylist(),
    )
    for place, (account, currency, at, amount, balance) in enumerate(zip(*columns, strict=True)):
        accounts[account, currency].append(_Step(place, at, amount, balance))
    ids = table["transaction_id"]
    return tuple(_checked(key, steps, ids, tolerance_minor) for key, steps in accounts.items())


def in_order(
    amounts: Sequence[int], balances: Sequence[int], start: int | None, tolerance_minor: int = 0
) -> list[int]:
    """Return the places of rows of one instant in the order their balances tell.

    Exact where a trail exists from ``start`` (the balance before, None when unknown) or from
    anywhere; else each next row is the one that misses the balance before it least, and when one
    misses by more than ``tolerance_minor`` the order given is kept.
    """
    found = chained(amounts, balances, start) or chained(amounts, balances, None)
    if found is not None:
        return found[0]
    given = list(range(len(amounts)))
    starts = [start] if start is not None else [balances[i] - amounts[i] for i in given]
    for before in starts:
        order = _nearest(amounts, balances, before, tolerance_minor)
        if order is not None:
            return order
    return given


def _nearest(
    amounts: Sequence[int], balances: Sequence[int], before: int, tolerance_minor: int
) -> list[int] | None:
    left, order = list(range(len(amounts))), []
    while left:
        best = min(left, key=lambda row: abs(before + amounts[row] - balances[row]))
        if abs(before + amounts[best] - balances[best]) > tolerance_minor:
            return None
        left.remove(best)
        order.append(best)
        before = balances[best]
    return order


def chained(
    amounts: Sequence[int], balances: Sequence[int], start: int | None
) -> tuple[list[int], int] | None:
    """Return (an order of rows that leads from balance to balance, the last balance), or None.

    ``start`` is the balance before; None when it is not known, then any that works is taken.
    """
    edges: dict[int, list[int]] = defaultdict(list)
    surplus: dict[int, int] = defaultdict(int)
    for row in reversed(range(len(amounts))):  # so that ties keep the order given
        before = balances[row] - amounts[row]
        edges[before].append(row)
        surplus[before] += 1
        surplus[balances[row]] -= 1
    odd = [node for node, extra in surplus.items() if extra]
    if len(odd) > 2 or any(abs(surplus[node]) > 1 for node in odd):
        return None
    begin = next((node for node in odd if surplus[node] == 1), None)
    if begin is None:
        begin = start if start is not None else balances[0] - amounts[0]
    if start is not None and begin != start:
        return None
    order = _trail(edges, balances, begin)
    return (order, balances[order[-1]]) if len(order) == len(amounts) else None


def _trail(edges: dict[int, list[int]], balances: Sequence[int], begin: int) -> list[int]:
    stack: list[tuple[int, int | None]] = [(begin, None)]
    order: list[int] = []
    while stack:
        node, row = stack[-1]
        if edges.get(node):
            taken = edges[node].pop()
            stack.append((balances[taken], taken))
        else:
            stack.pop()
            if row is not None:
                order.append(row)
    return order[::-1]


def _checked(
    key: tuple[str, str], steps: list[_Step], ids: pa.ChunkedArray, tolerance: int
) -> AccountBalance:
    unchecked = sum(step.balance is None for step in steps)
    balance: int | None = None
    ordered = sorted(steps, key=lambda step: step.at_us)
    for _, moment in groupby(ordered, key=lambda step: step.at_us):
        group = list(moment)
        after = _after(group, balance, tolerance)
        if after is None and balance is None and any(s.balance is None for s in group):
            continue  # nothing to check against yet
        if after is None:
            bad, expected = _first_break(group, balance)
            return AccountBalance(
                *key, len(steps), unchecked, False, bad.place, ids[bad.place].as_py(),
                expected, bad.balance,
            )  # fmt: skip
        balance = after
    return AccountBalance(*key, len(steps), unchecked, True)


def _after(group: list[_Step], before: int | None, tolerance: int) -> int | None:
    """Return the balance after the rows of one instant, None when they do not follow."""
    known = [step.balance for step in group if step.balance is not None]
    if len(known) < len(group):
        if before is None:
            return known[-1] if len(group) == 1 and known else None
        return before + sum(step.amount for step in group)
    amounts = [step.amount for step in group]
    found = chained(amounts, known, before)
    if found is not None:
        return found[1]
    if tolerance and before is not None:
        order = _nearest(amounts, known, before, tolerance)
        return None if order is None else known[order[-1]]
    return None


def _first_break(group: list[_Step], before: int | None) -> tuple[_Step, int | None]:
    """Return the first row, in the order that goes furthest greedily, that does not follow."""
    left = list(group)
    while before is not None:
        follows = next((s for s in left if s.balance == before + s.amount), None)
        if follows is None:
            break
        left.remove(follows)
        before = follows.balance
        if not left:
            return group[-1], before
    bad = left[0]
    return bad, None if before is None else before + bad.amount
