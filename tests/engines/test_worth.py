"""The value of a pair, and what stands in for what cannot be seen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jinqiao.domain import worth as published
from jinqiao.engines.worth import (
    ACTIVATION,
    APPLICATION,
    APPROVAL,
    cheapest,
    estimate_worth,
    expected_applications,
    expected_payout,
    pair_value,
)
from jinqiao.errors import InputError

SHARE = st.floats(0.0, 1.0)
MONEY = st.integers(0, 10**7)


@given(
    chances=st.tuples(SHARE, SHARE, SHARE, SHARE), worth=MONEY, payout=MONEY,
    stage=st.sampled_from([APPLICATION, APPROVAL, ACTIVATION]), beta=st.floats(0.0, 3.0),
)  # fmt: skip
def test_the_vector_formula_is_the_published_one(
    chances: tuple[float, ...], worth: int, payout: int, stage: int, beta: float
) -> None:
    """A pair's value equals ``domain.worth.value`` of its unconditional chances."""
    click, applied, approved, active = chances
    reached = np.cumprod([click, applied, approved, active])
    expected = published.value(
        float(reached[3]), float(reached[1] - reached[2]), worth, payout * float(reached[stage]),
        beta=beta,
    )  # fmt: skip
    found = pair_value(
        np.array([chances]), worth, payout, stage, published.REFUSAL_HARM_MINOR, beta
    )
    assert found[0] == pytest.approx(expected, rel=1e-12, abs=1e-6)


def test_payout_never_lifts_what_harms_the_customer() -> None:
    """Where the customer's own value is not positive, no payout changes the value."""
    chances = np.array([[0.2, 0.5, 0.1, 0.5]], np.float32)
    values = [
        pair_value(chances, 100.0, payout, ACTIVATION, 3_000.0, 1.0)[0] for payout in (0, 1e6)
    ]
    assert values[0] == values[1] < 0


def test_payout_at_most_doubles_the_own_value_at_beta_one() -> None:
    """With β = 1 the payout term is at most the customer's own value."""
    chances = np.array([[0.2, 0.5, 0.9, 0.9]])
    own = pair_value(chances, 50_000.0, 0.0, ACTIVATION, 3_000.0, 1.0)
    assert pair_value(chances, 50_000.0, 1e9, ACTIVATION, 3_000.0, 1.0) == pytest.approx(2 * own)


def test_expected_payout_waits_for_its_stage() -> None:
    """A payout on application, approval or activation is weighed by the chance of that stage."""
    chances = np.array([[0.5, 0.5, 0.5, 0.5]])
    paid = [expected_payout(chances, 16.0, stage)[0] for stage in (1, 2, 3)]
    assert paid == [4.0, 2.0, 1.0]
    assert expected_applications(chances)[0] == 0.25


def test_worth_is_benefit_by_fit_less_the_excess_cost() -> None:
    """A dearer product than the cheapest eligible one is worth less, never below nothing."""
    allowed = np.array([[True, True, False], [False, True, True], [False, False, False]])
    cost, code = np.array([100.0, 300.0, 50.0]), np.array([0, 0, 1])
    least = cheapest(allowed, cost, code)
    assert least.tolist() == [[100.0, np.inf], [300.0, 50.0], [np.inf, np.inf]]
    worth = estimate_worth(np.array([400.0, 400.0, 10.0]), 0.5, cost, least[:, code])
    assert worth.tolist() == [[200.0, 0.0, 5.0], [200.0, 200.0, 5.0], [200.0, 200.0, 5.0]]


def test_arrays_of_another_shape_are_refused() -> None:
    """Chances that are not (m, 4), money of another length and unknown stages are refused."""
    good = np.full((2, 4), 0.5)
    with pytest.raises(InputError, match="not \\(m, 4\\)"):
        expected_applications(good[:, :3])
    with pytest.raises(InputError, match="for 2 pairs"):
        pair_value(good, np.ones(3), 1.0, 3, 1.0, 1.0)
    with pytest.raises(InputError, match="code outside"):
        expected_payout(good, 1.0, 4)
