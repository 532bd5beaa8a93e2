"""Records tables of the topic: versions of institution files, stopped products, units of limits.

A version row never changes. A counter is the sum of its units, kept beside them so that one row
answers what is left; ``conserved`` of the catalog room says that the two agree.
"""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Boolean, Column, Index, Integer, String, Table, Text

from jinqiao.store.schema._metadata import metadata

__all__ = [
    "catalog_products",
    "institution_versions",
    "limit_counters",
    "limit_units",
    "product_stops",
]

institution_versions = Table(
    "institution_versions",
    metadata,
    Column("institution_id", String(96), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("valid_from_at", BigInteger, nullable=False),
    Column("author", String(128), nullable=False),
    Column("file", String(256), nullable=False),
    Column("digest", String(64), nullable=False),  # SHA-256 of the text
    Column("text", Text, nullable=False),  # the file as it was; "" when withdrawn
    Column("diff", Text, nullable=False),  # unified, from the version before
    Column("record", JSON, nullable=False),  # the same as plain values
    Column("withdrawn", Boolean, nullable=False),
)

catalog_products = Table(
    "catalog_products",
    metadata,
    Column("product_id", String(96), primary_key=True),
    Column("institution_id", String(96), nullable=False),  # for ever: a click names it
)

product_stops = Table(
    "product_stops",
    metadata,
    Column("product_id", String(96), primary_key=True),
    Column("sequence", Integer, primary_key=True),
    Column("stopped", Boolean, nullable=False),
    Column("actor", String(128), nullable=False),
    Column("changed_at", BigInteger, nullable=False),
)

limit_counters = Table(
    "limit_counters",
    metadata,
    Column("limit_id", String(320), primary_key=True),  # scope:owner:measure:stage:period
    Column("period_key", String(16), primary_key=True),
    Column("at_most", BigInteger, nullable=False),  # as of the latest reservation
    Column("reserved", BigInteger, nullable=False),
    Column("posted", BigInteger, nullable=False),
    Column("over", BigInteger, nullable=False),  # reported and not covered: never counted in
    Column("waiting", JSON, nullable=False),  # expired holds: [[stretch, holds, held], …]
)

limit_units = Table(
    "limit_units",
    metadata,
    Column("click_id", String(64), primary_key=True),
    Column("limit_id", String(320), primary_key=True),
    Column("period_key", String(16), nullable=False),
    Column("institution_id", String(96), nullable=False),
    Column("product_id", String(96), nullable=False),
    Column("measure", String(8), nullable=False),  # count, money
    Column("stage", String(16), nullable=False),  # whose report posts it
    Column("state", String(16), nullable=False),  # reserved, posted, void, expired, refused
    Column("held", BigInteger, nullable=False),  # units, or minor units of payout, if reserved
    Column("posted", BigInteger, nullable=False),
    Column("over", BigInteger, nullable=False),
    Column("full", BigInteger, nullable=False),  # what is posted when the report names no money
    Column("rate_bps", Integer),  # of the money reported, for a payout that is a share
    Column("reserved_at", BigInteger),  # null: refused at click-out
    Column("expires_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
)
Index("ix_limit_units_state", limit_units.c.state, limit_units.c.expires_at)
Index("ix_limit_units_limit_id", limit_units.c.limit_id, limit_units.c.period_key)
