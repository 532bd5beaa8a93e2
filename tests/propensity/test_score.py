"""The committee: calibrated, explained, judged on rows it never saw."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jinqiao.errors import InputError, SchemaError
from jinqiao.propensity import (
    CommitteeSpec,
    Judging,
    area_figures,
    cross_fit,
    fit_committee,
    fit_score,
)
from jinqiao.propensity.folds import CrossFit, stratified

LIGHT = CommitteeSpec(small=(4, 20, 0.1, 0.5), large=(6, 20, 0.1, 0.5))


def _table(n: int = 400, seed: int = 1) -> pa.Table:
    rng = np.random.default_rng(seed)
    income, spend = rng.normal(size=n), rng.normal(size=n)
    job = rng.choice(["salaried", "gig"], n)
    logit = 1.5 * income - spend + 0.8 * (job == "gig") - 1.0
    late = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(int)
    income[::17] = np.nan
    columns = {"income": income, "spend": spend, "job": job, "late": late, "id": np.arange(n)}
    return pa.table(columns)


def test_contributions_sum_to_the_logit_of_the_chance() -> None:
    """Logistic, kernel and trees together: every row's parts add up to what is predicted."""
    model = fit_score(_table(), "late", leave_out=("id",), seed=1, judging=Judging(repeats=0))
    table = _table(seed=2)
    chance = model.predict(table)
    parts = model.contributions(table)
    assert parts.shape == (400, len(model.committee.names) + 1)
    assert np.allclose(parts.sum(axis=1), np.log(chance / (1 - chance)), atol=1e-6)


def test_the_strongest_reason_moves_the_score() -> None:
    """Putting the first reason's column to its mean moves the chance the way the reason says."""
    model = fit_score(_table(), "late", leave_out=("id",), seed=1, judging=Judging(repeats=0))
    table = _table(seed=3)
    rows = [i for i in range(400) if table["income"][i].as_py() == table["income"][i].as_py()]
    for row in rows[:20]:
        added = model.contributions(table.slice(row, 1))[0][:-1]
        place = int(np.argmax(np.abs(added)))
        if model.committee.names[place] not in ("income", "spend"):
            continue
        name = model.committee.names[place]
        values = table[name].to_numpy().copy()
        values[row] = np.nanmean(_table()[name].to_numpy())
        moved = table.set_column(table.column_names.index(name), name, pa.array(values))
        before, after = model.predict(table)[row], model.predict(moved)[row]
        assert (before > after) == (added[place] > 0)
    words = {"income": ("收入", "income"), "spend": ("支出", "spend")}
    reasons = model.reasons(table, rows[0], words=words, about=("逾期", "paying late"))
    assert {r.numbers["name"]["en"] for r in reasons} <= {"income", "spend"}


def test_the_card_judges_beside_a_logistic_in_the_same_folds() -> None:
    """Area, interval, paired gain, and calibration inside folds are on the card."""
    model = fit_score(
        _table(), "late", leave_out=("id",), seed=1, spec=LIGHT, judging=Judging(folds=3, repeats=2)
    )
    low, high = model.card["ci"]
    assert low < model.card["auc"] < high
    assert model.card["auc"] - model.card["logistic"]["auc"] == pytest.approx(
        model.card["logistic"]["gain"]
    )
    assert model.card["ece"] < 0.1
    assert model.outside is not None
    assert abs(model.outside.mean() - _table()["late"].to_numpy().mean()) < 0.05


def test_the_same_seed_gives_the_same_score() -> None:
    """Fitted twice, every chance and every figure is equal."""
    judging = Judging(folds=3, repeats=1)
    one, two = (fit_score(_table(), "late", seed=4, spec=LIGHT, judging=judging) for _ in range(2))
    assert one.card == two.card
    assert np.array_equal(one.predict(_table()), two.predict(_table()))


def test_noise_is_not_learnt() -> None:
    """A label that depends on nothing gets an interval that holds one half."""
    rng = np.random.default_rng(8)
    table = pa.table({"a": rng.normal(size=300), "b": rng.normal(size=300),
                      "y": (rng.random(300) < 0.2).astype(int)})  # fmt: skip
    card = fit_score(table, "y", seed=1, spec=LIGHT, judging=Judging(folds=4, repeats=2)).card
    assert card["ci"][0] < 0.5 < card["ci"][1]


def test_bad_tables_are_refused_by_name() -> None:
    """A missing column, a label that is none, and too few of a label name what is wrong."""
    with pytest.raises(SchemaError, match="nothing"):
        fit_score(_table(), "nothing")
    with pytest.raises(InputError, match="income"):
        fit_score(_table(), "income")
    few = pa.table({"a": np.arange(50.0), "y": [1, 1] + [0] * 48})
    with pytest.raises(InputError, match="2 yes in 50"):
        fit_score(few, "y", judging=Judging(repeats=0))
    x = np.random.default_rng(1).normal(size=(60, 2))
    model = fit_committee(x, (x[:, 0] > 0).astype(float), names=("a", "b"))
    with pytest.raises(SchemaError, match="columns where 2"):
        model.predict(x[:, :1])


@given(yes=st.integers(5, 40), no=st.integers(5, 60), folds=st.integers(2, 5))
@settings(max_examples=30)
def test_folds_hold_every_row_once_and_each_its_share(yes: int, no: int, folds: int) -> None:
    """Folds are a partition, and differ by at most one in each label and two in size."""
    y = np.array([1.0] * yes + [0.0] * no)
    parts = stratified(y, folds, np.random.default_rng(yes))
    assert sorted(np.concatenate(parts).tolist()) == list(range(yes + no))
    for label in (0.0, 1.0):
        counts = [int((y[part] == label).sum()) for part in parts]
        assert max(counts) - min(counts) <= 1


def test_the_area_is_the_mean_over_repeats_of_the_pooled_area() -> None:
    """Against scikit-learn's area of each repeat; a perfect score has 1 and no interval."""
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(3)
    y = (rng.random(200) < 0.3).astype(float)
    scores = rng.normal(size=(3, 200)) + y
    fit = CrossFit({"a": scores, "b": np.tile(y, (3, 1))}, y, np.zeros((3, 200), np.int64))
    assert fit.area("a") == pytest.approx(np.mean([roc_auc_score(y, s) for s in scores]))
    figures = area_figures(fit, ("b", "a"), resamples=100)
    assert figures["b"] == {"auc": 1.0, "ci": [1.0, 1.0]}
    assert figures["a"]["gain"] == pytest.approx(1 - fit.area("a"))


def test_every_row_is_scored_by_a_model_that_did_not_see_it() -> None:
    """A learner that remembers its rows finds none of them among those asked."""
    x = np.arange(60.0)[:, None]
    y = (np.arange(60) % 3 == 0).astype(float)

    def remembers(known: np.ndarray, _: np.ndarray, asked: np.ndarray) -> np.ndarray:
        return np.isin(asked[:, 0], known[:, 0]).astype(float)

    assert not cross_fit(x, y, {"it": remembers}, folds=5, repeats=2).scores["it"].any()
