"""The stability index: what it is, what it is by chance, and when it is an alarm."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jinqiao.engines.drift import MAJOR, MODERATE, Bins, bin_places, count_in, find_bins, shift_of
from jinqiao.errors import InputError

columns = st.lists(
    st.floats(-1e6, 1e6) | st.just(float("nan")) | st.integers(0, 3).map(float),
    min_size=1, max_size=60,
)  # fmt: skip


def test_the_index_is_the_sum_of_both_divergences() -> None:
    """On large samples it is Σ (q − p) ln(q / p), as on paper."""
    bins = Bins((0.0,), (0.3, 0.7, 0.0), 10**9)
    found = shift_of(bins, [5e8, 5e8, 0.0], 10**9)
    paper = (0.5 - 0.3) * np.log(0.5 / 0.3) + (0.5 - 0.7) * np.log(0.5 / 0.7)
    assert found.psi == pytest.approx(paper, rel=1e-6)


@given(columns, st.randoms())
@settings(deadline=None, max_examples=60)
def test_every_value_has_one_bin(values: list[float], chance: object) -> None:
    """Any column has bins that hold each of its cases once, in any order, missing ones last."""
    bins = find_bins(values)
    counts = count_in(bins, values)
    assert counts.sum() == len(values)
    assert counts[-1] == np.isnan(values).sum()
    assert (np.diff(bins.edges) > 0).all()
    assert (bin_places(bins, values[::-1]) == bin_places(bins, values)[::-1]).all()
    assert count_in(bins, sorted(values)).tolist() == counts.tolist()
    assert shift_of(bins, counts, len(values)).psi == pytest.approx(0.0, abs=1e-9)


@given(columns, columns)
@settings(deadline=None, max_examples=60)
def test_the_index_is_never_negative(reference: list[float], day: list[float]) -> None:
    """A day, whatever it holds, lies at a distance of zero or more."""
    bins = find_bins(reference)
    found = shift_of(bins, count_in(bins, day), len(day))
    assert found.psi >= 0
    assert found.chance >= found.floor * 0.99 or found.floor == 0


@pytest.mark.parametrize("cases", [60, 400, 4_000])
def test_the_floor_is_what_chance_shows(cases: int) -> None:
    """Where nothing drifts, its mean is the floor, and next to no day is past the chance."""
    rng = np.random.default_rng(cases)
    found = []
    for _ in range(400):
        bins = find_bins(rng.normal(size=2_000))
        found.append(shift_of(bins, count_in(bins, rng.normal(size=cases)), cases))
    mean = np.mean([one.psi for one in found])
    assert mean == pytest.approx(np.mean([one.floor for one in found]), rel=0.12)
    assert sum(one.psi > one.chance for one in found) <= 1


def test_a_small_day_does_not_alarm() -> None:
    """Days without drift do not alarm, however small; the same shift alarms once it is sure."""
    rng = np.random.default_rng(5)
    bins = find_bins(rng.normal(size=5_000))

    def day(cases: int, shift: float) -> str:
        return shift_of(bins, count_in(bins, rng.normal(size=cases) + shift), cases).verdict

    for cases in (5, 20, 50, 200, 2_000):
        told = [day(cases, 0.0) for _ in range(200)]
        assert sum(verdict in ("moderate", "major") for verdict in told) <= 1, cases
    assert day(12, 0.6) in ("too_few", "stable")
    assert day(3_000, 0.6) == "major"
    assert day(3_000, 0.4) == "moderate"
    assert MODERATE < MAJOR


def test_rows_of_few_people_are_few_cases() -> None:
    """The same rows count as sure of a shift only if enough of them are independent."""
    rng = np.random.default_rng(6)
    bins = find_bins(rng.normal(size=5_000))
    counts = count_in(bins, rng.normal(size=2_000) + 0.6)
    assert shift_of(bins, counts, 2_000).verdict == "major"
    assert shift_of(bins, counts, 15).verdict in ("too_few", "stable")


def test_nothing_to_compare_is_refused() -> None:
    """No case, another number of bins and a table are errors."""
    bins = find_bins(np.arange(50.0))
    for counts, cases in (([1.0], 5), (np.zeros(len(bins.shares)), 5), (bins.shares, 0)):
        with pytest.raises(InputError):
            shift_of(bins, counts, cases)
    for wrong in ([], np.ones((2, 2))):
        with pytest.raises(InputError):
            find_bins(wrong)
