"""What every plan keeps, whatever the problem: against HiGHS, a checker, and sums made here.

A thousand instances by default; ``LAWS=20`` looks at twenty times as many.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jinqiao.errors import Infeasible, NotConverged
from jinqiao.match import (
    LimitRow,
    Pairs,
    Plan,
    certify,
    certify_infeasible,
    least_relaxation,
    solve,
)
from match.problems import KINDS, Problem, coefficients, lp_optimum, random_problem

SEEDS = st.integers(0, 2**32 - 1)
TIMES = int(os.environ.get("LAWS", "1"))
CLOSE, FEW = 2e-3, 0.1
"""Of the bound: what a whole plan of 2,000 customers may fall short of it; one of 20 offers."""


def made(seed: int, *, feasible: bool = True, most: int = 40, kind: str = "plain") -> Problem:
    rng = np.random.default_rng(seed)
    n, p = int(rng.integers(1, most)), int(rng.integers(1, 8))
    if kind == "one product":
        p = 1
    return random_problem(rng, n, p, ties=seed % 2 == 0, feasible=feasible, kind=kind)


def solved(problem: Problem, seed: int = 0) -> Plan | None:
    """Return the plan, None where only fractional ones were found."""
    try:
        return solve(
            problem.pairs, problem.slots, problem.rows, n_products=problem.n_products, seed=seed
        )
    except NotConverged:
        assert lp_optimum(problem) is not None
        return None


# -- one plan -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60 * TIMES)
@given(seed=SEEDS)
def test_a_plan_keeps_every_law(kind: str, seed: int) -> None:
    """Feasible, integral, within K slots; plan ≤ HiGHS's optimum ≤ bound, both told truly."""
    problem = made(seed, kind=kind)
    optimum = lp_optimum(problem)
    assert optimum is not None
    if (plan := solved(problem)) is None:
        return
    rows_and_slots_hold(problem, plan)
    optimum_lies_between(problem, plan, optimum)
    prices_are_complementary(problem, plan)
    certificate_is_what_the_checker_finds(problem, plan)


def rows_and_slots_hold(problem: Problem, plan: Plan) -> None:
    """Rows of whole numbers hold exactly, others within 1e-9, and nobody gets more than K."""
    assert plan.chosen.dtype == bool
    taken = np.bincount(problem.pairs.customer[plan.chosen], minlength=problem.pairs.n_customers)
    assert (taken <= problem.slots).all()
    for row, told in zip(problem.rows, plan.used, strict=True):
        a = coefficients(problem.pairs, row)
        used = float(a[plan.chosen].sum())
        assert told == pytest.approx(used, rel=1e-12, abs=1e-9)
        if row.soft_penalty is not None:
            continue
        slack = 0.0 if (a == np.floor(a)).all() else 1e-9 * max(1.0, abs(row.limit))
        over = used - row.limit if row.sense == "<=" else row.limit - used
        assert over <= slack, row.name


def optimum_lies_between(problem: Problem, plan: Plan, optimum: float) -> None:
    """The bound, summed here from the duals alone, is no less than any plan and near the least."""
    scale = max(abs(optimum), float(np.abs(problem.pairs.value).max(initial=0.0)), 1e-9)
    found = plan.certificate
    assert found.primal <= optimum + 1e-6 * scale
    assert found.dual_bound == pytest.approx(bound_of(problem, plan), rel=1e-9, abs=1e-9 * scale)
    assert optimum - 1e-6 * scale <= found.dual_bound <= optimum + 0.01 * scale


def bound_of(problem: Problem, plan: Plan) -> float:
    """Return Σ_c (K best positive reduced values) + Σ λ·b, one customer after another."""
    reduced, bound = problem.pairs.value.astype(np.float64), 0.0
    for row, dual in zip(problem.rows, signed(problem.rows, plan), strict=True):
        reduced = reduced - dual * coefficients(problem.pairs, row)
        bound += dual * row.limit
    for c, k in enumerate(problem.slots):
        own = np.sort(reduced[problem.pairs.indptr[c] : problem.pairs.indptr[c + 1]])[::-1]
        bound += float(np.maximum(own[:k], 0.0).sum())
    return bound


def signed(rows: Sequence[LimitRow], plan: Plan) -> list[float]:
    return [d if row.sense == "<=" else -d for row, d in zip(rows, plan.duals, strict=True)]


def prices_are_complementary(problem: Problem, plan: Plan) -> None:
    """Duals are ≥ 0 and ≤ the penalty; what slack and foregone choices cost is the gap."""
    missing, penalties = 0.0, 0.0
    reduced = problem.pairs.value.astype(np.float64)
    for row, dual, used in zip(problem.rows, plan.duals, plan.used, strict=True):
        top = np.inf if row.soft_penalty is None else row.soft_penalty
        assert 0 <= dual <= top
        room = row.limit - used if row.sense == "<=" else used - row.limit
        if row.soft_penalty is not None:
            penalties += row.soft_penalty * max(-room, 0.0)
        missing += dual * room
        reduced -= (dual if row.sense == "<=" else -dual) * coefficients(problem.pairs, row)
    found = plan.certificate
    best = bound_of(problem, plan) - sum(
        d * row.limit for row, d in zip(problem.rows, signed(problem.rows, plan), strict=True)
    )
    foregone = best - float(reduced[plan.chosen].sum())
    scale = max(abs(found.dual_bound), float(np.abs(problem.pairs.value).max(initial=0.0)), 1.0)
    assert foregone >= -1e-9 * scale
    gap = found.dual_bound - found.primal
    assert missing + foregone + penalties == pytest.approx(gap, rel=1e-7, abs=1e-7 * scale)


def certificate_is_what_the_checker_finds(problem: Problem, plan: Plan) -> None:
    """An independent checker, from the duals alone, finds the same numbers and no violation."""
    ours, theirs = plan.certificate, certify(problem.pairs, problem.slots, problem.rows, plan)
    scale = max(float(np.abs(problem.pairs.value).max(initial=0.0)), 1.0)
    assert theirs.primal == pytest.approx(ours.primal, rel=1e-9, abs=1e-9 * scale)
    assert theirs.dual_bound == pytest.approx(ours.dual_bound, rel=1e-9, abs=1e-9 * scale)
    assert theirs.violation_max == ours.violation_max == 0.0
    assert theirs.slot_excess == 0
    tables, at = plan.prices, (plan.prices.segment[problem.pairs.customer], problem.pairs.product)
    use, cost, approval = (problem.pairs.column(name) for name in ("use", "cost", "approval"))
    told = tables.count[at] * use + tables.cost[at] * cost + tables.approval[at] * use * approval
    price = sum(
        (
            dual * coefficients(problem.pairs, row)
            for row, dual in zip(problem.rows, signed(problem.rows, plan), strict=True)
        ),
        start=np.zeros(problem.pairs.n_pairs),
    )
    assert told == pytest.approx(price, rel=1e-9, abs=1e-9 * scale)


@pytest.mark.parametrize("kind", KINDS)
def test_two_thousand_customers_are_planned_closely(kind: str) -> None:
    """At 2,000 customers × 20 products every kind of problem is planned closely."""
    problem = random_problem(np.random.default_rng(7), 2_000, 20, kind=kind)
    plan = solved(problem)
    assert plan is not None
    found = certify(problem.pairs, problem.slots, problem.rows, plan)
    assert found.violation_max == 0.0
    assert found.slot_excess == 0
    close = FEW if kind == "quotas of 1" else CLOSE
    assert found.dual_bound - found.primal <= close * max(abs(found.dual_bound), 500.0)


def test_a_plan_is_nearly_always_found() -> None:
    """Where a whole plan is hidden in 300 small problems, at most 3 % are given up."""
    given_up = sum(solved(made(seed, kind=KINDS[seed % len(KINDS)])) is None for seed in range(300))
    assert given_up <= 9


# -- rows in conflict ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["plain", "tight", "one product", "zero budgets"])
@settings(max_examples=60 * TIMES)
@given(seed=SEEDS)
@example(seed=808)
def test_infeasible_exactly_when_highs_says_so(kind: str, seed: int) -> None:
    """Rows no fractional plan meets are refused, with a proof and the least that must give way."""
    problem = made(seed, feasible=False, kind=kind)
    feasible = lp_optimum(problem) is not None
    try:
        solve(problem.pairs, problem.slots, problem.rows, n_products=problem.n_products)
    except Infeasible as error:
        assert not feasible
        proof = certify_infeasible(
            problem.pairs, problem.slots, problem.rows, error.weights,
            n_products=problem.n_products,
        )  # fmt: skip
        assert proof < 0
    except NotConverged:
        assert feasible
    else:
        assert feasible
    relaxation_is_least(problem, feasible)


def relaxation_is_least(problem: Problem, feasible: bool) -> None:
    """Rows that give way by so much can hold; by nine tenths of it (above 1 unit) they cannot."""
    relaxation = least_relaxation(
        problem.pairs, problem.slots, problem.rows, n_products=problem.n_products
    )
    assert bool(relaxation) != feasible
    if feasible:
        return
    assert lp_optimum(_relaxed(problem, relaxation, 1.001, 1e-4)) is not None
    if sum(relaxation.values()) > 1.0:
        assert lp_optimum(_relaxed(problem, relaxation, 0.9, 0.0)) is None


def _relaxed(problem: Problem, amounts: dict[str, float], share: float, more: float) -> Problem:
    rows = []
    for row in problem.rows:
        amount = amounts.get(row.name, 0.0)
        step = share * amount + (more if amount > 0 else 0.0)
        limit = row.limit + step if row.sense == "<=" else row.limit - step
        rows.append(replace(row, limit=max(limit, 0.0) if row.measure == "count" else limit))
    return replace(problem, rows=tuple(rows))


@settings(max_examples=60 * TIMES)
@given(seed=SEEDS)
def test_no_false_proof_is_accepted(seed: int) -> None:
    """Rows that a plan meets are never proven to contradict each other, whatever the weights."""
    problem = made(seed)
    rng = np.random.default_rng(seed)
    hard = [row.name for row in problem.rows if row.soft_penalty is None]
    for _ in range(5):
        weights = dict(zip(hard, rng.exponential(1.0, len(hard)) * (rng.random() < 0.8)))  # noqa: B905
        assert (
            certify_infeasible(
                problem.pairs, problem.slots, problem.rows, weights, n_products=problem.n_products
            )
            >= -1e-9
        )


# -- two plans ----------------------------------------------------------------------------------


@settings(max_examples=40 * TIMES)
@given(seed=SEEDS, kind=st.sampled_from(KINDS))
def test_the_same_seed_gives_the_same_plan(seed: int, kind: str) -> None:
    """Twice the same input and seed: bit for bit the same plan and prices."""
    problem = made(seed, kind=kind)
    one, two = solved(problem, seed), solved(problem, seed)
    if one is None or two is None:
        assert one is two
        return
    assert (one.chosen == two.chosen).all()
    assert (one.duals == two.duals).all()


@settings(max_examples=60 * TIMES)
@given(seed=SEEDS, kind=st.sampled_from(KINDS))
def test_order_units_and_copies_do_not_matter(seed: int, kind: str) -> None:
    """Customers or products in another order, another unit, a row twice: the same bound."""
    problem = made(seed, kind=kind)
    if (plan := solved(problem)) is None:
        return
    bound = plan.certificate.dual_bound
    near = 0.01 * max(abs(bound), float(np.abs(problem.pairs.value).max(initial=0.0)), 1e-9)
    for other, unit in (
        (in_units(problem, 1000.0), 1000.0),
        (in_units(problem, 2.0**-10), 2.0**-10),
        (costs_in_cents(problem), 1.0),
        (shuffled(problem, seed), 1.0),
        (renumbered(problem, seed), 1.0),
        (twice(problem), 1.0),
    ):
        if (again := solved(other)) is not None:
            assert again.certificate.dual_bound / unit == pytest.approx(bound, abs=near)


def in_units(problem: Problem, unit: float) -> Problem:
    """Return the problem with values in another unit."""
    rows = tuple(
        replace(row, soft_penalty=None if row.soft_penalty is None else unit * row.soft_penalty)
        for row in problem.rows
    )
    pairs = replace(problem.pairs, value=unit * problem.pairs.value)
    return replace(problem, pairs=pairs, rows=rows)


def costs_in_cents(problem: Problem) -> Problem:
    """Return the problem with money a hundred times finer."""
    rows = tuple(
        replace(
            row, limit=100.0 * row.limit,
            soft_penalty=None if row.soft_penalty is None else row.soft_penalty / 100.0,
        )
        if row.measure == "cost" else row
        for row in problem.rows
    )  # fmt: skip
    return replace(
        problem, pairs=replace(problem.pairs, cost=100.0 * problem.pairs.cost), rows=rows
    )


def twice(problem: Problem) -> Problem:
    """Return the problem with every hard row again under another name."""
    again = tuple(
        replace(row, name=f"{row.name}'") for row in problem.rows if row.soft_penalty is None
    )
    return replace(problem, rows=(*problem.rows, *again))


def renumbered(problem: Problem, seed: int) -> Problem:
    """Return the problem with its products numbered otherwise."""
    number = np.random.default_rng(seed).permutation(problem.n_products).astype(np.int32)
    order = np.lexsort((number[problem.pairs.product], problem.pairs.customer))
    pairs = _taken(problem.pairs, problem.pairs.indptr, order)
    pairs = replace(pairs, product=number[pairs.product])
    rows = tuple(replace(row, products=number[row.products]) for row in problem.rows)
    return replace(problem, pairs=pairs, rows=rows)


def shuffled(problem: Problem, seed: int) -> Problem:
    """Return the problem with its customers in another order."""
    pairs = problem.pairs
    order = np.random.default_rng(seed).permutation(pairs.n_customers)
    spans = [np.arange(pairs.indptr[c], pairs.indptr[c + 1]) for c in order]
    indptr = np.concatenate(([0], np.cumsum([len(s) for s in spans])))
    rows = tuple(
        row if row.customers is None else replace(row, customers=np.asarray(row.customers)[order])
        for row in problem.rows
    )
    moved = _taken(pairs, indptr, np.concatenate(spans))
    return Problem(moved, problem.slots[order], rows, problem.n_products)


def _taken(pairs: Pairs, indptr: np.ndarray, where: np.ndarray) -> Pairs:
    columns = {
        name: column if np.ndim(column := getattr(pairs, name)) == 0 else column[where]
        for name in ("use", "cost", "approval")
    }
    return Pairs(indptr, pairs.product[where], pairs.value[where], **columns)


@pytest.mark.parametrize("seed", range(8))
def test_a_copy_for_each_customer_scales_the_plan(seed: int) -> None:
    """A hundred of each customer and limits a hundred times as wide: a hundred times the bound."""
    problem = made(seed, kind=KINDS[seed])
    one = lp_optimum(problem)
    assert one is not None
    copies = 100
    indptr = np.concatenate(([0], np.cumsum(np.tile(np.diff(problem.pairs.indptr), copies))))
    pairs = _taken(problem.pairs, indptr, np.tile(np.arange(problem.pairs.n_pairs), copies))
    rows = tuple(
        replace(
            row, limit=copies * row.limit,
            customers=None if row.customers is None else np.tile(row.customers, copies),
        )
        for row in problem.rows
    )  # fmt: skip
    many = Problem(pairs, np.tile(problem.slots, copies), rows, problem.n_products)
    plan = solved(many)
    assert plan is not None
    scale = copies * max(abs(one), 1.0)
    assert plan.certificate.dual_bound == pytest.approx(copies * one, abs=2e-3 * scale)
    assert plan.certificate.primal >= copies * one - 0.01 * scale
