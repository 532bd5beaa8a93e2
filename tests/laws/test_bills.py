"""Laws of standard bills: what was written is read, what is broken is said, nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jinqiao.domain.time import local_date, to_us
from jinqiao.errors import JinqiaoError
from jinqiao.ledger import STANDARDS, Bill, BillHints, read_bill
from ledger.standard_bills import WRITERS, Ledger, Written, mt940, qif

SOME = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
TEXT = st.text("ab宋面 7", max_size=12).map(lambda text: " ".join(text.split()))
DAYS = st.dates(date(2026, 1, 2), date(2026, 6, 30))
AMOUNTS = st.integers(-(10**8), 10**8).filter(bool)


@st.composite
def ledgers(draw: st.DrawFn) -> Ledger:
    size = draw(st.integers(1, 6))
    rows = tuple(
        Written(
            draw(DAYS), draw(AMOUNTS), draw(TEXT), draw(TEXT),
            draw(st.sampled_from([f"R{number}", ""])),
            draw(st.one_of(st.none(), DAYS)), draw(st.booleans()),
        )
        for number in range(size)
    )  # fmt: skip
    currency = draw(st.sampled_from(["CNY", "EUR", "JPY", "KWD"]))
    return Ledger(rows, currency, draw(st.integers(-(10**6), 10**6)))


def read(data: bytes, currency: str = "", kind: str | None = None) -> Bill:
    hints = BillHints(currency=currency)
    return read_bill(data, digest=lambda name: f"cp_{name}", name="b", hints=hints, kind=kind)


@SOME
@given(ledgers(), st.sampled_from(sorted(WRITERS)))
def test_a_ledger_written_is_the_ledger_read(ledger: Ledger, kind: str) -> None:
    """Days, amounts, currency, parties and words of a written ledger are read back, row by row."""
    found = read(WRITERS[kind](ledger), ledger.currency)
    assert (found.faults, found.read) == ((), len(ledger.rows))
    for row, written in zip(found.rows.to_pylist(), ledger.rows, strict=True):
        at_us = to_us(row["occurred_at"].replace(tzinfo=UTC))
        assert local_date(at_us) == written.day
        assert (row["amount_minor"], row["currency"]) == (written.amount_minor, ledger.currency)
        assert row["counterparty_key"] == (f"cp_{written.party}" if written.party else None)
        assert written.memo in (row["memo"] or "")
    assert all(one.agrees is not False for one in found.balances)


@SOME
@given(ledgers(), st.sampled_from(["camt.053", "mt940", "ofx1", "qif"]), st.data())
def test_statements_that_overlap_give_each_row_once(
    ledger: Ledger, kind: str, data: st.DataObject
) -> None:
    """The days of one account cut into two files that share days: the same ids, none else."""
    rows = sorted(ledger.rows, key=lambda row: row.day)
    if kind == "ofx1":  # where every row has a reference of its own
        rows = [replace(row, reference=f"F{number}") for number, row in enumerate(rows)]
    days = sorted({row.day for row in rows})
    start, end = data.draw(st.sampled_from(days)), data.draw(st.sampled_from(days))

    def part(keep: Callable[[Written], bool]) -> set[str]:
        before = sum(row.amount_minor for row in rows if row.day < start and not keep(rows[0]))
        some = tuple(row for row in rows if keep(row))
        cut = Ledger(some, ledger.currency, ledger.opening_minor + before, ledger.account)
        return set(read(WRITERS[kind](cut), ledger.currency).rows["transaction_id"].to_pylist())

    whole = part(lambda row: True)
    low, high = min(start, end), max(start, end)
    pieces = part(lambda row: row.day <= high) | part(lambda row: row.day >= low)
    assert pieces == whole


KINDS = {"o": "ofx", "q": "qif", "c": "camt"}


def tried(data: bytes, currency: str = "", kind: str | None = None) -> Bill | JinqiaoError:
    """Return the bill, or the error of ours that says why there is none."""
    try:
        return read(data, currency, kind)
    except JinqiaoError as error:
        return error


def _mutated(draw: st.DrawFn, data: bytes) -> bytes:
    at = draw(st.integers(0, len(data) - 1))
    what = draw(st.sampled_from(["put", "drop", "add", "cut"]))
    byte = bytes([draw(st.one_of(st.sampled_from(b"<>^!:&;\n,.-{}? "), st.integers(0, 255)))])
    if what == "cut":
        return data[:at]
    return data[:at] + (b"" if what == "drop" else byte) + data[at + (what != "add") :]


@st.composite
def broken(draw: st.DrawFn) -> tuple[str, Ledger, bytes]:
    kind, ledger = draw(st.sampled_from(sorted(WRITERS))), draw(ledgers())
    return kind, ledger, _mutated(draw, WRITERS[kind](ledger))


@settings(parent=SOME, max_examples=400)
@given(broken())
def test_a_byte_changed_is_an_error_or_loses_no_row_unsaid(
    case: tuple[str, Ledger, bytes],
) -> None:
    """One byte put, dropped or added, or the end cut off: a clear error, or rows that are all
    there, or a fault or a balance that says what is missing."""
    kind, ledger, data = case
    found = tried(data, ledger.currency, KINDS.get(kind[0], kind))
    if isinstance(found, JinqiaoError):
        assert found.record or found.field
        assert len(str(found)) < 400
        return
    assert found.read == found.rows.num_rows + len(found.faults)
    whole = WRITERS[kind](ledger)
    if kind == "qif" and whole.startswith(data):  # it has no end to tell by: never half a row
        first = read(whole, ledger.currency).rows["transaction_id"].to_pylist()
        assert found.rows["transaction_id"].to_pylist() == first[: found.rows.num_rows]
    elif found.read < len(ledger.rows):
        assert found.faults or any(one.agrees is not True for one in found.balances)


@settings(parent=SOME, max_examples=150)
@given(st.binary(max_size=300), st.sampled_from([None, *(one.kind for one in STANDARDS)]))
def test_any_bytes_are_an_error_or_rows(data: bytes, kind: str | None) -> None:
    """Any bytes, read as anything: an error of ours, or a bill whose counts add up."""
    found = tried(data, kind=kind)
    assert isinstance(found, JinqiaoError) or found.read == found.rows.num_rows + len(found.faults)


STARTS = {
    "ofx": b"OFXHEADER:100\n<OFX><STMTRS><STMTTRN>", "qif": b"!Type:Bank\n",
    "camt": b'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.02"><BkToCstmrStmt>',
    "mt940": b":20:X\n:25:Y\n:60F:C260101EUR1,\n:61:",
}  # fmt: skip


@settings(parent=SOME, max_examples=200)
@given(st.sampled_from(sorted(STARTS)), st.text(max_size=200))
def test_a_good_start_and_any_text_is_an_error_or_rows(kind: str, text: str) -> None:
    """What begins like a bill and goes on like nothing: an error of ours, or counts that add up."""
    found = tried(STARTS[kind] + text.encode("utf-8", "replace"))
    if isinstance(found, JinqiaoError):
        return
    assert found.kind == kind
    assert found.read == found.rows.num_rows + len(found.faults)
    assert all(fault.row >= 1 for fault in found.faults)


@SOME
@given(ledgers())
def test_a_missing_row_of_a_qif_file_is_never_silent(ledger: Ledger) -> None:
    """Without the ^ between two rows they are one fault, not one row with the other's amount."""
    data = qif(ledger)
    lines = data.decode().split("\n")
    marks = [place for place, line in enumerate(lines) if line == "^"][1:-1]
    for place in marks[:3]:
        joined = "\n".join(lines[:place] + lines[place + 1 :]).encode()
        found = read(joined, ledger.currency)
        assert [fault.code for fault in found.faults] == ["ledger_two_rows"]
        assert found.rows.num_rows == len(ledger.rows) - 2


@SOME
@given(ledgers(), st.integers(1, 10**6))
def test_a_balance_that_does_not_follow_is_said(ledger: Ledger, missing: int) -> None:
    """A closing balance off by any amount is said to the minor unit; no running balance is made."""
    wrong = Ledger(
        ledger.rows, ledger.currency, ledger.opening_minor, closing_minor=ledger.closing + missing
    )
    for writer in (mt940, WRITERS["camt.053"]):
        (balance,) = (found := read(writer(wrong))).balances
        assert (balance.agrees, balance.difference_minor) == (False, missing)
        assert set(found.rows["balance_minor"].to_pylist()) == {None}


@pytest.mark.parametrize("kind", sorted(WRITERS))
def test_the_kind_is_told_from_the_bytes(kind: str) -> None:
    """No name and no hint: the content says what it is, in UTF-8 and in UTF-16 with its mark."""
    ledger = Ledger((Written(date(2026, 2, 3), -2816, "老王面馆"),))
    data = WRITERS[kind](ledger)
    assert read(data).kind == kind.rstrip("12").partition(".")[0]
