"""Versions: written once, in force from an instant, found again for ever."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from catalog.conftest import NOW_US, TEMPLATES
from jinqiao import catalog
from jinqiao.errors import Conflict, InputError, NotFound, SchemaError
from jinqiao.store.base import Tx
from jinqiao.store.memory import MemoryRecords
from jinqiao.store.records import open_records


@pytest.fixture(params=["memory", "sqlite"])
def tx(request: pytest.FixtureRequest, tmp_path: object) -> Iterator[Tx]:
    if request.param == "memory":
        with MemoryRecords().transaction() as one:
            yield one
        return
    records = open_records(f"sqlite:///{tmp_path}/records.db")
    records.migrate()
    with records.transaction() as one:
        yield one
    records.close()


def applied(tx: Tx, texts: dict[str, str], now_us: int, **more: bool) -> list[tuple[str, int]]:
    files = catalog.read_files(texts)
    changed = catalog.apply(tx, files, author="ann", now_us=now_us, **more)
    return [(one.institution_id, one.version) for one in changed]


def test_applying_again_changes_nothing(tx: Tx, bank_text: str) -> None:
    """The first apply makes version 1, the same text none, a changed text version 2 with a diff."""
    assert applied(tx, {"bank.yaml": bank_text}, NOW_US) == [("qinghe_bank", 1)]
    assert applied(tx, {"bank.yaml": bank_text}, NOW_US + 1) == []
    dearer = bank_text.replace("rate_bps: 1500", "rate_bps: 1600")
    assert applied(tx, {"bank.yaml": dearer}, NOW_US + 2) == [("qinghe_bank", 2)]
    first, second = catalog.history(tx, "qinghe_bank")
    assert first.digest != second.digest
    assert first.author == "ann"
    assert "-      rate_bps: 1500\n+      rate_bps: 1600\n" in second.diff


def test_the_catalog_in_force_is_the_one_of_the_instant(tx: Tx, bank_text: str) -> None:
    """A past instant sees the version of its time, and a click is settled under its own version."""
    applied(tx, {"bank.yaml": bank_text}, NOW_US)
    applied(tx, {"bank.yaml": bank_text.replace("rate_bps: 1500", "rate_bps: 1600")}, NOW_US + 10)
    assert catalog.load(tx, NOW_US - 1).institutions == ()
    rates = [
        catalog.load(tx, at).product("qinghe_card").cost.rate_bps  # type: ignore[union-attr]
        for at in (NOW_US, NOW_US + 9, NOW_US + 10, None)
    ]
    assert rates == [1500, 1500, 1600, 1600]
    assert catalog.load(tx).versions == (("qinghe_bank", 2),)
    assert catalog.product_version(tx, "qinghe_card", 1).cost.rate_bps == 1500
    assert catalog.product_version(tx, "qinghe_card", 2).cost.rate_bps == 1600
    with pytest.raises(NotFound):
        catalog.product_version(tx, "qinghe_card", 3)
    with pytest.raises(NotFound):
        catalog.product_version(tx, "nothing", 1)


def test_what_is_loaded_is_what_the_files_said(tx: Tx) -> None:
    """Records give back every institution exactly, in id order."""
    files = catalog.read_files(TEMPLATES / "institutions")
    catalog.apply(tx, files, author="ann", now_us=NOW_US)
    assert catalog.load(tx) == files.catalog


def test_a_missing_file_withdraws_only_when_asked(tx: Tx, bank_text: str) -> None:
    """A withdrawn institution leaves the catalog; its versions stay, and it may come back."""
    applied(tx, {"bank.yaml": bank_text}, NOW_US)
    assert applied(tx, {}, NOW_US + 1) == []
    assert applied(tx, {}, NOW_US + 2, withdraw_missing=True) == [("qinghe_bank", 2)]
    assert applied(tx, {}, NOW_US + 3, withdraw_missing=True) == []
    assert catalog.load(tx).institutions == ()
    assert catalog.product_version(tx, "qinghe_card", 1).product_id == "qinghe_card"
    with pytest.raises(NotFound):
        catalog.product_version(tx, "qinghe_card", 2)
    assert applied(tx, {"bank.yaml": bank_text}, NOW_US + 4) == [("qinghe_bank", 3)]


def test_a_faulty_file_writes_nothing(tx: Tx, bank_text: str) -> None:
    """One fault in one file refuses the whole apply, naming the place."""
    texts = {"a.yaml": bank_text, "b.yaml": "institution_id: x\n"}
    with pytest.raises(SchemaError, match=r"b\.yaml:1"):
        applied(tx, texts, NOW_US)
    assert catalog.load(tx).institutions == ()


def test_an_id_is_never_given_away(tx: Tx, bank_text: str) -> None:
    """A product stays with its institution, and no instant has two versions."""
    applied(tx, {"bank.yaml": bank_text}, NOW_US)
    other = bank_text.replace("institution_id: qinghe_bank", "institution_id: other_bank")
    with pytest.raises(Conflict, match="belongs to qinghe_bank"):
        applied(tx, {"other.yaml": other}, NOW_US + 1)
    with pytest.raises(Conflict, match="from this instant"):
        applied(tx, {"bank.yaml": bank_text + "\n"}, NOW_US)
    with pytest.raises(SchemaError, match="two files"):
        applied(tx, {"bank.yaml": bank_text, "copy.yaml": bank_text}, NOW_US + 1)


def test_a_stop_is_seen_at_once_and_recorded(tx: Tx, bank_text: str) -> None:
    """A stopped product is stopped in the next load, sells no unit, and comes back when resumed."""
    applied(tx, {"bank.yaml": bank_text}, NOW_US)
    assert catalog.stop(tx, "qinghe_card", actor="ann", now_us=NOW_US + 5)
    assert not catalog.stop(tx, "qinghe_card", actor="ann", now_us=NOW_US + 6)
    found = catalog.load(tx)
    assert found.stopped == {"qinghe_card"} == catalog.stopped(tx)
    assert catalog.load(tx, NOW_US + 4).stopped == frozenset()
    wanted = catalog.Reservation("c", "qinghe_card", NOW_US + 7)
    assert catalog.reserve(tx, found, wanted).reasons[0].code == "product_stopped"
    table = catalog.product_table(found, NOW_US + 7)
    assert dict(zip(*(table[n].to_pylist() for n in ("product_id", "stopped")), strict=True))[
        "qinghe_card"
    ]
    assert catalog.resume(tx, "qinghe_card", actor="bob", now_us=NOW_US + 8)
    assert catalog.load(tx).stopped == frozenset()
    with pytest.raises(NotFound):
        catalog.stop(tx, "nothing", actor="ann", now_us=NOW_US)
    with pytest.raises(InputError):
        catalog.stop(tx, "qinghe_card", actor=" ", now_us=NOW_US)


def test_a_kept_record_is_plain_json(tx: Tx, bank_text: str) -> None:
    """What lies in records can be read without this program."""
    applied(tx, {"bank.yaml": bank_text}, NOW_US)
    (row,) = tx.find("institution_versions")
    assert json.loads(json.dumps(row["record"])) == row["record"]
    assert row["text"] == bank_text


def test_nothing_is_sold_before_its_launch_or_after_its_withdrawal(tx: Tx, bank_text: str) -> None:
    """A click-out from a stale page is refused with the reason, and holds no unit."""
    text = bank_text.replace(
        "launch_on: 2026-01-01", "launch_on: 2026-03-02, withdraw_on: 2026-03-03"
    )
    applied(tx, {"bank.yaml": text}, NOW_US)
    found, day = catalog.load(tx), 86_400_000_000
    told = catalog.reserve_many(
        tx,
        found,
        [catalog.Reservation(f"c{i}", "qinghe_card", NOW_US + i * day) for i in range(3)]
        + [catalog.Reservation("c3", "nothing", NOW_US)],
    )
    assert [one.allowed for one in told] == [False, True, False, False]
    codes = [reason.code for one in told for reason in one.reasons]
    assert codes == ["product_not_offered", "product_not_offered", "product_unknown"]
    assert {unit["click_id"] for unit in tx.find("limit_units")} == {"c1"}
