"""Records tables of the topic: experiments, and what was found of each.

An experiment's row is written once, when it starts; afterwards only its three ``stopped_`` columns
are filled, once. Results are added, never changed: the newest of an experiment is its last.
"""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, Index, String, Table, Text

from jinqiao.store.schema._metadata import metadata

__all__ = ["experiment_results", "experiments"]

experiments = Table(
    "experiments",
    metadata,
    Column("experiment_id", String(64), primary_key=True),
    Column("name", String(128), nullable=False),
    Column("hypothesis", Text, nullable=False),
    Column("unit", String(16), nullable=False),  # customer, session
    Column("metrics", JSON, nullable=False),  # the first decides
    Column("arms", JSON, nullable=False),  # [{name, share, changes}, …], the first is the control
    Column("salt", String(64), nullable=False),
    Column("holdout", JSON, nullable=False),  # a share
    Column("layer", String(64), nullable=False),
    Column("slice", JSON, nullable=False),  # [from, to) of the layer's people, shares
    Column("guardrails", JSON, nullable=False),
    Column("versions", JSON, nullable=False),  # what was served when it began
    Column("started_at", BigInteger, nullable=False),
    Column("started_by", String(128), nullable=False),
    Column("stopped_at", BigInteger),
    Column("stopped_by", String(128)),
    Column("stopped_why", Text),
)
Index("ix_experiments_stopped_at", experiments.c.stopped_at)

experiment_results = Table(
    "experiment_results",
    metadata,
    Column("experiment_id", String(64), primary_key=True),
    Column("as_of_at", BigInteger, primary_key=True),
    Column("result", JSON, nullable=False),
)
