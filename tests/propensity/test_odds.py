"""Approval odds that may be promised, and calibration beside its noise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jinqiao.errors import InputError
from jinqiao.propensity import approval_odds, calibration_by_group
from jinqiao.propensity.odds import _lower


def cases(n: int, seed: int, bend: float = 0.0) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return scores of two banks and whether approved; bank b approves ``bend`` less than said."""
    rng = np.random.default_rng(seed)
    p = rng.beta(3, 2, n)
    bank = rng.choice(["a", "b"], n)
    true = np.clip(p - np.where(bank == "b", bend, 0.0), 0, 1)
    return p, (rng.random(n) < true).astype(float), bank.tolist()


def test_a_promise_holds_for_those_who_come() -> None:
    """In 100 markets, the promised share of later cases is missed in at most 5 + chance of them."""
    missed = made = 0
    for seed in range(100):
        p, yes, bank = cases(3_000, seed)
        odds = approval_odds(p, yes, bank)
        for bound in odds.bounds:
            if bound.level == 0.7:
                above = np.linspace(bound.threshold, 1, 2_000)
                weight = above**2 * (1 - above)  # the beta(3, 2) density
                made += 1
                missed += float((above * weight).sum() / weight.sum()) < 0.7
    assert made > 150
    assert missed <= 0.08 * made


def test_a_bank_that_approves_less_than_said_gets_no_badge_for_it() -> None:
    """Where true approval is far below the score, the same score carries less, or nothing."""
    p, yes, bank = cases(6_000, 3, bend=0.4)
    odds = approval_odds(p, yes, bank)
    good, poor = odds.badge("a", 0.95), odds.badge("b", 0.95)
    assert good is not None
    assert good.level >= 0.7
    assert poor is None or poor.level < good.level


def test_few_cases_carry_no_badge() -> None:
    """With 150 cases of an institution, all approved, there is none; with 400 there is."""
    few = approval_odds(np.full(150, 0.95), np.ones(150), ["a"] * 150)
    assert few.badge("a", 0.99) is None
    assert few.cases_by_group == {"a": 150}
    many = approval_odds(np.full(400, 0.95), np.ones(400), ["a"] * 400)
    assert many.badge("a", 0.95) is not None
    assert many.badge("nobody", 0.95) is None


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 500), st.integers(300, 900))
def test_a_higher_score_never_carries_less(seed: int, n: int) -> None:
    """Thresholds rise with the level; every bound is at least its level, on enough cases."""
    p, yes, bank = cases(n, seed)
    odds = approval_odds(p, yes, bank, levels=(0.5, 0.6, 0.7), least=50)
    for bound in odds.bounds:
        assert bound.lower >= bound.level
        assert bound.cases >= 50
    for name in ("a", "b"):
        levels = [odds.badge(name, s) for s in np.linspace(0, 1, 21)]
        told = [0.0 if b is None else b.level for b in levels]
        assert told == sorted(told)


def test_the_bound_is_exact() -> None:
    """Clopper and Pearson's one-sided bounds of 8 in 10, 10 in 10, 0 in 10."""
    assert _lower(8, 10, 0.05) == pytest.approx(0.4931, abs=1e-4)
    assert _lower(10, 10, 0.05) == pytest.approx(0.7411, abs=1e-4)
    assert _lower(0, 10, 0.05) == 0.0


def test_an_error_is_told_apart_from_noise() -> None:
    """Calibrated scores are within the noise of their group, bent ones of one bank are beyond."""
    found = {c.group: c for c in calibration_by_group(*cases(4_000, 5, bend=0.15))}
    assert not found["a"].beyond_noise
    assert found["b"].beyond_noise
    assert found["b"].ratio > 1.1
    assert found[""].cases == 4_000
    assert found["a"].noise < found["a"].noise_most


def test_a_small_group_has_a_larger_noise() -> None:
    """A tenth of the cases shows about three times the noise, which is why it stands beside."""
    p, yes, _ = cases(5_000, 7)
    large, small = calibration_by_group(p, yes)[0], calibration_by_group(p[:500], yes[:500])[0]
    assert 2 < small.noise / large.noise < 4.5


def test_what_is_no_case_is_refused() -> None:
    """Chances, outcomes, levels and lengths that cannot be are refused by row and field."""
    with pytest.raises(InputError, match="row 1"):
        approval_odds([0.5, 1.5], [0, 1], ["a", "a"])
    with pytest.raises(InputError, match="row 0"):
        approval_odds([0.5, 0.5], [0.5, 1], ["a", "a"])
    with pytest.raises(InputError, match="one chance"):
        calibration_by_group([0.5, 0.5], [1], ["a", "a"])
    with pytest.raises(InputError, match="between 0 and 1"):
        approval_odds([0.5], [1], ["a"], levels=(1.0,))
