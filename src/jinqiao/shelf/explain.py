"""Why this and why not: one product for one request, step by step, in the order of the decision."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jinqiao.domain.decision import Decision, Reason
from jinqiao.errors import NotFound
from jinqiao.shelf.rank import caps_of, rank
from jinqiao.shelf.reasons import offer_reasons, reason
from jinqiao.shelf.requests import Requests
from jinqiao.shelf.scoring import Scores, score
from jinqiao.shelf.serving import ZONES, Explainers, Serving
from jinqiao.shelf.shelves import Shelves

__all__ = ["explain"]

_CAPPED = ("shelf_class_full", "shelf_institution_full", "shelf_zone_full")


@dataclass(frozen=True, eq=False)
class _Case:
    serving: Serving
    asked: Requests
    product: int
    shelves: Shelves
    scores: Scores
    left: NDArray[np.generic] | None
    stopped: NDArray[np.bool_] | None

    @property
    def own(self) -> bool:
        return bool(self.asked.personalised[0])

    @property
    def row(self) -> int:
        return int(self.asked.customer[0])

    @property
    def position(self) -> int:
        """Where the product stands, 0 when it is not on the shelf."""
        spot = np.flatnonzero(self.shelves.product == self.product)
        return int(self.shelves.placed.position[spot[0]]) if spot.size else 0


def explain(
    serving: Serving,
    requests: Requests,
    product_id: str,
    *,
    i: int = 0,
    explainers: Explainers | None = None,
    left: NDArray[np.generic] | None = None,
    stopped: NDArray[np.bool_] | None = None,
    policy: str = "plan",
) -> tuple[Decision, ...]:
    """Return six decisions: eligibility, suitability, propensity, price, rank, quota.

    The shelf of request ``i`` is made again (same trace, same shelf). The product is shown exactly
    when all six are allowed. Raises NotFound for an unknown product.
    """
    if product_id not in serving.product_ids:
        raise NotFound(f"no product {product_id!r}", field="product_id")
    asked = requests.take(np.array([i]))
    product = serving.product_ids.index(product_id)
    shelves = rank(serving, asked, left=left, stopped=stopped, policy=policy)
    scores = score(serving, asked, np.zeros(1, np.int64), np.array([product], np.int32))
    case = _Case(serving, asked, product, shelves, scores, left, stopped)
    told = explainers or Explainers()
    gates, quota = _gates(case, told), _quota(case)
    stands = all(step.allowed for step in (*gates, quota))
    ranked = _rank(case) if stands else Decision(False, "rank", (reason("shelf_not_ranked"),))
    return (
        *gates,
        Decision(True, "propensity", tuple(_propensity(case, told))),
        Decision(True, "price", tuple(_price(case))),
        ranked,
        quota,
    )


def _gates(case: _Case, told: Explainers) -> tuple[Decision, Decision]:
    """Return eligibility and suitability; the mask alone cannot tell the two apart."""
    serving, p = case.serving, case.product
    if not case.own:
        good = bool(serving.open_to_all[p])
        why = reason("shelf_open_to_all" if good else "shelf_needs_profile")
        return Decision(good, "eligibility", (why,)), Decision(good, "suitability")
    good = bool(serving.may_see(np.array([case.row]))[0, p])
    rule = told.eligibility(case.row, p) if told.eligibility else None
    duty = told.suitability(case.row, p) if told.suitability else None
    if rule is None:
        good_rule = good or (duty is not None and not duty.allowed)
        why = reason("shelf_rules_met" if good_rule else "shelf_not_allowed")
        rule = Decision(good_rule, "eligibility", (why,))
    elif rule.allowed and not rule.reasons:
        rule = Decision(True, "eligibility", (reason("shelf_rules_met"),))
    if duty is None:
        duty = Decision(good or not rule.allowed, "suitability")
    return rule, duty


def _propensity(case: _Case, told: Explainers) -> Iterator[Reason]:
    if not case.own:
        yield reason("shelf_no_profile_read")
        return
    p = [float(x) for x in case.scores.chances[0]]
    yield reason(
        "shelf_chances", p_click=p[0], p_application=p[1], p_approval=p[2], p_activation=p[3]
    )
    if told.contributions is not None:
        yield from told.contributions(case.row, case.product)
    if told.odds is not None:
        yield from told.odds(case.product, p[2])


def _price(case: _Case) -> Iterator[Reason]:
    value, price = float(case.scores.value_minor[0]), float(case.scores.price_minor[0])
    if not case.own:
        yield reason("shelf_popularity", value_minor=value)
        return
    worth = float(case.scores.worth_minor[0])
    yield reason("shelf_value", value_minor=value, worth_minor=worth)
    if price > 0:
        yield reason("shelf_price", price_minor=price, score_minor=value - price)
    elif price < 0:
        yield reason("shelf_favoured", favour_minor=-price, score_minor=value - price)


def _rank(case: _Case) -> Decision:
    position = case.position
    if position:
        k = int(np.flatnonzero(case.shelves.product == case.product)[0])
        shown = reason("shelf_shown_at", position=position)
        return Decision(True, "rank", (shown, *offer_reasons(case.shelves, 0, k)))
    own = float(case.scores.score_minor[0])
    if case.shelves.policy == "random":
        count = int(case.shelves.n_candidates[0])
        return Decision(False, "rank", (reason("shelf_not_drawn", candidates=count),))
    if case.own and own <= 0:
        return Decision(False, "rank", (reason("shelf_no_gain", score_minor=own),))
    full = _full(case)
    if full is not None:
        return Decision(False, "rank", (full,))
    standing = case.shelves.top.score_minor[~case.shelves.placed.drawn]
    least = float(standing.min()) if standing.size else 0.0
    behind = max(least - own, 0.0)
    return Decision(False, "rank", (reason("shelf_outranked", behind_minor=behind),))


def _full(case: _Case) -> Reason | None:
    """Return which rule of the shelf has no room: better offers of its kind stand there."""
    caps = caps_of(case.serving, personal=case.own)
    standing = case.shelves.product[~case.shelves.placed.drawn]
    for kind, code in enumerate(_CAPPED):
        mine = caps.codes[kind, case.product]
        most = int(caps.most[kind][mine])
        if int((caps.codes[kind, standing] == mine).sum()) >= most:
            zone = ZONES[mine] if kind == 2 else ""
            return reason(code, most=most, **({"zone": zone} if zone else {}))
    return None


def _quota(case: _Case) -> Decision:
    serving, p = case.serving, case.product
    if bool(serving.products["stopped"][p].as_py()) or (
        case.stopped is not None and case.stopped[p]
    ):
        return Decision(False, "quota", (reason("shelf_stopped"),))
    asked = case.asked
    if not serving.schedules.open(asked.at_us, asked.channel.to_pylist(), asked.regions)[0, p]:
        return Decision(False, "quota", (reason("shelf_not_on_offer"),))
    most, before = serving.settings.frequency_most, case.asked.shown_before
    if most and before is not None and before[0, p] >= most:
        return Decision(False, "quota", (reason("shelf_seen_often", times=int(before[0, p])),))
    if case.left is None:
        return Decision(True, "quota", (reason("shelf_no_limit"),))
    units = float(case.left[p])
    if units <= 0:
        return Decision(False, "quota", (reason("shelf_sold_out"),))
    return Decision(True, "quota", (reason("shelf_units_left", units=units),))
