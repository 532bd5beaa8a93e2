"""The settlement journal: double entry, whole minor units, corrections as new transfers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from jinqiao.domain.ids import ApplicationId, InstitutionId, ProductId

__all__ = ["Statement", "StatementLine", "Transfer"]


@dataclass(frozen=True, slots=True)
class Transfer:
    """One debit and one equal credit, so that the journal sums to zero by construction.

    ``transfer_id`` is keyed by what it pays for: posting it twice changes nothing.
    """

    transfer_id: str
    debit_account: str
    credit_account: str
    amount_minor: int
    currency: str
    occurred_at: datetime
    institution_id: InstitutionId
    product_id: ProductId
    application_id: ApplicationId
    reason: str
    """payout, clawback, restate, tier_adjustment."""
    corrects: str | None = None


@dataclass(frozen=True, slots=True)
class StatementLine:
    application_id: ApplicationId
    product_id: ProductId
    product_version: int
    stage: str
    occurred_on: date
    reason: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Statement:
    """What one institution owes for one month, version by version."""

    statement_id: str
    institution_id: InstitutionId
    month: str
    version: int
    currency: str
    lines: tuple[StatementLine, ...]
    total_minor: int
    digest: str
