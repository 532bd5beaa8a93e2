"""API keys: shown once, kept as a keyed digest, rotated with both alive for a while.

A key is ``pk_…`` (publishable), ``sk_…`` (operator) or ``ik_…`` (institution): its public id, a
dot, and 256 random bits. With that much chance in it a keyed hash is enough; a slow one would only
slow down every request.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from jinqiao.errors import InputError, NotFound, Unauthenticated
from jinqiao.flow.access.keyring import Keyring
from jinqiao.flow.access.principal import ACTIONS, Principal, Role
from jinqiao.store.base import Row, Tx

__all__ = ["IssuedKey", "create_key", "key_principal", "list_keys", "revoke_key", "rotate_key"]

_KEY_ID = re.compile(r"[psi]k_[0-9a-f]{16}", re.ASCII)
_PREFIXES = {Role.PUBLISHABLE: "pk", Role.OPERATOR: "sk", Role.INSTITUTION: "ik"}


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A key just made. ``secret`` is the whole key: it cannot be shown again."""

    key_id: str
    secret: str = field(repr=False)


def create_key(
    tx: Tx,
    keyring: Keyring,
    role: Role,
    *,
    now_us: int,
    institution_id: str | None = None,
    scopes: Iterable[str] = (),
    label: str = "",
    entropy: Callable[[int], bytes] = secrets.token_bytes,
) -> IssuedKey:
    """Return a new key. An institution's key names its institution; no other key does.

    Raises InputError for a role that has no keys, a missing institution, or an unknown scope.
    """
    if role not in _PREFIXES:
        raise InputError(f"a {role.value} has no keys", field="role")
    if (role == Role.INSTITUTION) != (institution_id is not None):
        raise InputError("only an institution's key names an institution", field="institution_id")
    wanted = sorted(set(scopes))
    unknown = [scope for scope in wanted if role not in ACTIONS.get(scope, {})]
    if unknown:
        raise InputError(f"a {role.value} cannot {unknown[0]!r}", field="scopes")
    key_id = f"{_PREFIXES[role]}_{entropy(8).hex()}"
    secret = f"{key_id}.{entropy(32).hex()}"
    row = {
        "key_id": key_id,
        "secret_digest": _digest(keyring, secret),
        "role": role.value,
        "institution_id": institution_id,
        "scopes": wanted,
        "label": label,
        "created_at": now_us,
        "expires_at": None,
        "revoked_at": None,
    }
    tx.insert("access_keys", [row])
    return IssuedKey(key_id, secret)


def rotate_key(
    tx: Tx, keyring: Keyring, key_id: str, *, now_us: int, overlap_us: int = 86_400_000_000
) -> IssuedKey:
    """Return a key that replaces another; the old one lives on for ``overlap_us`` (a day)."""
    row = _live(tx, key_id, now_us)
    issued = create_key(
        tx,
        keyring,
        Role(row["role"]),
        now_us=now_us,
        institution_id=row["institution_id"],
        scopes=row["scopes"],
        label=row["label"],
    )
    tx.update("access_keys", {"key_id": key_id}, {"expires_at": now_us + overlap_us})
    return issued


def revoke_key(tx: Tx, key_id: str, *, now_us: int) -> None:
    """End a key now; raise NotFound when there is no such key. Revoking twice changes nothing."""
    if tx.get("access_keys", {"key_id": key_id}) is None:
        raise NotFound("no such key", record=key_id)
    tx.update("access_keys", {"key_id": key_id, "revoked_at": None}, {"revoked_at": now_us})


def list_keys(tx: Tx, institution_id: str | None = None) -> list[dict[str, Any]]:
    """Return every key (or an institution's), oldest first, without its digest."""
    where = None if institution_id is None else {"institution_id": institution_id}
    rows = tx.find("access_keys", where, order_by=("created_at", "key_id"))
    return [{name: row[name] for name in row if name != "secret_digest"} for row in rows]


def key_principal(tx: Tx, keyring: Keyring, secret: str, *, now_us: int) -> Principal:
    """Return whose key this is; raise Unauthenticated for any that is not alive."""
    key_id = secret.partition(".")[0]
    row = tx.get("access_keys", {"key_id": key_id}) if _KEY_ID.fullmatch(key_id) else None
    digest = _digest(keyring, secret)
    stored = row["secret_digest"] if row else "0" * len(digest)
    if not hmac.compare_digest(stored, digest) or row is None or not _alive(row, now_us):
        raise Unauthenticated("this key is not valid", field="authorization")
    return Principal(
        Role(row["role"]),
        institution_id=row["institution_id"],
        scopes=frozenset(row["scopes"]),
        key_id=key_id,
    )


def _live(tx: Tx, key_id: str, now_us: int) -> dict[str, Any]:
    row = tx.get("access_keys", {"key_id": key_id})
    if row is None or not _alive(row, now_us):
        raise NotFound("no such key is alive", record=key_id)
    return row


def _alive(row: Row, now_us: int) -> bool:
    ends = [at for at in (row["expires_at"], row["revoked_at"]) if at is not None]
    return all(now_us < at for at in ends)


def _digest(keyring: Keyring, secret: str) -> str:
    return hmac.digest(keyring.derived("keys"), secret.encode(errors="replace"), "sha256").hex()
