"""A shelf: what one customer was shown, with every number that led there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from jinqiao.domain.decision import Reason
from jinqiao.domain.ids import CustomerId, InstitutionId, ProductId, TraceId

__all__ = ["Context", "Offer", "Shelf", "Versions"]


@dataclass(frozen=True, slots=True)
class Context:
    """Where and when a shelf is asked for."""

    at: datetime
    session_id: str
    channel: str = "web"
    scene: str = "home"
    source: str = "own"
    """own or bought."""
    visit_cost_minor: int = 0
    city_tier: int | None = None
    region: str | None = None
    """Where it is asked for; None: not known, and then nothing bound to regions is offered."""
    branch_id: str | None = None
    """The branch it is asked for on behalf of: that branch's limits count too."""


@dataclass(frozen=True, slots=True)
class Versions:
    """Everything needed to make the same shelf again. ``consent`` is None when not personalised."""

    snapshot: str
    model: str
    plan: str
    catalog: str
    consent: str | None


@dataclass(frozen=True, slots=True)
class Offer:
    """One product's terms for one customer now, at one position (1 = top)."""

    product_id: ProductId
    institution_id: InstitutionId
    product_version: int
    position: int
    p_click: float
    p_application: float
    p_approval: float
    p_activation: float
    """Chances of each stage given the one before, at this position."""
    value_minor: float
    price_minor: float
    score_minor: float
    """value − price: what ranks."""
    display_probability: float
    """Chance in (0, 1] that the policy put this product at this position."""
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class Shelf:
    trace_id: TraceId
    customer_id: CustomerId | None
    personalised: bool
    context: Context
    versions: Versions
    offers: tuple[Offer, ...]
    policy: str = "plan"
    content_ids: tuple[str, ...] = ()
    arms: str | None = None
    """The arms of experiments it was made in, as the log keeps them."""
