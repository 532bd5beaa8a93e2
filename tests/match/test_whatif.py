"""What-if and price ranges: equal to solving anew, and to HiGHS on small problems."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from jinqiao import match
from jinqiao.errors import Infeasible, InputError, NotConverged
from match.problems import Problem, lp_optimum, random_problem


def market(n: int, seed: int, p: int = 12) -> match.Problem:
    """Return n customers and p products: quotas, two budgets, an approval and a segment floor."""
    rng = np.random.default_rng(seed)
    allowed = rng.random((n, p)) < 0.6
    product = np.nonzero(allowed)[1]
    m = len(product)
    value = np.exp(rng.normal(0, 0.4, (n, 1)) + rng.normal(0, 0.5, (n, p)))[allowed]
    pairs = match.Pairs(
        np.concatenate(([0], np.cumsum(allowed.sum(axis=1)))), product, value,
        use=rng.uniform(0.2, 0.8, m), cost=rng.integers(1, 20, m).astype(float),
        approval=rng.random(m),
    )  # fmt: skip
    thin = rng.random(n) < 0.1
    rows = (
        *(match.LimitRow(f"quota{i}", "<=", n * 0.45 / p * rng.uniform(0.4, 1.8), "count", [i])
          for i in range(p)),
        match.LimitRow("budget", "<=", n * 0.9, "cost", [0, 1, 2, 3]),
        match.LimitRow("city", "<=", n * 0.04, "count", range(p // 3, p // 2 + 1), thin),
        match.segment_row("thin", thin, n * 0.02, range(p)),
        match.approval_row("approval", [p - 2, p - 1], 0.55),
    )  # fmt: skip
    return match.Problem(pairs, 1, rows, p)


@pytest.fixture(scope="module")
def standing() -> match.Standing:
    problem = market(6_000, 3)
    plan = match.solve(problem.pairs, 1, problem.rows, n_products=problem.n_products)
    return match.stand(problem, plan)


CHANGES = [
    {"quota0": "+10%"}, {"quota1": "-40%"}, {"quota2": "0"}, {"budget": "-20%"}, {"budget": "+50%"},
    {"city": 0.0}, {"thin": "+30%"}, {"floor:approval": "0.6"}, {"quota3": "+500", "quota4": "-5%"},
]  # fmt: skip


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_a_what_if_is_the_plan_solved_anew(standing: match.Standing, changes: dict) -> None:
    """Value, feasibility and bound are those of the changed problem solved from nothing."""
    answer = match.what_if(standing, changes=changes)
    problem = answer.after.problem
    full = match.solve(problem.pairs, problem.slots, problem.rows, n_products=problem.n_products)
    check = match.certify(problem.pairs, problem.slots, problem.rows, answer.plan)
    assert check.violation_max == 0.0
    assert check.slot_excess == 0
    assert check.gap < 1e-3
    assert np.isclose(check.primal, answer.certificate.primal, rtol=1e-9)
    assert np.isclose(check.dual_bound, answer.certificate.dual_bound, rtol=1e-7)
    assert answer.certificate.primal >= full.certificate.primal * (1 - 1e-3)
    assert answer.certificate.dual_bound >= full.certificate.primal * (1 - 1e-9)
    low, high = answer.change_between
    assert low - 1e-9 <= answer.change <= high + 1e-9


def test_nobody_moves_when_nothing_changes(standing: match.Standing) -> None:
    """The answer to no change is the standing plan."""
    answer = match.what_if(standing, changes={"quota0": "+0"})
    assert len(answer.entered) == len(answer.left) == 0
    assert answer.change == 0.0


def test_more_of_a_limit_is_worth_about_its_price(standing: match.Standing) -> None:
    """A small step is worth price × units; a step is never worth more than that (concavity)."""
    duals = dict(zip(standing.plan.row_names, standing.plan.duals, strict=True))
    name = max((n for n in duals if n.startswith("quota")), key=lambda n: duals[n])
    for units in (5.0, 60.0, 400.0):
        answer = match.what_if(standing, changes={name: f"+{units:g}"})
        assert 0 < answer.worth <= units * duals[name] + 1e-6 * standing.size
        low, high = answer.change_between
        assert low <= answer.worth <= high
    small = match.what_if(standing, changes={name: "+2"})
    assert small.worth == pytest.approx(2 * duals[name], rel=0.05)


def test_who_moves_is_who_loses_and_gains(standing: match.Standing) -> None:
    """Changes by customer sum to the change; displaced are those who lose; products add up."""
    answer = match.what_if(standing, changes={"quota1": "-40%"})
    by_customer = answer.customer_change()
    assert np.isclose(by_customer.sum(), answer.change)
    assert (answer.displaced == np.flatnonzero(by_customer < 0)).all()
    entered, left = answer.by_product()
    assert entered.sum() == len(answer.entered)
    assert left[1] > entered[1]
    assert len(answer.displaced) < 0.2 * len(by_customer)


@pytest.fixture(scope="module")
def large() -> match.Standing:
    problem = market(50_000, 5)
    plan = match.solve(problem.pairs, 1, problem.rows, n_products=problem.n_products)
    return match.stand(problem, plan, gap_target=2e-4)


@pytest.mark.parametrize(
    "changes", [{"quota2": "+2%"}, {"budget": "-3%"}, {"thin": "+5%"}, {"floor:approval": "0.552"},
                {"quota0": "-10%", "city": "+10%"}], ids=str,
)  # fmt: skip
def test_a_what_if_reads_a_fraction_of_all_and_bounds_the_whole(
    large: match.Standing, changes: dict
) -> None:
    """A small change is answered in less than two passes; the bound told is that of everybody."""
    answer = match.what_if(large, changes=changes)
    problem = answer.after.problem
    check = match.certify(problem.pairs, problem.slots, problem.rows, answer.plan)
    assert check.violation_max == 0.0
    assert check.slot_excess == 0
    assert np.isclose(check.primal, answer.certificate.primal, rtol=1e-12)
    assert np.isclose(check.dual_bound, answer.certificate.dual_bound, rtol=1e-12)
    assert answer.certificate.reached
    assert answer.passes < 2.0


def test_rows_of_numbered_segments_are_asked_like_others() -> None:
    """A row that speaks of segments by number gives the answer of one that names its customers."""
    problem = market(3_000, 8)
    number = np.arange(3_000) % 3
    few = match.LimitRow("few", "<=", 150, "count", range(12), segments=np.array([1]))
    answers = []
    for row, segment in ((few, number), (replace(few, customers=number == 1, segments=None), None)):
        made = match.Problem(problem.pairs, 1, (*problem.rows, row), 12, segment)
        plan = match.solve(problem.pairs, 1, (*problem.rows, row), n_products=12, segment=segment)
        answer = match.what_if(made, plan, {"few": "-50"})
        answers.append((answer.certificate.dual_bound, answer.plan.used[-1]))
    assert answers[0] == pytest.approx(answers[1], rel=1e-3)
    assert answers[0][1] <= 100
    with pytest.raises(InputError, match="segments"):
        match.Problem(problem.pairs, 1, (few,), 12)


def test_the_standing_plan_is_left_as_it_was(standing: match.Standing) -> None:
    """Questions change neither the plan nor the problem they are asked of."""
    before = standing.plan.chosen.copy(), standing.plan.duals.copy()
    limits = [row.limit for row in standing.problem.rows]
    match.what_if(standing, changes={"quota0": "-50%"})
    match.price_ranges(standing, names=["quota0"])
    assert (standing.plan.chosen == before[0]).all()
    assert (standing.plan.duals == before[1]).all()
    assert [row.limit for row in standing.problem.rows] == limits


def test_bad_requests_are_refused_by_name(standing: match.Standing) -> None:
    """An unknown limit, less than nothing, nonsense and a floor above 1 name row and fix."""
    for changes, record in (
        ({"quota99": "+1"}, "quota99"), ({"quota0": "-200%"}, "quota0"),
        ({"quota0": "lots"}, "quota0"), ({"quota0": "10%"}, "quota0"),
        ({"floor:approval": "1.5"}, "approval"), ({"floor:quota0": "0.5"}, "quota0"),
        ({"quota0": float("nan")}, "quota0"),
    ):  # fmt: skip
        with pytest.raises(InputError) as refused:
            match.what_if(standing, changes=changes)
        assert refused.value.record == record
        assert refused.value.fix
    with pytest.raises(InputError):
        match.price_ranges(standing, tolerance=0.0)
    with pytest.raises(InputError):
        match.price_ranges(standing, names=["nothing"])
    with pytest.raises(Infeasible) as conflict:
        match.what_if(standing, changes={"thin": "+100000"})
    assert "thin" in str(conflict.value)


@given(seed=st.integers(0, 10_000), factor=st.floats(0.0, 2.0))
@settings(max_examples=40)
def test_small_what_ifs_agree_with_highs(seed: int, factor: float) -> None:
    """On random small problems the bound is HiGHS's optimum, the plan feasible and below it."""
    rng = np.random.default_rng(seed)
    given_problem = random_problem(rng, int(rng.integers(5, 30)), int(rng.integers(2, 6)))
    rows = given_problem.rows
    assume(len(rows) > 0)
    row = rows[int(rng.integers(len(rows)))]
    changed = replace(row, limit=row.limit * factor)
    moved = tuple(changed if one is row else one for one in rows)
    after = replace_rows(given_problem, moved)
    best = lp_optimum(after)
    problem = match.Problem(
        given_problem.pairs, given_problem.slots, rows, given_problem.n_products
    )
    try:
        plan = match.solve(problem.pairs, problem.slots, rows, n_products=problem.n_products)
        answer = match.what_if(problem, plan, {row.name: changed.limit})
    except NotConverged:
        assume(False)
    except Infeasible:
        assert best is None
        return
    assert best is not None
    scale = max(abs(best), 1.0)
    assert answer.certificate.dual_bound == pytest.approx(best, abs=2e-3 * scale)
    assert answer.certificate.dual_bound >= best - 1e-7 * scale
    assert answer.certificate.primal <= best + 1e-7 * scale
    assert match.certify(
        problem.pairs, problem.slots, answer.after.problem.rows, answer.plan
    ).violation_max == 0.0  # fmt: skip


def replace_rows(problem: Problem, rows: tuple[match.LimitRow, ...]) -> Problem:
    return Problem(problem.pairs, problem.slots, rows, problem.n_products)


def slope(problem: match.Problem, index: int, limit: float, step: float) -> float:
    """Return the worth of a unit of a row about a limit, by HiGHS on both sides."""
    found = []
    for side in (-step / 2, step / 2):
        rows = list(problem.rows)
        rows[index] = replace(rows[index], limit=max(limit + side, 0.0))
        optimum = lp_optimum(Problem(problem.pairs, problem.slots, tuple(rows), problem.n_products))
        assert optimum is not None
        found.append(optimum)
    return (found[1] - found[0]) / step


@pytest.mark.parametrize("seed", range(6))
def test_ranges_end_where_highs_says_the_price_changes(seed: int) -> None:
    """Within the range HiGHS finds the price within the tolerance of it; just beyond, not."""
    problem = market(60, seed, p=4)
    plan = match.solve(problem.pairs, 1, problem.rows, n_products=4)
    step = 1e-3
    priced = 0
    for index, found in enumerate(match.price_ranges(problem, plan, tolerance=0.2)):
        if found.sense != "<=":
            continue
        if found.price == 0.0:
            assert found.up == np.inf
            assert slope(problem, index, found.limit + 1, step) == pytest.approx(0, abs=1e-6)
            if found.down > 3 * step:
                at = found.limit - found.down + 2 * step
                assert slope(problem, index, at, step) == pytest.approx(0, abs=1e-6)
            continue
        priced += 1
        slack = 0.02 * found.price
        here = slope(problem, index, found.limit + step, step)
        assert here == pytest.approx(found.price, rel=0.01)
        inside, beyond = found.limit + found.up - 3 * step, found.limit + found.up + 3 * step
        if found.up > 6 * step:
            assert slope(problem, index, inside, step) >= 0.8 * found.price - slack
        assert slope(problem, index, beyond, step) <= 0.8 * found.price + slack
        if found.down > 6 * step:
            at = found.limit - found.down + 3 * step
            assert slope(problem, index, at, step) <= 1.2 * found.price + slack
        if 0 < found.down < found.limit - 6 * step:
            at = found.limit - found.down - 3 * step
            assert slope(problem, index, at, step) >= 1.2 * found.price - slack
    assert priced > 0


def test_prices_fall_as_limits_grow(standing: match.Standing) -> None:
    """A re-solve at each end of a range finds the price the range says it has there."""
    names = [row.name for row in standing.problem.rows if row.name.startswith(("quota", "budget"))]
    seen = 0
    for found in match.price_ranges(standing, names=names):
        assert found.down >= 0
        assert found.up >= 0
        if found.price > 0 and np.isfinite(found.up) and found.up > 1:
            for share, least in ((0.9, 0.9), (1.1, 0.0)):
                changes = {found.name: found.limit + share * found.up}
                moved = match.what_if(standing, changes=changes).after
                (there,) = match.price_ranges(moved, names=[found.name])
                assert there.price >= least * found.price * 0.99
                assert share < 1 or there.price <= 0.9 * found.price * 1.01
            seen += 1
    assert seen > 3


@given(seed=st.integers(0, 1_000))
@settings(max_examples=20)
def test_regrets_are_the_distance_to_the_bound(seed: int) -> None:
    """Σ regret + Σ λ·(b − used) is bound − value, whatever prices, column forms and types."""
    rng = np.random.default_rng(seed)
    n, p = 40, 6
    allowed = rng.random((n, p)) < 0.5
    product = np.nonzero(allowed)[1].astype(rng.choice([np.int32, np.uint16]))
    m = len(product)
    forms = [0.5, rng.random(m), rng.random((1, p)), rng.random(m).astype(np.float32)]
    use, cost, approval = (forms[i] for i in rng.integers(0, 4, 3))
    pairs = match.Pairs(
        np.concatenate(([0], np.cumsum(allowed.sum(axis=1)))), product,
        rng.normal(0.5, 1.0, m).astype(rng.choice([np.float32, np.float64])), use, cost, approval,
    )  # fmt: skip
    thin = rng.random(n) < 0.4
    rows = (
        match.LimitRow("a", "<=", 2.0, "count", [0, 1, 2], thin),
        match.LimitRow("b", "<=", 3.0, "cost", range(p)),
        match.approval_row("c", [3, 4], 0.2),
    )
    problem = match.Problem(pairs, 2, rows, p)
    plan = match.solve(pairs, 2, rows, n_products=p)
    standing = match.stand(problem, plan)
    check = match.certify(pairs, 2, rows, standing.plan)
    assert check.dual_bound == pytest.approx(standing.plan.certificate.dual_bound, abs=1e-6)
    assert check.primal == pytest.approx(standing.plan.certificate.primal, abs=1e-6)
    used, duals = standing.plan.used, standing.plan.duals
    slack = sum(
        d * abs(row.limit - u)
        for row, u, d in zip(rows, used.tolist(), duals.tolist(), strict=True)
    )
    apart = standing.plan.certificate.dual_bound - standing.plan.certificate.primal
    assert standing.seen.regret.sum() + slack == pytest.approx(apart, abs=1e-6)
