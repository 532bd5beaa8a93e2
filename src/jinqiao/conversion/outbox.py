"""Outcomes on their way to the lake: written with what caused them, handed over at least once.

``drain`` reads, the caller appends to the lake, ``mark_drained`` notes it. A crash between the last
two hands the same rows over again; the lake knows their ids and takes each once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jinqiao.domain.tables import OUTCOMES
from jinqiao.store.base import Row, Tx

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["OutcomeBatch", "drain", "mark_drained", "outcome_id", "outcome_row", "put"]

WITHDRAWN = -1
"""``sent_at`` of an outcome that was taken back before it left."""

_RANK: Mapping[str, int] = {"reached": 0, "refused": 1, "expired": 2, "reversed": 3}


@dataclass(frozen=True, slots=True)
class OutcomeBatch:
    """``rows`` has the columns of OUTCOMES; the same rows always have the same ``batch_id``."""

    batch_id: str
    outcome_ids: tuple[str, ...]
    rows: pa.Table


def drain(tx: Tx, *, limit: int = 100_000) -> OutcomeBatch | None:
    """Return at most ``limit`` outcomes the lake does not have yet, or None when it has all."""
    rows = tx.find("outcome_outbox", {"sent_at": None}, order_by=("outcome_id",), limit=limit)
    if not rows:
        return None
    ids = tuple(row["outcome_id"] for row in rows)
    digest = hashlib.sha256("\n".join(ids).encode()).hexdigest()[:32]
    return OutcomeBatch(f"outcomes_{digest}", ids, _table(rows))


def mark_drained(tx: Tx, batch: OutcomeBatch, *, now_us: int) -> None:
    """Note that the lake holds a batch."""
    tx.update("outcome_outbox", {"outcome_id": list(batch.outcome_ids)}, {"sent_at": now_us})


def put(tx: Tx, rows: Sequence[Row]) -> None:
    """Put outcome rows into the outbox; one that is there already stays as it is."""
    if rows:
        tx.insert_new("outcome_outbox", rows)


def outcome_id(occurred_us: int, polarity: str, *names: str) -> str:
    """Return an id that sorts by instant, then polarity: later verdicts sort after earlier ones."""
    digest = hashlib.sha256("\x1f".join(names).encode()).hexdigest()[:24]
    return f"out_{max(occurred_us, 0):014x}{_RANK.get(polarity, 0)}{digest}"


def outcome_row(
    click: Row, name: str, stage: str, polarity: str, occurred_us: int, received_us: int
) -> dict[str, Any]:
    """Return an outcome of a click row, to be filled with what only a report knows."""
    return {
        "outcome_id": name,
        "trace_id": click["trace_id"],
        "position": click["position"],
        "click_id": click["click_id"],
        "application_id": None,
        "customer_id": click["customer_id"],
        "product_id": click["product_id"],
        "institution_id": click["institution_id"],
        "stage": stage,
        "polarity": polarity,
        "occurred_at": occurred_us,
        "received_at": received_us,
        "amount_minor": None,
        "corrects": None,
        "sequence": 0,
        "sent_at": None,
    }


def _table(rows: Sequence[Row]) -> pa.Table:
    import pyarrow as pa

    types = {
        "int8": pa.int8(),
        "int32": pa.int32(),
        "int64": pa.int64(),
        "string": pa.string(),
        "timestamp": pa.timestamp("us"),
    }
    arrays = []
    for column in OUTCOMES.columns:
        values = [row[column.name] for row in rows]
        kind = types[column.type]
        wide = pa.int64() if column.type == "timestamp" else kind
        arrays.append(pa.array(values, wide).cast(kind))
    return pa.table(arrays, names=list(OUTCOMES.names))
