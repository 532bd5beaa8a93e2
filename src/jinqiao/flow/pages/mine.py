"""A customer's own pages: applications as they stand, consents, what is known."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jinqiao.domain.application import Application, Click
from jinqiao.domain.catalog import Product
from jinqiao.domain.consent import ConsentText, Purpose
from jinqiao.domain.stage import STAGES, Stage
from jinqiao.errors import NotFound

if TYPE_CHECKING:
    from jinqiao.catalog import CostTable
    from jinqiao.flow.live import Live
    from jinqiao.flow.wiring import Engine
    from jinqiao.profile import Shown
    from jinqiao.store.base import Tx

__all__ = ["ApplicationView", "ConsentView", "DataPage", "application_views", "data_page"]

_ORDER = tuple(Stage)


@dataclass(frozen=True, slots=True)
class ApplicationView:
    """One application under the terms it was made under; None: that version is not kept."""

    application: Application
    click: Click
    product: Product | None
    institution_names: tuple[str, str]
    cost: CostTable | None
    ahead: tuple[Stage, ...]
    """The stages that may still come, the next first."""


@dataclass(frozen=True, slots=True)
class ConsentView:
    """What was said about one purpose. ``text``: the very words agreed to, or to agree to."""

    purpose: Purpose
    granted: bool
    text: ConsentText
    newest: ConsentText
    said_at: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class DataPage:
    customer_id: str
    consents: tuple[ConsentView, ...]
    known: tuple[Shown, ...]
    as_of: datetime | None


def application_views(
    engine: Engine, customer_id: str, *, cursor: str | None = None
) -> tuple[tuple[ApplicationView, ...], str | None]:
    """Return a page of a customer's applications, newest first, and the cursor of the next."""
    from jinqiao import conversion, customer

    catalog = engine.catalog()
    names = {str(i.institution_id): (i.name_zh, i.name_en) for i in catalog.institutions}
    with engine.records.reading() as tx:
        ids = customer.members(tx, customer_id)
        page = conversion.applications_of(tx, ids, cursor=cursor, limit=20)
        views = tuple(_view(tx, one, names) for one in page.applications)
    return views, page.cursor


def _view(tx: Tx, one: Application, names: dict[str, tuple[str, str]]) -> ApplicationView:
    from jinqiao import catalog, conversion

    product: Product | None = None
    with suppress(NotFound):
        product = catalog.product_version(tx, one.product_id, one.product_version)
    cost = catalog.cost_table(product) if product else None
    house = names.get(one.institution_id, (one.institution_id, one.institution_id))
    click = conversion.click(tx, one.click_id)
    return ApplicationView(one, click, product, house, cost, _ahead(one, click))


def _ahead(one: Application, click: Click) -> tuple[Stage, ...]:
    """Return the good stages after the furthest that stands, of those this class has."""
    if one.state in ("refused", "reversed", "expired", "default"):
        return ()
    reached = [stage for stage, _, _ in one.reached]
    last = max((_ORDER.index(stage) for stage in reached), default=_ORDER.index(Stage.CLICK))
    skip = {Stage.PRE_APPROVAL, Stage.DEFAULT}
    of_class = STAGES[click.product_class]
    return tuple(stage for stage in _ORDER[last + 1 :] if stage in of_class and stage not in skip)


def data_page(live: Live, customer_id: str, language: str) -> DataPage:
    """Return what a customer agreed to and what shelves know of them, in a language."""
    from jinqiao import profile
    from jinqiao.domain.time import from_us
    from jinqiao.flow.pages.products import profile_of

    engine = live.engine
    row = profile_of(live, customer_id) or {}
    shown = profile.values(
        row, language, features=engine.dictionary, currency=engine.settings.marketplace.currency
    )
    return DataPage(
        customer_id, _consents(engine, customer_id), tuple(one for one in shown if one.known),
        from_us(live.serving.feature_as_of_us) if row else None,
    )  # fmt: skip


def _consents(engine: Engine, customer_id: str) -> tuple[ConsentView, ...]:
    from jinqiao import customer
    from jinqiao.flow.people import consent_choices

    texts = {text.version: text for text in customer.shipped_texts()}
    newest = {text.purpose: text for text in customer.shipped_texts()}
    choices = {row["purpose"]: row for row in consent_choices(engine, customer_id)}
    with engine.records.reading() as tx:
        kept = {row["version"]: row for row in tx.find("consent_texts")}
    found = []
    for purpose in Purpose:
        if purpose not in newest:
            continue
        row = choices[purpose.value]
        version = row["text_version"] if row["granted"] else None
        text = texts.get(version or "") or _published(kept, version) or newest[purpose]
        said = datetime.fromisoformat(row["said_at"]) if row["said_at"] else None
        found.append(
            ConsentView(purpose, row["granted"], text, newest[purpose], said, row["reason"])
        )
    return tuple(found)


def _published(kept: dict[str, dict[str, Any]], version: str | None) -> ConsentText | None:
    row = kept.get(version or "")
    if row is None:
        return None
    return ConsentText(row["version"], Purpose(row["purpose"]), row["zh"], row["en"])
