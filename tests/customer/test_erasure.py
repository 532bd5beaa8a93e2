"""Export and erasure: everything of a customer handed out; then nothing leads back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from events.receiving import NOW_US, Receiving, message, raw_transactions, transaction
from jinqiao import customer
from jinqiao.customer import Said
from jinqiao.domain.consent import Purpose
from jinqiao.domain.time import from_us
from jinqiao.errors import NotFound
from jinqiao.events import accept_table


@pytest.fixture
def lived(tmp_path: Path) -> Receiving:
    """A lake and records in which u1 and u2 have lived a little."""
    here = Receiving(tmp_path)
    here.post("b1", [message(1, type="identify", traits={"phone": "138", "kind": "person"},
                             anonymousId="own-phone"),
                     message(2), message(3, anonymousId="own-phone", userId=None)])  # fmt: skip
    rows = raw_transactions([transaction(i) for i in range(6)])
    accept_table(here.door, here.batch("b2"), "transactions", rows)
    one, said = subject(here, "u1"), Said(from_us(NOW_US), from_us(NOW_US))
    with here.records.transaction() as tx:
        customer.grant(tx, one, Purpose.PERSONALISE, said)
    return here


def subject(here: Receiving, user: str) -> str:
    return next(one for one, names in here.owners().items() if f"login:{user}" in names)


def test_an_export_holds_everything_and_opens_it(lived: Receiving) -> None:
    """The export has identifiers, consents and lake rows with their memos, as plain JSON."""
    one = subject(lived, "u1")
    with lived.records.reading() as tx:
        found = customer.export(tx, lived.lake, one, lived.vault)
    assert {"kind": "phone", "value": "138"} in found["identifiers"]
    assert [row["memo"] for row in found["lake"]["transactions"]] == ["lunch 4", "lunch 1"]
    assert found["consents"][0]["purpose"] == "personalise"
    assert found["lake"]["attributes"][0]["text"] == "person"
    json.dumps(found)


def test_an_erased_customer_cannot_be_found_or_opened(lived: Receiving) -> None:
    """Keys, identifiers and map are gone, memos stay shut, others are untouched."""
    one = subject(lived, "u1")
    with lived.records.transaction() as tx:
        erased = customer.erase(tx, one, "operator", NOW_US)
        assert one in erased.subject_ids
        assert one not in customer.customer_map(tx)["subject_id"].to_pylist()
        assert tx.find("subject_keys", {"subject_id": one}) == []
        assert lived.vault.owner_digest("u1") in erased.owner_digests
        with pytest.raises(NotFound):
            customer.erase(tx, one, "operator", NOW_US)
        with pytest.raises(NotFound):
            customer.export(tx, lived.lake, one, lived.vault)
        rows = lived.lake.query("select subject_id, memo_cipher from transactions")
        memos = customer.open_memos(
            tx, lived.vault, rows["subject_id"].combine_chunks(),
            rows["memo_cipher"].combine_chunks(),
        ).to_pylist()  # fmt: skip
        audit = tx.find("audit", {"action": "erase"})
    for owner, memo in zip(rows["subject_id"].to_pylist(), memos, strict=True):
        assert (memo is None) == (owner == one)
    assert len(audit) == 1
    assert "u1" not in str(audit) + str(erased.subject_ids)


def test_a_device_of_the_erased_alone_goes_with_them(lived: Receiving) -> None:
    """The anonymous subject of a device nobody else used is erased; a shared one is not."""
    devices = {names: found for found, names in lived.owners().items()}
    lived.post("b3", [message(8, userId="u2", anonymousId="shared"),
                      message(9, userId="u1", anonymousId="shared")])  # fmt: skip
    one = subject(lived, "u1")
    with lived.records.transaction() as tx:
        erased = customer.erase(tx, one, "operator", NOW_US)
    assert devices["device:own-phone",] in erased.subject_ids
    assert ("device:shared",) in lived.people()


def test_the_erased_who_returns_is_new(lived: Receiving) -> None:
    """The same login after an erasure gets another subject, unconnected to the old one."""
    one = subject(lived, "u1")
    with lived.records.transaction() as tx:
        customer.erase(tx, one, "operator", NOW_US)
    lived.post("b9", [message(99, userId="u1")])
    assert subject(lived, "u1") != one
