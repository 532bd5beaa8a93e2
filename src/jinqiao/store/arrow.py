"""Arrow schemas of the bulk tables, and the check at the lake's door."""

from __future__ import annotations

from functools import cache

import pyarrow as pa

from jinqiao.domain.tables import TableSchema
from jinqiao.errors import SchemaError

__all__ = ["arrow_schema", "check_batch", "column_selects", "empty_select"]

_TYPES = {
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

_DUCKDB_TYPES = {
    "int8": "TINYINT",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "float32": "FLOAT",
    "float64": "DOUBLE",
    "bool": "BOOLEAN",
    "string": "VARCHAR",
    "binary": "BLOB",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
}


@cache
def arrow_schema(schema: TableSchema) -> pa.Schema:
    """Return the Arrow schema of a table: its columns in order, nullable where it says so."""
    return pa.schema([pa.field(c.name, _TYPES[c.type], c.nullable) for c in schema.columns])


def empty_select(schema: TableSchema) -> str:
    """Return the DuckDB query that gives the table's columns and no row."""
    columns = ", ".join(
        f'CAST(NULL AS {_DUCKDB_TYPES[c.type]}) AS "{c.name}"' for c in schema.columns
    )
    return f"SELECT {columns} WHERE false"


def column_selects(schema: TableSchema, given: frozenset[str]) -> tuple[str, ...]:
    """Return how DuckDB reads each column from files that have ``given``: as it is, or as null.

    Only a column that may be null can have been added after a file was written.
    """
    return tuple(
        f'CAST(NULL AS {_DUCKDB_TYPES[c.type]}) AS "{c.name}"'
        if c.nullable and c.name not in given
        else f'"{c.name}"'
        for c in schema.columns
    )


def check_batch(schema: TableSchema, batch: pa.Table) -> pa.Table:
    """Return the batch with exactly the columns of ``schema``, in its order and types.

    Raises SchemaError naming the first column that is missing, not known, of a type that does not
    fit without loss, or null where it may not be.
    """
    wanted = arrow_schema(schema)
    for name in batch.column_names:
        if name not in wanted.names:
            raise SchemaError("no such column", record=schema.name, field=name)
    columns = []
    for field in wanted:
        if field.name not in batch.column_names:
            raise SchemaError("the column is missing", record=schema.name, field=field.name)
        column = batch.column(field.name)
        if column.type != field.type:
            column = _cast(schema, field, column)
        if not field.nullable and column.null_count:
            raise SchemaError("a value is missing", record=schema.name, field=field.name)
        columns.append(column)
    return pa.table(columns, schema=wanted)


def _cast(schema: TableSchema, field: pa.Field, column: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        return column.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SchemaError(
            f"wants {field.type}, got {column.type}", record=schema.name, field=field.name
        ) from error
