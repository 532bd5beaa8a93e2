"""The greatest value a week can bring: a Lagrangian bound over visits, places and limits.

Letters: r rows of limits, p products, m pairs of visits and products.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from jinqiao.domain.catalog import Catalog, Measure, Period
from jinqiao.engines.ordered import Places, ordered_pass

__all__ = ["Rows", "limit_rows", "lowest_bound"]

_STEPS = 60


class _Pairs(Protocol):
    """Pairs visit by visit, with what each is worth and takes at the top place."""

    @property
    def start(self) -> NDArray[np.int64]: ...
    @property
    def product(self) -> NDArray[np.int64]: ...
    @property
    def value(self) -> NDArray[np.float64]: ...
    @property
    def use(self) -> NDArray[np.float64]: ...
    @property
    def spend(self) -> NDArray[np.float64]: ...


@dataclass(frozen=True, eq=False)
class Rows:
    """Limits as rows of a week: ``limit`` (r,), ``product`` lists, and whether they count money."""

    limit: NDArray[np.float64]
    products: tuple[NDArray[np.int64], ...]
    money: NDArray[np.bool_]

    def sums(self, used: NDArray[np.float64], spent: NDArray[np.float64]) -> NDArray[np.float64]:
        both = (spent if money else used for money in self.money)
        return np.array([b[p].sum() for b, p in zip(both, self.products, strict=True)])

    def spread(
        self, dual: NDArray[np.float64], p: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the prices of use and of spend by product, (p,) each."""
        count, spend = np.zeros(p), np.zeros(p)
        for value, money, products in zip(dual, self.money, self.products, strict=True):
            (spend if money else count)[products] += value
        return count, spend


def limit_rows(catalog: Catalog, days: int = 7) -> Rows:
    """Return the limits that expected use within a week must keep: applications and budgets.

    ``days``: how many of the week's days count; a week's limit stands whole for fewer.

    Limits of branches and of later stages are left out: a bound may only be looser for it.
    """
    order = {str(p.product_id): i for i, p in enumerate(catalog.products())}
    limit, products, money = [], [], []
    for institution in catalog.institutions:
        own = [order[str(p.product_id)] for p in institution.products]
        owners: list[tuple[Any, list[int]]] = [(institution, own)]
        owners += [(p, [order[str(p.product_id)]]) for p in institution.products]
        for owner, places in owners:
            for one in owner.limits:
                if one.measure is Measure.COUNT and one.stage.value != "application":
                    continue
                per = float(days) if one.period is Period.DAY else 1.0
                limit.append(one.limit * per)
                products.append(np.array(places, np.int64))
                money.append(one.measure is Measure.MONEY)
    return Rows(np.array(limit, np.float64), tuple(products), np.array(money, bool))


def lowest_bound(
    pairs: _Pairs, rows: Rows, places: Places, warm: NDArray[np.float64] | None = None,
    steps: int = _STEPS,
) -> tuple[float, NDArray[np.float64]]:  # fmt: skip
    """Return the lowest bound found and its prices, (r,) ≥ 0: every step is a valid bound.

    Prices move against what is over- or underused, each in its own scale, in falling steps.
    """
    worth = (pairs.value, pairs.use, pairs.spend)
    p = len(places.group)
    scale = _scale(pairs, rows, p)
    dual = np.zeros(len(rows.limit)) if warm is None else warm
    best, kept = np.inf, dual
    for step in range(steps):
        prices = rows.spread(dual, p)
        total, used, spent = ordered_pass(pairs.start, pairs.product, worth, prices, places)
        bound = total + float(dual @ rows.limit)
        if bound < best:
            best, kept = bound, dual
        excess = (rows.sums(used, spent) - rows.limit) / np.maximum(rows.limit, 1e-9)
        size = 0.5 / (1.0 + 0.25 * step)
        dual = np.maximum(dual + size * scale * np.clip(excess, -1.0, 1.0), 0.0)
    return best, kept


def _scale(pairs: _Pairs, rows: Rows, p: int) -> NDArray[np.float64]:
    """Return a typical value of one unit of each row: value over use of its better pairs."""
    good = pairs.value > 0
    value = np.bincount(pairs.product[good], pairs.value[good], minlength=p)
    use = np.bincount(pairs.product[good], pairs.use[good], minlength=p)
    spend = np.bincount(pairs.product[good], pairs.spend[good], minlength=p)
    out = []
    for money, products in zip(rows.money, rows.products, strict=True):
        below = (spend if money else use)[products].sum()
        out.append(value[products].sum() / below if below > 0 else 0.0)
    return np.array(out)
