"""Records in SQLite (WAL) or PostgreSQL: one schema, serialisable transactions.

SQLAlchemy describes the tables and pools the connections; the few statements a transaction needs
are written once per shape (``statements.py``) and run by the driver, because click-outs reserve
units one by one and the statement is then the cost.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import create_engine, event
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import SQLAlchemyError

from jinqiao.errors import JinqiaoError, StoreError, Unavailable
from jinqiao.store.dialect import Dialect, PostgresDialect, SqliteDialect
from jinqiao.store.migrations import HEAD, revision_of, upgrade
from jinqiao.store.transaction import SqlTx

__all__ = ["SqlRecords", "open_records"]

_BUSY_S = 30.0
_WAL_PAGES = 4_000
"""SQLite moves what the log holds into the file when it has so many pages (16 MB)."""


def open_records(url: str) -> SqlRecords:
    """Return the records of a database URL (``sqlite:///path`` or ``postgresql+psycopg://…``).

    Raises StoreError for another kind of URL. Opens no connection yet and creates no table:
    ``migrate`` does.
    """
    backend = make_url(url).get_backend_name()
    if backend == "sqlite":
        if make_url(url).database in (None, "", ":memory:"):
            raise StoreError("records need a file", field="records_url", fix="sqlite:///records.db")
        return SqlRecords(_sqlite_engine(url), SqliteDialect())
    if backend == "postgresql":
        return SqlRecords(_postgres_engine(url), PostgresDialect())
    raise StoreError(
        f"records cannot live in {backend!r}", field="records_url", fix="use sqlite or postgresql"
    )


class SqlRecords:
    """The ``Records`` contract over a pooled engine; safe to share between threads."""

    def __init__(self, engine: Engine, dialect: Dialect) -> None:
        self.engine = engine
        self.dialect = dialect
        self._writer = threading.Lock()
        self._thread = threading.local()

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[SqlTx]:
        """Open a writing transaction; see ``store.base.Records``."""
        self._refuse_nesting()
        with self._one_writer(), self._connection() as connection:
            self._thread.writing = True
            try:
                self.dialect.begin_write(connection, durable)
                tx = SqlTx(connection, self.dialect, writable=True)
                yield tx
                tx.finish()
                connection.commit()
            except BaseException:
                with suppress(Exception):
                    connection.rollback()
                raise
            finally:
                self._thread.writing = False

    @contextmanager
    def reading(self) -> Iterator[SqlTx]:
        """Open a consistent read-only view; see ``store.base.Records``."""
        self._refuse_nesting()
        with self._connection() as connection:
            try:
                self.dialect.begin_read(connection)
                yield SqlTx(connection, self.dialect, writable=False)
            finally:
                with suppress(Exception):
                    connection.rollback()

    def migrate(self) -> str:
        """Bring the schema to the newest revision and return it."""
        try:
            if revision_of(self.engine) != HEAD:
                upgrade(self.engine)
        except SQLAlchemyError as error:
            raise Unavailable(f"the records cannot be migrated: {error}") from error
        return HEAD

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()

    def _refuse_nesting(self) -> None:
        if getattr(self._thread, "writing", False):
            raise StoreError(
                "this thread has a transaction open already", fix="hand the open one down instead"
            )

    @contextmanager
    def _one_writer(self) -> Iterator[None]:
        """SQLite takes one writer: wait in line here rather than spin on its lock."""
        if not self.dialect.one_writer:
            yield
            return
        if not self._writer.acquire(timeout=_BUSY_S):
            raise Unavailable("another transaction has been open for 30 s", fix="try again")
        try:
            yield
        finally:
            self._writer.release()

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        try:
            pooled = self.engine.raw_connection()
        except Exception as error:
            raise Unavailable(f"the records cannot be reached: {error}") from error
        try:
            yield pooled.driver_connection
        except JinqiaoError:
            raise
        except Exception as error:
            translated = self.dialect.translate(error)
            if translated is None:
                raise
            raise translated from error
        finally:
            pooled.close()


def _sqlite_engine(url: str) -> Engine:
    arguments = {"check_same_thread": False, "timeout": _BUSY_S, "cached_statements": 512}
    engine = create_engine(url, connect_args=arguments)

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA temp_store=MEMORY")
        connection.execute("PRAGMA cache_size=-65536")
        connection.execute(f"PRAGMA wal_autocheckpoint={_WAL_PAGES}")

    return engine


def _postgres_engine(url: str) -> Engine:
    plain = make_url(url)
    if plain.drivername == "postgresql":
        plain = plain.set(drivername="postgresql+psycopg")
    try:
        engine = create_engine(plain, pool_pre_ping=True, pool_size=8)
    except ModuleNotFoundError as error:
        raise Unavailable(
            "PostgreSQL needs the psycopg driver", fix="pip install 'jinqiao[postgres]'"
        ) from error
    return engine
