"""The payables a close works on: what is posted of each application, and what ought to be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from jinqiao.domain.application import Application
from jinqiao.settlement.terms import Claim, PayoutTerms, TermsOf, unit_minor
from jinqiao.store.base import Tx

__all__ = ["Book", "Payable"]

PAYOUT, CLAWBACK = "payout", "clawback"

Group = tuple[str, str]
"""A product and a month: units in it are counted together for tiers."""


@dataclass(slots=True)
class Payable:
    """A row of ``payables`` in work.

    ``changed``: what it pays for is new; ``dirty``: something in the row is.
    """

    row: dict[str, Any]
    due_minor: int = 0
    changed: bool = False
    dirty: bool = False

    @property
    def group(self) -> Group:
        return self.row["product_id"], self.row["month"]

    def tell(self, clawed_month: str | None = None, **facts: object) -> None:
        """Write facts, and remember whether any was new."""
        if any(self.row[name] != value for name, value in facts.items()):
            self.row.update(facts)
            self.changed = self.dirty = True
        if self.row["clawed_month"] != clawed_month:
            self.row["clawed_month"] = clawed_month
            self.dirty = True


@dataclass(slots=True)
class Book:
    """Every payable a close may touch: application → (component, month) → payable."""

    terms: TermsOf
    pages: dict[str, dict[tuple[str, str], Payable]] = field(default_factory=dict)
    groups: dict[Group, None] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Payable]:
        for page in self.pages.values():
            yield from page.values()

    def load(self, tx: Tx, where: dict[str, Any]) -> None:
        """Read payables that are not in the book yet."""
        for row in tx.find("payables", where, lock=True):
            page = self.pages.setdefault(row["application_id"], {})
            page.setdefault((row["component"], row["month"]), Payable(row, row["posted_minor"]))

    def write_down(self, application: Application, terms: PayoutTerms, claim: Claim | None) -> None:
        """Replace what the book says of one application by its claim."""
        page = self.pages.setdefault(application.application_id, {})
        wanted: set[tuple[str, str]] = set()
        if claim is not None:
            blank = _blank(application, terms)
            wanted = _claimed(page, blank, claim)
        for place, payable in page.items():
            if place not in wanted:
                payable.tell(standing=False)
            if place[0] == PAYOUT:
                self.groups[payable.group] = None

    def load_tiered(self, tx: Tx) -> None:
        """Read the whole of each touched group in which the count decides what a unit pays."""
        tiered = {payable.group for payable in self if payable.row["tiered"]}
        flat = self.groups.keys() - tiered
        if flat:  # another version of the product may pay by count
            products = sorted({product for product, _ in flat})
            months = sorted({month for _, month in flat})
            within = {"product_id": products, "month": months, "component": PAYOUT, "tiered": True}
            stored = {(row["product_id"], row["month"]) for row in tx.find("payables", within)}
            tiered |= stored & flat
        for product, month in sorted(tiered & self.groups.keys()):
            self.load(tx, {"product_id": product, "month": month, "component": PAYOUT})
        clawed = {p.row["application_id"] for p in self if p.row["clawed_month"] is not None}
        if clawed:
            self.load(tx, {"application_id": sorted(clawed), "component": CLAWBACK})

    def value(self) -> None:
        """Say of every payable what is due: payouts by their place in the month, then clawbacks."""
        groups: dict[Group, list[Payable]] = {group: [] for group in self.groups}
        for payable in self:
            if payable.row["component"] == PAYOUT and payable.group in groups:
                groups[payable.group].append(payable)
        for payables in groups.values():
            self._value_group(payables)
        for page in self.pages.values():
            paid = sum(p.due_minor for (component, _), p in page.items() if component == PAYOUT)
            for (component, _), payable in page.items():
                if component == CLAWBACK:
                    payable.due_minor = -paid if payable.row["standing"] else 0

    def _value_group(self, payables: Sequence[Payable]) -> None:
        standing = [payable for payable in payables if payable.row["standing"]]
        standing.sort(key=lambda p: (p.row["occurred_at"], p.row["application_id"]))
        for payable in payables:
            payable.due_minor = 0
        for rank, payable in enumerate(standing, start=1):
            row = payable.row
            terms = self.terms(row["product_id"], row["product_version"])
            payable.due_minor = unit_minor(terms, rank, row["amount_minor"])


def _claimed(
    page: dict[tuple[str, str], Payable], blank: dict[str, Any], claim: Claim
) -> set[tuple[str, str]]:
    """Write a claim on an application's page; return the places it takes."""
    payout, places = (PAYOUT, claim.month), {(PAYOUT, claim.month)}
    _at(page, payout, blank).tell(
        claim.undone_month,
        occurred_at=claim.paid_us,
        amount_minor=claim.amount_minor,
        standing=True,
    )
    if claim.undone_us is not None and claim.undone_month is not None:
        back = (CLAWBACK, claim.undone_month)
        _at(page, back, blank).tell(occurred_at=claim.undone_us, standing=True)
        places.add(back)
    return places


def _at(
    page: dict[tuple[str, str], Payable], place: tuple[str, str], blank: dict[str, Any]
) -> Payable:
    if place not in page:
        row = {**blank, "component": place[0], "month": place[1]}
        page[place] = Payable(row, 0, True, True)
    return page[place]


def _blank(application: Application, terms: PayoutTerms) -> dict[str, Any]:
    return {
        "application_id": application.application_id,
        "institution_id": application.institution_id,
        "product_id": application.product_id,
        "product_version": application.product_version,
        "stage": terms.stage.value,
        "currency": terms.currency,
        "zone": terms.zone,
        "occurred_at": 0,
        "amount_minor": None,
        "standing": False,
        "tiered": any(tier.from_count > 1 for tier in terms.payout.tiers),
        "clawed_month": None,
        "posted_minor": 0,
        "entries": 0,
        "last_transfer_id": None,
    }
