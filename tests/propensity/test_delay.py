"""Outcomes that take time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jinqiao.propensity.delay import Cases, fit_delays, incidence
from jinqiao.propensity.tail import fit_tail

DAY_US = 86_400_000_000


def cases(n: int = 6_000, rate: float = 0.4, silent: bool = False, seed: int = 1) -> Cases:
    """Return cases of two institutions watched for 20 days: a yes takes 8 days, a no 2."""
    rng = np.random.default_rng(seed)
    age = rng.integers(0, 20 * DAY_US, n)
    yes = rng.random(n) < rate
    after = (rng.exponential(np.where(yes, 8.0, 2.0)) * DAY_US).astype(np.int64)
    end = np.where(after <= age, yes.astype(np.int8), -1).astype(np.int8)
    if silent:
        end[end == 0] = -1
    return Cases(rng.integers(0, 2, n), age, end, after)


def test_the_eventual_rate_is_recovered() -> None:
    """With half the cases open, the expected labels average to the true rate."""
    found = fit_delays(cases())
    assert np.isnan(found.label).mean() > 0.2
    assert abs(found.expected(found.rate).mean() - 0.4) < 0.05
    assert np.nan_to_num(found.label).mean() < 0.28


def test_an_old_open_case_is_a_likelier_yes_when_refusals_are_fast() -> None:
    """Refusals come first here, so waiting speaks for a yes."""
    made = cases()
    found = fit_delays(made)
    told = found.expected(np.full(len(made.age_us), 0.4))
    open_ = np.isnan(found.label)
    young, old = open_ & (made.age_us < DAY_US), open_ & (made.age_us > 6 * DAY_US)
    assert told[old].mean() > told[young].mean() + 0.1


def test_an_institution_that_never_refuses_is_silent_not_kind() -> None:
    """Where no refusal is ever reported, cases older than the slowest yes become a no."""
    made = cases(rate=0.4, silent=True)
    end = np.where(made.end == -1, made.end, 1).astype(np.int8)
    slow = Cases(made.institution, made.age_us * 4, end, made.after_us)
    found = fit_delays(slow)
    assert (found.label == 0).sum() > 0
    assert found.expected(found.rate).mean() < 0.75


def test_a_stray_reversal_does_not_make_an_institution_tell() -> None:
    """One reversal among many silent cases leaves the eventual rate where it was."""
    made = cases(rate=0.4, silent=True, n=4_000)
    end = made.end.copy()
    before = fit_delays(made)
    end[np.flatnonzero(end == 1)[:3]] = 0
    after = fit_delays(Cases(made.institution, made.age_us, end, made.after_us))
    assert np.abs(after.rate - before.rate).max() < 0.02
    told = after.expected(after.rate).mean()
    assert abs(told - before.expected(before.rate).mean()) < 0.02


def test_no_case_and_only_open_cases_are_answered() -> None:
    """Nothing known gives no label and no rate outside [0, 1]."""
    none = np.zeros(0, np.int64)
    assert len(fit_delays(Cases(none, none, none.astype(np.int8), none)).label) == 0
    five = np.arange(5)
    found = fit_delays(Cases(five * 0, five * DAY_US, np.full(5, -1, np.int8), five))
    assert ((found.expected(found.rate) >= 0) & (found.expected(found.rate) <= 1)).all()


@given(
    st.lists(st.tuples(st.integers(0, 50), st.sampled_from([-1, 0, 1])), min_size=1, max_size=60)
)
def test_incidence_is_a_share_that_only_grows(ends: list[tuple[int, int]]) -> None:
    """Both curves rise, stay in [0, 1] together, and equal plain shares when nothing is open."""
    after = np.array([a for a, _ in ends], np.int64)
    end = np.array([e for _, e in ends], np.int8)
    times, yes, no = incidence(after, end)
    assert (np.diff(times) > 0).all()
    assert (np.diff(yes) >= -1e-12).all()
    assert (np.diff(no) >= -1e-12).all()
    assert yes[-1] + no[-1] <= 1 + 1e-9
    if (end >= 0).all():
        assert np.isclose(yes[-1], (end == 1).mean())
        assert np.isclose(no[-1], (end == 0).mean())


@pytest.mark.parametrize("weibull", [False, True])
def test_what_takes_longer_than_the_log_is_told_from_what_came(weibull: bool) -> None:
    """Answers are seen only when they are short enough; the law says how many are still to come."""
    rng = np.random.default_rng(5)
    group = rng.integers(0, 12, 8_000)
    speed = np.exp(rng.normal(0, 0.3, 12))[group]
    law = rng.exponential(size=8_000) if weibull else np.exp(0.75 * rng.normal(size=8_000))
    after, age = 9.0 * speed * law, rng.uniform(0, 26, 8_000)
    seen = after <= age
    found = fit_tail(after[seen], age[seen], group[seen], 12)
    assert found.weibull == weibull
    told = found.by(np.full(8_000, 26.0), group).mean()
    assert abs(told - (after <= 26).mean()) < 0.03
    assert np.median(after[seen]) < 0.8 * np.median(after)


def test_slow_answers_do_not_lower_the_rate() -> None:
    """One yes in seven takes longer than the log: the eventual rate is still theirs."""
    rng = np.random.default_rng(6)
    yes = rng.random(8_000) < 0.6
    after = (np.exp(np.log(11.0) + 0.8 * rng.normal(size=8_000)) * DAY_US).astype(np.int64)
    age = rng.integers(0, 26 * DAY_US, 8_000)
    end = np.where(yes & (after <= age), 1, -1).astype(np.int8)
    found = fit_delays(Cases(rng.integers(0, 4, 8_000), age, end, after))
    assert abs(found.expected(found.rate).mean() - 0.6) < 0.06
