"""Stores in memory, for tests and small libraries: the same contracts, nothing on disk.

The records here are plain Python and share no statement with SQLite or PostgreSQL, so the law suite
that holds the three equal compares two minds and not one with itself.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from jinqiao.errors import Conflict, StoreError
from jinqiao.store.base import Row
from jinqiao.store.memory_lake import MemoryLake
from jinqiao.store.shape import Shape, shape_of, split_where

__all__ = ["MemoryLake", "MemoryRecords", "MemoryTx"]

Key = tuple[Any, ...]
Values = tuple[Any, ...]


class _Table:
    """Rows by key, and keys by the value of each indexed column."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.places = {name: place for place, name in enumerate(shape.fields)}
        self.key_places = tuple(self.places[name] for name in shape.key)
        self.rows: dict[Key, Values] = {}
        self.index: dict[str, dict[Any, dict[Key, None]]] = {name: {} for name in shape.indexed}

    def clone(self) -> _Table:
        other = _Table(self.shape)
        for key, row in self.rows.items():
            other.put(key, row)
        return other

    def put(self, key: Key, row: Values | None) -> Values | None:
        """Set or (None) remove a row; return what was there."""
        old = self.rows.pop(key, None)
        for name, keys in self.index.items():
            place = self.places[name]
            if old is not None:
                del keys[old[place]][key]
            if row is not None:
                keys.setdefault(row[place], {})[key] = None
        if row is not None:
            self.rows[key] = row
        return old

    def candidates(self, parts: Iterable[tuple[str, str, Any]]) -> Iterable[Key]:
        """Return keys that may match, narrowed by the first indexed column asked for."""
        for name, kind, value in parts:
            keys = self.index.get(name)
            if keys is None or kind not in ("eq", "null", "any"):
                continue
            wanted = {"eq": [value], "null": [None]}.get(kind, value)
            return [key for one in wanted for key in keys.get(one, ())]
        return list(self.rows)


class MemoryRecords:
    """The ``Records`` contract in memory: one writer at a time; readers keep the view they have."""

    def __init__(self) -> None:
        self._tables: dict[str, _Table] = {}
        self._gate = threading.Lock()
        self._count = threading.Lock()
        self._readers = 0
        self._thread = threading.local()

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[MemoryTx]:
        """Open a writing transaction; see ``store.base.Records``."""
        self._refuse_nesting()
        with self._gate:
            self._thread.writing = True
            tx = MemoryTx(self._tables, clone=self._readers > 0, writable=True)
            try:
                yield tx
                tx.finish()
            except BaseException:
                tx.undo()
                raise
            finally:
                self._thread.writing = False

    @contextmanager
    def reading(self) -> Iterator[MemoryTx]:
        """Open a consistent read-only view; see ``store.base.Records``."""
        self._refuse_nesting()
        with self._gate:
            view = dict(self._tables)
            with self._count:
                self._readers += 1
        try:
            yield MemoryTx(view, clone=False, writable=False)
        finally:
            with self._count:
                self._readers -= 1

    def migrate(self) -> str:
        """Return the revision; memory is always at the newest."""
        return "memory"

    def close(self) -> None:
        """Forget nothing; there is nothing to close."""

    def _refuse_nesting(self) -> None:
        if getattr(self._thread, "writing", False):
            raise StoreError(
                "this thread has a transaction open already", fix="hand the open one down instead"
            )


class MemoryTx:
    """The ``Tx`` contract; changes are made in place and undone from a log."""

    def __init__(self, tables: dict[str, _Table], *, clone: bool, writable: bool) -> None:
        self._tables = tables
        self._clone = clone
        self._writable = writable
        self._fresh: dict[str, _Table] = {}
        self._log: list[tuple[_Table, Key, Values | None]] = []
        self._failed = False

    def insert(self, table: str, rows: Sequence[Row]) -> None:
        store = self._store(table, write=True)
        for key, row in self._encoded(store, rows, store.shape.fields):
            if key in store.rows:
                self._conflict(store, store.shape.key, key)
            self._put(store, key, row)

    def insert_new(self, table: str, rows: Sequence[Row]) -> list[bool]:
        store = self._store(table, write=True)
        new = []
        for key, row in self._encoded(store, rows, store.shape.fields):
            new.append(key not in store.rows)
            if new[-1]:
                self._put(store, key, row)
        return new

    def upsert(self, table: str, rows: Sequence[Row]) -> None:
        store = self._store(table, write=True)
        encoded = self._encoded(store, rows, store.shape.fields)
        for given, (key, row) in zip(rows, encoded, strict=True):
            old = store.rows.get(key)
            if old is not None:
                row = tuple(
                    new if name in given else kept
                    for name, new, kept in zip(store.shape.fields, row, old, strict=True)
                )
            self._put(store, key, row)

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
        store = self._store(table, write=lock)
        keys = self._matching(store, where, at_least, below)
        for name in reversed((*order_by, *store.shape.key)):
            descending = name.startswith("-")
            store.shape.field(name.removeprefix("-"))
            place = store.places[name.removeprefix("-")]
            keys.sort(key=lambda key: _order(store.rows[key][place]), reverse=descending)
        return [_decoded(store, store.rows[key]) for key in keys[:limit]]

    def update(self, table: str, where: Row, changes: Row) -> int:
        store = self._store(table, write=True)
        values = store.shape.columns([changes], changes)
        new = {store.places[n]: v[0] for n, v in zip(changes, values, strict=True)}
        keys = self._matching(store, where)
        olds = [store.rows[key] for key in keys]
        moved = any(place in new for place in store.key_places)
        for key in keys if moved else ():
            self._put(store, key, None)
        for key, old in zip(keys, olds, strict=True):
            row = tuple(new.get(place, value) for place, value in enumerate(old))
            target = tuple(row[place] for place in store.key_places)
            if target != key and target in store.rows:
                self._conflict(store, store.shape.key, target)
            self._put(store, target, row)
        return len(keys)

    def add(self, table: str, key: Row, deltas: Mapping[str, int]) -> int:
        store = self._store(table, write=True)
        store.shape.columns([deltas], deltas)
        keys = self._matching(store, key)
        for found in keys:
            row = list(store.rows[found])
            for name, delta in deltas.items():
                row[store.places[name]] = (row[store.places[name]] or 0) + delta
                store.shape.field(name).check([row[store.places[name]]])
            self._put(store, found, tuple(row))
        return len(keys)

    def delete(self, table: str, where: Row) -> int:
        store = self._store(table, write=True)
        keys = self._matching(store, where)
        for key in keys:
            self._put(store, key, None)
        return len(keys)

    def count(self, table: str, where: Row | None = None) -> int:
        return len(self._matching(self._store(table), where))

    def total(self, table: str, column: str, where: Row | None = None) -> int:
        store = self._store(table)
        store.shape.whole(column)
        place = store.places[column]
        return sum(store.rows[key][place] or 0 for key in self._matching(store, where))

    def finish(self) -> None:
        """Keep the changes; raise StoreError when a verb failed and was passed over."""
        if self._failed:
            raise StoreError(
                "a transaction with a failed step cannot be kept", fix="let the error leave it"
            )
        self._log.clear()

    def undo(self) -> None:
        """Put every row back as it was."""
        for store, key, old in reversed(self._log):
            store.put(key, old)

    def _store(self, table: str, *, write: bool = False) -> _Table:
        if write and not self._writable:
            raise StoreError("a read-only view cannot write or lock", fix="open a transaction")
        if self._failed:
            raise StoreError("an earlier step of this transaction failed", record=table)
        store = self._tables.get(table) or _Table(shape_of(table))
        if write and table not in self._fresh:
            store = store.clone() if self._clone else store
            self._tables[table] = self._fresh[table] = store
        return store

    def _put(self, store: _Table, key: Key, row: Values | None) -> None:
        for names in store.shape.unique if row is not None else ():
            values = [(n, "eq", row[store.places[n]]) for n in names] if row is not None else []
            if any(value is None for _, _, value in values):
                continue
            others = [k for k in store.candidates(values) if _holds(store, k, values)]
            if any(other != key for other in others):
                self._conflict(store, names, tuple(value for _, _, value in values))
        self._log.append((store, key, store.put(key, row)))

    def _matching(
        self,
        store: _Table,
        where: Row | None,
        at_least: Row | None = None,
        below: Row | None = None,
    ) -> list[Key]:
        parts: list[tuple[str, str, Any]] = [
            (name, kind, dict.fromkeys(value) if kind == "any" else value)
            for name, kind, value in split_where(store.shape, where)
        ]
        parts += [(name, "ge", store.shape.one(name, v)) for name, v in (at_least or {}).items()]
        parts += [(name, "lt", store.shape.one(name, v)) for name, v in (below or {}).items()]
        return [key for key in store.candidates(parts) if _holds(store, key, parts)]

    def _encoded(
        self, store: _Table, rows: Sequence[Row], names: Iterable[str]
    ) -> list[tuple[Key, Values]]:
        if not rows:
            return []
        encoded = zip(*store.shape.columns(rows, names), strict=True)
        return [(tuple(row[place] for place in store.key_places), row) for row in encoded]

    def _conflict(self, store: _Table, names: Sequence[str], values: Sequence[Any]) -> None:
        self._failed = True
        shown = ", ".join(f"{n}={v!r}" for n, v in zip(names, values, strict=True))
        raise Conflict(f"there already: {shown}", record=store.shape.name, field=", ".join(names))


def _holds(store: _Table, key: Key, parts: Iterable[tuple[str, str, Any]]) -> bool:
    row = store.rows[key]
    for name, kind, wanted in parts:
        value = row[store.places[name]]
        if kind == "null":
            if value is not None:
                return False
        elif value is None:
            return False
        elif kind == "eq":
            if value != wanted:
                return False
        elif kind == "any":
            if value not in wanted:
                return False
        elif (value < wanted) if kind == "ge" else (value >= wanted):
            return False
    return True


def _order(value: Any) -> tuple[bool, Any]:
    return (value is not None, 0 if value is None else value)


def _decoded(store: _Table, row: Values) -> dict[str, Any]:
    found = dict(zip(store.shape.fields, row, strict=True))
    for name in store.shape.json_names:
        if found[name] is not None:
            found[name] = json.loads(found[name])
    return found
