"""Identifiers: the keys a person comes with, and which of them may join two subjects."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "ANONYMOUS_PREFIX",
    "STRONG_KINDS",
    "WEAK_KINDS",
    "Identifier",
    "IdentifierLink",
    "owner_identifier",
]

STRONG_KINDS = frozenset({"login", "phone", "id_card"})
"""Kinds that belong to one person: sharing one is evidence for a merge. id_card is a digest."""
WEAK_KINDS = frozenset({"device", "email", "address", "account", "institution"})
"""Kinds that several people may share: they never merge anyone by themselves.

account: where money is paid out to; institution: the number an institution knows a person by."""

ANONYMOUS_PREFIX = "anonymous:"
"""A raw row's ``user_id`` with this prefix names a device nobody has signed in on."""


@dataclass(frozen=True, slots=True)
class Identifier:
    """One key of a person; ``kind`` is of STRONG_KINDS or WEAK_KINDS."""

    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class IdentifierLink:
    """A message's statement that two identifiers belong together."""

    known: Identifier
    other: Identifier
    message_id: str


def owner_identifier(user_id: str) -> Identifier:
    """Return the identifier that a raw row's ``user_id`` stands for.

    >>> owner_identifier("anonymous:d-7")
    Identifier(kind='device', value='d-7')
    """
    if user_id.startswith(ANONYMOUS_PREFIX):
        return Identifier("device", user_id.removeprefix(ANONYMOUS_PREFIX))
    return Identifier("login", user_id)
