"""Another policy's chances are those of the shelf's own code, and rewards follow what became."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from jinqiao import shelf
from jinqiao.errors import InputError
from jinqiao.flow.evaluate import requests_of
from jinqiao.flow.policies import Question
from jinqiao.flow.rewards import rewards_of
from jinqiao.flow.targets import TARGETS, Asked, chances
from jinqiao.shelf import Requests, Serving
from playing import World, make_world


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(200, seed=3, log_days=0)


@pytest.fixture(scope="module")
def visits(world: World) -> Requests:
    """A day's visits, every third of which allows no profile to be read."""
    inputs = world.inputs(first_day=28)
    agreed = np.arange(world.market.size) % 3 > 0
    return requests_of(replace(inputs, consent=agreed), world.market.sessions(28), 28)


def _varied(world: World, share: float) -> Serving:
    rng = np.random.default_rng(0)
    p = world.serving.n_products
    base = np.tile(rng.uniform(0.02, 0.2, (p, 1)), (1, 4)).astype(np.float32)
    settings = replace(world.serving.settings, exploration_share=share)
    return replace(
        world.serving, base_chances=base, popularity=rng.random(p) + 0.1, settings=settings
    )


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_the_plans_chance_is_what_the_shelf_logs(
    world: World, visits: Requests, share: float
) -> None:
    """Whatever the shelf shows under any seed, its logged chance is the target's chance of it."""
    serving = _varied(world, share)
    told = chances(Asked("plan", serving), visits)
    for seed in range(3):
        drawn = replace(serving, settings=replace(serving.settings, seed=seed))
        shown = shelf.rank(drawn, visits)
        place = shown.placed.position.astype(np.int64) - 1
        mine = told[shown.placed.request, place, shown.product]
        np.testing.assert_allclose(mine, shown.placed.display_probability, rtol=1e-6)


def test_the_random_shelf_is_its_own_target(world: World, visits: Requests) -> None:
    """Evenly drawn shelves have the logged chance 1/n in every place."""
    shown = shelf.rank(world.serving, visits, policy="random")
    told = chances(Asked("random_eligible", world.serving), visits)
    place = shown.placed.position.astype(np.int64) - 1
    mine = told[shown.placed.request, place, shown.product]
    np.testing.assert_allclose(mine, shown.placed.display_probability, rtol=1e-6)


@pytest.mark.parametrize("name", TARGETS)
def test_a_place_is_filled_once(world: World, visits: Requests, name: str) -> None:
    """Chances of a place add up to 1, or to 0 where it stays empty; a product stands once."""
    told = chances(Asked(name, _varied(world, 0.0)), visits)
    places = told.sum(axis=2)
    assert ((abs(places - 1) < 1e-4) | (places == 0)).all()
    assert (told.sum(axis=1) <= 1 + 1e-4).all()


def test_what_is_stopped_is_not_shown(world: World, visits: Requests) -> None:
    """No target gives a chance to a product that may not be shown at all."""
    stopped = np.zeros(world.serving.n_products, bool)
    stopped[::2] = True
    for name in TARGETS:
        told = chances(Asked(name, _varied(world, 0.1)), visits, stopped=stopped)
        assert not told[:, :, stopped].any(), name


def test_a_snapshot_is_aligned_by_product(world: World) -> None:
    """A policy keeps each product's numbers when the products of then lie in another order."""
    own = _varied(world, 0.0)
    order = np.random.default_rng(1).permutation(own.n_products)[:-2]
    then = Serving.of(
        allowed=own.may_see(np.arange(world.market.size))[:, order],
        profiles=own.profiles, products=own.products.take(pa.array(order)),
        open_to_all=own.open_to_all[order], popularity=np.zeros(len(order)),
        base_chances=np.zeros((len(order), 4), np.float32),
        prices=replace(own.prices, **{
            name: getattr(own.prices, name)[:, order] for name in ("count", "cost", "approval")
        }),
        worths=own.worths, schedules=shelf.Schedules.of(own.products.take(pa.array(order))),
        settings=own.settings, versions=own.versions, feature_as_of_us=0, chances=None,
    )  # fmt: skip
    made, gone = Asked("popularity", own).as_of(then)
    assert not gone.any()
    np.testing.assert_array_equal(made.serving.base_chances, own.base_chances[order])
    np.testing.assert_array_equal(made.serving.popularity, own.popularity[order])
    back, missing = Asked("popularity", then).as_of(own)
    assert missing.sum() == 2
    assert back.serving.n_products == own.n_products


def test_value_counts_what_became_of_an_offer(world: World) -> None:
    """Activation brings worth, a refusal harm, a payout its counting share; unknown: the mean."""
    serving = world.serving
    first = serving.product_ids[0]
    rows = pa.table({"product_id": [first] * 3})
    known = np.array([
        [1, 1, 1, 1, 9_000, 0.5], [1, 1, 0, 0, 9_000, 0.5], [1, 1, 1, 1, np.nan, np.nan],
    ])  # fmt: skip
    found = rewards_of(serving, rows, known, "value")
    payout = 0.5 * serving.payout_minor[0]
    paid_at_application = serving.paid_stage[0] == 1
    harm = serving.settings.refusal_harm_minor
    assert found.tolist() == [
        9_000 + payout, (payout if paid_at_application else 0) - harm, 9_000 + payout
    ]  # fmt: skip
    assert rewards_of(serving, rows, known, "approvals").tolist() == [1, 0, 1]


def test_what_cannot_be_asked_is_refused() -> None:
    """An unknown reward or policy names what there is."""
    with pytest.raises(InputError, match="approvals"):
        Question("plan", reward="fame")
    with pytest.raises(InputError, match="days"):
        Question("plan", days=0)
    with pytest.raises(InputError, match="chain_greedy"):
        Asked("greed", None)  # type: ignore[arg-type]
