"""Costs and payouts: every fee line counted once, and the table of all products."""

from __future__ import annotations

from dataclasses import replace

import pytest

from catalog.conftest import NOW_US
from jinqiao import catalog
from jinqiao.domain.catalog import Catalog, PayoutTier, Product
from jinqiao.domain.tables import PRODUCTS
from jinqiao.engines.tables import check
from jinqiao.errors import InputError


def product_of(samples: Catalog, name: str) -> Product:
    product = samples.product(name)
    assert product is not None
    return product


def test_the_table_is_a_products_table(samples: Catalog) -> None:
    """Every product is one row of PRODUCTS, in catalog order, with the version of its file."""
    table = check(catalog.product_table(samples, NOW_US), PRODUCTS)
    assert table["product_id"].to_pylist() == [p.product_id for p in samples.products()]
    assert set(table["product_version"].to_pylist()) == {1}
    rows = {row["product_id"]: row for row in table.to_pylist()}
    assert rows["qinghe_salary_loan"]["payout_amount_minor"] == 40_000
    assert rows["songhe_medical"]["all_in_cost_minor"] == 28_800
    assert rows["songhe_medical"]["all_in_bps"] is None
    assert rows["qinghe_deposit"]["all_in_cost_minor"] == -15_500
    assert str(rows["qinghe_card"]["launch_at"]) == "2025-12-31 16:00:00"


def test_the_fee_lines_add_up(samples: Catalog) -> None:
    """Interest and counted fees are the cost; a fee that may never fall due is shown beside."""
    table = catalog.cost_table(product_of(samples, "qinghe_card"))
    counted = sum(line.total_minor for line in table.fees if line.counted)
    assert table.all_in.cost_minor == table.all_in.interest_minor + counted
    assert [(line.fee.name_en, line.counted) for line in table.fees] == [
        ("Annual fee", True),
        ("Cash advance fee", False),
    ]
    assert table.all_in_bps == 2071
    assert sum(part.principal_minor for part in table.all_in.instalments) == table.amount_minor


def test_another_amount_and_term_can_be_asked(samples: Catalog) -> None:
    """A customer sees the cost of the sum they want, within what is on offer."""
    loan = product_of(samples, "qinghe_salary_loan")
    table = catalog.cost_table(loan, 2_000_000, 730)
    assert table.all_in.total_minor == 2_000_000 + table.all_in.cost_minor
    assert len(table.all_in.instalments) == 24
    for amount, term in ((1, None), (None, 7), (10**12, 365)):
        with pytest.raises(InputError, match="is not from"):
            catalog.cost_table(loan, amount, term)


def test_a_payout_is_an_amount_or_a_share(samples: Catalog) -> None:
    """CPA pays its tier; CPS a share of the money; a budget is charged the dearest tier."""
    card, loan = (product_of(samples, n) for n in ("qinghe_card", "qinghe_salary_loan"))
    assert catalog.payout_minor(card) == catalog.payout_minor(card, 99) == 15_000
    assert catalog.payout_minor(card, dearest=True) == 18_000
    assert catalog.payout_minor(loan, 1_000_000) == 8_000
    assert catalog.payout_minor(loan, 1_000_000, dearest=True) == 9_500
    half = replace(loan, payout=replace(loan.payout, tiers=(PayoutTier(1, None, 50),)))
    assert [catalog.payout_minor(half, minor) for minor in (100, 300, 500)] == [0, 2, 2]
