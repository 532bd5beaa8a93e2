"""The solver at its edges: what is degenerate, tied, tight, empty or wrong."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from jinqiao.engines.allocation import (
    LimitRow,
    Pairs,
    Plan,
    certify,
    least_relaxation,
    solve,
)
from jinqiao.errors import Infeasible, InputError


def full(value: np.ndarray, **columns: object) -> Pairs:
    """Return the pairs of a dense (n, p) value matrix."""
    n, p = value.shape
    product = np.tile(np.arange(p), n)
    return Pairs(np.arange(n + 1) * p, product, value.ravel(), **columns)  # type: ignore[arg-type]


def checked(pairs: Pairs, slots: object, rows: list[LimitRow], p: int, **options: object) -> Plan:
    plan = solve(pairs, slots, rows, n_products=p, **options)  # type: ignore[arg-type]
    found = certify(pairs, slots, rows, plan)
    assert found.violation_max == 0.0
    assert found.slot_excess == 0
    assert found.primal == pytest.approx(plan.certificate.primal, abs=1e-9)
    return plan


def test_without_rows_everyone_gets_their_best() -> None:
    """No row: the K best positive pairs, no gap."""
    plan = checked(full(np.array([[3.0, 1.0, -1.0], [-1.0, -2.0, 5.0]])), 2, [], 3)
    assert plan.chosen.tolist() == [True, True, False, False, False, True]
    assert plan.certificate.gap == 0.0
    assert plan.certificate.reached


def test_a_quota_of_one_goes_to_whom_it_is_worth_most() -> None:
    """One unit of a product goes where it beats the next best choice by most."""
    value = np.array([[9.0, 8.0], [7.0, 1.0], [6.0, 5.5]])
    plan = checked(full(value), 1, [LimitRow("one", "<=", 1, "count", [0])], 2)
    assert plan.chosen.reshape(3, 2).tolist() == [[False, True], [True, False], [False, True]]
    assert 1.0 <= plan.dual("one") <= 6.0


def test_thousands_of_equal_values_fill_every_quota() -> None:
    """All values tied: quotas are filled to the unit, within the gap asked for."""
    n, p = 3000, 5
    rows = [LimitRow(f"q{i}", "<=", 300 + i, "count", [i]) for i in range(p)]
    plan = checked(full(np.ones((n, p))), 1, rows, p)
    assert plan.used.tolist() == [300.0 + i for i in range(p)]
    assert plan.certificate.reached


def test_zero_limits_close_a_product_and_its_budget() -> None:
    """Quota 0 and budget 0 leave nothing of the product, the rest is served."""
    rows = [
        LimitRow("quota", "<=", 0, "count", [0]),
        LimitRow("budget", "<=", 0.0, "cost", [1]),
    ]
    plan = checked(full(np.full((50, 3), 2.0), cost=1.0), 2, rows, 3)
    assert plan.chosen.reshape(50, 3).sum(axis=0).tolist() == [0, 0, 50]


def test_a_floor_brings_offers_that_lose_value() -> None:
    """A hard floor is met though every pair it needs has a negative value."""
    floor = LimitRow("floor", ">=", 4, "count", [0])
    plan = checked(full(-np.arange(1.0, 11.0)[:, None]), 1, [floor], 1)
    assert np.flatnonzero(plan.chosen).tolist() == [0, 1, 2, 3]
    assert plan.certificate.primal == -10.0


def test_a_floor_for_a_segment_is_met_within_it() -> None:
    """A floor on a segment is met by its own customers, whatever they are worth."""
    rng = np.random.default_rng(1)
    value = rng.uniform(1.0, 2.0, (400, 2))
    thin = np.zeros(400, bool)
    thin[:30] = True
    value[thin] *= 0.1
    rows = [
        LimitRow("quota", "<=", 100, "count", [0, 1]),
        LimitRow("thin", ">=", 20, "count", [0, 1], customers=thin),
    ]
    plan = checked(full(value), 1, rows, 2)
    assert plan.chosen.reshape(400, 2)[:30].sum() == 20
    assert plan.dual("thin") > 0


def test_an_approval_floor_keeps_the_mean_up() -> None:
    """The mean chance of approval of what is sent is at least the floor."""
    rng = np.random.default_rng(2)
    chance = rng.random(500)
    use = rng.uniform(0.05, 0.4, 500)
    pairs = full(rng.uniform(1.0, 3.0, (500, 1)), use=use, approval=chance)
    plan = checked(pairs, 1, [LimitRow("rate", ">=", 0.0, "approval", [0], floor=0.6)], 1)
    sent = plan.chosen
    assert (use * chance)[sent].sum() / use[sent].sum() >= 0.6 - 1e-9
    assert sent.sum() > 250
    assert plan.certificate.gap < 5e-3


def test_a_soft_row_is_missed_when_its_penalty_is_cheaper() -> None:
    """A soft floor at 1 a unit is missed where meeting it loses 3, and the plan pays for it."""
    soft = LimitRow("soft", ">=", 10, "count", [0], soft_penalty=1.0)
    plan = checked(full(np.full((20, 1), -3.0)), 1, [soft], 1)
    assert plan.chosen.sum() == 0
    assert plan.certificate.primal == pytest.approx(-10.0)
    assert plan.certificate.violation_by_row == {"soft": 10.0}


def test_empty_problems_have_empty_plans() -> None:
    """No customers, no pairs, no slots: an empty plan worth nothing."""
    none = Pairs(np.array([0]), np.zeros(0, int), np.zeros(0))
    idle = Pairs(np.array([0, 0, 0]), np.zeros(0, int), np.zeros(0))
    row = LimitRow("q", "<=", 3, "count", [0])
    for pairs, slots in ((none, 1), (idle, 4), (full(np.ones((3, 1))), 0)):
        plan = checked(pairs, slots, [row], 1)
        assert plan.certificate.primal == 0.0
        assert plan.chosen.sum() == 0


def test_slots_beyond_the_degree_take_all_that_is_positive() -> None:
    """K above the number of pairs takes every positive pair once."""
    plan = checked(full(np.array([[1.0, 2.0, -1.0]])), 8, [], 3)
    assert plan.chosen.tolist() == [True, True, False]


def test_duplicated_rows_change_nothing() -> None:
    """The same limit twice gives the same value as once."""
    value = np.random.default_rng(3).uniform(0.0, 1.0, (300, 4))
    rows = [LimitRow(f"q{i}", "<=", 40, "count", [i]) for i in range(4)]
    twice = [*rows, *(LimitRow(f"again{i}", "<=", 40, "count", [i]) for i in range(4))]
    once = checked(full(value), 1, rows, 4).certificate
    both = checked(full(value), 1, twice, 4).certificate
    assert both.dual_bound == pytest.approx(once.dual_bound, rel=1e-4)
    assert both.primal == pytest.approx(once.primal, rel=2e-3)


def test_an_equality_of_whole_numbers_is_met() -> None:
    """A floor and a ceiling at the same count are met exactly."""
    value = np.random.default_rng(4).normal(0.0, 1.0, (200, 3))
    rows = _both(3)
    plan = checked(full(value), 1, rows, 3)
    assert plan.chosen.reshape(200, 3).sum(axis=0).tolist() == [17, 18, 19]


def _both(p: int) -> list[LimitRow]:
    return [
        LimitRow(f"{mark}{i}", sense, 17 + i, "count", [i])
        for i in range(p)
        for mark, sense in (("<", "<="), (">", ">="))
    ]


def test_infeasible_rows_are_named_with_the_least_relaxation() -> None:
    """A floor of 30 under a quota of 20 names both and says 10."""
    pairs = full(np.ones((100, 2)))
    rows = [
        LimitRow("quota", "<=", 20, "count", [0]),
        LimitRow("floor", ">=", 30, "count", [0]),
        LimitRow("other", "<=", 5, "count", [1]),
    ]
    with pytest.raises(Infeasible, match=r"quota, floor.* by 10") as caught:
        solve(pairs, 1, rows, n_products=2)
    assert caught.value.record in ("quota", "floor")
    relaxation = least_relaxation(pairs, 1, rows, n_products=2)
    assert sum(relaxation.values()) == pytest.approx(10.0, abs=0.01)
    assert "other" not in relaxation


def test_a_floor_nobody_can_fill_is_infeasible() -> None:
    """A floor above what the eligible customers can take is named."""
    row = LimitRow("reach", ">=", 11, "count", [0])
    with pytest.raises(Infeasible, match="reach by 1"):
        solve(full(np.ones((10, 1))), 1, [row], n_products=1)


def test_a_warm_start_takes_fewer_passes() -> None:
    """Yesterday's prices bring today's plan in fewer passes, to the same gap."""
    rng = np.random.default_rng(5)
    value = rng.lognormal(0.0, 1.0, (30_000, 8))
    rows = [LimitRow(f"q{i}", "<=", 1500 + 300 * i, "count", [i]) for i in range(8)]
    cold = checked(full(value), 1, rows, 8)
    prices = dict(zip(cold.row_names, cold.duals, strict=True))
    warm = checked(full(value), 1, rows, 8, warm=prices)
    assert cold.certificate.reached
    assert warm.certificate.reached
    assert warm.certificate.passes <= cold.certificate.passes


def test_progress_is_told_after_every_pass() -> None:
    """The callback sees bounds that are valid at every moment."""
    told: list[dict[str, float]] = []
    value = np.random.default_rng(6).uniform(0.0, 1.0, (500, 3))
    rows = [LimitRow(f"q{i}", "<=", 50, "count", [i]) for i in range(3)]
    plan = solve(full(value), 1, rows, n_products=3, progress=told.append)
    assert told
    assert all(event["bound"] >= plan.certificate.primal for event in told)


WRONG: dict[str, Callable[[], object]] = {
    "pair 1 (customer 0, product 1)": lambda: full(np.array([[1.0, np.nan]])),
    "customer 1": lambda: Pairs([0, 2, 1], [0, 1], [1.0, 1.0]),
    "ends at 3": lambda: Pairs([0, 3], [0, 1], [1.0, 1.0]),
    "approval": lambda: full(np.ones((1, 1)), approval=np.array([1.5])),
    "not whole numbers": lambda: Pairs([0, 1], [0.5], [1.0]),
    "passes int32": lambda: Pairs([0, 1], [2**40], [1.0]),
    "one value a pair": lambda: Pairs([0, 1], [0], [1.0, 2.0]),
    "negative quota": lambda: LimitRow("q", "<=", -1, "count", [0]),
    "sense": lambda: LimitRow("q", "==", 1, "count", [0]),  # type: ignore[arg-type]
    "measure": lambda: LimitRow("q", "<=", 1, "clicks", [0]),  # type: ignore[arg-type]
    "finite": lambda: LimitRow("q", "<=", np.inf, "count", [0]),
    "penalty": lambda: LimitRow("q", "<=", 1, "count", [0], soft_penalty=-1.0),
    "unknown product 7": lambda: ask(LimitRow("q", "<=", 1, "count", [7])),
    "two rows of one name": lambda: ask(*[LimitRow("q", "<=", 1, "count", [0])] * 2),
    "no approval chances": lambda: ask(LimitRow("q", ">=", 0, "approval", [0])),
    "unknown customer": lambda: ask(LimitRow("q", "<=", 1, "count", [0], customers=[9])),
    "a mask of": lambda: ask(LimitRow("q", "<=", 1, "count", [0], customers=np.ones(3, bool))),
    "unknown product 1": lambda: solve(full(np.ones((1, 2))), 1, [], n_products=1),
    "-1 slots": lambda: solve(full(np.ones((1, 2))), np.array([-1]), [], n_products=2),
    "slots are whole": lambda: solve(full(np.ones((1, 2))), np.array([0.5]), [], n_products=2),
    "starting price": lambda: ask(LimitRow("q", "<=", 1, "count", [0]), warm={"q": -1.0}),
}


def ask(*rows: LimitRow, **options: object) -> object:
    return solve(full(np.ones((2, 2))), 1, rows, n_products=2, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("words", WRONG)
def test_wrong_input_is_refused_by_name(words: str) -> None:
    """NaN, broken pointers, unknown names and impossible limits: refused, naming the place."""
    with pytest.raises(InputError) as caught:
        WRONG[words]()
    assert words in str(caught.value)


def test_a_plan_of_other_rows_is_not_certified() -> None:
    """The checker refuses a plan made for other rows, and a dual out of its range."""
    pairs, row = full(np.ones((4, 1))), LimitRow("q", "<=", 2, "count", [0])
    plan = solve(pairs, 1, [row], n_products=1)
    with pytest.raises(InputError, match="other rows"):
        certify(pairs, 1, [LimitRow("other", "<=", 2, "count", [0])], plan)
    plan.duals[0] = -1.0
    with pytest.raises(InputError, match="outside"):
        certify(pairs, 1, [row], plan)
