"""The SQL of each verb, written once per shape and kept.

Names of tables and columns come from the schema, never from a caller unchecked; values are always
parameters.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from jinqiao.store.dialect import Dialect
from jinqiao.store.shape import Field, Shape, shape_of

__all__ = ["added", "counted", "deleted", "inserted", "selected", "totalled", "updated"]

Condition = tuple[str, str, int]
"""Column, kind (eq, null, any, ge, lt) and, for any, how many values."""


@lru_cache(maxsize=2048)
def selected(
    dialect: Dialect,
    table: str,
    where: tuple[Condition, ...],
    order_by: tuple[str, ...],
    limited: bool,
    lock: bool,
) -> str:
    """Return the select of whole rows; the key breaks every tie, so the order is always one."""
    shape = shape_of(table)
    text = f'SELECT {_names(shape.fields)} FROM "{table}"{_where(dialect, shape, where)}'
    single = {name for name, kind, _ in where if kind == "eq"}.issuperset(shape.key)
    if not single:
        ordered = list(order_by) + [
            name for name in shape.key if name not in order_by and f"-{name}" not in order_by
        ]
        text += " ORDER BY " + ", ".join(_order(dialect, shape, name) for name in ordered)
    if limited:
        text += f" LIMIT {dialect.mark}"
    return text + (dialect.for_update if lock else "")


@lru_cache(maxsize=512)
def inserted(dialect: Dialect, table: str, rows: bool, replaced: tuple[str, ...] | None) -> str:
    """Return the insert of whole rows, of values or (``rows``) of one array a column.

    ``replaced`` None: a key that is there is an error; else those columns of it are replaced, or
    none (then the keys that were new come back).
    """
    shape = shape_of(table)
    fields = list(shape.fields.values())
    text = f'INSERT INTO "{table}" ({_names(shape.fields)}) {_source(dialect, fields, rows)}'
    if replaced is None:
        return text
    text += f" ON CONFLICT ({_names(shape.key)})"
    if replaced:
        return text + " DO UPDATE SET " + ", ".join(f'"{n}" = excluded."{n}"' for n in replaced)
    return text + " DO NOTHING" + (f" RETURNING {_names(shape.key)}" if rows else "")


@lru_cache(maxsize=512)
def updated(
    dialect: Dialect, table: str, names: tuple[str, ...], where: tuple[Condition, ...]
) -> str:
    """Return the update of named columns."""
    shape = shape_of(table)
    changes = ", ".join(f'"{n}" = {dialect.mark}' for n in names)
    return f'UPDATE "{table}" SET {changes}{_where(dialect, shape, where)}'


@lru_cache(maxsize=512)
def added(
    dialect: Dialect, table: str, names: tuple[str, ...], where: tuple[Condition, ...]
) -> str:
    """Return the update that adds to whole-number columns and returns what they became."""
    shape = shape_of(table)
    changes = ", ".join(
        f'"{n}" = COALESCE("{n}", 0) + {dialect.cast(shape.whole(n))}' for n in names
    )
    where_text = _where(dialect, shape, where)
    return f'UPDATE "{table}" SET {changes}{where_text} RETURNING {_names(names)}'


@lru_cache(maxsize=512)
def deleted(dialect: Dialect, table: str, where: tuple[Condition, ...]) -> str:
    """Return the delete of matching rows."""
    return f'DELETE FROM "{table}"{_where(dialect, shape_of(table), where)}'


@lru_cache(maxsize=512)
def counted(dialect: Dialect, table: str, where: tuple[Condition, ...]) -> str:
    """Return the count of matching rows."""
    return f'SELECT COUNT(*) FROM "{table}"{_where(dialect, shape_of(table), where)}'


@lru_cache(maxsize=512)
def totalled(dialect: Dialect, table: str, column: str, where: tuple[Condition, ...]) -> str:
    """Return the sum of a column over matching rows, in two parts: times 2³², and ones."""
    shape = shape_of(table)
    sums = dialect.sums(shape.whole(column))
    return f'SELECT {sums} FROM "{table}"{_where(dialect, shape, where)}'


def _source(dialect: Dialect, fields: list[Field], rows: bool) -> str:
    if not rows:
        return f"VALUES ({', '.join([dialect.mark] * len(fields))})"
    arrays = ", ".join(
        ("%s::text[]" if field.kind == "json" else dialect.cast(field) + "[]") for field in fields
    )
    columns = ", ".join(f"c{i}" for i in range(len(fields)))
    values = ", ".join(
        f"c{i}::json" if field.kind == "json" else f"c{i}" for i, field in enumerate(fields)
    )
    return f"SELECT {values} FROM unnest({arrays}) AS given({columns})"


def _where(dialect: Dialect, shape: Shape, where: tuple[Condition, ...]) -> str:
    parts = [_condition(dialect, shape.field(name), kind, n) for name, kind, n in where]
    return " WHERE " + " AND ".join(parts) if parts else ""


def _condition(dialect: Dialect, field: Field, kind: str, n: int) -> str:
    if kind == "any":
        return dialect.any_of(field, n)
    if kind == "null":
        return f'"{field.name}" IS NULL'
    if kind == "eq":
        return f'"{field.name}" = {dialect.mark}'
    return f"{dialect.ordered(field)} {'>=' if kind == 'ge' else '<'} {dialect.mark}"


def _order(dialect: Dialect, shape: Shape, name: str) -> str:
    field = shape.comparable(name.removeprefix("-"))
    direction = "DESC NULLS LAST" if name.startswith("-") else "ASC NULLS FIRST"
    return f"{dialect.ordered(field)} {direction}"


def _names(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
