"""Records tables of the topic: what is payable, the double-entry journal, closes and statements.

Nothing in ``transfers`` and ``journal_entries`` is ever changed: a correction is a new transfer.
``payables`` is what the journal says of each application so far: a close posts a difference.
"""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Boolean, Column, Index, String, Table

from jinqiao.store.schema._metadata import metadata

__all__ = ["closes", "journal_entries", "payables", "statements", "transfers"]

closes = Table(
    "closes",
    metadata,
    Column("close_number", BigInteger, primary_key=True),
    Column("as_of_at", BigInteger, nullable=False),
    Column("applications", BigInteger, nullable=False),
    Column("transfers", BigInteger, nullable=False),
    Column("exceptions", JSON, nullable=False),
)

payables = Table(
    "payables",
    metadata,
    Column("application_id", String(64), primary_key=True),
    Column("component", String(16), primary_key=True),  # payout, clawback
    Column("month", String(7), primary_key=True),
    Column("institution_id", String(96), nullable=False),
    Column("product_id", String(96), nullable=False),
    Column("product_version", BigInteger, nullable=False),
    Column("stage", String(16), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("zone", String(64), nullable=False),  # whose months and days count
    Column("occurred_at", BigInteger, nullable=False),
    Column("amount_minor", BigInteger),  # what a share is taken of
    Column("standing", Boolean, nullable=False),
    Column("tiered", Boolean, nullable=False),
    Column("clawed_month", String(7)),  # of a payout: the month of its clawback
    Column("posted_minor", BigInteger, nullable=False),
    Column("entries", BigInteger, nullable=False),
    Column("last_transfer_id", String(64)),
)
Index("ix_payables_product_id", payables.c.product_id, payables.c.month, payables.c.component)

transfers = Table(
    "transfers",
    metadata,
    Column("transfer_id", String(64), primary_key=True),
    Column("close_number", BigInteger, nullable=False),
    Column("debit_account", String(160), nullable=False),
    Column("credit_account", String(160), nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("zone", String(64), nullable=False),  # whose months and days count
    Column("occurred_at", BigInteger, nullable=False),
    Column("institution_id", String(96), nullable=False),
    Column("product_id", String(96), nullable=False),
    Column("product_version", BigInteger, nullable=False),
    Column("application_id", String(64), nullable=False),
    Column("stage", String(16), nullable=False),
    Column("month", String(7), nullable=False),
    Column("reason", String(24), nullable=False),
    Column("corrects", String(64)),
    Column("posted_at", BigInteger, nullable=False),
)
Index("ix_transfers_institution_id", transfers.c.institution_id, transfers.c.month)
Index("ix_transfers_application_id", transfers.c.application_id)

journal_entries = Table(
    "journal_entries",
    metadata,
    Column("transfer_id", String(64), primary_key=True),
    Column("side", String(8), primary_key=True),  # debit, credit
    Column("account", String(160), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("amount_minor", BigInteger, nullable=False),  # + debit, − credit
    Column("close_number", BigInteger, nullable=False),
)
Index("ix_journal_entries_account", journal_entries.c.account)
Index("ix_journal_entries_close_number", journal_entries.c.close_number)

statements = Table(
    "statements",
    metadata,
    Column("statement_id", String(64), primary_key=True),
    Column("institution_id", String(96), nullable=False),
    Column("month", String(7), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("total_minor", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("last_close", BigInteger, nullable=False),
    Column("issued_at", BigInteger, nullable=False),
)
Index("ix_statements_institution_id", statements.c.institution_id, statements.c.month)
