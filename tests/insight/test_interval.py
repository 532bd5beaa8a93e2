"""Intervals and delays against published or exact numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jinqiao.insight.delay import incidence, median_days
from jinqiao.insight.interval import mean, poisson, ratio_of_ratios, total, wilson


def test_wilson_is_as_published() -> None:
    """81 of 263 gives .2553 to .3662 (Newcombe, Stat. Med. 17, 1998, table I)."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(0, 20)[0] == 0  # type: ignore[index]
    assert wilson(0, 20)[1] == pytest.approx(0.1611, abs=1e-4)  # type: ignore[index]
    assert wilson(0, 0) is None


@pytest.mark.parametrize(("k", "lower", "upper"), [(1, 0.025, 5.572), (10, 4.795, 18.39)])
def test_poisson_is_close_to_exact(k: int, lower: float, upper: float) -> None:
    """Byar's approximation is within a hundredth of the exact (Garwood) ends for k ≥ 1."""
    assert poisson(k) == pytest.approx((lower, upper), abs=0.02)


@given(k=st.integers(0, 10**7), more=st.integers(0, 10**7))
def test_intervals_hold_their_value(k: int, more: int) -> None:
    """For any count and share, lower ≤ value ≤ upper and a share stays in [0, 1]."""
    low, high = poisson(k)
    assert low <= k <= high
    found = wilson(k, k + more)
    if found is not None:
        assert 0 <= found[0] <= k / (k + more) <= found[1] <= 1


def test_a_sum_a_mean_and_a_ratio() -> None:
    """√Σx² for a sum, s/√n for a mean, Katz for a ratio of shares; None without data."""
    assert total([3.0, 4.0]) == pytest.approx((7 - 1.959964 * 5, 7 + 1.959964 * 5))
    assert total([]) == (0, 0)
    assert mean(6.0, 14.0, 3) == pytest.approx((2 - 1.959964 / 3**0.5, 2 + 1.959964 / 3**0.5))
    assert mean(0.0, 0.0, 0) is None
    assert ratio_of_ratios(0, 5, 1, 5) is None
    low, high = ratio_of_ratios(10, 100, 20, 100)  # type: ignore[misc]
    assert low * high == pytest.approx(0.25)


def test_without_open_cases_incidence_is_the_share() -> None:
    """With nobody censored F₁(t) is converted by t over all, whatever else happened."""
    days = np.array([1.0, 2.0, 3.0, 4.0])
    times, chance = incidence(days, np.array([1, 2, 1, 2]))
    assert times.tolist() == [1.0, 3.0]
    assert chance == pytest.approx([0.25, 0.5])


def test_incidence_by_hand() -> None:
    """Five cases, one cut off at 2: F₁ = 1/5 at 1, then + (4/5)·(1/3) at 3."""
    days = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    times, chance = incidence(days, np.array([1, 0, 1, 2, 0]))
    assert times.tolist() == [1.0, 3.0]
    assert chance == pytest.approx([1 / 5, 1 / 5 + 4 / 5 / 3])


def test_nothing_converted_has_no_median() -> None:
    """Only open or refused cases give no answer."""
    assert median_days(np.array([1.0, 2.0]), np.array([0, 2])) is None
    assert median_days(np.empty(0), np.empty(0, dtype=int)) is None
