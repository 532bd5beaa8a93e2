"""Refused rows tried again, as they were or mended; and forgotten when their owner is erased.

A replayed row keeps the arrival it had when it was refused, so a row that was mended gives the
state it would have given at first. What is refused again keeps its place and its first body.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from jinqiao.domain.ids import keyed_id
from jinqiao.errors import NotFound
from jinqiao.events.bodies import blank_body, read_body
from jinqiao.events.files import check_lines
from jinqiao.events.intake import Checked, commit_replayed
from jinqiao.events.received import Batch, Door, Received, total
from jinqiao.store.base import Row

__all__ = ["forget", "refused_bodies", "replay"]

OPEN = ("open", "refused_again")
_CHUNK = 500


def replay(
    door: Door,
    *,
    now_us: int,
    fixed: Mapping[str, Mapping[str, Any] | bytes] | None = None,
    only: Sequence[str] | None = None,
) -> Received:
    """Return what became of refused rows tried again.

    Parameters
    ----------
    now_us : when they are tried; their own arrival stays what it was.
    fixed : reject id → the mended row or message (an object, or its JSON bytes).
    only : the reject ids to try; all of ``fixed`` when absent, and all open ones without either.

    Raises NotFound when an id is no open refused row.
    """
    fixed = fixed or {}
    rows = _open_rows(door, only if only is not None else (list(fixed) or None))
    parts = []
    for kind in sorted({row["kind"] for row in rows}):
        some = [row for row in rows if row["kind"] == kind]
        parts.append(_tried(door, now_us, kind, (some, fixed)))
    return total(parts)


def refused_bodies(door: Door, reject_ids: Sequence[str]) -> dict[str, bytes]:
    """Return the opened bodies of refused rows, to be mended; raise NotFound for an unknown id."""
    return {row["reject_id"]: _body(door, row) for row in _open_rows(door, reject_ids)}


def forget(door: Door, owner_digests: Iterable[str]) -> int:
    """Return how many refused rows of these owners were erased, bodies overwritten on the disk."""
    count = 0
    wanted = list(owner_digests)
    for start in range(0, len(wanted), _CHUNK):
        some = wanted[start : start + _CHUNK]
        with door.records.reading() as tx:
            rows = tx.find("intake_rejects", {"owner_digest": some})
        for row in rows:
            if row["status"] != "erased":
                blank_body(door.rejects, _place(row))
        with door.records.transaction(durable=True) as tx:
            ids = [row["reject_id"] for row in rows if row["status"] != "erased"]
            if ids:
                count += tx.update(
                    "intake_rejects", {"reject_id": ids}, {"status": "erased", "record_key": ""}
                )
    return count


def _tried(
    door: Door,
    now_us: int,
    kind: str,
    what: tuple[Sequence[Row], Mapping[str, Mapping[str, Any] | bytes]],
) -> Received:
    rows, fixed = what
    lines = [_line(door, row, fixed) for row in rows]
    arrivals = [row["received_at"] for row in rows]
    tries = [(row["reject_id"], row["replayed_at"]) for row in rows]
    batch = Batch(keyed_id("try", kind, *tries, *lines), "replay", now_us)
    checked = check_lines(kind, lines, 1, batch, arrivals)
    received = commit_replayed(door, batch, checked)
    _settled(door, rows, checked, now_us)
    return received


def _settled(door: Door, rows: Sequence[Row], checked: Checked, now_us: int) -> None:
    refused = checked.faults.found
    done = [row["reject_id"] for place, row in enumerate(rows) if place not in refused]
    with door.records.transaction(durable=True) as tx:
        for start in range(0, len(done), _CHUNK):
            where = {"reject_id": done[start : start + _CHUNK]}
            tx.update("intake_rejects", where, {"status": "replayed", "replayed_at": now_us})
        for place, fault in refused.items():
            changes = {
                "status": "refused_again",
                "code": fault.code,
                "field": fault.field[:64],
                "numbers": dict(fault.numbers),
                "replayed_at": now_us,
            }
            tx.update("intake_rejects", {"reject_id": rows[place]["reject_id"]}, changes)


def _open_rows(door: Door, ids: Sequence[str] | None) -> list[dict[str, Any]]:
    with door.records.reading() as tx:
        if ids is None:
            return tx.find("intake_rejects", {"status": list(OPEN)}, order_by=["reject_id"])
        found: dict[str, dict[str, Any]] = {}
        for start in range(0, len(ids), _CHUNK):
            where = {"reject_id": list(ids[start : start + _CHUNK]), "status": list(OPEN)}
            found |= {row["reject_id"]: row for row in tx.find("intake_rejects", where)}
    for one in ids:
        if one not in found:
            raise NotFound(f"no open refused row {one!r}", record=one)
    return [found[one] for one in dict.fromkeys(ids)]


def _line(door: Door, row: Row, fixed: Mapping[str, Mapping[str, Any] | bytes]) -> bytes:
    mended = fixed.get(row["reject_id"])
    if mended is None:
        return _body(door, row)
    return mended if isinstance(mended, bytes) else msgspec.json.encode(mended)


def _body(door: Door, row: Row) -> bytes:
    return door.open_body(read_body(door.rejects, _place(row)))


def _place(row: Row) -> tuple[str, int, int]:
    return row["body_file"], row["body_offset"], row["body_length"]
