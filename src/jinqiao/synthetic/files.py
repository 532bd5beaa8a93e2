"""An institution as the plain data of its file: public facts only."""

from __future__ import annotations

from typing import Any

from jinqiao.domain.catalog import Branch, Cost, Fee, Institution, Limit, Measure, Payout, Product

__all__ = ["as_file"]


def as_file(institution: Institution) -> dict[str, Any]:
    """Return what stands in ``institutions/<id>.yaml``: mappings, lists and scalars."""
    out: dict[str, Any] = {
        "institution_id": institution.institution_id,
        "name": _both(institution.name_zh, institution.name_en),
        "licence": institution.licence.value,
        "jurisdiction": institution.jurisdiction,
        "currency": institution.currency,
        "zone": institution.zone,
    }
    if institution.approval_rate_floor is not None:
        out["approval_rate_floor"] = institution.approval_rate_floor
    if institution.limits:
        out["limits"] = [_limit(limit) for limit in institution.limits]
    if institution.branches:
        out["branches"] = [_branch(branch) for branch in institution.branches]
    out["products"] = [_product(product) for product in institution.products]
    return out


def _both(zh: str, en: str) -> dict[str, str]:
    return {"zh": zh, "en": en}


def _limit(limit: Limit) -> dict[str, Any]:
    word = "count" if limit.measure is Measure.COUNT else "money_minor"
    out: dict[str, Any] = {word: limit.limit, "period": limit.period.value}
    if limit.measure is Measure.COUNT:
        out["stage"] = limit.stage.value
    return out


def _branch(branch: Branch) -> dict[str, Any]:
    out: dict[str, Any] = {
        "branch_id": branch.branch_id,
        "name": _both(branch.name_zh, branch.name_en),
        "region": branch.region,
    }
    if branch.limits:
        out["limits"] = [_limit(limit) for limit in branch.limits]
    return out


def _product(product: Product) -> dict[str, Any]:
    out: dict[str, Any] = {
        "product_id": product.product_id,
        "class": product.product_class.value,
        "name": _both(product.name_zh, product.name_en),
        "summary": _both(product.summary_zh, product.summary_en),
        "risk": f"R{product.risk_level}",
        "customer_kind": product.customer_kind,
        "cost": _cost(product.cost),
    }
    if product.eligibility:
        out["eligibility"] = product.eligibility
    out["payout"] = _payout(product.payout)
    if product.limits:
        out["limits"] = [_limit(limit) for limit in product.limits]
    days = product.schedule
    schedule: dict[str, Any] = {
        name: day.isoformat()
        for name, day in (("launch_on", days.launch_on), ("withdraw_on", days.withdraw_on))
        if day is not None
    }
    if schedule:
        out["schedule"] = schedule
    out["delivery"] = {"route": product.delivery.kind}
    if product.delivery.url:
        out["delivery"]["url"] = product.delivery.url
    out["delivery"]["hold_hours"] = product.delivery.hold_hours
    return out


def _cost(cost: Cost) -> dict[str, Any]:
    out: dict[str, Any] = {
        "rate_bps": cost.rate_bps,
        "amount_minor": {"min": cost.amount_min_minor, "max": cost.amount_max_minor},
        "term_days": {"min": cost.term_min_days, "max": cost.term_max_days},
        "example": {
            "amount_minor": cost.reference_amount_minor,
            "term_days": cost.reference_term_days,
        },
        "repayment": cost.repayment.value,
    }
    if cost.fees:
        out["fees"] = [_fee(fee) for fee in cost.fees]
    if cost.promotion_zh:
        out["promotion"] = _both(cost.promotion_zh, cost.promotion_en)
    return out


def _fee(fee: Fee) -> dict[str, Any]:
    out: dict[str, Any] = {
        "name": _both(fee.name_zh, fee.name_en),
        "charged": fee.charged.value,
        "payee": fee.payee,
    }
    if fee.amount_minor is not None:
        out["amount_minor"] = fee.amount_minor
    else:
        out["rate_bps"] = fee.rate_bps
    return out


def _payout(payout: Payout) -> dict[str, Any]:
    tiers = [
        {"from_count": tier.from_count, "amount_minor": tier.amount_minor}
        if tier.amount_minor is not None
        else {"from_count": tier.from_count, "rate_bps": tier.rate_bps}
        for tier in payout.tiers
    ]
    out: dict[str, Any] = {"basis": payout.basis.value, "stage": payout.stage.value, "tiers": tiers}
    if payout.clawback_days:
        out["clawback_days"] = payout.clawback_days
    return out
