"""What becomes of an accepted click: when they apply, what is decided, what is reported and when.

Letters: c accepted clicks, r reports. Every fate is keyed by (visit, product), so it is the same
under every policy that leads there. Instants in microseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from jinqiao.domain.stage import Polarity, ProductClass, Stage
from jinqiao.domain.time import DAY_US
from jinqiao.synthetic.draws import normal_of, uniform
from jinqiao.synthetic.goods import Goods
from jinqiao.synthetic.people import CLASSES

__all__ = [
    "POLARITIES",
    "REFUSALS",
    "STAGES",
    "Accepted",
    "Fates",
    "Reports",
    "fates_of",
    "reports_of",
]

HOUR_US = 3_600_000_000
STAGES = tuple(Stage)
POLARITIES = tuple(Polarity)
REFUSALS = ("score", "income", "burden", "identity", "policy")
_STAGE = {stage: number for number, stage in enumerate(STAGES)}
_REACHED, _REFUSED, _REVERSED = 0, 1, 2
_LENT = np.array(
    [
        CLASSES.index(c.value)
        for c in (ProductClass.LOAN, ProductClass.BNPL, ProductClass.SUPPLY_CHAIN)
    ]
)
_INSURANCE = CLASSES.index(ProductClass.INSURANCE.value)
_WEIBULL_SHAPE, _WEIBULL_HOURS = 0.7, 1.6
_NEVER = np.iinfo(np.int64).max // 4


@dataclass(frozen=True, slots=True)
class Accepted:
    """c clicks that got a unit: who, what, when, and the true chances of what follows (c, 3)."""

    number: NDArray[np.int64]  # of the click within its life
    visit: NDArray[np.int64]
    product: NDArray[np.int64]
    at_us: NDArray[np.int64]
    chances: NDArray[np.float64]
    risk: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Fates:
    """When each stage happens, (c,) each; ``_NEVER`` where it does not."""

    applied: NDArray[np.int64]
    decided: NDArray[np.int64]
    approved: NDArray[np.bool_]
    active: NDArray[np.int64]
    defaulted: NDArray[np.int64]
    amount_minor: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Reports:
    """r reports on their way, as numbers. ``click`` is the click's number within its life."""

    click: NDArray[np.int64]
    product: NDArray[np.int64]
    key: NDArray[np.int64]  # of the report: visit × 10⁴ + product
    stage: NDArray[np.int64]
    polarity: NDArray[np.int64]
    occurred: NDArray[np.int64]
    received: NDArray[np.int64]
    amount: NDArray[np.int64]  # −1 for none
    sequence: NDArray[np.int64]
    turn: NDArray[np.int64]  # n-th of its stage: repayments
    refusal: NDArray[np.int64]  # −1 for none

    def __len__(self) -> int:
        return len(self.click)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Reports:
        return Reports(*[getattr(self, f.name)[rows] for f in fields(self)])

    @classmethod
    def join(cls, parts: list[Reports]) -> Reports:
        names = [f.name for f in fields(cls)]
        return cls(*[np.concatenate([getattr(p, n) for p in parts]) for n in names])


def fates_of(clicks: Accepted, goods: Goods, seed: int) -> Fates:
    """Return what happens to each click, and when."""
    key = (clicks.visit, clicks.product)

    def luck(layer: str) -> NDArray[np.float64]:
        return uniform(seed, layer, *key)

    applies = luck("apply") < clicks.chances[:, 0]
    hours = _WEIBULL_HOURS * (-np.log(luck("apply delay"))) ** (1 / _WEIBULL_SHAPE)
    applied = np.where(applies, clicks.at_us + _us(np.minimum(0.03 + hours, 400.0)), _NEVER)
    approved = applies & (luck("approve") < clicks.chances[:, 1])
    days = goods.decision_days[clicks.product] * np.exp(0.55 * normal_of(luck("decision delay")))
    days = np.minimum(np.where(approved, days, 0.55 * days), 12.0)
    decided = np.where(applies, applied + _us(24 * days), _NEVER)
    activates = approved & (luck("activate") < clicks.chances[:, 2])
    wait = goods.activation_days[clicks.product] * np.exp(
        0.75 * normal_of(luck("activation delay")) - 0.28
    )
    active = np.where(activates, decided + _us(24 * np.minimum(wait, 42.0)), _NEVER)
    chance = 1 / (1 + np.exp(-(-3.1 + 1.1 * clicks.risk)))
    lent = activates & np.isin(goods.kind[clicks.product], _LENT)
    bad = lent & (luck("default") < chance)
    when = active + _us(24 * (90 + 60 * luck("default delay")))
    size = np.exp(0.45 * normal_of(luck("amount")) - 0.45**2 / 2)
    amount = np.round(goods.amount_minor[clicks.product] * size / 10_000).astype(np.int64) * 10_000
    return Fates(
        applied, decided, approved, active, np.where(bad, when, _NEVER), np.maximum(amount, 10_000)
    )


def _us(hours: NDArray[np.float64]) -> NDArray[np.int64]:
    return (hours * HOUR_US).astype(np.int64)


def reports_of(
    clicks: Accepted, fates: Fates, goods: Goods, seed: int, faulty: float, silent: float
) -> Reports:
    """Return every report the institutions will send on these clicks, in no order.

    ``faulty``: share that is doubled, late or out of order, and as many retracted or restated.
    ``silent`` institutions report no refusal.
    """
    pen = _Pen(clicks, goods, seed)
    lent = np.isin(goods.kind[clicks.product], _LENT)
    applied, active = fates.applied < _NEVER, fates.active < _NEVER
    pen.write(applied, Stage.APPLICATION, _REACHED, fates.applied, 0.2)
    pen.write(fates.approved, Stage.APPROVAL, _REACHED, fates.decided, 1.0,
              np.where(goods.credit[clicks.product], fates.amount_minor, -1))  # fmt: skip
    refused = applied & ~fates.approved & ~(goods.silent[clicks.product] & (silent > 0))
    pen.write(refused, Stage.APPROVAL, _REFUSED, fates.decided, 1.0)
    pen.write(active, Stage.ACTIVATION, _REACHED, fates.active, 3.0,
              np.where(goods.credit[clicks.product], -1, fates.amount_minor))  # fmt: skip
    pen.write(
        active & lent, Stage.DISBURSEMENT, _REACHED, fates.active + HOUR_US, 3.0, fates.amount_minor
    )
    for turn in range(3):
        due = fates.active + (30 * (turn + 1)) * DAY_US
        paid = active & lent & ((fates.defaulted == _NEVER) | (turn == 0))
        pen.write(paid, Stage.REPAYMENT, _REACHED, due, 10.0, turn=turn)
    pen.write(fates.defaulted < _NEVER, Stage.DEFAULT, _REACHED, fates.defaulted, 20.0)
    _correct(pen, clicks, fates, goods, faulty)
    return pen.finish(faulty)


def _correct(pen: _Pen, clicks: Accepted, fates: Fates, goods: Goods, faulty: float) -> None:
    """Add surrenders, retracted approvals, restated amounts: same stage, next sequence."""
    key = (clicks.visit, clicks.product)
    active = fates.active < _NEVER
    surrender = (
        active
        & (goods.kind[clicks.product] == _INSURANCE)
        & (uniform(pen.seed, "surrender", *key) < 0.06)
    )
    later = fates.active + _us(24 * (2 + 12 * uniform(pen.seed, "surrender delay", *key)))
    pen.write(surrender, Stage.ACTIVATION, _REVERSED, later, 3.0, sequence=1)
    luck = uniform(pen.seed, "retract", *key)
    undone = fates.approved & ~active & (luck < 2 * faulty)
    pen.write(undone, Stage.APPROVAL, _REVERSED, fates.decided + DAY_US, 5.0, sequence=1)
    lent = np.isin(goods.kind[clicks.product], _LENT)
    restated = active & lent & (luck > 1 - 2 * faulty)
    smaller = np.maximum(fates.amount_minor * 9 // 10 // 100 * 100, 100)
    pen.write(
        restated, Stage.DISBURSEMENT, _REACHED, fates.active + HOUR_US, 60.0, smaller, sequence=1
    )


class _Pen:
    """Writes reports as columns."""

    def __init__(self, clicks: Accepted, goods: Goods, seed: int) -> None:
        self.clicks, self.goods, self.seed = clicks, goods, seed
        self.parts: list[Reports] = []

    def write(
        self, who: NDArray[np.bool_], stage: Stage, polarity: int, at: NDArray[np.int64],
        hours: float, amount: NDArray[np.int64] | None = None, *, sequence: int = 0, turn: int = 0,
    ) -> None:  # fmt: skip
        """Add one report for each click marked, sent within about ``hours`` of its instant."""
        rows = np.flatnonzero(who)
        n, c = len(rows), self.clicks
        key = c.visit[rows] * 10_000 + c.product[rows]
        code = _STAGE[stage]
        step = code * 100 + sequence * 10 + turn
        luck = uniform(self.seed, "report delay", key, step)
        refusal = np.full(n, -1, np.int64)
        if polarity == _REFUSED:
            refusal = np.floor(uniform(self.seed, "refusal", key) * len(REFUSALS)).astype(np.int64)
        sent = at[rows] + _us(0.02 - hours * np.log(luck) / 3)
        money = np.full(n, -1) if amount is None else amount[rows]
        self.parts.append(
            Reports(
                c.number[rows], c.product[rows], key, np.full(n, code), np.full(n, polarity),
                at[rows], sent, money, np.full(n, sequence), np.full(n, turn), refusal,
            )
        )  # fmt: skip

    def finish(self, faulty: float) -> Reports:
        """Return everything written, some of it late, some of it twice."""
        every = Reports.join(self.parts)
        step = every.stage * 100 + every.sequence * 10 + every.turn
        luck = uniform(self.seed, "report fault", every.key, step)
        late = luck < faulty
        slow = every.received + np.where(
            late, (1 + np.floor(luck / faulty * 6)) * DAY_US, 0
        ).astype(np.int64)
        every = Reports(
            *[slow if f.name == "received" else getattr(every, f.name) for f in fields(every)]
        )
        again = every.take(luck > 1 - faulty)
        more = again.received + (1 + (again.key % 40)) * HOUR_US
        again = Reports(
            *[more if f.name == "received" else getattr(again, f.name) for f in fields(again)]
        )
        return Reports.join([every, again])
