"""Limits of the generated institutions: what they can take, set against what would come unasked.

Demand is what the most valuable shelves would send, from a fixed sample of people, scaled to the
market's size; so people never depend on limits, nor limits on which people are many.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from jinqiao.domain.catalog import Institution, Limit, Measure, Period, Product
from jinqiao.domain.stage import Stage
from jinqiao.domain.worth import BETA, REFUSAL_HARM_MINOR
from jinqiao.engines.worth import estimate_worth, pair_value
from jinqiao.synthetic.chances import POSITION, chances_of, fit_of, state_of
from jinqiao.synthetic.draws import stream
from jinqiao.synthetic.eligible import cheapest_of, eligible
from jinqiao.synthetic.goods import Goods, make_goods
from jinqiao.synthetic.houses import House
from jinqiao.synthetic.people import join, make_people
from jinqiao.synthetic.spec import Spec

__all__ = ["weekly_demand", "with_limits"]

_SAMPLE_BLOCKS = 2
_SCARCE_HOLD_HOURS = 12


def with_limits(houses: Sequence[House], spec: Spec, seed: int, size: int) -> tuple[House, ...]:
    """Return the houses with limits on every product: about a third of them bind."""
    goods = make_goods(houses)
    products = [p for house in houses for p in house.institution.products]
    demand = weekly_demand(tuple(products), goods, spec, seed) * size
    rng = stream(seed, "limits")
    scarce = _scarce(rng, demand, spec)
    limited = [
        _limited(rng, product, demand[i], bool(scarce[i]), goods.payout_minor[i], spec)
        for i, product in enumerate(products)
    ]
    out, start = [], 0
    for j, house in enumerate(houses):
        count = len(house.institution.products)
        own = tuple(limited[start : start + count])
        whole = demand[start : start + count].sum()
        out.append(replace(house, institution=_whole(house.institution, own, whole, j)))
        start += count
    return tuple(out)


def weekly_demand(
    products: tuple[Product, ...], goods: Goods, spec: Spec, seed: int
) -> NDArray[np.float64]:
    """Return the applications a week, a person of the market, that unlimited best shelves send."""
    people = join([make_people(seed, spec, b) for b in range(_SAMPLE_BLOCKS)])
    n = len(people)
    mask = eligible(people, products, goods)
    row, product = np.nonzero(mask)
    state = state_of(people, np.full(n, float(spec.log_days)), np.zeros((n, 9)))
    chances = chances_of(state, goods, row, product)
    kind = goods.kind[product]
    worth = estimate_worth(
        goods.benefit_minor[product], fit_of(state.need[row, kind]), goods.cost_minor[product],
        cheapest_of(mask, goods)[row, kind],
    )  # fmt: skip
    value = pair_value(
        chances,
        worth,
        goods.payout_minor[product],
        goods.paid_stage[product],
        REFUSAL_HARM_MINOR,
        BETA,
    )
    dense = np.full(mask.shape, -np.inf)
    dense[row, product] = value
    use = np.zeros(mask.shape)
    use[row, product] = chances[:, 0] * chances[:, 1]
    total = np.zeros(len(goods))
    for place, best in enumerate(_best_shelves(dense, goods.kind, spec.slots)):
        here = best >= 0
        sent = use[np.flatnonzero(here), best[here]] * POSITION[place] * people.visits[here]
        total += np.bincount(best[here], sent, minlength=len(goods))
    return np.asarray(total * spec.visits_per_week / n)


def _best_shelves(
    value: NDArray[np.float64], kind: NDArray[np.int64], slots: int
) -> Iterator[NDArray[np.int64]]:
    """Yield place by place the most valuable product of each row, at most two of a class; or −1."""
    value, rows = value.copy(), np.arange(len(value))
    held = np.zeros((len(value), int(kind.max()) + 1), np.int64)
    for _ in range(slots):
        best = np.argmax(value, axis=1)
        good = value[rows, best] > 0
        yield np.where(good, best, -1)
        value[rows, best] = -np.inf
        np.add.at(held, (rows[good], kind[best[good]]), 1)
        value[held[:, kind] >= 2] = -np.inf


def _scarce(rng: np.random.Generator, demand: NDArray[np.float64], spec: Spec) -> NDArray[np.bool_]:
    """Return which products are scarce: a share of all, drawn among the better half wanted."""
    number = round(spec.scarce_share * len(demand))
    wanted = np.argsort(-demand)[: max(number, round(1.6 * number))]
    out = np.zeros(len(demand), bool)
    out[rng.permutation(wanted)[:number]] = True
    return out


def _limited(
    rng: np.random.Generator,
    product: Product,
    demand: float,
    scarce: bool,
    payout: float,
    spec: Spec,
) -> Product:
    pressure = spec.demand_to_capacity * rng.uniform(0.86, 1.14)
    by_money = rng.random() < 0.2
    if scarce:
        week = max(2, round(demand / pressure))
        product = replace(
            product, delivery=replace(product.delivery, hold_hours=_SCARCE_HOLD_HOURS)
        )
        if by_money and product.payout.stage is not Stage.APPLICATION:
            return replace(product, limits=(*_open(demand), _budget(week, payout)))
        return replace(product, limits=(Limit(Measure.COUNT, Period.WEEK, week),))
    return replace(product, limits=_open(demand))


def _open(demand: float) -> tuple[Limit, ...]:
    """Return limits that do not bind: what an institution states to sleep well."""
    week = max(20, int(demand * 8))
    return (
        Limit(Measure.COUNT, Period.WEEK, week),
        Limit(Measure.COUNT, Period.DAY, max(10, week // 2)),
    )


def _budget(week: int, payout: float) -> Limit:
    """Return a weekly budget that pays for about as many applications as ``week``."""
    return Limit(Measure.MONEY, Period.WEEK, max(round(week * payout * 1.2), 3 * round(payout)))


def _whole(
    institution: Institution, products: tuple[Product, ...], demand: float, number: int
) -> Institution:
    """Return the institution with its products; some have a limit over all of them."""
    limits: tuple[Limit, ...] = ()
    if number % 7 == 3 and len(products) > 1:
        limits = (Limit(Measure.COUNT, Period.WEEK, max(40, int(demand * 6))),)
    branches = tuple(
        replace(b, limits=(Limit(Measure.COUNT, Period.WEEK, max(30, int(demand * 4))),))
        for b in institution.branches
    )
    return replace(institution, products=products, limits=limits, branches=branches)
