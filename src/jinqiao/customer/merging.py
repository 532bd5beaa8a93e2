"""Merges: two subjects are one customer, until the merge is undone. The map follows from them.

The map is a function of the living subjects and the standing merges alone, so undoing a merge
restores exactly the map there was without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from jinqiao.domain.ids import keyed_id
from jinqiao.errors import InputError, NotFound
from jinqiao.store.base import Tx

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["customer_map", "customer_of", "members", "merge", "merge_by_key", "unmerge"]


def merge(tx: Tx, subject_id: str, other_subject_id: str, *, actor: str, now_us: int) -> str:
    """Return the id of the standing merge of two subjects, made by a person.

    Merging what is merged already changes nothing. Raises NotFound for an unknown or erased
    subject, InputError for one and the same.
    """
    pair = _ordered(subject_id, other_subject_id)
    for one in pair:
        row = tx.get("subjects", {"subject_id": one})
        if row is None or row["erased_at"] is not None:
            raise NotFound(f"no subject {one!r}", record=one)
    rows = _between(tx, pair, "manual")
    standing = [row for row in rows if row["undone_at"] is None]
    if standing:
        return str(standing[0]["merge_id"])
    return _made(tx, pair, "manual", len(rows), (actor, now_us))


def merge_by_key(
    tx: Tx, pair: tuple[str, str], digest: str, *, actor: str, now_us: int
) -> str | None:
    """Return the id of a merge that a shared strong key makes, or None when there was one already.

    A merge by this very key that a person undid is not made again.
    """
    pair = _ordered(*pair)
    if _between(tx, pair, f"key:{digest}"):
        return None
    return _made(tx, pair, f"key:{digest}", 0, (actor, now_us))


def unmerge(tx: Tx, merge_id: str, *, actor: str, now_us: int) -> bool:
    """Return whether this call undid the merge (False: it was undone before).

    Raises NotFound for an unknown merge.
    """
    row = tx.get("customer_merges", {"merge_id": merge_id})
    if row is None:
        raise NotFound(f"no merge {merge_id!r}", record=merge_id)
    if row["undone_at"] is not None:
        return False
    tx.update("customer_merges", {"merge_id": merge_id}, {"undone_at": now_us, "undone_by": actor})
    _audit(tx, "unmerge", merge_id, (actor, now_us), {})
    return True


def customer_map(tx: Tx) -> pa.Table:
    """Return CUSTOMER_MAP: every living subject and its customer, the oldest of its group."""
    import pyarrow as pa

    living = {
        row["subject_id"]: row["created_at"] for row in tx.find("subjects", {"erased_at": None})
    }
    merges = tx.find("customer_merges", {"undone_at": None})
    pairs = [(row["subject_id"], row["other_subject_id"]) for row in merges]
    customers = _customers(living, pairs)
    subjects = sorted(living)
    return pa.table(
        {
            "subject_id": pa.array(subjects, pa.string()),
            "customer_id": pa.array([customers.get(s, s) for s in subjects], pa.string()),
        },
        schema=pa.schema(
            [
                pa.field("subject_id", pa.string(), nullable=False),
                pa.field("customer_id", pa.string(), nullable=False),
            ]
        ),
    )


def members(tx: Tx, subject_id: str) -> tuple[str, ...]:
    """Return every living subject of the customer a subject belongs to, oldest first.

    Raises NotFound when the subject is unknown or erased.
    """
    seen, frontier = {subject_id}, [subject_id]
    while frontier:
        reached = set()
        for column, other in (
            ("subject_id", "other_subject_id"),
            ("other_subject_id", "subject_id"),
        ):
            for row in tx.find("customer_merges", {column: frontier, "undone_at": None}):
                reached.add(row[other])
        frontier = sorted(reached - seen)
        seen |= reached
    rows = _living(tx, sorted(seen))
    if subject_id not in {row["subject_id"] for row in rows}:
        raise NotFound(f"no customer {subject_id!r}", record=subject_id)
    rows.sort(key=lambda row: (row["created_at"], row["subject_id"]))
    return tuple(row["subject_id"] for row in rows)


def customer_of(tx: Tx, subject_id: str) -> str:
    """Return the customer id of one subject: the oldest of its group."""
    return members(tx, subject_id)[0]


def _living(tx: Tx, subject_ids: Sequence[str]) -> list[dict[str, Any]]:
    return tx.find("subjects", {"subject_id": list(subject_ids), "erased_at": None})


def _customers(living: dict[str, int], pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the root of every merged subject, by union-find; the oldest is always the root."""
    parent: dict[str, str] = {}

    def root(one: str) -> str:
        while parent.setdefault(one, one) != one:
            parent[one] = parent[parent[one]]
            one = parent[one]
        return one

    for left, right in pairs:
        if left in living and right in living:
            older, younger = sorted((root(left), root(right)), key=lambda s: (living[s], s))
            parent[younger] = older
    return {one: root(one) for one in list(parent)}


def _ordered(one: str, other: str) -> tuple[str, str]:
    if one == other:
        raise InputError("a subject is itself already", record=one, fix="name two subjects")
    return (one, other) if one < other else (other, one)


def _between(tx: Tx, pair: tuple[str, str], evidence: str) -> list[dict[str, Any]]:
    where = {"subject_id": pair[0], "other_subject_id": pair[1], "evidence": evidence}
    return tx.find("customer_merges", where)


def _made(tx: Tx, pair: tuple[str, str], evidence: str, earlier: int, by: tuple[str, int]) -> str:
    merge_id = keyed_id("mrg", *pair, evidence, earlier)
    tx.insert(
        "customer_merges",
        [
            {
                "merge_id": merge_id,
                "subject_id": pair[0],
                "other_subject_id": pair[1],
                "evidence": evidence,
                "actor": by[0],
                "created_at": by[1],
                "undone_at": None,
                "undone_by": None,
            }
        ],
    )
    _audit(tx, "merge", merge_id, by, {"subjects": list(pair)})
    return merge_id


def _audit(
    tx: Tx, action: str, record_id: str, by: tuple[str, int], details: dict[str, Any]
) -> None:
    row = {
        "audit_id": keyed_id("aud", action, record_id, *by),
        "recorded_at": by[1],
        "actor": by[0],
        "action": action,
        "record_id": record_id,
        "details": details,
    }
    tx.insert_new("audit", [row])
