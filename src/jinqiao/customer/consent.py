"""Consent: grants and withdrawals by purpose, each naming the exact words that were shown.

The statement made last (``occurred_at``) decides, whatever order they arrive in; at the same
instant a withdrawal wins. A statement dated after its own arrival counts from its arrival. A grant
that expired is no grant. Source: GB/T 35273-2020 §5.4, §8.4; PIPL articles 14, 15.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
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
    names = CONSENT_EVENTS.names
    columns = [_column(table.column(name)) for name in names]
    rows: list[dict[str, Any]] = []
    for values in zip(*columns, strict=True):
        row = dict(zip(names, values, strict=True))
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


def consent_state(
    tx: Tx, now_us: int, *, purpose: Purpose | None = None, heard_after_us: int | None = None
) -> pa.Table:
    """Return CONSENT_STATE at an instant: per customer and purpose, what the last statement said.

    Only statements received by then count, and only those about everything (scope "").
    ``purpose``: of this one alone. ``heard_after_us``: only customers whose state may have changed
    since that instant, by a statement received or a period that ended.
    """
    where: dict[str, Any] = {"scope": ""}
    if purpose is not None:
        where["purpose"] = purpose.value
    if heard_after_us is None:
        mapped = customer_map(tx)
        customer = dict(
            zip(mapped["subject_id"].to_pylist(), mapped["customer_id"].to_pylist(), strict=True)
        )
    else:
        customer = _heard(tx, where, heard_after_us, now_us)
        where["subject_id"] = list(customer)
    found = tx.find("consents", where, below={"received_at": now_us + 1}) if customer else []
    known = [row for row in found if row["subject_id"] in customer]
    rows = _Rows.of(known, [customer[row["subject_id"]] for row in known])
    return _state(rows, _deciding(rows), now_us)


def _heard(tx: Tx, where: Row, after_us: int, now_us: int) -> dict[str, str]:
    """Return subject → customer of everyone whose consent may have changed in (after, now]."""
    speaking: set[str] = set()
    for column in ("received_at", "expires_at"):
        span = ({column: after_us + 1}, {column: now_us + 1})
        for row in tx.find("consents", where, at_least=span[0], below=span[1]):
            speaking.add(row["subject_id"])
    living = tx.find("subjects", {"subject_id": sorted(speaking), "erased_at": None})
    customer: dict[str, str] = {}
    for row in living:
        if row["subject_id"] not in customer:
            group = members(tx, row["subject_id"])
            customer |= dict.fromkeys(group, group[0])
    return customer


@dataclass(frozen=True, slots=True)
class _Rows:
    """Statements as columns (n,): at = when they count from (µs), ends = expiry, 0 for never."""

    customers: Any
    purposes: Any
    at: Any
    withdrawn: Any
    ends: Any
    ids: Any
    texts: Any

    @classmethod
    def of(cls, rows: Sequence[Row], customers: Sequence[str]) -> _Rows:
        import numpy as np

        pick = itemgetter("purpose", "occurred_at", "received_at", "action", "expires_at",
                          "consent_id", "text_version")  # fmt: skip
        purposes, occurred, received, actions, expires, ids, texts = (
            zip(*map(pick, rows), strict=True) if rows else ((),) * 7
        )
        return cls(
            np.array(customers, dtype=object),
            np.array(purposes, dtype=object),
            np.minimum(np.array(occurred, np.int64), np.array(received, np.int64)),
            np.array(actions, dtype=object) == ConsentAction.WITHDRAW.value,
            np.array([end or 0 for end in expires], np.int64),
            np.array(ids, dtype=object),
            np.array(texts, dtype=object),
        )


def _deciding(rows: _Rows) -> Any:
    """Return the place of the last statement of each customer and purpose, in their order."""
    import numpy as np

    if not len(rows.at):
        return np.zeros(0, np.int64)
    _, who = np.unique(rows.customers, return_inverse=True)
    words, what = np.unique(rows.purposes, return_inverse=True)
    group = who * len(words) + what
    order = np.lexsort((rows.withdrawn, rows.at, group))
    last = np.append(np.diff(group[order]) != 0, True)
    deciding = order[last]
    same = (np.diff(group[order]) == 0) & (np.diff(rows.at[order]) == 0)
    tied = np.flatnonzero(same & (np.diff(rows.withdrawn[order]) == 0) & last[1:])
    ranks = np.cumsum(last)
    for end in tied:  # several at one instant: by consent id, so that any order agrees
        place = int(ranks[end])
        deciding[place] = _last_by_id(rows, order[: end + 2], group)
    return deciding


def _last_by_id(rows: _Rows, order: Any, group: Any) -> int:
    best = int(order[-1])
    for place in reversed(order[:-1].tolist()):
        if (group[place], rows.at[place], rows.withdrawn[place]) != (
            group[best], rows.at[best], rows.withdrawn[best],
        ):  # fmt: skip
            break
        if rows.ids[place] > rows.ids[best]:
            best = place
    return best


def _state(rows: _Rows, chosen: Any, now_us: int) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    ends, withdrawn = rows.ends[chosen], rows.withdrawn[chosen]
    over = ~withdrawn & (ends > 0) & (ends <= now_us)
    versions = [f"{t}:{i}" for t, i in zip(rows.texts[chosen], rows.ids[chosen], strict=True)]
    return tables.check(
        pa.table(
            {
                "customer_id": pa.array(rows.customers[chosen], pa.string()),
                "purpose": pa.array(rows.purposes[chosen], pa.string()),
                "granted": pa.array(~withdrawn & ~over),
                "consent_version": pa.array(versions, pa.string()),
                "since": pa.array(np.where(over, ends, rows.at[chosen]), pa.timestamp("us")),
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


_NAMED = itemgetter(
    "subject_id", "purpose", "action", "text_version", "occurred_at", "channel", "scope",
    "expires_at",
)  # fmt: skip
"""What a statement's id is of."""


def _consent_id(row: Row) -> str:
    return keyed_id("cns", *_NAMED(row))


def _rank(row: Row) -> tuple[int, bool, str]:
    effective = min(row["occurred_at"], row["received_at"])
    return (effective, row["action"] == ConsentAction.WITHDRAW, row["consent_id"])


def _stands(row: Row, now_us: int) -> bool:
    alive = row["expires_at"] is None or row["expires_at"] > now_us
    return bool(row["action"] == ConsentAction.GRANT and alive)


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
