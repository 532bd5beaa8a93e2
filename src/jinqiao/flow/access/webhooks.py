"""Signatures on postbacks: Standard Webhooks, HMAC-SHA256, two live secrets an institution."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jinqiao.domain.time import from_us
from jinqiao.errors import InputError, NotFound, Unauthenticated, Unavailable
from jinqiao.flow.access.keyring import Keyring
from jinqiao.store.base import Row, Tx

__all__ = [
    "TOLERANCE_S",
    "add_webhook_secret",
    "list_webhook_secrets",
    "revoke_webhook_secret",
    "sign_webhook",
    "verify_webhook",
]

TOLERANCE_S = 300
_LIVE = 2
_NONCE = 12


def add_webhook_secret(
    tx: Tx,
    keyring: Keyring,
    institution_id: str,
    *,
    now_us: int,
    entropy: Callable[[int], bytes] = secrets.token_bytes,
) -> str:
    """Return a new secret (``whsec_…``, shown once). The newest two live; older ones end now."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    secret = "whsec_" + base64.b64encode(entropy(32)).decode()
    nonce, secret_id = entropy(_NONCE), f"whs_{entropy(8).hex()}"
    bound = f"{institution_id}\x1f{secret_id}".encode()
    sealed = nonce + AESGCM(keyring.derived("webhooks")).encrypt(nonce, secret.encode(), bound)
    live = _live(tx, institution_id)
    for row in live[: max(len(live) + 1 - _LIVE, 0)]:
        tx.update("webhook_secrets", {"secret_id": row["secret_id"]}, {"revoked_at": now_us})
    new = {
        "secret_id": secret_id,
        "institution_id": institution_id,
        "sealed_secret": sealed,
        "created_at": now_us,
        "revoked_at": None,
    }
    tx.insert("webhook_secrets", [new])
    return secret


def revoke_webhook_secret(tx: Tx, secret_id: str, *, now_us: int) -> None:
    """End a secret now; raise NotFound when there is none of that id alive."""
    changed = tx.update(
        "webhook_secrets", {"secret_id": secret_id, "revoked_at": None}, {"revoked_at": now_us}
    )
    if not changed:
        raise NotFound("no such secret is alive", record=secret_id)


def list_webhook_secrets(tx: Tx, institution_id: str) -> list[dict[str, Any]]:
    """Return an institution's secrets, oldest first: ids and instants, never the secret."""
    rows = tx.find(
        "webhook_secrets", {"institution_id": institution_id}, order_by=("created_at", "secret_id")
    )
    return [{name: row[name] for name in row if name != "sealed_secret"} for row in rows]


def sign_webhook(secret: str, message_id: str, body: bytes, *, now_us: int) -> dict[str, str]:
    """Return the three headers that sign a body.

    >>> headers = sign_webhook("whsec_c2VjcmV0", "msg_1", b"{}", now_us=1_700_000_000_000_000)
    >>> headers["webhook-timestamp"]
    '1700000000'
    """
    seconds = now_us // 1_000_000
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": _signature(secret, message_id, seconds, body),
    }


def verify_webhook(
    tx: Tx,
    keyring: Keyring,
    institution_id: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    now_us: int,
) -> str:
    """Return the message id of a body that one of the institution's live secrets signed.

    Raises Unauthenticated for a missing header, a time more than five minutes off, or no signature
    that matches. ``body`` is exactly what came over the wire.
    """
    given = {name.lower(): value for name, value in headers.items()}
    message_id, stamp = given.get("webhook-id"), given.get("webhook-timestamp", "")
    signatures = given.get("webhook-signature", "").split()
    if not (message_id and message_id.isprintable() and stamp and signatures):
        raise _refused("three webhook headers are needed", "webhook-signature")
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        raise _refused("not a time in seconds", "webhook-timestamp")
    if abs(int(stamp) - now_us // 1_000_000) > TOLERANCE_S:
        raise _refused("more than five minutes off", "webhook-timestamp")
    if not institution_id.isprintable():
        raise _refused("no such institution", "institution_id")
    for secret in _secrets(tx, keyring, institution_id):
        expected = _signature(secret, message_id, int(stamp), body).encode()
        if any(hmac.compare_digest(expected, one.encode(errors="replace")) for one in signatures):
            return message_id
    raise _refused("no signature matches", "webhook-signature")


def _refused(message: str, name: str) -> Unauthenticated:
    return Unauthenticated(message, field=name, fix="see docs/how-to/send-postbacks.md")


def _signature(secret: str, message_id: str, seconds: int, body: bytes) -> str:
    from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook

    try:
        signer = Webhook(secret)
    except (EmptyWebhookSecretError, binascii.Error, ValueError) as error:
        raise InputError("not a webhook secret", field="secret") from error
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _refused("the body is not UTF-8", "body") from error
    return str(signer.sign(message_id, from_us(seconds * 1_000_000), text))


def _live(tx: Tx, institution_id: str) -> list[dict[str, Any]]:
    where = {"institution_id": institution_id, "revoked_at": None}
    return tx.find("webhook_secrets", where, order_by=("created_at", "secret_id"), lock=True)


def _secrets(tx: Tx, keyring: Keyring, institution_id: str) -> Iterator[str]:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    cipher = AESGCM(keyring.derived("webhooks"))
    where = {"institution_id": institution_id, "revoked_at": None}
    for row in tx.find("webhook_secrets", where, order_by=("-created_at", "secret_id")):
        yield _unsealed(cipher, row)


def _unsealed(cipher: Any, row: Row) -> str:
    from cryptography.exceptions import InvalidTag

    sealed = bytes(row["sealed_secret"])
    bound = f"{row['institution_id']}\x1f{row['secret_id']}".encode()
    try:
        return str(cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], bound).decode())
    except InvalidTag as error:
        raise Unavailable(
            "a webhook secret cannot be unsealed", record=row["secret_id"], fix="check master.key"
        ) from error
