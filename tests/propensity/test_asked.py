"""One request's chances are the batch's, bit for bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from tests.propensity.conftest import World

from jinqiao import propensity, shelf
from jinqiao.domain.shelf import Context, Versions
from jinqiao.domain.time import from_us
from jinqiao.engines.allocation import PriceTables
from jinqiao.propensity.columns import CLASSES, PRODUCT_COLUMNS, ContextColumns, pair_columns
from jinqiao.propensity.pairs import family_of, fill_pairs, pair_places
from jinqiao.shelf.rank import _many

NOON_US = 1_754_020_800_000_000


def moments(rng: np.random.Generator, count: int) -> ContextColumns:
    """Return moments of many hours and days, with places nobody has heard of among them."""
    return ContextColumns(
        NOON_US + rng.integers(0, 400 * 86_400_000_000, count),
        pa.array(rng.choice(["app", "web", "partner", "fax"], count)),
        pa.array(rng.choice(["home", "ledger", "embed", "moon"], count)),
        pa.array(rng.choice(["own", "bought"], count)),
        rng.choice([1, 2, 5, np.nan], count).astype(np.float32),
    )


def cases(chain: propensity.ChainModel) -> list[propensity.ChainModel]:
    """Return the model, one of lines alone, and one of trees alone."""
    lines = tuple(replace(stage, trees=None, shares=(1.0, 0.0)) for stage in chain.stages)
    trees = tuple(replace(stage, linear=None, shares=(0.0, 1.0)) for stage in chain.stages)
    return [chain, replace(chain, stages=lines), replace(chain, stages=trees)]  # type: ignore[arg-type]


@pytest.mark.parametrize("case", range(3))
def test_one_request_scores_as_a_batch_does(
    world: World, chain: propensity.ChainModel, case: int
) -> None:
    """At the top for any candidates, and at any positions: the same float32 to the last bit."""
    scorer = propensity.Scorer(cases(chain)[case], world.profiles, world.products)
    rng = np.random.default_rng(case)
    n, p = world.profiles.num_rows, world.products.num_rows
    at = moments(rng, 60)
    for i in range(len(at)):
        one = ContextColumns(at.at_us[i : i + 1], at.channel[i : i + 1], at.scene[i : i + 1],
                             at.source[i : i + 1], at.city_tier[i : i + 1])  # fmt: skip
        customer = int(rng.integers(n))
        asked = scorer.ask(customer, one)
        goods = rng.permutation(p)[: rng.integers(1, p + 1)].astype(np.int32)
        rows = np.full(len(goods), customer, np.int32)
        assert (asked.chances(goods) == scorer(rows, goods, one)).all()
        place = rng.integers(1, 7, len(goods)).astype(np.int8)
        many = ContextColumns(
            np.repeat(one.at_us, len(goods)), one.channel.take(pa.array(np.zeros(len(goods), int))),
            one.scene.take(pa.array(np.zeros(len(goods), int))),
            one.source.take(pa.array(np.zeros(len(goods), int))),
            np.repeat(one.city_tier, len(goods)),
        )  # fmt: skip
        assert (asked.chances(goods, place) == scorer(rows, goods, many, position=place)).all()


def test_the_compiled_pair_columns_are_the_trained_ones() -> None:
    """On any numbers and gaps the loop gives what training sees, to the last bit."""
    rng = np.random.default_rng(3)
    n, p, k, m = 300, 60, 20, 20_000
    needs = (rng.normal(size=(n, 11)) * 10.0 ** rng.integers(-2, 9, (n, 11))).astype(np.float32)
    needs[:, 9] = rng.integers(1, 32, n)
    goods = (rng.normal(size=(p, len(PRODUCT_COLUMNS))) * 1e5).astype(np.float32)
    needs[rng.random(needs.shape) < 0.2] = np.nan
    goods[rng.random(goods.shape) < 0.1] = np.nan
    classes = rng.integers(0, len(CLASSES), p)
    day, tier = rng.integers(1, 32, k).astype(np.float32), rng.integers(1, 6, k).astype(np.float32)
    tier[::3] = np.nan
    ci, pi, ki = (rng.integers(0, size, m).astype(np.int32) for size in (n, p, k))
    out = np.empty((m, 8), np.float32)
    fill_pairs(needs, ci, goods, family_of(classes), pi, day, tier, ki, pair_places(), out)
    wanted = pair_columns(needs[ci], (goods[pi], classes[pi]), (day[ki], tier[ki]))
    assert (out.view(np.uint32) == wanted.view(np.uint32)).all()


def test_a_shelf_by_a_trained_model_is_the_same_by_either_path(
    world: World, chain: propensity.ChainModel
) -> None:
    """A learnt model's shelves: offers, chances where they stand, values, prices, probabilities."""
    n, p = world.profiles.num_rows, world.products.num_rows
    rng = np.random.default_rng(9)
    made = shelf.Serving.of(
        allowed=rng.random((n, p)) < 0.6, profiles=world.profiles, products=world.products,
        open_to_all=np.ones(p, np.bool_), popularity=np.ones(p),
        base_chances=np.full((p, 4), 0.1, np.float32),
        prices=PriceTables(
            rng.integers(0, 3, n).astype(np.int32), *(rng.gamma(1.0, 20.0, (3, p)),) * 3
        ),
        worths=shelf.Worths.published(),
        schedules=shelf.Schedules.of(world.products),
        settings=shelf.Settings(exploration_share=0.3, institution_most=0),
        versions=Versions("s", "m", "p", "c", None), feature_as_of_us=NOON_US,
        chances=propensity.Scorer(chain, world.profiles, world.products),
    )  # fmt: skip
    for i in range(60):
        at = from_us(NOON_US + int(rng.integers(0, 90 * 86_400_000_000)))
        context = Context(at, f"s{i}", "app", "home", "own", 0, [None, 1, 4][i % 3])
        one = shelf.Requests.one(
            context, customer=int(rng.integers(n)), customer_id="c", consent_version="v"
        )
        short, many = shelf.rank(made, one), _many(made, one, None, None, "plan")
        assert short.rows().equals(many.rows())
        assert (short.top.chances == many.top.chances).all()
