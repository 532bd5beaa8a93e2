"""Tables and files: columns typed, bad rows refused one by one, nothing lost."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from events.receiving import NOW_US, Receiving, message, raw_transactions, transaction
from jinqiao.domain.messages import render
from jinqiao.domain.tables import RAW_ATTRIBUTES
from jinqiao.engines.tables import arrow_schema
from jinqiao.errors import InputError, NotFound, SchemaError
from jinqiao.events import accept_file, accept_table
from jinqiao.events import intake as intake_module

BAD = [
    ({"transaction_id": None}, "intake_missing", "transaction_id"),
    ({"user_id": ""}, "intake_missing", "user_id"),
    ({"amount_minor": None}, "intake_missing", "amount_minor"),
    ({"amount_minor": 10**16}, "intake_out_of_range", "amount_minor"),
    ({"currency": "XXX"}, "intake_unknown_word", "currency"),
    ({"category": "fun"}, "intake_unknown_word", "category"),
    ({"instrument": "cash"}, "intake_unknown_word", "instrument"),
    ({"occurred_at": NOW_US + 2 * 86_400_000_000}, "intake_future", "occurred_at"),
    ({"received_at": NOW_US + 2 * 86_400_000_000}, "intake_future", "received_at"),
    ({"occurred_at": -1}, "intake_before_1970", "occurred_at"),
    ({"counterparty_key": "王小二"}, "intake_not_a_digest", "counterparty_key"),
    ({"account_id": "x" * 129}, "intake_too_long", "account_id"),
    ({"memo": "x" * 1001}, "intake_too_long", "memo"),
]


@pytest.mark.parametrize(("change", "code", "field"), BAD)
def test_a_bad_row_is_refused_and_its_neighbours_kept(
    receiving: Receiving, change: dict[str, object], code: str, field: str
) -> None:
    """Each rule refuses its row alone, by code and field."""
    table = raw_transactions([transaction(0), transaction(1, **change), transaction(2)])
    received = accept_table(receiving.door, receiving.batch("b"), "transactions", table)
    assert (received.accepted, received.rejected) == (2, 1)
    (fault,) = received.faults
    assert (fault.row, fault.code, fault.field) == (2, code, field)


@pytest.mark.parametrize(
    ("name", "number", "text", "code"),
    [
        ("city_tier", 22.0, None, "intake_out_of_range"),
        ("city_tier", 0.0, None, "intake_out_of_range"),
        ("risk_tolerance", 6.0, None, "intake_out_of_range"),
        ("birth_year", 1200.0, None, "intake_out_of_range"),
        ("birth_year", 2200.0, None, "intake_out_of_range"),
        ("city_tier", None, "first", "intake_wrong_type"),
        ("city_tier", 6.0, None, ""),
        ("birth_year", 1990.0, None, ""),
        ("shoe_size", 1e9, None, ""),
    ],
)
def test_an_attribute_outside_its_range_is_refused(
    receiving: Receiving, name: str, number: float | None, text: str | None, code: str
) -> None:
    """City tiers, risk levels and years of birth are held to their ranges; others are free."""
    row = {"attribute_id": "a", "user_id": "u", "attribute": name, "number": number, "text": text,
           "occurred_at": NOW_US, "received_at": None}  # fmt: skip
    table = pa.Table.from_pylist([row], schema=arrow_schema(RAW_ATTRIBUTES))
    received = accept_table(receiving.door, receiving.batch("b"), "attributes", table)
    assert [fault.code for fault in received.faults] == ([code] if code else [])
    if name == "city_tier" and number == 22.0:
        said = render(code, "en", received.faults[0].numbers)
        assert said == "The number is not between 1 and 6."


def test_memos_reach_the_lake_sealed(receiving: Receiving) -> None:
    """A memo is in the lake under the customer's key only, and opens to what it was."""
    accept_table(
        receiving.door, receiving.batch("b"), "transactions", raw_transactions([transaction(1)])
    )
    cipher = receiving.lake.query("select memo_cipher from transactions")["memo_cipher"][0].as_py()
    assert b"lunch" not in cipher
    assert receiving.rows("transactions")[0]["memo"] == "lunch 1"


def test_an_arrival_given_is_kept_and_one_missing_is_now(receiving: Receiving) -> None:
    """received_at is the row's own when it has one, else the instant of intake."""
    rows = [transaction(1, received_at=NOW_US - 5_000_000), transaction(2)]
    accept_table(receiving.door, receiving.batch("b"), "transactions", raw_transactions(rows))
    found = receiving.lake.query(
        "select epoch_us(received_at) as at from transactions order by transaction_id"
    )
    assert found["at"].to_pylist() == [NOW_US - 5_000_000, NOW_US]


def test_a_large_table_goes_in_blocks(
    receiving: Receiving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks are batches of their own; rows count through; a retry changes nothing."""
    monkeypatch.setattr(intake_module, "BLOCK_ROWS", 10)
    rows = [transaction(i) for i in range(35)]
    rows[23]["currency"] = "?"
    table = raw_transactions(rows)
    first = accept_table(receiving.door, receiving.batch("b"), "transactions", table)
    assert (first.received, first.accepted, first.rejected) == (35, 34, 1)
    assert first.faults[0].row == 24
    assert accept_table(receiving.door, receiving.batch("b"), "transactions", table) == first


def test_a_table_of_another_shape_is_refused_whole(receiving: Receiving) -> None:
    """A missing or unknown column, or text where a number belongs, raises SchemaError."""
    good = raw_transactions([transaction(1)])
    for bad in (
        good.drop_columns(["currency"]),
        good.append_column("extra", pa.array([1])),
        good.set_column(5, "amount_minor", pa.array(["100"])),
    ):
        with pytest.raises(SchemaError):
            accept_table(receiving.door, receiving.batch("b"), "transactions", bad)
    with pytest.raises(InputError):
        accept_table(receiving.door, receiving.batch("b"), "decisions", good)


def test_csv_ndjson_and_parquet_say_the_same(tmp_path: Path) -> None:
    """The same rows in three formats give the same lake."""
    rows = [transaction(i) for i in range(5)]
    texts = [
        row | {"occurred_at": _iso(row["occurred_at"])} for row in rows
    ]  # fmt: skip
    (tmp_path / "a.ndjson").write_text("\n".join(json.dumps(row) for row in texts) + "\n")
    names = list(texts[0])
    lines = [",".join(names)]
    lines += [",".join("" if row[n] is None else str(row[n]) for n in names) for row in texts]
    (tmp_path / "a.csv").write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")
    pq.write_table(raw_transactions(rows), tmp_path / "a.parquet")
    lakes = []
    for suffix in ("ndjson", "csv", "parquet"):
        here = Receiving(tmp_path / suffix)
        path = tmp_path / f"a.{suffix}"
        assert accept_file(here.door, here.batch("b"), "transactions", path).accepted == 5
        lakes.append(here.rows("transactions"))
    assert lakes[0] == lakes[1] == lakes[2]


def test_a_stray_quote_swallows_no_row(receiving: Receiving, tmp_path: Path) -> None:
    """A quote left open costs its own line; the lines after it are read."""
    good = "t{0},u1,a1,2025-12-31T00:00:00Z,,-100,CNY,,dining,card,,lunch"
    head = ("transaction_id,user_id,account_id,occurred_at,received_at,amount_minor,currency,"
            "balance_minor,category,instrument,counterparty_key,memo")  # fmt: skip
    broken = 't2,u1,a1,2025-12-31T00:00:00Z,,-100,CNY,,dining,card,"x,lunch'
    path = tmp_path / "a.csv"
    path.write_text("\n".join([head, good.format(1), broken, good.format(3), good.format(4)]))
    received = accept_file(receiving.door, receiving.batch("b"), "transactions", path)
    assert (received.received, received.accepted, received.rejected) == (4, 3, 1)
    assert {row["transaction_id"] for row in receiving.rows("transactions")} == {"t1", "t3", "t4"}


def test_a_header_that_does_not_fit_names_the_column(receiving: Receiving, tmp_path: Path) -> None:
    """A CSV whose header lacks a column is refused whole, and the error says which."""
    path = tmp_path / "a.csv"
    path.write_text("transaction_id,amount\nt1,3\n")
    with pytest.raises(SchemaError) as caught:
        accept_file(receiving.door, receiving.batch("b"), "transactions", path)
    assert caught.value.field == "account_id"
    assert "line 1" in str(caught.value)


def test_files_of_messages_are_read_line_by_line(receiving: Receiving, tmp_path: Path) -> None:
    """A broken line is refused with its bytes; its neighbours are messages."""
    path = tmp_path / "m.ndjson"
    path.write_bytes(json.dumps(message(1)).encode() + b"\n{broken\n\n\xff\xfe\n"
                     + json.dumps(message(2)).encode())  # fmt: skip
    received = accept_file(receiving.door, receiving.batch("b"), "messages", path)
    assert (received.received, received.accepted, received.rejected) == (4, 2, 2)
    assert [fault.row for fault in received.faults] == [2, 3]


def test_what_is_no_file_or_no_format_is_said(receiving: Receiving, tmp_path: Path) -> None:
    """A missing file, an unknown suffix and a damaged Parquet file are clear errors."""
    with pytest.raises(NotFound):
        accept_file(receiving.door, receiving.batch("b"), "messages", tmp_path / "none.ndjson")
    (tmp_path / "a.doc").write_text("x")
    with pytest.raises(InputError, match="cannot hold"):
        accept_file(receiving.door, receiving.batch("b"), "transactions", tmp_path / "a.doc")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(SchemaError):
        accept_file(receiving.door, receiving.batch("b"), "transactions", tmp_path / "a.parquet")


def _iso(us: int) -> str:
    from jinqiao.domain.time import from_us

    return from_us(us).isoformat()


def test_two_batches_that_race_count_each_row_once(
    receiving: Receiving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When another batch brings a row between the look and the write, it counts as duplicate."""
    table = raw_transactions([transaction(1), transaction(2)])
    accept_table(receiving.door, receiving.batch("a"), "transactions", table.slice(0, 1))
    unseen = pa.array([False, False])
    monkeypatch.setattr(receiving.lake, "known", lambda schema, keys: unseen)
    received = accept_table(receiving.door, receiving.batch("b"), "transactions", table)
    assert (received.accepted, received.duplicate) == (1, 1)
    assert accept_table(receiving.door, receiving.batch("b"), "transactions", table) == received
