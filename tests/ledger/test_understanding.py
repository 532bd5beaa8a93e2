"""Categories, own transfers, wallet mirrors and running balances."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.receiving import raw_transactions, transaction
from jinqiao.domain.ledger import CATEGORIES
from jinqiao.domain.time import DAY_US
from jinqiao.errors import NotFound, SchemaError
from jinqiao.ledger import (
    berka_transactions,
    categorise,
    mark_own_transfers,
    mark_wallet_mirrors,
    read_berka,
    reconcile,
)
from jinqiao.ledger.balance import chained
from jinqiao.ledger.categories import category_of, category_of_mcc

MONDAY = 1_767_571_200_000_000


def rows(*changes: dict[str, Any]) -> pa.Table:
    return raw_transactions(
        [transaction(i, user_id="u1", occurred_at=MONDAY, **change)
         if "occurred_at" not in change else transaction(i, user_id="u1", **change)
         for i, change in enumerate(changes)]
    )  # fmt: skip


def categories(table: pa.Table) -> list[str]:
    found: list[str] = table["category"].to_pylist()
    return found


@pytest.mark.parametrize(
    ("memo", "sign", "category"),
    [
        ("代发工资", 1, "salary"), ("退款-午饭", 1, "refund"), ("结息", 1, "interest_income"),
        ("贷款发放", 1, "loan_in"), ("跨行转账", 1, "transfer_in"), ("?", 1, "other_in"),
        ("房租 三月", -1, "rent"), ("住房贷款还款", -1, "mortgage"), ("电费", -1, "utilities"),
        ("信用卡还款", -1, "card_repayment"), ("体彩", -1, "gambling"), ("火锅", -1, "dining"),
        ("滴滴出行", -1, "transport"), ("罚息", -1, "penalty"), ("保险", -1, "insurance_premium"),
        ("腾讯公益慈善基金会 捐", -1, "transfer_out"), ("ATM取款", -1, "cash_out"),
        ("Payroll March", 1, "salary"), ("hotel Ibis", -1, "travel"), ("?", -1, "other_out"),
    ],
)  # fmt: skip
def test_words_tell_the_category(memo: str, sign: int, category: str) -> None:
    """The words of a memo and the direction of the money tell what it was for."""
    assert category_of(memo, sign) == category


def test_every_rule_names_a_known_category() -> None:
    """Merchant codes and words lead to categories of the domain only."""
    assert {category_of_mcc(code) for code in range(10_000)} - {None} <= set(CATEGORIES)
    assert category_of_mcc(5812) == "dining"
    assert category_of_mcc(742) is None


def test_a_known_category_is_kept_and_a_merchant_code_decides_spending() -> None:
    """Only unsorted rows are changed; a merchant code goes before the words."""
    table = rows(
        {"category": "rent", "memo": "火锅"},
        {"category": "other_out", "memo": "火锅"},
        {"category": "other_out", "memo": "火锅"},
    )
    assert categories(categorise(table, mcc=pa.array([None, None, 5411]))) == [
        "rent", "dining", "groceries",
    ]  # fmt: skip


def test_a_transfer_between_own_accounts_is_marked_on_both_sides() -> None:
    """Amounts that cancel on two accounts within three days are one's own transfer; once each."""
    table = rows(
        {"account_id": "a", "amount_minor": -500, "category": "transfer_out"},
        {"account_id": "b", "amount_minor": 500, "category": "transfer_in",
         "occurred_at": MONDAY + DAY_US},
        {"account_id": "b", "amount_minor": 500, "category": "transfer_in",
         "occurred_at": MONDAY + 2 * DAY_US},
        {"account_id": "a", "amount_minor": -700, "category": "transfer_out"},
        {"account_id": "b", "amount_minor": 700, "category": "transfer_in",
         "occurred_at": MONDAY + 5 * DAY_US},
        {"account_id": "b", "amount_minor": 900, "category": "salary"},
        {"account_id": "a", "amount_minor": -900, "category": "transfer_out"},
    )  # fmt: skip
    assert categories(mark_own_transfers(table)) == [
        "own_transfer", "own_transfer", "transfer_in", "transfer_out", "transfer_in", "salary",
        "transfer_out",
    ]  # fmt: skip


def test_two_customers_transfers_are_not_ones_own() -> None:
    """Money from one customer to another is no own transfer of either."""
    table = raw_transactions(
        [transaction(1, user_id="x", account_id="a", amount_minor=-5, category="transfer_out"),
         transaction(2, user_id="y", account_id="b", amount_minor=5, category="transfer_in")]
    )  # fmt: skip
    assert categories(mark_own_transfers(table)) == ["transfer_out", "transfer_in"]


def test_a_wallet_payment_on_a_card_is_counted_once() -> None:
    """The card's row of a wallet payment is marked, the wallet's keeps its meaning."""
    table = rows(
        {"account_id": "w", "instrument": "wallet", "category": "dining", "amount_minor": -2600,
         "memo": "午饭 · 付款方式：工商银行信用卡(1234)"},
        {"account_id": "c", "instrument": "card", "category": "dining", "amount_minor": -2600,
         "memo": "消费 · 支付宝-金拱门", "occurred_at": MONDAY + DAY_US},
        {"account_id": "c", "instrument": "card", "category": "dining", "amount_minor": -2600,
         "memo": "消费 · 金拱门"},
        {"account_id": "w", "instrument": "wallet", "category": "dining", "amount_minor": -900,
         "memo": "午饭 · 付款方式：零钱"},
        {"account_id": "c", "instrument": "card", "category": "dining", "amount_minor": -900,
         "memo": "消费 · 支付宝-金拱门"},
    )  # fmt: skip
    assert categories(mark_wallet_mirrors(table)) == [
        "dining", "own_transfer", "dining", "dining", "dining",
    ]  # fmt: skip


@given(st.data())
def test_balances_agree_in_any_order_of_a_day(data: st.DataObject) -> None:
    """Rows of an honest ledger reconcile however each day is shuffled; a changed row is found."""
    amounts = data.draw(st.lists(st.integers(-50, 50), min_size=2, max_size=12))
    days = sorted(data.draw(st.lists(st.integers(0, 3), min_size=len(amounts),
                                     max_size=len(amounts))))  # fmt: skip
    balance, ledger = 1_000, []
    for amount, day in zip(amounts, days, strict=True):
        balance += amount
        ledger.append((day, amount, balance))
    shuffled = data.draw(st.permutations(ledger))
    table = rows(
        *({"occurred_at": MONDAY + day * DAY_US, "amount_minor": a, "balance_minor": b}
          for day, a, b in shuffled)
    )  # fmt: skip
    (check,) = reconcile(table)
    assert check.agrees
    assert check.rows == len(amounts)
    day, amount, last = ledger[-1]
    broken = [*ledger[:-1], (day + 9, amount, last + 1)]
    table = rows(
        *({"occurred_at": MONDAY + d * DAY_US, "amount_minor": a, "balance_minor": b}
          for d, a, b in broken)
    )  # fmt: skip
    (check,) = reconcile(table)
    assert (check.agrees, check.place) == (False, len(broken) - 1)
    assert (check.expected_minor, check.found_minor) == (last, last + 1)


def test_each_account_and_currency_is_checked_alone() -> None:
    """A break in one account is not held against another; masked balances are not checked."""
    table = rows(
        {"account_id": "a", "amount_minor": 5, "balance_minor": 5},
        {"account_id": "b", "amount_minor": 5, "balance_minor": None},
        {"account_id": "a", "amount_minor": 5, "balance_minor": 11,
         "occurred_at": MONDAY + 1},
    )  # fmt: skip
    first, second = reconcile(table)
    assert (first.account_id, first.agrees, first.transaction_id) == ("a", False, "t2")
    assert (second.agrees, second.unchecked) == (True, 1)


def test_rows_without_an_order_have_no_chain() -> None:
    """Balances that no order explains are not chained."""
    assert chained([5, 5], [5, 20], None) is None
    assert chained([5, -5], [5, 0], 0) == ([0, 1], 0)
    assert chained([5], [5], 1) is None


@pytest.mark.data
def test_berka_reconciles(data_dir: Path) -> None:
    """Berka's ledger reconciles, to its own rounding, on 98 % of accounts."""
    trans = read_berka(data_dir / "berka")["trans"]
    found = berka_transactions(trans, digest=lambda text: "cp_" + text.replace(" ", ""))
    assert found.num_rows == trans.num_rows == 79_302
    checks = reconcile(found, tolerance_minor=10)
    assert len(checks) == 1_583
    assert sum(check.agrees for check in checks) >= 1_551
    assert {"salary", "pension", "loan_instalment", "penalty"} <= set(categories(found))


def test_berkas_original_codes_say_the_same(tmp_path: Path) -> None:
    """The public .asc files, with Czech codes and yymmdd dates, are read like the translation."""
    (tmp_path / "account.asc").write_text('"account_id";"date"\n1;930101\n')
    (tmp_path / "trans.asc").write_text(
        '"trans_id";"account_id";"date";"type";"operation";"amount";"balance";"k_symbol";"bank";'
        '"account"\n'
        '7;1;930102;"VYDAJ";"PREVOD NA UCET";100.1;899.9;"SIPO";"AB";123\n'
        '6;1;930101;"PRIJEM";"VKLAD";1000;1000;" ";"";\n'
        '8;1;930102;"VYBER";"VYBER";99.9;800;"";"";\n'
    )
    found = berka_transactions(read_berka(tmp_path)["trans"], digest=lambda t: t.replace(" ", ""))
    assert categories(found) == ["cash_in", "household", "cash_out"]
    assert found["amount_minor"].to_pylist() == [100_000, -10_010, -9_990]
    assert found["counterparty_key"].to_pylist() == [None, "AB123", None]
    assert found["occurred_at"][1].as_py().isoformat() == "1993-01-02T00:00:00"
    assert found["received_at"][1].as_py().isoformat() == "1993-01-02T23:59:59.999999"
    assert reconcile(found)[0].agrees


def test_an_unknown_berka_code_names_its_row(tmp_path: Path) -> None:
    """A code nobody documented is an error that names the row; a missing file is not found."""
    trans = pa.table(
        {"trans_id": [5], "account_id": [1], "date": [930101], "type": ["?"], "operation": [""],
         "amount": [1.0], "balance": [1.0], "k_symbol": [""]}
    )  # fmt: skip
    with pytest.raises(SchemaError, match="trans_id 5"):
        berka_transactions(trans, digest=str)
    with pytest.raises(NotFound):
        read_berka(tmp_path)
