"""The journal: each transfer is one debit and one equal credit; nothing in it ever changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jinqiao.domain.ids import ApplicationId, InstitutionId, ProductId
from jinqiao.domain.journal import Transfer
from jinqiao.domain.time import from_us
from jinqiao.errors import Unbalanced
from jinqiao.store.base import Row, Tx

__all__ = [
    "accounts",
    "balance",
    "journal_sum",
    "owed",
    "post",
    "transfer_of_row",
    "transfers_of",
]


def accounts(institution_id: str, component: str, currency: str) -> tuple[str, str]:
    """Return the two accounts of a payout: what is owed, and what it was earned as."""
    return (
        f"institution:{institution_id}:receivable:{currency}",
        f"operator:{component}:{currency}",
    )


def post(tx: Tx, rows: Sequence[dict[str, Any]], close_number: int) -> None:
    """Write transfer rows and their entries; a transfer that is there already changes nothing.

    Raises Unbalanced when a transfer is not an amount between two accounts, or the entries of the
    close do not sum to zero; the transaction then writes nothing.
    """
    for row in rows:
        if row["amount_minor"] <= 0 or row["debit_account"] == row["credit_account"]:
            raise Unbalanced(
                "a transfer moves money between two accounts", record=row["transfer_id"]
            )
    new = tx.insert_new("transfers", rows)
    entries = [
        entry
        for row, is_new in zip(rows, new, strict=True)
        if is_new
        for entry in _entries(row, close_number)
    ]
    tx.insert("journal_entries", entries)
    off = tx.total("journal_entries", "amount_minor", {"close_number": close_number})
    if off != 0:
        raise Unbalanced(f"the entries of close {close_number} sum to {off}, not 0")


def balance(tx: Tx, account: str) -> int:
    """Return an account's debits less its credits, minor units of its currency.

    A receivable is positive while the institution owes; an account nobody wrote to is 0.
    """
    return tx.total("journal_entries", "amount_minor", {"account": account})


def journal_sum(tx: Tx) -> int:
    """Return the sum of every entry of the journal: 0, or the journal is damaged."""
    return tx.total("journal_entries", "amount_minor")


def owed(tx: Tx) -> dict[tuple[str, str], int]:
    """Return what each institution owes: (institution id, currency) → minor units, in id order."""
    sums: dict[tuple[str, str], int] = {}
    for row in tx.find("payables"):
        key = (row["institution_id"], row["currency"])
        sums[key] = sums.get(key, 0) + row["posted_minor"]
    return dict(sorted(sums.items()))


def transfers_of(tx: Tx, application_id: str) -> tuple[Transfer, ...]:
    """Return every transfer an application caused, in the order they were posted."""
    rows = tx.find(
        "transfers",
        {"application_id": application_id},
        order_by=("close_number", "occurred_at", "transfer_id"),
    )
    return tuple(transfer_of_row(row) for row in rows)


def transfer_of_row(row: Row) -> Transfer:
    """Return the record of a row of ``transfers``."""
    return Transfer(
        row["transfer_id"],
        row["debit_account"],
        row["credit_account"],
        row["amount_minor"],
        row["currency"],
        from_us(row["occurred_at"]),
        InstitutionId(row["institution_id"]),
        ProductId(row["product_id"]),
        ApplicationId(row["application_id"]),
        row["reason"],
        row["corrects"],
    )


def _entries(row: Row, close_number: int) -> list[dict[str, Any]]:
    sides = (("debit", row["debit_account"], 1), ("credit", row["credit_account"], -1))
    return [
        {
            "transfer_id": row["transfer_id"],
            "side": side,
            "account": account,
            "currency": row["currency"],
            "amount_minor": sign * row["amount_minor"],
            "close_number": close_number,
        }
        for side, account, sign in sides
    ]
