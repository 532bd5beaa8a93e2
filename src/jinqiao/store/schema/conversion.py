"""Records tables of the topic: clicks, applications, the reports they are folded from, the outbox.

A click row carries everything a payout needs years later: the product's version, its class, its
currency. A report is kept exactly as it came; the application row is only the fold of them.
"""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Boolean, Column, Index, Integer, String, Table

from jinqiao.store.schema._metadata import metadata

__all__ = ["applications", "clicks", "late_reports", "outcome_outbox", "report_rejects", "reports"]

clicks = Table(
    "clicks",
    metadata,
    Column("click_id", String(64), primary_key=True),
    Column("application_id", String(64), nullable=False),
    Column("trace_id", String(64), nullable=False),
    Column("position", Integer, nullable=False),
    Column("product_id", String(96), nullable=False),
    Column("product_class", String(32), nullable=False),
    Column("institution_id", String(96), nullable=False),
    Column("branch_id", String(96)),
    Column("product_version", BigInteger, nullable=False),
    Column("customer_id", String(64), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("expected_payout_minor", BigInteger, nullable=False),
    Column("clicked_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("reserved", Boolean, nullable=False),
    Column("expired_at", BigInteger),  # when its hold was found to have passed without a report
)
Index("ix_clicks_trace_id", clicks.c.trace_id, clicks.c.position, unique=True)
Index("ix_clicks_application_id", clicks.c.application_id, unique=True)
Index("ix_clicks_customer_id", clicks.c.customer_id, clicks.c.clicked_at)
Index("ix_clicks_institution_id", clicks.c.institution_id, clicks.c.clicked_at)
Index("ix_clicks_due", clicks.c.reserved, clicks.c.expired_at, clicks.c.expires_at)

applications = Table(
    "applications",
    metadata,
    Column("application_id", String(64), primary_key=True),
    Column("click_id", String(64), nullable=False),
    Column("institution_id", String(96), nullable=False),
    Column("state", String(16), nullable=False),
    Column("reached", JSON, nullable=False),  # [[stage, µs, minor or null], …]
    Column("reversals", JSON, nullable=False),  # [[stage, reached µs, reversed µs, minor], …]
    Column("refused_at", BigInteger),
    Column("refused_stage", String(16)),
    Column("changed_at", BigInteger, nullable=False),
    Column("unsettled", Boolean, nullable=False),
)
Index("ix_applications_unsettled", applications.c.unsettled, applications.c.application_id)
Index("ix_applications_institution_id", applications.c.institution_id, applications.c.state)

reports = Table(
    "reports",
    metadata,
    Column("institution_id", String(96), primary_key=True),
    Column("report_id", String(128), primary_key=True),
    Column("body_digest", String(32), nullable=False),
    Column("click_id", String(64), nullable=False),
    Column("stage", String(16), nullable=False),
    Column("polarity", String(16), nullable=False),
    Column("occurred_at", BigInteger, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("amount_minor", BigInteger),
    Column("currency", String(3)),
    Column("corrects", String(128)),
    Column("sequence", BigInteger, nullable=False),
    Column("refusal_code", String(64)),
)
Index("ix_reports_click_id", reports.c.click_id)

report_rejects = Table(
    "report_rejects",
    metadata,
    Column("reject_id", String(64), primary_key=True),
    Column("institution_id", String(96), nullable=False),
    Column("report_id", String(128), nullable=False),
    Column("code", String(64), nullable=False),
    Column("field", String(64), nullable=False),
    Column("numbers", JSON, nullable=False),
    Column("body", JSON, nullable=False),
    Column("status", String(16), nullable=False),  # open, accepted
    Column("received_at", BigInteger, nullable=False),
    Column("replayed_at", BigInteger),
)
Index("ix_report_rejects_status", report_rejects.c.status, report_rejects.c.institution_id)

outcome_outbox = Table(
    "outcome_outbox",
    metadata,
    Column("outcome_id", String(64), primary_key=True),
    Column("trace_id", String(64), nullable=False),
    Column("position", Integer, nullable=False),
    Column("click_id", String(64), nullable=False),
    Column("application_id", String(64)),
    Column("customer_id", String(64), nullable=False),
    Column("product_id", String(96), nullable=False),
    Column("institution_id", String(96), nullable=False),
    Column("stage", String(16), nullable=False),
    Column("polarity", String(16), nullable=False),
    Column("occurred_at", BigInteger, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("amount_minor", BigInteger),
    Column("corrects", String(64)),
    Column("sequence", BigInteger, nullable=False),
    Column("sent_at", BigInteger),
)
Index("ix_outcome_outbox_sent_at", outcome_outbox.c.sent_at, outcome_outbox.c.outcome_id)

late_reports = Table(
    "late_reports",
    metadata,
    Column("institution_id", String(96), primary_key=True),  # "": all of them together
    Column("at_risk", JSON, nullable=False),  # clicks nobody had reported on, by age
    Column("reported", JSON, nullable=False),  # of them, reported before the next age
    Column("as_of_at", BigInteger, nullable=False),
)
