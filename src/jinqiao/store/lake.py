"""The lake on disk: Parquet files by UTC day, a manifest a table, DuckDB to read them.

::

    <root>/behaviour/manifest.log
    <root>/behaviour/date=2026-03-02/000017-5f0c….parquet
    <root>/features/<version>/<as-of µs>.parquet

Files are written first and named by the manifest last (``manifest.py``). Every file carries a
column ``key_digest`` beside the table's own, so that a process learns which keys are there by
reading eight bytes a row (``keys.py``).
"""

from __future__ import annotations

import os
import re
import threading
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from jinqiao.domain.tables import LAKE_TABLES, TableSchema
from jinqiao.errors import StoreError, Unavailable
from jinqiao.store.arrow import check_batch
from jinqiao.store.base import Appended
from jinqiao.store.lake_table import LakeTable
from jinqiao.store.sql import LakeSql

__all__ = ["ParquetLake", "open_lake"]

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}")


def open_lake(
    root: Path | str,
    *,
    memory_limit_mb: int = 2048,
    threads: int | None = None,
    durable: bool = True,
) -> ParquetLake:
    """Return the lake below a folder, made when absent.

    ``durable`` waits for the disk before an append returns; without it a batch still survives the
    death of the process, but not of the machine.
    """
    sql = LakeSql(Path(root), memory_limit_mb=memory_limit_mb, threads=threads)
    return ParquetLake(Path(root), sql, durable=durable)


class ParquetLake:
    """The ``Lake`` contract in files; safe to share between threads and between processes."""

    def __init__(self, root: Path, sql: LakeSql, *, durable: bool) -> None:
        self.root = root
        self._sql = sql
        self._durable = durable
        self._seen = threading.Lock()
        try:
            root.mkdir(parents=True, exist_ok=True)
            self._tables = {s.name: LakeTable(root, s, sql, durable=durable) for s in LAKE_TABLES}
            self._open = self._hold()
        except OSError as error:
            raise Unavailable(f"the lake cannot be opened: {error}", record=str(root)) from error

    def append(self, schema: TableSchema, batch: pa.Table, *, batch_id: str) -> Appended:
        """Write the rows whose key is new; see ``store.base.Lake``."""
        return self._table(schema).append(check_batch(schema, batch), batch_id)

    def known(self, schema: TableSchema, keys: pa.Table) -> pa.BooleanArray:
        """Return, per row of key columns, whether the lake holds that key already."""
        return self._table(schema).known(keys)

    def query(
        self, sql: str, inputs: Mapping[str, pa.Table] | None = None, /, **params: object
    ) -> pa.Table:
        """Run SQL over the committed rows and named inputs; see ``store.base.Lake``."""
        self._see()
        return self._sql.query(sql, inputs or {}, params)

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
        self._see()
        return self._sql.reader(sql, inputs or {}, params, batch_rows)

    def compact(self, schema: TableSchema, *, files_min: int = 2) -> int:
        """Merge each day that has ``files_min`` files or more into one; return files merged.

        The rows stay the same. The files merged are deleted when the lake is next opened alone.
        """
        return self._table(schema).compact(files_min)

    def write_features(self, as_of_us: int, version: str, features: pa.Table) -> Path:
        """Keep one feature snapshot; see ``store.base.Lake``."""
        path = self._features_path(as_of_us, version)
        draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(features, draft, compression="zstd")
            os.replace(draft, path)
        except OSError as error:
            raise Unavailable(f"cannot be written: {error}", record=str(path)) from error
        return path

    def read_features(self, as_of_us: int, version: str) -> pa.Table | None:
        """Return the snapshot of exactly that as-of and version, or None."""
        path = self._features_path(as_of_us, version)
        if not path.exists():
            return None
        try:
            return pq.ParquetFile(path, memory_map=True).read()
        except (OSError, pa.ArrowInvalid) as error:
            raise Unavailable(f"cannot be read: {error}", record=str(path)) from error

    def feature_as_ofs(self, version: str) -> tuple[int, ...]:
        """Return every as-of (µs) kept for a version, ascending."""
        folder = self._features_path(0, version).parent
        names = (path.stem for path in folder.glob("*.parquet") if path.name[0] != ".")
        return tuple(sorted(int(name) for name in names))

    def close(self) -> None:
        """Close the engine and let go of the folder."""
        self._sql.close()
        self._open.close()

    def _table(self, schema: TableSchema) -> LakeTable:
        try:
            return self._tables[schema.name]
        except KeyError:
            raise StoreError("no such lake table", record=schema.name) from None

    def _see(self) -> None:
        """Let the next query see what other processes committed."""
        with self._seen:
            for table in self._tables.values():
                table.see()

    def _features_path(self, as_of_us: int, version: str) -> Path:
        if not _VERSION.fullmatch(version):
            raise StoreError("not a version's name", record=version, field="version")
        return self.root / "features" / version / f"{as_of_us}.parquet"

    def _hold(self) -> BinaryIO:
        """Mark the lake open; whoever finds it open by nobody else clears what crashes left."""
        import fcntl

        mark = (self.root / ".open").open("ab")
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        else:
            for table in self._tables.values():
                table.clean()
            for draft in self.root.glob("features/*/.*.parquet.*"):
                draft.unlink(missing_ok=True)
        fcntl.flock(mark, fcntl.LOCK_SH)
        return mark
