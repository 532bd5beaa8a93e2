"""Records tables of the topic: models that were trained, and every decision about them.

A model's row is written once; afterwards only ``status`` and ``former_id`` change, each time with a
line of decisions. Its files lie in the workspace under the same id, with checksums.
"""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Boolean, Column, Index, String, Table, Text

from jinqiao.store.schema._metadata import metadata

__all__ = ["model_decisions", "models"]

models = Table(
    "models",
    metadata,
    Column("model_id", String(64), primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("status", String(16), nullable=False),  # domain.ModelStatus
    Column("purpose", String(32), nullable=False),
    Column("trained_as_of_at", BigInteger, nullable=False),
    Column("data_sha256", String(64), nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("code_version", String(64), nullable=False),
    Column("dictionary_version", String(64), nullable=False),
    Column("files_sha256", String(64), nullable=False),
    Column("card", JSON, nullable=False),
    Column("parent_id", String(64)),
    Column("former_id", String(64)),
    Column("registered_at", BigInteger, nullable=False),
    Column("registered_by", String(128), nullable=False),
)
Index("ix_models_status", models.c.kind, models.c.status)

model_decisions = Table(
    "model_decisions",
    metadata,
    Column("kind", String(32), primary_key=True),
    Column("number", BigInteger, primary_key=True),  # 1, 2, … within the kind
    Column("model_id", String(64), nullable=False),
    Column("action", String(16), nullable=False),  # domain.ModelAction
    Column("actor", String(128), nullable=False),
    Column("decided_at", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("forced", Boolean, nullable=False),
    Column("other_id", String(64)),
    Column("comparison", JSON, nullable=False),
)
Index("ix_model_decisions_model_id", model_decisions.c.model_id)
