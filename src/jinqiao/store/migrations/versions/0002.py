"""Experiments and what was found of each."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "experiment_results",
        sa.Column("experiment_id", sa.String(length=64), nullable=False),
        sa.Column("as_of_at", sa.BigInteger(), nullable=False),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("experiment_id", "as_of_at"),
    )
    op.create_table(
        "experiments",
        sa.Column("experiment_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("hypothesis", sa.Text(), nullable=False),
        sa.Column("unit", sa.String(length=16), nullable=False),
        sa.Column("metrics", sa.JSON(), nullable=False),
        sa.Column("arms", sa.JSON(), nullable=False),
        sa.Column("salt", sa.String(length=64), nullable=False),
        sa.Column("holdout", sa.JSON(), nullable=False),
        sa.Column("layer", sa.String(length=64), nullable=False),
        sa.Column("slice", sa.JSON(), nullable=False),
        sa.Column("guardrails", sa.JSON(), nullable=False),
        sa.Column("versions", sa.JSON(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("started_by", sa.String(length=128), nullable=False),
        sa.Column("stopped_at", sa.BigInteger(), nullable=True),
        sa.Column("stopped_by", sa.String(length=128), nullable=True),
        sa.Column("stopped_why", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("experiment_id"),
    )
    op.create_index("ix_experiments_stopped_at", "experiments", ["stopped_at"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_experiments_stopped_at", table_name="experiments")
    op.drop_table("experiments")
    op.drop_table("experiment_results")
