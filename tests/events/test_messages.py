"""Segment messages: what becomes a row, what is refused, and what never reaches the lake."""

from __future__ import annotations

import json

import msgspec
import pytest

from events.receiving import NOW_US, Receiving, message
from jinqiao.domain.identity import Identifier
from jinqiao.domain.messages import codes, render
from jinqiao.errors import Conflict, SchemaError
from jinqiao.events import accept_messages
from jinqiao.events.segment import BODY_BYTES, MESSAGES


def test_a_track_is_a_behaviour_row(receiving: Receiving) -> None:
    """A track message becomes one row, its known context in columns, the rest in properties."""
    received = receiving.post("b1", json.dumps({"batch": [message(1)]}).encode())
    assert (received.received, received.accepted) == (1, 1)
    (row,) = receiving.rows("behaviour")
    assert (row["type"], row["event"], row["channel"]) == ("track", "product_viewed", "app")
    assert row["product_id"] == "p1"
    assert json.loads(row["properties"]) == {"colour": "red", "product_id": "p1"}
    assert row["occurred_at"].isoformat() == "2025-12-31T00:00:00"
    assert row["subject_id"] == ("login:u1",)


def test_an_identify_gives_attributes_and_links(receiving: Receiving) -> None:
    """Traits become attributes; phone and e-mail become links and reach no lake table."""
    traits = {"birthYear": 1990, "occupation": "nurse", "phone": "138-0013-8000", "name": "李四",
              "email": "Li@x.cn"}  # fmt: skip
    received = receiving.post(
        "b1", [message(1, type="identify", traits=traits, anonymousId="d1", event=None)]
    )
    found = {row["attribute"]: (row["number"], row["text"]) for row in receiving.rows("attributes")}
    assert found == {"birth_year": (1990.0, None), "occupation": (None, "nurse")}
    assert {link.other for link in received.links} == {
        Identifier("device", "d1"), Identifier("phone", "138-0013-8000"),
        Identifier("email", "Li@x.cn"),
    }  # fmt: skip
    text = str(receiving.rows("behaviour")) + str(receiving.rows("attributes"))
    assert "李四" not in text
    assert ("device:d1",) in receiving.people()


def test_direct_identifiers_leave_the_properties(receiving: Receiving) -> None:
    """A phone number or a name in properties is dropped at any depth."""
    properties = {"a": {"phoneNumber": "13800138000", "b": [{"name": "李四", "c": 1}]}}
    receiving.post("b1", [message(1, properties=properties)])
    assert json.loads(receiving.rows("behaviour")[0]["properties"]) == {"a": {"b": [{"c": 1}]}}


def test_an_alias_makes_one_customer(receiving: Receiving) -> None:
    """An alias of two logins that are both known merges them; a shared device merges nobody."""
    receiving.post("b1", [message(1, userId="u1", anonymousId="tablet"),
                          message(2, userId="u2", anonymousId="tablet")])  # fmt: skip
    assert len(receiving.people()) == 3
    receiving.post("b2", [message(3, type="alias", userId="u2", previousId="u1")])
    assert ("login:u1", "login:u2") in receiving.people()
    assert ("device:tablet",) in receiving.people()


def test_cloud_events_are_accepted(receiving: Receiving) -> None:
    """A CloudEvents envelope is a message: its id, time and subject fill what data leave out."""
    plain = {"specversion": "1.0", "id": "e1", "source": "/app", "type": "cn.shop.offer_viewed",
             "time": "2025-12-31T00:00:00Z", "subject": "u9",
             "data": {"product_id": "p7"}}  # fmt: skip
    wrapped = plain | {"id": "e2", "data": message(4)}
    assert receiving.post("b1", [plain, wrapped]).accepted == 2
    rows = {row["message_id"]: row for row in receiving.rows("behaviour")}
    assert rows["e1"]["event"] == "offer_viewed"
    assert rows["e1"]["product_id"] == "p7"
    assert rows["e1"]["subject_id"] == ("login:u9",)
    assert rows["m4"]["type"] == "track"


BAD = [
    (message(1, messageId=None), "intake_missing", "message_id"),
    (message(1, userId=None), "intake_missing", "userId"),
    (message(1, userId="anonymous:x"), "intake_reserved", "userId"),
    (message(1, type="sale"), "intake_unknown_word", "type"),
    (message(1, timestamp="yesterday"), "intake_wrong_type", "occurred_at"),
    (message(1, timestamp="2025-12-31T08:00:00"), "intake_wrong_type", "occurred_at"),
    (message(1, timestamp="2027-01-01T00:00:00Z"), "intake_future", "occurred_at"),
    (message(1, timestamp=None), "intake_missing", "occurred_at"),
    (message(1, properties=[1]), "intake_not_an_object", "properties"),
    (message(1, properties={"a": "x" * 9_000}), "intake_too_large", "properties"),
    (message(1, properties={"a": "x" * 40_000}), "intake_too_large", "message"),
    (message(1, properties={"a": {"b": {"c": {"d": {"e": {"f": {"g": {}}}}}}}}),
     "intake_too_deep", "message"),
    (message(1, event="x" * 65), "intake_too_long", "event"),
    (message(1, properties={"city_tier": 9}), "intake_out_of_range", "city_tier"),
    (message(1, properties={"amount_minor": 1.5}), "intake_wrong_type", "amount_minor"),
    (message(1, type="identify", traits={"pets": ["cat"]}), "intake_wrong_type", "traits.pets"),
    (message(1, type="identify", traits={"Ä": 1}), "intake_not_a_name", "traits"),
]  # fmt: skip


@pytest.mark.parametrize(("bad", "code", "field"), BAD)
def test_a_bad_message_is_refused_with_its_reason(
    receiving: Receiving, bad: dict[str, object], code: str, field: str
) -> None:
    """Each fault names its row, field and code, and leaves the good messages beside it alone."""
    received = receiving.post("b1", [message(0), bad, message(2)])
    assert (received.received, received.accepted, received.rejected) == (3, 2, 1)
    (fault,) = received.faults
    assert (fault.row, fault.code, fault.field) == (2, code, field)
    for language in ("zh", "en"):
        assert render(fault.code, language, fault.numbers)
        assert render(f"{fault.code}_fix", language)
    (kept,) = receiving.rejects()
    assert (kept["row_number"], kept["code"], kept["status"]) == (2, code, "open")
    body = receiving.door.open_body(
        (receiving.folder / kept["body_file"]).read_bytes()[
            kept["body_offset"] : kept["body_offset"] + kept["body_length"]
        ]
    )
    assert json.loads(body) == bad


def test_a_refused_body_is_sealed_on_disk(receiving: Receiving) -> None:
    """What lies under rejects/ cannot be read without the key."""
    receiving.post("b1", [message(1, userId="secret-user", timestamp="x")])
    (file,) = receiving.folder.rglob("*.bin")
    assert b"secret-user" not in file.read_bytes()


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"3", b'"x"', b"{", b'{"batch": 3}', b"\xff\xfe", b"[" * 100_000,
     b'{"batch":' + b"[" * 100_000, b"[1] tail", b" " * (BODY_BYTES + 1)],
)  # fmt: skip
def test_a_body_that_is_none_is_refused_whole(receiving: Receiving, body: bytes) -> None:
    """A body that is not JSON, too deep or too large raises SchemaError and leaves nothing."""
    with pytest.raises(SchemaError):
        accept_messages(receiving.door, receiving.batch("b1"), body)
    assert receiving.rows("behaviour") == []
    assert receiving.rejects() == []


def test_too_many_messages_are_refused_whole(receiving: Receiving) -> None:
    """A body may hold 5,000 messages and no more."""
    body = msgspec.json.encode([1] * (MESSAGES + 1))
    with pytest.raises(SchemaError, match=f"{MESSAGES + 1} messages"):
        accept_messages(receiving.door, receiving.batch("b1"), body)


def test_the_same_batch_again_changes_nothing(receiving: Receiving) -> None:
    """A retry gives the counts of the first time, says so, and adds no row and no refused row."""
    body = [message(1), message(1), message(2), message(3, type="?")]
    first = receiving.post("b1", body)
    assert (first.accepted, first.duplicate, first.rejected) == (2, 1, 1)
    again = receiving.post("b1", body)
    assert again == first
    assert (first.repeated, again.repeated) == (False, True)
    assert len(receiving.rows("behaviour")) == 2
    assert len(receiving.rejects()) == 1


def test_a_batch_id_names_one_content(receiving: Receiving) -> None:
    """Another number of rows under a known batch id is a conflict, not a loss."""
    receiving.post("b1", [message(1)])
    with pytest.raises(Conflict):
        receiving.post("b1", [message(1), message(2)])


def test_a_duplicate_in_another_batch_is_counted(receiving: Receiving) -> None:
    """A message that came before, in any batch, is a duplicate and keeps its first arrival."""
    receiving.post("b1", [message(1)])
    receiving.now_us = NOW_US + 60_000_000
    assert receiving.post("b2", [message(1), message(2)]).duplicate == 1
    arrivals = {row["message_id"]: row["received_at"] for row in receiving.rows("behaviour")}
    assert arrivals["m1"] < arrivals["m2"]


def test_every_intake_message_has_its_fix() -> None:
    """Each code of intake and ledger has a sentence that says what to do."""
    mine = [code for code in codes() if code.startswith(("intake_", "ledger_"))]
    plain = [code for code in mine if not code.endswith("_fix")]
    assert plain
    assert all(f"{code}_fix" in mine for code in plain)
