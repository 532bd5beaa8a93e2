"""SQL over the lake's tables: one DuckDB, a cursor a query, so that threads may share it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from jinqiao.errors import SchemaError, StoreError, Unavailable

__all__ = ["LakeSql"]

_SETTINGS = (
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET python_enable_replacements = false",  # a query sees no variable of its caller
    "SET preserve_insertion_order = true",
    "SET GLOBAL TimeZone = 'UTC'",
)


class LakeSql:
    """One in-memory DuckDB; ``query`` and ``reader`` are safe to call from several threads."""

    def __init__(self, *, memory_limit_mb: int = 2048, threads: int | None = None) -> None:
        import duckdb

        self._duckdb = duckdb
        config = {
            "memory_limit": f"{memory_limit_mb}MB",
            "threads": threads or max(os.cpu_count() or 1, 1),
        }
        self._connection = duckdb.connect(":memory:", config=config)
        for setting in _SETTINGS:
            self._connection.execute(setting)

    def define(self, statement: str) -> None:
        """Run a statement that every later query sees (a view)."""
        with self._translated():
            cursor = self._connection.cursor()
            cursor.execute(statement)
            cursor.close()

    def query(
        self, sql: str, inputs: Mapping[str, pa.Table], params: Mapping[str, object]
    ) -> pa.Table:
        """Return the whole result of one query."""
        with self._translated():
            cursor = self._cursor(inputs)
            try:
                return _relation(cursor, sql, params).to_arrow_table()
            finally:
                cursor.close()

    def reader(
        self,
        sql: str,
        inputs: Mapping[str, pa.Table],
        params: Mapping[str, object],
        batch_rows: int,
    ) -> Iterator[pa.RecordBatch]:
        """Yield the result of one query in record batches of at most ``batch_rows`` rows."""
        with self._translated():
            cursor = self._cursor(inputs)
            try:
                for batch in _relation(cursor, sql, params).to_arrow_reader(batch_rows):
                    for start in range(0, batch.num_rows, batch_rows):
                        yield batch.slice(start, batch_rows)
            finally:
                cursor.close()

    def close(self) -> None:
        """Close the engine; a query after it raises Unavailable."""
        self._connection.close()

    def _cursor(self, inputs: Mapping[str, pa.Table]) -> Any:
        cursor = self._connection.cursor()
        for name, table in inputs.items():
            cursor.register(name, table)
        return cursor

    @contextmanager
    def _translated(self) -> Iterator[None]:
        errors = self._duckdb
        try:
            yield
        except (errors.ConnectionException, errors.IOException, errors.OutOfMemoryException) as e:
            raise Unavailable(f"the lake cannot be read: {e}") from e
        except (errors.CatalogException, errors.BinderException, errors.ParserException) as e:
            raise SchemaError(f"the query does not fit the lake: {e}") from e
        except errors.Error as e:
            raise StoreError(f"the query failed: {e}") from e


def _relation(cursor: Any, sql: str, params: Mapping[str, object]) -> Any:
    relation = cursor.sql(sql, params=dict(params)) if params else cursor.sql(sql)
    if relation is None:
        raise StoreError("the statement returns no rows", fix="write a select")
    return relation
