"""The one figure an offer is known by, and its example in a sentence: always the all-in one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jinqiao.domain.catalog import RepaymentMethod
from jinqiao.domain.stage import CREDIT_CLASSES, ProductClass

if TYPE_CHECKING:
    from jinqiao.domain.catalog import Product
    from jinqiao.faces.web.wording import Wording
    from jinqiao.flow.pages import OfferCard, ProductPage

__all__ = ["Figure", "figure_of", "kind_of"]


@dataclass(frozen=True, slots=True)
class Figure:
    """A label, the figure as text, what it is for, and the example in words."""

    label: str
    value: str
    example: str


def kind_of(product: Product) -> str:
    """Return how a product's cost is told: credit, saving, fund, insurance or account."""
    if product.product_class in CREDIT_CLASSES:
        return "credit"
    if product.product_class is ProductClass.DEPOSIT:
        return "saving"
    if product.product_class is ProductClass.FUND:
        return "fund"
    return "insurance" if product.product_class is ProductClass.INSURANCE else "account"


def figure_of(w: Wording, view: OfferCard | ProductPage) -> Figure:
    """Return the figure of an offer's or a page's cost table."""
    product, cost = view.product, view.cost
    found, currency = cost.all_in, product.currency
    term, amount = w.term(cost.term_days), w.money(cost.amount_minor, currency)
    total = w.money(found.cost_minor, currency)
    kind = kind_of(product)
    if kind == "credit":
        drawn = product.cost.repayment is RepaymentMethod.REVOLVING
        code = "page_example_credit_revolving" if drawn else "page_example_credit"
        back = w.money(found.total_minor, currency)
        example = w.t(code, amount=amount, term=term, cost=total, total=back)
        return Figure(w.t("page_figure_credit"), w.rate(found.annual_bps), example)
    if kind in ("saving", "fund"):
        return _yield(w, kind, (amount, term), found.cost_minor, found.annual_bps, currency)
    label = w.t("page_figure_premium" if kind == "insurance" else "page_figure_fee", term=term)
    if kind == "insurance":
        if cost.amount_minor <= found.total_minor:  # the amount is the premium itself
            return Figure(label, total, w.t("page_example_premium_only", term=term, cost=total))
        cover = w.t("page_example_premium", amount=amount, term=term, cost=total)
        return Figure(label, total, cover)
    free = found.cost_minor == 0
    text = w.t("page_example_free") if free else w.t("page_example_fee", term=term, cost=total)
    return Figure(label, total, text)


def _yield(
    w: Wording, kind: str, example: tuple[str, str], cost_minor: int, bps: int | None,
    currency: str,
) -> Figure:  # fmt: skip
    amount, term = example
    if cost_minor > 0:
        loss = w.money(cost_minor, currency)
        said = w.t("page_example_saving_loss", amount=amount, term=term, loss=loss)
    else:
        gain = w.money(-cost_minor, currency)
        said = w.t(f"page_example_{kind}", amount=amount, term=term, gain=gain)
    return Figure(w.t(f"page_figure_{kind}"), w.rate(bps), said)
