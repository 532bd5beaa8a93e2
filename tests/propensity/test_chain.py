"""The chain: learnt, scored, saved, explained."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jinqiao import propensity
from jinqiao.domain.consent import Purpose
from jinqiao.domain.messages import LANGUAGES, sentence
from jinqiao.domain.stage import Stage
from jinqiao.errors import ConsentError, InputError, NotFound, SchemaError
from jinqiao.propensity import ContextColumns
from jinqiao.propensity.columns import LABELS
from jinqiao.propensity.reasons import NAMES

World = Any
PAIRS = 300


def pairs(world: World) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    return rng.integers(0, world.profiles.num_rows, PAIRS), rng.integers(0, 18, PAIRS)


@pytest.fixture(scope="module")
def hard(world: World, rows: propensity.TrainingSet) -> propensity.ChainModel:
    """Return a chain whose four stages are a blend, linear, trees and chosen."""
    kinds = ("blend", "linear", "trees", "best")
    spec = propensity.ChainSpec()
    stages = {
        stage: replace(one, choice=kind)
        for (stage, one), kind in zip(spec.stages.items(), kinds, strict=True)
    }
    return propensity.train(rows, seed=7, spec=propensity.ChainSpec(stages=stages))


def test_chances_follow_the_truth(world: World, chain: propensity.ChainModel) -> None:
    """Click and approval chances rank pairs as the truth does, and are of its size."""
    moment = ContextColumns.single(world.end_us)
    found = chain.predict(world.profiles, world.products, world.customer, world.product, moment)
    top = np.tile(np.arange(4), len(found) // 4) == 0
    for place, least in ((0, 0.75), (2, 0.5)):
        told, true = found[top, place], world.truth[top, place]
        assert np.corrcoef(told, true)[0, 1] > least
        assert told.mean() == pytest.approx(true.mean(), rel=0.25)
    assert ((found > 0) & (found < 1)).all()


def test_pairs_are_scored_as_their_columns_are(
    world: World, hard: propensity.ChainModel, noon: ContextColumns
) -> None:
    """The pair form says what each stage's own prediction says of the pair's columns."""
    who, what = pairs(world)
    told = hard.predict(world.profiles, world.products, who, what, noon, position=2)
    for i in range(40):
        x = hard.row(world.profiles, world.products, (int(who[i]), int(what[i])), noon, position=2)
        levels = hard.levels(world.products, int(what[i]))
        single = [stage.predict(x, levels)[0] for stage in hard.stages]
        assert np.allclose(told[i], single, rtol=2e-5)


def test_one_pair_alone_is_scored_as_among_many(world: World, chain: propensity.ChainModel) -> None:
    """A scorer gives each pair, with its own moment and position, the number it gets alone."""
    who, what = pairs(world)
    at = world.end_us + np.arange(5) * 5 * 3_600_000_000
    texts = [pa.array(v * 5) for v in (["app"], ["home"], ["own"])]
    context = ContextColumns(at, *texts, np.full(5, 2, np.float32))
    moment, position = np.arange(PAIRS) % 5, np.array([1, 2, 3, 4, 1])
    scorer = chain.scorer(world.profiles, world.products)
    together = scorer(who, what, context, moment, position)
    for i in range(30):
        k = moment[i]
        one = ContextColumns(at[[k]], *(t.slice(k, 1) for t in texts), np.full(1, 2, np.float32))
        alone = scorer(who[[i]], what[[i]], one, None, int(position[k]))
        assert np.allclose(alone[0], together[i], rtol=1e-5)


def test_a_lower_position_lowers_the_click(world: World, chain: propensity.ChainModel) -> None:
    """The position reaches the click model: fourth is clicked less than first."""
    who, what = pairs(world)
    moment = ContextColumns.single(world.end_us)
    first, fourth = (
        chain.predict(world.profiles, world.products, who, what, moment, position=p)[:, 0]
        for p in (1, 4)
    )
    assert fourth.mean() < 0.7 * first.mean()


def test_the_same_seed_gives_the_same_chain(
    world: World, rows: propensity.TrainingSet, chain: propensity.ChainModel, noon: ContextColumns
) -> None:
    """Trained twice, every chance and the version are the same; another seed is another version."""
    again = propensity.train(rows, seed=7)
    who, what = pairs(world)
    one, two = (m.predict(world.profiles, world.products, who, what, noon) for m in (chain, again))
    assert (one == two).all()
    assert again.version == chain.version
    assert json.dumps(again.card, sort_keys=True) == json.dumps(chain.card, sort_keys=True)
    few = propensity.ChainSpec(click_rows=4_000)
    assert propensity.train(rows, seed=8, spec=few).version != chain.version


def test_saved_and_loaded_it_says_the_same_bit_for_bit(
    world: World, hard: propensity.ChainModel, noon: ContextColumns, tmp_path: Path
) -> None:
    """A round trip through the files changes no bit of any chance."""
    again = propensity.load(propensity.save(hard, tmp_path / "model"))
    who, what = pairs(world)
    one, two = (m.predict(world.profiles, world.products, who, what, noon) for m in (hard, again))
    assert (one == two).all()
    assert again.card == json.loads(json.dumps(hard.card))


def test_a_purpose_may_not_use_what_it_was_not_given(
    world: World, chain: propensity.ChainModel, tmp_path: Path
) -> None:
    """Training or loading for a purpose that a feature does not serve is refused by name."""
    narrow = type(world).training.__globals__["dictionary"](frozenset({Purpose.CONTACT}))
    with pytest.raises(ConsentError, match="age"):
        propensity.training_set(
            world.lake(), {0: world.profiles}, world.products, narrow, as_of_us=world.end_us
        )
    saved = propensity.save(chain, tmp_path)
    with pytest.raises(ConsentError, match="age"):
        propensity.load(saved, purpose=Purpose.CREDIT_DECISION)
    with pytest.raises(ConsentError, match="age"):
        propensity.load(saved, dictionary=narrow)


def test_damaged_files_are_refused(chain: propensity.ChainModel, tmp_path: Path) -> None:
    """No chain, an unknown format and a broken file are told apart."""
    with pytest.raises(NotFound):
        propensity.load(tmp_path / "nothing")
    saved = propensity.save(chain, tmp_path)
    settings = json.loads((saved / "chain.json").read_text())
    for wrong in (settings | {"format": 9}, {"format": 1}, settings | {"stages": [{}]}):
        (saved / "chain.json").write_text(json.dumps(wrong))
        with pytest.raises(SchemaError):
            propensity.load(saved)
    (saved / "chain.json").write_text("{")
    with pytest.raises(SchemaError):
        propensity.load(saved)


def test_indices_and_features_are_checked(
    world: World, chain: propensity.ChainModel, noon: ContextColumns
) -> None:
    """A row out of range, lengths that differ and a missing feature are errors that name it."""
    one = np.zeros(1, np.int32)
    with pytest.raises(InputError, match="customer_index"):
        chain.predict(world.profiles, world.products, one + 10**6, one, noon)
    with pytest.raises(InputError, match="product_index"):
        chain.predict(world.profiles, world.products, one, np.zeros(2, np.int32), noon)
    with pytest.raises(SchemaError, match="age"):
        chain.predict(world.profiles.drop_columns(["age"]), world.products, one, one, noon)
    none = np.zeros(0, np.int32)
    assert chain.predict(world.profiles, world.products, none, none, noon).shape == (0, 4)


def test_a_new_product_starts_with_what_is_known_of_its_kind(
    world: World, chain: propensity.ChainModel, noon: ContextColumns
) -> None:
    """An unknown product and institution is scored, with the observed rates of its class."""
    goods = world.products.slice(0, 1)
    for name in ("product_id", "institution_id"):
        at = goods.column_names.index(name)
        goods = goods.set_column(at, name, pa.array(["never seen"]))
    assert (chain.product_rates(goods)[0] == chain.class_rates[1]).all()
    found = chain.predict(world.profiles, goods, np.arange(9), np.zeros(9, int), noon)
    assert ((found > 0) & (found < 1)).all()


def test_contributions_add_up_to_the_logit(
    world: World, hard: propensity.ChainModel, noon: ContextColumns
) -> None:
    """For linear, trees and a blend, the columns' parts and the base sum to the logit."""
    for c, p in ((0, 3), (5, 9), (11, 17)):
        x = hard.row(world.profiles, world.products, (c, p), noon)
        levels = hard.levels(world.products, p)
        for stage in hard.stages:
            chance = stage.predict(x, levels)
            parts = propensity.contributions(stage, x, levels)
            assert parts.sum(axis=1) == pytest.approx(np.log(chance / (1 - chance)), rel=1e-6)


def test_reasons_are_told_in_both_languages(
    world: World, hard: propensity.ChainModel, noon: ContextColumns, rows: propensity.TrainingSet
) -> None:
    """The strongest parts become sentences that name a feature, never a column."""
    found = [
        reason
        for pair in ((0, 0), (1, 1), (2, 13))
        for reason in propensity.reasons(
            hard, world.profiles, world.products, pair, noon, rows.dictionary,
            stages=tuple(Stage(s.stage) for s in hard.stages), most=3,
        )
    ]  # fmt: skip
    assert {reason.code for reason in found} == {"propensity_up", "propensity_down"}
    for reason in found:
        assert reason.numbers["odds"] >= 1  # type: ignore[operator]
        for language in LANGUAGES:
            text = sentence(reason, language)
            assert "{" not in text
            assert "_" not in text


def test_changing_the_reason_moves_the_chance(
    world: World, hard: propensity.ChainModel, noon: ContextColumns
) -> None:
    """Where income is said to lower approval, more income raises it."""
    names = hard.layout.names
    income = names.index("monthly_income_minor")
    stage = hard.stages[2]
    lowered = 0
    for c in range(60):
        x = hard.row(world.profiles, world.products, (c, 1), noon)
        levels = hard.levels(world.products, 1)
        if propensity.contributions(stage, x, levels)[0, income] < -0.1:
            richer = x.copy()
            richer[0, income] = np.nanquantile(
                world.profiles["monthly_income_minor"].to_numpy(), 0.95
            )
            assert stage.predict(richer, levels)[0] > stage.predict(x, levels)[0]
            lowered += 1
    assert lowered >= 3


def test_reasons_are_faithful_on_random_customers(
    world: World, hard: propensity.ChainModel, rows: propensity.TrainingSet
) -> None:
    """Of 240 customers, put what a reason names to what others have: the chance moves as told."""
    rng = np.random.default_rng(11)
    names = {f.en: f.name for f in rows.dictionary}
    stages = {"a click": 0, "approval": 2}
    told = held = 0
    for customer in rng.choice(world.profiles.num_rows, 240):
        pair = (int(customer), int(rng.integers(18)))
        at = world.end_us + int(rng.integers(86_400_000_000))
        moment = ContextColumns.single(at, scene=str(rng.choice(["home", "checkout"])))
        found = propensity.reasons(
            hard, world.profiles, world.products, pair, moment, rows.dictionary, most=1
        )
        for reason in found:
            name = names.get(reason.numbers["name"]["en"])  # type: ignore[index]
            if name is None:
                continue
            one = world.profiles.slice(pair[0], 1)
            place = one.column_names.index(name)
            some = world.profiles[name].take(pa.array(rng.integers(0, world.profiles.num_rows, 15)))
            many = pa.concat_tables(
                [one.set_column(place, name, some.slice(i, 1)) for i in range(15)]
            )
            what = np.full(15, pair[1], np.int32)
            other = hard.predict(many, world.products, np.arange(15, dtype=np.int32), what, moment)
            own = hard.predict(one, world.products, np.zeros(1, np.int32), what[:1], moment)
            stage = stages[str(reason.numbers["stage"]["en"])]  # type: ignore[index]
            logit = np.log(other[:, stage] / (1 - other[:, stage])).mean()
            more = np.log(own[0, stage] / (1 - own[0, stage])) > logit
            told += 1
            held += more == (reason.code == "propensity_up")
    assert told > 120
    assert held >= 0.97 * told


def test_names_of_reasons_are_a_version() -> None:
    """A plain name or code of a column that changes without a new version is seen."""
    text = json.dumps(sorted(LABELS.items()), ensure_ascii=False)
    assert (NAMES, hashlib.sha256(text.encode()).hexdigest()[:12]) == ("reasons@1", "d74441bb38ec")


def test_the_card_says_how_good_each_stage_is(chain: propensity.ChainModel) -> None:
    """The card is plain JSON and says, a stage, whether it beats a constant and a logistic."""
    card = json.loads(json.dumps(chain.card))
    page = propensity.card_page(card)
    assert card["seed"] == 7
    for stage in chain.stages:
        told = card["stages"][stage.stage]
        assert f"## {stage.stage}" in page
        if told["metrics"]:
            gain = told["metrics"][told["chosen"]]["gain"]
            for name, (found, low, high) in gain.items():
                assert low <= found <= high
                assert told[f"beats_{name}"] == (low > 0)
    assert card["stages"]["click"]["beats_constant"]
    assert "It beats a constant" in page
