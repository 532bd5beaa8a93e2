"""Who may take what, by the published rules read over true facts; the least they then pay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jinqiao.domain.catalog import Product
from jinqiao.domain.stage import ProductClass
from jinqiao.engines.rules import masks, parse
from jinqiao.engines.worth import cheapest
from jinqiao.synthetic.goods import Goods
from jinqiao.synthetic.people import CLASSES, OCCUPATIONS, STUDENT, People

__all__ = ["cheapest_of", "eligible"]

_FUND = CLASSES.index(ProductClass.FUND.value)
_NO_AGE_GATE = np.array(
    [
        CLASSES.index(c.value)
        for c in (ProductClass.E_ACCOUNT, ProductClass.PAYMENT, ProductClass.DEPOSIT)
    ]
)


@dataclass(frozen=True, slots=True)
class _Fact:
    name: str
    type: str
    unit: str
    values: tuple[str, ...] = ()
    lower: float | None = None
    upper: float | None = None


_FACTS = {
    fact.name: fact
    for fact in (
        _Fact("age", "int", "years"),
        _Fact("monthly_income_minor", "int", "minor"),
        _Fact("debt_service_ratio", "float", "ratio"),
        _Fact("city_tier", "int", "tier"),
        _Fact("occupation", "category", "", OCCUPATIONS),
        _Fact("customer_kind", "category", "", ("person", "merchant")),
    )
}


def eligible(people: People, products: tuple[Product, ...], goods: Goods) -> NDArray[np.bool_]:
    """Return who may take what, (n, p): rules, kind, age, students and risk level."""
    rules = tuple(parse(product.eligibility, _FACTS) for product in products)
    student = people.type == STUDENT
    income = np.where(student, 0, people.income_minor)
    columns = {
        "age": np.floor(people.age),
        "monthly_income_minor": income,
        "debt_service_ratio": people.burden,
        "city_tier": people.city_tier.astype(np.int64),
        "occupation": np.array(OCCUPATIONS)[people.occupation],
        "customer_kind": np.where(people.merchant, "merchant", "person"),
    }
    mask = np.array(masks(rules, columns))
    mask &= people.merchant[:, None] == goods.merchant[None, :]
    mask &= ~(student[:, None] & goods.credit[None, :])
    adult = people.merchant | (people.age >= 18)
    mask &= adult[:, None] | np.isin(goods.kind, _NO_AGE_GATE)[None, :]
    graded = (goods.kind == _FUND) | (goods.risk_level > 1)
    mask &= ~graded[None, :] | (people.risk_tolerance[:, None] >= goods.risk_level[None, :])
    return mask


def cheapest_of(mask: NDArray[np.bool_], goods: Goods) -> NDArray[np.float64]:
    """Return the least cost open to each person in each class, (n, k); inf where none."""
    out = np.full((len(mask), len(CLASSES)), np.inf)
    found = cheapest(mask, goods.cost_minor, goods.kind)
    out[:, : found.shape[1]] = found
    return out
