"""The schema of every bulk table that passes between rooms or lies in the lake.

``flow`` carries Arrow tables; each room's door checks them once against these. Instants are
``timestamp`` (microseconds, UTC, no zone). Money columns end in ``_minor``.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "ATTRIBUTES",
    "BEHAVIOUR",
    "CLICKS",
    "CONSENT_EVENTS",
    "CONSENT_STATE",
    "CUSTOMER_MAP",
    "DECISIONS",
    "EMPTY_SHELVES",
    "LAKE_TABLES",
    "LIMITS",
    "OUTCOMES",
    "PRODUCTS",
    "RAW_ATTRIBUTES",
    "RAW_BEHAVIOUR",
    "RAW_TRANSACTIONS",
    "REPORTS",
    "SESSIONS",
    "STAGE_CHANCES",
    "TRANSACTIONS",
    "Column",
    "TableSchema",
]


@dataclass(frozen=True, slots=True)
class Column:
    """``type``: int8, int32, int64, float32, float64, bool, string, binary, date or timestamp."""

    name: str
    type: str
    unit: str = ""
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class TableSchema:
    """``key`` names the columns that make a row the same row; partitions are UTC days."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    partition: str | None = "received_at"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


_OCCURRED = Column("occurred_at", "timestamp")
_RECEIVED = Column("received_at", "timestamp")

BEHAVIOUR = TableSchema(
    "behaviour",
    (
        Column("message_id", "string"),
        Column("type", "string"),  # track, page, identify, alias
        Column("event", "string"),  # offer_viewed, product_viewed, ledger_viewed, content_read …
        Column("subject_id", "string"),
        Column("session_id", "string", nullable=True),
        _OCCURRED,
        _RECEIVED,
        Column("channel", "string", nullable=True),  # app, web, mini_program, partner
        Column("scene", "string", nullable=True),  # home, ledger, checkout, branch, embed
        Column("source", "string", nullable=True),  # own, bought
        Column("city_tier", "int8", "tier", nullable=True),
        Column("product_id", "string", nullable=True),
        Column("amount_minor", "int64", "minor", nullable=True),
        Column("properties", "string", nullable=True),  # JSON, at most 8 KiB
    ),
    key=("message_id",),
)

TRANSACTIONS = TableSchema(
    "transactions",
    (
        Column("transaction_id", "string"),
        Column("subject_id", "string"),
        Column("account_id", "string"),
        _OCCURRED,
        _RECEIVED,
        Column("amount_minor", "int64", "minor"),  # + in, − out
        Column("currency", "string"),
        Column("balance_minor", "int64", "minor", nullable=True),  # after this row
        Column("category", "string"),  # a name of domain.ledger.CATEGORIES
        Column("instrument", "string"),  # bank, card, wallet
        Column("counterparty_key", "string", nullable=True),  # keyed digest, never a name
        Column("memo_cipher", "binary", nullable=True),  # under the customer's own key
    ),
    key=("transaction_id",),
)

ATTRIBUTES = TableSchema(
    "attributes",
    (
        Column("attribute_id", "string"),
        Column("subject_id", "string"),
        Column("attribute", "string"),  # birth_year, city_tier, risk_tolerance, occupation, kind …
        Column("number", "float64", nullable=True),
        Column("text", "string", nullable=True),
        _OCCURRED,
        _RECEIVED,
    ),
    key=("attribute_id",),
)

DECISIONS = TableSchema(
    "decisions",
    (
        Column("trace_id", "string"),
        Column("position", "int8"),  # 1 = top
        Column("customer_id", "string"),  # "" when nobody is signed in
        Column("session_id", "string"),
        Column("occurred_at", "timestamp"),
        _RECEIVED,
        Column("product_id", "string"),
        Column("product_version", "int32"),
        Column("institution_id", "string"),
        Column("policy", "string"),
        Column("personalised", "bool"),
        Column("channel", "string"),
        Column("scene", "string"),
        Column("source", "string"),
        Column("visit_cost_minor", "int64", "minor"),
        Column("city_tier", "int8", "tier", nullable=True),
        Column("p_click", "float32"),  # given shown at this position
        Column("p_application", "float32"),  # given click
        Column("p_approval", "float32"),  # given application
        Column("p_activation", "float32"),  # given approval
        Column("value_minor", "float64", "minor"),
        Column("price_minor", "float64", "minor"),
        Column("score_minor", "float64", "minor"),
        Column("display_probability", "float64"),
        Column("n_candidates", "int32", "count"),
        Column("feature_as_of", "timestamp", nullable=True),
        Column("snapshot_version", "string"),
        Column("model_version", "string"),
        Column("plan_version", "string"),
        Column("catalog_version", "string"),
        Column("consent_version", "string", nullable=True),
        Column("region", "string", nullable=True),  # null: not known
        Column("branch_id", "string", nullable=True),  # asked for on behalf of it
        Column("closed", "string", nullable=True),  # bits of the products, hex (flow.remade)
        Column("arms", "string", nullable=True),  # of experiments: "id=arm;id=arm", "" held out
    ),
    key=("trace_id", "position"),
)

EMPTY_SHELVES = TableSchema(
    "empty_shelves",
    (
        Column("trace_id", "string"),
        Column("customer_id", "string"),  # "" when nobody is signed in
        Column("session_id", "string"),
        Column("occurred_at", "timestamp"),
        _RECEIVED,
        Column("policy", "string"),
        Column("personalised", "bool"),
        Column("channel", "string"),
        Column("scene", "string"),
        Column("source", "string"),
        Column("visit_cost_minor", "int64", "minor"),
        Column("city_tier", "int8", "tier", nullable=True),
        Column("n_candidates", "int32", "count"),
        Column("reason", "string"),  # a message code: why nothing stands there
        Column("snapshot_version", "string"),
        Column("model_version", "string"),
        Column("plan_version", "string"),
        Column("catalog_version", "string"),
        Column("consent_version", "string", nullable=True),
        Column("region", "string", nullable=True),
        Column("branch_id", "string", nullable=True),
        Column("arms", "string", nullable=True),
    ),
    key=("trace_id",),
)
"""Shelves that held no offer: with the decisions, every shelf that was asked for."""

OUTCOMES = TableSchema(
    "outcomes",
    (
        Column("outcome_id", "string"),
        Column("trace_id", "string"),
        Column("position", "int8"),
        Column("click_id", "string"),
        Column("application_id", "string", nullable=True),
        Column("customer_id", "string"),
        Column("product_id", "string"),
        Column("institution_id", "string"),
        Column("stage", "string"),  # domain.Stage
        Column("polarity", "string"),  # domain.Polarity, or expired (no application in the hold)
        _OCCURRED,
        _RECEIVED,
        Column("amount_minor", "int64", "minor", nullable=True),
        Column("corrects", "string", nullable=True),
        Column("sequence", "int32"),  # the highest stands; -1 of expired: any report is above it
    ),
    key=("outcome_id",),
)


def _raw(schema: TableSchema) -> TableSchema:
    """Return a lake table as it arrives: ``user_id`` in place of the subject, text unsealed."""
    swap = {
        "subject_id": Column("user_id", "string"),
        "received_at": Column("received_at", "timestamp", nullable=True),  # null: now
        "memo_cipher": Column("memo", "string", nullable=True),
    }
    columns = tuple(swap.get(column.name, column) for column in schema.columns)
    return TableSchema(f"raw_{schema.name}", columns, schema.key)


RAW_BEHAVIOUR = _raw(BEHAVIOUR)
RAW_TRANSACTIONS = _raw(TRANSACTIONS)
RAW_ATTRIBUTES = _raw(ATTRIBUTES)

LAKE_TABLES = (BEHAVIOUR, TRANSACTIONS, ATTRIBUTES, DECISIONS, EMPTY_SHELVES, OUTCOMES)
"""The append-only tables of the lake. Feature snapshots lie beside them, one file an as-of."""

CUSTOMER_MAP = TableSchema(
    "customer_map",
    (Column("subject_id", "string"), Column("customer_id", "string")),
    key=("subject_id",),
    partition=None,
)

CONSENT_EVENTS = TableSchema(
    "consent_events",
    (
        Column("subject_id", "string"),
        Column("purpose", "string"),
        Column("action", "string"),  # grant, withdraw
        Column("text_version", "string", nullable=True),  # null: the newest of the purpose
        _OCCURRED,
        _RECEIVED,
        Column("channel", "string", nullable=True),  # null: web
        Column("scope", "string", nullable=True),  # null: everything
        Column("expires_at", "timestamp", nullable=True),
    ),
    key=("subject_id", "purpose", "action", "occurred_at"),
    partition=None,
)
"""Grants and withdrawals in bulk."""

CONSENT_STATE = TableSchema(
    "consent_state",
    (
        Column("customer_id", "string"),
        Column("purpose", "string"),
        Column("granted", "bool"),
        Column("consent_version", "string"),  # text version and consent id of what decided
        Column("since", "timestamp"),
    ),
    key=("customer_id", "purpose"),
    partition=None,
)

PRODUCTS = TableSchema(
    "products",
    (
        Column("product_id", "string"),
        Column("institution_id", "string"),
        Column("product_version", "int32"),
        Column("product_class", "string"),
        Column("licence", "string"),
        Column("customer_kind", "string"),
        Column("risk_level", "int8"),
        Column("rate_bps", "int32", "bps"),
        Column("all_in_bps", "int32", "bps", nullable=True),  # yearly, IRR with every fee
        Column("all_in_cost_minor", "int64", "minor"),  # of the reference example
        Column("reference_amount_minor", "int64", "minor"),
        Column("reference_term_days", "int32", "days"),
        Column("amount_max_minor", "int64", "minor"),
        Column("payout_basis", "string"),
        Column("payout_stage", "string"),
        Column("payout_amount_minor", "int64", "minor"),  # first tier, at the reference amount
        Column("hold_hours", "int32", "hours"),
        Column("launch_at", "timestamp", nullable=True),
        Column("withdraw_at", "timestamp", nullable=True),
        Column("stopped", "bool"),
    ),
    key=("product_id",),
    partition=None,
)

SESSIONS = TableSchema(
    "sessions",
    (
        Column("session_id", "string"),
        Column("user_id", "string"),
        Column("occurred_at", "timestamp"),
        Column("channel", "string"),
        Column("scene", "string"),
        Column("source", "string"),
        Column("visit_cost_minor", "int64", "minor"),
        Column("city_tier", "int8", "tier", nullable=True),
    ),
    key=("session_id",),
    partition=None,
)

CLICKS = TableSchema(
    "clicks",
    (
        Column("trace_id", "string"),
        Column("position", "int8"),
        Column("product_id", "string"),
        Column("clicked_at", "timestamp"),
    ),
    key=("trace_id", "position"),
    partition=None,
)

STAGE_CHANCES = TableSchema(
    "stage_chances",
    (
        Column("customer_id", "string"),
        Column("product_id", "string"),
        Column("p_click", "float32"),
        Column("p_application", "float32"),
        Column("p_approval", "float32"),
        Column("p_activation", "float32"),
    ),
    key=("customer_id", "product_id"),
    partition=None,
)

REPORTS = TableSchema(
    "reports",
    (
        Column("report_id", "string"),
        Column("institution_id", "string"),
        Column("click_id", "string"),
        Column("stage", "string"),  # domain.Stage
        Column("polarity", "string"),  # domain.Polarity
        _OCCURRED,
        _RECEIVED,
        Column("amount_minor", "int64", "minor", nullable=True),
        Column("currency", "string", nullable=True),
        Column("corrects", "string", nullable=True),
        Column("sequence", "int32"),
        Column("refusal_code", "string", nullable=True),
    ),
    key=("institution_id", "report_id"),
    partition=None,
)
"""Postbacks in bulk: what one or many institutions report, in any order."""

LIMITS = TableSchema(
    "limits",
    (
        Column("limit_id", "string"),  # scope:owner:measure:stage:period
        Column("scope", "string"),  # product, institution, branch
        Column("institution_id", "string"),
        Column("product_id", "string", nullable=True),  # null: every product of the owner
        Column("branch_id", "string", nullable=True),
        Column("measure", "string"),  # count, money
        Column("stage", "string"),
        Column("period", "string"),  # day, week, total
        Column("period_key", "string"),
        Column("limit", "int64"),  # units, or minor units of payout
        Column("posted", "int64"),
        Column("reserved", "int64"),
        Column("kept", "int64"),  # kept back for reports on holds that have expired
        Column("left", "int64"),  # limit - posted - reserved - kept: to be reserved yet
    ),
    key=("limit_id", "period_key"),
    partition=None,
)
"""Every limit in the period an instant falls in, and what is left of it."""
