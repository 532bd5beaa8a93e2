"""What a chain may learn from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jinqiao import propensity
from jinqiao.domain.tables import OUTCOMES
from jinqiao.errors import InputError, SchemaError
from jinqiao.propensity.outcomes import OUTCOMES_SQL, fold, stage_cases

World = Any
DAY_US = 86_400_000_000


def same(a: propensity.TrainingSet, b: propensity.TrainingSet) -> bool:
    """Return whether two training sets hold the same rows, rates and labels."""
    rows = np.arange(len(a))
    return (
        len(a) == len(b)
        and np.array_equal(a.matrix(rows), b.matrix(rows), equal_nan=True)
        and all(
            np.array_equal(x.rows, y.rows)
            and all(
                np.array_equal(getattr(x.delays, n), getattr(y.delays, n), equal_nan=True)
                for n in ("label", "yes_by", "no_by", "rate")
            )
            for x, y in zip(a.stages, b.stages, strict=True)
        )
    )


def test_what_arrived_later_changes_nothing(world: World) -> None:
    """As of an instant, a lake with the future in it gives the set of one without."""
    as_of = world.end_us - 9 * DAY_US
    features = {world.end_us - 28 * DAY_US: world.profiles, as_of + 1: world.profiles.slice(0, 3)}
    dictionary = type(world).training.__globals__["dictionary"]()
    whole, cut = (
        propensity.training_set(lake, features, world.products, dictionary, as_of_us=as_of)
        for lake in (world.lake(), world.lake(upto_us=as_of))
    )
    assert same(whole, cut)
    assert whole.shown_us.max() <= as_of


def test_rates_of_a_day_know_only_the_days_before(world: World) -> None:
    """Observed rates beside a shown offer are counted from cases that began on earlier days."""
    full = world.training()
    early = world.training(world.end_us - 14 * DAY_US)
    assert (full.rates[0] == full.rates[0, 0, 0] * 0 + full.rates[0]).all()
    spread = full.rates[0, :, 0]
    assert np.ptp(spread) < 1e-6
    clicks_early, clicks_full = early.rates[:10, :, 0], full.rates[:10, :, 0]
    assert np.allclose(clicks_early, clicks_full, atol=1e-6)


def test_open_cases_are_not_a_no(world: World, rows: propensity.TrainingSet) -> None:
    """Counting open cases by their expected end comes nearer the true rate than counting no."""
    for place in (2, 3):
        stage = rows.stages[place]
        true = world.truth[stage.rows, place].mean()
        label = stage.delays.label
        naive = np.nan_to_num(label).mean()
        ours = stage.delays.expected(stage.delays.rate).mean()
        assert np.isnan(label).any()
        assert abs(ours - true) < 0.5 * abs(naive - true)


def test_a_click_that_found_no_unit_is_a_click_and_nothing_more(world: World) -> None:
    """It is a yes of the click; whether the customer would have applied is not known."""
    before = world.training()
    clicked = before.stages[0].delays.label == 1
    row = int(before.stages[0].rows[~clicked][0])
    table = world.decisions.slice(row, 1)
    place = (table["trace_id"][0].as_py(), table["position"][0].as_py())
    dictionary = type(world).training.__globals__["dictionary"]()
    after = propensity.training_set(
        world.lake(), {world.end_us - 29 * DAY_US: world.profiles}, world.products, dictionary,
        as_of_us=world.end_us, sold_out=[place, ("no such trace", 1)],
    )  # fmt: skip
    assert after.stages[0].delays.label.sum() == clicked.sum() + 1
    assert after.stages[0].delays.label[after.stages[0].rows == row] == 1
    assert np.array_equal(after.stages[1].rows, before.stages[1].rows)


def test_a_customer_without_a_profile_is_left_out_and_counted(world: World) -> None:
    """Rows of customers absent from the newest snapshot teach nothing."""
    dictionary = type(world).training.__globals__["dictionary"]()
    half = world.profiles.slice(0, 700)
    at = world.end_us - 28 * DAY_US - 1
    found = propensity.training_set(
        world.lake(), {at: half}, world.products.slice(0, 10), dictionary, as_of_us=world.end_us
    )
    assert found.left_out["no_profile"] == int((world.customer >= 700).sum())
    kept = (world.customer < 700) & (world.product < 10)
    assert len(found) == int(kept.sum())


def test_snapshots_must_agree_and_exist(world: World) -> None:
    """No snapshot at or before as-of, or columns that differ, is refused."""
    dictionary = type(world).training.__globals__["dictionary"]()
    lake, at = world.lake(), world.end_us
    with pytest.raises(InputError):
        propensity.training_set(
            lake, {at + 1: world.profiles}, world.products, dictionary, as_of_us=at
        )
    other = {at: world.profiles, at - 1: world.profiles.drop_columns(["age"])}
    with pytest.raises(SchemaError, match="columns"):
        propensity.training_set(lake, other, world.products, dictionary, as_of_us=at)


def test_an_offer_is_joined_to_the_newest_profile_not_after_it(world: World) -> None:
    """A shown offer sees the profile of its day, never a later one."""
    dictionary = type(world).training.__globals__["dictionary"]()
    middle = world.end_us - 14 * DAY_US
    column = world.profiles.column_names.index("age")
    older = world.profiles.set_column(column, "age", pa.array([99.0] * world.profiles.num_rows))
    found = propensity.training_set(
        world.lake(), {middle - 15 * DAY_US: older, middle: world.profiles}, world.products,
        dictionary, as_of_us=world.end_us,
    )  # fmt: skip
    age = found.matrix(np.arange(len(found)))[:, 0]
    before = found.shown_us < middle
    assert (age[before] == 99).all()
    assert not (age[~before] == 99).any()


def _reports(*reports: tuple[str, str, int, int]) -> pa.Table:
    """Return OUTCOMES rows of one shown offer: stage, polarity, received (s), sequence."""
    n = len(reports)
    when = pa.array([r[2] * 1_000_000 for r in reports], pa.int64()).cast(pa.timestamp("us"))
    columns = {
        "outcome_id": [f"o{i}" for i in range(n)], "trace_id": ["t"] * n,
        "position": pa.array([1] * n, pa.int8()), "click_id": ["k"] * n,
        "application_id": ["a"] * n, "customer_id": ["c"] * n, "product_id": ["p"] * n,
        "institution_id": ["i"] * n, "stage": [r[0] for r in reports],
        "polarity": [r[1] for r in reports], "occurred_at": when, "received_at": when,
        "amount_minor": pa.array([None] * n, pa.int64()),
        "corrects": pa.array([None] * n, pa.string()),
        "sequence": pa.array([r[3] for r in reports], pa.int32()),
    }  # fmt: skip
    return pa.table({name: columns[name] for name in OUTCOMES.names})


@pytest.mark.parametrize(
    ("reports", "reached", "ended"),
    [
        ([("click", "reached", 1, 0)], 1, None),
        ([("approval", "reached", 9, 0)], 3, None),
        ([("default", "reached", 9, 0)], 4, None),
        ([("approval", "refused", 9, 0)], 2, 2),
        ([("application", "expired", 9, 0)], 1, 1),
        ([("activation", "reached", 5, 1), ("activation", "reversed", 9, 2)], 3, 3),
        ([("activation", "reversed", 5, 2), ("activation", "reached", 9, 1)], 3, 3),
        ([("approval", "refused", 5, 1), ("approval", "reached", 9, 2)], 3, None),
    ],
)
def test_reports_fold_to_one_state(
    world: World, reports: list[tuple[str, str, int, int]], reached: int, ended: int | None
) -> None:
    """The highest sequence stands, a later stage implies the earlier, a reversal takes one back."""
    lake = world.lake(upto_us=0)
    table = _reports(*reports)
    lake.append(OUTCOMES, table, batch_id="x")
    found = lake.query(OUTCOMES_SQL, as_of_us=10_000_000)
    shown = pa.table({
        "trace_id": ["other", "t"], "position": pa.array([1, 1], pa.int8()),
        "shown_us": pa.array([0, 0], pa.int64()),
    })  # fmt: skip
    folded = fold(shown, found)
    assert folded.reached[1].tolist() == [i < reached for i in range(4)]
    assert folded.ended[1].tolist() == [i == ended for i in range(4)]
    assert not folded.reached[0].any()


def test_a_report_before_its_arrival_is_open(world: World) -> None:
    """An approval that arrives after as-of leaves the case open, with its age."""
    lake = world.lake(upto_us=0)
    lake.append(
        OUTCOMES,
        _reports(("application", "reached", 2, 0), ("approval", "reached", 9, 0)),
        batch_id="x",
    )
    shown = pa.table({
        "trace_id": ["t"], "position": pa.array([1], pa.int8()),
        "shown_us": pa.array([0], pa.int64()),
    })  # fmt: skip
    for as_of, end in ((5_000_000, -1), (9_000_000, 1)):
        folded = fold(shown, lake.query(OUTCOMES_SQL, as_of_us=as_of))
        rows, cases = stage_cases(folded, 2, np.zeros(1, np.int64), as_of)
        assert rows.tolist() == [0]
        assert cases.end.tolist() == [end]
        assert cases.age_us.tolist() == [as_of - 2_000_000]
