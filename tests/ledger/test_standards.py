"""OFX, QIF, camt and MT940: what their banks really write, and what no reader should swallow."""

from __future__ import annotations

import logging
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from jinqiao.domain.messages import render
from jinqiao.errors import InputError, SchemaError
from jinqiao.ledger import (
    STANDARDS,
    Bill,
    BillHints,
    mark_own_transfers,
    mark_wallet_mirrors,
    read_bill,
    reconcile,
)
from jinqiao.ledger.encoding import text_of
from ledger.standard_bills import WRITERS, Ledger, Written, camt, mt940, ofx, qif

BILLS = Path(__file__).with_name("bills")
BERLIN = BillHints(zone="Europe/Berlin", currency="EUR")
HEAD = "交易时间,交易类型,交易对方,商品,收/支,金额(元),支付方式,当前状态,交易单号,商户单号,备注"


def digest(name: str) -> str:
    return f"cp_{name}"


def read(source: Path | bytes, hints: BillHints | None = None) -> Bill:
    name = source.name if isinstance(source, Path) else "b"
    return read_bill(source, digest=digest, name=name, hints=hints)


def amounts(bill: Bill) -> list[int]:
    found: list[int] = bill.rows["amount_minor"].to_pylist()
    return found


def faults(bill: Bill) -> list[tuple[int, str, str]]:
    return [(fault.row, fault.field, fault.code) for fault in bill.faults]


def test_a_checking_account_in_ofx_1() -> None:
    """Open tags, Windows text, offsets, commas, a fee of half a cent, and corrections."""
    found = read(BILLS / "checking.ofx", BERLIN)
    assert amounts(found) == [-1_250, 250_000, -8_000, -1_500, 1_250, -100, -100]
    assert faults(found) == [
        (6, "CORRECTFITID", "ledger_corrects_another"), (7, "TRNAMT", "ledger_bad_amount"),
    ]  # fmt: skip
    rows = found.rows.to_pylist()
    assert rows[1]["occurred_at"].isoformat() == "2026-02-05T17:00:00"
    assert (rows[1]["category"], rows[1]["memo"]) == ("salary", "Acme Tools · Payroll & bonus")
    assert rows[2]["memo"] == "Café Straße · 起息日：2026-02-08"
    assert rows[4]["category"] == "refund"
    assert rows[5]["transaction_id"] == rows[6]["transaction_id"]
    assert found.balances[0].closing_minor == 340_400
    assert found.balances[0].agrees is None


def test_a_correction_adds_up_to_what_it_corrects_the_row_to() -> None:
    """REPLACE and DELETE leave the row they correct and add what is missing, in a chain too."""
    first = Ledger((Written(date(2026, 2, 3), -8_000, "Shop", reference="A"),), "USD")
    text = ofx(first).decode()

    def row(name: str, amount: str, target: str, action: str) -> str:
        return (
            f"<STMTTRN><TRNTYPE>DEBIT<DTPOSTED>20260204<TRNAMT>{amount}<FITID>{name}"
            f"<CORRECTFITID>{target}<CORRECTACTION>{action}</STMTTRN></BANKTRANLIST>"
        )

    for more, left in (
        ([row("B", "-95", "A", "REPLACE")], -9_500),
        ([row("B", "-95", "A", "DELETE")], 0),
        ([row("B", "-95", "A", "REPLACE"), row("C", "-60", "B", "REPLACE")], -6_000),
    ):
        changed = text
        for one in more:
            changed = changed.replace("</BANKTRANLIST>", one, 1)
        found = read(changed.encode())
        assert sum(amounts(found)) == left
        assert found.rows["transaction_id"][0] == read(text.encode()).rows["transaction_id"][0]


def test_a_card_in_ofx_2() -> None:
    """Comments, CDATA, an empty tag, another currency of one row, a payment, a pending row."""
    found = read(BILLS / "card.ofx")
    rows = found.rows.to_pylist()
    assert amounts(found) == [-1_200, -1_250, 300, 5_000]
    assert [row["currency"] for row in rows] == ["JPY", "USD", "JPY", "JPY"]
    assert [row["category"] for row in rows] == ["dining", "travel", "refund", "own_transfer"]
    assert {row["instrument"] for row in rows} == {"card"}
    assert rows[0]["memo"] == "支付宝-老王 & 面馆 · <午饭>"
    assert faults(found) == [(5, "STMTTRNP", "ledger_not_settled")]


def test_a_household_in_qif() -> None:
    """Several ways to write a day and an amount, splits, a transfer; what may be two is refused."""
    found = read(BILLS / "household.qif", BERLIN)
    assert amounts(found) == [-2_850, -30_000, -125_000, -50_000, -900]
    rows = found.rows.to_pylist()
    assert [row["occurred_at"].isoformat()[:10] for row in rows] == [
        "2026-02-02", "2026-02-03", "2026-02-04", "2026-02-05", "2026-02-11",
    ]  # fmt: skip
    assert [row["category"] for row in rows[:4]] == [
        "groceries", "groceries", "rent", "own_transfer",
    ]  # fmt: skip
    assert [row["instrument"] for row in rows] == ["bank"] * 4 + ["card"]
    assert sorted(faults(found)) == [
        (48, "T", "ledger_bad_amount"), (52, "T", "ledger_bad_amount"),
        (56, "D", "ledger_bad_date"), (60, "T", "ledger_not_settled"),
        (64, "D", "ledger_two_rows"), (71, "row", "ledger_investment"),
        (81, "^", "ledger_cut_off"),
    ]  # fmt: skip
    assert (found.read, found.notes) == (12, 4)
    assert found.balances[0].opening_minor == 100_000


def test_which_number_is_the_month_is_never_guessed() -> None:
    """Dates that could be either are an error with its fix; a hint decides, a 13th tells."""
    text = b"!Type:Bank\nD%s\nT-5\n^\n"
    with pytest.raises(SchemaError, match="day-month or month-day") as caught:
        read(text % b"2/3/2026")
    assert caught.value.fix == "say --day-first or --month-first"
    for day_first, day in ((True, "2026-03-01"), (False, "2026-02-02")):
        found = read(text % b"2/3/2026", BillHints(day_first=day_first))
        assert found.rows["occurred_at"][0].as_py().isoformat()[:10] == day
    told = read(text % b"2/3/2026" + text[11:] % b"2/13/2026")
    assert told.rows["occurred_at"][0].as_py().isoformat()[:10] == "2026-02-02"
    with pytest.raises(SchemaError, match="both would fit"):
        read(text % b"13/2/2026" + text[11:] % b"2/13/2026")


def test_a_statement_in_camt_053() -> None:
    """Prefixes, an envelope, a batch with its payments, a reversal, a pending entry."""
    found = read(BILLS / "statement.camt053.xml", BERLIN)
    assert amounts(found) == [250_000, -6_000, -3_000, -2_000, -550]
    assert faults(found) == [(6, "Sts", "ledger_not_settled"), (7, "Amt", "ledger_bad_amount")]
    rows = found.rows.to_pylist()
    assert rows[0]["category"] == "salary"
    assert rows[0]["memo"] == "Acme GmbH · February · 起息日：2026-02-02"
    assert [row["counterparty_key"] for row in rows[1:3]] == ["cp_Power Co", "cp_Water Co"]
    assert rows[4]["memo"] == "冲正"
    assert rows[1]["occurred_at"].isoformat() == "2026-02-04T22:30:00"
    assert [row["balance_minor"] for row in rows] == [240_000, 234_000, 231_000, 229_000, 228_450]
    (balance,) = found.balances
    assert (balance.opening_minor, balance.closing_minor, balance.agrees) == (
        -10_000, 228_450, True,
    )  # fmt: skip


def test_statements_in_mt940() -> None:
    """Envelopes, reversals of both kinds, a line without a type, lines nobody can read."""
    found = read(BILLS / "statement.sta", BERLIN)
    assert amounts(found) == [-1_250, 250_000, 1_250, -10_000, -300, -400]
    assert faults(found) == [(14, ":61:", "ledger_bad_line"), (15, ":61:", "ledger_bad_line")]
    rows = found.rows.to_pylist()
    assert (rows[1]["category"], rows[2]["category"]) == ("salary", "refund")
    assert rows[3]["memo"] == "冲正"
    assert rows[5]["memo"] is None  # what stands after :62F: is of the statement
    assert [one.agrees for one in found.balances] == [True, True]
    assert all(check.agrees for check in reconcile(found.rows))


def test_the_bill_of_a_month_and_the_report_of_a_day_share_their_rows() -> None:
    """camt.052, 053, 054 and MT940 of one account give a row one id, by the bank's reference."""
    rows = tuple(Written(date(2026, 2, day), -day, reference=f"R{day}") for day in range(1, 6))
    ids = [
        set(read(WRITERS[kind](Ledger(rows, "EUR"))).rows["transaction_id"].to_pylist())
        for kind in ("camt.052", "camt.053", "camt.054", "mt940")
    ]
    assert all(one == ids[0] for one in ids)
    assert len(ids[0]) == 5


def test_like_rows_without_a_reference_are_two() -> None:
    """Two coffees of one day are two rows, on one statement or on two pages of it."""
    coffee = Written(date(2026, 2, 3), -300, "Café")
    one = read(mt940(Ledger((coffee, coffee), "EUR")))
    assert len(set(one.rows["transaction_id"].to_pylist())) == 2
    page = mt940(Ledger((coffee,), "EUR", 99_700))
    both = read(mt940(Ledger((coffee,), "EUR")) + page)
    assert both.rows["transaction_id"].to_pylist() == one.rows["transaction_id"].to_pylist()


@pytest.mark.parametrize("kind", ["camt.053", "mt940", "qif"])
def test_a_bill_mended_and_read_again_adds_only_what_was_mended(kind: str) -> None:
    """A row that could not be read changes no other row's id, nor does the zone it is read in."""
    rows = tuple(Written(date(2026, 2, day), -1_100 - day) for day in (1, 2, 2, 3))
    whole = WRITERS[kind](Ledger(rows, "EUR"))
    bad = whole.replace(b"11.03", b"x").replace(b"11,03", b"1,1,0")
    ids = read(whole, BERLIN).rows["transaction_id"].to_pylist()
    broken = read(bad, BERLIN)
    assert len(broken.faults) == 1
    assert broken.rows["transaction_id"].to_pylist() == ids[:3]
    there = BillHints(zone="America/New_York", currency="EUR")
    assert read(whole, there).rows["transaction_id"].to_pylist() == ids


def test_a_mirrored_payment_and_a_transfer_are_paired_across_formats() -> None:
    """A card in OFX mirrors a wallet's CSV; a transfer out in camt meets its arrival in MT940."""
    row = "2026-02-03 09:10:11,商户消费,老王面馆,午饭,支出,¥28.16,招行信用卡(1),支付成功,1,1,/"
    wallet = f"{HEAD}\n{row}".encode()
    card = ofx(Ledger((Written(date(2026, 2, 4), -2_816, "支付宝-老王面馆", reference="C"),)))
    out = camt(Ledger((Written(date(2026, 2, 5), -50_000, reference="T"),), account="A"))
    into = mt940(Ledger((Written(date(2026, 2, 6), 50_000, reference="U"),), account="B"))
    rows = pa.concat_tables([read(one).rows for one in (wallet, card, out, into)])
    found = mark_own_transfers(mark_wallet_mirrors(rows))["category"].to_pylist()
    assert found == ["dining", "own_transfer", "own_transfer", "own_transfer"]


@pytest.mark.parametrize(
    ("currency", "text", "minor"),
    [("JPY", "-28", -28), ("KWD", "-2.816", -2_816), ("EUR", "-28.16", -2_816)],
)
def test_each_currency_has_its_own_minor_unit(currency: str, text: str, minor: int) -> None:
    """Yen have none, dinars three: an amount is whole minor units of its currency, or a fault."""
    ledger = Ledger((Written(date(2026, 2, 3), minor),), currency)
    for kind, writer in WRITERS.items():
        data = writer(ledger)
        bare = text.lstrip("-").encode()
        assert bare in data or bare.replace(b".", b",") in data, kind
        assert amounts(read(data, BillHints(currency=currency))) == [minor]
    finer = qif(ledger).replace(b"T-", b"T-0").replace(b"\nP", b"5\nP")
    assert amounts(read(finer, BillHints(currency=currency))) == [minor]


LAUGHS = (
    '<!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>'
)
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize("bomb", [LAUGHS, OUTSIDE, "<!DOCTYPE x>"])
def test_entities_and_document_types_are_refused(bomb: str) -> None:
    """No entity is expanded and nothing outside the file is read, in camt and in OFX."""
    ledger = Ledger((Written(date(2026, 2, 3), -5, "NAME"),))
    for data, mark in ((camt(ledger), "<Document"), (ofx(ledger, 2), "<BANKMSGSRSV1>")):
        text = data.decode().replace("NAME", "&a;").replace(mark, bomb + mark, 1)
        with pytest.raises(SchemaError):
            read(text.encode())


def test_what_is_too_deep_or_too_large_is_refused() -> None:
    """A tower of elements and a file above 64 MiB are errors before they cost anything."""
    deep = camt(Ledger(())).replace(b"<Id>1</Id>", b"<a>" * 5_000 + b"</a>" * 5_000)
    with pytest.raises(SchemaError, match="deep"):
        read(deep)
    with pytest.raises(SchemaError, match="split it"):
        read(b"!Type:Bank\n" + b"^\n" * (33 * 1024 * 1024))


def test_nothing_of_a_row_reaches_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """The libraries write whole rows to the log where they cannot read one; here they do not."""
    with caplog.at_level(logging.INFO):
        for path in sorted(BILLS.iterdir()):
            read(path, BERLIN)
    assert not [one for one in caplog.records if one.name.split(".")[0] in ("mt940", "quiffen")]
    assert "Baeckerei" not in caplog.text


def test_the_encoding_is_told_from_the_bytes() -> None:
    """Chinese, Western and UTF-16 text are told apart whatever the file claims to be."""
    ledger = Ledger((Written(date(2026, 2, 3), -2_816, "老王面馆", "午饭"),))
    for kind, writer in WRITERS.items():
        text = writer(ledger).decode()
        for encoding in ("gb18030", "utf-16", "utf-8-sig"):
            found = read(text.encode(encoding))
            assert found.rows["counterparty_key"].to_pylist() == ["cp_老王面馆"], (kind, encoding)
    assert text_of("Müller, Café".encode("cp1252")) == "Müller, Café"
    assert text_of("Ł".encode("cp1250"), "windows-1250") == "Ł"


@pytest.mark.parametrize(
    ("hints", "field"), [({"zone": "Mars/Base"}, "zone"), ({"currency": "XXX"}, "currency")]
)
def test_a_hint_nobody_knows_is_an_error(hints: dict[str, Any], field: str) -> None:
    """A zone or currency that does not exist is said with what would do."""
    with pytest.raises(InputError) as caught:
        BillHints(**hints)
    assert caught.value.field == field
    assert caught.value.fix


def test_every_fault_of_the_standards_has_its_words() -> None:
    """A fault's reason and fix are there in both languages."""
    codes = {fault.code for path in BILLS.iterdir() for fault in read(path, BERLIN).faults}
    assert len(codes) >= 8
    for code in (*codes, "ledger_balance_differs"):
        for language in ("zh", "en"):
            assert render(code, language, {"difference": 5, "currency": "EUR"})
            assert render(f"{code}_fix", language)
    assert {one.kind for one in STANDARDS} == {"ofx", "camt", "qif", "mt940"}
