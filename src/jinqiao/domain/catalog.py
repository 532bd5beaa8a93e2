"""Institutions and products: terms, costs, rules, limits and payouts, as the files say them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from jinqiao.domain.ids import InstitutionId, ProductId
from jinqiao.domain.stage import ProductClass, Stage

__all__ = [
    "Branch",
    "Catalog",
    "CatalogVersion",
    "Charged",
    "Cost",
    "Delivery",
    "Fee",
    "Institution",
    "LicenceKind",
    "Limit",
    "Measure",
    "Payout",
    "PayoutBasis",
    "PayoutTier",
    "Period",
    "Product",
    "RepaymentMethod",
    "Schedule",
]


class LicenceKind(StrEnum):
    BANK = "bank"
    CONSUMER_FINANCE = "consumer_finance"
    MICRO_LENDER = "micro_lender"
    INSURER = "insurer"
    INSURANCE_BROKER = "insurance_broker"
    FUND_MANAGER = "fund_manager"
    FUND_DISTRIBUTOR = "fund_distributor"
    SECURITIES = "securities"
    PAYMENT = "payment"


class Charged(StrEnum):
    """When a fee falls due."""

    UPFRONT = "upfront"
    MONTHLY = "monthly"
    YEARLY = "yearly"
    ON_EXIT = "on_exit"
    PER_EVENT = "per_event"
    """Only when something happens (late payment, cash advance): shown, not in the all-in cost."""


class RepaymentMethod(StrEnum):
    EQUAL_INSTALMENT = "equal_instalment"
    EQUAL_PRINCIPAL = "equal_principal"
    BULLET = "bullet"
    INTEREST_ONLY = "interest_only"
    REVOLVING = "revolving"
    NONE = "none"


class PayoutBasis(StrEnum):
    CPA = "CPA"
    """A fixed amount for each time the paid stage is reached."""
    CPL = "CPL"
    """A fixed amount for each application received."""
    CPS = "CPS"
    """A share of the money disbursed, deposited, invested or paid as premium."""


class Period(StrEnum):
    DAY = "day"
    WEEK = "week"
    TOTAL = "total"


class Measure(StrEnum):
    COUNT = "count"
    MONEY = "money"


@dataclass(frozen=True, slots=True)
class Fee:
    """One fee of any party. Either ``amount_minor`` or ``rate_bps`` (of the amount) is set."""

    name_zh: str
    name_en: str
    charged: Charged
    payee: str = "institution"
    amount_minor: int | None = None
    rate_bps: int | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """What the customer pays or earns.

    ``rate_bps``: nominal yearly rate in basis points; what the customer pays on credit, earns on a
    deposit or fund (a fund's is a past figure, never a promise), 0 elsewhere.
    ``reference_amount_minor`` and ``reference_term_days``: the example all costs are shown for.
    """

    rate_bps: int
    amount_min_minor: int
    amount_max_minor: int
    term_min_days: int
    term_max_days: int
    reference_amount_minor: int
    reference_term_days: int
    repayment: RepaymentMethod = RepaymentMethod.NONE
    fees: tuple[Fee, ...] = ()
    promotion_zh: str = ""
    promotion_en: str = ""


@dataclass(frozen=True, slots=True)
class PayoutTier:
    """From the ``from_count``-th paid unit of a month on, this much a unit (amount or share)."""

    from_count: int
    amount_minor: int | None = None
    rate_bps: int | None = None


@dataclass(frozen=True, slots=True)
class Payout:
    """What the institution pays the operator.

    ``clawback_days``: a default or reversal within so many days of the paid stage takes it back.
    """

    basis: PayoutBasis
    stage: Stage
    tiers: tuple[PayoutTier, ...]
    clawback_days: int = 0


@dataclass(frozen=True, slots=True)
class Limit:
    """A quota (``count`` of a stage) or a budget (``money``, minor units of payout) in a period."""

    measure: Measure
    period: Period
    limit: int
    stage: Stage = Stage.APPLICATION


@dataclass(frozen=True, slots=True)
class Schedule:
    """When and where a product is offered; empty tuples mean everywhere and always."""

    launch_on: date | None = None
    withdraw_on: date | None = None
    hours: tuple[int, int] | None = None
    regions: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a customer reaches the institution: redirect, api_lead, file or prescreen."""

    kind: str
    url: str = ""
    hold_hours: int = 48
    """A reserved unit expires so long after click-out."""


@dataclass(frozen=True, slots=True)
class Branch:
    branch_id: str
    name_zh: str
    name_en: str
    region: str
    limits: tuple[Limit, ...] = ()


@dataclass(frozen=True, slots=True)
class Product:
    product_id: ProductId
    institution_id: InstitutionId
    product_class: ProductClass
    name_zh: str
    name_en: str
    currency: str
    risk_level: int
    """R1 (lowest) to R5."""
    customer_kind: str
    """person or merchant."""
    cost: Cost
    eligibility: str
    """A rule of the rule language; "" means everyone."""
    payout: Payout
    delivery: Delivery
    limits: tuple[Limit, ...] = ()
    schedule: Schedule = Schedule()
    summary_zh: str = ""
    summary_en: str = ""


@dataclass(frozen=True, slots=True)
class Institution:
    institution_id: InstitutionId
    name_zh: str
    name_en: str
    licence: LicenceKind
    jurisdiction: str
    currency: str
    zone: str
    products: tuple[Product, ...]
    limits: tuple[Limit, ...] = ()
    approval_rate_floor: float | None = None
    branches: tuple[Branch, ...] = ()


@dataclass(frozen=True, slots=True)
class CatalogVersion:
    """One immutable version of one institution's file."""

    institution_id: InstitutionId
    version: int
    valid_from: datetime
    author: str
    digest: str
    diff: str


@dataclass(frozen=True, slots=True)
class Catalog:
    """Every institution in id order, and the version of each that is in force."""

    institutions: tuple[Institution, ...]
    versions: tuple[tuple[InstitutionId, int], ...] = ()
    stopped: frozenset[ProductId] = frozenset()

    def products(self) -> Iterator[Product]:
        """Yield every product, institutions in order, products in file order."""
        for institution in self.institutions:
            yield from institution.products

    def product(self, product_id: str) -> Product | None:
        return next((p for p in self.products() if p.product_id == product_id), None)

    def institution(self, institution_id: str) -> Institution | None:
        return next((i for i in self.institutions if i.institution_id == institution_id), None)
