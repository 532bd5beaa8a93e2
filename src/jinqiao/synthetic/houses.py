"""Institutions and their products: what they publish, and the policy they keep to themselves.

Letters: j institutions, p products. ``Goods`` are the products as columns; its ``hidden`` part is
never written to a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from jinqiao.domain.catalog import Branch, Institution, LicenceKind
from jinqiao.domain.ids import InstitutionId
from jinqiao.domain.stage import CREDIT_CLASSES, ProductClass
from jinqiao.synthetic.draws import stream
from jinqiao.synthetic.names import REGIONS, house_name
from jinqiao.synthetic.spec import Spec
from jinqiao.synthetic.terms import Draft, draft_product

__all__ = ["Hidden", "House", "make_houses"]

C = ProductClass
L = LicenceKind
_PER_HUNDRED = (
    (L.BANK, 36), (L.CONSUMER_FINANCE, 16), (L.MICRO_LENDER, 12), (L.INSURER, 11),
    (L.INSURANCE_BROKER, 3), (L.FUND_MANAGER, 7), (L.FUND_DISTRIBUTOR, 4), (L.SECURITIES, 3),
    (L.PAYMENT, 8),
)  # fmt: skip
_SELLS = {
    L.BANK: (
        C.CREDIT_CARD,
        C.LOAN,
        C.CREDIT_CARD,
        C.DEPOSIT,
        C.CREDIT_CARD,
        C.LOAN,
        C.SUPPLY_CHAIN,
        C.E_ACCOUNT,
    ),
    L.CONSUMER_FINANCE: (C.LOAN, C.BNPL, C.LOAN),
    L.MICRO_LENDER: (C.LOAN, C.BNPL, C.SUPPLY_CHAIN),
    L.INSURER: (C.INSURANCE,),
    L.INSURANCE_BROKER: (C.INSURANCE,),
    L.FUND_MANAGER: (C.FUND,),
    L.FUND_DISTRIBUTOR: (C.FUND,),
    L.SECURITIES: (C.FUND,),
    L.PAYMENT: (C.PAYMENT, C.E_ACCOUNT, C.BNPL),
}
_MERCHANT_SHARE = {C.LOAN: 0.10, C.PAYMENT: 0.4, C.DEPOSIT: 0.08, C.SUPPLY_CHAIN: 1.0}
_CUT = {L.BANK: 0.36, L.CONSUMER_FINANCE: 0.30, L.MICRO_LENDER: 0.14, L.PAYMENT: 0.0}


@dataclass(frozen=True, slots=True)
class Hidden:
    """What an institution keeps to itself about one product.

    ``weights`` on (score, income, −burden, liquidity); ``cut`` and ``soft`` of its approvals;
    ``drift`` is added to the cut-off from ``drift_day`` on; ``noise`` is the share of decisions
    taken by hand; ``floor``: a hard rule, below this score only a hand approves; ``silent``:
    refusals are not reported.
    """

    appeal: float
    effort: float
    weights: tuple[float, float, float, float]
    cut: float
    soft: float
    noise: float
    drift: float
    drift_day: int
    ease: float
    floor: float
    decision_days: float
    activation_days: float
    silent: bool


@dataclass(frozen=True, slots=True)
class House:
    """One institution: what it publishes, and per product what it hides."""

    institution: Institution
    hidden: tuple[Hidden, ...]


def make_houses(seed: int, spec: Spec, institutions: int, products: int) -> tuple[House, ...]:
    """Return the institutions, by id, limits not yet set; the same at any size."""
    licences = _licences(institutions)
    rng = stream(seed, "houses", institutions, products)
    sold = _classes(rng, licences, products)
    made = (
        _house(stream(seed, "house", j), _floor(seed, j), spec, (j, licence, sold[j]))
        for j, licence in enumerate(licences)
    )
    return tuple(sorted(made, key=lambda house: house.institution.institution_id))


def _licences(count: int) -> list[LicenceKind]:
    """Return licences in the proportions of a hundred, interleaved so that few are also mixed."""
    quota = [(share / 100.0, licence) for licence, share in _PER_HUNDRED]
    given = dict.fromkeys((licence for _, licence in quota), 0)
    out = []
    for place in range(1, count + 1):
        licence = max(quota, key=lambda item: item[0] * place - given[item[1]])[1]
        given[licence] += 1
        out.append(licence)
    return out


def _classes(
    rng: np.random.Generator, licences: list[LicenceKind], products: int
) -> list[list[ProductClass]]:
    """Return what each institution sells: one thing each, then more, in the order it would grow."""
    number: dict[LicenceKind, int] = {}
    sold: list[list[ProductClass]] = []
    for licence in licences:
        k = number.get(licence, 0)
        number[licence] = k + 1
        sold.append([_SELLS[licence][k % len(_SELLS[licence])]])
    left = max(products - len(licences), 0)
    order = rng.permutation(len(licences))
    turn = 0
    while left > 0:
        j = int(order[turn % len(order)])
        turn += 1
        menu = [c for c in _SELLS[licences[j]] if c not in sold[j]]
        if not menu and turn <= len(order):
            continue
        menu = menu or list(_SELLS[licences[j]])
        sold[j].append(menu[int(rng.integers(len(menu)))])
        left -= 1
    return sold


def _floor(seed: int, number: int) -> float:
    """Return an institution's hard rule on the bureau's score; three in five have one."""
    rng = stream(seed, "hard rule", number)
    return float(rng.uniform(-1.4, -0.9)) if rng.random() < 0.6 else -9.0


def _house(
    rng: np.random.Generator, floor: float, spec: Spec,
    what: tuple[int, LicenceKind, list[ProductClass]],
) -> House:  # fmt: skip
    j, licence, classes = what
    inst_id = InstitutionId(f"{licence.value.replace('_', '-')}-{j + 1:03d}")
    zh, en = house_name(j, licence)
    policy = _policy(rng, licence, floor)
    drafts, hidden = [], []
    for k, kind in enumerate(classes):
        merchant = rng.random() < _MERCHANT_SHARE.get(kind, 0.0)
        appeal = 0.20 * rng.standard_normal()
        draft = Draft(inst_id, k, kind, licence, merchant, (zh, en), _days(rng, spec))
        drafts.append(draft_product(rng, draft))
        hidden.append(_hide(rng, policy, kind, appeal))
    approved = round(float(rng.uniform(0.2, 0.35)), 2) if rng.random() < 0.3 else None
    institution = Institution(
        institution_id=inst_id, name_zh=zh, name_en=en, licence=licence, jurisdiction="CN",
        currency="CNY", zone="Asia/Shanghai", products=tuple(drafts), approval_rate_floor=approved,
        branches=_branches(rng, inst_id, licence),
    )  # fmt: skip
    return House(institution, tuple(hidden))


def _days(rng: np.random.Generator, spec: Spec) -> tuple[object, object]:
    """Return launch and withdrawal days: one product in ten starts, one in 25 ends in the run."""
    spot = rng.random()
    start = spec.day_zero
    run = int(rng.integers(2, spec.plan_days - 8))
    if spot < 0.10:
        return start + timedelta(days=spec.log_days + run), None
    if spot < 0.14:
        return None, start + timedelta(days=spec.log_days + run + 4)
    return None, None


@dataclass(frozen=True, slots=True)
class _Policy:
    weights: NDArray[np.float64]
    cut: float
    soft: float
    noise: float
    drift: float
    drift_day: int
    floor: float
    decision_days: float
    activation_days: float
    silent: bool


def _policy(rng: np.random.Generator, licence: LicenceKind, floor: float) -> _Policy:
    weights = rng.dirichlet([9.0, 3.5, 3.5, 2.5])
    spot = rng.random()
    drift = 0.45 if spot < 0.15 else -0.4 if spot < 0.25 else 0.0
    return _Policy(
        weights, _CUT.get(licence, 0.0) + 0.16 * rng.standard_normal(), rng.uniform(0.40, 0.60),
        rng.uniform(0.03, 0.09), drift, int(rng.integers(20, 48)), floor, rng.uniform(1.0, 4.5),
        rng.uniform(3.0, 9.0), bool(rng.random() < 0.5),
    )  # fmt: skip


def _hide(rng: np.random.Generator, policy: _Policy, kind: ProductClass, appeal: float) -> Hidden:
    credit = kind in CREDIT_CLASSES
    fast = 0.3 if kind in (C.E_ACCOUNT, C.PAYMENT, C.BNPL) else 1.0
    w = policy.weights
    return Hidden(
        appeal=appeal,
        effort=0.24 * rng.standard_normal(),
        weights=(float(w[0]), float(w[1]), float(w[2]), float(w[3])),
        cut=policy.cut + (-0.38 if kind is C.BNPL else 0.0) + 0.08 * rng.standard_normal(),
        soft=policy.soft,
        noise=policy.noise,
        drift=policy.drift if credit else 0.0,
        drift_day=policy.drift_day,
        ease=0.28 * rng.standard_normal(),
        floor=policy.floor,
        decision_days=policy.decision_days * fast + 0.3,
        activation_days=policy.activation_days * (0.6 if fast < 1 else 1.0),
        silent=policy.silent,
    )


def _branches(
    rng: np.random.Generator, inst_id: InstitutionId, licence: LicenceKind
) -> tuple[Branch, ...]:
    if licence is not LicenceKind.BANK or rng.random() > 0.5:
        return ()
    chosen = rng.choice(len(REGIONS), int(rng.integers(2, 5)), replace=False)
    return tuple(
        Branch(
            f"{inst_id}-{REGIONS[i][0].lower()}",
            f"{REGIONS[i][1]}分行",
            f"{REGIONS[i][2]} branch",
            REGIONS[i][0],
        )
        for i in sorted(chosen)
    )
