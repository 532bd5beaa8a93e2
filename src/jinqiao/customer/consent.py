"""Consent: grants and withdrawals by purpose, each naming the exact words that were shown.

The statement made last (``occurred_at``) decides, whatever order they arrive in; at the same
instant a withdrawal wins. A statement dated after its own arrival counts from its arrival. A grant
that expired is no grant. Source: GB/T 35273-2020 §5.4, §8.4; PIPL articles 14, 15.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jinqiao.customer.merging import customer_map, members
from jinqiao.customer.wording import newest_text, text_digests
from jinqiao.domain.consent import ConsentAction, ConsentEvent, Purpose
from jinqiao.domain.decision import Decision, Reason
from jinqiao.domain.ids import SubjectId, keyed_id
from jinqiao.domain.tables import CONSENT_EVENTS, CONSENT_STATE
from jinqiao.domain.time import from_us, to_us
from jinqiao.engines import tables
from jinqiao.errors import NotFound, SchemaError
from jinqiao.store.base import Row, Tx

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "Said",
    "consent_allows",
    "consent_state",
    "consents",
    "grant",
    "record_consents",
    "record_consents_table",
    "withdraw",
]


@dataclass(frozen=True, slots=True)
class Said:
    """How a customer said it. ``text_version`` "" is the newest text of the purpose."""

    occurred_at: datetime
    received_at: datetime
    channel: str = "web"
    scope: str = ""
    expires_at: datetime | None = None
    text_version: str = ""


def grant(tx: Tx, subject_id: str, purpose: Purpose, said: Said) -> ConsentEvent:
    """Return the grant as recorded; the same grant again changes nothing.

    Raises NotFound for a subject or text version that is not there.
    """
    return _single(tx, subject_id, purpose, ConsentAction.GRANT, said)


def withdraw(tx: Tx, subject_id: str, purpose: Purpose, said: Said) -> ConsentEvent:
    """Return the withdrawal as recorded; it needs no earlier grant."""
    return _single(tx, subject_id, purpose, ConsentAction.WITHDRAW, said)


def record_consents(tx: Tx, events: Iterable[ConsentEvent]) -> int:
    """Return how many of the events are new; ``consent_id`` "" is given its keyed id.

    Raises NotFound for a text version that was never published.
    """
    rows = [_row(event) for event in events]
    return _recorded(tx, rows)


def record_consents_table(tx: Tx, table: pa.Table) -> int:
    """Return how many rows of a CONSENT_EVENTS table are new."""
    table = tables.check(table, CONSENT_EVENTS)
    columns = [_column(table.column(name)) for name in CONSENT_EVENTS.names]
    rows: list[dict[str, Any]] = []
    for values in zip(*columns, strict=True):
        row = dict(zip(CONSENT_EVENTS.names, values, strict=True))
        _known_words(row)
        row["text_version"] = row["text_version"] or newest_text(row["purpose"]).version
        row["channel"] = row["channel"] or "web"
        row["scope"] = row["scope"] or ""
        row["consent_id"] = _consent_id(row)
        rows.append(row)
    return _recorded(tx, rows)


def consents(tx: Tx, customer_id: str) -> tuple[ConsentEvent, ...]:
    """Return every statement of a customer (all merged subjects), in the order they were made."""
    rows = tx.find("consents", {"subject_id": list(members(tx, customer_id))})
    rows.sort(key=lambda row: (row["occurred_at"], row["consent_id"]))
    return tuple(_event(row) for row in rows)


def consent_state(tx: Tx, now_us: int) -> pa.Table:
    """Return CONSENT_STATE at an instant: per customer and purpose, what the last statement said.

    Only statements received by then count, and only those about everything (scope "").
    """
    import pyarrow as pa

    mapped = customer_map(tx)
    customer = dict(
        zip(mapped["subject_id"].to_pylist(), mapped["customer_id"].to_pylist(), strict=True)
    )
    last: dict[tuple[str, str], Row] = {}
    for row in tx.find("consents", {"scope": ""}, below={"received_at": now_us + 1}):
        customer_id = customer.get(row["subject_id"])
        if customer_id is not None:
            key = (customer_id, row["purpose"])
            held = last.get(key)
            if held is None or _rank(row) > _rank(held):
                last[key] = row
    keys = sorted(last)
    rows = [last[key] for key in keys]
    return tables.check(
        pa.table(
            {
                "customer_id": pa.array([key[0] for key in keys], pa.string()),
                "purpose": pa.array([key[1] for key in keys], pa.string()),
                "granted": pa.array([_stands(row, now_us) for row in rows], pa.bool_()),
                "consent_version": pa.array([_version(row) for row in rows], pa.string()),
                "since": pa.array([_since(row, now_us) for row in rows], pa.timestamp("us")),
            }
        ),
        CONSENT_STATE,
    )


def consent_allows(
    tx: Tx, customer_id: str, purpose: Purpose, now_us: int, *, scope: str = ""
) -> Decision:
    """Return whether a purpose is consented to now, for everything or for one scope.

    A statement about the very scope and one about everything count alike: the last one decides.
    """
    subjects = list(members(tx, customer_id))
    rows = tx.find(
        "consents",
        {"subject_id": subjects, "purpose": purpose.value, "scope": sorted({"", scope})},
        below={"received_at": now_us + 1},
    )
    if not rows:
        return _refused("consent_missing", purpose)
    decider = max(rows, key=_rank)
    if decider["action"] == ConsentAction.WITHDRAW:
        return _refused("consent_withdrawn", purpose)
    if not _stands(decider, now_us):
        return _refused("consent_expired", purpose)
    reason = Reason("consent_stands", {"purpose": purpose.value, "version": _version(decider)})
    return Decision(True, "consent", (reason,))


def _refused(code: str, purpose: Purpose) -> Decision:
    return Decision(False, "consent", (Reason(code, {"purpose": purpose.value}),))


def _single(
    tx: Tx, subject_id: str, purpose: Purpose, action: ConsentAction, said: Said
) -> ConsentEvent:
    kept = tx.get("subjects", {"subject_id": subject_id})
    if kept is None or kept["erased_at"] is not None:
        raise NotFound(f"no subject {subject_id!r}", record=subject_id)
    event = ConsentEvent(
        consent_id="",
        subject_id=SubjectId(subject_id),
        purpose=purpose,
        action=action,
        text_version=said.text_version or newest_text(purpose).version,
        occurred_at=said.occurred_at,
        received_at=said.received_at,
        channel=said.channel,
        scope=said.scope,
        expires_at=said.expires_at,
    )
    row = _row(event)
    _recorded(tx, [row])
    return _event(row)


def _row(event: ConsentEvent) -> dict[str, Any]:
    row: dict[str, Any] = {
        "subject_id": event.subject_id,
        "purpose": event.purpose.value,
        "action": event.action.value,
        "text_version": event.text_version,
        "occurred_at": to_us(event.occurred_at),
        "received_at": to_us(event.received_at),
        "channel": event.channel,
        "scope": event.scope,
        "expires_at": to_us(event.expires_at) if event.expires_at else None,
    }
    row["consent_id"] = event.consent_id or _consent_id(row)
    return row


def _recorded(tx: Tx, rows: Sequence[dict[str, Any]]) -> int:
    digests = text_digests(tx)
    for row in rows:
        digest = digests.get(row["text_version"])
        if digest is None:
            raise NotFound(
                f"no consent text {row['text_version']!r}",
                field="text_version",
                fix="publish the text before it is agreed to",
            )
        row["text_digest"] = digest
    return sum(tx.insert_new("consents", rows))


def _consent_id(row: Row) -> str:
    parts = ("subject_id", "purpose", "action", "text_version", "occurred_at", "channel", "scope")
    return keyed_id("cns", *(row[part] for part in parts), row["expires_at"])


def _rank(row: Row) -> tuple[int, bool, str]:
    effective = min(row["occurred_at"], row["received_at"])
    return (effective, row["action"] == ConsentAction.WITHDRAW, row["consent_id"])


def _stands(row: Row, now_us: int) -> bool:
    alive = row["expires_at"] is None or row["expires_at"] > now_us
    return bool(row["action"] == ConsentAction.GRANT and alive)


def _since(row: Row, now_us: int) -> int:
    if row["action"] == ConsentAction.GRANT and not _stands(row, now_us):
        return int(row["expires_at"])
    return int(min(row["occurred_at"], row["received_at"]))


def _version(row: Row) -> str:
    return f"{row['text_version']}:{row['consent_id']}"


def _event(row: Row) -> ConsentEvent:
    return ConsentEvent(
        consent_id=row["consent_id"],
        subject_id=SubjectId(row["subject_id"]),
        purpose=Purpose(row["purpose"]),
        action=ConsentAction(row["action"]),
        text_version=row["text_version"],
        occurred_at=from_us(row["occurred_at"]),
        received_at=from_us(row["received_at"]),
        channel=row["channel"],
        scope=row["scope"],
        expires_at=None if row["expires_at"] is None else from_us(row["expires_at"]),
    )


def _known_words(row: Row) -> None:
    for field, words in (("purpose", _PURPOSES), ("action", _ACTIONS)):
        if row[field] not in words:
            raise SchemaError(
                f"{row[field]!r} is no {field}", field=field, fix=f"use {', '.join(sorted(words))}"
            )


def _column(column: pa.ChunkedArray) -> list[Any]:
    import pyarrow as pa

    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    values: list[Any] = column.to_pylist()
    return values


_PURPOSES = frozenset(purpose.value for purpose in Purpose)
_ACTIONS = frozenset(action.value for action in ConsentAction)
