"""Records tables of the topic: customers, their identifiers, merges, consent, and the audit.

The lake knows a subject by a random id only; what leads from a person to that id lies here, and
here alone it is destroyed.
"""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, Index, LargeBinary, String, Table, Text

from jinqiao.store.schema._metadata import metadata

__all__ = [
    "audit",
    "consent_texts",
    "consents",
    "customer_merges",
    "identifiers",
    "subject_keys",
    "subjects",
]

subjects = Table(
    "subjects",
    metadata,
    Column("subject_id", String(64), primary_key=True),
    Column("created_at", BigInteger, nullable=False),
    Column("erased_at", BigInteger),
)

subject_keys = Table(
    "subject_keys",
    metadata,
    Column("subject_id", String(64), primary_key=True),
    Column("wrapped_key", LargeBinary, nullable=False),
)

identifiers = Table(
    "identifiers",
    metadata,
    Column("identifier_digest", String(64), primary_key=True),
    Column("subject_id", String(64), primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("sealed_value", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)
Index("ix_identifiers_subject_id", identifiers.c.subject_id)

customer_merges = Table(
    "customer_merges",
    metadata,
    Column("merge_id", String(64), primary_key=True),
    Column("subject_id", String(64), nullable=False),
    Column("other_subject_id", String(64), nullable=False),
    Column("evidence", String(96), nullable=False),  # manual, or the digest of the shared key
    Column("actor", String(128), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("undone_at", BigInteger),
    Column("undone_by", String(128)),
)
Index("ix_customer_merges_subject_id", customer_merges.c.subject_id)
Index("ix_customer_merges_other_subject_id", customer_merges.c.other_subject_id)

consent_texts = Table(
    "consent_texts",
    metadata,
    Column("version", String(64), primary_key=True),
    Column("purpose", String(32), nullable=False),
    Column("zh", Text, nullable=False),
    Column("en", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

consents = Table(
    "consents",
    metadata,
    Column("consent_id", String(64), primary_key=True),
    Column("subject_id", String(64), nullable=False),
    Column("purpose", String(32), nullable=False),
    Column("action", String(16), nullable=False),
    Column("text_version", String(64), nullable=False),
    Column("text_digest", String(64), nullable=False),
    Column("occurred_at", BigInteger, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("channel", String(32), nullable=False),
    Column("scope", String(128), nullable=False),
    Column("expires_at", BigInteger),
)
Index("ix_consents_subject_id", consents.c.subject_id)
Index("ix_consents_received_at", consents.c.received_at)
Index("ix_consents_expires_at", consents.c.expires_at)

audit = Table(
    "audit",
    metadata,
    Column("audit_id", String(64), primary_key=True),
    Column("recorded_at", BigInteger, nullable=False),
    Column("actor", String(128), nullable=False),
    Column("action", String(64), nullable=False),
    Column("record_id", String(128), nullable=False),
    Column("details", JSON, nullable=False),
)
Index("ix_audit_record_id", audit.c.record_id)
