"""A click-out: everything a payout will need, taken down before the customer goes."""

from __future__ import annotations

from dataclasses import dataclass

from jinqiao.domain.stage import ProductClass

__all__ = ["ClickOut"]


@dataclass(frozen=True, slots=True)
class ClickOut:
    """A customer about to leave for an institution.

    ``clicked_us`` and ``expires_us`` are µs UTC: the hold on a reserved unit lasts between them.
    ``reserved`` False: none was left, the customer sees "sold out" and does not leave.
    """

    trace_id: str
    position: int
    customer_id: str
    product_id: str
    institution_id: str
    product_version: int
    product_class: ProductClass
    currency: str
    clicked_us: int
    expires_us: int
    branch_id: str | None = None
    expected_payout_minor: int = 0
    reserved: bool = True
