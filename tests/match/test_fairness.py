"""Exposure by segment, the frontier of value against disparity, and the steering audit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from jinqiao import match
from jinqiao.engines.worth import expected_payout, pair_value
from jinqiao.errors import InputError

P, N = 6, 1_500
GROUPS = ("thin", "thick", "nobody")


def market() -> tuple[match.Problem, NDArray[np.int64]]:
    """Return customers of whom a fifth are worth less everywhere, for the same few products."""
    rng = np.random.default_rng(3)
    code = (rng.random(N) > 0.2).astype(np.int64)
    worth = np.exp(rng.normal(0, 0.5, (N, P))) * np.where(code == 0, 0.55, 1.0)[:, None]
    pairs = match.Pairs(
        np.arange(0, N * P + 1, P), np.tile(np.arange(P), N), worth.ravel(), 0.5,
        rng.integers(1, 9, N * P), rng.uniform(0.3, 0.7, N * P),
    )  # fmt: skip
    rows = tuple(match.LimitRow(f"q{p}", "<=", 60, "count", [p]) for p in range(P))
    return match.Problem(pairs, 1, rows, P), code


@pytest.fixture(scope="module")
def made() -> tuple[match.Problem, NDArray[np.int64], match.Plan]:
    problem, code = market()
    plan = match.solve(problem.pairs, problem.slots, problem.rows, n_products=P)
    return problem, code, plan


def test_exposure_adds_up_to_the_plan(made: tuple) -> None:
    """Shares over groups sum to one, ratios weighed by customers to one, offers to the plan's."""
    problem, code, plan = made
    told = match.exposure(problem.pairs, plan.chosen, code, GROUPS)
    assert [one.group for one in told] == ["thin", "thick"]
    for name in ("customer_share", "impression_share", "application_share", "value_share"):
        assert sum(getattr(one, name) for one in told) == pytest.approx(1.0)
    assert sum(one.customer_share * one.value_ratio for one in told) == pytest.approx(1.0)
    assert sum(one.offers for one in told) == plan.chosen.sum()
    thin = told[0]
    assert thin.application_between[0] < thin.application_ratio < thin.application_between[1] < 1.0
    assert thin.approval_between[0] <= thin.approval <= thin.approval_between[1]


def test_an_interval_holds_what_it_should() -> None:
    """Over even worlds the 90 % interval of a group's ratio holds 1 about nine times in ten."""
    rng = np.random.default_rng(4)
    held = 0
    for _ in range(400):
        value = rng.exponential(1.0, 200)
        pairs = match.Pairs(np.arange(201), np.zeros(200, int), value)
        code = (rng.random(200) < 0.3).astype(int)
        low, high = match.exposure(pairs, np.ones(200, bool), code, ("a", "b"))[1].value_between
        held += low <= 1.0 <= high
    assert 0.84 <= held / 400 <= 0.95


def test_floors_even_out_exposure_for_little_value(made: tuple) -> None:
    """Along the frontier disparity falls, value falls slowly, and every plan holds its limits."""
    problem, code, plan = made
    found = match.fairness_frontier(problem, plan, code, GROUPS)
    assert found.groups == ("thin", "thick")
    first, last = found.points[0], found.points[-1]
    assert first.disparity > 0.3
    assert last.disparity < 0.02
    assert found.points[-2].hard
    assert 0.8 < last.value_share < 1.0
    assert (np.diff([p.disparity for p in found.points]) < 1e-9).all()
    for point in found.points[1:]:
        assert point.plan.certificate.violation_max == 0.0
        assert point.value <= plan.certificate.dual_bound * (1 + 1e-9)
    best = found.within(0.01)
    assert best.value_share >= 0.99
    assert best.disparity <= first.disparity
    assert found.within(1.0) is last


def test_floors_that_limits_forbid_are_pulled_towards() -> None:
    """Where a group may see nothing else, its floor is soft and says so."""
    problem, code = market()
    rows = (*problem.rows, match.LimitRow("shut", "<=", 5, "count", np.arange(P), code == 0))
    shut = match.Problem(problem.pairs, 1, rows, P)
    plan = match.solve(shut.pairs, 1, rows, n_products=P)
    found = match.fairness_frontier(shut, plan, code, GROUPS, levels=(0.9,))
    assert not found.points[-1].hard
    assert found.points[-1].plan.certificate.violation_max == 0.0


def test_what_does_not_fit_is_refused(made: tuple) -> None:
    """Codes of other customers, outside the groups, and impossible levels are named."""
    problem, code, plan = made
    for wrong in (code[:-1], code + 2):
        with pytest.raises(InputError):
            match.exposure(problem.pairs, plan.chosen, wrong, GROUPS)
    with pytest.raises(InputError):
        match.fairness_frontier(problem, plan, code, GROUPS, levels=(0.0,))


@settings(max_examples=50)
@given(
    seed=st.integers(0, 10_000), beta=st.floats(0.0, 3.0), payout=st.floats(0.0, 1e5),
    harm=st.floats(0.0, 1e4),
)  # fmt: skip
def test_own_value_is_found_again_from_value_and_payout(
    seed: int, beta: float, payout: float, harm: float
) -> None:
    """Taking the payout term out of a value gives the value made with payout 0."""
    rng = np.random.default_rng(seed)
    chances = rng.uniform(0.01, 1.0, (8, 4))
    worth = rng.uniform(0, 1e5, 8)
    value = pair_value(chances, worth, payout, 3, harm, beta)
    own = pair_value(chances, worth, 0.0, 3, harm, beta)
    again = match.own_values(value, expected_payout(chances, payout, 3), beta)
    assert again == pytest.approx(own, rel=1e-9, abs=1e-6)


def test_steering_is_told_for_each_customer(made: tuple) -> None:
    """Customers' losses, displaced offers and groups add up to the audit's totals."""
    problem, code, _ = made
    own = problem.pairs.value
    paid = match.Pairs(
        problem.pairs.indptr, problem.pairs.product,
        own + np.minimum(0.2 * problem.pairs.column("cost"), own), 0.5,
        problem.pairs.column("cost"),
    )  # fmt: skip
    plan = match.solve(paid, 1, problem.rows, n_products=P)
    audit = match.steering_audit(paid, 1, problem.rows, plan, own_value=own)
    told = audit.customers()
    assert len(told) == audit.displaced
    assert sum(len(one.without) for one in told) == audit.offers_displaced
    assert sum(one.loss for one in told) == pytest.approx(audit.loss.sum())
    assert [one.loss for one in told] == sorted((one.loss for one in told), reverse=True)
    assert told[:3] == audit.customers(3)
    assert audit.losing + audit.gaining <= audit.displaced
    mean = audit.by_group(code, 2)
    assert (mean * np.bincount(code)).sum() == pytest.approx(audit.loss.sum())
    spread = audit.quantiles()
    assert spread[0.5] <= spread[0.9] <= spread[1.0] == audit.loss.max()
