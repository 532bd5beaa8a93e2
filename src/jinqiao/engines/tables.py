"""The one door check of a bulk table: names, types and nulls against a schema record.

A schema is anything with ``name``, ``columns`` (each with ``name``, ``type``, ``nullable``) and
``key``. Types are int8, int32, int64, float32, float64, bool, string, binary, date and timestamp
(microseconds, UTC, no zone).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from jinqiao.errors import SchemaError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ColumnLike", "SchemaLike", "arrow_schema", "arrow_type", "check", "empty"]


class ColumnLike(Protocol):
    """One column of a schema record."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def nullable(self) -> bool: ...


class SchemaLike(Protocol):
    """A named list of columns."""

    @property
    def name(self) -> str: ...
    @property
    def columns(self) -> Sequence[ColumnLike]: ...


@cache
def _types() -> dict[str, Any]:
    import pyarrow as pa

    return {
        "int8": pa.int8(),
        "int32": pa.int32(),
        "int64": pa.int64(),
        "float32": pa.float32(),
        "float64": pa.float64(),
        "bool": pa.bool_(),
        "string": pa.string(),
        "binary": pa.binary(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us"),
    }


def arrow_type(name: str) -> pa.DataType:
    """Return the Arrow type of a column type name; raise SchemaError for an unknown one."""
    types = _types()
    if name not in types:
        raise SchemaError(f"no column type {name!r}", fix=f"use one of {', '.join(types)}")
    return types[name]


def arrow_schema(schema: SchemaLike) -> pa.Schema:
    """Return the Arrow schema of a schema record; nullability as the record says."""
    import pyarrow as pa

    return pa.schema([pa.field(c.name, arrow_type(c.type), c.nullable) for c in schema.columns])


def empty(schema: SchemaLike) -> pa.Table:
    """Return a table of no rows with exactly the columns of ``schema``."""
    return arrow_schema(schema).empty_table()


def check(table: pa.Table, schema: SchemaLike, *, record: str | None = None) -> pa.Table:
    """Return the table with exactly the columns of ``schema``, in its order and types.

    A lossless cast is made (int32 to int64, large_string or dictionary to string, any instant
    with a zone to UTC, whole floats to integers); a missing nullable column is filled with nulls.
    Nothing else is guessed: text is never read as a number.

    Parameters
    ----------
    table : the table handed in, any column order.
    schema : what it must be; see ``SchemaLike``.
    record : what to call the table in an error (a file, a batch); the schema's name if absent.

    Raises
    ------
    SchemaError naming the column, and the first row (counted from 1) that does not fit.
    """
    wanted = arrow_schema(schema)
    record = record or schema.name
    if not table.schema.equals(wanted):
        _same_names(table, wanted, record)
        columns = [_column(table, field, record) for field in wanted]
        table = _table(columns, wanted)
    for column in schema.columns:
        if not column.nullable:
            _no_nulls(table.column(column.name), column.name, record)
    return table


def _table(columns: list[Any], wanted: pa.Schema) -> pa.Table:
    import pyarrow as pa

    if not columns:
        raise SchemaError("a schema needs columns")
    return pa.Table.from_arrays(columns, schema=wanted)


def _same_names(table: pa.Table, wanted: pa.Schema, record: str) -> None:
    names = table.column_names
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise SchemaError("the column is there twice", record=record, field=repeated[0])
    extra = [name for name in names if name not in wanted.names]
    missing = [f.name for f in wanted if f.name not in names and not f.nullable]
    if missing:
        hint = f"; there are unknown columns {', '.join(extra)}" if extra else ""
        raise SchemaError(
            f"the column is missing{hint}",
            record=record,
            field=missing[0],
            fix=f"columns are {', '.join(wanted.names)}",
        )
    if extra:
        raise SchemaError(
            "no such column",
            record=record,
            field=extra[0],
            fix=f"columns are {', '.join(wanted.names)}",
        )


def _column(table: pa.Table, field: pa.Field, record: str) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if field.name not in table.column_names:
        return pa.chunked_array([pa.nulls(table.num_rows, field.type)])
    column = table.column(field.name)
    if column.type.equals(field.type):
        return column
    if pa.types.is_dictionary(column.type):
        column = pc.cast(column, column.type.value_type)
    if not _castable(column.type, field.type):
        raise SchemaError(
            f"type {column.type} is not {field.type}",
            record=record,
            field=field.name,
            fix=f"convert it to {field.type} before handing it in",
        )
    try:
        return pc.cast(column, field.type)
    except pa.ArrowInvalid as error:
        row = _first_bad(column, field.type)
        value = column[row].as_py()
        raise SchemaError(
            f"{value!r} does not fit {field.type}",
            record=f"{record}: row {row + 1}",
            field=field.name,
            fix=f"hand in a whole {field.type}",
        ) from error


def _castable(have: pa.DataType, want: pa.DataType) -> bool:
    import pyarrow as pa

    t = pa.types
    if t.is_null(have):
        return True
    if t.is_string(want):
        return bool(t.is_large_string(have) or t.is_string_view(have) or t.is_string(have))
    if t.is_binary(want):
        return bool(t.is_large_binary(have) or t.is_fixed_size_binary(have) or t.is_binary(have))
    if t.is_timestamp(want) or t.is_date(want):
        return bool(t.is_timestamp(have) or t.is_date(have))
    if t.is_boolean(want):
        return False
    return bool(t.is_integer(have) or t.is_floating(have))


def _first_bad(column: pa.ChunkedArray, wanted: pa.DataType) -> int:
    """Return the 0-based row of the first value that cannot be cast, by halving."""
    low, high = 0, len(column)
    while high - low > 1:
        middle = (low + high) // 2
        if _casts(column.slice(low, middle - low), wanted):
            low = middle
        else:
            high = middle
    return low


def _casts(part: pa.ChunkedArray, wanted: pa.DataType) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        pc.cast(part, wanted)
    except pa.ArrowInvalid:
        return False
    return True


def _no_nulls(column: pa.ChunkedArray, name: str, record: str) -> None:
    import pyarrow.compute as pc

    if column.null_count:
        row = pc.index(pc.is_null(column), True).as_py()
        raise SchemaError(
            "the value is missing",
            record=f"{record}: row {row + 1}",
            field=name,
            fix=f"{name} is needed in every row",
        )
