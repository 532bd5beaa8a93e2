"""What differs between SQLite and PostgreSQL, and nothing else."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Integer
from sqlalchemy import Column as SqlColumn

from jinqiao.errors import Conflict, JinqiaoError, SchemaError, Unavailable

__all__ = ["RETRY", "PostgresDialect", "SqliteDialect"]

RETRY = "transaction"
"""``Conflict.field`` of a transaction that lost a race and may simply run again."""

Convert = Callable[[Any], Any] | None


def _dump(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False, allow_nan=False)


class SqliteDialect:
    """SQLite: one writer, ``BEGIN IMMEDIATE``; booleans are 0/1, JSON is text."""

    one_writer = True
    mark = "?"
    for_update = ""

    def begin_write(self, connection: Any, durable: bool) -> None:
        connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        connection.execute("BEGIN IMMEDIATE")

    def begin_read(self, connection: Any) -> None:
        connection.execute("BEGIN")
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()  # the view starts here

    def any_of(self, column: SqlColumn[Any]) -> str:
        return f'"{column.name}" IN (SELECT value FROM json_each(?))'

    def list_value(self, values: Sequence[Any]) -> Any:
        return json.dumps(list(values))

    def any_key(self, columns: Sequence[SqlColumn[Any]]) -> str:
        names = ", ".join(f'"{column.name}"' for column in columns)
        parts = ", ".join(f"json_extract(value, '$[{i}]')" for i in range(len(columns)))
        return f"({names}) IN (SELECT {parts} FROM json_each(?))"

    def key_values(self, keys: Sequence[tuple[Any, ...]], width: int) -> list[Any]:
        return [json.dumps(keys)]

    def encode(self, column: SqlColumn[Any]) -> Convert:
        return _dump if isinstance(column.type, JSON) else None

    def decode(self, column: SqlColumn[Any]) -> Convert:
        if isinstance(column.type, JSON):
            return lambda value: None if value is None else json.loads(value)
        if isinstance(column.type, Boolean):
            return lambda value: None if value is None else bool(value)
        return None

    def translate(self, error: Exception) -> JinqiaoError | None:
        if isinstance(error, sqlite3.IntegrityError):
            text = str(error)
            if "NOT NULL" in text:
                return SchemaError("a value is missing", field=text.rsplit(" ", 1)[-1])
            return Conflict(text)
        if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
            return Conflict("the database is busy", field=RETRY, fix="run the transaction again")
        if isinstance(error, sqlite3.OperationalError) and "no such table" in str(error):
            return Unavailable(str(error), fix="run migrate()")
        if isinstance(error, sqlite3.DatabaseError):
            return Unavailable(f"the records cannot be used: {error}")
        return None


class PostgresDialect:
    """PostgreSQL: serialisable, rows locked with ``FOR UPDATE``, losers told to run again."""

    one_writer = False
    mark = "%s"
    for_update = " FOR UPDATE"

    def begin_write(self, connection: Any, durable: bool) -> None:
        self._begin(connection, read_only=False)
        if not durable:
            connection.execute("SET LOCAL synchronous_commit TO OFF")

    def begin_read(self, connection: Any) -> None:
        self._begin(connection, read_only=True)

    def _begin(self, connection: Any, *, read_only: bool) -> None:
        from psycopg import IsolationLevel

        if connection.info.transaction_status:  # a pool's ping leaves one open
            connection.rollback()
        connection.isolation_level = IsolationLevel.SERIALIZABLE
        connection.read_only = read_only

    def any_of(self, column: SqlColumn[Any]) -> str:
        return f'"{column.name}" = ANY(%s::{_postgres_type(column)}[])'

    def list_value(self, values: Sequence[Any]) -> Any:
        return list(values)

    def any_key(self, columns: Sequence[SqlColumn[Any]]) -> str:
        names = ", ".join(f'"{column.name}"' for column in columns)
        parts = ", ".join(f"%s::{_postgres_type(column)}[]" for column in columns)
        return f"({names}) IN (SELECT * FROM unnest({parts}))"

    def key_values(self, keys: Sequence[tuple[Any, ...]], width: int) -> list[Any]:
        return [[key[i] for key in keys] for i in range(width)]

    def encode(self, column: SqlColumn[Any]) -> Convert:
        return _dump if isinstance(column.type, JSON) else None

    def decode(self, column: SqlColumn[Any]) -> Convert:
        return None

    def translate(self, error: Exception) -> JinqiaoError | None:
        import psycopg

        if not isinstance(error, psycopg.Error):
            return None
        if error.sqlstate in ("40001", "40P01", "55P03"):
            return Conflict("another transaction won", field=RETRY, fix="run it again")
        if error.sqlstate == "23502":
            return SchemaError("a value is missing", field=error.diag.column_name)
        if (error.sqlstate or "").startswith("23"):
            return Conflict(error.diag.message_detail or str(error), record=error.diag.table_name)
        if error.sqlstate == "42P01":
            return Unavailable(str(error), fix="run migrate()")
        return Unavailable(f"the records cannot be used: {error}")


def _postgres_type(column: SqlColumn[Any]) -> str:
    if isinstance(column.type, BigInteger):
        return "bigint"
    if isinstance(column.type, Boolean):
        return "boolean"
    return "integer" if isinstance(column.type, Integer) else "text"


