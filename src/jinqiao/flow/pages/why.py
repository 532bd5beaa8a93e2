"""The reason chain of a shelf that was shown, or of a product for this visitor now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from jinqiao.domain.catalog import Institution, Product
from jinqiao.domain.decision import Decision, Reason
from jinqiao.domain.shelf import Context
from jinqiao.errors import NotFound
from jinqiao.flow.pages.shelves import need_of

if TYPE_CHECKING:
    import pyarrow as pa

    from jinqiao.flow.live import Live

__all__ = ["OfferWhy", "WhyPage", "logged", "why_not", "why_page"]


@dataclass(frozen=True, slots=True)
class OfferWhy:
    """One product and its six steps; ``position`` 0 and no ``outcome`` when it was not shown."""

    product: Product
    institution: Institution
    steps: tuple[Decision, ...]
    position: int = 0
    outcome: tuple[Reason, ...] = ()

    @property
    def shown(self) -> bool:
        """Whether every step lets it be shown."""
        return all(step.allowed for step in self.steps)


@dataclass(frozen=True, slots=True)
class WhyPage:
    """A shelf's chain. ``head``: the logged row of its first offer, with versions and policy."""

    trace_id: str
    need: str
    offers: tuple[OfferWhy, ...]
    head: dict[str, Any]
    at: datetime
    notes: tuple[Reason, ...]


def logged(live: Live, trace_id: str) -> list[dict[str, Any]]:
    """Return the decision rows of a trace, top first, in the lake yet or not; [] for none."""
    from jinqiao.flow.explain import logged_rows

    found = [row for table in live.waiting() for row in _of(table, trace_id)]
    if found:
        return sorted(found, key=lambda row: int(row["position"]))
    try:
        return logged_rows(live.engine, trace_id)
    except NotFound:
        return []


def _of(table: pa.Table, trace_id: str) -> list[dict[str, Any]]:
    import pyarrow.compute as pc

    rows: list[dict[str, Any]] = table.filter(pc.equal(table["trace_id"], trace_id)).to_pylist()
    return rows


def why_page(live: Live, customer_id: str | None, trace_id: str) -> WhyPage:
    """Return the chain of every offer of a shelf this visitor was shown.

    Raises NotFound for a trace that is not there or is somebody else's: the two look the same.
    """
    from jinqiao.flow.explain import explain

    rows = logged(live, trace_id)
    if not rows or rows[0]["customer_id"] != (customer_id or ""):
        raise NotFound("no such shelf", record=trace_id)
    told = explain(live.engine, trace_id, rows=rows)
    offers = []
    for story in told.offers:
        product = live.catalog.product(story.product_id)
        house = live.catalog.institution(product.institution_id) if product else None
        if product is not None and house is not None:
            offers.append(OfferWhy(product, house, story.steps, story.position, story.outcome))
    at = rows[0]["occurred_at"].replace(tzinfo=UTC)
    return WhyPage(trace_id, need_of(trace_id), tuple(offers), rows[0], at, told.notes)


def why_not(live: Live, customer_id: str | None, context: Context, product_id: str) -> OfferWhy:
    """Return why a product is or is not on this visitor's shelf now, step by step."""
    product = live.catalog.product(product_id)
    house = live.catalog.institution(product.institution_id) if product else None
    if product is None or house is None or product_id not in live.serving.product_ids:
        raise NotFound("no such product", record=product_id)
    return OfferWhy(product, house, live.explain(customer_id, context, product_id))
