"""One table of the lake on disk: append, known, compact, and the view queries read."""

from __future__ import annotations

import os
import threading
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from jinqiao.domain.tables import TableSchema
from jinqiao.domain.time import DAY_US
from jinqiao.errors import SchemaError, Unavailable
from jinqiao.store.arrow import arrow_schema, column_selects, empty_select
from jinqiao.store.base import Appended
from jinqiao.store.keys import Digests, KeyIndex
from jinqiao.store.manifest import File, Manifest
from jinqiao.store.sql import LakeSql, quoted

__all__ = ["LakeTable"]

Mask = npt.NDArray[np.bool_]

_DIGEST = "key_digest"
_ROW_GROUP = 131_072


class LakeTable:
    """Files, manifest and keys of one table; one writer at a time, over all processes."""

    def __init__(self, root: Path, schema: TableSchema, sql: LakeSql, *, durable: bool) -> None:
        self.schema = schema
        self.folder = root.resolve() / schema.name
        self.folder.mkdir(exist_ok=True)
        self._sql = sql
        self._manifest = Manifest(self.folder, durable=durable)
        self._index = KeyIndex()
        self._repeating = [  # columns whose values come again, so that a dictionary is shorter
            c.name for c in schema.columns if c.type == "string" and c.name not in schema.key
        ]
        self._paths: list[str] = []  # by file number in the index
        self._has: dict[str, tuple[str, ...]] = {}  # how a view reads a file's columns
        self._pending: list[File] = []  # committed, and not in the index yet
        self._view_at = -1  # the commit that the view was made at
        self._asked: tuple[list[pa.ChunkedArray], Digests] | None = None  # digested last
        self._state = threading.RLock()  # guards what is above
        self._writer = threading.Lock()

    def append(self, batch: pa.Table, batch_id: str) -> Appended:
        """Write the rows whose key is new; ``batch`` has been checked against the schema."""
        try:
            with self._writer, self._manifest.writing():
                self._refresh()
                if batch_id in self._manifest.batches:
                    return Appended(0, batch.num_rows)
                digests = self._digests(batch)
                fresh = ~(self._repeats(batch, digests) | self._known(batch, digests))
                rows = batch.filter(pa.array(fresh))
                self._commit(rows, digests[fresh], batch_id)
                return Appended(rows.num_rows, batch.num_rows - rows.num_rows)
        except OSError as error:
            raise Unavailable(f"cannot be written: {error}", record=str(self.folder)) from error

    def known(self, keys: pa.Table) -> pa.BooleanArray:
        """Return, per row of key columns, whether the key is there."""
        for name in self.schema.key:
            if name not in keys.column_names:
                raise SchemaError("the column is missing", record=self.schema.name, field=name)
        self._refresh()
        return pa.array(self._known(keys, self._digests(keys)))

    def see(self) -> None:
        """Let the next query see every commit, of other processes too."""
        self._refresh()
        with self._state:
            if self._view_at == self._manifest.commits:
                return
            files = list(self._manifest.files)
            rows = empty_select(self.schema)
            if files:
                rows = " UNION ALL ".join(
                    f"SELECT {', '.join(given)} FROM {self._scan(paths)}"
                    for given, paths in self._by_columns(files).items()
                )
            self._sql.define(f'CREATE OR REPLACE VIEW "{self.schema.name}" AS {rows}')
            self._view_at = self._manifest.commits

    def compact(self, files_min: int) -> int:
        """Merge the files of each day into one; return how many were merged."""
        merged = 0
        with self._writer, self._manifest.writing():
            self._refresh()
            days: dict[str, list[str]] = defaultdict(list)
            for path in self._manifest.files:
                days[path.partition("/")[0]].append(path)
            for day, paths in sorted(days.items()):
                if len(paths) >= max(files_min, 2):
                    rows = self._dataset(paths).to_table()
                    file = self._write(day, rows, tuple(paths))
                    with self._state:
                        self._manifest.commit(None, [file], paths)
                        self._pending.append(file)
                    merged += len(paths)
        return merged

    def clean(self) -> None:
        """Delete the files that no commit names; only when nobody else has the lake open."""
        with self._writer, self._manifest.writing():
            self._refresh()
            for path in self.folder.glob("date=*/*.parquet"):
                if f"{path.parent.name}/{path.name}" not in self._manifest.files:
                    path.unlink(missing_ok=True)

    def _refresh(self) -> None:
        if self._manifest.stale():
            with self._state:
                self._pending += self._manifest.refresh()

    def _commit(self, rows: pa.Table, digests: Digests, batch_id: str) -> None:
        days = list(_by_day(rows, self.schema.partition or "received_at"))
        files = []
        for day, places in days:
            part = rows.take(pa.array(places)).append_column(_DIGEST, pa.array(digests[places]))
            files.append(self._write(day, part))
        with self._state:  # the keys are at hand: no need to read them back
            self._manifest.commit(batch_id, files)
            numbers = np.empty(rows.num_rows, np.int32)
            for file, (_, places) in zip(files, days, strict=True):
                numbers[places] = self._number(file)
            self._index.add(digests, numbers)

    def _write(self, day: str, rows: pa.Table, merged: tuple[str, ...] = ()) -> File:
        name = f"{day}/{self._manifest.commits:08d}-{uuid.uuid4().hex[:12]}.parquet"
        path = self.folder / name
        if not path.parent.exists():
            path.parent.mkdir(exist_ok=True)
            _sync(self.folder)
        pq.write_table(
            rows, path, compression="zstd", row_group_size=_ROW_GROUP,
            use_dictionary=self._repeating,
        )  # fmt: skip
        if self._manifest.durable:
            _sync(path)
            _sync(path.parent)
        self._has[name] = column_selects(self.schema, frozenset(rows.column_names))
        return File(name, rows.num_rows, merged)

    def _digests(self, keys: pa.Table) -> Digests:
        """Return 64 bits of MD5 of each row's key (n,): the same in every process and version."""
        columns, asked = [keys.column(name) for name in self.schema.key], self._asked
        if asked and all(a.equals(b) for a, b in zip(asked[0], columns, strict=True)):
            return asked[1]  # rows are asked for first, and appended after
        names = ", ".join(f'"{name}"' for name in self.schema.key)
        digest = f"md5_number_lower(concat_ws(chr(31), {names}))"
        given = keys.select(list(self.schema.key))
        found = self._sql.query(f"SELECT {digest} AS d FROM given", {"given": given}, {})
        digests = np.asarray(found["d"]).view(np.int64)
        self._asked = (columns, digests)
        return digests

    def _repeats(self, batch: pa.Table, digests: Digests) -> Mask:
        """Return which rows have the key of an earlier row of the same batch."""
        repeats = np.zeros(len(digests), np.bool_)
        _, inverse, counts = np.unique(digests, return_inverse=True, return_counts=True)
        places = np.flatnonzero(counts[inverse] > 1)
        seen = set()
        for place, key in zip(places, _keys(batch, self.schema, places), strict=True):
            repeats[place] = key in seen
            seen.add(key)
        return repeats

    def _known(self, keys: pa.Table, digests: Digests) -> Mask:
        with self._state:
            self._learn()
            known, numbers = self._index.hits(digests)
            paths = [self._paths[number] for number in sorted(numbers)]
            paths = [path for path in paths if path in self._manifest.files]
        if not known.any():
            return known
        places = np.flatnonzero(known)
        asked = keys.select(list(self.schema.key)).take(pa.array(places))
        asked = asked.append_column("asked_place", pa.array(places))
        names = ", ".join(f'"{name}"' for name in self.schema.key)
        sql = f"SELECT asked_place FROM asked SEMI JOIN {self._scan(paths)} USING ({names})"
        exact = np.zeros(len(digests), np.bool_)
        exact[np.asarray(self._sql.query(sql, {"asked": asked}, {})["asked_place"])] = True
        return exact

    def _learn(self) -> None:
        """Put the keys of files committed by others, or before we opened, into the index."""
        waiting, self._pending = self._pending, []
        numbers = {path: number for number, path in enumerate(self._paths)} if waiting else {}
        unread = []
        for file in waiting:
            if file.path not in self._manifest.files:
                continue  # merged away since
            if file.merged and all(path in numbers for path in file.merged):
                new = self._number(file)
                self._index.moved({numbers[path]: new for path in file.merged})
            else:
                unread.append(file)
        if unread:
            table = self._dataset([file.path for file in unread]).to_table(columns=[_DIGEST])
            rows = [file.rows for file in unread]
            places = np.array([self._number(file) for file in unread], np.int32)
            self._index.add(np.asarray(table[_DIGEST]), np.repeat(places, rows))

    def _number(self, file: File) -> int:
        self._paths.append(file.path)
        return len(self._paths) - 1

    def _scan(self, paths: Iterable[str]) -> str:
        names = ", ".join(quoted(str(self.folder / path)) for path in paths)
        return f"read_parquet([{names}], hive_partitioning = false)"

    def _by_columns(self, paths: Iterable[str]) -> dict[tuple[str, ...], list[str]]:
        """Return files by the columns read from them: null for one they are older than."""
        found: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for path in paths:
            if path not in self._has:
                self._has[path] = column_selects(
                    self.schema, frozenset(pq.read_schema(self.folder / path).names)
                )
            found[self._has[path]].append(path)
        return found

    def _dataset(self, paths: Iterable[str]) -> ds.Dataset:
        whole = arrow_schema(self.schema).append(pa.field(_DIGEST, pa.int64()))
        files = [str(self.folder / path) for path in paths]
        return ds.dataset(files, format="parquet", schema=whole)


def _by_day(rows: pa.Table, partition: str) -> Iterator[tuple[str, npt.NDArray[np.intp]]]:
    """Yield each UTC day's folder name and the places of its rows, in the batch's order."""
    if not rows.num_rows:
        return
    days = np.asarray(rows[partition].cast(pa.int64())) // DAY_US
    order = np.argsort(days, kind="stable")
    starts = np.flatnonzero(np.diff(days[order], prepend=days[order[0]] - 1))
    for places in np.split(order, starts[1:]):
        yield f"date={days[places[0]].astype('datetime64[D]')}", places


def _keys(
    batch: pa.Table, schema: TableSchema, places: npt.NDArray[np.intp]
) -> Iterator[tuple[object, ...]]:
    chosen = batch.select(list(schema.key)).take(pa.array(places))
    return zip(*(chosen[name].to_pylist() for name in schema.key), strict=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
