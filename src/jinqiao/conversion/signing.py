"""Click ids that only the operator can make, and that say when they expire.

An id is ``clk_`` and 39 characters: twelve bytes that depend on the click, the expiry in seconds,
and a tag over both. It carries no customer and no product, so two institutions cannot compare what
they were sent; the first twelve bytes still bind the id to its trace, position, customer, product.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass
from datetime import datetime

from jinqiao.conversion.clickout import ClickOut
from jinqiao.domain.ids import ClickId
from jinqiao.domain.time import from_us
from jinqiao.errors import Forbidden

__all__ = ["OpenedClick", "open_click", "sign_click"]

_PREFIX = "clk_"
_NAME, _EXPIRY, _TAG = 12, 5, 12


@dataclass(frozen=True, slots=True)
class OpenedClick:
    """A click id whose signature holds. ``expired``: the hold on its unit has passed."""

    click_id: ClickId
    expires_at: datetime
    expired: bool


def sign_click(key: bytes, out: ClickOut) -> ClickId:
    """Return the click id of a click-out; the same click-out gives the same id."""
    parts = (out.trace_id, out.position, out.customer_id, out.product_id, out.expires_us)
    text = "\x1f".join(map(str, parts))
    name = hmac.digest(key, b"click\x1e" + text.encode(), "sha256")[:_NAME]
    seconds = max(out.expires_us // 1_000_000, 0).to_bytes(_EXPIRY, "big")
    body = name + seconds + _tag(key, name + seconds)
    return ClickId(_PREFIX + base64.urlsafe_b64encode(body).rstrip(b"=").decode())


def open_click(key: bytes, click_id: str, *, now_us: int) -> OpenedClick:
    """Return what a click id says, after checking that this key signed it.

    Raises Forbidden for a forged or damaged id. An expired id is a value, not an error.
    """
    body = _body(click_id)
    name_and_expiry, tag = body[: _NAME + _EXPIRY], body[_NAME + _EXPIRY :]
    if len(body) != _NAME + _EXPIRY + _TAG or not hmac.compare_digest(
        tag, _tag(key, name_and_expiry)
    ):
        raise Forbidden("this click id was not made here", field="click_id")
    expires_us = int.from_bytes(name_and_expiry[_NAME:], "big") * 1_000_000
    return OpenedClick(ClickId(click_id), from_us(expires_us), now_us >= expires_us)


def _tag(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, b"tag\x1e" + body, "sha256")[:_TAG]


def _body(click_id: str) -> bytes:
    if not click_id.startswith(_PREFIX):
        return b""
    text = click_id[len(_PREFIX) :]
    try:
        body = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
    exact = base64.urlsafe_b64encode(body).rstrip(b"=").decode()
    return body if exact == text else b""
