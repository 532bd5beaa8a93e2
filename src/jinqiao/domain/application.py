"""Applications: one state machine from click to repayment or default, driven by postbacks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from jinqiao.domain.ids import (
    ApplicationId,
    ClickId,
    CustomerId,
    InstitutionId,
    ProductId,
    TraceId,
    keyed_id,
)
from jinqiao.domain.stage import Polarity, ProductClass, Stage

__all__ = ["Application", "Click", "LimitMove", "Postback", "application_id_of"]


def application_id_of(click_id: str) -> ApplicationId:
    """Return the id of the one application a click can become."""
    return ApplicationId(keyed_id("app", click_id))


@dataclass(frozen=True, slots=True)
class Click:
    """A customer left for an institution. ``click_id`` is signed and expires with the hold."""

    click_id: ClickId
    trace_id: TraceId
    position: int
    product_id: ProductId
    institution_id: InstitutionId
    product_version: int
    customer_id: CustomerId
    clicked_at: datetime
    expires_at: datetime
    reserved: bool
    """False when no unit was left: the customer saw "sold out" and did not leave."""
    product_class: ProductClass = ProductClass.LOAN
    currency: str = "CNY"
    branch_id: str | None = None
    expected_payout_minor: int = 0

    @property
    def application_id(self) -> ApplicationId:
        return application_id_of(self.click_id)


@dataclass(frozen=True, slots=True)
class Postback:
    """An institution's report on one stage of one application.

    ``report_id`` is the institution's and makes a retry harmless. ``corrects`` names an earlier
    report this one restates or retracts; the later ``sequence`` (then report_id) wins.
    """

    report_id: str
    institution_id: InstitutionId
    click_id: ClickId
    stage: Stage
    polarity: Polarity
    occurred_at: datetime
    received_at: datetime
    amount_minor: int | None = None
    currency: str | None = None
    corrects: str | None = None
    sequence: int = 0
    refusal_code: str | None = None


@dataclass(frozen=True, slots=True)
class Application:
    """The state folded from every report so far; the same for any order of arrival."""

    application_id: ApplicationId
    click_id: ClickId
    trace_id: TraceId
    customer_id: CustomerId
    product_id: ProductId
    institution_id: InstitutionId
    product_version: int
    state: str
    """The furthest standing stage, or refused, reversed, expired."""
    reached: tuple[tuple[Stage, datetime, int | None], ...] = ()
    refused_at: datetime | None = None
    refused_stage: Stage | None = None
    reversals: tuple[tuple[Stage, datetime, datetime, int | None], ...] = ()
    """Stages that were reached and later undone: stage, reached, reversed, amount. A report that
    was retracted never happened, and is not among them."""


@dataclass(frozen=True, slots=True)
class LimitMove:
    """What a changed application means for a reserved unit: ``verb`` is post, void or hold (again:
    what was reported of it was retracted)."""

    click_id: ClickId
    stage: Stage
    verb: str
    occurred_at: datetime
    amount_minor: int | None = None
