"""Identifiers, links and merges."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from jinqiao.customer import (
    Vault,
    customer_map,
    customer_of,
    link,
    members,
    merge,
    resolve,
    resolve_owners,
    unmerge,
)
from jinqiao.domain.identity import Identifier, IdentifierLink
from jinqiao.errors import InputError, NotFound, SchemaError, Unavailable
from jinqiao.store.base import Tx
from jinqiao.store.memory import MemoryRecords

VAULT = Vault(b"k" * 32)


@pytest.fixture
def tx() -> Iterator[Tx]:
    """An open transaction on empty records."""
    with MemoryRecords().transaction() as tx:
        yield tx


class Desk:
    """Resolve and link with the same vault and generator."""

    def __init__(self, tx: Tx) -> None:
        self.tx, self.rng = tx, np.random.default_rng(3)

    def ids(self, kind: str, *values: str, now_us: int = 1) -> list[str]:
        found = resolve(
            self.tx, kind, list(values), now_us=now_us, rng=self.rng, vault=VAULT
        ).to_pylist()
        return [str(one) for one in found]

    def link(self, known: str, kind: str, value: str, now_us: int = 5) -> list[str]:
        pair = IdentifierLink(Identifier("login", known), Identifier(kind, value), "m")
        return link(self.tx, [pair], now_us=now_us, rng=self.rng, vault=VAULT)

    def groups(self) -> set[frozenset[str]]:
        found: dict[str, set[str]] = {}
        for row in customer_map(self.tx).to_pylist():
            found.setdefault(row["customer_id"], set()).add(row["subject_id"])
        return {frozenset(group) for group in found.values()}


def test_the_same_value_finds_the_same_subject(tx: Tx) -> None:
    """Resolving again, in another order and with repeats, gives the same random ids."""
    desk = Desk(tx)
    first = desk.ids("login", "a", "b", "a")
    assert first[0] == first[2] != first[1]
    assert desk.ids("login", "b", "a") == [first[1], first[0]]
    assert not any(one.removeprefix("sub_") == "a" for one in first)


def test_a_phone_is_found_in_any_spelling(tx: Tx) -> None:
    """+86, spaces, dashes and full-width digits name one phone."""
    ids = Desk(tx).ids("phone", "13800138000", "+86 138-0013-8000", "１３８００１３８０００")
    assert len(set(ids)) == 1


def test_null_stays_null_and_blank_is_refused(tx: Tx) -> None:
    """A null owner has no subject; a blank identifier finds nobody and is an error."""
    desk = Desk(tx)
    values = pa.array(["a", None], pa.string())
    found = resolve(tx, "login", values, now_us=1, rng=desk.rng, vault=VAULT)
    assert found[1].as_py() is None
    with pytest.raises(SchemaError):
        desk.ids("login", " ")
    with pytest.raises(InputError):
        desk.ids("shoe_size", "42")


def test_owners_are_logins_or_devices(tx: Tx) -> None:
    """A user id with the anonymous prefix is a device, kept apart from a login of that name."""
    desk = Desk(tx)
    owners = resolve_owners(
        tx, ["d", "anonymous:d", "d"], now_us=1, rng=desk.rng, vault=VAULT
    ).to_pylist()
    assert owners[0] == owners[2] != owners[1]
    assert desk.ids("device", "d") == [owners[1]]


def test_no_identifier_lies_open_in_records(tx: Tx) -> None:
    """Records hold digests and sealed bytes only."""
    Desk(tx).ids("login", "li.si@example")
    assert "li.si" not in str(tx.find("identifiers")) + str(tx.find("subjects"))


def test_a_shared_phone_merges_and_a_shared_device_does_not(tx: Tx) -> None:
    """Two logins with one phone are one customer; two logins on one device stay two."""
    desk = Desk(tx)
    a, b, c = desk.ids("login", "a", "b", "c")
    assert desk.link("a", "phone", "138") == []
    assert len(desk.link("b", "phone", "138")) == 1
    assert desk.link("b", "device", "d") == desk.link("c", "device", "d") == []
    assert frozenset({a, b}) in desk.groups()
    assert frozenset({c}) in desk.groups()
    assert desk.link("b", "phone", "138") == []


def test_the_oldest_subject_names_the_customer(tx: Tx) -> None:
    """A merged group is called by its oldest subject, whatever is merged first."""
    desk = Desk(tx)
    (new,) = desk.ids("login", "new", now_us=9)
    (old,) = desk.ids("login", "old", now_us=2)
    merge(tx, new, old, actor="op", now_us=10)
    assert customer_of(tx, new) == old
    assert members(tx, new) == (old, new)


def test_an_undone_merge_is_not_made_again_by_the_same_key(tx: Tx) -> None:
    """What a person undid stays undone when the evidence arrives once more."""
    desk = Desk(tx)
    desk.ids("login", "a", "b")
    before = desk.groups()
    desk.link("a", "phone", "138")
    (made,) = desk.link("b", "phone", "138")
    assert unmerge(tx, made, actor="op", now_us=7)
    assert not unmerge(tx, made, actor="op", now_us=8)
    assert desk.link("b", "phone", "138", now_us=9) == []
    assert desk.groups() == before


def test_merging_what_is_not_there_is_refused(tx: Tx) -> None:
    """Unknown subjects, one subject twice, and unknown merges are errors."""
    (a,) = Desk(tx).ids("login", "a")
    with pytest.raises(NotFound):
        merge(tx, a, "sub_none", actor="op", now_us=1)
    with pytest.raises(InputError):
        merge(tx, a, a, actor="op", now_us=1)
    with pytest.raises(NotFound):
        unmerge(tx, "mrg_none", actor="op", now_us=1)


def test_another_master_key_opens_nothing(tx: Tx) -> None:
    """With the wrong master key, a kept subject key is Unavailable, never garbage."""
    (a,) = Desk(tx).ids("login", "a")
    kept = tx.get("subject_keys", {"subject_id": a})
    assert kept is not None
    with pytest.raises(Unavailable):
        Vault(b"x" * 32).key(a, kept["wrapped_key"])
    with pytest.raises(InputError):
        Vault(b"short")
