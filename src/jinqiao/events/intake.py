"""Rows received: checked, refused rows kept, duplicates counted, the rest in the lake.

A batch goes in four steps, and a crash between any two of them is mended by the same batch again:
the refused rows' bodies are written; one durable transaction keeps their places and the batch's
counts (state ``writing``); the lake takes the rows whose key is new, all or none; the batch is
``done``. From the second step on the counts are what that transaction says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec

from jinqiao.domain.identity import IdentifierLink
from jinqiao.domain.ids import keyed_id
from jinqiao.domain.row_fault import RowFault
from jinqiao.domain.tables import TableSchema
from jinqiao.engines import tables
from jinqiao.errors import Conflict, InputError
from jinqiao.events.bodies import write_bodies
from jinqiao.events.received import FAULTS_SHOWN, RAW, Batch, Door, Received, total
from jinqiao.events.rules import check_rows
from jinqiao.events.segment import Messages, messages_of_body, read_messages
from jinqiao.events.values import Faults, table_of_rows
from jinqiao.store.base import Row

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "Checked",
    "accept_messages",
    "accept_table",
    "check_messages",
    "check_table",
    "commit",
    "commit_replayed",
]

BLOCK_ROWS = 100_000


@dataclass(slots=True)
class Checked:
    """A block after its check: ``main`` is a RAW_* table, ``faults`` tell which rows it loses.

    ``body`` gives the bytes to keep of a refused row; ``beside`` holds further (kind, table) whose
    rows belong to accepted main rows.
    """

    kind: str
    stored_kind: str
    main: pa.Table
    faults: Faults
    body: Callable[[int], bytes]
    beside: tuple[tuple[str, pa.Table], ...] = ()
    links: tuple[IdentifierLink, ...] = ()


def accept_messages(
    door: Door, batch: Batch, body: bytes | Sequence[Mapping[str, Any]]
) -> Received:
    """Return what became of Segment-style messages: a ``/v1/batch`` body, or messages as objects.

    Accepted messages are BEHAVIOUR rows; an identify's traits are ATTRIBUTES rows as well; who
    belongs together comes back as ``links``. Raises SchemaError when the body as a whole cannot be
    read; then nothing was taken.
    """
    if isinstance(body, bytes):
        bodies = messages_of_body(body)
    else:
        bodies = [msgspec.json.encode(message) for message in body]
    return commit(door, batch, check_messages(read_messages(bodies), batch.now_us))


def accept_table(door: Door, batch: Batch, kind: str, table: pa.Table) -> Received:
    """Return what became of a RAW_* table; ``kind`` is behaviour, transactions or attributes.

    Columns may come in any order; nullable ones may be absent. Taken in blocks of 100,000 rows,
    each all or none. Raises SchemaError when a column is missing, unknown or of another type.
    """
    raw, _ = _schemas(kind)
    tables.check(table.slice(0, 0), raw, record=batch.source)
    table = tables.check(table, _relaxed(raw), record=batch.source)
    if table.num_rows == 0:
        return total(())
    door = replace(door, subjects=_remembering(door.subjects))
    parts = []
    for number, start in enumerate(range(0, table.num_rows, BLOCK_ROWS)):
        block = table.slice(start, BLOCK_ROWS).combine_chunks()
        faults = Faults(start + 1, batch.source)
        checked = check_table(kind, block, faults, batch.now_us)
        parts.append(commit(door, batch.part(number), checked))
    return total(parts)


def _remembering(subjects: Callable[[pa.Array], pa.Array]) -> Callable[[pa.Array], pa.Array]:
    """Return the same resolver, asked only once for each user id."""
    import pyarrow as pa

    known: dict[str, str] = {}

    def resolved(user_ids: pa.Array) -> pa.Array:
        wanted = user_ids.to_pylist()
        new = [one for one in wanted if one not in known]
        if new:
            found = subjects(pa.array(new, pa.string()))
            known.update(zip(new, found.to_pylist(), strict=True))
        return pa.array([known[one] for one in wanted], pa.string())

    return resolved


def check_table(
    kind: str,
    block: pa.Table,
    faults: Faults,
    now_us: int,
    body: Callable[[int], bytes] | None = None,
) -> Checked:
    """Return a typed RAW_* block with every bad row marked."""
    raw, _ = _schemas(kind)
    check_rows(block, raw, now_us, faults)
    return Checked(kind, kind, block, faults, body or (lambda place: _row_body(block, place)))


def check_messages(read: Messages, now_us: int | Sequence[int]) -> Checked:
    """Return messages as a typed block; ``now_us`` is one arrival, or one per message."""
    arrivals = None if isinstance(now_us, int) else now_us
    latest = now_us if isinstance(now_us, int) else max(now_us)
    if arrivals is not None:
        for row, arrival in zip(read.behaviour, arrivals, strict=True):
            if row is not None:
                row["received_at"] = arrival
        for place, row in read.attributes:
            row["received_at"] = arrivals[place]
    behaviour = table_of_rows(read.behaviour, RAW["behaviour"][0], read.faults)
    check_rows(behaviour, RAW["behaviour"][0], latest, read.faults)
    attributes = _attributes(read, latest)
    links = tuple(link for place, link in read.links if place not in read.faults.found)
    return Checked(
        "messages",
        "behaviour",
        behaviour,
        read.faults,
        read.bodies.__getitem__,
        (("attributes", attributes),),
        links,
    )


def commit(door: Door, batch: Batch, checked: Checked) -> Received:
    """Carry one checked block through the four steps and return its counts."""
    return _carry(door, batch, checked, _refused_rows)


def commit_replayed(door: Door, batch: Batch, checked: Checked) -> Received:
    """The same for rows that were refused before: those refused again are not kept twice."""
    return _carry(door, batch, checked, lambda *_: [])


def _carry(
    door: Door,
    batch: Batch,
    checked: Checked,
    refused_rows: Callable[[Door, Batch, Checked], list[Row]],
) -> Received:
    good = _good_rows(checked)
    kept = _kept(door, batch)
    first_try = kept is None
    if kept is None:
        kept = _decide(door, batch, checked, (good, refused_rows))
    if kept["received"] != checked.main.num_rows:
        raise Conflict(
            f"the batch had {kept['received']} rows, now {checked.main.num_rows}",
            record=batch.batch_id,
            fix="give other content another batch id",
        )
    repeated = kept["state"] == "done"
    if not repeated:
        arrived = Batch(batch.batch_id, batch.source, kept["received_at"])
        written = _write(door, arrived, checked, good)
        first_written = first_try or written > 0  # else it may have been in the lake already
        counts = _counted(kept, written) if first_written else {}
        kept = {**kept, **counts, "state": "done"}
        with door.records.transaction(durable=True) as tx:
            tx.update("intake_batches", {"batch_id": batch.batch_id}, {**counts, "state": "done"})
    return Received(
        kept["received"],
        kept["accepted"],
        kept["rejected"],
        kept["duplicate"],
        tuple(checked.faults.found[place] for place in sorted(checked.faults.found)[:FAULTS_SHOWN]),
        checked.links,
        repeated,
    )


def _kept(door: Door, batch: Batch) -> Row | None:
    with door.records.reading() as tx:
        return tx.get("intake_batches", {"batch_id": batch.batch_id})


def _decide(
    door: Door,
    batch: Batch,
    checked: Checked,
    what: tuple[pa.Table, Callable[[Door, Batch, Checked], list[Row]]],
) -> Row:
    """Keep the refused rows and the counts, durably, before the lake is touched."""
    good, refused_rows = what
    _, schema = _schemas(checked.stored_kind)
    fresh = door.lake.known(schema, good.select(list(schema.key))).false_count
    rejected = len(checked.faults)
    row: dict[str, Any] = {
        "batch_id": batch.batch_id,
        "kind": checked.kind,
        "source": batch.source[:256],
        "received": checked.main.num_rows,
        "accepted": fresh,
        "rejected": rejected,
        "duplicate": checked.main.num_rows - rejected - fresh,
        "received_at": batch.now_us,
        "state": "writing",
    }
    refused = refused_rows(door, batch, checked)
    with door.records.transaction(durable=True) as tx:
        tx.insert_new("intake_rejects", refused)
        tx.insert_new("intake_batches", [row])
        kept = tx.get("intake_batches", {"batch_id": batch.batch_id})
    return kept or row


def _write(door: Door, batch: Batch, checked: Checked, good: pa.Table) -> int:
    """Append the good rows and what lies beside them; return how many good rows were new."""
    new = []
    for kind, table in ((checked.stored_kind, good), *checked.beside):
        if table.num_rows:
            _, schema = _schemas(kind)
            rows = _lake_rows(door, batch, schema, table)
            new.append(door.lake.append(schema, rows, batch_id=batch.batch_id).accepted)
    return new[0] if good.num_rows else 0


def _counted(kept: Row, written: int) -> dict[str, int]:
    """Return the counts when another batch brought some of the same rows in the meantime."""
    late = kept["accepted"] - written
    return {"accepted": written, "duplicate": kept["duplicate"] + late} if late > 0 else {}


def _lake_rows(door: Door, batch: Batch, schema: TableSchema, raw: pa.Table) -> pa.Table:
    """Return raw rows as the lake keeps them: subject for user, arrival filled in, memo sealed."""
    import pyarrow as pa
    import pyarrow.compute as pc

    subjects = _subjects(door, _array(raw, "user_id"))
    columns = []
    for column in schema.columns:
        if column.name == "subject_id":
            array = subjects
        elif column.name == "received_at":
            now = pa.scalar(batch.now_us, pa.timestamp("us"))
            array = pc.fill_null(_array(raw, "received_at"), now)
        elif column.name == "memo_cipher":
            array = _sealed(door, subjects, _array(raw, "memo"))
        else:
            array = _array(raw, column.name)
        columns.append(array)
    return pa.Table.from_arrays(columns, schema=tables.arrow_schema(schema))


def _subjects(door: Door, user_ids: pa.Array) -> pa.Array:
    import pyarrow as pa

    encoded = user_ids.dictionary_encode()
    resolved = door.subjects(encoded.dictionary)
    if isinstance(resolved, pa.ChunkedArray):
        resolved = resolved.combine_chunks()
    return resolved.take(encoded.indices)


def _sealed(door: Door, subjects: pa.Array, memos: pa.Array) -> pa.Array:
    import pyarrow as pa

    if memos.null_count == len(memos):
        return pa.nulls(len(memos), pa.binary())
    return door.seal_memos(subjects, memos)


def _array(table: pa.Table, name: str) -> pa.Array:
    column = table.column(name)
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _good_rows(checked: Checked) -> pa.Table:
    """Return the rows without a fault, the first of each key."""
    import numpy as np
    import pyarrow as pa

    _, schema = _schemas(checked.stored_kind)
    good = checked.main
    if checked.faults.found:
        keep = np.ones(good.num_rows, bool)
        keep[list(checked.faults.found)] = False
        good = good.filter(pa.array(keep))
    return _first_of_each(good, schema.key)


def _first_of_each(table: pa.Table, key: Sequence[str]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    if len(key) != 1:
        raise InputError("intake keys have one column", field=",".join(key))
    keys = _array(table, key[0])
    if pc.count_distinct(keys).as_py() == len(keys):
        return table
    places = pa.table({"key": keys, "place": pa.array(range(len(keys)), pa.int64())})
    first = places.group_by("key").aggregate([("place", "min")])["place_min"]
    return table.take(first.combine_chunks().sort())


def _refused_rows(door: Door, batch: Batch, checked: Checked) -> list[Row]:
    places = sorted(checked.faults.found)
    if not places:
        return []
    bodies = [checked.body(place) for place in places]
    lie = write_bodies(door.rejects, (batch.batch_id, batch.now_us), bodies, door.seal_body)
    owners = _array(checked.main, "user_id")
    keys = _array(checked.main, _schemas(checked.stored_kind)[1].key[0])
    rows: list[Row] = []
    for place, (file, offset, length) in zip(places, lie, strict=True):
        owner = owners[place].as_py()
        rows.append(
            {
                **_reason(batch, checked.kind, checked.faults.found[place]),
                "record_key": (keys[place].as_py() or "")[:256],
                "owner_digest": door.owner_digest(owner) if owner and owner.strip() else None,
                "body_file": file,
                "body_offset": offset,
                "body_length": length,
            }
        )
    return rows


def _reason(batch: Batch, kind: str, fault: RowFault) -> dict[str, Any]:
    return {
        "reject_id": keyed_id("rej", batch.batch_id, fault.row),
        "batch_id": batch.batch_id,
        "kind": kind,
        "source": batch.source[:256],
        "row_number": fault.row,
        "code": fault.code,
        "field": fault.field[:64],
        "numbers": dict(fault.numbers),
        "note": "",
        "status": "open",
        "received_at": batch.now_us,
        "replayed_at": None,
    }


def _row_body(block: pa.Table, place: int) -> bytes:
    """Return a row of a table as a JSON object, instants with their zone."""
    row = block.slice(place, 1).to_pylist()[0]
    texts = {k: f"{v.isoformat()}Z" if hasattr(v, "isoformat") else v for k, v in row.items()}
    return msgspec.json.encode({k: v for k, v in texts.items() if v is not None})


def _attributes(read: Messages, now_us: int) -> pa.Table:
    """Return the attribute rows of messages without fault; a bad one faults its whole message."""
    import pyarrow as pa

    raw, _ = RAW["attributes"]
    rows = [row for _, row in read.attributes]
    found = Faults()
    table = table_of_rows(rows, raw, found)
    check_rows(table, raw, now_us, found)
    for at, fault in found.found.items():
        name = str(rows[at]["attribute"])
        shown = f"traits.{name}" if name.replace("_", "").isalnum() and name.isascii() else "traits"
        read.faults.mark(read.attributes[at][0], fault.code, shown[:64], **fault.numbers)
    keep = [place not in read.faults.found for place, _ in read.attributes]
    return _first_of_each(table.filter(pa.array(keep, pa.bool_())), ("attribute_id",))


def _schemas(kind: str) -> tuple[TableSchema, TableSchema]:
    if kind not in RAW:
        raise InputError(f"no kind {kind!r}", field="kind", fix=f"use one of {', '.join(RAW)}")
    return RAW[kind]


def _relaxed(schema: TableSchema) -> TableSchema:
    """Return the schema with every column nullable: a missing value is one row's fault."""
    columns = tuple(replace(column, nullable=True) for column in schema.columns)
    return replace(schema, columns=columns)
