"""The contracts of the three stores. Rooms see these and nothing else of ``store``.

Lake: append-only columnar tables, read with SQL. Records: small, exact, transactional rows.
Snapshot: what serving needs, immutable, swapped atomically.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from jinqiao.domain.tables import TableSchema
from jinqiao.errors import Conflict

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["RETRY", "Appended", "Lake", "Records", "Row", "SnapshotStore", "Tx", "run_again"]

Row = Mapping[str, Any]
T = TypeVar("T")

RETRY = "transaction"
"""``Conflict.field`` of a transaction that lost a race and may simply run again."""


@dataclass(frozen=True, slots=True)
class Appended:
    """What an append did: rows written, and rows whose key was there already."""

    accepted: int
    duplicate: int


class Lake(Protocol):
    """Append-only tables partitioned by UTC day. A reader never sees half a batch."""

    def append(self, schema: TableSchema, batch: pa.Table, *, batch_id: str) -> Appended:
        """Write the rows whose key is new, all or none; the same ``batch_id`` again writes nothing.

        ``batch`` has exactly the columns of ``schema``. Raises StoreError when the disk refuses.
        """
        ...

    def known(self, schema: TableSchema, keys: pa.Table) -> pa.BooleanArray:
        """Return, per row of key columns, whether the lake holds that key already."""
        ...

    def query(
        self, sql: str, inputs: Mapping[str, pa.Table] | None = None, /, **params: object
    ) -> pa.Table:
        """Run SQL (DuckDB dialect, ``$name`` parameters) over lake tables and named inputs.

        Every table of ``domain.tables.LAKE_TABLES`` exists, empty or not.
        """
        ...

    def reader(
        self,
        sql: str,
        inputs: Mapping[str, pa.Table] | None = None,
        /,
        *,
        batch_rows: int = 65_536,
        **params: object,
    ) -> Iterator[pa.RecordBatch]:
        """The same, as record batches of bounded size."""
        ...

    def compact(self, schema: TableSchema, *, files_min: int = 2) -> int:
        """Merge each day that lies in ``files_min`` files or more into one; return files merged."""
        ...

    def write_features(self, as_of_us: int, version: str, features: pa.Table) -> Path:
        """Keep one feature snapshot (atomic; the same as-of and version again replaces it)."""
        ...

    def read_features(self, as_of_us: int, version: str) -> pa.Table | None:
        """Return the snapshot kept for exactly that as-of and version, or None."""
        ...

    def feature_as_ofs(self, version: str) -> tuple[int, ...]:
        """Return every as-of (µs) kept for a version, ascending."""
        ...

    def close(self) -> None:
        """Let go of what is open."""
        ...


class Tx(Protocol):
    """One transaction over the records tables (``store.schema``). Names are table and column names.

    ``where`` and ``key`` map a column to a value, or to a list of values (then: any of them), or to
    None (then: is null). JSON columns take and give plain Python values and are not compared.

    A verb that raises after it reached the rows (Conflict) dooms the transaction: only rolling back
    is left, in every store. ``insert_new`` is the way to meet a key that may be there. Values are
    checked first: SchemaError names the column of one that does not fit its type, and changes
    nothing.
    """

    def insert(self, table: str, rows: Sequence[Row]) -> None:
        """Insert rows; raise Conflict naming the key when one is there already."""
        ...

    def insert_new(self, table: str, rows: Sequence[Row]) -> list[bool]:
        """Insert the rows whose primary key is new; return, per row, whether it was."""
        ...

    def upsert(self, table: str, rows: Sequence[Row]) -> None:
        """Insert rows, or replace the non-key columns given of those whose key is there."""
        ...

    def get(self, table: str, key: Row, *, lock: bool = False) -> dict[str, Any] | None:
        """Return one row or None; ``lock`` holds it until the transaction ends."""
        ...

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
        """Return matching rows; ``-name`` sorts descending; ``at_least`` ≥ and ``below`` <.

        Null sorts before every value and meets no bound; the primary key breaks ties, so the order
        is always one. ``lock`` is for writing transactions.
        """
        ...

    def update(self, table: str, where: Row, changes: Row) -> int:
        """Change matching rows; return how many."""
        ...

    def add(self, table: str, key: Row, deltas: Mapping[str, int]) -> int:
        """Add whole numbers to columns of matching rows; return how many rows."""
        ...

    def delete(self, table: str, where: Row) -> int:
        """Delete matching rows (erasure and expired leases only); return how many."""
        ...

    def count(self, table: str, where: Row | None = None) -> int: ...

    def total(self, table: str, column: str, where: Row | None = None) -> int:
        """Return the whole-number sum of a column over matching rows (0 for none)."""
        ...


class Records(Protocol):
    """Exact rows. A transaction commits when its block ends, and rolls back on any exception."""

    def transaction(self, *, durable: bool = False) -> AbstractContextManager[Tx]:
        """Open a writing transaction (serialisable); ``durable`` waits for the disk.

        Raises Unavailable when the database cannot be reached, and Conflict with field ``RETRY``
        when another transaction won and this one must run again (see ``run_again``). A thread has
        one transaction open at a time.
        """
        ...

    def reading(self) -> AbstractContextManager[Tx]:
        """Open a consistent read-only view."""
        ...

    def migrate(self) -> str:
        """Bring the schema to the newest revision and return it."""
        ...

    def close(self) -> None:
        """Let go of what is open."""
        ...


def run_again(
    records: Records, work: Callable[[Tx], T], *, durable: bool = False, attempts: int = 20
) -> T:
    """Return what ``work`` returns inside a transaction, run again while another one wins.

    ``work`` must have no effect but through its transaction. Raises the last Conflict after
    ``attempts`` tries; the pause between two grows from about 1 to 50 ms.
    """
    spread = Random()  # noqa: S311  (only spreads the pauses of threads that lost together)
    for attempt in range(attempts):
        try:
            with records.transaction(durable=durable) as tx:
                return work(tx)
        except Conflict as error:
            if error.field != RETRY or attempt == attempts - 1:
                raise
            time.sleep((0.5 + spread.random()) * min(0.001 * 2**attempt, 0.05))
    raise AssertionError("unreachable: attempts is positive")


class SnapshotStore(Protocol):
    """Immutable, versioned, checksummed directories; one of them is current."""

    def publish(
        self,
        version: str,
        write: Callable[[Path], None],
        check: Callable[[Path], None],
    ) -> Path:
        """Let ``write`` fill a fresh directory, add checksums, run ``check``, make it current.

        When ``check`` raises, the new directory is dropped and the old one stays current.
        """
        ...

    def current(self) -> Path | None:
        """Return the current snapshot directory after verifying its manifest, or None."""
        ...

    def current_version(self) -> str | None:
        """Return the name of the current version, unverified: cheap enough to ask every second."""
        ...

    def version(self, version: str) -> Path | None:
        """Return a kept version's directory after verifying it, or None."""
        ...
