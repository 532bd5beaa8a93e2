"""Refused rows mended and replayed, and forgotten with their owner."""

from __future__ import annotations

from pathlib import Path

import pytest

from events.receiving import NOW_US, Receiving, message, raw_transactions, transaction
from jinqiao.errors import NotFound, Unavailable
from jinqiao.events import accept_table, forget, refused_bodies, replay


def test_a_mended_row_gives_the_state_it_would_have_given(tmp_path: Path) -> None:
    """A row refused, mended and replayed a day later leaves the lake as if it had been good."""
    plain, mended = Receiving(tmp_path / "a"), Receiving(tmp_path / "b")
    rows = [transaction(i) for i in range(4)]
    accept_table(plain.door, plain.batch("b"), "transactions", raw_transactions(rows))
    broken = [*rows[:2], rows[2] | {"currency": "?"}, rows[3]]
    accept_table(mended.door, mended.batch("b"), "transactions", raw_transactions(broken))
    (reject,) = mended.rejects()
    body = refused_bodies(mended.door, [reject["reject_id"]])[reject["reject_id"]]
    fixed = {reject["reject_id"]: body.replace(b'"?"', b'"CNY"')}
    mended.now_us = NOW_US + 86_400_000_000
    received = replay(mended.door, now_us=mended.now_us, fixed=fixed)
    assert (received.received, received.accepted) == (1, 1)
    assert mended.rows("transactions") == plain.rows("transactions")
    assert mended.rejects()[0]["status"] == "replayed"


def test_messages_are_replayed_with_their_attributes(receiving: Receiving) -> None:
    """A mended identify gives its row, its attributes and its links, at its first arrival."""
    bad = message(1, type="identify", traits={"birth_year": 1990, "phone": "1"}, timestamp="?")
    receiving.post("b", [bad])
    (reject,) = receiving.rejects()
    good = bad | {"timestamp": "2025-12-31T00:00:00Z"}
    received = replay(receiving.door, now_us=NOW_US + 9_000_000, fixed={reject["reject_id"]: good})
    assert (received.accepted, len(received.links)) == (1, 1)
    assert receiving.rows("attributes")[0]["number"] == 1990
    (row,) = receiving.lake.query("select epoch_us(received_at) as at from behaviour").to_pylist()
    assert row["at"] == NOW_US


def test_what_is_refused_again_stays_open(receiving: Receiving) -> None:
    """A replay that fails keeps the row, under its new reason, and can be tried again."""
    receiving.post("b", [message(1, timestamp="?")])
    (reject,) = receiving.rejects()
    mended = message(1, type="?")
    again = replay(receiving.door, now_us=NOW_US, fixed={reject["reject_id"]: mended})
    assert (again.received, again.rejected) == (1, 1)
    (kept,) = receiving.rejects()
    assert (kept["status"], kept["code"]) == ("refused_again", "intake_unknown_word")
    assert replay(receiving.door, now_us=NOW_US + 1).rejected == 1
    fixed = {reject["reject_id"]: message(1)}
    assert replay(receiving.door, now_us=NOW_US + 2, fixed=fixed).accepted == 1
    assert replay(receiving.door, now_us=NOW_US + 3).received == 0


def test_an_unknown_refused_row_is_not_found(receiving: Receiving) -> None:
    """Mending what is not there is an error, not a silence."""
    with pytest.raises(NotFound):
        replay(receiving.door, now_us=NOW_US, fixed={"rej_none": {}})


def test_a_forgotten_owner_leaves_no_body(receiving: Receiving) -> None:
    """Erasing an owner overwrites the bodies of their refused rows, and nobody else's."""
    receiving.post("b", [message(1, userId="gone", type="?"), message(2, userId="stays", type="?")])
    digest = receiving.vault.owner_digest("gone")
    assert forget(receiving.door, [digest]) == 1
    assert forget(receiving.door, [digest]) == 0
    kept = {row["row_number"]: row for row in receiving.rejects()}
    assert (kept[1]["status"], kept[2]["status"]) == ("erased", "open")
    stays = kept[2]["reject_id"]
    assert b"stays" in refused_bodies(receiving.door, [stays])[stays]
    file = receiving.folder / kept[1]["body_file"]
    start = kept[1]["body_offset"]
    assert not any(file.read_bytes()[start : start + kept[1]["body_length"]])


def test_a_body_cut_short_is_said(receiving: Receiving) -> None:
    """A damaged rejects file is Unavailable, naming the file."""
    receiving.post("b", [message(1, type="?")])
    (reject,) = receiving.rejects()
    file = receiving.folder / reject["body_file"]
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(Unavailable):
        refused_bodies(receiving.door, [reject["reject_id"]])
