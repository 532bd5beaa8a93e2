"""Memo texts sealed under each customer's own key before they reach the lake, and opened again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jinqiao.customer.vault import Vault
from jinqiao.errors import NotFound
from jinqiao.store.base import Tx

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["open_memos", "seal_memos"]

_CHUNK = 5_000


def seal_memos(tx: Tx, vault: Vault, subject_ids: pa.Array, texts: pa.Array) -> pa.Array:
    """Return the texts sealed, (n,) binary, null where the text is null.

    Raises NotFound when a subject has no key: unknown, or erased.
    """
    import pyarrow as pa

    sealed: list[bytes | None] = [None] * len(texts)
    rows = _by_subject(subject_ids, texts)
    keys = _keys(tx, vault, list(rows))
    for subject_id, places in rows.items():
        if subject_id not in keys:
            raise NotFound("the subject has no key", record=subject_id)
        plain = [text for _, text in places]
        for (row, _), cipher in zip(
            places, vault.seal(keys[subject_id], subject_id, plain), strict=True
        ):
            sealed[row] = cipher
    return pa.array(sealed, pa.binary())


def open_memos(tx: Tx, vault: Vault, subject_ids: pa.Array, ciphers: pa.Array) -> pa.Array:
    """Return the texts opened, (n,) strings, null where there is none or its key was destroyed."""
    import pyarrow as pa

    texts: list[str | None] = [None] * len(ciphers)
    rows = _by_subject(subject_ids, ciphers)
    keys = _keys(tx, vault, list(rows))
    for subject_id, places in rows.items():
        key = keys.get(subject_id)
        if key is not None:
            for row, cipher in places:
                texts[row] = vault.open(key, subject_id, cipher)
    return pa.array(texts, pa.string())


def _by_subject(subject_ids: pa.Array, values: pa.Array) -> dict[str, list[tuple[int, Any]]]:
    """Return subject → (row, value) of the values that are not null."""
    import pyarrow.compute as pc

    kept = pc.indices_nonzero(pc.is_valid(values))
    grouped: dict[str, list[tuple[int, Any]]] = {}
    for row, subject_id, value in zip(
        kept.to_pylist(), subject_ids.take(kept).to_pylist(), values.take(kept).to_pylist(),
        strict=True,
    ):  # fmt: skip
        grouped.setdefault(subject_id, []).append((row, value))
    return grouped


def _keys(tx: Tx, vault: Vault, subject_ids: list[str]) -> dict[str, Any]:
    keys = {}
    for start in range(0, len(subject_ids), _CHUNK):
        for row in tx.find("subject_keys", {"subject_id": subject_ids[start : start + _CHUNK]}):
            keys[row["subject_id"]] = vault.key(row["subject_id"], row["wrapped_key"])
    return keys
