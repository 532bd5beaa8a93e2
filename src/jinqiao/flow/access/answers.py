"""Answers kept under an ``Idempotency-Key``: a retried request is answered, not repeated."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from jinqiao.errors import Conflict, InputError
from jinqiao.flow.access.principal import Principal
from jinqiao.store.base import Tx

__all__ = ["Answer", "answer_once", "drop_answers"]

KEPT_US = 86_400_000_000
_LONGEST = 128


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered: an HTTP status and a JSON body. ``repeated``: it was kept from before."""

    status: int
    body: object
    repeated: bool = False


def answer_once(
    tx: Tx,
    principal: Principal,
    idempotency_key: str,
    request: bytes,
    work: Callable[[], Answer],
    *,
    now_us: int,
) -> Answer:
    """Return the answer to a request, doing the work at most once within a day.

    ``request`` is everything that makes the request itself (method, path, body). ``work`` runs in
    this transaction; an error it raises keeps nothing. Raises Conflict when the key was used for
    another request, InputError for a key that is not 1 to 128 printable characters.
    """
    if not (0 < len(idempotency_key) <= _LONGEST and idempotency_key.isprintable()):
        raise InputError(f"1 to {_LONGEST} printable characters", field="idempotency-key")
    digest = hashlib.sha256(request).hexdigest()
    place = {"principal": principal.name[:160], "idempotency_key": idempotency_key}
    kept = tx.get("kept_answers", place, lock=True)
    if kept is not None and now_us < kept["expires_at"]:
        if kept["request_digest"] != digest:
            raise Conflict(
                "this Idempotency-Key was used for another request",
                record=idempotency_key,
                field="idempotency-key",
                fix="use a new key for a new request",
            )
        return Answer(kept["status"], kept["body"]["value"], repeated=True)
    answer = work()
    row = {
        **place,
        "request_digest": digest,
        "status": answer.status,
        "body": {"value": answer.body},
        "created_at": now_us,
        "expires_at": now_us + KEPT_US,
    }
    tx.upsert("kept_answers", [row])
    return answer


def drop_answers(tx: Tx, *, now_us: int) -> int:
    """Delete the answers whose day is over; return how many."""
    over = tx.find("kept_answers", below={"expires_at": now_us + 1}, limit=10_000)
    for row in over:
        key = {name: row[name] for name in ("principal", "idempotency_key")}
        tx.delete("kept_answers", key)
    return len(over)
