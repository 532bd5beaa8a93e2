"""What differs between SQLite and PostgreSQL, and nothing else."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Sequence
from typing import Any

from jinqiao.errors import Conflict, JinqiaoError, SchemaError, Unavailable
from jinqiao.store.base import RETRY
from jinqiao.store.shape import Field

__all__ = ["Dialect", "PostgresDialect", "SqliteDialect"]

_POSTGRES_KEY = re.compile(r"Key \((.*?)\)=\((.*)\)")


class SqliteDialect:
    """SQLite: one writer, ``BEGIN IMMEDIATE``; booleans are 0/1, JSON is text."""

    one_writer = True
    mark = "?"
    for_update = ""
    by_row = True
    """Rows are inserted one statement each (``executemany``), not as arrays."""
    loads_json = False

    def begin_write(self, connection: Any, durable: bool) -> None:
        connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        connection.execute("BEGIN IMMEDIATE")

    def begin_read(self, connection: Any) -> None:
        connection.execute("BEGIN")
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()  # the view starts here

    def any_of(self, field: Field, n: int) -> str:
        if field.kind == "bytes":
            return f'"{field.name}" IN ({", ".join("?" * n)})'
        return f'"{field.name}" IN (SELECT value FROM json_each(?))'

    def list_values(self, field: Field, values: Sequence[Any]) -> list[Any]:
        return list(values) if field.kind == "bytes" else [json.dumps(values)]

    def ordered(self, field: Field) -> str:
        return f'"{field.name}"'

    def cast(self, field: Field) -> str:
        return "?"

    def sums(self, field: Field) -> str:
        """Summed in two halves: a sum of whole columns would stop at 64 bits."""
        return f'SUM("{field.name}" >> 32), SUM("{field.name}" & 4294967295)'

    def translate(self, error: Exception) -> JinqiaoError | None:
        text = str(error)
        if isinstance(error, sqlite3.IntegrityError):
            names = text.partition("failed: ")[2].split(", ")
            table = names[0].partition(".")[0]
            field = ", ".join(name.partition(".")[2] for name in names)
            if "NOT NULL" in text:
                return SchemaError("a value is missing", record=table, field=field)
            return Conflict("there already", record=table, field=field)
        if isinstance(error, sqlite3.OperationalError) and "locked" in text:
            return Conflict("the database is busy", field=RETRY, fix="run the transaction again")
        if isinstance(error, sqlite3.OperationalError) and "no such" in text:
            return Unavailable(text, fix="run migrate()")
        if isinstance(error, sqlite3.Error):
            return Unavailable(f"the records cannot be used: {error}")
        return None


class PostgresDialect:
    """PostgreSQL: serialisable, rows locked with ``FOR UPDATE``, losers told to run again."""

    one_writer = False
    mark = "%s"
    for_update = " FOR UPDATE"
    by_row = False
    loads_json = True

    def begin_write(self, connection: Any, durable: bool) -> None:
        self._begin(connection, read_only=False)
        connection.execute(f"SET LOCAL synchronous_commit TO {'ON' if durable else 'OFF'}")

    def begin_read(self, connection: Any) -> None:
        self._begin(connection, read_only=True)
        connection.execute("SELECT 1")  # the view starts here

    def _begin(self, connection: Any, *, read_only: bool) -> None:
        from psycopg import IsolationLevel

        if connection.info.transaction_status:  # a pool's ping leaves one open
            connection.rollback()
        connection.isolation_level = (
            IsolationLevel.REPEATABLE_READ if read_only else IsolationLevel.SERIALIZABLE
        )
        connection.read_only = read_only

    def any_of(self, field: Field, n: int) -> str:
        return f'"{field.name}" = ANY(%s::{_POSTGRES_TYPES[field.kind]}[])'

    def list_values(self, field: Field, values: Sequence[Any]) -> list[Any]:
        return [list(values)]

    def ordered(self, field: Field) -> str:
        """Texts sort by code point, as in SQLite, whatever the database's collation is."""
        return f'"{field.name}" COLLATE "C"' if field.kind == "text" else f'"{field.name}"'

    def sums(self, field: Field) -> str:
        return f'0, SUM("{field.name}")'

    def cast(self, field: Field) -> str:
        return f"%s::{_POSTGRES_TYPES[field.kind]}"

    def translate(self, error: Exception) -> JinqiaoError | None:
        import psycopg

        if not isinstance(error, psycopg.Error):
            return None
        state, about = error.sqlstate or "", error.diag
        if state in ("40001", "40P01", "55P03"):
            return Conflict("another transaction won", field=RETRY, fix="run it again")
        if state == "23502":
            return SchemaError(
                "a value is missing", record=about.table_name, field=about.column_name
            )
        if state.startswith("23"):
            found = _POSTGRES_KEY.search(about.message_detail or "")
            names, values = found.groups() if found else (about.constraint_name, "")
            return Conflict(f"there already: {values}", record=about.table_name, field=names)
        if state.startswith("22"):
            return SchemaError(str(error).partition("\n")[0], record=about.table_name)
        if state == "42P01":
            return Unavailable(str(error).partition("\n")[0], fix="run migrate()")
        return Unavailable(f"the records cannot be used: {error}")


Dialect = SqliteDialect | PostgresDialect

_POSTGRES_TYPES = {
    "int": "bigint",
    "text": "text",
    "bool": "boolean",
    "float": "double precision",
    "bytes": "bytea",
    "json": "json",
}
