"""Records tables of the topic: keys, webhook secrets, token clients, answers kept for retries.

A key or client secret lies here only as a keyed digest. A webhook secret must be read back to
check a signature, so it lies sealed.
"""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, Index, Integer, LargeBinary, String, Table

from jinqiao.store.schema._metadata import metadata

__all__ = ["access_keys", "kept_answers", "webhook_secrets"]

access_keys = Table(
    "access_keys",
    metadata,
    Column("key_id", String(64), primary_key=True),
    Column("secret_digest", String(64), nullable=False),
    Column("role", String(16), nullable=False),  # publishable, operator, institution
    Column("institution_id", String(96)),
    Column("scopes", JSON, nullable=False),
    Column("label", String(128), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
)
Index("ix_access_keys_institution_id", access_keys.c.institution_id)

webhook_secrets = Table(
    "webhook_secrets",
    metadata,
    Column("secret_id", String(64), primary_key=True),
    Column("institution_id", String(96), nullable=False),
    Column("sealed_secret", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
)
Index("ix_webhook_secrets_institution_id", webhook_secrets.c.institution_id)

kept_answers = Table(
    "kept_answers",
    metadata,
    Column("principal", String(160), primary_key=True),
    Column("idempotency_key", String(128), primary_key=True),
    Column("request_digest", String(64), nullable=False),
    Column("status", Integer, nullable=False),
    Column("body", JSON, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)
Index("ix_kept_answers_expires_at", kept_answers.c.expires_at)
