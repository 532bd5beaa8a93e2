"""One trace, told whole: who was asked, what was shown and why, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from jinqiao.domain.decision import Decision, Reason
from jinqiao.domain.messages import LANGUAGES, render
from jinqiao.domain.shelf import Context
from jinqiao.domain.time import from_us
from jinqiao.errors import InputError, JinqiaoError, NotFound
from jinqiao.flow.wiring import Engine

if TYPE_CHECKING:
    from jinqiao.flow.live import Live
    from jinqiao.shelf import Requests, Serving
    from jinqiao.store.base import Tx

__all__ = ["Explanation", "OfferStory", "explain", "logged_rows", "recent", "with_no_offer"]

_VERSIONS = ("snapshot_version", "model_version", "plan_version", "catalog_version")
_CONTEXT = ("channel", "scene", "source", "city_tier", "arms")
_PLACE = "trace_id, occurred_at, customer_id, channel, scene"
_CREDIT_SIDE = "operator:"


@dataclass(frozen=True, slots=True)
class OfferStory:
    """One offer: the chain of decisions that put it there (or kept it off), and what followed.

    ``position`` 0: it was not shown. ``outcome``: in the order of time.
    """

    product_id: str
    position: int
    numbers: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[Decision, ...] = ()
    outcome: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """A shelf's whole story. ``notes`` say what could not be looked up any more."""

    trace_id: str
    customer_id: str
    occurred_at: str
    personalised: bool
    context: Mapping[str, Any]
    versions: Mapping[str, Any]
    offers: tuple[OfferStory, ...]
    notes: tuple[Reason, ...] = ()


def logged_rows(engine: Engine, trace_id: str) -> list[dict[str, Any]]:
    """Return the rows of a shelf from the decision log, top first.

    A shelf that held nothing is one row of position 0. Raises NotFound when the log has none.
    """
    rows: list[dict[str, Any]] = engine.lake.query(
        "select * from decisions where trace_id = $trace order by position", trace=trace_id
    ).to_pylist()
    if not rows:
        found = engine.lake.query(
            "select * from empty_shelves where trace_id = $trace", trace=trace_id
        )
        rows = [with_no_offer(row) for row in found.to_pylist()]
    if not rows:
        raise NotFound("no such decision", record=trace_id, fix="the trace id is on the shelf")
    return rows


def with_no_offer(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of EMPTY_SHELVES as a logged row of position 0, with no product."""
    return {**row, "position": 0, "product_id": "", "institution_id": "", "product_version": 0}


def recent(
    engine: Engine,
    *,
    customer_id: str | None = None,
    clicked: bool = False,
    day: str = "",
    limit: int = 20,
) -> list[dict[str, Any]]:
    """Return the newest shelves of the log: trace, instant, customer, place, how many offers.

    ``clicked``: only shelves by which somebody left for an institution. ``day``: of this UTC day,
    ISO. Raises InputError for what is no day.
    """
    asked = {"customer": customer_id, "day": _day(day)}
    given = {name: value for name, value in asked.items() if value}
    wanted = {
        "customer": "customer_id = $customer",
        "day": "cast(occurred_at as date) = cast($day as date)",
    }
    tests = [wanted[name] for name in given]
    if clicked:
        tests.append("trace_id in (select trace_id from outcomes)")
    found = engine.lake.query(
        "select trace_id, min(occurred_at) as occurred_at, min(customer_id) as customer_id,"
        " min(channel) as channel, min(scene) as scene, sum(one) as offers from ("
        f"select {_PLACE}, 1 as one from decisions union all"
        f" select {_PLACE}, 0 as one from empty_shelves) shelves"
        f"{' where ' if tests else ''}{' and '.join(tests)}"
        f" group by trace_id order by occurred_at desc, trace_id limit {int(limit)}",
        **given,
    ).to_pylist()
    return [
        {**row, "occurred_at": row["occurred_at"].isoformat() + "Z", "offers": int(row["offers"])}
        for row in found
    ]


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat() if text else ""
    except ValueError as error:
        raise InputError(f"no day: {text!r}", field="day", fix="as 2026-11-24") from error


def explain(
    engine: Engine,
    trace_id: str,
    *,
    product_id: str | None = None,
    rows: list[dict[str, Any]] | None = None,
) -> Explanation:
    """Return the story of a shelf: consent, eligibility → … → quota of each offer, outcomes.

    ``product_id``: that product alone, shown or not. ``rows``: the logged rows where they are at
    hand. What the snapshot of then said is asked again while it is kept; every number that was
    logged is told as logged. Raises NotFound for an unknown trace or product.
    """
    logged = logged_rows(engine, trace_id) if rows is None else rows
    first = logged[0]
    then, notes = _then(engine, first)
    with engine.records.reading() as tx:
        stories = [
            _story(tx, row, then, first["personalised"])
            for row in logged
            if row["position"] and product_id in (None, row["product_id"])
        ]
    if product_id is not None and not stories:
        stories = [_absent(then, trace_id, product_id)]
    said = "explain_consent" if first["personalised"] else "explain_nothing_used"
    version = {"version": first["consent_version"]} if first["personalised"] else {}
    if not first["position"]:
        notes = [Reason(first["reason"], {"candidates": first["n_candidates"]}), *notes]
    return Explanation(
        trace_id=trace_id,
        customer_id=first["customer_id"],
        occurred_at=first["occurred_at"].isoformat() + "Z",
        personalised=first["personalised"],
        context={name: first[name] for name in _CONTEXT if name != "arms" or first.get(name)},
        versions={name: first[name] for name in (*_VERSIONS, "consent_version")},
        offers=tuple(stories),
        notes=(Reason(said, version), *notes),
    )


@dataclass(frozen=True)
class _Then:
    """The snapshot a shelf was made from, as its arms had it, and the very request."""

    live: Live
    serving: Serving
    policy: str
    request: Requests
    context: Context

    def steps(self, product_id: str) -> dict[str, Decision]:
        from jinqiao import shelf

        found = shelf.explain(
            self.serving, self.request, product_id,
            explainers=self.live.explainers(self.context, self.serving), policy=self.policy,
        )  # fmt: skip
        return {step.step: step for step in found}


def _then(engine: Engine, row: Mapping[str, Any]) -> tuple[_Then | None, list[Reason]]:
    """Return the snapshot of then as far as it may still be asked, and why not."""
    from jinqiao.domain.time import to_us
    from jinqiao.flow.arms import serving_then
    from jinqiao.flow.live import open_live
    from jinqiao.shelf import Requests

    version = row["snapshot_version"]
    if row["customer_id"] and not _known(engine, row["customer_id"]):
        return None, [Reason("explain_customer_gone")]
    try:
        folder = engine.snapshots.version(version)
        live = None if folder is None else open_live(engine, folder)
        made = None if live is None else serving_then(engine, live.serving, row.get("arms"))
    except JinqiaoError:
        live = made = None
    if live is None or made is None:
        return None, [Reason("explain_snapshot_gone", {"snapshot": version})]
    at = from_us(to_us(row["occurred_at"].replace(tzinfo=from_us(0).tzinfo)))
    context = Context(
        at, row["session_id"], row["channel"], row["scene"], row["source"],
        row["visit_cost_minor"], row["city_tier"], row["region"], row["branch_id"],
    )  # fmt: skip
    place = live.serving.index.find(row["customer_id"]) if row["personalised"] else -1
    request = Requests.one(
        context, customer=place, customer_id=row["customer_id"],
        consent_version=row["consent_version"], trace_id=row["trace_id"],
    )  # fmt: skip
    return _Then(live, *made, request, context), []


def _known(engine: Engine, customer_id: str) -> bool:
    with engine.records.reading() as tx:
        row = tx.get("subjects", {"subject_id": customer_id})
    return row is not None and row["erased_at"] is None


def _story(tx: Tx, row: Mapping[str, Any], then: _Then | None, own: bool) -> OfferStory:
    asked: dict[str, Decision] = {}
    if then is not None and row["product_id"] in then.live.serving.product_ids:
        asked = then.steps(row["product_id"])
    clicks = tx.find("clicks", {"trace_id": row["trace_id"], "position": row["position"]})
    click = clicks[0] if clicks else None
    steps = (
        _gate("eligibility", asked),
        _gate("suitability", asked),
        _propensity(row, asked, own, then),
        _price(row, own),
        _rank(row, asked),
        _quota(click),
    )
    return OfferStory(
        row["product_id"], row["position"], _numbers(row), steps, tuple(_outcome(tx, click))
    )


def _numbers(row: Mapping[str, Any]) -> dict[str, Any]:
    names = (
        "institution_id", "product_version", "policy", "p_click", "p_application", "p_approval",
        "p_activation", "value_minor", "price_minor", "score_minor", "display_probability",
        "n_candidates",
    )  # fmt: skip
    return {name: row[name] for name in names}


def _gate(step: str, asked: Mapping[str, Decision]) -> Decision:
    """Return what a gate said then; it was shown, so it had passed."""
    found = asked.get(step)
    if found is None or not found.reasons:
        return Decision(True, step, (Reason("explain_passed"),))
    return found


def _propensity(
    row: Mapping[str, Any], asked: Mapping[str, Decision], own: bool, then: _Then | None
) -> Decision:
    """Return the logged chances, the model's reasons, and the approval odds at what was logged."""
    if not own:
        return Decision(True, "propensity", (Reason("shelf_no_profile_read"),))
    names = ("p_click", "p_application", "p_approval", "p_activation")
    chances = Reason("shelf_chances", {name: row[name] for name in names})
    found = asked.get("propensity")
    again = found.reasons if found else ()
    more = [r for r in again if r.code != "shelf_chances" and not r.code.startswith("odds_")]
    said = then.live.odds_told(row["product_id"], row["p_approval"]) if then else None
    return Decision(True, "propensity", (chances, *more, *([said] if said else [])))


def _price(row: Mapping[str, Any], own: bool) -> Decision:
    reasons = [Reason("explain_value", {"value_minor": row["value_minor"]})]
    price, score = row["price_minor"], row["score_minor"]
    if own and price > 0:
        reasons.append(Reason("shelf_price", {"price_minor": price, "score_minor": score}))
    elif own and price < 0:
        reasons.append(Reason("shelf_favoured", {"favour_minor": -price, "score_minor": score}))
    return Decision(True, "price", tuple(reasons))


def _rank(row: Mapping[str, Any], asked: Mapping[str, Decision]) -> Decision:
    shown = Reason("shelf_shown_at", {"position": row["position"]})
    displayed = Reason(
        "explain_displayed",
        {
            "candidates": row["n_candidates"],
            "policy": row["policy"],
            "display_probability": row["display_probability"],
        },
    )
    found = asked.get("rank")
    more = found.reasons[1:] if found is not None and found.allowed else ()
    return Decision(True, "rank", (shown, displayed, *more))


def _quota(click: Mapping[str, Any] | None) -> Decision:
    if click is None:
        return Decision(True, "quota", (Reason("explain_units_free"),))
    if not click["reserved"]:
        return Decision(False, "quota", (Reason("explain_sold_out"),))
    return Decision(
        True, "quota", (Reason("explain_reserved", {"until": _at(click["expires_at"])}),)
    )


def _outcome(tx: Tx, click: Mapping[str, Any] | None) -> Iterable[Reason]:
    """Yield what became of an offer: the click, every report, every transfer, the state now."""
    if click is None:
        yield Reason("explain_not_clicked")
        return
    yield Reason("explain_clicked", {"at": _at(click["clicked_at"])})
    reports = tx.find(
        "reports", {"click_id": click["click_id"]}, order_by=("occurred_at", "report_id")
    )
    for report in reports:
        yield _report(report, click["currency"])
    if not reports:
        if click["expired_at"] is not None:
            yield Reason("explain_expired")
        return
    state = tx.get("applications", {"application_id": click["application_id"]})
    if state is not None:
        yield Reason(f"state_{state['state']}")
    moved = tx.find(
        "transfers", {"application_id": click["application_id"]},
        order_by=("posted_at", "transfer_id"),
    )  # fmt: skip
    for row in moved:
        yield _transfer(row)


def _report(report: Mapping[str, Any], currency: str) -> Reason:
    numbers: dict[str, Any] = {
        "at": _at(report["occurred_at"]),
        "stage": _words(f"explain_stage_{report['stage']}"),
    }
    code = f"explain_{report['polarity']}"
    if report["polarity"] == "reached" and report["amount_minor"] is not None:
        code = "explain_reached_amount"
        numbers |= {"amount_minor": report["amount_minor"], "currency": currency}
    return Reason(code, numbers)


def _transfer(row: Mapping[str, Any]) -> Reason:
    owed = not str(row["debit_account"]).startswith(_CREDIT_SIDE)
    return Reason(
        "explain_posted",
        {
            "at": _at(row["posted_at"]),
            "amount_minor": row["amount_minor"] if owed else -row["amount_minor"],
            "currency": row["currency"],
            "reason": _words(f"transfer_{row['reason']}"),
        },
    )


def _words(code: str) -> dict[str, str]:
    return {language: render(code, language) for language in LANGUAGES}


def _at(us: int) -> str:
    return from_us(us).strftime("%Y-%m-%d %H:%M:%SZ")


def _absent(then: _Then | None, trace_id: str, product_id: str) -> OfferStory:
    """Return why a product was not on a shelf; raise NotFound when that cannot be told."""
    if then is None or product_id not in then.live.serving.product_ids:
        raise NotFound(
            "it was not on this shelf, and what was said of it then is not kept",
            record=trace_id, field=product_id,
        )  # fmt: skip
    steps = then.steps(product_id)
    told = tuple(step for name, step in steps.items() if name != "quota")
    return OfferStory(product_id, 0, {}, told)
