"""What every candidate is worth to this customer now, and what its limits cost others.

score = value − dual price × expected use. All candidates of a batch are scored in one call.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.worth import (
    cheapest,
    estimate_worth,
    expected_applications,
    expected_payout,
    pair_value,
)
from jinqiao.shelf.choose import Candidates
from jinqiao.shelf.requests import Requests
from jinqiao.shelf.serving import CLASSES, Serving

__all__ = ["Scores", "candidates", "on_sale", "placed_scores", "score"]


@dataclass(frozen=True, eq=False)
class Scores:
    """(m,) numbers of pairs: chances (m, 4) float32, the rest float64 in minor units."""

    chances: NDArray[np.float32]
    worth_minor: NDArray[np.float64]
    value_minor: NDArray[np.float64]
    price_minor: NDArray[np.float64]

    @property
    def score_minor(self) -> NDArray[np.float64]:
        return self.value_minor - self.price_minor

    def take(self, rows: NDArray[np.int64]) -> Scores:
        """Return the scores of some pairs."""
        return Scores(
            self.chances[rows], self.worth_minor[rows], self.value_minor[rows],
            self.price_minor[rows],
        )  # fmt: skip


def candidates(
    serving: Serving,
    requests: Requests,
    left: NDArray[np.generic] | None,
    stopped: NDArray[np.bool_] | None,
) -> Candidates:
    """Return what each request may be shown: by rule, suitability, schedule, stop and units left.

    Nothing without a profile but what is open to all. What time, place, stop, units left and
    frequency close, whoever asks, is handed on: a log that lacks it cannot be made again.
    """
    known = requests.personalised
    mask = np.empty((len(requests), serving.n_products), np.bool_)
    mask[known] = serving.may_see(requests.customer[known])
    mask[~known] = serving.open_to_all
    open_ = serving.schedules.open(requests.at_us, requests.channel.to_pylist(), requests.regions)
    open_ = open_ & on_sale(serving, left, stopped)
    most = serving.settings.frequency_most
    if most and requests.shown_before is not None:
        open_ &= requests.shown_before < most
    mask &= open_
    start = np.concatenate(([0], np.cumsum(mask.sum(axis=1)))).astype(np.int64)
    return Candidates(start, np.nonzero(mask)[1].astype(np.int32), np.packbits(~open_, axis=1))


def on_sale(
    serving: Serving, left: NDArray[np.generic] | None, stopped: NDArray[np.bool_] | None
) -> NDArray[np.bool_]:
    """Return which products have units left and are not stopped, (P,) or, as ``left``, (r, P)."""
    good = ~np.asarray(serving.products["stopped"].to_numpy(zero_copy_only=False), np.bool_)
    if left is not None:
        good = good & (np.asarray(left) > 0)
    return good if stopped is None else good & ~np.asarray(stopped, np.bool_)


def score(
    serving: Serving,
    requests: Requests,
    request: NDArray[np.int64],
    product: NDArray[np.int32],
) -> Scores:
    """Return the scores of pairs (request, product) at the top; without a profile, popularity."""
    own = requests.personalised[request]
    chances = serving.base_chances[product].copy()
    worth, value = np.zeros(len(request)), serving.popularity[product].copy()
    price = np.zeros(len(request))
    if own.any():
        pairs = np.flatnonzero(own)
        customer, goods = requests.customer[request[pairs]], product[pairs]
        if serving.chances is not None:
            moment, top = request[pairs].astype(np.int32), np.ones(len(requests), np.int8)
            chances[pairs] = serving.chances(customer, goods, requests, moment, top)
        worth[pairs] = _worth(serving, (customer, goods), chances[pairs, 3])
        found = _money(serving, (customer, goods), chances[pairs], worth[pairs])
        value[pairs], price[pairs] = found
    return Scores(chances, worth, value, price)


def placed_scores(
    serving: Serving,
    requests: Requests,
    pairs: tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int8]],
    top: Scores,
) -> Scores:
    """Return the scores of offers where they stand; ``top`` holds those they were ranked by.

    ``pairs``: the request, the product and the position of each offer. The worth does not change
    with the position, the chances do.
    """
    request, product, position = pairs
    chances, value, price = top.chances.copy(), top.value_minor.copy(), top.price_minor.copy()
    moved = np.flatnonzero(requests.personalised[request] & (position > 1))
    if moved.size and serving.chances is not None:
        at, where = np.unique(
            request[moved] * 128 + position[moved].astype(np.int64), return_inverse=True
        )
        moments = requests.take(at // 128)
        customer, goods = requests.customer[request[moved]], product[moved]
        chances[moved] = serving.chances(
            customer, goods, moments, where.astype(np.int32), (at % 128).astype(np.int8)
        )
        value[moved], price[moved] = _money(
            serving, (customer, goods), chances[moved], top.worth_minor[moved]
        )
    return Scores(chances, top.worth_minor, value, price)


def _worth(
    serving: Serving,
    pairs: tuple[NDArray[np.int32], NDArray[np.int32]],
    p_use: NDArray[np.float32],
) -> NDArray[np.float64]:
    """Return the worth of pairs; the cheapest alternative is one the customer may have.

    ``p_use`` (m,): the chance that the customer, once approved, uses it (``engines.worth``).
    """
    customer, product = pairs
    group = serving.class_code[product]
    rows, place = _distinct(customer, serving.profiles.num_rows)
    least = np.full((len(rows), len(CLASSES)), np.inf)
    found = cheapest(serving.may_see(rows), serving.comparable_cost_minor, serving.class_code)
    least[:, : found.shape[1]] = found
    benefit = serving.worths.benefit_minor[group]
    return estimate_worth(
        benefit, p_use, serving.comparable_cost_minor[product], least[place, group]
    )


def _distinct(
    customer: NDArray[np.int32], n: int
) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Return the rows named, ascending, and each one's place among them; many without sorting."""
    if len(customer) < n // 8:
        rows, place = np.unique(customer, return_inverse=True)
        return rows, place
    seen = np.zeros(n, np.bool_)
    seen[customer] = True
    return np.flatnonzero(seen), (np.cumsum(seen) - 1)[customer]


def _money(
    serving: Serving,
    pairs: tuple[NDArray[np.int32], NDArray[np.int32]],
    chances: NDArray[np.float32],
    worth: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return value and price of pairs, minor units."""
    customer, product = pairs
    payout, stage = serving.payout_minor[product], serving.paid_stage[product]
    rule = serving.settings
    value = pair_value(chances, worth, payout, stage, rule.refusal_harm_minor, rule.beta)
    segment, prices = serving.prices.segment[customer], serving.prices
    use = expected_applications(chances)
    price = prices.count[segment, product] * use
    price += prices.cost[segment, product] * expected_payout(chances, payout, stage)
    price += prices.approval[segment, product] * use * chances[:, 2]
    return value, price
