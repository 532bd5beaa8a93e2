"""The records schema, revision by revision (Alembic). Databases are made here and nowhere else.

``upgrade`` needs no ``alembic.ini``: the revisions travel with the package.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

__all__ = ["HEAD", "revision_of", "upgrade"]

HEAD = "0003"
_LOCK = 0x6A696E71  # any number, the same for every process that migrates


def revision_of(engine: Engine) -> str | None:
    """Return the revision a database is at, or None for an empty one."""
    from sqlalchemy import inspect, text

    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return None if found is None else str(found)


def upgrade(engine: Engine, revision: str = HEAD) -> None:
    """Bring a database to a revision in one transaction; two processes at once do it once."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    with engine.connect() as connection:
        _begin(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.commit()


def _begin(connection: Connection) -> None:
    """Begin, and wait for whoever else is migrating."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
