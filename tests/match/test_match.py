"""The room's verbs: pairs, rows from limits, prices, pacing, the steering audit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jinqiao import match
from jinqiao.domain.catalog import Period
from jinqiao.domain.tables import LIMITS, PRODUCTS
from jinqiao.engines.worth import pair_value
from jinqiao.errors import InputError, SchemaError


def products(*pairs: tuple[str, str]) -> pa.Table:
    """Return a PRODUCTS table of (product, institution) with the other columns empty."""
    columns: dict[str, Any] = {name: pa.nulls(len(pairs)) for name in PRODUCTS.names}
    columns["product_id"] = pa.array([product for product, _ in pairs])
    columns["institution_id"] = pa.array([institution for _, institution in pairs])
    return pa.table(columns)


def limit(**changes: Any) -> dict[str, Any]:
    line: dict[str, Any] = {
        "limit_id": "product:a:count:application:day", "scope": "product",
        "institution_id": "bank", "product_id": "a", "branch_id": None, "measure": "count",
        "stage": "application", "period": "day", "period_key": "2026-01-05", "limit": 100,
        "posted": 10, "reserved": 20, "kept": 0, "left": 70,
    }  # fmt: skip
    return line | changes


def limits(*lines: dict[str, Any]) -> pa.Table:
    return pa.table({name: pa.array([line[name] for line in lines]) for name in LIMITS.names})


SHOP = products(("a", "bank"), ("b", "bank"), ("c", "fund"))


def test_a_limit_becomes_a_row_over_its_products() -> None:
    """A product's quota covers it alone, an institution's budget all it sells."""
    budget = limit(limit_id="i", product_id=None, measure="money", stage="activation", left=500)
    rows = match.limit_rows(limits(limit(), budget), SHOP, horizon=match.Horizon(1.0))
    assert [(r.measure, r.products.tolist(), r.limit, r.sense) for r in rows] == [
        ("count", [0], 70.0, "<="),
        ("cost", [0, 1], 500.0, "<="),
    ]
    assert rows[0].name == "product:a:count:application:day@2026-01-05"


def test_a_count_of_a_later_stage_is_charged_as_approvals() -> None:
    """A quota on approvals sums use × the chance of approval, with no floor."""
    (row,) = match.limit_rows(limits(limit(stage="approval")), SHOP)
    assert (row.measure, row.floor, row.sense) == ("approval", 0.0, "<=")


def test_floors_and_branches_are_rows_of_their_customers() -> None:
    """Approval floors follow the limits; a branch's limit binds its customers or is out."""
    line = limit(branch_id="north")
    area = np.array([True, False])
    kept = match.limit_rows(
        limits(line), SHOP, approval_floors={"bank": 0.4}, branches={"north": area}
    )
    assert kept[0].customers is area
    assert (kept[1].name, kept[1].floor, kept[1].products.tolist()) == (
        "approval:bank", 0.4, [0, 1],
    )  # fmt: skip
    assert match.limit_rows(limits(line), SHOP) == ()


@given(days=st.floats(0.5, 60.0), left=st.integers(0, 100), posted=st.integers(0, 100))
def test_a_horizon_takes_what_is_left_and_what_renews(days: float, left: int, posted: int) -> None:
    """A day renews each day, a week each week, a total never; more days never take less."""
    total = left + posted
    for period, length in ((Period.DAY, 1.0), (Period.WEEK, 7.0), (Period.TOTAL, 28.0)):
        units = match.Horizon(days).units(period, total, left)
        assert units <= match.Horizon(days + 1).units(period, total, left) + 1e-9
        renewed = 0.0 if period is Period.TOTAL else max(days / length - 1.0, 0.0)
        assert units == pytest.approx(left * min(1.0, days / length) + total * renewed)


def test_wrong_tables_are_refused_by_name() -> None:
    """A missing column, an unknown product and an impossible floor are named."""
    with pytest.raises(SchemaError, match="left"):
        match.limit_rows(limits(limit()).drop_columns(["left"]), SHOP)
    with pytest.raises(SchemaError, match="unknown product z"):
        match.limit_rows(limits(limit(product_id="z")), SHOP)
    with pytest.raises(SchemaError, match="no share"):
        match.approval_row("x", [0], 1.5)


def market(seed: int = 0) -> tuple[match.Pairs, tuple[match.LimitRow, ...], np.ndarray]:
    rng = np.random.default_rng(seed)
    n, p = 600, 5
    allowed = rng.random((n, p)) < 0.8
    chances = rng.uniform(0.2, 0.9, (int(allowed.sum()), 4)).astype(np.float32)
    payout, stage = rng.integers(1_000, 9_000, p), np.full(p, 3)
    worth = rng.uniform(0.0, 9_000.0, len(chances))
    product = np.nonzero(allowed)[1]
    value = pair_value(chances, worth, payout[product], 3, 3_000.0, 1.0)
    pairs = match.pairs_from(allowed, chances, value, payout, stage)
    own = pair_value(chances, worth, 0.0, 3, 3_000.0, 1.0)
    thin = rng.random(n) < 0.2
    rows = (
        *(match.LimitRow(f"q{i}", "<=", 18.0, "count", [i]) for i in range(p)),
        match.LimitRow("budget", "<=", 60_000.0, "cost", [0, 1]),
        match.approval_row("rate", [2, 3], 0.55),
        match.segment_row("thin", thin, 12.0, range(p)),
    )
    return pairs, rows, own


def test_pairs_are_the_allowed_ones_row_by_row() -> None:
    """Dense and sparse arrays give the same pairs: use, cost and approval by their meaning."""
    allowed = np.array([[True, False], [True, True]])
    dense = np.random.default_rng(1).random((2, 2, 4))
    value = np.arange(4.0).reshape(2, 2)
    one = match.pairs_from(allowed, dense, value, [100.0, 200.0], [1, 3])
    two = match.pairs_from(allowed, dense[allowed], value[allowed], [100.0, 200.0], [1, 3])
    assert one.indptr.tolist() == [0, 1, 3]
    assert one.product.tolist() == [0, 0, 1]
    assert one.value.tolist() == two.value.tolist() == [0.0, 2.0, 3.0]
    assert one.column("use") == pytest.approx(dense[allowed][:, :2].prod(axis=1))
    assert one.column("cost")[2] == pytest.approx(200.0 * dense[1, 1].prod())
    assert one.column("cost") == pytest.approx(two.column("cost"))
    with pytest.raises(InputError, match="allowed pairs"):
        match.pairs_from(allowed, dense[0], value)


def test_serving_prices_are_the_prices_of_the_plan() -> None:
    """Σ value − price over each customer's best K, plus Σ λ·limit, is the plan's bound."""
    pairs, rows, _ = market()
    plan = match.solve(pairs, 2, rows, n_products=5)
    tables = match.prices(plan)
    segment = tables.segment[pairs.customer]
    use, approval = pairs.column("use"), pairs.column("approval")
    price = (
        use
        * (
            tables.count[segment, pairs.product]
            + approval * tables.approval[segment, pairs.product]
        )
        + pairs.column("cost") * tables.cost[segment, pairs.product]
    )
    reduced = np.maximum(pairs.value - price, 0.0)
    best = sum(
        np.sort(reduced[a:b])[-2:].sum()
        for a, b in zip(pairs.indptr[:-1], pairs.indptr[1:], strict=True)
    )
    signed = [row.limit if row.sense == "<=" else -row.limit for row in rows]
    assert best + plan.duals @ signed == pytest.approx(plan.certificate.dual_bound)


def test_repricing_with_the_plans_own_duals_changes_nothing() -> None:
    """Tables made from rows and duals equal the ones the plan carries."""
    pairs, rows, _ = market()
    plan = match.solve(pairs, 2, rows, n_products=5)
    again = match.reprice(plan, rows, plan.duals)
    for name in ("count", "cost", "approval"):
        assert getattr(again, name) == pytest.approx(getattr(plan.prices, name))


def test_the_price_of_a_limit_is_what_one_more_unit_brings() -> None:
    """A plan with a little more of the dearest quota is worth about price × more."""
    pairs, rows, _ = market()
    plan = match.solve(pairs, 2, rows, n_products=5)
    dearest = next(line for line in match.price_report(plan, rows) if line.name.startswith("q"))
    assert dearest.price > 0
    assert dearest.left < 0.5
    more = tuple(
        match.LimitRow(r.name, r.sense, r.limit + 1.0, r.measure, r.products)
        if r.name == dearest.name else r
        for r in rows
    )  # fmt: skip
    gained = (
        match.solve(pairs, 2, more, n_products=5).certificate.dual_bound
        - plan.certificate.dual_bound
    )
    assert 0 < gained <= dearest.price * 1.01


def test_the_steering_audit_balances() -> None:
    """Losses of customers sum to the total; without payout customers get no less in total."""
    pairs, rows, own = market()
    plan = match.solve(pairs, 2, rows, n_products=5)
    audit = match.steering_audit(pairs, 2, rows, plan, own_value=own)
    assert audit.loss.sum() == pytest.approx(audit.own_value_without - audit.own_value)
    assert audit.own_value_without >= audit.own_value * (1 - 2e-2)
    assert audit.payout >= audit.payout_without * (1 - 2e-2)
    assert 0 < audit.displaced <= pairs.n_customers
    again = match.steering_audit(pairs, 2, rows, audit.plan, own_value=own)
    assert again.offers_displaced <= audit.offers_displaced


@given(
    dual=st.floats(0.0, 100.0), used=st.floats(0.0, 0.99), elapsed=st.floats(0.0, 1.0),
    more=st.floats(0.0, 0.5),
)  # fmt: skip
def test_pacing_is_dearer_the_faster_a_limit_goes(
    dual: float, used: float, elapsed: float, more: float
) -> None:
    """A price never falls as use grows, stays put on schedule, and is infinite when used up."""
    low = match.pace([dual], [used], elapsed, least=0.5)[0]
    high = match.pace([dual], [min(used + more, 0.999)], elapsed, least=0.5)[0]
    assert 0 <= low <= high
    assert match.pace([dual], [elapsed * 0.99], elapsed * 0.99)[0] == pytest.approx(dual)
    assert match.pace([dual], [1.0], elapsed)[0] == np.inf


def test_pacing_keeps_a_surge_within_the_limit() -> None:
    """Through a day with demand ten times the plan's in one hour, paced prices leave something."""
    rng = np.random.default_rng(7)
    hours = np.full(24, 400)
    hours[10] = 4000
    taken = {"still": 0.0, "paced": 0.0}
    late = {"still": 0.0, "paced": 0.0}
    for way in taken:
        for hour, visits in enumerate(hours):
            for part in range(20):
                worth = rng.uniform(0.0, 10.0, visits // 20)
                used = [taken[way] / 1000.0]
                elapsed = (hour + part / 20) / 24
                price = match.pace([8.9], used, elapsed, strength=12.0)[0]
                bar = price if way == "paced" else (8.9 if used[0] < 1.0 else np.inf)
                won = min(int((worth > bar).sum()), int(1000 - taken[way]))
                taken[way] += won
                late[way] += won if hour > 20 else 0
    assert max(taken.values()) <= 1000
    assert late["still"] == 0 < late["paced"]


def test_pacing_refuses_what_is_no_share() -> None:
    """Negative prices and shares outside [0, 1] are refused."""
    for arguments in (([-1.0], [0.1], 0.5), ([1.0], [-0.1], 0.5), ([1.0], [0.1], 1.5)):
        with pytest.raises(InputError):
            match.pace(*arguments)


def test_warming_up_can_be_repeated() -> None:
    """Compiling ahead changes nothing a second time."""
    match.warm_up()
    match.warm_up()


def test_every_public_name_is_there() -> None:
    """``__all__`` lists each verb once, in order."""
    assert list(match.__all__) == sorted(set(match.__all__))
    assert all(hasattr(match, name) for name in match.__all__)
