"""Published terms of one product: rates, every fee, eligibility, payout, delivery."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jinqiao.domain.catalog import (
    Charged,
    Cost,
    Delivery,
    Fee,
    LicenceKind,
    Payout,
    PayoutBasis,
    PayoutTier,
    Product,
    RepaymentMethod,
    Schedule,
)
from jinqiao.domain.ids import InstitutionId, ProductId
from jinqiao.domain.stage import ProductClass, Stage
from jinqiao.engines.cashflow import AllIn, Terms, all_in
from jinqiao.synthetic.names import product_name

__all__ = ["CREDIT_CAP_BPS", "SAVING", "Draft", "cost_minor", "draft_product", "example"]

C = ProductClass
CREDIT_CAP_BPS = 2_380
"""All-in yearly rates of credit stay below the 24 % line that the jurisdiction file states."""
SAVING = frozenset({C.DEPOSIT, C.FUND})

_RATE = {
    (C.LOAN, LicenceKind.BANK): (420, 980),
    (C.LOAN, LicenceKind.CONSUMER_FINANCE): (880, 1_650),
    (C.LOAN, LicenceKind.MICRO_LENDER): (980, 1_550),
    (C.BNPL, LicenceKind.CONSUMER_FINANCE): (700, 1_500),
    (C.BNPL, LicenceKind.MICRO_LENDER): (1_000, 1_800),
    (C.BNPL, LicenceKind.PAYMENT): (500, 1_300),
    (C.SUPPLY_CHAIN, LicenceKind.BANK): (420, 820),
    (C.SUPPLY_CHAIN, LicenceKind.MICRO_LENDER): (600, 1_000),
}
_OTHER_RATE = {C.CREDIT_CARD: (1_100, 1_600), C.DEPOSIT: (110, 210), C.FUND: (150, 420)}
_EXAMPLE = {  # amount, term of the example, smallest, largest amount
    C.CREDIT_CARD: (300_000, 365, 100_000, 5_000_000),
    C.LOAN: (300_000, 365, 100_000, 20_000_000),
    C.BNPL: (100_000, 180, 10_000, 2_000_000),
    C.DEPOSIT: (800_000, 365, 100_000, 50_000_000),
    C.FUND: (500_000, 365, 1_000, 100_000_000),
    C.INSURANCE: (30_000, 365, 10_000, 2_000_000),
    C.SUPPLY_CHAIN: (3_000_000, 90, 500_000, 50_000_000),
    C.E_ACCOUNT: (100_000, 365, 0, 5_000_000),
    C.PAYMENT: (100_000, 365, 0, 50_000_000),
}


@dataclass(frozen=True, slots=True)
class Draft:
    """What is known of a product before its terms are drawn."""

    institution_id: InstitutionId
    number: int
    kind: ProductClass
    licence: LicenceKind
    merchant: bool
    house: tuple[str, str]
    days: tuple[Any, Any]


def draft_product(rng: np.random.Generator, draft: Draft) -> Product:
    """Return a product with everything it publishes but its limits."""
    kind = draft.kind
    cost = _cost(rng, draft)
    zh, en = product_name(kind, int(rng.integers(5)), draft.merchant)
    level = (
        int(rng.choice([2, 3, 4, 5, 1], p=[0.34, 0.3, 0.16, 0.08, 0.12])) if kind is C.FUND else 1
    )
    if kind is C.INSURANCE and rng.random() < 0.15:
        level = 2
    return Product(
        product_id=ProductId(
            f"{draft.institution_id}-{kind.value.replace('_', '-')}-{draft.number + 1}"
        ),
        institution_id=draft.institution_id,
        product_class=kind,
        name_zh=f"{draft.house[0]}{zh}",
        name_en=f"{draft.house[1]} {en}",
        currency="CNY",
        risk_level=level,
        customer_kind="merchant" if draft.merchant else "person",
        cost=cost,
        eligibility=_rule(rng, draft),
        payout=_payout(rng, draft),
        delivery=_delivery(rng, draft),
        schedule=Schedule(launch_on=draft.days[0], withdraw_on=draft.days[1]),
        summary_zh=f"{draft.house[0]}提供的{zh}，由生成市场虚构。",
        summary_en=f"{en.capitalize()} from {draft.house[1]}, made up by the generated market.",
    )


def example(product: Product) -> AllIn:
    """Return the product's own example worked out, every fee counted."""
    cost = product.cost
    return all_in(
        Terms(
            cost.reference_amount_minor, cost.reference_term_days, cost.rate_bps,
            cost.repayment.value, cost.fees, product.product_class in SAVING,
        )
    )  # fmt: skip


def cost_minor(product: Product) -> int:
    """Return what the example costs in all: interest and fees; below 0 where the customer earns."""
    return example(product).cost_minor


def _cost(rng: np.random.Generator, draft: Draft) -> Cost:
    kind = draft.kind
    amount, term, least, most = _EXAMPLE[kind]
    low, high = _RATE.get((kind, draft.licence), _OTHER_RATE.get(kind, (0, 0)))
    rate = int(rng.integers(low, high + 1) // 5 * 5) if high else 0
    if kind is C.INSURANCE:
        amount = int(amount * rng.uniform(0.85, 1.25)) // 1_000 * 1_000
    fees = _fees(rng, draft, amount)
    repayment = _repayment(rng, kind)
    cost = Cost(
        rate, least, int(most * rng.choice([0.25, 0.5, 1.0])), 30, max(term, 365) * 3, amount,
        term, repayment, fees, *_promotion(rng, kind),
    )  # fmt: skip
    return _capped(cost, kind)


def _capped(cost: Cost, kind: ProductClass) -> Cost:
    """Return the cost with its rate lowered until the example stays under the credit cap."""
    if kind in SAVING or not cost.rate_bps:
        return cost
    while True:
        worked = all_in(
            Terms(cost.reference_amount_minor, cost.reference_term_days, cost.rate_bps,
                  cost.repayment.value, cost.fees)
        )  # fmt: skip
        if worked.annual_bps is None or worked.annual_bps <= CREDIT_CAP_BPS:
            return cost
        cost = replace(cost, rate_bps=cost.rate_bps - 50)


def _repayment(rng: np.random.Generator, kind: ProductClass) -> RepaymentMethod:
    if kind in (C.LOAN, C.BNPL):
        if rng.random() < 0.75:
            return RepaymentMethod.EQUAL_INSTALMENT
        return RepaymentMethod.EQUAL_PRINCIPAL
    return {
        C.CREDIT_CARD: RepaymentMethod.REVOLVING,
        C.SUPPLY_CHAIN: RepaymentMethod.BULLET,
        C.DEPOSIT: RepaymentMethod.BULLET,
        C.FUND: RepaymentMethod.BULLET,
    }.get(kind, RepaymentMethod.NONE)


def _fees(rng: np.random.Generator, draft: Draft, amount: int) -> tuple[Fee, ...]:
    kind, fees = draft.kind, []
    if kind is C.LOAN and rng.random() < 0.4:
        rate = int(rng.integers(4, 15)) * 10
        fees.append(Fee("担保服务费", "guarantee fee", Charged.UPFRONT, "guarantor", None, rate))
    if kind in (C.LOAN, C.BNPL, C.CREDIT_CARD):
        fees.append(Fee("逾期违约金", "late fee", Charged.PER_EVENT, "institution", None, 500))
    if kind is C.CREDIT_CARD and rng.random() < 0.4:
        yearly = int(rng.choice([3_000, 6_000, 10_000]))
        fees.append(Fee("年费", "annual fee", Charged.YEARLY, "institution", yearly))
    if kind is C.FUND:
        fees.append(
            Fee(
                "申购费",
                "entry fee",
                Charged.UPFRONT,
                "institution",
                None,
                int(rng.integers(0, 13)) * 5,
            )
        )
    if kind is C.INSURANCE:
        fees.append(Fee("保费", "premium", Charged.YEARLY, "institution", amount))
    if kind is C.SUPPLY_CHAIN and rng.random() < 0.5:
        fees.append(Fee("平台服务费", "platform fee", Charged.UPFRONT, "operator", None, 20))
    if kind in (C.E_ACCOUNT, C.PAYMENT) and rng.random() < 0.2:
        fees.append(
            Fee(
                "账户管理费",
                "account fee",
                Charged.MONTHLY,
                "institution",
                int(rng.integers(1, 4)) * 50,
            )
        )
    return tuple(fees)


def _promotion(rng: np.random.Generator, kind: ProductClass) -> tuple[str, str]:
    if kind in (C.CREDIT_CARD, C.BNPL) and rng.random() < 0.2:
        return "首期免息，以协议为准", "first instalment free of interest, as the contract says"
    return "", ""


def _rule(rng: np.random.Generator, draft: Draft) -> str:
    """Return the published eligibility rule over profile features."""
    kind, income = draft.kind, int(rng.choice([300, 400, 500, 600, 800])) * 1_000
    strict = draft.licence is LicenceKind.BANK
    parts: list[str] = []
    if draft.merchant:
        parts.append(f"monthly_income_minor >= {income * 2}")
        if kind in (C.LOAN, C.SUPPLY_CHAIN):
            parts.append("debt_service_ratio <= 0.6")
        return " and ".join(parts)
    low, high = int(rng.integers(18, 24)), int(rng.choice([55, 60, 65]))
    if kind in (C.LOAN, C.CREDIT_CARD, C.BNPL):
        parts.append(f"age between {low} and {high}")
        parts.append(f"monthly_income_minor >= {income if strict else income // 2}")
        if rng.random() < (0.8 if strict else 0.4):
            parts.append(f"debt_service_ratio <= {rng.choice([0.25, 0.3, 0.35, 0.4, 0.5])}")
        if rng.random() < 0.3:
            parts.append(f"city_tier <= {int(rng.choice([3, 4]))}")
    elif kind is C.INSURANCE:
        parts.append(f"age between 18 and {int(rng.choice([55, 60, 65, 70]))}")
    elif kind is C.FUND:
        parts.append("age >= 18")
        if rng.random() < 0.25:
            parts.append(f"monthly_income_minor >= {income * 2}")
    elif kind is C.DEPOSIT:
        parts.append("age >= 18")
    elif rng.random() < 0.5:
        parts.append("age >= 16")
    return " and ".join(parts)


def _payout(rng: np.random.Generator, draft: Draft) -> Payout:
    kind, spot = draft.kind, rng.random()
    if kind is C.LOAN:
        dear = 1.0 if draft.licence is LicenceKind.BANK else 1.6
        if spot < 0.55:
            return _share(rng, Stage.DISBURSEMENT, 120 * dear, 300 * dear, 60)
        if spot < 0.85:
            return _fixed(rng, PayoutBasis.CPA, Stage.APPROVAL, 6_000 * dear, 12_000 * dear, 30)
        return _fixed(rng, PayoutBasis.CPL, Stage.APPLICATION, 700 * dear, 1_600 * dear, 0)
    if kind is C.CREDIT_CARD:
        stage = Stage.ACTIVATION if spot < 0.6 else Stage.APPROVAL
        return _fixed(rng, PayoutBasis.CPA, stage, 7_000, 15_000, 30)
    if kind is C.SUPPLY_CHAIN:
        return _share(rng, Stage.DISBURSEMENT, 20, 60, 60)
    if kind is C.DEPOSIT:
        return _share(rng, Stage.ACTIVATION, 15, 50, 0)
    if kind is C.FUND:
        return _share(rng, Stage.ACTIVATION, 40, 120, 0)
    if kind is C.INSURANCE:
        return _share(rng, Stage.ACTIVATION, 1_200, 3_000, 15)
    if kind is C.BNPL:
        return _fixed(rng, PayoutBasis.CPA, Stage.ACTIVATION, 1_500, 4_000, 0)
    return _fixed(rng, PayoutBasis.CPA, Stage.ACTIVATION, 900, 2_400, 0)


def _fixed(
    rng: np.random.Generator, basis: PayoutBasis, stage: Stage, low: float, high: float, back: int
) -> Payout:
    amount = int(rng.uniform(low, high)) // 100 * 100
    tiers = [PayoutTier(1, amount)]
    if rng.random() < 0.25:
        tiers.append(
            PayoutTier(int(rng.choice([50, 100, 200])) + 1, int(amount * 1.15) // 100 * 100)
        )
    return Payout(basis, stage, tuple(tiers), back)


def _share(rng: np.random.Generator, stage: Stage, low: float, high: float, back: int) -> Payout:
    return Payout(PayoutBasis.CPS, stage, (PayoutTier(1, None, int(rng.uniform(low, high))),), back)


def _delivery(rng: np.random.Generator, draft: Draft) -> Delivery:
    kind = str(rng.choice(["redirect", "api_lead", "file", "prescreen"], p=[0.55, 0.3, 0.08, 0.07]))
    hold = int(rng.choice([24, 36, 48, 72]))
    host = f"https://{draft.institution_id}.example/apply" if kind == "redirect" else ""
    return Delivery(kind, host, hold)
