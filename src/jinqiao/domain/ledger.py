"""Ledger categories: what a transaction was for."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["CATEGORIES", "DEBT_SERVICE", "INCOME", "OWN_TRANSFERS", "SPEND"]

CATEGORIES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "salary": ("工资", "salary"),
        "pension": ("养老金", "pension"),
        "gig_income": ("零工收入", "gig income"),
        "business_income": ("经营收入", "business income"),
        "interest_income": ("利息收入", "interest received"),
        "investment_income": ("投资收益", "investment income"),
        "refund": ("退款", "refund"),
        "transfer_in": ("转入", "transfer in"),
        "other_in": ("其他收入", "other in"),
        "cash_in": ("现金存入", "cash in"),
        "loan_in": ("贷款到账", "loan money in"),
        "rent": ("房租", "rent"),
        "mortgage": ("房贷", "mortgage"),
        "loan_instalment": ("贷款还款", "loan instalment"),
        "card_repayment": ("信用卡还款", "card repayment"),
        "groceries": ("日用", "groceries"),
        "dining": ("餐饮", "dining"),
        "transport": ("交通", "transport"),
        "shopping": ("购物", "shopping"),
        "entertainment": ("娱乐", "entertainment"),
        "gambling": ("博彩", "gambling"),
        "utilities": ("水电燃气", "utilities"),
        "household": ("家庭开支", "household"),
        "education": ("教育", "education"),
        "health": ("医疗", "health"),
        "travel": ("旅行", "travel"),
        "insurance_premium": ("保险费", "insurance premium"),
        "investment_out": ("投资买入", "investment bought"),
        "deposit_out": ("存款存入", "put in a deposit"),
        "supplier_payment": ("采购付款", "supplier payment"),
        "tax": ("税费", "tax"),
        "fee": ("手续费", "bank fee"),
        "penalty": ("罚息滞纳金", "penalty interest or late fee"),
        "cash_out": ("现金支取", "cash out"),
        "transfer_out": ("转出", "transfer out"),
        "own_transfer": ("本人互转", "between own accounts"),
        "other_out": ("其他支出", "other out"),
    }
)
"""Name → (Chinese, English)."""

INCOME = frozenset({"salary", "pension", "gig_income", "business_income"})
"""What counts as recurring earned income."""
DEBT_SERVICE = frozenset({"loan_instalment", "card_repayment", "mortgage"})
OWN_TRANSFERS = frozenset({"own_transfer", "investment_out", "deposit_out", "investment_income"})
"""Neither income nor spend: money that stays the customer's."""
SPEND = frozenset(
    {
        "rent", "groceries", "dining", "transport", "shopping", "entertainment", "gambling",
        "utilities", "household", "education", "health", "travel", "insurance_premium",
        "tax", "fee", "penalty", "cash_out", "other_out",
    }
)  # fmt: skip
