"""A door in memory: lake, records, vault, and what the lake then holds told by raw ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jinqiao import customer
from jinqiao.customer import Vault
from jinqiao.domain.tables import RAW_TRANSACTIONS
from jinqiao.engines import tables
from jinqiao.events import Door, Received, accept_messages
from jinqiao.events.received import Batch
from jinqiao.store.base import Lake, Records
from jinqiao.store.memory import MemoryLake, MemoryRecords

__all__ = ["NOW_US", "Receiving", "message", "raw_transactions", "transaction"]

NOW_US = 1_767_225_600_000_000  # 2026-01-01


@dataclass
class Receiving:
    """Everything an intake needs; ``folder`` keeps refused rows."""

    folder: Path
    lake: Lake = field(default_factory=MemoryLake)
    records: Records = field(default_factory=MemoryRecords)
    vault: Vault = field(default_factory=lambda: Vault(bytes(range(32))))
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))
    now_us: int = NOW_US

    @property
    def door(self) -> Door:
        return Door(
            self.lake, self.records, self.folder, self.subjects, self.seal,
            self.vault.seal_body, self.vault.open_body, self.vault.owner_digest,
        )  # fmt: skip

    def subjects(self, user_ids: pa.Array) -> pa.Array:
        with self.records.transaction() as tx:
            return customer.resolve_owners(
                tx, user_ids, now_us=self.now_us, rng=self.rng, vault=self.vault
            )

    def seal(self, subject_ids: pa.Array, texts: pa.Array) -> pa.Array:
        with self.records.reading() as tx:
            return customer.seal_memos(tx, self.vault, subject_ids, texts)

    def batch(self, batch_id: str) -> Batch:
        return Batch(batch_id, "test", self.now_us)

    def post(self, batch_id: str, body: bytes | Sequence[dict[str, Any]]) -> Received:
        """Return what became of messages, their links made as flow makes them."""
        received = accept_messages(self.door, self.batch(batch_id), body)
        with self.records.transaction() as tx:
            customer.link(tx, received.links, now_us=self.now_us, rng=self.rng, vault=self.vault)
        return received

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return a lake table's rows, sorted, memos opened, owners told by identifier."""
        found = self.lake.query(f"select * from {table}")
        owners = self.owners()
        if "memo_cipher" in found.column_names:
            with self.records.reading() as tx:
                memo = customer.open_memos(
                    tx, self.vault, found["subject_id"].combine_chunks(),
                    found["memo_cipher"].combine_chunks(),
                )  # fmt: skip
            found = found.drop_columns(["memo_cipher"]).append_column("memo", memo)
        rows = found.to_pylist()
        for row in rows:
            row["subject_id"] = owners[row["subject_id"]]
        return sorted(rows, key=lambda row: str(sorted(row.items(), key=str)))

    def owners(self) -> dict[str, tuple[str, ...]]:
        """Return subject → every identifier of its customer, opened."""
        with self.records.reading() as tx:
            customers = {
                row["subject_id"]: row["customer_id"]
                for row in customer.customer_map(tx).to_pylist()
            }
            keys = {
                row["subject_id"]: self.vault.key(row["subject_id"], row["wrapped_key"])
                for row in tx.find("subject_keys")
            }
            found: dict[str, set[str]] = {one: set() for one in customers.values()}
            for row in tx.find("identifiers"):
                subject = row["subject_id"]
                if not row["kind"].startswith("via_"):
                    value = self.vault.open(keys[subject], subject, row["sealed_value"])
                    found[customers[subject]].add(f"{row['kind']}:{value}")
        return {one: tuple(sorted(found[mapped])) for one, mapped in customers.items()}

    def people(self) -> set[tuple[str, ...]]:
        """Return the groups of identifiers that are one customer."""
        return set(self.owners().values())

    def rejects(self) -> list[dict[str, Any]]:
        with self.records.reading() as tx:
            return tx.find("intake_rejects")


def message(number: int, **changes: Any) -> dict[str, Any]:
    """Return a good track message."""
    plain = {
        "type": "track", "messageId": f"m{number}", "event": "product_viewed",
        "userId": f"u{number % 3}", "timestamp": "2025-12-31T08:00:00+08:00",
        "context": {"channel": "app"}, "properties": {"product_id": "p1", "colour": "red"},
    }  # fmt: skip
    return plain | changes


def transaction(number: int, **changes: Any) -> dict[str, Any]:
    """Return a good raw transaction row."""
    plain = {
        "transaction_id": f"t{number}", "user_id": f"u{number % 3}", "account_id": "a1",
        "occurred_at": NOW_US - number * 1_000_000, "received_at": None, "amount_minor": -100,
        "currency": "CNY", "balance_minor": None, "category": "dining", "instrument": "card",
        "counterparty_key": "cp_0f", "memo": f"lunch {number}",
    }  # fmt: skip
    return plain | changes


def raw_transactions(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Return rows as a RAW_TRANSACTIONS table, nulls allowed anywhere."""
    fields = [pa.field(f.name, f.type) for f in tables.arrow_schema(RAW_TRANSACTIONS)]
    return pa.Table.from_pylist(list(rows), schema=pa.schema(fields))
