"""Run by Alembic: migrate over the connection that ``upgrade`` hands in."""

from __future__ import annotations

from alembic import context

from jinqiao.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,  # the caller began and commits
)
context.run_migrations()
