"""Identifiers resolved to subjects: the same key always finds the same random subject id.

A strong key (login, phone, id-card digest) that two subjects share merges them; a weak one (device,
e-mail) keeps a subject of its own and joins nobody, so a family's tablet makes no one person.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jinqiao.customer.merging import merge_by_key
from jinqiao.customer.vault import Vault
from jinqiao.domain.identity import (
    ANONYMOUS_PREFIX,
    STRONG_KINDS,
    WEAK_KINDS,
    Identifier,
    IdentifierLink,
)
from jinqiao.errors import InputError, SchemaError
from jinqiao.store.base import Row, Tx

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["link", "resolve", "resolve_owners"]

_CHUNK = 5_000
_VIA = "via_"
"""Kind prefix of an identifier that was seen with a subject but belongs to another one."""


def resolve(
    tx: Tx,
    kind: str,
    values: pa.Array | Sequence[str | None],
    *,
    now_us: int,
    rng: np.random.Generator,
    vault: Vault,
) -> pa.Array:
    """Return the subject id of every value, (n,) strings; null stays null.

    A value never seen before gets a fresh subject with a random id (from ``rng``), a key of its
    own, and the value sealed under that key. The same values again, in any order, give the same
    ids. Raises InputError for an unknown kind and SchemaError for a blank value.
    """
    import pyarrow as pa

    array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, "string")
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    encoded = array.dictionary_encode()
    texts = [str(text) for text in encoded.dictionary.to_pylist()]
    _checked(kind, texts)
    digests = vault.digests(kind, texts)
    ids = _resolved(tx, kind, (digests, texts), _Making(now_us, rng, vault))
    return pa.array(ids, pa.string()).take(encoded.indices)


def resolve_owners(
    tx: Tx,
    owners: pa.Array | Sequence[str],
    *,
    now_us: int,
    rng: np.random.Generator,
    vault: Vault,
) -> pa.Array:
    """Return the subject id of every raw ``user_id``: logins, and devices by their prefix."""
    import pyarrow as pa
    import pyarrow.compute as pc

    array = owners if isinstance(owners, pa.Array | pa.ChunkedArray) else pa.array(owners, "string")
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    anonymous = pc.starts_with(array, ANONYMOUS_PREFIX)
    if not pc.any(anonymous).as_py():
        return resolve(tx, "login", array, now_us=now_us, rng=rng, vault=vault)
    devices = pc.if_else(
        anonymous, pc.utf8_slice_codeunits(array, len(ANONYMOUS_PREFIX)), pa.scalar(None, "string")
    )
    logins = pc.if_else(anonymous, pa.scalar(None, "string"), array)
    return pc.coalesce(
        resolve(tx, "login", logins, now_us=now_us, rng=rng, vault=vault),
        resolve(tx, "device", devices, now_us=now_us, rng=rng, vault=vault),
    )


def link(
    tx: Tx,
    links: Iterable[IdentifierLink],
    *,
    now_us: int,
    rng: np.random.Generator,
    vault: Vault,
    actor: str = "intake",
) -> list[str]:
    """Return the ids of the merges these links made (none for links known already).

    ``other`` unknown and strong: it now finds ``known``'s subject. Known and strong: the two
    subjects are merged, with the key's digest as evidence, unless a person undid just that. Either
    of them weak: the other is remembered with ``known``'s subject, and merges and finds nobody.
    """
    making, merges = _Making(now_us, rng, vault), []
    pairs = list(dict.fromkeys((item.known, item.other) for item in links))
    for pair in _link_plain(tx, pairs, making) if len(pairs) > 1 else pairs:
        merge_id = _link(tx, *pair, making, actor)
        if merge_id:
            merges.append(merge_id)
    return merges


_Pair = tuple[Identifier, Identifier]


def _link_plain(tx: Tx, pairs: Sequence[_Pair], making: _Making) -> list[_Pair]:
    """Link at once every pair that merges nobody; return the others, in their order.

    Plain are a pair with a weak key, and a strong one that nobody has and only one subject is said
    to have.
    """
    digests = _digests((one for pair in pairs for one in pair), making)
    subject = _subjects(tx, (known for known, _ in pairs), digests, making)
    owner = {digests[known]: found for known, found in subject.items()}
    owner |= _owners(tx, [other for _, other in pairs if other.kind in STRONG_KINDS], digests)
    said: dict[str, set[str]] = {}
    for known, other in pairs:
        if known.kind in STRONG_KINDS:
            said.setdefault(digests[other], set()).add(subject[known])
    plain: list[_Pair] = []
    rest: list[_Pair] = []
    for known, other in pairs:
        digest = digests[other]
        if owner.get(digest) == subject[known]:
            continue
        alone = digest not in owner and len(said.get(digest, ())) == 1
        weak = {known.kind, other.kind} & WEAK_KINDS
        (plain if weak or alone else rest).append((known, other))
    weak_keys = (other for _, other in plain if other.kind in WEAK_KINDS)
    theirs = _subjects(tx, weak_keys, digests, making)
    keep = [
        (subject[known], other, _kind(known, other))
        for known, other in plain
        if theirs.get(other) != subject[known]
    ]
    _attach_all(tx, keep, digests, making)
    return rest


def _kind(known: Identifier, other: Identifier) -> str:
    """Return the kind to note a key as that merges nobody: a person's own, or only seen with it."""
    return _VIA + other.kind if {known.kind, other.kind} & WEAK_KINDS else other.kind


def _resolved(
    tx: Tx, kind: str, keys: tuple[Sequence[str], Sequence[str]], making: _Making
) -> list[str]:
    """Return the subject of each (digest, text) of one kind, made where it is new."""
    known = _known(tx, kind, keys[0])
    fresh = {d: t for d, t in zip(*keys, strict=True) if d not in known}
    known |= _created(tx, kind, fresh, making)
    return [known[digest] for digest in keys[0]]


def _subjects(
    tx: Tx, identifiers: Iterable[Identifier], digests: Mapping[Identifier, str], making: _Making
) -> dict[Identifier, str]:
    """Return the subject of every identifier, made where it is new."""
    found: dict[Identifier, str] = {}
    for kind, group in _by_kind(identifiers).items():
        texts = [item.value for item in group]
        ids = _resolved(tx, kind, ([digests[item] for item in group], texts), making)
        found |= zip(group, ids, strict=True)
    return found


def _owners(
    tx: Tx, identifiers: Iterable[Identifier], digests: Mapping[Identifier, str]
) -> dict[str, str]:
    """Return digest → subject of the identifiers somebody has already."""
    taken: dict[str, str] = {}
    for kind, group in _by_kind(identifiers).items():
        taken |= _known(tx, kind, [digests[item] for item in group])
    return taken


def _digests(identifiers: Iterable[Identifier], making: _Making) -> dict[Identifier, str]:
    """Return the lookup digest of every identifier: two spellings of one have one."""
    found: dict[Identifier, str] = {}
    for kind, group in _by_kind(identifiers).items():
        texts = [one.value for one in group]
        _checked(kind, texts)
        found |= zip(group, making.vault.digests(kind, texts), strict=True)
    return found


def _by_kind(identifiers: Iterable[Identifier]) -> dict[str, list[Identifier]]:
    groups: dict[str, list[Identifier]] = {}
    for item in dict.fromkeys(identifiers):
        groups.setdefault(item.kind, []).append(item)
    return groups


def _attach_all(
    tx: Tx,
    keep: Sequence[tuple[str, Identifier, str]],
    digests: Mapping[Identifier, str],
    making: _Making,
) -> None:
    """Note identifiers with their subjects: (subject id, identifier, kind to note it as)."""
    wrapped: dict[str, bytes] = {}
    ids = list(dict.fromkeys(subject_id for subject_id, _, _ in keep))
    for start in range(0, len(ids), _CHUNK):
        for row in tx.find("subject_keys", {"subject_id": ids[start : start + _CHUNK]}):
            wrapped[row["subject_id"]] = row["wrapped_key"]
    keys: dict[str, AESGCM] = {}
    rows = []
    for subject_id, identifier, kind in keep:
        if subject_id not in wrapped:
            raise InputError("the subject was erased", record=subject_id)
        if subject_id not in keys:
            keys[subject_id] = making.vault.key(subject_id, wrapped[subject_id])
        digest = digests[identifier]
        sealed = making.vault.seal(keys[subject_id], subject_id, (identifier.value,))[0]
        rows.append(_identifier(digest, subject_id, kind, sealed, making.now_us))
    if rows:
        tx.insert_new("identifiers", rows)


@dataclass(frozen=True, slots=True)
class _Making:
    now_us: int
    rng: np.random.Generator
    vault: Vault


def _link(tx: Tx, known: Identifier, other: Identifier, making: _Making, actor: str) -> str | None:
    subject_id = _one(tx, known, making)
    digest = making.vault.digest(other.kind, other.value)
    theirs = _known(tx, other.kind, [digest]).get(digest)
    weak = {known.kind, other.kind} & WEAK_KINDS
    if theirs is None and other.kind in WEAK_KINDS:
        theirs = _one(tx, other, making)
    if theirs == subject_id:
        return None
    seen_with = weak or theirs is not None
    _attach(tx, subject_id, other, _VIA + other.kind if seen_with else other.kind, making)
    if weak or theirs is None:
        return None
    return merge_by_key(tx, (subject_id, theirs), digest, actor=actor, now_us=making.now_us)


def _one(tx: Tx, identifier: Identifier, making: _Making) -> str:
    ids = resolve(
        tx,
        identifier.kind,
        [identifier.value],
        now_us=making.now_us,
        rng=making.rng,
        vault=making.vault,
    )
    return str(ids[0].as_py())


def _known(tx: Tx, kind: str, digests: Sequence[str]) -> dict[str, str]:
    """Return digest → subject for those that own a subject; the oldest when several do."""
    found: dict[str, tuple[int, str]] = {}
    wanted = list(dict.fromkeys(digests))
    for start in range(0, len(wanted), _CHUNK):
        where = {"identifier_digest": wanted[start : start + _CHUNK], "kind": kind}
        for row in tx.find("identifiers", where):
            mine = (row["created_at"], row["subject_id"])
            digest = row["identifier_digest"]
            if digest not in found or mine < found[digest]:
                found[digest] = mine
    return {digest: subject_id for digest, (_, subject_id) in found.items()}


def _created(tx: Tx, kind: str, fresh: dict[str, str], making: _Making) -> dict[str, str]:
    """Make a subject, its key and its sealed identifier for every fresh digest → text."""
    if not fresh:
        return {}
    chance = making.rng.bytes(12 * len(fresh)).hex()
    ids = [f"sub_{chance[i * 24 : (i + 1) * 24]}" for i in range(len(fresh))]
    subjects, keys, identifiers = [], [], []
    for subject_id, (key, wrapped), (digest, text) in zip(
        ids, making.vault.new_keys(ids), fresh.items(), strict=True
    ):
        subjects.append({"subject_id": subject_id, "created_at": making.now_us, "erased_at": None})
        keys.append({"subject_id": subject_id, "wrapped_key": wrapped})
        sealed = making.vault.seal(key, subject_id, (text,))[0]
        identifiers.append(_identifier(digest, subject_id, kind, sealed, making.now_us))
    tx.insert("subjects", subjects)
    tx.insert("subject_keys", keys)
    tx.insert("identifiers", identifiers)
    return dict(zip(fresh, ids, strict=True))


def _attach(tx: Tx, subject_id: str, identifier: Identifier, kind: str, making: _Making) -> None:
    digest = making.vault.digest(identifier.kind, identifier.value)
    _attach_all(tx, [(subject_id, identifier, kind)], {identifier: digest}, making)


def _identifier(digest: str, subject_id: str, kind: str, sealed: bytes, now_us: int) -> Row:
    row: dict[str, Any] = {
        "identifier_digest": digest,
        "subject_id": subject_id,
        "kind": kind,
        "sealed_value": sealed,
        "created_at": now_us,
    }
    return row


def _checked(kind: str, texts: Sequence[str]) -> None:
    if kind not in STRONG_KINDS | WEAK_KINDS:
        raise InputError(
            f"no identifier kind {kind!r}",
            field="kind",
            fix=f"use one of {', '.join(sorted(STRONG_KINDS | WEAK_KINDS))}",
        )
    for text in texts:
        if not text.strip():
            raise SchemaError("a blank identifier finds nobody", field=kind, fix="leave it out")
