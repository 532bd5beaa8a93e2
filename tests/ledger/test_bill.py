"""Bills: every row is a transaction or a fault, and the counts say so."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from jinqiao.domain.ledger import CATEGORIES
from jinqiao.domain.messages import render
from jinqiao.errors import InputError, NotFound, SchemaError
from jinqiao.ledger import FORMATS, Bill, read_bill

READ = {
    "abc_debit.csv": (5, 0), "alipay.csv": (9, 1), "boc_credit.csv": (14, 0),
    "boc_debit.csv": (17, 0), "bocom_credit.csv": (8, 0), "bocom_debit.csv": (6, 0),
    "ccb_debit.xls": (6, 0), "cgb_credit.csv": (4, 0), "citic_credit.xls": (13, 0),
    "cmb_credit.csv": (6, 0), "cmb_debit.csv": (5, 0), "icbc_credit.csv": (9, 0),
    "icbc_debit_v1.csv": (11, 0), "icbc_debit_v2.csv": (11, 0), "jd.csv": (23, 3),
    "meituan.csv": (29, 0), "spdb_debit.xls": (4, 0), "wechat.csv": (27, 0),
}  # fmt: skip
"""File → (transactions, rows in which no money moved)."""

HEAD = "交易时间,交易类型,交易对方,商品,收/支,金额(元),支付方式,当前状态,交易单号,商户单号,备注"
ROW = "2026-02-03 09:10:11,商户消费,老王面馆,午饭,支出,¥28.16,零钱,支付成功,{0},m1,/"


def digest(name: str) -> str:
    return f"cp_{len(name)}"


def bill(*lines: str, kind: str | None = None) -> Bill:
    return read_bill("\n".join(lines).encode(), digest=digest, kind=kind, name="b.csv")


@pytest.mark.data
@pytest.mark.parametrize("name", READ)
def test_every_fixture_is_read_with_no_row_lost(data_dir: Path, name: str) -> None:
    """Each real export's rows are transactions, but for those in which no money moved."""
    found = read_bill(data_dir / "cn_bills" / name, digest=digest)
    assert (found.rows.num_rows, len(found.faults)) == READ[name]
    assert found.read == sum(READ[name])
    assert {fault.code for fault in found.faults} <= {"ledger_not_settled"}
    assert found.kind == name.split(".")[0].removesuffix("_v1").removesuffix("_v2")
    assert set(found.rows["category"].to_pylist()) <= set(CATEGORIES)
    assert len(set(found.rows["transaction_id"].to_pylist())) == found.rows.num_rows


@pytest.mark.data
def test_the_fixtures_are_all_the_formats(data_dir: Path) -> None:
    """Every format has a fixture, and every fixture is one of the formats."""
    names = {path.name for path in (data_dir / "cn_bills").iterdir()}
    assert names == set(READ)
    kinds = {read_bill(data_dir / "cn_bills" / name, digest=digest).kind for name in names}
    assert kinds == {format_.kind for format_ in FORMATS}


@pytest.mark.data
def test_amounts_of_the_fixtures_add_up(data_dir: Path) -> None:
    """A few bills' totals, taken by hand from the files, are met to the fen."""
    totals = {"meituan.csv": -101407, "boc_debit.csv": 42670, "citic_credit.xls": -109739,
              "icbc_credit.csv": 425788, "spdb_debit.xls": -164}  # fmt: skip
    for name, total in totals.items():
        rows = read_bill(data_dir / "cn_bills" / name, digest=digest).rows
        assert sum(rows["amount_minor"].to_pylist()) == total, name


@pytest.mark.data
def test_categories_of_the_fixtures(data_dir: Path) -> None:
    """Most real rows are given a category; the unsorted are less than one in six."""
    found: Counter[str] = Counter()
    for name in READ:
        rows = read_bill(data_dir / "cn_bills" / name, digest=digest).rows
        found.update(rows["category"].to_pylist())
    unsorted = found["other_in"] + found["other_out"]
    assert unsorted * 6 < sum(found.values())
    assert found["salary"] == 3
    assert found["card_repayment"] >= 6


def test_a_wechat_row_is_understood() -> None:
    """Instant in China's zone, signed fen, digest of the name, memo with the account drawn on."""
    (row,) = bill("微信支付账单明细,,", HEAD, ROW.format(1)).rows.to_pylist()
    assert row["occurred_at"].isoformat() == "2026-02-03T01:10:11"
    assert (row["amount_minor"], row["currency"], row["instrument"]) == (-2816, "CNY", "wallet")
    assert (row["category"], row["counterparty_key"]) == ("dining", "cp_4")
    assert row["memo"] == "商户消费 · 老王面馆 · 午饭 · 支付成功 · 付款方式：零钱"


@pytest.mark.parametrize(
    ("old", "new", "code", "field"),
    [
        ("¥28.16", "many", "ledger_bad_amount", "金额(元)"),
        ("¥28.16", "", "ledger_no_amount", "金额(元)"),
        ("¥28.16", "¥28.167", "ledger_bad_amount", "金额(元)"),
        ("2026-02-03", "2026-02-30", "ledger_bad_date", "交易时间"),
        ("支出", "?", "ledger_no_direction", "收/支"),
        (",m1,/", ",m1,/,more,cells", "ledger_wrong_width", "row"),
        ("午饭", "\ufffd", "ledger_not_text", "row"),
    ],
)
def test_a_bad_row_is_a_fault_that_says_where(old: str, new: str, code: str, field: str) -> None:
    """A fault names file, line, field and code; the rows beside it are read."""
    found = bill(HEAD, ROW.format(1), ROW.format(2).replace(old, new), ROW.format(3))
    assert (found.rows.num_rows, found.read) == (2, 3)
    (fault,) = found.faults
    assert (fault.record, fault.row, fault.field, fault.code) == ("b.csv", 3, field, code)
    for language in ("zh", "en"):
        assert render(code, language, fault.numbers)
        assert render(f"{code}_fix", language)


def test_a_quote_left_open_costs_one_row() -> None:
    """A stray quote swallows no line; a quoted remark of two lines is one row."""
    two = ROW.format(3).replace("午饭", '"午\n饭"')
    found = bill(HEAD, ROW.format(1).replace("午饭", '"午饭'), ROW.format(2), two)
    assert found.read == found.rows.num_rows + len(found.faults) == 3
    assert found.rows.num_rows >= 2


def test_gb18030_and_utf16_are_read() -> None:
    """The encoding is told from the bytes."""
    text = "\n".join([HEAD, ROW.format(1)])
    for encoding in ("gb18030", "utf-16", "utf-8-sig"):
        found = read_bill(text.encode(encoding), digest=digest)
        assert found.rows["amount_minor"].to_pylist() == [-2816]


def test_the_same_bill_again_has_the_same_ids() -> None:
    """Ids depend on the rows alone: two like rows differ, a second export repeats them."""
    one, two = bill(HEAD, ROW.format(1), ROW.format(1)), bill(HEAD, ROW.format(1), ROW.format(1))
    ids = one.rows["transaction_id"].to_pylist()
    assert len(set(ids)) == 2
    assert ids == two.rows["transaction_id"].to_pylist()


def test_a_bill_becomes_a_customers_rows() -> None:
    """Rows of one customer: RAW_TRANSACTIONS, ids of their own, nothing that names them."""
    found = bill(HEAD, ROW.format(1))
    mine = found.of("u1", lambda text: f"k{sum(map(ord, text))}")
    theirs = found.of("u2", lambda text: f"k{sum(map(ord, text))}")
    assert mine["user_id"].to_pylist() == ["u1"]
    assert mine["transaction_id"] != theirs["transaction_id"]
    assert "u1" not in str(mine["account_id"]) + str(mine["transaction_id"])


def test_what_is_no_bill_is_said(tmp_path: Path) -> None:
    """An unknown file, a damaged workbook, no file, and an unknown kind are clear errors."""
    with pytest.raises(SchemaError, match="header"):
        bill("a,b,c", "1,2,3")
    with pytest.raises(SchemaError, match="header"):
        bill(HEAD, ROW.format(1), kind="alipay")
    with pytest.raises(SchemaError, match="workbook"):
        read_bill(b"PK\x03\x04 nonsense", digest=digest)
    with pytest.raises(NotFound):
        read_bill(tmp_path / "none.csv", digest=digest)
    with pytest.raises(InputError):
        bill(HEAD, kind="bill_of_fare")
