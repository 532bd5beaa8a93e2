"""Keys, sessions and webhook secrets at the desk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jinqiao.errors import InputError, NotFound
from jinqiao.flow import access
from jinqiao.flow.desk import instants
from jinqiao.flow.wiring import Engine

if TYPE_CHECKING:
    from jinqiao.store.base import Tx

__all__ = [
    "NewSession",
    "key_create",
    "key_list",
    "key_revoke",
    "key_rotate",
    "new_session",
    "signed_headers",
]

ROLES = ("operator", "institution", "publishable", "webhook")


@dataclass(frozen=True, slots=True)
class NewSession:
    """A customer's session just made; ``token`` is shown to nobody but the operator's server."""

    token: str = field(repr=False)
    customer_id: str
    expires_in_s: int


def key_create(
    engine: Engine, role: str, *, institution_id: str | None = None, scopes: Sequence[str] = (),
    label: str = "",
) -> dict[str, Any]:  # fmt: skip
    """Return a new key, shown this once; role ``webhook`` is an institution's signing secret.

    Raises InputError for an unknown role or scope, NotFound for an unknown institution.
    """
    if role not in ROLES:
        raise InputError(f"no such role: {role!r}", field="role", fix=f"one of {', '.join(ROLES)}")
    if institution_id is not None and engine.catalog().institution(institution_id) is None:
        raise NotFound(
            "no such institution", record=institution_id, fix="see `jinqiao catalog list`"
        )
    now = engine.clock()

    def step(tx: Tx) -> dict[str, Any]:
        if role == "webhook":
            if institution_id is None:
                raise InputError("whose secret?", field="institution", fix="--institution ID")
            secret = access.add_webhook_secret(tx, engine.keyring, institution_id, now_us=now)
            newest = access.list_webhook_secrets(tx, institution_id)[-1]
            return {"key_id": newest["secret_id"], "secret": secret}
        made = access.create_key(
            tx, engine.keyring, access.Role(role), now_us=now, institution_id=institution_id,
            scopes=scopes, label=label,
        )  # fmt: skip
        return {"key_id": made.key_id, "secret": made.secret}

    found: Any = engine.write(step, durable=True)
    return {**found, "role": role, "institution_id": institution_id}


def key_list(engine: Engine, institution_id: str | None = None) -> list[dict[str, Any]]:
    """Return every key and webhook secret, oldest first; never the secret itself."""
    with engine.records.reading() as tx:
        rows = access.list_keys(tx, institution_id)
        where = None if institution_id is None else {"institution_id": institution_id}
        names = sorted({row["institution_id"] for row in tx.find("webhook_secrets", where)})
        hooks = [row for name in names for row in access.list_webhook_secrets(tx, name)]
    keys = [instants(row) for row in rows]
    secrets = [
        {
            "key_id": row["secret_id"], "role": "webhook", "institution_id": row["institution_id"],
            "scopes": [], "label": "", "created_at": row["created_at"], "expires_at": None,
            "revoked_at": row["revoked_at"],
        }
        for row in map(instants, hooks)
    ]  # fmt: skip
    return keys + secrets


def key_revoke(engine: Engine, key_id: str) -> None:
    """End a key or a webhook secret now; raise NotFound when there is none of that id."""
    now = engine.clock()

    def step(tx: Tx) -> None:
        if key_id.startswith("whs_"):
            access.revoke_webhook_secret(tx, key_id, now_us=now)
        else:
            access.revoke_key(tx, key_id, now_us=now)

    engine.write(step, durable=True)


def key_rotate(engine: Engine, key_id: str, *, overlap_hours: int = 24) -> dict[str, Any]:
    """Return the key that replaces another; the old one lives on for some hours."""
    now = engine.clock()

    def step(tx: Tx) -> access.IssuedKey:
        overlap = overlap_hours * 3_600_000_000
        return access.rotate_key(tx, engine.keyring, key_id, now_us=now, overlap_us=overlap)

    made = engine.write(step, durable=True)
    assert isinstance(made, access.IssuedKey)
    return {"key_id": made.key_id, "secret": made.secret, "replaces": key_id}


def new_session(engine: Engine, user_id: str, *, hours: int | None = None) -> NewSession:
    """Return a signed session for one of the operator's logins; a new login becomes a customer."""
    from jinqiao.flow.people import register_login

    length = engine.settings.serve.session_hours if hours is None else hours
    issued = access.issue_session(engine.keyring, user_id, now_us=engine.clock(), hours=length)
    return NewSession(issued.token, register_login(engine, user_id), issued.expires_in_s)


def signed_headers(secret: str, body: bytes) -> dict[str, str]:
    """Return the headers that sign a body as an institution would, now."""
    from secrets import token_hex

    from jinqiao.flow.wiring import system_clock

    return access.sign_webhook(secret, f"msg_{token_hex(12)}", body, now_us=system_clock())
