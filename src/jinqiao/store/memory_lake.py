"""The lake in memory: Arrow tables queried by an in-memory DuckDB."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from jinqiao.domain.tables import LAKE_TABLES, TableSchema
from jinqiao.errors import StoreError
from jinqiao.store.arrow import arrow_schema, check_batch
from jinqiao.store.base import Appended
from jinqiao.store.sql import LakeSql

__all__ = ["MemoryLake"]


class MemoryLake:
    """The ``Lake`` contract in memory; keys are compared exactly."""

    def __init__(self) -> None:
        self._tables = {s.name: arrow_schema(s).empty_table() for s in LAKE_TABLES}
        self._keys: dict[str, set[tuple[Any, ...]]] = {s.name: set() for s in LAKE_TABLES}
        self._batches: set[tuple[str, str]] = set()
        self._features: dict[tuple[str, int], pa.Table] = {}
        self._lock = threading.Lock()
        self._sql = LakeSql()

    def append(self, schema: TableSchema, batch: pa.Table, *, batch_id: str) -> Appended:
        """Keep the rows whose key is new; see ``store.base.Lake``."""
        batch = check_batch(schema, batch)
        if schema.name not in self._tables:
            raise StoreError("no such lake table", record=schema.name)
        with self._lock:
            if (schema.name, batch_id) in self._batches:
                return Appended(0, batch.num_rows)
            known = self._keys[schema.name]
            fresh = []
            for place, key in enumerate(_keys(schema, batch)):
                if key not in known:
                    known.add(key)
                    fresh.append(place)
            rows = batch.take(pa.array(fresh, pa.int64()))
            self._tables[schema.name] = pa.concat_tables([self._tables[schema.name], rows])
            self._batches.add((schema.name, batch_id))
        return Appended(len(fresh), batch.num_rows - len(fresh))

    def known(self, schema: TableSchema, keys: pa.Table) -> pa.BooleanArray:
        """Return, per row of key columns, whether the key is kept already."""
        with self._lock:
            known = self._keys.get(schema.name, set())
            return pa.array([key in known for key in _keys(schema, keys)], pa.bool_())

    def query(
        self, sql: str, inputs: Mapping[str, pa.Table] | None = None, /, **params: object
    ) -> pa.Table:
        """Run SQL over the tables and named inputs; see ``store.base.Lake``."""
        return self._sql.query(sql, {**self._tables, **(inputs or {})}, params)

    def reader(
        self,
        sql: str,
        inputs: Mapping[str, pa.Table] | None = None,
        /,
        *,
        batch_rows: int = 65_536,
        **params: object,
    ) -> Iterator[pa.RecordBatch]:
        """The same, as record batches of at most ``batch_rows``."""
        return self._sql.reader(sql, {**self._tables, **(inputs or {})}, params, batch_rows)

    def compact(self, schema: TableSchema, *, files_min: int = 2) -> int:
        """Return 0: memory holds no files to merge."""
        return 0

    def write_features(self, as_of_us: int, version: str, features: pa.Table) -> Path:
        """Keep one feature snapshot; the path returned names it and does not exist."""
        self._features[version, as_of_us] = features
        return Path("memory") / version / str(as_of_us)

    def read_features(self, as_of_us: int, version: str) -> pa.Table | None:
        """Return the snapshot of exactly that as-of and version, or None."""
        return self._features.get((version, as_of_us))

    def feature_as_ofs(self, version: str) -> tuple[int, ...]:
        """Return every as-of (µs) kept for a version, ascending."""
        return tuple(sorted(as_of for kept, as_of in self._features if kept == version))

    def close(self) -> None:
        """Close the engine."""
        self._sql.close()


def _keys(schema: TableSchema, table: pa.Table) -> Iterator[tuple[Any, ...]]:
    return zip(*(table.column(name).to_pylist() for name in schema.key), strict=True)
