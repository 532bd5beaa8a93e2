"""The records as first released."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "access_keys",
        sa.Column("key_id", sa.String(length=64), nullable=False),
        sa.Column("secret_digest", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("institution_id", sa.String(length=96), nullable=True),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("label", sa.String(length=128), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("key_id"),
    )
    op.create_index(
        "ix_access_keys_institution_id", "access_keys", ["institution_id"], unique=False
    )
    op.create_table(
        "applications",
        sa.Column("application_id", sa.String(length=64), nullable=False),
        sa.Column("click_id", sa.String(length=64), nullable=False),
        sa.Column("institution_id", sa.String(length=96), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reached", sa.JSON(), nullable=False),
        sa.Column("reversals", sa.JSON(), nullable=False),
        sa.Column("refused_at", sa.BigInteger(), nullable=True),
        sa.Column("refused_stage", sa.String(length=16), nullable=True),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("unsettled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("application_id"),
    )
    op.create_index(
        "ix_applications_institution_id", "applications", ["institution_id", "state"], unique=False
    )
    op.create_index(
        "ix_applications_unsettled", "applications", ["unsettled", "application_id"], unique=False
    )
    op.create_table(
        "audit",
        sa.Column("audit_id", sa.String(length=64), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("record_id", sa.String(length=128), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("audit_id"),
    )
    op.create_index("ix_audit_record_id", "audit", ["record_id"], unique=False)
    op.create_table(
        "catalog_products",
        sa.Column("product_id", sa.String(length=96), nullable=False),
        sa.Column("institution_id", sa.String(length=96), nullable=False),
        sa.PrimaryKeyConstraint("product_id"),
    )
    op.create_table(
        "clicks",
        sa.Column("click_id", sa.String(length=64), nullable=False),
        sa.Column("application_id", sa.String(length=64), nullable=False),
        sa.Column("trace_id", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("product_id", sa.String(length=96), nullable=False),
        sa.Column("product_class", sa.String(length=32), nullable=False),
        sa.Column("institution_id", sa.String(length=96), nullable=False),
        sa.Column("branch_id", sa.String(length=96), nullable=True),
        sa.Column("product_version", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.String(length=64), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("expected_payout_minor", sa.BigInteger(), nullable=False),
        sa.Column("clicked_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("reserved", sa.Boolean(), nullable=False),
        sa.Column("expired_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("click_id"),
    )
    op.create_index("ix_clicks_application_id", "clicks", ["application_id"], unique=True)
    op.create_index("ix_clicks_customer_id", "clicks", ["customer_id", "clicked_at"], unique=False)
    op.create_index(
        "ix_clicks_due", "clicks", ["reserved", "expired_at", "expires_at"], unique=False
    )
    op.create_index(
        "ix_clicks_institution_id", "clicks", ["institution_id", "clicked_at"], unique=False
    )
    op.create_index("ix_clicks_trace_id", "clicks", ["trace_id", "position"], unique=True)
    op.create_table(
        "closes",
        sa.Column("close_number", sa.BigInteger(), nullable=False),
        sa.Column("as_of_at", sa.BigInteger(), nullable=False),
        sa.Column("applications", sa.BigInteger(), nullable=False),
        sa.Column("transfers", sa.BigInteger(), nullable=False),
        sa.Column("exceptions", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("close_number"),
    )
    op.create_table(
        "consent_texts",
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("purpose", sa.String(length=32), nullable=False),
        sa.Column("zh", sa.Text(), nullable=False),
        sa.Column("en", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("version"),
    )
    op.create_table(
        "consents",
        sa.Column("consent_id", sa.String(length=64), nullable=False),
        sa.Column("subject_id", sa.String(length=64), nullable=False),
        sa.Column("purpose", sa.String(length=32), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("text_version", sa.String(length=64), nullable=False),
        sa.Column("text_digest", sa.String(length=64), nullable=False),
        sa.Column("occurred_at", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("channel", sa.String(length=32), nullable=False),
        sa.Column("scope", sa.String(length=128), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("consent_id"),
    )
    op.create_index("ix_consents_expires_at", "consents", ["expires_at"], unique=False)
    op.create_index("ix_consents_received_at", "consents", ["received_at"], unique=False)
    op.create_index("ix_consents_subject_id", "consents", ["subject_id"], unique=False)
    op.create_table(
        "content_approvals",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("institution_id", sa.String(length=96), nullable=False),
        sa.Column("content_id", sa.String(length=96), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("approved_at", sa.BigInteger(), nullable=False),
        sa.Column("withdrawn_at", sa.BigInteger(), nullable=True),
        sa.Column("withdrawn_by", sa.String(length=128), nullable=True),
        sa.PrimaryKeyConstraint("digest", "institution_id"),
    )
    op.create_index(
        "ix_content_approvals_content_id", "content_approvals", ["content_id"], unique=False
    )
    op.create_table(
        "customer_merges",
        sa.Column("merge_id", sa.String(length=64), nullable=False),
        sa.Column("subject_id", sa.String(length=64), nullable=False),
        sa.Column("other_subject_id", sa.String(length=64), nullable=False),
        sa.Column("evidence", sa.String(length=96), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("undone_at", sa.BigInteger(), nullable=True),
        sa.Column("undone_by", sa.String(length=128), nullable=True),
        sa.PrimaryKeyConstraint("merge_id"),
    )
    op.create_index(
        "ix_customer_merges_other_subject_id", "customer_merges", ["other_subject_id"], unique=False
    )
    op.create_index(
        "ix_customer_merges_subject_id", "customer_merges", ["subject_id"], unique=False
    )
    op.create_table(
        "identifiers",
        sa.Column("identifier_digest", sa.String(length=64), nullable=False),
        sa.Column("subject_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("sealed_value", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("identifier_digest", "subject_id"),
    )
    op.create_index("ix_identifiers_subject_id", "identifiers", ["subject_id"], unique=False)
    op.create_table(
        "institution_versions",
        sa.Column("institution_id", sa.String(length=96), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("valid_from_at", sa.BigInteger(), nullable=False),
        sa.Column("author", sa.String(length=128), nullable=False),
        sa.Column("file", sa.String(length=256), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("diff", sa.Text(), nullable=False),
        sa.Column("record", sa.JSON(), nullable=False),
        sa.Column("withdrawn", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("institution_id", "version"),
    )
    op.create_table(
        "intake_batches",
        sa.Column("batch_id", sa.String(length=96), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("source", sa.String(length=256), nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("accepted", sa.BigInteger(), nullable=False),
        sa.Column("rejected", sa.BigInteger(), nullable=False),
        sa.Column("duplicate", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("batch_id"),
    )
    op.create_table(
        "intake_rejects",
        sa.Column("reject_id", sa.String(length=64), nullable=False),
        sa.Column("batch_id", sa.String(length=96), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("source", sa.String(length=256), nullable=False),
        sa.Column("row_number", sa.BigInteger(), nullable=False),
        sa.Column("record_key", sa.String(length=256), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("field", sa.String(length=64), nullable=False),
        sa.Column("numbers", sa.JSON(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("owner_digest", sa.String(length=64), nullable=True),
        sa.Column("body_file", sa.String(length=256), nullable=False),
        sa.Column("body_offset", sa.BigInteger(), nullable=False),
        sa.Column("body_length", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("replayed_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("reject_id"),
    )
    op.create_index(
        "ix_intake_rejects_owner_digest", "intake_rejects", ["owner_digest"], unique=False
    )
    op.create_index("ix_intake_rejects_status", "intake_rejects", ["status"], unique=False)
    op.create_table(
        "journal_entries",
        sa.Column("transfer_id", sa.String(length=64), nullable=False),
        sa.Column("side", sa.String(length=8), nullable=False),
        sa.Column("account", sa.String(length=160), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("close_number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("transfer_id", "side"),
    )
    op.create_index("ix_journal_entries_account", "journal_entries", ["account"], unique=False)
    op.create_index(
        "ix_journal_entries_close_number", "journal_entries", ["close_number"], unique=False
    )
    op.create_table(
        "kept_answers",
        sa.Column("principal", sa.String(length=160), nullable=False),
        sa.Column("idempotency_key", sa.String(length=128), nullable=False),
        sa.Column("request_digest", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("principal", "idempotency_key"),
    )
    op.create_index("ix_kept_answers_expires_at", "kept_answers", ["expires_at"], unique=False)
    op.create_table(
        "late_reports",
        sa.Column("institution_id", sa.String(length=96), nullable=False),
        sa.Column("at_risk", sa.JSON(), nullable=False),
        sa.Column("reported", sa.JSON(), nullable=False),
        sa.Column("as_of_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("institution_id"),
    )
    op.create_table(
        "limit_counters",
        sa.Column("limit_id", sa.String(length=320), nullable=False),
        sa.Column("period_key", sa.String(length=16), nullable=False),
        sa.Column("at_most", sa.BigInteger(), nullable=False),
        sa.Column("reserved", sa.BigInteger(), nullable=False),
        sa.Column("posted", sa.BigInteger(), nullable=False),
        sa.Column("over", sa.BigInteger(), nullable=False),
        sa.Column("waiting", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("limit_id", "period_key"),
    )
    op.create_table(
        "limit_units",
        sa.Column("click_id", sa.String(length=64), nullable=False),
        sa.Column("limit_id", sa.String(length=320), nullable=False),
        sa.Column("period_key", sa.String(length=16), nullable=False),
        sa.Column("institution_id", sa.String(length=96), nullable=False),
        sa.Column("product_id", sa.String(length=96), nullable=False),
        sa.Column("measure", sa.String(length=8), nullable=False),
        sa.Column("stage", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column("posted", sa.BigInteger(), nullable=False),
        sa.Column("over", sa.BigInteger(), nullable=False),
        sa.Column("full", sa.BigInteger(), nullable=False),
        sa.Column("rate_bps", sa.Integer(), nullable=True),
        sa.Column("reserved_at", sa.BigInteger(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("click_id", "limit_id"),
    )
    op.create_index(
        "ix_limit_units_limit_id", "limit_units", ["limit_id", "period_key"], unique=False
    )
    op.create_index("ix_limit_units_state", "limit_units", ["state", "expires_at"], unique=False)
    op.create_table(
        "outcome_outbox",
        sa.Column("outcome_id", sa.String(length=64), nullable=False),
        sa.Column("trace_id", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("click_id", sa.String(length=64), nullable=False),
        sa.Column("application_id", sa.String(length=64), nullable=True),
        sa.Column("customer_id", sa.String(length=64), nullable=False),
        sa.Column("product_id", sa.String(length=96), nullable=False),
        sa.Column("institution_id", sa.String(length=96), nullable=False),
        sa.Column("stage", sa.String(length=16), nullable=False),
        sa.Column("polarity", sa.String(length=16), nullable=False),
        sa.Column("occurred_at", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=True),
        sa.Column("corrects", sa.String(length=64), nullable=True),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("outcome_id"),
    )
    op.create_index(
        "ix_outcome_outbox_sent_at", "outcome_outbox", ["sent_at", "outcome_id"], unique=False
    )
    op.create_table(
        "payables",
        sa.Column("application_id", sa.String(length=64), nullable=False),
        sa.Column("component", sa.String(length=16), nullable=False),
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("institution_id", sa.String(length=96), nullable=False),
        sa.Column("product_id", sa.String(length=96), nullable=False),
        sa.Column("product_version", sa.BigInteger(), nullable=False),
        sa.Column("stage", sa.String(length=16), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("occurred_at", sa.BigInteger(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=True),
        sa.Column("standing", sa.Boolean(), nullable=False),
        sa.Column("tiered", sa.Boolean(), nullable=False),
        sa.Column("clawed_month", sa.String(length=7), nullable=True),
        sa.Column("posted_minor", sa.BigInteger(), nullable=False),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.Column("last_transfer_id", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("application_id", "component", "month"),
    )
    op.create_index(
        "ix_payables_product_id", "payables", ["product_id", "month", "component"], unique=False
    )
    op.create_table(
        "product_stops",
        sa.Column("product_id", sa.String(length=96), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("stopped", sa.Boolean(), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("product_id", "sequence"),
    )
    op.create_table(
        "report_rejects",
        sa.Column("reject_id", sa.String(length=64), nullable=False),
        sa.Column("institution_id", sa.String(length=96), nullable=False),
        sa.Column("report_id", sa.String(length=128), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("field", sa.String(length=64), nullable=False),
        sa.Column("numbers", sa.JSON(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("replayed_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("reject_id"),
    )
    op.create_index(
        "ix_report_rejects_status", "report_rejects", ["status", "institution_id"], unique=False
    )
    op.create_table(
        "reports",
        sa.Column("institution_id", sa.String(length=96), nullable=False),
        sa.Column("report_id", sa.String(length=128), nullable=False),
        sa.Column("body_digest", sa.String(length=32), nullable=False),
        sa.Column("click_id", sa.String(length=64), nullable=False),
        sa.Column("stage", sa.String(length=16), nullable=False),
        sa.Column("polarity", sa.String(length=16), nullable=False),
        sa.Column("occurred_at", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=True),
        sa.Column("corrects", sa.String(length=128), nullable=True),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("refusal_code", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("institution_id", "report_id"),
    )
    op.create_index("ix_reports_click_id", "reports", ["click_id"], unique=False)
    op.create_table(
        "statements",
        sa.Column("statement_id", sa.String(length=64), nullable=False),
        sa.Column("institution_id", sa.String(length=96), nullable=False),
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("total_minor", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("last_close", sa.BigInteger(), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("statement_id"),
    )
    op.create_index(
        "ix_statements_institution_id", "statements", ["institution_id", "month"], unique=False
    )
    op.create_table(
        "subject_keys",
        sa.Column("subject_id", sa.String(length=64), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("subject_id"),
    )
    op.create_table(
        "subjects",
        sa.Column("subject_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("erased_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("subject_id"),
    )
    op.create_table(
        "tags",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("zh", sa.String(length=128), nullable=False),
        sa.Column("en", sa.String(length=128), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("author", sa.String(length=128), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("retired_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("name", "version"),
    )
    op.create_table(
        "transfers",
        sa.Column("transfer_id", sa.String(length=64), nullable=False),
        sa.Column("close_number", sa.BigInteger(), nullable=False),
        sa.Column("debit_account", sa.String(length=160), nullable=False),
        sa.Column("credit_account", sa.String(length=160), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("occurred_at", sa.BigInteger(), nullable=False),
        sa.Column("institution_id", sa.String(length=96), nullable=False),
        sa.Column("product_id", sa.String(length=96), nullable=False),
        sa.Column("product_version", sa.BigInteger(), nullable=False),
        sa.Column("application_id", sa.String(length=64), nullable=False),
        sa.Column("stage", sa.String(length=16), nullable=False),
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("reason", sa.String(length=24), nullable=False),
        sa.Column("corrects", sa.String(length=64), nullable=True),
        sa.Column("posted_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("transfer_id"),
    )
    op.create_index("ix_transfers_application_id", "transfers", ["application_id"], unique=False)
    op.create_index(
        "ix_transfers_institution_id", "transfers", ["institution_id", "month"], unique=False
    )
    op.create_table(
        "webhook_secrets",
        sa.Column("secret_id", sa.String(length=64), nullable=False),
        sa.Column("institution_id", sa.String(length=96), nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("secret_id"),
    )
    op.create_index(
        "ix_webhook_secrets_institution_id", "webhook_secrets", ["institution_id"], unique=False
    )


def downgrade() -> None:
    op.drop_index("ix_webhook_secrets_institution_id", table_name="webhook_secrets")
    op.drop_table("webhook_secrets")
    op.drop_index("ix_transfers_institution_id", table_name="transfers")
    op.drop_index("ix_transfers_application_id", table_name="transfers")
    op.drop_table("transfers")
    op.drop_table("tags")
    op.drop_table("subjects")
    op.drop_table("subject_keys")
    op.drop_index("ix_statements_institution_id", table_name="statements")
    op.drop_table("statements")
    op.drop_index("ix_reports_click_id", table_name="reports")
    op.drop_table("reports")
    op.drop_index("ix_report_rejects_status", table_name="report_rejects")
    op.drop_table("report_rejects")
    op.drop_table("product_stops")
    op.drop_index("ix_payables_product_id", table_name="payables")
    op.drop_table("payables")
    op.drop_index("ix_outcome_outbox_sent_at", table_name="outcome_outbox")
    op.drop_table("outcome_outbox")
    op.drop_index("ix_limit_units_state", table_name="limit_units")
    op.drop_index("ix_limit_units_limit_id", table_name="limit_units")
    op.drop_table("limit_units")
    op.drop_table("limit_counters")
    op.drop_table("late_reports")
    op.drop_index("ix_kept_answers_expires_at", table_name="kept_answers")
    op.drop_table("kept_answers")
    op.drop_index("ix_journal_entries_close_number", table_name="journal_entries")
    op.drop_index("ix_journal_entries_account", table_name="journal_entries")
    op.drop_table("journal_entries")
    op.drop_index("ix_intake_rejects_status", table_name="intake_rejects")
    op.drop_index("ix_intake_rejects_owner_digest", table_name="intake_rejects")
    op.drop_table("intake_rejects")
    op.drop_table("intake_batches")
    op.drop_table("institution_versions")
    op.drop_index("ix_identifiers_subject_id", table_name="identifiers")
    op.drop_table("identifiers")
    op.drop_index("ix_customer_merges_subject_id", table_name="customer_merges")
    op.drop_index("ix_customer_merges_other_subject_id", table_name="customer_merges")
    op.drop_table("customer_merges")
    op.drop_index("ix_content_approvals_content_id", table_name="content_approvals")
    op.drop_table("content_approvals")
    op.drop_index("ix_consents_subject_id", table_name="consents")
    op.drop_index("ix_consents_received_at", table_name="consents")
    op.drop_index("ix_consents_expires_at", table_name="consents")
    op.drop_table("consents")
    op.drop_table("consent_texts")
    op.drop_table("closes")
    op.drop_index("ix_clicks_trace_id", table_name="clicks")
    op.drop_index("ix_clicks_institution_id", table_name="clicks")
    op.drop_index("ix_clicks_due", table_name="clicks")
    op.drop_index("ix_clicks_customer_id", table_name="clicks")
    op.drop_index("ix_clicks_application_id", table_name="clicks")
    op.drop_table("clicks")
    op.drop_table("catalog_products")
    op.drop_index("ix_audit_record_id", table_name="audit")
    op.drop_table("audit")
    op.drop_index("ix_applications_unsettled", table_name="applications")
    op.drop_index("ix_applications_institution_id", table_name="applications")
    op.drop_table("applications")
    op.drop_index("ix_access_keys_institution_id", table_name="access_keys")
    op.drop_table("access_keys")
