"""What a product costs in full: every fee line, the schedule, and the yearly all-in rate."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from jinqiao.domain.catalog import Cost, Fee, Payout, Product
from jinqiao.domain.money import Money
from jinqiao.domain.stage import ProductClass
from jinqiao.engines.cashflow import AllIn, Terms, all_in
from jinqiao.errors import InputError

__all__ = ["SAVING", "CostTable", "FeeLine", "all_in_of", "cost_table", "payout_minor"]

SAVING = frozenset({ProductClass.DEPOSIT, ProductClass.FUND})
"""Classes whose customer puts money in."""


@dataclass(frozen=True, slots=True)
class FeeLine:
    """One fee over the term of the example. ``counted`` False: only when something happens."""

    fee: Fee
    times: int
    each_minor: int
    total_minor: int
    counted: bool


@dataclass(frozen=True, slots=True)
class CostTable:
    """The whole cost of one example, for the product page.

    ``all_in.cost_minor`` is what the customer is poorer by (negative: richer), ``all_in_bps`` the
    yearly rate with every counted fee, None where no money is lent or saved. ``all_in.instalments``
    is the schedule.
    """

    product_id: str
    currency: str
    amount_minor: int
    term_days: int
    all_in: AllIn
    fees: tuple[FeeLine, ...]
    rate_bps: int

    @property
    def all_in_bps(self) -> int | None:
        return self.all_in.annual_bps


def cost_table(
    product: Product, amount_minor: int | None = None, term_days: int | None = None
) -> CostTable:
    """Return every line of what a product costs, for its own example or for another.

    Raises InputError when the amount or the term is outside what the product offers.
    """
    cost = product.cost
    amount = cost.reference_amount_minor if amount_minor is None else amount_minor
    term = cost.reference_term_days if term_days is None else term_days
    if amount_minor is not None:
        _within("amount_minor", amount, cost.amount_min_minor, cost.amount_max_minor)
    if term_days is not None:
        _within("term_days", term, cost.term_min_days, cost.term_max_days)
    found = all_in_of(product.product_class, cost, amount, term)
    lines = tuple(
        FeeLine(cost.fees[row.index], row.times, row.each_minor, row.total_minor, row.counted)
        for row in found.fees
    )
    return CostTable(
        product.product_id, product.currency, amount, term, found, lines, cost.rate_bps
    )


@lru_cache(maxsize=8_192)
def all_in_of(
    product_class: ProductClass,
    cost: Cost,
    amount_minor: int | None = None,
    term_days: int | None = None,
) -> AllIn:
    """Return the all-in cost of a product's example; raise InputError for terms out of range."""
    return all_in(
        Terms(
            amount_minor=cost.reference_amount_minor if amount_minor is None else amount_minor,
            term_days=cost.reference_term_days if term_days is None else term_days,
            rate_bps=cost.rate_bps,
            repayment=cost.repayment.value,
            fees=cost.fees,
            saving=product_class in SAVING,
        )
    )


def payout_minor(
    product: Product, amount_minor: int | None = None, *, dearest: bool = False
) -> int:
    """Return what one paid unit pays, of an amount (None: the example's), at the first tier.

    ``dearest``: at the tier that pays most, which is what a budget is charged.
    """
    payout = product.payout
    amount = product.cost.reference_amount_minor if amount_minor is None else amount_minor
    tiers = payout.tiers if dearest else payout.tiers[:1]
    return max(_tier_pays(payout, index, amount, product.currency) for index in range(len(tiers)))


def _tier_pays(payout: Payout, index: int, amount_minor: int, currency: str) -> int:
    tier = payout.tiers[index]
    if tier.amount_minor is not None:
        return tier.amount_minor
    return Money(amount_minor, currency).share_bps(tier.rate_bps or 0).amount_minor


def _within(field: str, value: int, lower: int, upper: int) -> None:
    if not lower <= value <= upper:
        raise InputError(f"{value} is not from {lower} to {upper}", field=field)
