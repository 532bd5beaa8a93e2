"""People and merchants, block by block: what they are, earn, owe and want.

Letters: n people of a block, k product classes in the order of ``ProductClass``, z standardised.
Fields ending in ``_seen`` show in attributes or in the ledger; ``risk``, ``score`` and ``private``
are hidden for good, as is who means harm.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jinqiao.domain.stage import ProductClass
from jinqiao.synthetic.draws import stream
from jinqiao.synthetic.fraud import SYNTHETIC, assign_fraud, bad_debt, bust_days
from jinqiao.synthetic.needs import needs_seen, shock_shift
from jinqiao.synthetic.spec import BLOCK, Spec

__all__ = ["CLASSES", "OCCUPATIONS", "TYPES", "People", "join", "make_people"]

CLASSES = tuple(item.value for item in ProductClass)
TYPES = ("young_salaried", "family", "gig", "affluent", "retired", "student", "micro_business")
YOUNG, FAMILY, GIG, AFFLUENT, RETIRED, STUDENT, MERCHANT = range(7)
OCCUPATIONS = ("salaried", "gig", "self_employed", "business_owner", "student", "retired")

_SHARE = np.array([0.29, 0.24, 0.14, 0.08, 0.11, 0.06, 0.08])
_AGE = np.array([[27, 3.5], [38, 5], [33, 8], [44, 8], [65, 5], [20.5, 1.5], [41, 8]])
_AGE_RANGE = np.array([[21, 35], [28, 55], [18, 59], [30, 70], [55, 85], [16, 26], [22, 68]])
_INCOME_MINOR = np.array([780e3, 1_150e3, 600e3, 3_600e3, 430e3, 190e3, 2_600e3])
_INCOME_SPREAD = np.array([0.32, 0.36, 0.42, 0.45, 0.32, 0.30, 0.60])
_VOLATILITY = np.array([0.06, 0.05, 0.45, 0.12, 0.02, 0.15, 0.40])
_DEBTORS = np.array([0.62, 0.72, 0.60, 0.50, 0.15, 0.0, 0.75])
_RENTERS = np.array([0.62, 0.15, 0.55, 0.05, 0.04, 0.0, 0.25])
_OWNERS = np.array([0.12, 0.60, 0.12, 0.55, 0.05, 0.0, 0.35])
_TIER_SHARE = np.array([0.16, 0.24, 0.26, 0.20, 0.14])
_TIER_INCOME = np.array([1.40, 1.18, 1.0, 0.86, 0.76])

NOBODY, JOB_LOSS, BONUS = 0, 1, 2


@dataclass(frozen=True, slots=True)
class People:
    """n people in order. Rows of one block, of several, or of a whole market."""

    index: NDArray[np.int64]
    type: NDArray[np.int8]
    birth_year: NDArray[np.int16]
    age: NDArray[np.float64]
    female: NDArray[np.bool_]
    city_tier: NDArray[np.int8]
    education: NDArray[np.int8]
    occupation: NDArray[np.int8]
    risk_tolerance: NDArray[np.int8]
    tenure_days: NDArray[np.int32]
    visits: NDArray[np.float64]  # times the usual
    channel: NDArray[np.int8]
    hour: NDArray[np.float64]
    payday: NDArray[np.int8]
    income_minor: NDArray[np.int64]  # a month
    volatility: NDArray[np.float64]
    thrift: NDArray[np.float64]
    burden: NDArray[np.float64]  # instalments and mortgage / income
    owner: NDArray[np.bool_]
    renter: NDArray[np.bool_]
    liquidity: NDArray[np.float64]  # months of income on account
    tastes: NDArray[np.float64]  # (n, 4) shop, travel, health, education
    risk_seen: NDArray[np.float64]
    risk: NDArray[np.float64]
    score: NDArray[np.float64]
    shock: NDArray[np.int8]
    shock_day: NDArray[np.int32]
    fraud: NDArray[np.int8]  # a kind of ``fraud.FRAUDS``, 0 for honest
    group: NDArray[np.int32]  # whom they act with, −1 for nobody
    bust_day: NDArray[np.int32]  # made-up people: the day they are gone
    seen: NDArray[np.float64]  # (n, k) the knowable part of needs
    private: NDArray[np.float64]  # (n, k)

    def __len__(self) -> int:
        return len(self.index)

    @property
    def merchant(self) -> NDArray[np.bool_]:
        return np.asarray(self.type == MERCHANT)

    def needs(self, day: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return every need, (n, k), each row on its own day; a shock moves them."""
        since = np.where(self.shock > NOBODY, day - self.shock_day, -1.0)
        return self.seen + self.private + shock_shift(self.shock, since)

    def risk_on(self, day: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the risk of a bad debt, (n,), each row on its own day; a shock moves it too."""
        after = (self.shock > NOBODY) & (day >= self.shock_day)
        moved = np.where(after, np.where(self.shock == JOB_LOSS, 0.8, -0.3), 0.0)
        return self.risk + moved + bad_debt(self.fraud)

    def take(self, rows: NDArray[np.int64] | slice) -> People:
        return People(*[getattr(self, f.name)[rows] for f in fields(self)])


def join(parts: list[People]) -> People:
    """Return people of several blocks as one."""
    return People(*[np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(People)])


def make_people(seed: int, spec: Spec, block: int, count: int = BLOCK) -> People:
    """Return the first ``count`` people of a block; the whole block is always drawn."""
    rng = stream(seed, "people", block)
    n = BLOCK
    kind = rng.choice(7, n, p=_SHARE).astype(np.int8)
    fraud, group = assign_fraud(stream(seed, "fraud", block), spec, block, kind == MERCHANT)
    kind[fraud == SYNTHETIC] = YOUNG
    base = _base(rng, kind, spec, n)
    money = _money(rng, kind, base)
    _make_up(stream(seed, "made up", block), fraud, base, money)
    shock = rng.choice(3, n, p=[0.93, 0.035, 0.035]).astype(np.int8)
    shock[(kind == RETIRED) | (kind == STUDENT) | (fraud == SYNTHETIC)] = NOBODY
    shock_day = rng.integers(-150, spec.log_days + spec.plan_days + 30, n).astype(np.int32)
    z = _standard_facts(base, money)
    seen = np.sqrt(spec.knowable) * needs_seen(kind, z)
    private = np.sqrt(1.0 - spec.knowable) * rng.standard_normal((n, len(CLASSES)))
    people = People(
        index=np.arange(n, dtype=np.int64) + block * BLOCK, type=kind, **base, **money,
        shock=shock, shock_day=shock_day, fraud=fraud, group=group,
        bust_day=bust_days(stream(seed, "bust", block), spec, fraud), seen=seen, private=private,
    )  # fmt: skip
    return people.take(slice(0, count))


def _base(rng: np.random.Generator, kind: NDArray[np.int8], spec: Spec, n: int) -> dict[str, Any]:
    mean, spread = _AGE[kind].T
    low, high = _AGE_RANGE[kind].T
    age = np.clip(mean + spread * rng.standard_normal(n), low, high)
    tier = rng.choice(5, n, p=_TIER_SHARE) + 1
    tolerance = 3.0 - (age - 38) / 22 + 0.6 * (kind == AFFLUENT) + rng.standard_normal(n) * 0.9
    education = np.clip(np.round(1.3 + 0.4 * (3 - tier) + rng.standard_normal(n) * 0.8), 0, 3)
    occupation = np.array([0, 0, 1, 0, 5, 4, 3])[kind]
    own = np.isin(kind, (YOUNG, FAMILY, AFFLUENT)) & (
        rng.random(n) < 0.12 + 0.2 * (kind == AFFLUENT)
    )
    occupation = np.where(own, 2, occupation)
    return {
        "birth_year": (spec.day_zero.year - np.floor(age)).astype(np.int16),
        "age": age,
        "female": rng.random(n) < 0.5,
        "city_tier": tier.astype(np.int8),
        "education": education.astype(np.int8),
        "occupation": occupation.astype(np.int8),
        "risk_tolerance": np.clip(np.round(tolerance), 1, 5).astype(np.int8),
        "tenure_days": (30 + rng.gamma(2.0, 260.0, n)).astype(np.int32),
        "visits": rng.gamma(2.5, 1 / 2.5, n) + 0.05,
        "channel": rng.choice(4, n, p=[0.62, 0.12, 0.20, 0.06]).astype(np.int8),
        "hour": np.clip(rng.normal(14.5, 4.0, n), 7, 23),
        "payday": np.where(
            rng.random(n) < 0.75, rng.choice([5, 10, 15, 20, 25], n), rng.integers(1, 29, n)
        ).astype(np.int8),
        "tastes": rng.standard_normal((n, 4)),
    }


def _money(
    rng: np.random.Generator, kind: NDArray[np.int8], base: dict[str, Any]
) -> dict[str, Any]:
    n = len(kind)
    tier = np.asarray(base["city_tier"])
    spread = _INCOME_SPREAD[kind] * rng.standard_normal(n)
    income = _INCOME_MINOR[kind] * _TIER_INCOME[tier - 1] * np.exp(spread)
    volatility = np.clip(_VOLATILITY[kind] * np.exp(0.35 * rng.standard_normal(n)), 0.01, 0.9)
    thrift = 1 / (1 + np.exp(-(rng.standard_normal(n) + 0.5 * (kind == RETIRED) - 0.2)))
    zi, zt = np.log(income / 850e3) / 0.75, (thrift - 0.47) / 0.21
    seen = 0.7 * (-0.35 * zi - 0.55 * zt + 0.9 * volatility + 0.65 * rng.standard_normal(n))
    risk = 0.86 * seen + 0.5 * rng.standard_normal(n)
    chance = np.clip(_DEBTORS[kind] + 0.10 * risk, 0, 0.95)
    debtor = (rng.random(n) < chance) & (kind != STUDENT)
    burden = np.where(
        debtor, np.clip(0.17 + 0.09 * risk + 0.09 * rng.standard_normal(n), 0.03, 0.62), 0.0
    )
    spot = rng.random(n)
    owner = spot < _OWNERS[kind]
    renter = ~owner & (spot < _OWNERS[kind] + _RENTERS[kind])
    burden = np.where(owner, np.clip(burden + 0.15, 0.0, 0.68), burden)
    months = np.exp(0.35 + 1.0 * zt * 0.6 - 0.35 * risk + 0.25 * zi + 0.6 * rng.standard_normal(n))
    age = np.asarray(base["age"])
    file = np.clip((age - 22) / 12, 0, 1) - 0.6
    score = -0.80 * risk + 0.30 * file - 0.5 * (burden - 0.2) + 0.38 * rng.standard_normal(n)
    return {
        "income_minor": (np.round(income / 1000) * 1000).astype(np.int64),
        "volatility": volatility, "thrift": thrift, "burden": burden, "owner": owner,
        "renter": renter, "liquidity": np.clip(months, 0.1, 40.0), "risk_seen": seen,
        "risk": risk, "score": score,
    }  # fmt: skip


def _standard_facts(base: dict[str, Any], money: dict[str, Any]) -> NDArray[np.float64]:
    """Return (n, 11) standardised facts: what ``needs.FACTS`` names."""
    income = np.log(np.asarray(money["income_minor"]) / 850e3) / 0.75
    columns = [
        income,
        (np.asarray(base["age"]) - 38.0) / 14.0,
        (np.asarray(money["burden"]) - 0.19) / 0.16,
        (np.log(np.asarray(money["liquidity"])) - 0.35) / 0.95,
        np.asarray(money["risk_seen"]) / 0.8,
        (3.0 - np.asarray(base["city_tier"])) / 1.25,
        (np.asarray(base["risk_tolerance"]) - 3.0) / 1.1,
    ]
    return np.column_stack([*columns, np.asarray(base["tastes"])])


def _make_up(
    rng: np.random.Generator, fraud: NDArray[np.int8], base: dict[str, Any], money: dict[str, Any]
) -> None:
    """Make people up: lately joined, in steady work, in order with everyone; nothing of it true."""
    rows = np.flatnonzero(fraud == SYNTHETIC)
    n = len(rows)
    base["tenure_days"][rows] = rng.integers(35, 96, n)
    base["occupation"][rows] = 0
    money["income_minor"][rows] = rng.integers(900, 1_400, n) * 1_000
    money["volatility"][rows], money["burden"][rows] = 0.03, 0.05
    money["owner"][rows], money["renter"][rows] = False, True
    money["liquidity"][rows] = rng.uniform(1.0, 2.5, n)
    money["risk_seen"][rows] = -0.3 + 0.1 * rng.standard_normal(n)
    money["risk"][rows] = 0.86 * money["risk_seen"][rows]
    money["score"][rows] = 0.35 + 0.25 * rng.standard_normal(n)
