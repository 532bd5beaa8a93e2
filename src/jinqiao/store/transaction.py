"""One transaction over SQLite or PostgreSQL: checked values, kept statements, the raw driver."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from jinqiao.errors import Conflict, SchemaError, StoreError
from jinqiao.store import statements
from jinqiao.store.base import Row
from jinqiao.store.dialect import Dialect
from jinqiao.store.shape import Shape, shape_of, split_where

__all__ = ["SqlTx"]

_MANY = 16
"""From so many rows on they are inserted at once, in the hope that all are new."""


class SqlTx:
    """The ``Tx`` contract over one driver connection inside a transaction."""

    def __init__(self, connection: Any, dialect: Dialect, *, writable: bool) -> None:
        self._cursor = connection.cursor()
        self._dialect = dialect
        self._writable = writable
        self._failed = False

    def insert(self, table: str, rows: Sequence[Row]) -> None:
        shape = self._shape(table, write=True)
        if rows:
            self._insert(shape, None, shape.columns(rows, shape.fields))

    def insert_new(self, table: str, rows: Sequence[Row]) -> list[bool]:
        shape = self._shape(table, write=True)
        if not rows:
            return []
        columns = shape.columns(rows, shape.fields)
        if self._dialect.by_row:
            sql = statements.inserted(self._dialect, table, False, ())
            if len(rows) >= _MANY and self._all_new(shape, sql, columns):
                return [True] * len(rows)
            return [self._run(sql, row).rowcount == 1 for row in zip(*columns, strict=True)]
        sql = statements.inserted(self._dialect, table, True, ())
        new = set(self._run(sql, [list(column) for column in columns]).fetchall())
        return [_take(new, key) for key in _keys(shape, columns)]

    def upsert(self, table: str, rows: Sequence[Row]) -> None:
        shape = self._shape(table, write=True)
        for given, group in groupby(rows, key=frozenset):
            columns = shape.columns(list(group), shape.fields)
            if not self._dialect.by_row:  # one statement may not touch a row twice: the last wins
                last = dict(zip(_keys(shape, columns), zip(*columns, strict=True), strict=True))
                columns = list(zip(*last.values(), strict=True))
            replaced = tuple(n for n in shape.fields if n in given and n not in shape.key)
            self._insert(shape, replaced, columns)

    def get(self, table: str, key: Row, *, lock: bool = False) -> dict[str, Any] | None:
        found = self.find(table, key, limit=1, lock=lock)
        return found[0] if found else None

    def find(
        self,
        table: str,
        where: Row | None = None,
        *,
        order_by: Sequence[str] = (),
        limit: int | None = None,
        at_least: Row | None = None,
        below: Row | None = None,
        lock: bool = False,
    ) -> list[dict[str, Any]]:
        shape = self._shape(table, write=lock)
        conditions, values = self._conditions(shape, where, at_least, below)
        sql = statements.selected(
            self._dialect, table, conditions, tuple(order_by), limit is not None, lock
        )
        rows = self._run(sql, values if limit is None else [*values, limit]).fetchall()
        return self._decoded(shape, rows)

    def update(self, table: str, where: Row, changes: Row) -> int:
        shape = self._shape(table, write=True)
        names = tuple(changes)
        if not names:
            raise SchemaError("nothing to change", record=table)
        new = [column[0] for column in shape.columns([changes], names)]
        conditions, values = self._conditions(shape, where)
        sql = statements.updated(self._dialect, table, names, conditions)
        return int(self._run(sql, [*new, *values]).rowcount)

    def add(self, table: str, key: Row, deltas: Mapping[str, int]) -> int:
        shape = self._shape(table, write=True)
        names = tuple(deltas)
        if not names:
            raise SchemaError("nothing to add", record=table)
        amounts = [shape.whole(name).check([deltas[name]])[0] for name in names]
        conditions, values = self._conditions(shape, key)
        sql = statements.added(self._dialect, table, names, conditions)
        rows = self._run(sql, [*amounts, *values]).fetchall()
        self._check_sums(shape, names, rows)
        return len(rows)

    def delete(self, table: str, where: Row) -> int:
        shape = self._shape(table, write=True)
        conditions, values = self._conditions(shape, where)
        sql = statements.deleted(self._dialect, table, conditions)
        return int(self._run(sql, values).rowcount)

    def count(self, table: str, where: Row | None = None) -> int:
        conditions, values = self._conditions(self._shape(table), where)
        sql = statements.counted(self._dialect, table, conditions)
        return int(self._run(sql, values).fetchone()[0])

    def total(self, table: str, column: str, where: Row | None = None) -> int:
        conditions, values = self._conditions(self._shape(table), where)
        sql = statements.totalled(self._dialect, table, column, conditions)
        high, low = self._run(sql, values).fetchone()
        return (int(high or 0) << 32) + int(low or 0)

    def finish(self) -> None:
        """Raise StoreError when a verb failed and was passed over: such work is not kept."""
        if self._failed:
            raise StoreError(
                "a transaction with a failed step cannot be kept", fix="let the error leave it"
            )

    def _shape(self, table: str, *, write: bool = False) -> Shape:
        if write and not self._writable:
            raise StoreError("a read-only view cannot write or lock", fix="open a transaction")
        if self._failed:
            raise StoreError("an earlier step of this transaction failed", record=table)
        return shape_of(table)

    def _insert(
        self, shape: Shape, replaced: tuple[str, ...] | None, columns: Sequence[Sequence[Any]]
    ) -> None:
        one = len(columns[0]) == 1
        rows = not self._dialect.by_row and not one
        sql = statements.inserted(self._dialect, shape.name, rows, replaced)
        if one:
            row = [column[0] for column in columns]
            self._run(sql, row, lambda: dict(zip(shape.fields, row, strict=True)))
        elif rows:
            self._run(sql, [list(column) for column in columns])
        else:
            self._run_many(shape, sql, columns)

    def _run_many(self, shape: Shape, sql: str, columns: Sequence[Sequence[Any]]) -> None:
        last: list[Any] = []

        def watched(row: tuple[Any, ...]) -> tuple[Any, ...]:
            last[:] = row
            return row

        try:
            self._cursor.executemany(sql, map(watched, zip(*columns, strict=True)))
        except Exception as error:
            raise self._told(error, dict(zip(shape.fields, last, strict=True))) from error

    def _all_new(self, shape: Shape, sql: str, columns: Sequence[Sequence[Any]]) -> bool:
        """Insert many rows at once; where some were there already, take them all back."""
        self._cursor.execute("SAVEPOINT all_new")
        self._run_many(shape, sql, columns)
        new = bool(self._cursor.rowcount == len(columns[0]))
        if not new:
            self._cursor.execute("ROLLBACK TO all_new")
        self._cursor.execute("RELEASE all_new")
        return new

    def _run(self, sql: str, values: Sequence[Any], row: Any = None) -> Any:
        try:
            return self._cursor.execute(sql, values)
        except Exception as error:
            raise self._told(error, row() if row else {}) from error

    def _told(self, error: Exception, row: Row) -> Exception:
        """Return the error of our tree, with the value that was there already when it is known."""
        self._failed = True
        told = self._dialect.translate(error)
        if isinstance(told, Conflict) and told.field and row:
            names = told.field.split(", ")
            if all(name in row for name in names):
                shown = ", ".join(f"{name}={row[name]!r}" for name in names)
                return Conflict(f"there already: {shown}", record=told.record, field=told.field)
        return told or error

    def _check_sums(self, shape: Shape, names: Sequence[str], rows: Sequence[Any]) -> None:
        try:
            for name, sums in zip(names, zip(*rows, strict=True), strict=False):
                shape.field(name).check(sums)
        except SchemaError:
            self._failed = True
            raise

    def _conditions(
        self,
        shape: Shape,
        where: Row | None,
        at_least: Row | None = None,
        below: Row | None = None,
    ) -> tuple[tuple[statements.Condition, ...], list[Any]]:
        conditions: list[statements.Condition] = []
        values: list[Any] = []
        for name, kind, value in split_where(shape, where):
            many = kind == "any" and shape.field(name).kind == "bytes"
            conditions.append((name, kind, len(value) if many else 1))
            if kind == "any":
                values += self._dialect.list_values(shape.field(name), value)
            elif kind == "eq":
                values.append(value)
        for kind, bounds in (("ge", at_least), ("lt", below)):
            for name, value in (bounds or {}).items():
                conditions.append((name, kind, 1))
                values.append(shape.one(name, value))
        return tuple(conditions), values

    def _decoded(self, shape: Shape, rows: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
        names = tuple(shape.fields)
        found = [dict(zip(names, row, strict=True)) for row in rows]
        if self._dialect.loads_json:
            return found
        for name in shape.json_names:
            for row in found:
                if row[name] is not None:
                    row[name] = json.loads(row[name])
        for name in shape.bool_names:
            for row in found:
                if row[name] is not None:
                    row[name] = bool(row[name])
        return found


def _keys(shape: Shape, columns: Sequence[Sequence[Any]]) -> Iterator[tuple[Any, ...]]:
    places = list(shape.fields)
    return zip(*(columns[places.index(name)] for name in shape.key), strict=True)


def _take(new: set[tuple[Any, ...]], key: tuple[Any, ...]) -> bool:
    if key in new:
        new.remove(key)
        return True
    return False
