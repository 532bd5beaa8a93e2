"""What every plan keeps, whatever the problem: checked against HiGHS and an independent checker."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jinqiao.errors import Infeasible, NotConverged
from jinqiao.match import LimitRow, Pairs, Plan, certify, least_relaxation, solve
from match.problems import Problem, coefficients, lp_optimum, random_problem

SEEDS = st.integers(0, 2**32 - 1)


def made(seed: int, *, feasible: bool = True, most: int = 40) -> Problem:
    rng = np.random.default_rng(seed)
    n, p = int(rng.integers(1, most)), int(rng.integers(1, 8))
    return random_problem(rng, n, p, ties=seed % 2 == 0, feasible=feasible)


def solved(problem: Problem, seed: int = 0) -> Plan | None:
    """Return the plan, None where only fractional ones were found."""
    try:
        return solve(
            problem.pairs, problem.slots, problem.rows, n_products=problem.n_products, seed=seed
        )
    except NotConverged:
        assert lp_optimum(problem) is not None
        return None


@settings(max_examples=150)
@given(seed=SEEDS)
def test_the_optimum_lies_between_plan_and_bound(seed: int) -> None:
    """bound ≥ HiGHS's optimum ≥ plan, and the bound is close to it."""
    problem = made(seed)
    optimum = lp_optimum(problem)
    assert optimum is not None
    if (plan := solved(problem)) is None:
        return
    found, scale = plan.certificate, max(abs(optimum), 1.0)
    assert found.primal <= optimum + 1e-6 * scale
    assert optimum - 1e-6 * scale <= found.dual_bound <= optimum + 0.01 * scale


@settings(max_examples=100)
@given(seed=SEEDS)
def test_the_certificate_is_what_the_checker_finds(seed: int) -> None:
    """An independent checker, from the duals alone, finds the same numbers and no violation."""
    problem = made(seed)
    if (plan := solved(problem)) is None:
        return
    ours = plan.certificate
    theirs = certify(problem.pairs, problem.slots, problem.rows, plan)
    assert theirs.primal == pytest.approx(ours.primal, rel=1e-9, abs=1e-9)
    assert theirs.dual_bound == pytest.approx(ours.dual_bound, rel=1e-9, abs=1e-9)
    assert theirs.violation_max == ours.violation_max == 0.0
    assert theirs.slot_excess == 0


@settings(max_examples=100)
@given(seed=SEEDS)
def test_hard_rows_and_slots_hold(seed: int) -> None:
    """Rows of whole numbers hold exactly, others within 1e-9, and nobody gets more than K."""
    problem = made(seed)
    if (plan := solved(problem)) is None:
        return
    assert plan.chosen.dtype == bool
    taken = np.bincount(problem.pairs.customer[plan.chosen], minlength=problem.pairs.n_customers)
    assert (taken <= problem.slots).all()
    for row, told in zip(problem.rows, plan.used, strict=True):
        a = coefficients(problem.pairs, row)
        used = float(a[plan.chosen].sum())
        assert told == pytest.approx(used, abs=1e-9)
        if row.soft_penalty is not None:
            continue
        slack = 0.0 if (a == np.floor(a)).all() else 1e-9 * max(1.0, abs(row.limit))
        over = used - row.limit if row.sense == "<=" else row.limit - used
        assert over <= slack, row.name


@settings(max_examples=100)
@given(seed=SEEDS)
def test_prices_are_signed_bounded_and_complementary(seed: int) -> None:
    """Duals are ≥ 0, at most the penalty of a soft row, and what slack costs is in the gap."""
    problem = made(seed)
    if (plan := solved(problem)) is None:
        return
    slack = 0.0
    for row, dual, used in zip(problem.rows, plan.duals, plan.used, strict=True):
        assert 0 <= dual <= (np.inf if row.soft_penalty is None else row.soft_penalty)
        room = row.limit - used if row.sense == "<=" else used - row.limit
        slack += dual * max(room, 0.0)
    found = plan.certificate
    missing = found.dual_bound - found.primal
    assert slack <= missing + 1e-6 * max(1.0, abs(found.dual_bound))


@settings(max_examples=100)
@given(seed=SEEDS)
def test_infeasible_exactly_when_highs_says_so(seed: int) -> None:
    """Rows no fractional plan meets are refused; their least relaxation makes them meet."""
    problem = made(seed, feasible=False)
    feasible = lp_optimum(problem) is not None
    try:
        solve(problem.pairs, problem.slots, problem.rows, n_products=problem.n_products)
    except Infeasible:
        assert not feasible
    except NotConverged:
        assert feasible
        return
    else:
        assert feasible
    relaxation = least_relaxation(
        problem.pairs, problem.slots, problem.rows, n_products=problem.n_products
    )
    assert bool(relaxation) != feasible
    assert set(relaxation) <= {row.name for row in problem.rows}
    relaxed = tuple(_relaxed(row, relaxation.get(row.name, 0.0)) for row in problem.rows)
    assert lp_optimum(replace(problem, rows=relaxed)) is not None


def _relaxed(row: LimitRow, amount: float) -> LimitRow:
    if amount == 0.0:
        return row
    more = amount * 1.001 + 1e-4
    limit = row.limit + more if row.sense == "<=" else row.limit - more
    return replace(row, limit=max(limit, 0.0) if row.measure == "count" else limit)


@settings(max_examples=40)
@given(seed=SEEDS)
def test_the_same_seed_gives_the_same_plan(seed: int) -> None:
    """Twice the same input and seed: bit for bit the same plan and prices."""
    problem = made(seed)
    one, two = solved(problem, seed), solved(problem, seed)
    if one is None or two is None:
        assert one is two
        return
    assert (one.chosen == two.chosen).all()
    assert (one.duals == two.duals).all()


@settings(max_examples=40)
@given(seed=SEEDS)
def test_order_and_scale_do_not_matter(seed: int) -> None:
    """Customers in another order, values in another unit: the same bound in that unit."""
    problem = made(seed)
    if (plan := solved(problem)) is None:
        return
    turned, shuffled = _turned(problem), _shuffled(problem, seed)
    bound = plan.certificate.dual_bound
    for other, unit in ((turned, 1000.0), (shuffled, 1.0)):
        if (again := solved(other)) is not None:
            near = 0.01 * max(abs(bound), 1.0)
            assert again.certificate.dual_bound / unit == pytest.approx(bound, abs=near)


def _turned(problem: Problem) -> Problem:
    rows = tuple(
        replace(row, soft_penalty=None if row.soft_penalty is None else 1000.0 * row.soft_penalty)
        for row in problem.rows
    )
    pairs = replace(problem.pairs, value=1000.0 * problem.pairs.value)
    return replace(problem, pairs=pairs, rows=rows)


def _shuffled(problem: Problem, seed: int) -> Problem:
    pairs = problem.pairs
    order = np.random.default_rng(seed).permutation(pairs.n_customers)
    spans = [np.arange(pairs.indptr[c], pairs.indptr[c + 1]) for c in order]
    where = np.concatenate(spans)
    columns = {
        name: column if np.ndim(column := getattr(pairs, name)) == 0 else column[where]
        for name in ("use", "cost", "approval")
    }
    moved = Pairs(
        np.concatenate(([0], np.cumsum([len(s) for s in spans]))), pairs.product[where],
        pairs.value[where], **columns,
    )  # fmt: skip
    rows = tuple(
        row if row.customers is None else replace(row, customers=np.asarray(row.customers)[order])
        for row in problem.rows
    )
    return Problem(moved, problem.slots[order], rows, problem.n_products)
