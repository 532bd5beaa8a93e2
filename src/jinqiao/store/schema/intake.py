"""Records tables of the topic: intake batches, and the rows that were refused.

The body of a refused row lies sealed under ``rejects/``; here is where to find it and why.
"""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, Index, String, Table, Text

from jinqiao.store.schema._metadata import metadata

__all__ = ["intake_batches", "intake_rejects"]

intake_batches = Table(
    "intake_batches",
    metadata,
    Column("batch_id", String(96), primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("source", String(256), nullable=False),
    Column("received", BigInteger, nullable=False),
    Column("accepted", BigInteger, nullable=False),
    Column("rejected", BigInteger, nullable=False),
    Column("duplicate", BigInteger, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),  # writing: decided, the lake may lack it; done
)

intake_rejects = Table(
    "intake_rejects",
    metadata,
    Column("reject_id", String(64), primary_key=True),
    Column("batch_id", String(96), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("source", String(256), nullable=False),
    Column("row_number", BigInteger, nullable=False),
    Column("record_key", String(256), nullable=False),
    Column("code", String(64), nullable=False),
    Column("field", String(64), nullable=False),
    Column("numbers", JSON, nullable=False),
    Column("note", Text, nullable=False),
    Column("owner_digest", String(64)),  # whose row it was, when the row says; erasure finds it
    Column("body_file", String(256), nullable=False),
    Column("body_offset", BigInteger, nullable=False),
    Column("body_length", BigInteger, nullable=False),
    Column("status", String(16), nullable=False),  # open, replayed, refused_again, erased
    Column("received_at", BigInteger, nullable=False),
    Column("replayed_at", BigInteger),
)
Index("ix_intake_rejects_status", intake_rejects.c.status)
Index("ix_intake_rejects_owner_digest", intake_rejects.c.owner_digest)
