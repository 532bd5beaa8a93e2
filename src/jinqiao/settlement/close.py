"""The daily close: post the difference between what the facts say is due and what is posted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from jinqiao.domain.application import Application
from jinqiao.domain.decision import Reason
from jinqiao.domain.ids import keyed_id
from jinqiao.domain.journal import Transfer
from jinqiao.errors import NotFound
from jinqiao.settlement.book import CLAWBACK, PAYOUT, Book, Payable
from jinqiao.settlement.journal import accounts, post, transfer_of_row
from jinqiao.settlement.terms import Claim, TermsOf, claim_of, pays_share
from jinqiao.store.base import Tx

__all__ = ["Settled", "settle"]


@dataclass(frozen=True, slots=True)
class Settled:
    """What a close did. ``settled``: the applications whose present state the journal knows.

    ``exceptions``: (application id, why): terms that do not exist, or a share of an amount nobody
    reported. The former stay unsettled; so does what lies after ``as_of_us``.
    """

    close_number: int
    as_of_us: int
    transfers: tuple[Transfer, ...]
    settled: tuple[str, ...]
    exceptions: tuple[tuple[str, Reason], ...] = ()


def settle(
    tx: Tx, applications: Iterable[Application], *, as_of_us: int, terms: TermsOf
) -> Settled:
    """Return the transfers that bring the journal up to these applications' present state.

    ``applications`` are the ones that changed (the others are not touched, unless a tier shifts
    under them); ``terms`` returns the terms of a product id and the version in force at the click.
    Facts after ``as_of_us`` wait for a later close. Raises Unbalanced, and then posts nothing.
    """
    book = Book(cache(terms))
    settled, exceptions = _write_down(tx, book, list(applications), as_of_us)
    book.load_tiered(tx)
    book.value()
    last = tx.find("closes", order_by=("-close_number",), limit=1, lock=True)
    number = last[0]["close_number"] + 1 if last else 1
    rows = _post(tx, book, number, as_of_us)
    if settled or exceptions:
        tx.insert("closes", [_close_row(number, as_of_us, len(settled), len(rows), exceptions)])
    posted = tuple(transfer_of_row(row) for row in rows)
    return Settled(number, as_of_us, posted, tuple(settled), tuple(exceptions))


def _write_down(
    tx: Tx, book: Book, applications: list[Application], as_of_us: int
) -> tuple[list[str], list[tuple[str, Reason]]]:
    """Write every application's claim into the book; return which are settled, and exceptions."""
    if applications:
        book.load(tx, {"application_id": [item.application_id for item in applications]})
    settled: list[str] = []
    exceptions: list[tuple[str, Reason]] = []
    for item in applications:
        try:
            terms = book.terms(item.product_id, item.product_version)
        except NotFound:
            numbers = {"product_id": item.product_id, "version": item.product_version}
            exceptions.append((item.application_id, Reason("settlement_no_terms", numbers)))
            continue
        claim = claim_of(item, terms)
        known = _known(claim, as_of_us)
        book.write_down(item, terms, known)
        if known == claim:
            settled.append(item.application_id)
        if claim and claim.amount_minor is None and pays_share(terms):
            reason = Reason("settlement_no_amount", {"stage": terms.stage.value})
            exceptions.append((item.application_id, reason))
    return settled, exceptions


def _known(claim: Claim | None, as_of_us: int) -> Claim | None:
    """Return the part of a claim that had happened at an instant."""
    if claim is None or claim.paid_us > as_of_us:
        return None
    if claim.undone_us is not None and claim.undone_us > as_of_us:
        return replace(claim, undone_us=None, undone_month=None)
    return claim


def _post(tx: Tx, book: Book, number: int, as_of_us: int) -> list[dict[str, Any]]:
    """Post every difference; return the transfer rows, in a settled order."""
    order = sorted(
        book, key=lambda p: (p.row["application_id"], p.row["component"] != PAYOUT, p.row["month"])
    )
    rows, touched = [], []
    for payable in order:
        difference = payable.due_minor - payable.row["posted_minor"]
        if difference:
            rows.append(_transfer(book, payable, difference, number, as_of_us))
        if difference or payable.dirty:
            touched.append(payable.row)
    if rows:
        post(tx, rows, number)
    if touched:
        tx.upsert("payables", touched)
    return rows


def _transfer(
    book: Book, payable: Payable, difference: int, number: int, as_of_us: int
) -> dict[str, Any]:
    """Return the transfer row of a difference, and note it on the payable."""
    row = payable.row
    owed, earned = accounts(row["institution_id"], row["component"], row["currency"])
    debit, credit = (owed, earned) if difference > 0 else (earned, owed)
    entry = row["entries"] + 1
    name = keyed_id("trf", row["application_id"], row["component"], row["month"], entry)
    made = {
        "transfer_id": name,
        "close_number": number,
        "debit_account": debit,
        "credit_account": credit,
        "amount_minor": abs(difference),
        "reason": _reason(book, payable),
        "corrects": _corrected(book, payable),
        "posted_at": as_of_us,
        **{key: row[key] for key in _COPIED},
    }
    row.update(entries=entry, posted_minor=payable.due_minor, last_transfer_id=name)
    return made


_COPIED = (
    "currency", "zone", "occurred_at", "institution_id", "product_id", "product_version",
    "application_id", "stage", "month",
)  # fmt: skip


def _reason(book: Book, payable: Payable) -> str:
    """Return why a difference is posted: first time, new facts, or another place in the month."""
    if payable.row["entries"] == 0:
        return str(payable.row["component"])
    page = book.pages[payable.row["application_id"]]
    behind = [other for (name, _), other in page.items() if name == PAYOUT]
    if payable.row["component"] == PAYOUT:
        behind = []
    new = any(other.changed for other in (payable, *behind))
    return "restate" if new else "tier_adjustment"


def _corrected(book: Book, payable: Payable) -> str | None:
    """Return the transfer a new one follows: its own last, or the payout a clawback takes back."""
    last = payable.row["last_transfer_id"]
    if last is None and payable.row["component"] == CLAWBACK:
        page = book.pages[payable.row["application_id"]]
        standing = [p for (name, _), p in sorted(page.items()) if name == PAYOUT]
        last = next((p.row["last_transfer_id"] for p in standing if p.row["standing"]), None)
    return None if last is None else str(last)


def _close_row(
    number: int,
    as_of_us: int,
    applications: int,
    transfers: int,
    exceptions: list[tuple[str, Reason]],
) -> dict[str, Any]:
    listed = [[name, reason.code, dict(reason.numbers)] for name, reason in exceptions]
    return {
        "close_number": number,
        "as_of_at": as_of_us,
        "applications": applications,
        "transfers": transfers,
        "exceptions": listed,
    }
