"""The reason chain of a shelf that was shown, or of a product for this customer now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jinqiao.domain.catalog import Institution, Product
from jinqiao.domain.decision import Decision, Reason
from jinqiao.domain.shelf import Context
from jinqiao.domain.time import from_us
from jinqiao.errors import NotFound
from jinqiao.flow.pages.shelves import asked_again, need_of

if TYPE_CHECKING:
    from jinqiao.flow.live import Live

__all__ = ["OfferWhy", "WhyPage", "logged", "why_not", "why_page"]


@dataclass(frozen=True, slots=True)
class OfferWhy:
    """One product and its six steps. ``row``: what was logged when it was shown, {} if never."""

    product: Product
    institution: Institution
    steps: tuple[Decision, ...]
    row: dict[str, Any]


@dataclass(frozen=True, slots=True)
class WhyPage:
    """``same_snapshot``: whether the conditions told are of the snapshot the shelf was made from."""

    trace_id: str
    need: str
    offers: tuple[OfferWhy, ...]
    head: dict[str, Any]
    same_snapshot: bool


def logged(live: Live, trace_id: str) -> list[dict[str, Any]]:
    """Return the decision rows of a trace, top first, whether in the lake yet or not."""
    waiting = [
        row for table in live.waiting() for row in table.filter(_equal(table, trace_id)).to_pylist()
    ]
    if not waiting:
        sql = "select * from decisions where trace_id = $trace_id order by position"
        waiting = live.engine.lake.query(sql, trace_id=trace_id).to_pylist()
    return sorted(waiting, key=lambda row: row["position"])


def _equal(table: Any, trace_id: str) -> Any:
    import pyarrow.compute as pc

    return pc.equal(table["trace_id"], trace_id)


def why_page(live: Live, customer_id: str | None, trace_id: str) -> WhyPage:
    """Return the chain of every offer of a shelf this visitor was shown.

    Raises NotFound for a trace that is not there or is somebody else's: the two look the same.
    """
    rows = logged(live, trace_id)
    if not rows or rows[0]["customer_id"] != (customer_id or ""):
        raise NotFound("no such shelf", record=trace_id)
    need = need_of(trace_id)
    context = _context(rows[0])
    offers = []
    for row in rows:
        product = live.catalog.product(row["product_id"])
        if product is None or row["product_id"] not in live.serving.product_ids:
            continue
        house = live.catalog.institution(product.institution_id)
        assert house is not None
        steps = _explained(live, customer_id, context, product.product_id, (trace_id, need))
        offers.append(OfferWhy(product, house, _as_logged(steps, row), row))
    same = rows[0]["snapshot_version"] == live.serving.versions.snapshot
    return WhyPage(trace_id, need, tuple(offers), rows[0], same)


def why_not(live: Live, customer_id: str | None, context: Context, product_id: str) -> OfferWhy:
    """Return why a product is or is not on this visitor's shelf now, step by step."""
    product = live.catalog.product(product_id)
    if product is None or product_id not in live.serving.product_ids:
        raise NotFound("no such product", record=product_id)
    house = live.catalog.institution(product.institution_id)
    assert house is not None
    return OfferWhy(product, house, live.explain(customer_id, context, product_id), {})


def _explained(
    live: Live, customer_id: str | None, context: Context, product_id: str, trace: tuple[str, str]
) -> tuple[Decision, ...]:
    from jinqiao import shelf

    serving, stopped = asked_again(live, trace[1])
    requests = live.request(customer_id, context, trace_id=trace[0])
    return shelf.explain(
        serving, requests, product_id, explainers=live.explainers(context), left=live.left,
        stopped=stopped,
    )  # fmt: skip


def _as_logged(steps: tuple[Decision, ...], row: dict[str, Any]) -> tuple[Decision, ...]:
    """Return the steps with the numbers of then: chances, value, price and place as logged."""
    then = {
        "propensity": _chances(row),
        "price": _price(row),
        "rank": (
            Reason("shelf_shown_at", {"position": row["position"]}),
            Reason("page_why_display", {"share": row["display_probability"],
                                        "candidates": row["n_candidates"]}),
        ),
    }  # fmt: skip
    told = []
    for step in steps:
        if step.step not in then:
            told.append(step)
            continue
        rest = tuple(r for r in step.reasons if r.code not in _REPLACED)
        told.append(Decision(True, step.step, then[step.step] + rest))
    return tuple(told)


_REPLACED = frozenset(
    {
        "shelf_chances", "shelf_no_profile_read", "shelf_popularity", "shelf_value", "shelf_price",
        "shelf_favoured", "shelf_shown_at", "shelf_not_ranked", "shelf_outranked",
        "shelf_no_gain", "shelf_not_drawn", "shelf_class_full", "shelf_institution_full",
        "shelf_zone_full",
    }
)  # fmt: skip


def _chances(row: dict[str, Any]) -> tuple[Reason, ...]:
    if not row["personalised"]:
        return (Reason("shelf_no_profile_read"),)
    names = ("p_click", "p_application", "p_approval", "p_activation")
    return (Reason("shelf_chances", {name: row[name] for name in names}),)


def _price(row: dict[str, Any]) -> tuple[Reason, ...]:
    if not row["personalised"]:
        return (Reason("shelf_popularity", {"value_minor": row["value_minor"]}),)
    found = [Reason("page_why_value", {"value_minor": row["value_minor"]})]
    numbers = {"price_minor": row["price_minor"], "score_minor": row["score_minor"]}
    if row["price_minor"] > 0:
        found.append(Reason("shelf_price", numbers))
    elif row["price_minor"] < 0:
        found.append(Reason("shelf_favoured", numbers | {"favour_minor": -row["price_minor"]}))
    else:
        found.append(Reason("page_why_free"))
    return tuple(found)


def _context(row: dict[str, Any]) -> Context:
    from datetime import UTC

    at = row["occurred_at"]
    moment = at.replace(tzinfo=UTC) if hasattr(at, "tzinfo") else from_us(int(at))
    return Context(
        moment, row["session_id"], row["channel"], row["scene"], row["source"],
        row["visit_cost_minor"], row["city_tier"],
    )  # fmt: skip
