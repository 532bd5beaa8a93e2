"""The door of the API: bounded bodies, headers on every answer, problems, and the access log."""

from __future__ import annotations

import asyncio
import re
import secrets
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import msgspec
import structlog

from jinqiao.errors import InputError, JinqiaoError, Overloaded, ProtocolError, SchemaError
from jinqiao.faces.status import problem, status_of

__all__ = ["VERSION", "Door", "json_bytes", "logger_of", "problem_headers"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

VERSION = "2026-11-24"
"""The dated version of the API; a request may pin it by the same header."""
MOST_BYTES = 1 << 20
MOST_DEPTH = 32
BODY_S = 30.0
_SECURITY = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-store",
}
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"')
_NESTING = re.compile(rb"[\[\]{}]")


def json_bytes(value: object) -> bytes:
    """Return plain values as JSON."""
    return msgspec.json.encode(value)


def logger_of(level: str = "info") -> Any:
    """Return a logger that writes one JSON object a line to stderr, from ``level`` up."""
    names = ("debug", "info", "warning", "error")
    shown = set(names[names.index(level) :])

    def only(_: Any, method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        if method not in shown:
            raise structlog.DropEvent
        return event

    return structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr),
        processors=[
            only,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
    )


def problem_headers(error: JinqiaoError, state: dict[str, Any]) -> dict[str, str]:
    """Return the headers of a problem: who to be, or when to come back."""
    headers = {"content-type": "application/problem+json"}
    if status_of(error).http == 401:
        headers["www-authenticate"] = "Bearer"
    if isinstance(error, Overloaded):
        taken = state.get("taken")
        headers["retry-after"] = str(taken.retry_after_s if taken else 1)
    return headers


class Door:
    """An ASGI application around another."""

    def __init__(
        self, inner: Any, *, log: Any, seen: Callable[[str, str, int, float], None]
    ) -> None:
        self.inner = inner
        self.log = log
        self.seen = seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; everything but HTTP goes through."""
        if scope["type"] != "http":
            await self.inner(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["trace_id"] = f"req_{secrets.token_hex(12)}"
        began, told = time.perf_counter(), {"status": 500}

        async def reply(message: Message) -> None:
            if message["type"] == "http.response.start":
                told["status"] = message["status"]
                message["headers"] = _headers(message.get("headers", []), scope, state)
            await send(message)

        try:
            body = await _body(scope, receive)
            _pinned(scope)
        except JinqiaoError as error:
            status = 413 if error.field == "body" and "larger" in error.message else None
            await _refuse(error, state, reply, status)
        else:
            await self.inner(scope, _replayed(body, receive), reply)
        self._note(scope, state, told["status"], time.perf_counter() - began)

    def _note(self, scope: Scope, state: dict[str, Any], status: int, seconds: float) -> None:
        """Write one line: never a query, a header or a body, where secrets travel."""
        route = getattr(scope.get("route"), "path", None)
        path = route or ("(page)" if "endpoint" in scope else "(none)")
        self.seen(scope["method"], path, status, seconds)
        self.log.info(
            "request", trace_id=state["trace_id"], method=scope["method"], path=path,
            status=status, ms=round(seconds * 1000, 2), role=state.get("role", "nobody"),
            key_id=state.get("key_id"),
        )  # fmt: skip


def _headers(given: list[Any], scope: Scope, state: dict[str, Any]) -> list[Any]:
    """Return an answer's headers with ours where it has none of its own."""
    own = {name.lower() for name, _ in given}
    made = [(name, value) for name, value in _SECURITY.items() if name not in own]
    made += [
        (b"jinqiao-version", VERSION.encode()),
        (b"jinqiao-trace", state["trace_id"].encode()),
    ]
    if scope.get("scheme") == "https" and b"strict-transport-security" not in own:
        made.append((b"strict-transport-security", b"max-age=31536000"))
    taken = state.get("taken")
    if taken is not None:
        made += [
            (b"ratelimit-limit", str(taken.limit).encode()),
            (b"ratelimit-remaining", str(taken.left).encode()),
            (b"ratelimit-reset", str(taken.retry_after_s).encode()),
        ]
    return [*given, *made]


async def _body(scope: Scope, receive: Receive) -> bytes:
    """Return the whole body; raise InputError when it is too large, too slow or too deep."""
    headers = dict(scope["headers"])
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length) > MOST_BYTES:
        raise _large()
    parts: list[bytes] = []
    size = 0
    while True:
        try:
            message = await asyncio.wait_for(receive(), BODY_S)
        except TimeoutError:
            raise InputError("the body did not arrive in time", field="body") from None
        if message["type"] != "http.request":
            break
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MOST_BYTES:
            raise _large()
        if not message.get("more_body", False):
            break
    body = b"".join(parts)
    if b"json" in headers.get(b"content-type", b"") and too_deep(body):
        raise SchemaError(f"nested deeper than {MOST_DEPTH}", field="body")
    return body


def _large() -> InputError:
    return InputError(f"larger than {MOST_BYTES} bytes", field="body", fix="send less at once")


def too_deep(body: bytes) -> bool:
    """Return whether a JSON text nests deeper than MOST_DEPTH."""
    if body.count(b"[") + body.count(b"{") <= MOST_DEPTH:
        return False
    depth = 0
    for mark in _NESTING.findall(_TEXT.sub(b"", body)):
        depth += 1 if mark in b"[{" else -1
        if depth > MOST_DEPTH:
            return True
    return False


def _pinned(scope: Scope) -> None:
    asked = dict(scope["headers"]).get(b"jinqiao-version", b"").decode("latin-1").strip()
    if asked and asked != VERSION:
        raise ProtocolError(
            "no such version of this API", field="jinqiao-version", fix=f"use {VERSION}"
        )


def _replayed(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def _refuse(
    error: JinqiaoError, state: dict[str, Any], send: Send, status: int | None
) -> None:
    details = problem(error, state["trace_id"])
    if status is not None:
        details["status"] = status
    headers = [(k.encode(), v.encode()) for k, v in problem_headers(error, state).items()]
    await send({"type": "http.response.start", "status": details["status"], "headers": headers})
    await send({"type": "http.response.body", "body": json_bytes(details)})
