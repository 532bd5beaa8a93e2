"""What an activation is worth to a customer, and a refusal costs: the published formula.

``worth = class benefit × fit − excess cost``; see docs/explanation/value.md. Every policy, baseline
and reference is scored by ``value``; only the inputs differ (estimated or true).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from jinqiao.domain.stage import ProductClass

__all__ = ["BETA", "CLASS_BENEFIT_MINOR", "REFUSAL_HARM_MINOR", "value"]

BETA = 1.0
"""Payout counts at most β times the customer's own value."""

CLASS_BENEFIT_MINOR: Mapping[ProductClass, int] = MappingProxyType(
    {
        ProductClass.CREDIT_CARD: 30_000,
        ProductClass.LOAN: 60_000,
        ProductClass.BNPL: 8_000,
        ProductClass.DEPOSIT: 12_000,
        ProductClass.FUND: 15_000,
        ProductClass.INSURANCE: 25_000,
        ProductClass.SUPPLY_CHAIN: 90_000,
        ProductClass.E_ACCOUNT: 5_000,
        ProductClass.PAYMENT: 3_000,
    }
)
"""Minor units of CNY a fitting activation is worth to a customer at fit 1."""

REFUSAL_HARM_MINOR = 3_000
"""r: what a refusal after applying costs a customer (an enquiry on file, time, disappointment)."""


def value(
    p_activation: float,
    p_refused: float,
    worth_minor: float,
    payout_minor: float,
    *,
    refusal_harm_minor: float = REFUSAL_HARM_MINOR,
    beta: float = BETA,
) -> float:
    """Return v = a + min(E[payout], β·max(a, 0)) in minor units; a = p·w − q·r.

    ``p_activation``, ``p_refused`` are unconditional chances given the product is shown;
    ``payout_minor`` is the expected payout given it is shown; ``worth_minor`` ≥ 0.
    """
    own = p_activation * worth_minor - p_refused * refusal_harm_minor
    return own + min(payout_minor, beta * max(own, 0.0))
