"""Products as columns: what pairs of a person and a product are computed from.

Letters: p products. Arrays are (p,); ``hidden`` ones are known to no learner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

import numpy as np
from numpy.typing import NDArray

from jinqiao.domain.catalog import PayoutBasis, Product
from jinqiao.domain.stage import CREDIT_CLASSES, ProductClass, Stage
from jinqiao.domain.time import to_us
from jinqiao.domain.worth import CLASS_BENEFIT_MINOR
from jinqiao.engines.worth import ACTIVATION, APPLICATION, APPROVAL
from jinqiao.synthetic.houses import House
from jinqiao.synthetic.people import CLASSES
from jinqiao.synthetic.terms import cost_minor

__all__ = ["Goods", "make_goods"]

_PAID = {
    Stage.APPLICATION: APPLICATION,
    Stage.APPROVAL: APPROVAL,
    Stage.ACTIVATION: ACTIVATION,
    Stage.DISBURSEMENT: ACTIVATION,
}
_ZONE = timezone(timedelta(hours=8))
_FOREVER = np.iinfo(np.int64).max // 2


@dataclass(frozen=True, slots=True)
class Goods:
    """p products in catalog order (institutions in order, products in file order)."""

    product_id: tuple[str, ...]
    institution_id: tuple[str, ...]
    house: NDArray[np.int64]
    kind: NDArray[np.int64]
    credit: NDArray[np.bool_]
    merchant: NDArray[np.bool_]
    risk_level: NDArray[np.int64]
    cost_minor: NDArray[np.float64]
    dearness: NDArray[np.float64]  # cost beside its class, standardised
    payout_minor: NDArray[np.float64]
    paid_stage: NDArray[np.int8]
    benefit_minor: NDArray[np.float64]
    amount_minor: NDArray[np.int64]
    hold_hours: NDArray[np.int64]
    launch_us: NDArray[np.int64]
    withdraw_us: NDArray[np.int64]
    hidden: NDArray[np.float64]  # (p, 13) in the order of ``houses.Hidden`` up to ``floor``
    decision_days: NDArray[np.float64]
    activation_days: NDArray[np.float64]
    silent: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.product_id)


def make_goods(houses: Sequence[House]) -> Goods:
    """Return the products of all institutions as columns."""
    products = [p for house in houses for p in house.institution.products]
    hidden = [h for house in houses for h in house.hidden]
    number = [j for j, house in enumerate(houses) for _ in house.institution.products]
    kind = np.array([CLASSES.index(p.product_class.value) for p in products])
    cost = np.array([cost_minor(p) for p in products], dtype=np.float64)
    secret = np.array(
        [
            [
                h.appeal,
                h.effort,
                *h.weights,
                h.cut,
                h.soft,
                h.noise,
                h.drift,
                h.drift_day,
                h.ease,
                h.floor,
            ]
            for h in hidden
        ]
    )
    return Goods(
        product_id=tuple(str(p.product_id) for p in products),
        institution_id=tuple(str(p.institution_id) for p in products),
        house=np.array(number),
        kind=kind,
        credit=np.array([p.product_class in CREDIT_CLASSES for p in products]),
        merchant=np.array([p.customer_kind == "merchant" for p in products]),
        risk_level=np.array([p.risk_level for p in products]),
        cost_minor=cost,
        dearness=_beside_class(cost, kind),
        payout_minor=np.array([_payout(p) for p in products]),
        paid_stage=np.array([_PAID[p.payout.stage] for p in products], dtype=np.int8),
        benefit_minor=np.array(
            [CLASS_BENEFIT_MINOR[p.product_class] for p in products], np.float64
        ),
        amount_minor=np.array([p.cost.reference_amount_minor for p in products]),
        hold_hours=np.array([p.delivery.hold_hours for p in products]),
        launch_us=np.array([_instant(p.schedule.launch_on, -_FOREVER) for p in products]),
        withdraw_us=np.array([_instant(p.schedule.withdraw_on, _FOREVER) for p in products]),
        hidden=secret,
        decision_days=np.array([h.decision_days for h in hidden]),
        activation_days=np.array([h.activation_days for h in hidden]),
        silent=np.array([h.silent for h in hidden]),
    )


def _beside_class(cost: NDArray[np.float64], kind: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each cost beside the mean of its class in standard deviations, cut at ±2."""
    out = np.zeros(len(cost))
    for k in range(len(ProductClass)):
        rows = kind == k
        if rows.sum() > 1 and cost[rows].std() > 0:
            out[rows] = (cost[rows] - cost[rows].mean()) / cost[rows].std()
    return np.clip(out, -2.0, 2.0)


def _payout(product: Product) -> float:
    """Return what one paid unit brings at the example's amount, first tier."""
    tier = product.payout.tiers[0]
    if product.payout.basis is PayoutBasis.CPS:
        return product.cost.reference_amount_minor * (tier.rate_bps or 0) / 10_000
    return float(tier.amount_minor or 0)


def _instant(day: date | None, other: int) -> int:
    return other if day is None else to_us(datetime(day.year, day.month, day.day, tzinfo=_ZONE))
