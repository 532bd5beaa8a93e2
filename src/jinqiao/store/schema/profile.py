"""Records tables of the topic: tags and audiences as saved rules, one row a version."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, String, Table, Text

from jinqiao.store.schema._metadata import metadata

__all__ = ["tags"]

tags = Table(
    "tags",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("kind", String(16), nullable=False),  # tag, audience
    Column("zh", String(128), nullable=False),
    Column("en", String(128), nullable=False),
    Column("rule", Text, nullable=False),
    Column("author", String(128), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("retired_at", BigInteger),
)
