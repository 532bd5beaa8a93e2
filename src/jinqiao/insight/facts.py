"""What insight needs from records: handed in by ``flow``, never read here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Facts"]


@dataclass(frozen=True, slots=True)
class Facts:
    """Records beside the lake, as of the same instant.

    ``customer_map``: CUSTOMER_MAP, every identified customer. ``consent_state``: CONSENT_STATE, the
    last word of everyone who was asked. ``products``: PRODUCTS, every product ever on sale.
    ``payouts_minor``: each payout posted in the window; ``clawbacks_minor``: each amount taken back
    in it, as positive numbers.
    """

    customer_map: pa.Table
    consent_state: pa.Table
    products: pa.Table
    payouts_minor: tuple[int, ...] = ()
    clawbacks_minor: tuple[int, ...] = ()
    currency: str = "CNY"
