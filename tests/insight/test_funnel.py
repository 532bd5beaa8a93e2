"""A funnel that answers late: what it will come to."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jinqiao.errors import InputError, SchemaError
from jinqiao.insight import LateFunnel, late_funnel
from jinqiao.insight.metrics import cohort_error

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
DAY_US = 86_400_000_000
START_US = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
RATE, DAYS = 0.4, 90


def made(n: int = 6_000, seed: int = 3) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    """Return events of n cases over 90 days, when each started, and how it truly ends.

    A yes takes 12 days on average, a no 3; half of the yes pass a check on the way.
    """
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, DAYS, n)
    yes = rng.random(n) < RATE
    took = rng.gamma(2.0, np.where(yes, 6.0, 1.5))
    checked = np.flatnonzero(rng.random(n) < np.where(yes, 0.8, 0.2))
    case = np.concatenate((np.arange(n), checked, np.arange(n)))
    day = np.concatenate((start, (start + took / 2)[checked], start + took))
    stage = np.concatenate(
        (np.full(n, "apply"), np.full(len(checked), "check"), np.where(yes, "paid", "refused"))
    )
    at = pa.array((START_US + day * DAY_US).astype(np.int64)).cast(pa.timestamp("us"))
    return pa.table({"case_id": case, "stage": stage, "occurred_at": at}), start, yes


def told(events: pa.Table, day: float = DAYS, **more: object) -> LateFunnel:
    as_of_us = int(START_US + day * DAY_US)
    return late_funnel(
        events, stages=["apply", "check"], yes="paid", no=["refused"], as_of_us=as_of_us,
        **more,  # type: ignore[arg-type]
    )  # fmt: skip


def test_the_final_share_of_young_cases_is_recovered() -> None:
    """Of the last 14 days most are open; their final share is told, counting tells half of it."""
    events, start, yes = made()
    found = told(events)
    cohort = found.cohort(14)
    true = float(yes[start > DAYS - 14].mean())
    assert cohort.open > 0.3 * cohort.cases
    assert cohort.counted < 0.6 * true
    assert abs(cohort.rate / true - 1) < 0.1
    assert cohort.lower < true < cohort.upper


def test_a_stage_passed_tells_apart_who_will() -> None:
    """Open cases that passed the check are likelier a yes, as they truly are."""
    events, _, yes = made()
    found = told(events)
    passed = set(events.filter(pa.compute.equal(events["stage"], "check"))["case_id"].to_pylist())
    ids = found.case_id.to_numpy()
    was = np.array([i in passed for i in ids.tolist()])
    open_ = ~found.decided
    assert found.p_yes[open_ & was].mean() > found.p_yes[open_ & ~was].mean()
    gap = abs(found.p_yes[open_].mean() - yes[ids[open_]].mean())
    assert gap < 0.06


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(20, 89))
def test_order_repeats_and_the_future_change_nothing(seed: int, day: float) -> None:
    """Rows in any order, sent twice, with all that comes after the as-of: the same answer."""
    events, _, _ = made(400)
    rng = np.random.default_rng(seed)
    at = events["occurred_at"].cast(pa.int64()).to_numpy()
    known = events.filter(pa.array(at <= START_US + day * DAY_US))
    rows = np.concatenate((rng.permutation(events.num_rows), rng.integers(0, 400, 50)))
    one = told(known, day, half_life_days=30.0)
    two = told(events.take(pa.array(rows)), day, half_life_days=30.0)
    first, second = np.argsort(one.case_id), np.argsort(two.case_id)
    np.testing.assert_array_equal(one.case_id.to_numpy()[first], two.case_id.to_numpy()[second])
    np.testing.assert_allclose(one.p_yes[first], two.p_yes[second], atol=1e-12)


def test_a_change_of_the_times_shortens_the_memory() -> None:
    """Where approvals fell a month ago, old cases fade; where nothing changed they need not."""
    early, start, yes = made(8_000, seed=5)
    drop = np.flatnonzero((start > 45) & yes & (np.random.default_rng(1).random(len(yes)) < 0.6))
    stage = np.array(early["stage"].to_pylist(), dtype=object)
    case = early["case_id"].to_numpy()
    stage[np.isin(case, drop) & (stage == "paid")] = "refused"
    changed = early.set_column(1, "stage", pa.array(stage))
    cohort, true = told(changed).cohort(28), yes.copy()
    true[drop] = False
    plain = told(changed, half_life_days=None).cohort(28)
    share = float(true[start > DAYS - 28].mean())
    assert abs(cohort.rate - share) <= abs(plain.rate - share)


def test_what_cannot_be_told_is_refused_by_name() -> None:
    """A missing column, a number for an instant, an empty value, no case, a stage named twice."""
    events, _, _ = made(50)
    with pytest.raises(SchemaError, match="occurred_at"):
        told(events.drop_columns("occurred_at"))
    counts = events.set_column(2, "occurred_at", events["occurred_at"].cast(pa.int64()))
    with pytest.raises(SchemaError, match="occurred_at: int64 is no instant"):
        told(counts)
    gap = events.set_column(1, "stage", pa.array([None, *events["stage"].to_pylist()[1:]]))
    with pytest.raises(SchemaError, match="events row 0"):
        told(gap)
    with pytest.raises(InputError, match="as-of"):
        told(events, -1.0)
    with pytest.raises(InputError, match="half-life"):
        told(events, half_life_days=-2.0)
    with pytest.raises(InputError, match="twice"):
        late_funnel(events, stages=["apply"], yes="apply", as_of_us=START_US)
    with pytest.raises(InputError, match="days"):
        told(events).cohort(-1)


def test_a_relative_error_needs_something_to_be_relative_to() -> None:
    """The mean of |estimated / final − 1|; a final share of 0 is refused by its place."""
    assert cohort_error(np.array([0.5, 0.2]), np.array([0.4, 0.25])) == pytest.approx(0.225)
    with pytest.raises(InputError, match="cohort 1"):
        cohort_error(np.array([0.5, 0.2]), np.array([0.4, 0.0]))


def test_a_real_funnel_is_told_from_its_youngest_cases(data_dir: Path) -> None:
    """Loans of BPI 2012: 28, 14, 7 youngest days within 4.5, 8.4, 12.7 % of what they came to."""
    from benchmarks.learning.funnel import errors, events

    found = errors(events(data_dir))
    for days, most in ((28, 0.045), (14, 0.084), (7, 0.127)):
        ours, counted = found[days]
        assert ours <= most < counted


def test_the_how_to_runs_as_it_stands() -> None:
    """The example of ``docs/how-to/tell-a-late-funnel.md`` holds what it asserts."""
    page = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "tell-a-late-funnel.md"
    code = page.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    exec(compile(code, "how-to", "exec"), {})
