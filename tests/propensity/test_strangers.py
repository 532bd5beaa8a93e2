"""Tables of strangers: learnt from as they come, or refused by column with what to do."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from jinqiao.errors import InputError, SchemaError
from jinqiao.propensity import CommitteeSpec, Judging, ScoreModel, fit_score, fit_table
from jinqiao.propensity.committee import fit_committee
from jinqiao.propensity.folds import copies, stratified
from jinqiao.propensity.leaks import leaks_of

N = 300
UNJUDGED = Judging(repeats=0)
LIGHT = CommitteeSpec(small=(4, 20, 0.1, 0.5), large=(6, 20, 0.1, 0.5))


@pytest.fixture(autouse=True)
def _no_warning() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def table(n: int = N, seed: int = 0) -> dict[str, object]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    y = (rng.random(n) < 1 / (1 + np.exp(-1.5 * x))).astype(int)
    return {"x": x, "z": rng.normal(size=n), "late": y}


def fitted(given: object, target: str = "late", **more: object) -> ScoreModel:
    more = {"judging": UNJUDGED, "spec": LIGHT, "seed": 1, **more}
    return fit_score(given, target, **more)  # type: ignore[arg-type]


def test_what_says_nothing_is_left_out_and_it_is_said_why() -> None:
    """Ids, instants, texts of them, constants, empty and odd columns; the rest is learnt from."""
    rng = np.random.default_rng(1)
    days = [date(2020, 1, 1) + timedelta(days=i) for i in range(N)]
    more = {
        "row": np.arange(N), "LoanNr": rng.permutation(10**6)[:N],
        "who": [f"u{i}" for i in range(N)],
        "day": days, "written": [str(d) for d in days], "one": ["same"] * N, "empty": [None] * N,
        "list": [[1]] * N, "job": rng.choice(["a", "b", None], N),
        "money": [f"¥{v:,.2f}" for v in rng.lognormal(9, 1, N)],
    }  # fmt: skip
    model = fitted({**more, **table()})
    left = model.card["left_out"]
    assert list(left) == ["row", "LoanNr", "who", "day", "written", "one", "empty", "list"]
    assert [left[n].split(":")[0] for n in ("row", "LoanNr")] == ["an id"] * 2
    assert left["day"] == left["written"]
    assert model.card["columns"] == ["job=a", "job=b", "money", "x", "z"]


def test_a_column_known_after_the_outcome_is_warned_of() -> None:
    """Loss after default, a date of it, and the outcome in other words are named; nothing else."""
    given = table(600)
    late = np.asarray(given["late"])
    loss = np.where(late == 1, 1.0 + np.arange(600), 0.0)
    closed = [date(2020, 1, 1) if one else None for one in late]
    whole = pa.table({**given, "loss": loss, "closed": closed, "status": np.where(late, "w", "p")})
    found = leaks_of(whole, [n for n in whole.column_names if n != "late"], late.astype(float))
    assert set(found) == {"loss", "closed", "status"}
    with pytest.warns(UserWarning, match=r"loss: .*known only after.*leave_out=\('loss',\)"):
        model = fitted({**given, "loss": loss})
    assert len(model.card["warnings"]) == 1
    assert fitted({**given, "loss": loss}, leave_out=("loss",)).card["warnings"] == []


def test_copies_are_judged_together() -> None:
    """A table pasted five times is no better known: its area is that of the rows once."""
    noise = np.random.default_rng(3).random(120) < 0.4
    once = {"x": np.random.default_rng(2).normal(size=120), "late": noise.astype(int)}
    five = {name: np.tile(values, 5) for name, values in once.items()}
    judging = Judging(folds=4, repeats=2)
    with pytest.warns(UserWarning, match="480 of 600 rows are copies"):
        card = fitted(five, judging=judging).card
    assert abs(card["auc"] - fitted(once, judging=judging).card["auc"]) < 0.12
    assert card["auc"] < 0.65


def test_rows_of_one_customer_are_never_on_both_sides() -> None:
    """Folds keep groups whole, still each with its share; people alike are not copies."""
    rng = np.random.default_rng(4)
    group = np.repeat(np.arange(60), 5)
    y = np.repeat(rng.random(60) < 0.3, 5).astype(float)
    parts = stratified(y, 5, rng, group)
    assert sorted(np.concatenate(parts).tolist()) == list(range(300))
    where = np.empty(300, int)
    for place, part in enumerate(parts):
        where[part] = place
        assert abs(y[part].mean() - y.mean()) < 0.1
    assert all(len(set(where[group == one])) == 1 for one in range(60))
    alike = rng.integers(0, 3, (300, 2)).astype(float)
    assert len(set(copies(alike, y).tolist())) == 300
    card = fitted({**table(), "who": group}, group="who", judging=Judging(folds=3, repeats=1)).card
    assert "who" not in card["columns"]


def test_a_customer_s_own_mark_is_not_taken_for_skill() -> None:
    """Where rows of a customer share outcome and mark, only grouped folds say there is no skill."""
    rng = np.random.default_rng(5)
    mark, late = np.repeat(rng.normal(size=80), 6), np.repeat(rng.random(80) < 0.4, 6).astype(int)
    given = {"mark": mark + rng.normal(0, 1e-3, 480), "who": np.repeat(np.arange(80), 6), "y": late}
    judging, spec = Judging(folds=4, repeats=1), CommitteeSpec(small=(8, 60, 0.1, 1.0))
    free = fitted(given, "y", leave_out=("who",), judging=judging, spec=spec).card["auc"]
    told = fitted(given, "y", group="who", judging=judging, spec=spec).card["auc"]
    assert free > 0.65 > told
    assert free > told + 0.1


def test_few_rows_few_of_a_label_and_few_seen_are_judged_or_refused() -> None:
    """Twelve rows are judged in as many folds as there are labels; nothing to learn is refused."""
    model = fit_score({"x": np.arange(12.0), "y": [0, 1] * 6}, "y", judging=Judging(repeats=1))
    assert 0.0 <= model.card["auc"] <= 1.0
    with pytest.raises(InputError, match="y: no column is left to learn from"):
        fitted({"c": [1] * 20, "y": [0, 1] * 10}, "y")
    with pytest.raises(InputError, match="y: 0 yes in 20 rows"):
        fitted({"x": np.arange(20), "y": [0] * 20}, "y")
    with pytest.raises(SchemaError, match="group: no such column"):
        fitted(table(), group="group")


def test_wild_values_do_no_harm() -> None:
    """Infinite and huge values, and a column times 10³⁰⁰, leave a score that still ranks."""
    given = table(600)
    x = np.asarray(given["x"]).copy()
    wild = {**given, "x": np.where(np.arange(600) % 50 == 0, np.inf, x * 1e30)}
    p = fitted(wild).predict(wild)
    assert np.isfinite(p).all()
    late = np.asarray(given["late"])
    assert p[late == 1].mean() > p[late == 0].mean() + 0.2


def test_a_score_is_asked_as_it_was_taught() -> None:
    """A missing column, a text for a number, a row that is not there; unseen words are nothing."""
    given = {**table(), "job": ["a", "b", "c"] * 100}
    model = fitted(given)
    with pytest.raises(SchemaError, match="z: the model needs this column"):
        model.predict({"x": [1.0], "job": ["a"]})
    with pytest.raises(SchemaError, match="row 1: x: 'much' is no number"):
        model.predict({"x": ["1.0", "much"], "z": [0, 0], "job": ["a", "a"]})
    with pytest.raises(SchemaError, match="no row 1"):
        model.reasons({"x": [1.0], "z": [0.0], "job": ["a"]}, 1)
    seen = model.predict({"x": [1.0, 1], "z": [0.0, 0], "job": ["never", None]})
    assert np.isfinite(seen).all()


def test_a_heavy_tail_is_read_by_rank() -> None:
    """Where a logistic on raw values sees nothing, the committee finds what ranks tell."""
    rng = np.random.default_rng(6)
    x = np.exp(4 * rng.standard_t(2, 900))
    y = (rng.random(900) < 1 / (1 + np.exp(-0.5 * np.log(x)))).astype(int)
    card = fit_score({"x": x, "y": y}, "y", judging=Judging(folds=3, repeats=1), spec=LIGHT).card
    assert card["auc"] > card["logistic"]["auc"] + 0.05


def test_that_a_value_is_missing_is_heard() -> None:
    """Where only the gap tells, the score of a row with the gap is the higher one."""
    rng = np.random.default_rng(7)
    gap = rng.random(800) < 0.3
    y = (rng.random(800) < np.where(gap, 0.6, 0.1)).astype(int)
    given = {"x": np.where(gap, np.nan, rng.normal(size=800)), "y": y}
    p = fitted(given, "y").predict({"x": [None, 0.0]})
    assert p[0] > 0.4 > 0.2 > p[1]


def test_weights_go_to_the_member_that_is_worth_more() -> None:
    """Where columns tell only together, trees and kernels count for more than the plain line."""
    rng = np.random.default_rng(8)
    x = rng.normal(size=(900, 2))
    model = fit_committee(x, (x[:, 0] * x[:, 1] > 0).astype(float), names=("a", "b"), spec=LIGHT)
    assert model.weights.sum() == pytest.approx(1.0)
    assert (model.weights >= 0).all()
    assert model.weights[0] < 0.05
    assert model.weights[2:].sum() > 0.8


def test_a_table_in_time_takes_texts_of_days() -> None:
    """The order of rows written as days is that of the instants; a row without one is refused."""
    days = [date(2024, 1, 1) + timedelta(days=i) for i in range(400)]
    given = {**table(400), "asked": [d.strftime("%d.%m.%Y") for d in days]}
    one = fit_table(given, "late", time="asked", seed=1)
    two = fit_table({**given, "asked": days}, "late", time="asked", seed=1)
    np.testing.assert_array_equal(one.predict(given), two.predict(given))
    given["asked"][7] = None
    with pytest.raises(SchemaError, match="row 7: asked: a row without a time"):
        fit_table(given, "late", time="asked")
