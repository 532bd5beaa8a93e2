"""The shelf page: one need or all of them, each offer with its whole cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from jinqiao.domain.catalog import Institution, Product
from jinqiao.domain.consent import Purpose
from jinqiao.domain.content import Material
from jinqiao.domain.decision import Reason
from jinqiao.domain.ids import keyed_id
from jinqiao.domain.shelf import Context, Offer, Shelf
from jinqiao.domain.stage import CREDIT_CLASSES, ProductClass
from jinqiao.domain.time import to_us

if TYPE_CHECKING:
    from jinqiao.catalog import CostTable
    from jinqiao.flow.live import Live
    from jinqiao.shelf import Requests, Serving, Settings

__all__ = [
    "NEEDS", "Listed", "OfferCard", "ShelfPage", "all_products", "asked_again", "need_of",
    "rule_of", "shelf_page",
]  # fmt: skip

NEEDS: Mapping[str, frozenset[ProductClass]] = MappingProxyType(
    {
        "borrow": CREDIT_CLASSES,
        "grow": frozenset({ProductClass.DEPOSIT, ProductClass.FUND}),
        "protect": frozenset({ProductClass.INSURANCE}),
        "everyday": frozenset({ProductClass.E_ACCOUNT, ProductClass.PAYMENT}),
    }
)
"""What people come for → the classes that serve it. "" is all of them."""

_SLOTS_OF_A_NEED = 8
_PIECES = 3


@dataclass(frozen=True, slots=True)
class OfferCard:
    """One offer with what it costs in full for the product's own example.

    ``badge``: the approval odds that were measured and may be said, or None.
    """

    offer: Offer
    product: Product
    institution: Institution
    cost: CostTable
    badge: Reason | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """One product of the list of everything: nobody's recommendation."""

    kind: str
    product: Product
    institution: Institution
    cost: CostTable


@dataclass(frozen=True, slots=True)
class ShelfPage:
    """``unknown``: why the shelf is not personalised, None when it is."""

    shelf: Shelf
    need: str
    cards: tuple[OfferCard, ...]
    pieces: tuple[Material, ...]
    unknown: Reason | None


def need_of(trace_id: str) -> str:
    """Return the need a shelf was made for, which its trace id names.

    >>> need_of("shf-borrow_0a"), need_of("shf_0a")
    ('borrow', '')
    """
    prefix = trace_id.partition("_")[0]
    need = prefix.removeprefix("shf-")
    return need if need in NEEDS else ""


def shelf_page(live: Live, customer_id: str | None, context: Context, need: str = "") -> ShelfPage:
    """Return the shelf of one visit, logged, with what stands beside it."""
    from jinqiao import content
    from jinqiao.flow.pieces import approved_pieces

    need = need if need in NEEDS else ""
    trace = None
    if need:
        trace = keyed_id(f"shf-{need}", context.session_id, to_us(context.at), customer_id or "")
    requests = live.request(customer_id, context, trace_id=trace)
    shelf = _ranked(live, requests, need)
    found = (_card(live, offer, shelf) for offer in shelf.offers)
    cards = tuple(card for card in found if card is not None)
    classes = [card.product.product_class for card in cards]
    pieces = content.rank(approved_pieces(live.engine), classes, count=_PIECES)
    return ShelfPage(shelf, need, cards, pieces, unknown(live, customer_id, requests))


def all_products(live: Live, need: str = "") -> tuple[Listed, ...]:
    """Return every product on sale now, by class and institution; "" is every need."""
    from jinqiao import catalog

    now = live.engine.clock()
    with live.engine.records.reading() as tx:
        off = catalog.stopped(tx)
    shown = catalog.schedule_mask(live.catalog, now, channel="web").tolist()
    order = list(ProductClass)
    found = [
        Listed(product.product_class.value, product, house, catalog.cost_table(product))
        for (house, product), good in zip(_pairs(live), shown, strict=True)
        if good
        and product.product_id not in off
        and (not need or product.product_class in NEEDS[need])
    ]
    return tuple(sorted(found, key=lambda one: order.index(one.product.product_class)))


def _pairs(live: Live) -> list[tuple[Institution, Product]]:
    return [(i, p) for i in live.catalog.institutions for p in i.products]


def unknown(live: Live, customer_id: str | None, requests: Requests) -> Reason | None:
    """Return why a request is not personalised, or None when it is."""
    from jinqiao import customer

    if bool(requests.personalised[0]):
        return None
    if customer_id is None:
        return Reason("page_shelf_nobody")
    with live.engine.records.reading() as tx:
        said = customer.consent_allows(tx, customer_id, Purpose.PERSONALISE, live.engine.clock())
    if not said.allowed:
        return Reason(f"page_shelf_{said.reasons[0].code}")
    return Reason("page_shelf_no_profile")


def asked_again(
    live: Live, need: str, base: Serving | None = None
) -> tuple[Serving, NDArray[np.bool_] | None]:
    """Return the serving and the products left out of a need's shelf, (P,); "" leaves none out.

    ``base`` is what the visitor's arms of experiments are served from; None: as everybody is.
    """
    base = base or live.serving
    if not need:
        return base, live.stopped
    rule = rule_of(need, base.settings)
    wanted = {one.value for one in NEEDS[need]}
    names = live.serving.products["product_class"].to_pylist()
    others = np.array([name not in wanted for name in names], np.bool_)
    stopped = others if live.stopped is None else others | live.stopped
    return base.varied(settings=rule), stopped


def rule_of(need: str, settings: Settings) -> Settings:
    """Return how a need's shelf is put together: longer, and of one kind as many as there are."""
    return replace(settings, slots=_SLOTS_OF_A_NEED, class_most=0) if need else settings


def _ranked(live: Live, requests: Requests, need: str) -> Shelf:
    from jinqiao import shelf

    if not need:
        return live.rank(requests).record(0)
    requests, base, by = live.in_arms(requests)
    serving, stopped = asked_again(live, need, base)
    shelves = shelf.rank(serving, requests, left=live.left, stopped=stopped, policy=by)
    live.log(shelves.rows(), shelves.empty_rows())
    return shelves.record(0)


def _card(live: Live, offer: Offer, shelf: Shelf) -> OfferCard | None:
    from jinqiao import catalog

    product = live.catalog.product(offer.product_id)
    house = live.catalog.institution(offer.institution_id)
    if product is None or house is None:
        return None
    badge = live.badge(
        offer.product_id, offer.p_approval, personalised=shelf.personalised, arms=shelf.arms
    )
    return OfferCard(offer, product, house, catalog.cost_table(product), badge)
