"""Why this offer: what can be said truly from its terms and this profile, as codes with numbers."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from jinqiao.domain.decision import Reason
from jinqiao.domain.stage import CREDIT_CLASSES, ProductClass
from jinqiao.shelf.serving import CLASSES, Serving

if TYPE_CHECKING:
    from jinqiao.shelf.shelves import Shelves

__all__ = ["offer_reasons", "reason"]

_CREDIT = frozenset(item.value for item in CREDIT_CLASSES)
_WEALTH = frozenset({ProductClass.DEPOSIT.value, ProductClass.FUND.value})
_FEW = 3
_LIGHT_SHARE = 0.3
"""An instalment of at most so much of a month's income is said to fit."""


def reason(code: str, **numbers: object) -> Reason:
    """Return a reason of the message catalogue."""
    return Reason(code, MappingProxyType(numbers))


def offer_reasons(shelves: Shelves, i: int, k: int) -> tuple[Reason, ...]:
    """Return why offer k stands on shelf i, the strongest first."""
    serving, asked = shelves.serving, shelves.requests
    product, own = int(shelves.product[k]), bool(asked.personalised[i])
    found: list[Reason] = []
    if shelves.placed.drawn[k]:
        found.append(reason("shelf_drawn", candidates=int(shelves.n_candidates[i])))
    if not own:
        return (*found, reason("shelf_popular"))
    row = int(asked.customer[i])
    mask = serving.may_see(np.array([row]))[0]
    found += _terms(serving, product, mask)
    found += _person(serving, product, row)
    return (*found, reason("shelf_rules_met"))


def _terms(serving: Serving, p: int, mask: np.ndarray) -> Iterator[Reason]:
    """Yield how the product's terms stand beside others of its class this customer may have."""
    name = CLASSES[serving.class_code[p]]
    rivals = np.flatnonzero(mask & (serving.class_code == serving.class_code[p]))
    if len(rivals) < _FEW:
        return
    goods = serving.products
    if name in _CREDIT:
        costs = np.array([_known(goods["all_in_bps"][int(r)].as_py()) for r in rivals])
        own, seen = _known(goods["all_in_bps"][p].as_py()), costs[np.isfinite(costs)]
        if seen.size and own <= seen.min():
            yield reason("shelf_cost_lowest", all_in_bps=own, count=len(rivals))
        elif seen.size and own < np.median(seen):
            median = float(np.median(seen))
            yield reason("shelf_cost_below_class", all_in_bps=own, median_bps=median)
    elif name == ProductClass.DEPOSIT.value:
        rates = np.array([goods["rate_bps"][int(r)].as_py() for r in rivals], float)
        own = float(goods["rate_bps"][p].as_py())
        if own > np.median(rates):
            median = float(np.median(rates))
            yield reason("shelf_earns_above_class", rate_bps=own, median_bps=median)
    elif name not in _WEALTH:
        costs, own = serving.cost_minor[rivals], float(serving.cost_minor[p])
        if own < np.median(costs):
            median = float(np.median(costs))
            yield reason("shelf_price_below_class", cost_minor=own, median_minor=median)


def _known(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _person(serving: Serving, p: int, row: int) -> Iterator[Reason]:
    """Yield what the profile says: an instalment that fits, a recent look at this kind."""
    name = CLASSES[serving.class_code[p]]
    income = _feature(serving, row, "monthly_income_minor")
    term = serving.products["reference_term_days"][p].as_py()
    amount = serving.products["reference_amount_minor"][p].as_py()
    if name in _CREDIT and income and term >= 30:
        instalment = (amount + serving.cost_minor[p]) / (term / 30.4)
        if instalment <= _LIGHT_SHARE * income:
            share = float(instalment / income)
            yield reason("shelf_fits_income", instalment_minor=float(instalment), share=share)
    family = "credit" if name in _CREDIT else "wealth" if name in _WEALTH else name
    views = _feature(serving, row, f"{family}_views_30d")
    if views and views >= 1:
        yield reason("shelf_looked_recently", views=views)


def _feature(serving: Serving, row: int, name: str) -> float | None:
    if name not in serving.profiles.column_names:
        return None
    value = serving.profiles[name][row].as_py()
    return None if value is None or value != value else float(value)
