"""Keys: lookup digests of identifiers, a key of its own for every subject, sealed texts.

AES-256-GCM with random 96-bit nonces (NIST SP 800-38D); working keys are HKDF-Expand blocks of one
master key (RFC 5869). Destroying a subject's wrapped key makes everything sealed under it noise.
"""

from __future__ import annotations

import hmac
import os
import unicodedata
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from jinqiao.domain.identity import owner_identifier
from jinqiao.errors import InputError, Unavailable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["Vault", "normal"]

_NONCE = 12
_KEY = 32


def normal(kind: str, value: str) -> str:
    """Return an identifier in the one spelling its digest is taken of.

    >>> normal("phone", "+86 138-0013-8000"), normal("email", " Li@Example.com ")
    ('13800138000', 'li@example.com')
    """
    text = unicodedata.normalize("NFKC", value).strip()
    if kind == "email":
        return text.lower()
    if kind == "phone":
        digits = "".join(c for c in text if c.isdigit())
        if len(digits) == 13 and digits.startswith("86"):
            return digits[2:]
        return digits or text
    return text


class Vault:
    """The master key's holder. ``master`` is 32 secret bytes; ``entropy`` gives n random bytes."""

    def __init__(self, master: bytes, entropy: Callable[[int], bytes] = os.urandom) -> None:
        if len(master) != _KEY:
            raise InputError(
                f"the master key has {len(master)} bytes", field="master", fix="use 32 bytes"
            )
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._entropy = entropy
        self._lookup = _derived(master, b"lookup")
        self._names = _derived(master, b"counterparty")
        self._wrap = AESGCM(_derived(master, b"wrap"))
        self._bodies = AESGCM(_derived(master, b"rejected body"))

    def digest(self, kind: str, value: str) -> str:
        """Return 64 hex digits that find an identifier again and tell nothing about it."""
        return self.digests(kind, (value,))[0]

    def digests(self, kind: str, values: Sequence[str]) -> list[str]:
        """Return the lookup digest of every value of one kind."""
        head, key = f"{kind}\x1f", self._lookup
        if kind == "login":  # the common case, mostly ASCII
            normals = [v.strip() if v.isascii() else normal(kind, v) for v in values]
        else:
            normals = [normal(kind, v) for v in values]
        return [hmac.digest(key, (head + v).encode(), "sha256").hex() for v in normals]

    def owner_digest(self, user_id: str) -> str:
        """Return the lookup digest of a raw row's ``user_id`` (a login, or a device by prefix)."""
        owner = owner_identifier(user_id)
        return self.digest(owner.kind, owner.value)

    def counterparty(self, name: str) -> str:
        """Return the keyed digest that stands for a counterparty's name in the lake."""
        text = unicodedata.normalize("NFKC", name).strip().lower()
        return "cp_" + hmac.digest(self._names, text.encode(), "sha256").hex()[:24]

    def new_keys(self, subject_ids: Sequence[str]) -> list[tuple[AESGCM, bytes]]:
        """Return, per subject, a fresh key ready to use and the same key wrapped for keeping."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        chance = self._entropy((_KEY + _NONCE) * len(subject_ids))
        pairs = []
        for i, subject_id in enumerate(subject_ids):
            part = chance[i * (_KEY + _NONCE) : (i + 1) * (_KEY + _NONCE)]
            key, nonce = part[:_KEY], part[_KEY:]
            pairs.append((AESGCM(key), nonce + self._wrap.encrypt(nonce, key, subject_id.encode())))
        return pairs

    def key(self, subject_id: str, wrapped: bytes) -> AESGCM:
        """Return a subject's key; raise Unavailable when it was wrapped by another master key."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        plain = _opened(self._wrap, wrapped, subject_id.encode(), f"the key of {subject_id}")
        return AESGCM(plain)

    def seal(self, key: AESGCM, subject_id: str, texts: Sequence[str]) -> list[bytes]:
        """Return texts sealed under a subject's key."""
        aad, chance = subject_id.encode(), self._entropy(_NONCE * len(texts))
        sealed = []
        for i, text in enumerate(texts):
            nonce = chance[i * _NONCE : (i + 1) * _NONCE]
            sealed.append(nonce + key.encrypt(nonce, text.encode("utf-8", "replace"), aad))
        return sealed

    def open(self, key: AESGCM, subject_id: str, sealed: bytes) -> str:
        """Return a text sealed by ``seal``; raise Unavailable when it was changed."""
        return _opened(key, sealed, subject_id.encode(), f"a text of {subject_id}").decode()

    def seal_body(self, body: bytes) -> bytes:
        """Return a refused row's body sealed for keeping under ``rejects/``."""
        nonce = self._entropy(_NONCE)
        return nonce + self._bodies.encrypt(nonce, body, b"reject")

    def open_body(self, sealed: bytes) -> bytes:
        """Return a body sealed by ``seal_body``; raise Unavailable when it was changed."""
        return _opened(self._bodies, sealed, b"reject", "a refused row's body")


def _derived(master: bytes, label: bytes) -> bytes:
    return hmac.digest(master, b"jinqiao " + label + b"\x01", "sha256")


def _opened(key: AESGCM, sealed: bytes, aad: bytes, what: str) -> bytes:
    from cryptography.exceptions import InvalidTag

    try:
        return key.decrypt(sealed[:_NONCE], sealed[_NONCE:], aad)
    except (InvalidTag, ValueError) as error:
        raise Unavailable(
            f"{what} cannot be opened", fix="check that the workspace's master key is the right one"
        ) from error
