"""True chances of every stage for pairs of a visit and a product. Hidden from all learners.

Letters: m pairs, s visits, p products, k classes. ``State`` holds what each visit's person is like
at that moment; ``wear`` multiplies the chance of a click (fatigue, saturation), at most 1.

Examination and trust by position multiply the chance of a click: Craswell et al., WSDM 2008;
Agarwal et al., "Addressing trust bias", WWW 2019.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from jinqiao.synthetic import fraud as frauds
from jinqiao.synthetic.goods import Goods
from jinqiao.synthetic.people import BONUS, JOB_LOSS, People

__all__ = [
    "BESIDE",
    "EXAMINATION",
    "POSITION",
    "TRUST",
    "State",
    "chances_of",
    "fit_of",
    "state_of",
]

EXAMINATION = np.array([1.0, 0.65, 0.45, 0.32])
TRUST = np.array([1.0, 0.97, 0.94, 0.92])
POSITION = EXAMINATION * TRUST
"""What a place on the shelf does to the chance of a click, first place 1."""
BESIDE = 0.88
"""Each offer of the same class above it takes this much from an offer's chance of a click."""

_CLICK = np.array([-2.45, -2.50, -2.15, -2.35, -2.40, -2.35, -2.50, -2.45, -2.40])
_APPLY = np.array([-1.10, -1.30, -0.90, -1.85, -1.85, -1.75, -1.70, -1.80, -1.80])
_APPROVE = np.array([0.0, 0.0, 0.0, 0.80, 0.70, 0.70, 0.0, 0.95, 0.95])
_ACTIVE = np.array([0.70, 0.70, 0.70, 0.55, 0.55, 0.65, 0.80, 0.65, 0.65])
_FIT, _PULL_FIT = 0.9, 0.60
_RING, _SYNTHETIC, _BOT = frauds.RING, frauds.SYNTHETIC, frauds.BOT
_LEAD, _COLLUSION = frauds.LEAD, frauds.COLLUSION


@dataclass(frozen=True, slots=True)
class State:
    """s visits: ``need`` (s, k), ``pull`` of the moment (s, k), ``facts`` (s, 4) as a lender weighs
    them, ``body`` (s,) what an insurer looks at, ``thrift`` (s,), ``fraud`` (s,), ``day`` (s,)."""

    need: NDArray[np.float64]
    pull: NDArray[np.float64]
    facts: NDArray[np.float64]
    body: NDArray[np.float64]
    thrift: NDArray[np.float64]
    fraud: NDArray[np.int8]
    day: NDArray[np.float64]


def state_of(people: People, day: NDArray[np.float64], pull: NDArray[np.float64]) -> State:
    """Return what each visit's person is like; ``people`` has one row a visit."""
    lost = (people.shock == JOB_LOSS) & (day >= people.shock_day)
    won = (people.shock == BONUS) & (day >= people.shock_day)
    income = np.log(people.income_minor / 850e3) / 0.75 - 0.8 * lost + 0.15 * won
    liquid = (np.log(people.liquidity) - 0.35) / 0.95 - 0.5 * lost + 0.4 * won
    score = people.score - 0.35 * lost
    facts = np.column_stack(
        (score, np.clip(income, -2.5, 2.5), -(people.burden - 0.19) / 0.16 - 0.5 * lost, liquid)
    )
    body = 0.35 * np.maximum((people.age - 38.0) / 14.0, 0.0) + 0.25 * people.tastes[:, 2]
    return State(
        people.needs(day), pull, facts, body, people.thrift, people.fraud, day
    )  # fmt: skip


def chances_of(
    state: State, goods: Goods, row: NDArray[np.int64], product: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return (m, 4) chances at the top place, unworn, each given the stage before.

    ``row`` (m,) indexes the state's visits, ``product`` (m,) the goods.
    """
    out = np.empty((len(row), 4))
    _chances(
        row, product, state.need, state.pull, state.facts, state.body, state.thrift, state.fraud,
        state.day, goods.kind, goods.credit, goods.dearness, goods.hidden,
        _CLICK, _APPLY, _APPROVE, _ACTIVE, out,
    )  # fmt: skip
    return out


def fit_of(need: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how well a class suits, in (0, 1), of needs of any shape."""
    out: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-_FIT - _PULL_FIT * need))
    return out


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _chances(  # type: ignore[no-untyped-def]
    row, product, need, pull, facts, body, thrift, fraud, day, kind, credit, dearness, hidden,
    click, apply, approve, active, out,
):  # fmt: skip
    for i in range(row.size):
        s, p = row[i], product[i]
        k, h = kind[p], hidden[p]
        want = need[s, k]
        dear = dearness[p] * (0.5 + thrift[s])
        x = click[k] + 0.48 * want + pull[s, k] + h[0] - 0.15 * dear
        out[i, 0] = 1.0 / (1.0 + np.exp(-x))
        x = apply[k] + 0.22 * want + 0.3 * pull[s, k] + h[1] - 0.2 * dear
        out[i, 1] = 1.0 / (1.0 + np.exp(-x))
        if credit[p]:
            cut = h[6] + (h[9] if day[s] >= h[10] else 0.0)
            x = h[2] * facts[s, 0] + h[3] * facts[s, 1] + h[4] * facts[s, 2] + h[5] * facts[s, 3]
            if fraud[s] == _COLLUSION:
                x += 0.3
            chance = 1.0 / (1.0 + np.exp(-(x - cut) / h[7]))
            if facts[s, 0] < h[12]:
                chance = 0.0
            out[i, 2] = 0.4 * h[8] + (1.0 - h[8]) * chance
        else:
            x = approve[k] + h[11] - (body[s] if k == 5 else 0.0)
            out[i, 2] = 1.0 / (1.0 + np.exp(-x))
        x = active[k] + 0.30 * want + h[11] - 0.15 * dear
        out[i, 3] = 1.0 / (1.0 + np.exp(-x))
        if fraud[s] != 0:
            _bend(out[i], fraud[s], credit[p])


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _bend(chance, fraud, credit):  # type: ignore[no-untyped-def]
    """Bend the four chances of one pair to what a kind of fraud does."""
    if fraud == _RING:
        chance[0] = min(2.5 * chance[0], 0.6)
        chance[1] = 0.85
        chance[2] *= 0.25
    elif fraud in (_SYNTHETIC, _COLLUSION):
        if credit:
            chance[0] = min(2.0 * chance[0], 0.5)
            chance[1] = 0.65
            chance[3] = 0.95
        else:
            chance[0] *= 0.5
    elif fraud == _BOT:
        chance[0] = 0.3
        chance[1] = 0.002
    elif fraud == _LEAD:
        chance[0] = min(2.0 * chance[0], 0.5)
        chance[1] = 0.9
        chance[2] *= 0.03
