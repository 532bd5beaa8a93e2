"""SQL over the lake's tables: one DuckDB, a cursor a query, so that threads may share it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from jinqiao.errors import SchemaError, StoreError, Unavailable

__all__ = ["LakeSql", "quoted"]

_SETTINGS = (
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET python_enable_replacements = false",  # a query sees no variable of its caller
    "SET GLOBAL TimeZone = 'UTC'",
)
_LOCKS = ("SET enable_external_access = false", "SET lock_configuration = true")


class LakeSql:
    """One in-memory DuckDB; ``query`` and ``reader`` are safe to call from several threads.

    A query is one SELECT over views and named inputs. It reads files below ``folder`` and nothing
    else; what does not fit ``memory_limit_mb`` is spilled to the system's temporary folder.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        memory_limit_mb: int = 2048,
        threads: int | None = None,
    ) -> None:
        import duckdb

        self._duckdb = duckdb
        config = {
            "memory_limit": f"{memory_limit_mb}MB",
            "threads": threads or max(os.cpu_count() or 1, 1),
            "temp_directory": str(Path(tempfile.gettempdir()) / f"jinqiao-{os.getpid()}"),
        }
        self._connection = duckdb.connect(":memory:", config=config)
        allowed = [] if folder is None else [f"{folder.resolve()}/"]
        folders = f"SET allowed_directories = [{', '.join(map(quoted, allowed))}]"
        for setting in (*_SETTINGS, folders, *_LOCKS):
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
                return self._relation(cursor, sql, params).to_arrow_table()
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
                for batch in self._relation(cursor, sql, params).to_arrow_reader(batch_rows):
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

    def _relation(self, cursor: Any, sql: str, params: Mapping[str, object]) -> Any:
        statements = cursor.extract_statements(sql)
        select = self._duckdb.StatementType.SELECT
        if len(statements) != 1 or statements[0].type != select:
            raise SchemaError("a query is one SELECT", field="sql")
        return cursor.sql(sql, params=dict(params)) if params else cursor.sql(sql)

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


def quoted(text: str) -> str:
    """Return a text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"
