"""Stages of a funnel, and which of them each product class has.

An absent stage has no model, no KPI and no payout.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

__all__ = ["CREDIT_CLASSES", "STAGES", "Polarity", "ProductClass", "Stage"]


class ProductClass(StrEnum):
    CREDIT_CARD = "credit_card"
    LOAN = "loan"
    BNPL = "bnpl"
    DEPOSIT = "deposit"
    FUND = "fund"
    INSURANCE = "insurance"
    SUPPLY_CHAIN = "supply_chain"
    E_ACCOUNT = "e_account"
    PAYMENT = "payment"


class Stage(StrEnum):
    IMPRESSION = "impression"
    CLICK = "click"
    PRE_APPROVAL = "pre_approval"
    APPLICATION = "application"
    APPROVAL = "approval"
    ACTIVATION = "activation"
    DISBURSEMENT = "disbursement"
    REPAYMENT = "repayment"
    DEFAULT = "default"


class Polarity(StrEnum):
    """What a report says of a stage: it was reached, refused, or is taken back."""

    REACHED = "reached"
    REFUSED = "refused"
    REVERSED = "reversed"


CREDIT_CLASSES = frozenset(
    {ProductClass.CREDIT_CARD, ProductClass.LOAN, ProductClass.BNPL, ProductClass.SUPPLY_CHAIN}
)

_SHOWN = {
    Stage.IMPRESSION: "the offer was on the shelf",
    Stage.CLICK: "the customer left for the institution with a signed id",
    Stage.APPLICATION: "the institution holds an application",
}
_CREDIT = _SHOWN | {
    Stage.PRE_APPROVAL: "the lender's own decision before an application",
    Stage.APPROVAL: "the lender granted a limit",
    Stage.DISBURSEMENT: "the first money went out",
    Stage.REPAYMENT: "an instalment was paid as agreed",
    Stage.DEFAULT: "an instalment is 90 days late",
}
_ACCOUNT = _SHOWN | {
    Stage.APPROVAL: "identity was verified",
    Stage.ACTIVATION: "first payment made",
}

STAGES: Mapping[ProductClass, Mapping[Stage, str]] = MappingProxyType(
    {
        ProductClass.CREDIT_CARD: _CREDIT | {Stage.ACTIVATION: "the card was used once"},
        ProductClass.LOAN: _CREDIT | {Stage.ACTIVATION: "the contract was signed"},
        ProductClass.BNPL: _CREDIT | {Stage.ACTIVATION: "first purchase paid with it"},
        ProductClass.SUPPLY_CHAIN: _CREDIT | {Stage.ACTIVATION: "the contract was signed"},
        ProductClass.DEPOSIT: _SHOWN
        | {
            Stage.APPROVAL: "identity and risk level match",
            Stage.ACTIVATION: "first money in",
        },
        ProductClass.FUND: _SHOWN
        | {
            Stage.APPROVAL: "identity and risk level match",
            Stage.ACTIVATION: "first money in",
        },
        ProductClass.INSURANCE: _SHOWN
        | {
            Stage.APPROVAL: "underwriting accepted",
            Stage.ACTIVATION: "the policy is in force; a cooling-off surrender reverses it",
        },
        ProductClass.E_ACCOUNT: _ACCOUNT,
        ProductClass.PAYMENT: _ACCOUNT,
    }
)
