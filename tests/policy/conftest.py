"""The jurisdiction and the product that policy tests begin with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest

from jinqiao.domain.catalog import Cost, Delivery, Payout, PayoutBasis, PayoutTier, Product
from jinqiao.domain.ids import InstitutionId, ProductId
from jinqiao.domain.jurisdiction import Jurisdiction, JurisdictionRule
from jinqiao.domain.stage import ProductClass, Stage

MATRIX = {f"C{c}": [f"R{r}" for r in range(1, c + 1)] for c in range(1, 6)}
VALUES = {
    "credit_all_in_cap_bps": (2_400, "bps"),
    "private_lending_lpr_multiple": (4, "times"),
    "minimum_age": (18, "years"),
    "credit_to_students_forbidden": (True, ""),
    "suitability_matrix": (MATRIX, ""),
    "suitability_classes": (["fund"], ""),
    "consent_retention_days": (1_095, "days"),
    "decision_retention_days": (1_095, "days"),
    "identity_retention_days": (3_650, "days"),
    "journal_retention_days": (10_950, "days"),
}


@pytest.fixture
def law() -> Jurisdiction:
    begun = date(2020, 1, 1)
    rules = [
        JurisdictionRule(name, value, unit, begun, "A regulation", "Article 1")
        for name, (value, unit) in VALUES.items()
    ]
    for on, bps in ((begun, 385), (date(2025, 5, 20), 300)):
        rules.append(JurisdictionRule("lpr_1y_bps", bps, "bps", on, "An announcement", "LPR"))
    return Jurisdiction("CN", "中国大陆", "Mainland China", tuple(rules))


@pytest.fixture
def make_product() -> Callable[..., Product]:
    base = Product(
        product_id=ProductId("p"),
        institution_id=InstitutionId("i"),
        product_class=ProductClass.FUND,
        name_zh="基金",
        name_en="Fund",
        currency="CNY",
        risk_level=1,
        customer_kind="person",
        cost=Cost(300, 100, 10_000_000, 30, 365, 1_000_000, 365),
        eligibility="",
        payout=Payout(PayoutBasis.CPA, Stage.ACTIVATION, (PayoutTier(1, 1_000),)),
        delivery=Delivery("redirect", "https://example.test/"),
    )
    return lambda **changes: replace(base, **changes)
