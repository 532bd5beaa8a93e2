"""Data by their digest, a challenger beside the champion, work that waits, days that drift."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jinqiao import propensity
from jinqiao.domain.time import DAY_US
from jinqiao.errors import SchemaError
from jinqiao.propensity.contest import serving_chances
from jinqiao.propensity.fingerprint import data_sha256, rows_sha256
from jinqiao.propensity.measure import compare

World = Any
Rows = propensity.TrainingSet


def shuffled(rows: Rows, order: np.ndarray) -> Rows:
    """Return the same training set with its rows in another order."""
    back = np.argsort(order)
    context = propensity.ContextColumns(
        rows.context.at_us[order], *(c.take(pa.array(order)) for c in (
            rows.context.channel, rows.context.scene, rows.context.source)),
        rows.context.city_tier[order],
    )  # fmt: skip
    stages = tuple(replace(stage, rows=back[stage.rows]) for stage in rows.stages)
    return replace(
        rows, snapshot=rows.snapshot[order], customer=rows.customer[order],
        product=rows.product[order], shown_us=rows.shown_us[order], context=context,
        position=rows.position[order], stages=stages,
    )  # fmt: skip


@given(st.integers(0, 2**32 - 1))
@settings(
    deadline=None, max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_digest_is_of_the_rows_in_any_order(rows: Rows, seed: int) -> None:
    """Other order, same digest of the data; what is kept of unfinished work goes by the order."""
    other = shuffled(rows, np.random.default_rng(seed).permutation(len(rows)))
    assert data_sha256(other) == data_sha256(rows)
    assert rows_sha256(other) != rows_sha256(rows)


@pytest.mark.parametrize("part", ["label", "profile", "product", "position", "moment"])
def test_any_other_row_is_another_digest(rows: Rows, part: str) -> None:
    """One label, profile, product, position or moment changed: another digest."""
    if part == "label":
        delays = rows.stages[2].delays
        label = delays.label.copy()
        label[5] = 1.0 - np.nan_to_num(label[5])
        stage = replace(rows.stages[2], delays=replace(delays, label=label))
        other = replace(rows, stages=(*rows.stages[:2], stage, rows.stages[3]))
    elif part == "profile":
        matrix = rows.profiles[0].matrix.copy()
        matrix[rows.customer[0], 0] += 1
        other = replace(rows, profiles=(replace(rows.profiles[0], matrix=matrix),))
    else:
        name = {"product": "product", "position": "position", "moment": "shown_us"}[part]
        values = getattr(rows, name).copy()
        values[7] = (values[7] + 1) % 18 if part == "product" else values[7] + 1
        other = replace(rows, **{name: values})
    assert data_sha256(other) != data_sha256(rows)


# -- a challenger beside the champion ---------------------------------------------------------


@pytest.fixture(scope="module")
def earlier(world: World) -> tuple[propensity.ChainModel, int]:
    """Return a champion of two thirds of the time, and the instant it was trained as of."""
    first = int(world.training().shown_us.min())
    at = first + (world.end_us - first) * 2 // 3
    few = propensity.ChainSpec(click_rows=6_000)
    return propensity.train(world.training(at), seed=3, spec=few), at


def test_a_refit_is_not_found_worse(
    rows: Rows, chain: propensity.ChainModel, earlier: tuple[propensity.ChainModel, int]
) -> None:
    """The same learner on more rows is alike or better, and what is compared is told by stage."""
    found = propensity.contest(earlier[0], chain, rows, champion_as_of_us=earlier[1], seed=1)
    assert [one.stage for one in found] == [stage.stage for stage in chain.stages]
    assert "worse" not in {one.verdict for one in found}
    judged = [one for one in found if one.verdict != "too_few"]
    assert judged
    for one in judged:
        assert one.lower <= one.difference <= one.upper
        assert one.difference == pytest.approx(one.challenger - one.champion)
        assert one.margin == pytest.approx(propensity.MARGIN * one.champion)


def test_rows_that_either_knew_are_not_judged(
    rows: Rows, chain: propensity.ChainModel, earlier: tuple[propensity.ChainModel, int]
) -> None:
    """Every judged row is of the latest 15 % of its stage and shown after the champion's day."""
    click = chain.stages[0].judged
    assert click is not None
    cut = np.quantile(rows.shown_us[rows.stages[0].rows], 0.85)
    assert (rows.shown_us[click.rows] >= cut - 1).all()
    late = rows.shown_us[click.rows] > cut + DAY_US
    one = propensity.contest(
        earlier[0], chain, rows, champion_as_of_us=int(cut + DAY_US), seed=1
    )[0]  # fmt: skip
    assert one.rows == late.sum()
    none = propensity.contest(earlier[0], chain, rows, champion_as_of_us=world_end(rows), seed=1)
    assert {part.verdict for part in none} == {"too_few"}


def world_end(rows: Rows) -> int:
    return int(rows.shown_us.max())


def test_what_was_judged_is_what_the_card_says(chain: propensity.ChainModel) -> None:
    """The log-loss of the judged rows is the card's figure of the served kind."""
    for stage in chain.stages:
        if stage.judged is None:
            continue
        one = stage.judged
        found = compare({"served": one.p}, one.y, one.w, seed=7)["served"]
        card = chain.card["stages"][stage.stage]["metrics"][stage.card["chosen"]]
        assert found["log_loss"] == pytest.approx(card["log_loss"])
        assert card["ece_floor"] <= card["ece_floor_most"]


def test_one_that_learnt_nonsense_is_worse(
    rows: Rows, chain: propensity.ChainModel, earlier: tuple[propensity.ChainModel, int]
) -> None:
    """A challenger whose clicks are told at random is worse at clicks, and nowhere else."""
    click = chain.stages[0]
    assert click.judged is not None
    noise = np.random.default_rng(1).permutation(click.judged.p)
    bad = replace(click, judged=replace(click.judged, p=np.clip(noise * 3, 0.01, 0.9)))
    wrong = replace(chain, stages=(bad, *chain.stages[1:]))
    found = propensity.contest(earlier[0], wrong, rows, champion_as_of_us=earlier[1], seed=1)
    assert found[0].verdict == "worse"
    assert found[0].lower > found[0].margin
    assert "worse" not in {one.verdict for one in found[1:]}


def test_a_broken_model_is_found_out(rows: Rows, chain: propensity.ChainModel) -> None:
    """A slope that is no number gives chances that are none, and the stage is named."""
    assert propensity.faults_of(chain, rows, seed=1) == ()
    broken = replace(chain.stages[2], slope=float("nan"))
    wrong = replace(chain, stages=(*chain.stages[:2], broken, chain.stages[3]))
    assert propensity.faults_of(wrong, rows, seed=1) == (
        "approval: a chance is not between 0 and 1",
    )


def test_the_champion_says_what_it_serves(
    world: World, rows: Rows, chain: propensity.ChainModel
) -> None:
    """Rows of a training set are told the chances its scorer gives the same pairs."""
    at = np.arange(0, len(rows), 97)
    scorer = chain.scorer(world.profiles, world.products)
    c = rows.context
    take = pa.array(at)
    context = propensity.ContextColumns(
        c.at_us[at], c.channel.take(take), c.scene.take(take), c.source.take(take), c.city_tier[at]
    )
    pairs = (rows.customer[at].astype(np.int32), rows.product[at].astype(np.int32))
    served = scorer.score(*pairs, context, None, rows.position[at])
    for place in range(4):
        assert np.allclose(serving_chances(chain, rows, at, place), served[:, place], rtol=2e-5)


# -- work that waits --------------------------------------------------------------------------


def test_a_finished_stage_is_found_bit_for_bit(
    rows: Rows, chain: propensity.ChainModel, tmp_path: Path
) -> None:
    """Kept stages make the very chain, none is trained again; a damaged one is as good as none."""
    heard: list[tuple[str, bool]] = []
    work = propensity.UnfinishedStages(
        tmp_path / "w", rows.layout.names, lambda stage, again: heard.append((stage, again))
    )
    for stage in chain.stages[:3]:
        work.keep(stage)
    heard.clear()
    again = propensity.train(rows, seed=7, kept=work)
    assert sorted(heard) == [
        ("activation", False), ("application", True), ("approval", True), ("click", True)
    ]  # fmt: skip
    one, two = (propensity.save(m, tmp_path / n) for m, n in ((chain, "one"), (again, "two")))
    for path in one.iterdir():
        assert (two / path.name).read_bytes() == path.read_bytes(), path.name
    mine, theirs = chain.stages[0].judged, again.stages[0].judged
    assert mine is not None
    assert theirs is not None
    assert (mine.p == theirs.p).all()
    (tmp_path / "w/click/judged.npz").write_bytes(b"")
    assert work.find("click") is None
    assert work.find("none") is None


def test_unfinished_work_goes_by_everything_it_depends_on(world: World, rows: Rows) -> None:
    """Another seed, setting or instant is other work."""
    spec = propensity.ChainSpec()
    keys = {
        propensity.work_key(rows, spec, 1), propensity.work_key(rows, spec, 2),
        propensity.work_key(rows, propensity.ChainSpec(click_rows=9), 1),
        propensity.work_key(world.training(world.end_us - DAY_US), spec, 1),
    }  # fmt: skip
    assert len(keys) == 4
    assert propensity.work_key(world.training(), spec, 1) in keys


# -- days that drift --------------------------------------------------------------------------


def test_a_day_like_the_training_is_stable_and_another_is_not(
    world: World, rows: Rows, chain: propensity.ChainModel, tmp_path: Path
) -> None:
    """The training's own people and chances are stable; richer people are a shift of income."""
    propensity.write_reference(propensity.reference_of(chain, rows, seed=1), tmp_path)
    kept = propensity.read_reference(tmp_path)
    seen = world.profiles.take(pa.array(np.unique(rows.customer)))
    same = kept.feature_shifts([seen])
    assert set(same) == {name for name, _ in rows.layout.features}
    assert {one.verdict for one in same.values()} == {"stable"}
    at = seen.column_names.index("monthly_income_minor")
    rich = pa.array(seen["monthly_income_minor"].to_numpy() * 2.5)
    other = kept.feature_shifts([seen.set_column(at, "monthly_income_minor", rich)])
    assert other["monthly_income_minor"].verdict == "major"
    assert {name for name, one in other.items() if one.verdict != "stable"} == {
        "monthly_income_minor"
    }
    p = np.stack([serving_chances(chain, rows, np.arange(2_000), k) for k in range(4)], axis=1)
    assert {one.verdict for one in kept.score_shifts(p, 500).values()} == {"stable"}
    assert kept.score_shifts(np.sqrt(p), 500)["click"].verdict == "major"
    assert kept.feature_shifts([]) == {}
    (tmp_path / "reference.json").write_text("{}")
    with pytest.raises(SchemaError):
        propensity.read_reference(tmp_path)
