"""Calibration beside its noise floor: open cases are no no, and chance is not called an error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jinqiao.errors import InputError
from jinqiao.insight import Heard, reliability, svg_reliability
from jinqiao.insight.plot_reliability import Words


def late(p: np.ndarray, seed: int) -> Heard:
    """Return outcomes of true chances: a no is heard in a day, a yes in five, ages up to ten."""
    rng = np.random.default_rng(seed)
    age = rng.uniform(0, 10, len(p))
    yes_by, no_by = 1 - np.exp(-age / 5), 1 - np.exp(-age)
    yes = rng.random(len(p)) < p
    known = rng.random(len(p)) < np.where(yes, yes_by, no_by)
    return Heard(np.where(known, yes, np.nan), yes_by, no_by)


def test_a_model_that_is_right_is_seldom_called_wrong() -> None:
    """Of 30 samples of a true model with late answers, about one in twenty is called wrong."""
    rng = np.random.default_rng(1)
    beyond = 0
    for seed in range(30):
        p = rng.beta(2, 3, 900)
        beyond += reliability(p, late(p, seed), seed=seed).beyond_noise
    assert beyond <= 5


def test_an_open_case_is_not_a_no() -> None:
    """With answers late, said ÷ came of a true model is near 1; open cases as no put it far off."""
    p = np.random.default_rng(2).beta(2, 3, 20_000)
    heard = late(p, 2)
    found = reliability(p, heard)
    assert found.open > 2_000
    assert found.ratio == pytest.approx(1.0, abs=0.04)
    assert found.ratio_least < 1 < found.ratio_most
    naive = reliability(p, Heard.at_once(np.nan_to_num(heard.label)))
    assert naive.ratio > 1.3


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.6, 1.5]))
def test_a_model_that_is_off_is_seen(seed: int, factor: float) -> None:
    """What says too much or too little is beyond its noise, and its ratio says which."""
    true = np.random.default_rng(seed).beta(2, 5, 3_000)
    said = np.clip(true * factor, 0, 1)
    found = reliability(said, late(true, seed), seed=seed)
    assert found.beyond_noise
    assert found.error > found.noise_most > found.noise > 0
    assert (found.ratio > 1) == (factor > 1)


def test_more_cases_lower_the_floor() -> None:
    """The noise floor of the same model falls as cases come, about by their square root."""
    p = np.random.default_rng(4).beta(2, 3, 16_000)
    few, many = (reliability(p[:n], Heard.at_once(p[:n] > 0.5)) for n in (1_000, 16_000))
    assert 2.5 < few.noise / many.noise < 6


def test_bins_hold_every_case_once() -> None:
    """Counts of bins add up; each holds 20 or more; intervals hold what came."""
    p = np.random.default_rng(5).random(130)
    found = reliability(p, Heard.at_once(p > 0.4))
    assert sum(one.cases for one in found.bins) == 130
    assert min(one.cases for one in found.bins) >= 20
    assert all(one.lower <= one.came <= one.upper for one in found.bins)
    assert all(one.least <= one.most for one in found.bins)
    drawn = svg_reliability(Words("t", "said", "came", "band"), found.bins)
    assert drawn.count("<circle") + drawn.count('width="9"') == len(found.bins)


def test_what_is_no_chance_is_refused() -> None:
    """Nothing, lengths that differ, and a number that is no chance are named."""
    with pytest.raises(InputError, match="one outcome"):
        reliability([], Heard.at_once([]))
    with pytest.raises(InputError, match="one outcome"):
        reliability([0.1, 0.2], Heard.at_once([1]))
    with pytest.raises(InputError, match="outside"):
        reliability([1.2], Heard.at_once([1]))
