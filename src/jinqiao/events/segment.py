"""Segment-style messages, in or out of CloudEvents envelopes, read as raw rows.

Source: Segment spec (track, identify, alias, page; messageId, timestamp, sentAt), CloudEvents 1.0.
A device's clock is not corrected by ``sentAt``: a message delivered twice must give one row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from jinqiao.domain.identity import (
    ANONYMOUS_PREFIX,
    Identifier,
    IdentifierLink,
    owner_identifier,
)
from jinqiao.domain.ids import keyed_id
from jinqiao.errors import SchemaError
from jinqiao.events.rules import DIRECT_IDENTIFIERS
from jinqiao.events.values import Faults

__all__ = ["BODY_BYTES", "MESSAGES", "Messages", "messages_of_body", "read_messages"]

BODY_BYTES = 4 * 1024 * 1024
MESSAGE_BYTES = 32 * 1024
MESSAGES = 5_000
DEPTH = 8
TRAITS = 64

_TYPES = {"track": "track", "page": "page", "screen": "page", "identify": "identify",
          "alias": "alias"}  # fmt: skip
_CONTEXT = ("session_id", "channel", "scene", "source", "city_tier", "product_id", "amount_minor")
_LINKED = {"phone": "phone", "mobile": "phone", "phone_number": "phone", "email": "email",
           "id_card_digest": "id_card"}  # fmt: skip
_CAPITAL = re.compile(r"(?<=[a-z0-9])([A-Z])")


@dataclass(slots=True)
class Messages:
    """What a body's messages say: one behaviour row each (or None and a fault), and what follows.

    ``attributes`` holds (message's place, row) pairs; ``bodies`` the messages as they came.
    """

    bodies: list[bytes]
    faults: Faults
    behaviour: list[dict[str, Any] | None] = field(default_factory=list)
    attributes: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    links: list[tuple[int, IdentifierLink]] = field(default_factory=list)


def messages_of_body(body: bytes) -> list[bytes]:
    """Return the messages of a ``/v1/batch`` body, a JSON list, or one message, as they came.

    Raises SchemaError when the body is too large, too deep, too many or not JSON: then nothing of
    it is taken.
    """
    if len(body) > BODY_BYTES:
        raise SchemaError(
            f"the body has {len(body)} bytes", record="body", fix=f"send at most {BODY_BYTES}"
        )
    try:
        raw = _split(body)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise SchemaError(
            "the body is not JSON", record="body", fix='send {"batch": [message, …]}'
        ) from error
    if len(raw) > MESSAGES:
        raise SchemaError(
            f"the body has {len(raw)} messages", record="body", fix=f"send at most {MESSAGES}"
        )
    return raw


def read_messages(bodies: Sequence[bytes], *, first_row: int = 1, record: str = "") -> Messages:
    """Return what messages say; one that cannot be read has a fault and no row."""
    read = Messages(list(bodies), Faults(first_row, record))
    for place, body in enumerate(bodies):
        message = _decoded(body, place, read.faults)
        read.behaviour.append(None if message is None else _one(message, place, read))
    return read


def _split(body: bytes) -> list[bytes]:
    head = body.lstrip()[:1]
    if head == b"[":
        return [bytes(raw) for raw in msgspec.json.decode(body, type=list[msgspec.Raw])]
    if head != b"{":
        raise msgspec.DecodeError("neither a list nor an object")
    parts = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    if "batch" not in parts:
        return [body]
    return [bytes(raw) for raw in msgspec.json.decode(parts["batch"], type=list[msgspec.Raw])]


def _decoded(body: bytes, place: int, faults: Faults) -> dict[str, Any] | None:
    if len(body) > MESSAGE_BYTES:
        faults.mark(place, "intake_too_large", "message", limit=MESSAGE_BYTES)
        return None
    try:
        message = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        faults.mark(place, "intake_not_json", "message")
        return None
    if not isinstance(message, dict):
        faults.mark(place, "intake_not_an_object", "message")
        return None
    if _deeper(message, DEPTH):
        faults.mark(place, "intake_too_deep", "message", limit=DEPTH)
        return None
    return _unwrapped(message)


def _unwrapped(message: dict[str, Any]) -> dict[str, Any]:
    """Return the message inside a CloudEvents envelope, its gaps filled from the envelope."""
    if "specversion" not in message:
        return message
    data = message.get("data")
    inner: dict[str, Any] = dict(data) if isinstance(data, dict) else {}
    if inner.get("type") not in _TYPES:
        inner = {"type": "track", "event": _last(message.get("type")), "properties": inner}
    inner.setdefault("messageId", message.get("id"))
    inner.setdefault("timestamp", message.get("time"))
    if "userId" not in inner and "anonymousId" not in inner:
        inner["userId"] = message.get("subject")
    return inner


def _last(name: Any) -> Any:
    return name.rsplit(".", 1)[-1] if isinstance(name, str) else name


def _one(message: dict[str, Any], place: int, read: Messages) -> dict[str, Any] | None:
    kind = message.get("type")
    if not isinstance(kind, str) or kind not in _TYPES:
        read.faults.mark(place, "intake_unknown_word", "type", known=len(_TYPES))
        kind = "track"
    owner = _owner(message, place, read.faults)
    properties = _object(message, "properties", place, read.faults)
    traits = _object(message, "traits", place, read.faults)
    context = _object(message, "context", place, read.faults)
    row: dict[str, Any] = {
        "message_id": message.get("messageId"),
        "type": _TYPES[kind],
        "event": _event(kind, message),
        "user_id": owner,
        "occurred_at": _first(message, "timestamp", "originalTimestamp", "sentAt"),
    }
    found = {**_snaked(context), **_snaked(properties)}
    row |= {name: found[name] for name in _CONTEXT if name in found}
    kept = _kept(properties)
    if kept:
        row["properties"] = msgspec.json.encode(kept, order="sorted").decode()
    if owner is not None and isinstance(row["message_id"], str):
        _follow(message, row, traits if kind == "identify" else {}, (place, read))
    return row


def _owner(message: dict[str, Any], place: int, faults: Faults) -> str | None:
    for name, prefix in (("userId", ""), ("anonymousId", ANONYMOUS_PREFIX)):
        value = _id(message.get(name))
        if value is not None:
            if not prefix and value.startswith(ANONYMOUS_PREFIX):
                faults.mark(place, "intake_reserved", name, prefix=ANONYMOUS_PREFIX)
            return prefix + value
    faults.mark(place, "intake_missing", "userId")
    return None


def _id(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return value if isinstance(value, str) and value.strip() else None


def _event(kind: str, message: dict[str, Any]) -> Any:
    if kind == "track":
        return message.get("event")
    if kind in ("page", "screen"):
        return message.get("name") or message.get("event") or "page_viewed"
    return kind


def _first(message: Mapping[str, Any], *names: str) -> Any:
    return next((message[name] for name in names if message.get(name) is not None), None)


def _object(message: dict[str, Any], name: str, place: int, faults: Faults) -> dict[str, Any]:
    value = message.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        faults.mark(place, "intake_not_an_object", name)
        return {}
    return value


def _snake(name: str) -> str:
    return _CAPITAL.sub(r"_\1", name).lower()


def _snaked(values: Mapping[str, Any]) -> dict[str, Any]:
    return {_snake(key): value for key, value in values.items() if value is not None}


def _kept(value: Any) -> Any:
    """Return a value without what leads to a person, at any depth."""
    if isinstance(value, dict):
        return {k: _kept(v) for k, v in value.items() if _snake(k) not in DIRECT_IDENTIFIERS}
    if isinstance(value, list):
        return [_kept(item) for item in value]
    return value


def _follow(
    message: dict[str, Any], row: dict[str, Any], traits: dict[str, Any], at: tuple[int, Messages]
) -> None:
    """Add the attributes an identify gives, and the links any message states."""
    place, read = at
    known = owner_identifier(row["user_id"])
    for other in _others(message, known, traits):
        read.links.append((place, IdentifierLink(known, other, row["message_id"])))
    if len(traits) > TRAITS:
        read.faults.mark(place, "intake_too_many", "traits", limit=TRAITS)
        return
    for name, value in _snaked(traits).items():
        if name in DIRECT_IDENTIFIERS or name in _LINKED:
            continue
        read.attributes.append((place, _attribute(row, name, value)))


def _attribute(row: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    number = _number(value)
    return {
        "attribute_id": keyed_id("att", row["message_id"], name),
        "user_id": row["user_id"],
        "attribute": name,
        "number": number,
        "text": value if number is None else None,
        "occurred_at": row["occurred_at"],
    }


def _number(value: Any) -> float | None:
    if not isinstance(value, bool | int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _others(
    message: dict[str, Any], known: Identifier, traits: dict[str, Any]
) -> Iterable[Identifier]:
    device = _id(message.get("anonymousId"))
    if device is not None and known.kind == "login":
        yield Identifier("device", device)
    previous = _id(message.get("previousId"))
    if message.get("type") == "alias" and previous is not None and previous != known.value:
        yield Identifier("device" if previous == device else "login", previous)
    for name, value in _snaked(traits).items():
        text = _id(value)
        if name in _LINKED and text is not None:
            yield Identifier(_LINKED[name], text)


def _deeper(value: Any, depth: int) -> bool:
    """Return whether a JSON value nests deeper than ``depth``."""
    level = [value]
    for _ in range(depth):
        level = [
            child
            for one in level
            if isinstance(one, dict | list)
            for child in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return False
    return any(isinstance(one, dict | list) for one in level)
