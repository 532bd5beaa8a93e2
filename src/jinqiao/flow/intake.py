"""Everything that comes in: catalog files, bills, events, identifiers, consents, postbacks."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinqiao.domain.catalog import CatalogVersion
from jinqiao.errors import InputError
from jinqiao.flow.wiring import Engine

if TYPE_CHECKING:
    import pyarrow as pa

    from jinqiao.events import Door, Received

__all__ = [
    "KINDS",
    "apply_catalog",
    "door",
    "link_identifiers",
    "publish_consent_texts",
    "receive_consents",
    "receive_file",
    "receive_identifiers",
    "receive_messages",
    "receive_table",
    "replay_rejects",
    "subjects_of",
]

KINDS = ("behaviour", "transactions", "attributes")
"""What a bulk file or table may hold, beside Segment messages."""


def apply_catalog(
    engine: Engine, *, author: str, withdraw_missing: bool = False
) -> tuple[CatalogVersion, ...]:
    """Write each changed institution file to records as a new version; return what changed.

    Raises SchemaError naming file, line, field and fix of the first fault; ``check`` shows all.
    """
    from jinqiao import catalog

    files = catalog.read_files(engine.workspace.institutions)
    now = engine.clock()
    with engine.writing(durable=True) as tx:
        return catalog.apply(
            tx, files, author=author, now_us=now, withdraw_missing=withdraw_missing
        )


def door(engine: Engine) -> Door:
    """Return where refused and accepted rows of this workspace go."""
    from jinqiao import customer
    from jinqiao.events import Door

    vault = engine.vault

    def subjects(user_ids: pa.Array) -> pa.Array:
        return subjects_of(engine, user_ids)

    def seal(subject_ids: pa.Array, texts: pa.Array) -> pa.Array:
        with engine.records.reading() as tx:
            return customer.seal_memos(tx, vault, subject_ids, texts)

    def owner(user_id: str) -> str:
        return vault.owner_digest(user_id)

    return Door(
        engine.lake, engine.records, engine.workspace.rejects, subjects, seal,
        vault.seal_body, vault.open_body, owner,
    )  # fmt: skip


def subjects_of(engine: Engine, user_ids: pa.Array | Sequence[str]) -> pa.Array:
    """Return the subject of every raw user id, made where it is new."""
    from jinqiao import customer

    def step(tx: Any) -> Any:
        return customer.resolve_owners(
            tx, user_ids, now_us=engine.clock(), rng=engine.chance(), vault=engine.vault
        )

    return engine.write(step)


def receive_messages(
    engine: Engine, body: bytes | Sequence[Mapping[str, Any]], *, source: str, batch_id: str = ""
) -> Received:
    """Return what became of a ``/v1/batch`` body or of messages; identifiers said to belong
    together are linked. ``batch_id`` "" is the digest of the content, so a retry changes nothing.
    """
    from jinqiao import events

    name = batch_id or _digest(body)
    batch = events.Batch(name, source, engine.clock())
    received = events.accept_messages(door(engine), batch, body)
    link_identifiers(engine, received.links)
    return received


def receive_table(
    engine: Engine, kind: str, table: pa.Table, *, source: str, batch_id: str
) -> Received:
    """Return what became of a bulk table of RAW_* rows; ``kind`` is one of KINDS."""
    from jinqiao import events

    if kind not in KINDS:
        raise InputError(f"no such kind: {kind!r}", field="kind", fix=f"one of {', '.join(KINDS)}")
    return events.accept_table(
        door(engine), events.Batch(batch_id, source, engine.clock()), kind, table
    )


def receive_file(engine: Engine, path: Path, kind: str) -> Received:
    """Return what became of an NDJSON, CSV or Parquet file of messages or of one of KINDS."""
    from jinqiao import events

    batch = events.Batch(_file_digest(path), path.name, engine.clock())
    received = events.accept_file(door(engine), batch, kind, path)
    link_identifiers(engine, received.links)
    return received


def replay_rejects(
    engine: Engine, fixed: Mapping[str, Mapping[str, Any]] | None = None
) -> Received:
    """Return what became of refused rows received once more, some with fields mended."""
    from jinqiao import events

    received = events.replay(door(engine), now_us=engine.clock(), fixed=fixed)
    link_identifiers(engine, received.links)
    return received


def link_identifiers(engine: Engine, links: Sequence[Any]) -> int:
    """Link identifiers that were said to belong to one customer; return how many merges."""
    from jinqiao import customer

    if not links:
        return 0

    def step(tx: Any) -> int:
        return len(
            customer.link(tx, links, now_us=engine.clock(), rng=engine.chance(), vault=engine.vault)
        )

    made = engine.write(step)
    assert isinstance(made, int)
    return made


def publish_consent_texts(engine: Engine) -> None:
    """Put the consent texts that ship with jinqiao into records, where they are new."""
    from jinqiao import customer

    with engine.writing() as tx:
        customer.publish_texts(tx, customer.shipped_texts(), now_us=engine.clock())


def receive_consents(engine: Engine, table: pa.Table) -> int:
    """Record grants and withdrawals in bulk (user_id in place of the subject); return how many
    were new.
    """
    from jinqiao import customer

    users = table["user_id"].combine_chunks()
    rows = table.drop_columns(["user_id"])
    rows = rows.append_column("subject_id", subjects_of(engine, users))
    with engine.writing() as tx:
        return customer.record_consents_table(tx, rows)


def receive_identifiers(engine: Engine, table: pa.Table) -> int:
    """Link identifiers (user_id, kind, value) to their customers; return how many merges."""
    from jinqiao.domain.identity import Identifier, IdentifierLink

    links = [
        IdentifierLink(Identifier("login", user), Identifier(kind, value), "")
        for user, kind, value in zip(
            table["user_id"].to_pylist(), table["kind"].to_pylist(), table["value"].to_pylist(),
            strict=True,
        )
    ]  # fmt: skip
    return link_identifiers(engine, links)


def _digest(body: bytes | Sequence[Mapping[str, Any]]) -> str:
    import msgspec

    plain = body if isinstance(body, bytes) else msgspec.json.encode(list(body), order="sorted")
    return f"batch_{hashlib.sha256(plain).hexdigest()[:32]}"


def _file_digest(path: Path) -> str:
    if not path.is_file():
        raise InputError("no such file", record=str(path))
    with path.open("rb") as file:
        return f"file_{hashlib.file_digest(file, 'sha256').hexdigest()[:32]}"
