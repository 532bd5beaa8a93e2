"""The three root keys of a workspace, from ``keys/`` or the environment, never from settings."""

from __future__ import annotations

import hmac
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jinqiao.errors import Forbidden, InputError, NotFound

__all__ = ["Keyring"]

_NAMES = ("master", "click", "session")
_BYTES = 32


@dataclass(frozen=True, slots=True)
class Keyring:
    """``master`` seals and digests what lies in records, ``click`` signs click ids, ``session``
    signs customers' sessions and institutions' tokens; 32 secret bytes each."""

    master: bytes = field(repr=False)
    click: bytes = field(repr=False)
    session: bytes = field(repr=False)

    @classmethod
    def create(cls, folder: Path, entropy: Callable[[int], bytes] = os.urandom) -> Keyring:
        """Return the keys of a folder, after writing (mode 0600) those that are not there yet."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in _NAMES:
            path = folder / f"{name}.key"
            if not path.exists():
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(handle, "w", encoding="ascii") as file:
                    file.write(entropy(_BYTES).hex() + "\n")
        return cls.read(folder, {})

    @classmethod
    def read(cls, folder: Path, environ: Mapping[str, str] | None = None) -> Keyring:
        """Return the keys of a folder; ``JINQIAO_KEY_MASTER``, ``_CLICK``, ``_SESSION`` come first.

        Raises NotFound for a missing key, InputError for one that is not 64 hex digits, Forbidden
        for a file that others may read.
        """
        known = os.environ if environ is None else environ
        return cls(*(_key(folder, name, known) for name in _NAMES))

    def derived(self, purpose: str) -> bytes:
        """Return the key for one purpose: 32 bytes that tell nothing about the master key."""
        return hmac.digest(self.master, b"access\x1f" + purpose.encode(), "sha256")


def _key(folder: Path, name: str, environ: Mapping[str, str]) -> bytes:
    variable = f"JINQIAO_KEY_{name.upper()}"
    if variable in environ:
        return _decoded(environ[variable], variable)
    path = folder / f"{name}.key"
    if not path.exists():
        raise NotFound(f"no {name} key", record=str(path), fix=f"jinqiao init, or set {variable}")
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise Forbidden("others may read this key", record=str(path), fix=f"chmod 600 {path}")
    return _decoded(path.read_text(encoding="ascii", errors="replace"), str(path))


def _decoded(text: str, record: str) -> bytes:
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) != _BYTES:
        raise InputError("a key is 64 hex digits", record=record, fix="openssl rand -hex 32")
    return key
