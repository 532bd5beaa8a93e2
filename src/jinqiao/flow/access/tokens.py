"""Signed, expiring tokens: a customer's session, an institution's OAuth 2 access token.

Both are JWTs (HS256) with an audience of their own, so that neither passes for the other.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from jinqiao.errors import Forbidden, InputError, Unauthenticated
from jinqiao.flow.access.keyring import Keyring
from jinqiao.flow.access.keys import key_principal
from jinqiao.flow.access.principal import ACTIONS, NOBODY, Principal, Role
from jinqiao.store.base import Tx

__all__ = ["IssuedToken", "issue_session", "issue_token", "open_session", "principal_of"]

_ISSUER = "jinqiao"
_CUSTOMER, _INSTITUTION = "jinqiao:customer", "jinqiao:institution"
_TOKEN_SECONDS = 900
_SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A bearer token and how long it lives."""

    token: str = field(repr=False)
    expires_in_s: int
    scopes: tuple[str, ...] = ()


def issue_session(
    keyring: Keyring,
    user_id: str,
    *,
    now_us: int,
    hours: int = 12,
    scopes: tuple[str, ...] = (),
    entropy: Callable[[int], bytes] = secrets.token_bytes,
) -> IssuedToken:
    """Return a customer's session for one of the operator's logins.

    Raises InputError for an empty login, or a scope a customer cannot have.
    """
    if not user_id.strip() or len(user_id) > 256:
        raise InputError("a session is for one login of 1 to 256 characters", field="user_id")
    unknown = [scope for scope in scopes if Role.CUSTOMER not in ACTIONS.get(scope, {})]
    if unknown:
        raise InputError(f"a customer cannot {unknown[0]!r}", field="scopes")
    seconds = hours * 3600
    claims = {"sub": user_id, "scope": " ".join(scopes), "jti": entropy(12).hex()}
    return IssuedToken(_signed(keyring, _CUSTOMER, claims, now_us, seconds), seconds, scopes)


def open_session(keyring: Keyring, token: str, *, now_us: int) -> Principal:
    """Return the customer a session was issued for (``user_id``; resolve it before use).

    Raises Unauthenticated for a token that is forged, expired, or for something else.
    """
    claims = _opened(keyring, _CUSTOMER, token, now_us)
    return Principal(Role.CUSTOMER, user_id=claims["sub"], scopes=_scopes(claims))


def issue_token(
    tx: Tx,
    keyring: Keyring,
    client_id: str,
    client_secret: str,
    *,
    now_us: int,
    scope: str = "",
) -> IssuedToken:
    """Return an institution's access token (OAuth 2 client credentials, 15 minutes).

    ``client_id`` is the id of an ``ik_`` key and ``client_secret`` the key. ``scope`` narrows what
    the key may. Raises Unauthenticated for a wrong secret, Forbidden for a scope beyond the key's.
    """
    principal = key_principal(tx, keyring, client_secret, now_us=now_us)
    if principal.role != Role.INSTITUTION or principal.key_id != client_id:
        raise Unauthenticated("not an institution's client", field="client_id")
    wanted = frozenset(scope.split()) or principal.scopes
    beyond = [
        name
        for name in sorted(wanted)
        if Role.INSTITUTION not in ACTIONS.get(name, {})
        or (principal.scopes and name not in principal.scopes)
    ]
    if beyond:
        raise Forbidden(f"this client may not {beyond[0]!r}", field="scope")
    claims = {"sub": principal.institution_id, "key": client_id, "scope": " ".join(sorted(wanted))}
    token = _signed(keyring, _INSTITUTION, claims, now_us, _TOKEN_SECONDS)
    return IssuedToken(token, _TOKEN_SECONDS, tuple(sorted(wanted)))


def principal_of(tx: Tx, keyring: Keyring, authorization: str | None, *, now_us: int) -> Principal:
    """Return who a request's ``Authorization`` header speaks for; without one, nobody.

    Raises Unauthenticated for anything that is there but not valid now. A token dies with its key.
    """
    if authorization is None or not authorization.strip():
        return NOBODY
    scheme, _, credential = authorization.strip().partition(" ")
    credential = credential.strip()
    if scheme.lower() != "bearer" or not credential:
        raise Unauthenticated("not a bearer credential", field="authorization")
    if credential[:3] in ("pk_", "sk_", "ik_"):
        return key_principal(tx, keyring, credential, now_us=now_us)
    if _audience(credential) == _INSTITUTION:
        return _institution(tx, _opened(keyring, _INSTITUTION, credential, now_us), now_us)
    return open_session(keyring, credential, now_us=now_us)


def _institution(tx: Tx, claims: dict[str, Any], now_us: int) -> Principal:
    row = tx.get("access_keys", {"key_id": claims.get("key", "")})
    ends = [row["revoked_at"], row["expires_at"]] if row else [0]
    if any(at is not None and at <= now_us for at in ends):
        raise Unauthenticated("the key behind this token has ended", field="authorization")
    return Principal(
        Role.INSTITUTION,
        institution_id=claims["sub"],
        scopes=_scopes(claims),
        key_id=claims["key"],
    )


def _signed(
    keyring: Keyring, audience: str, claims: dict[str, Any], now_us: int, seconds: int
) -> str:
    import jwt

    now = now_us // _SECOND_US
    whole = {**claims, "iss": _ISSUER, "aud": audience, "iat": now, "exp": now + seconds}
    return jwt.encode(whole, keyring.session, algorithm="HS256")


def _opened(keyring: Keyring, audience: str, token: str, now_us: int) -> dict[str, Any]:
    import jwt

    options: Any = {
        "require": ["sub", "iss", "aud", "iat", "exp"],
        "verify_exp": False,  # against the clock handed in, below
        "verify_iat": False,
    }
    try:
        claims: dict[str, Any] = jwt.decode(
            token, keyring.session, ["HS256"], options, audience=audience, issuer=_ISSUER
        )
    except jwt.PyJWTError as error:
        raise Unauthenticated("this token is not valid", field="authorization") from error
    if not isinstance(claims["exp"], int) or now_us >= claims["exp"] * _SECOND_US:
        raise Unauthenticated("this token has expired", field="authorization")
    return claims


def _audience(token: str) -> object:
    """Return the audience a token claims, unchecked: it only picks the check to make."""
    import jwt

    try:
        return jwt.decode(token, options={"verify_signature": False}).get("aud")
    except jwt.PyJWTError:
        return None


def _scopes(claims: dict[str, Any]) -> frozenset[str]:
    return frozenset(str(claims.get("scope", "")).split())
