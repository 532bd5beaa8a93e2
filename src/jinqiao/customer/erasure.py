"""A customer's own data handed out, and destroyed: export and erase.

Erasing destroys the keys and the mapping: what the lake holds of the subject's texts is noise from
then on, its rows belong to a random id that nothing leads to, and the customer is absent from the
next map. Amounts in the journal and an audit row stay. Source: PIPL articles 45, 47.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from jinqiao.customer.consent import consents
from jinqiao.customer.merging import members
from jinqiao.customer.sealing import open_memos
from jinqiao.customer.vault import Vault
from jinqiao.domain.ids import keyed_id
from jinqiao.store.base import Lake, Tx

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Erased", "erase", "export"]

_BY_SUBJECT = ("behaviour", "transactions", "attributes")
_BY_CUSTOMER = ("decisions", "outcomes")


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure destroyed. ``owner_digests`` find the refused rows that must go too."""

    subject_ids: tuple[str, ...]
    identifiers: int
    owner_digests: tuple[str, ...]


def export(tx: Tx, lake: Lake, customer_id: str, vault: Vault) -> dict[str, Any]:
    """Return everything kept of a customer as plain values: identifiers, consent, lake rows.

    Memo texts are opened. Raises NotFound for an unknown customer.
    """
    subjects = list(members(tx, customer_id))
    return {
        "customer_id": subjects[0],
        "subjects": subjects,
        "identifiers": _identifiers(tx, subjects, vault),
        "consents": [_plain(asdict(event)) for event in consents(tx, customer_id)],
        "merges": _merges(tx, subjects),
        "lake": _lake_rows(tx, lake, subjects, vault),
    }


def erase(tx: Tx, customer_id: str, actor: str, now_us: int) -> Erased:
    """Return what was destroyed: every key and identifier of the customer's subjects.

    The anonymous subject of a device that only this customer was seen on goes with them.
    Consent statements stay as proof, under ids that nothing leads to. Raises NotFound when the
    customer is unknown or was erased before.
    """
    subjects = members(tx, customer_id)
    subjects += _own_devices(tx, subjects)
    rows = tx.find("identifiers", {"subject_id": list(subjects)})
    digests = tuple(sorted({row["identifier_digest"] for row in rows if _owns(row["kind"])}))
    tx.delete("subject_keys", {"subject_id": list(subjects)})
    tx.delete("identifiers", {"subject_id": list(subjects)})
    tx.update("subjects", {"subject_id": list(subjects)}, {"erased_at": now_us})
    audit = {
        "audit_id": keyed_id("aud", "erase", customer_id, actor, now_us),
        "recorded_at": now_us,
        "actor": actor,
        "action": "erase",
        "record_id": customer_id,
        "details": {"subjects": len(subjects), "identifiers": len(rows)},
    }
    tx.insert_new("audit", [audit])
    return Erased(subjects, len(rows), digests)


def _own_devices(tx: Tx, subjects: tuple[str, ...]) -> tuple[str, ...]:
    """Return the subjects of devices that were seen with these subjects and nobody else."""
    seen = tx.find("identifiers", {"subject_id": list(subjects), "kind": "via_device"})
    digests = sorted({row["identifier_digest"] for row in seen})
    if not digests:
        return ()
    everyone = tx.find("identifiers", {"identifier_digest": digests})
    shared = {
        row["identifier_digest"]
        for row in everyone
        if row["kind"] == "via_device" and row["subject_id"] not in subjects
    }
    return tuple(
        row["subject_id"]
        for row in everyone
        if row["kind"] == "device" and row["identifier_digest"] not in shared
    )


def _owns(kind: str) -> bool:
    return not kind.startswith("via_")


def _identifiers(tx: Tx, subjects: list[str], vault: Vault) -> list[dict[str, str]]:
    keys = {
        row["subject_id"]: vault.key(row["subject_id"], row["wrapped_key"])
        for row in tx.find("subject_keys", {"subject_id": subjects})
    }
    found = []
    for row in tx.find("identifiers", {"subject_id": subjects}):
        value = vault.open(keys[row["subject_id"]], row["subject_id"], row["sealed_value"])
        found.append({"kind": row["kind"].removeprefix("via_"), "value": value})
    return sorted(found, key=lambda one: (one["kind"], one["value"]))


def _merges(tx: Tx, subjects: list[str]) -> list[dict[str, Any]]:
    rows = tx.find("customer_merges", {"subject_id": subjects}, order_by=["created_at", "merge_id"])
    return [dict(row) for row in rows]


def _lake_rows(
    tx: Tx, lake: Lake, subjects: list[str], vault: Vault
) -> dict[str, list[dict[str, Any]]]:
    import pyarrow as pa

    wanted = {"wanted": pa.table({"id": pa.array(subjects, pa.string())})}
    found: dict[str, list[dict[str, Any]]] = {}
    for column, names in (("subject_id", _BY_SUBJECT), ("customer_id", _BY_CUSTOMER)):
        for name in names:
            sql = (
                f"select * from {name} where {column} in (select id from wanted) "
                "order by occurred_at"
            )
            rows = _opened(tx, vault, lake.query(sql, wanted))
            found[name] = [_plain(row) for row in rows.to_pylist()]
    return found


def _opened(tx: Tx, vault: Vault, rows: pa.Table) -> pa.Table:
    if "memo_cipher" not in rows.column_names:
        return rows
    subjects = rows["subject_id"].combine_chunks()
    memo = open_memos(tx, vault, subjects, rows["memo_cipher"].combine_chunks())
    at = rows.column_names.index("memo_cipher")
    return rows.set_column(at, "memo", memo)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {k: v.isoformat() if hasattr(v, "isoformat") else v for k, v in row.items()}
