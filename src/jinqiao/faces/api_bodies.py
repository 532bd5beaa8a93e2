"""What the API takes and gives, as documented records: the source of its OpenAPI page."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "ApplicationAnswer", "ApplicationPage", "BatchAnswer", "ClickAnswer", "ClickAsked",
    "ConsentAnswer", "ConsentAsked", "ConsentState", "ConsentsAnswer", "CostTable",
    "DecisionStory", "Erased", "Fee", "Health", "InstalmentRow", "LimitState", "LimitsAnswer",
    "MetricAnswer", "OfferAnswer", "OfferStory", "PieceAnswer", "Problem", "ProductAnswer",
    "Ready", "ReasonBoth", "ReasonText", "RejectedReport", "ReportAsked", "ReportPage",
    "ReportsAnswer", "ReportsAsked", "Reversal", "RowFault", "SessionAnswer", "SessionAsked",
    "ShelfAnswer", "StageReached", "StatementAnswer", "StatementLine", "StepAnswer", "StepBoth",
    "TokenAnswer", "VersionsAnswer", "WhyAnswer",
]  # fmt: skip

Language = Literal["zh", "en"]
PurposeName = Literal[
    "personalise", "prescreen", "share_with_institution", "credit_decision", "contact", "alliance",
    "measure",
]  # fmt: skip
Minor = Annotated[int, Field(description="Whole minor units of the currency.")]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    code: str = Field(description="Stable; see docs/reference/errors.md.")
    record: str | None = None
    field: str | None = None
    fix: str | None = None
    trace_id: str | None = None


class RowFault(BaseModel):
    row: int
    field: str
    code: str
    record: str
    message: str


class BatchAnswer(BaseModel):
    """received = accepted + rejected + duplicate; refused rows are kept and can be replayed."""

    received: int
    accepted: int
    rejected: int
    duplicate: int
    faults: list[RowFault] = Field(description="The first hundred refused rows.")


class SessionAsked(_Asked):
    user_id: str = Field(
        min_length=1, max_length=256, description="Your own login of the customer."
    )
    hours: int | None = Field(default=None, ge=1, le=168)


class SessionAnswer(BaseModel):
    token: str = Field(description="Authorization: Bearer …; give it to the customer's browser.")
    customer_id: str
    expires_in_s: int
    path: str = Field(description="Open this page to sign the customer in.")


class ReasonText(BaseModel):
    code: str
    text: str
    numbers: dict[str, Any]


class ApprovalOdds(BaseModel):
    text: str
    as_of: str
    cases: int
    level: float
    share: float
    lower: float
    confidence: float


class OfferAnswer(BaseModel):
    position: int
    product_id: str
    product_version: int
    product_class: str
    name: str
    institution_id: str
    institution: str
    currency: str
    rate_bps: int
    all_in_bps: int | None = Field(description="Yearly, every fee counted; null: nothing is lent.")
    example_amount_minor: Minor
    example_term_days: int
    example_cost_minor: Minor
    p_approval: float | None = Field(description="Estimated; null where nothing was learnt.")
    approval_odds: ApprovalOdds | None = Field(
        description="Measured, with a lower bound that holds; null where none does."
    )
    reasons: list[ReasonText]


class PieceAnswer(BaseModel):
    content_id: str
    topic: str
    title: str
    body: str


class VersionsAnswer(BaseModel):
    snapshot: str
    model: str
    plan: str
    catalog: str
    consent: str | None


class ShelfAnswer(BaseModel):
    trace_id: str
    personalised: bool
    policy: str
    versions: VersionsAnswer
    offers: list[OfferAnswer]
    content: list[PieceAnswer]


class Fee(BaseModel):
    name_zh: str
    name_en: str
    charged: str
    payee: str
    times: int
    each_minor: Minor
    total_minor: Minor
    counted: bool


class InstalmentRow(BaseModel):
    number: int
    day: int
    principal_minor: Minor
    interest_minor: Minor
    due_minor: Minor
    balance_minor: Minor


class CostTable(BaseModel):
    product_id: str
    currency: str
    amount_minor: Minor
    term_days: int
    rate_bps: int
    all_in_bps: int | None
    all_in_cost_minor: Minor
    repayment: str
    fees: list[Fee]
    schedule: list[InstalmentRow]


class ProductAnswer(BaseModel):
    product_id: str
    product_class: str
    product_version: int
    name_zh: str
    name_en: str
    summary_zh: str
    summary_en: str
    institution_id: str
    institution_zh: str
    institution_en: str
    licence: str
    customer_kind: str
    risk_level: int
    eligibility: str
    amount_min_minor: Minor
    amount_max_minor: Minor
    term_min_days: int
    term_max_days: int
    stopped: bool
    cost: CostTable


class StepAnswer(BaseModel):
    step: str
    allowed: bool
    reasons: list[ReasonText]


class WhyAnswer(BaseModel):
    product_id: str
    shown: bool
    steps: list[StepAnswer]


class ClickAsked(_Asked):
    trace_id: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.:-]+$")
    position: int = Field(ge=1, le=127)
    branch_id: str | None = Field(default=None, min_length=1, max_length=96)


class ClickAnswer(BaseModel):
    """``allowed`` false is no error: no unit was left, and the reasons say so."""

    click_id: str
    application_id: str
    allowed: bool
    url: str | None
    expires_at: str
    reasons: list[ReasonText]


class StageReached(BaseModel):
    stage: str
    at: str
    amount_minor: int | None


class Reversal(BaseModel):
    stage: str
    reached_at: str
    reversed_at: str
    amount_minor: int | None


class ApplicationAnswer(BaseModel):
    application_id: str
    click_id: str
    product_id: str
    institution_id: str
    product_version: int
    state: str
    reached: list[StageReached]
    refused_at: str | None
    refused_stage: str | None
    reversals: list[Reversal]


class ApplicationPage(BaseModel):
    applications: list[ApplicationAnswer]
    next_cursor: str | None


class ReportAsked(_Asked):
    report_id: str
    click_id: str
    stage: str
    polarity: str = "reached"
    occurred_at: str = Field(description="ISO 8601 with zone.")
    institution_id: str | None = None
    amount_minor: int | None = None
    currency: str | None = None
    corrects: str | None = None
    sequence: int = 0
    refusal_code: str | None = None


class ReportsAsked(_Asked):
    reports: list[ReportAsked] = Field(max_length=1000)


class RejectedReport(BaseModel):
    reject_id: str
    report_id: str
    field: str
    code: str
    message: str


class ReportsAnswer(BaseModel):
    received: int
    accepted: int
    duplicate: int
    rejected: list[RejectedReport]


class LimitState(BaseModel):
    """One limit in its present period: ``limit = posted + reserved + kept + left``.

    ``kept`` is kept back for reports on holds that have expired.
    """

    limit_id: str
    scope: str
    institution_id: str
    product_id: str | None
    branch_id: str | None
    measure: str
    stage: str
    period: str
    period_key: str
    limit: int
    posted: int
    reserved: int
    kept: int
    left: int


class LimitsAnswer(BaseModel):
    limits: list[LimitState]


class StatementLine(BaseModel):
    application_id: str
    product_id: str
    product_version: int
    stage: str
    occurred_on: str
    reason: str
    amount_minor: Minor


class StatementAnswer(BaseModel):
    statement_id: str
    institution_id: str
    month: str
    version: int
    currency: str
    lines: list[StatementLine]
    total_minor: Minor
    digest: str


class ReasonBoth(BaseModel):
    code: str
    zh: str
    en: str
    numbers: dict[str, Any]


class StepBoth(BaseModel):
    step: str
    allowed: bool
    reasons: list[ReasonBoth]


class OfferStory(BaseModel):
    product_id: str
    position: int
    numbers: dict[str, Any]
    steps: list[StepBoth]
    outcome: list[ReasonBoth]


class DecisionStory(BaseModel):
    trace_id: str
    customer_id: str
    occurred_at: str
    personalised: bool
    context: dict[str, Any]
    versions: dict[str, str | None]
    offers: list[OfferStory]
    notes: list[ReasonBoth]


class ConsentState(BaseModel):
    purpose: str
    granted: bool
    reason: str
    text_version: str | None
    said_at: str | None
    consent_id: str | None


class ConsentsAnswer(BaseModel):
    consents: list[ConsentState]


class ConsentAsked(_Asked):
    purpose: PurposeName
    text_version: str = Field(default="", max_length=64, description="The words that were shown.")


class ConsentAnswer(BaseModel):
    consent_id: str
    purpose: str
    action: str
    text_version: str
    occurred_at: str


class Erased(BaseModel):
    customer_id: str
    subjects: int
    identifiers: int
    refused_rows: int
    erased_at: str


class MetricAnswer(BaseModel):
    name: str
    family: str
    zh: str
    en: str
    unit: str
    numerator: float
    denominator: float | None
    value: float | None
    lower: float | None
    upper: float | None
    window_days: int
    as_of: str
    definition: str
    breakdown: list[tuple[str, float]]


class ReportPage(BaseModel):
    indicators: list[MetricAnswer]


class TokenAnswer(BaseModel):
    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    scope: str


class Health(BaseModel):
    status: Literal["ok"]


class Ready(BaseModel):
    status: Literal["ready"]
    snapshot: str
    age_s: int | None
    checked_s: float
