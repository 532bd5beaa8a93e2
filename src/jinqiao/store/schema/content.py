"""Records tables of the topic: which exact texts an institution approved."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, String, Table

from jinqiao.store.schema._metadata import metadata

__all__ = ["content_approvals"]

content_approvals = Table(
    "content_approvals",
    metadata,
    Column("digest", String(64), primary_key=True),  # SHA-256 of the exact text
    Column("institution_id", String(96), primary_key=True),
    Column("content_id", String(96), nullable=False),
    Column("actor", String(128), nullable=False),
    Column("approved_at", BigInteger, nullable=False),
    Column("withdrawn_at", BigInteger),
    Column("withdrawn_by", String(128)),
)
Index("ix_content_approvals_content_id", content_approvals.c.content_id)
