"""One stage alone, on anyone's arrays and tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from jinqiao import propensity
from jinqiao.errors import InputError, SchemaError
from jinqiao.propensity.calibration import (
    calibration_error,
    fit_platt,
    log_loss,
    sigmoid,
    weighted_auc,
)
from jinqiao.propensity.stage import KINDS

N = 4_000


def case(seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return columns, labels and the true chances of a stage with one bend and one interaction."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N, 5)).astype(np.float32)
    p = sigmoid(0.8 * x[:, 0] - 1.0 + 0.9 * (x[:, 1] > 0.5) * x[:, 2])
    return x, (rng.random(N) < p).astype(float), p


@pytest.mark.parametrize("kind", KINDS[2:])
def test_each_kind_is_calibrated_and_ranks(kind: str) -> None:
    """Every kind of model gives chances near the true ones on fresh rows."""
    x, y, _ = case()
    spec = propensity.StageSpec(choice=kind)
    model = propensity.fit_stage(x, y, names=tuple("abcde"), seed=3, spec=spec)
    fresh, label, p = case(2)
    told = model.predict(fresh)
    assert model.kind == kind
    assert np.abs(told - p).mean() < 0.12
    assert calibration_error(told, label, np.ones(N)) < 0.04


def test_the_best_kind_is_chosen_out_of_time() -> None:
    """The blend is served, unless another kind beats it on the latest rows beyond doubt."""
    x, y, _ = case()
    model = propensity.fit_stage(x, y, names=tuple("abcde"), seed=3)
    metrics = model.card["metrics"]
    best = min(KINDS[2:], key=lambda kind: metrics[kind]["log_loss"])
    sure = best != "blend" and metrics[best]["gain"]["blend"][1] > 0
    assert model.kind == (best if sure else "blend")
    assert model.card["beats_constant"]
    assert set(metrics) == set(KINDS)
    low, high = metrics[model.kind]["auc_ci"]
    assert low <= metrics[model.kind]["auc"] <= high


def test_the_level_is_that_of_all_rows_whatever_the_latest_say() -> None:
    """The mean chance on the rows learnt from is what happened there, also of a named column."""
    rng = np.random.default_rng(4)
    x, _, p = case()
    x[:, 4] = rng.random(N) < 0.25
    rate = sigmoid(np.log(p / (1 - p)) - 1.2 * x[:, 4])
    y = (rng.random(N) < rate).astype(float)
    y[-N // 8 :] *= rng.random(N // 8) < 0.7
    spec = propensity.StageSpec(strength=200.0, exact=("e",))
    model = propensity.fit_stage(x, y, names=tuple("abcde"), seed=3, spec=spec)
    told = model.predict(x)
    assert abs(told.mean() - y.mean()) < 0.002
    for value in (0, 1):
        rows = x[:, 4] == value
        assert abs(told[rows].mean() - y[rows].mean()) < 0.01
    recent = propensity.StageSpec(strength=200.0, half_life_days=300e-6 / 86_400)
    late = propensity.fit_stage(x, y, names=tuple("abcde"), seed=3, spec=recent)
    assert late.predict(x).mean() < told.mean() - 0.01


def test_noise_is_answered_by_a_constant() -> None:
    """When nothing predicts, the served model does not pretend, and few cases are a constant."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(1_500, 6)).astype(np.float32)
    y = (rng.random(1_500) < 0.2).astype(float)
    model = propensity.fit_stage(x, y, names=tuple("abcdef"), seed=1)
    assert np.abs(model.predict(x) - 0.2).max() < 0.1
    few = propensity.fit_stage(x[:60], y[:60] * 0 + (np.arange(60) < 6), names=tuple("abcdef"))
    assert few.kind == "constant"
    assert few.predict(x[:2]) == pytest.approx([6.5 / 61] * 2)
    assert few.card["note"]


def test_an_expected_label_counts_as_a_share() -> None:
    """Labels between 0 and 1 teach the rate they say."""
    rng = np.random.default_rng(6)
    x = rng.normal(size=(2_000, 2)).astype(np.float32)
    y = np.where(rng.random(2_000) < 0.5, 0.3, (rng.random(2_000) < 0.3).astype(float))
    spec = propensity.StageSpec(choice="linear")
    model = propensity.fit_stage(x, y, names=("a", "b"), spec=spec)
    assert model.predict(x).mean() == pytest.approx(0.3, abs=0.03)


def test_what_does_not_fit_is_refused() -> None:
    """Shapes, labels, weights, names and unknown choices are each named."""
    x, y, _ = case()
    names = tuple("abcde")
    wrong = [
        {"x": x[:5]}, {"y": y + 1}, {"names": ("a",)}, {"weights": -np.ones(N)},
        {"spec": propensity.StageSpec(choice="magic")}, {"y": np.full(N, np.nan)},
    ]  # fmt: skip
    for change in wrong:
        given = {"x": x, "y": y, "names": names} | change
        with pytest.raises(InputError):
            propensity.fit_stage(given.pop("x"), given.pop("y"), **given)
    model = propensity.fit_stage(x, y, names=names, spec=propensity.StageSpec(choice="linear"))
    with pytest.raises(SchemaError):
        model.predict(x[:, :3])


def test_platt_moves_only_as_far_as_outcomes_say() -> None:
    """No outcome leaves the chances as they are; many bend them to what happened."""
    assert fit_platt(np.zeros(0), np.zeros(0), np.zeros(0)) == (1.0, 0.0)
    rng = np.random.default_rng(7)
    score = rng.normal(size=20_000)
    y = (rng.random(20_000) < sigmoid(0.5 * score - 1)).astype(float)
    slope, shift = fit_platt(score, y, np.ones(20_000))
    assert (slope, shift) == pytest.approx((0.5, -1.0), abs=0.08)


def test_the_measures_are_right_by_hand() -> None:
    """Area, log-loss and calibration error on four rows."""
    p, y, one = np.array([0.1, 0.4, 0.4, 0.9]), np.array([0.0, 0, 1, 1]), np.ones(4)
    assert weighted_auc(p, y, one) == pytest.approx(3.5 / 4)
    assert log_loss(p, y, one) == pytest.approx(-np.log([0.9, 0.6, 0.4, 0.9]).mean())
    assert calibration_error(p, y, one, bins=1) == pytest.approx(0.05)


def people(n: int = 1_200) -> pa.Table:
    """Return a table of anyone's: numbers, a text, a flag, an id, a date and a label."""
    rng = np.random.default_rng(8)
    job, income = rng.integers(0, 3, n), np.exp(rng.normal(9, 1, n))
    p = sigmoid(1.2 * (job == 1) + 0.8 * (np.log(income) - 9) - 0.8)
    first = datetime(2025, 1, 1, tzinfo=UTC)
    return pa.table({
        "id": [f"row{i}" for i in range(n)],
        "income": pa.array(income, mask=rng.random(n) < 0.1),
        "job": np.array(["clerk", "nurse", "cook"])[job],
        "owner": rng.random(n) < 0.4,
        "joined": [first + timedelta(days=int(i)) for i in range(n)],
        "bought": rng.random(n) < p,
    })  # fmt: skip


def test_a_table_in_a_calibrated_score_with_reasons_out() -> None:
    """Texts become columns, ids and dates do not, and the strongest reason is the true one."""
    table = people()
    model = propensity.fit_table(table, "bought", time="joined", seed=2)
    assert {name for name, _ in model.columns} == {"income", "job", "owner"}
    told = model.predict(table)
    assert told.mean() == pytest.approx(np.mean(table["bought"].to_pylist()), abs=0.04)
    parts = model.contributions(table)
    assert parts.sum(axis=1) == pytest.approx(np.log(told / (1 - told)), rel=1e-5)
    nurse = table["job"].to_pylist().index("nurse")
    found = model.reasons(
        table, nurse, words={"job": ("职业", "the job"), "income": ("收入", "income")}
    )
    assert {r.numbers["name"]["en"] for r in found} <= {"the job", "income"}  # type: ignore[index]


def test_a_table_is_checked() -> None:
    """A label that is not 0 or 1, a missing column, and a column missing later are refused."""
    table = people(200)
    with pytest.raises(InputError):
        propensity.fit_table(table, "income")
    with pytest.raises(SchemaError):
        propensity.fit_table(table, "nothing")
    model = propensity.fit_table(table, "bought")
    with pytest.raises(SchemaError, match="income"):
        model.predict(table.drop_columns(["income"]))
