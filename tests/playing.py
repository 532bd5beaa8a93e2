"""A generated market played without learning: masks by the true facts, a random log, inputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from jinqiao import catalog
from jinqiao.domain.catalog import Catalog
from jinqiao.domain.shelf import Versions
from jinqiao.domain.time import DAY_US
from jinqiao.engines.allocation import PriceTables
from jinqiao.flow import evaluate
from jinqiao.shelf import Schedules, Serving, Settings, Worths
from jinqiao.synthetic import Life, Market, market
from jinqiao.synthetic.truth import Truth

__all__ = ["World", "every_shelf", "make_world", "random_shelf"]


@dataclass
class World:
    """A market, its truth, its catalog, a serving of true masks, and its life after the log."""

    market: Market
    truth: Truth
    catalog: Catalog
    serving: Serving
    life: Life

    def inputs(self, *, first_day: int = 28, days: int = 7) -> evaluate.Inputs:
        """Return the evaluation's inputs: everyone known, everyone agreeing."""
        n = self.market.size
        return evaluate.Inputs(
            self.market, self.life, self.catalog, self.serving,
            np.arange(n, dtype=np.int32), np.ones(n, bool), first_day=first_day, days=days,
        )  # fmt: skip


def make_world(size: int, *, seed: int, spec: str = "standard", log_days: int = 28) -> World:
    """Return a market after ``log_days`` of random shelves."""
    made = market(size, seed, spec=spec)
    truth = Truth(made)
    found = Catalog(made.institutions)
    at = made.start_us + 28 * DAY_US
    products = catalog.product_table(found, at)
    p, free = products.num_rows, np.zeros((1, products.num_rows))
    serving = Serving.of(
        allowed=truth.eligible,
        profiles=pa.table({"customer_id": [f"c{i}" for i in range(size)]}),
        products=products,
        open_to_all=np.array([not one.eligibility for one in found.products()]),
        popularity=np.ones(p),
        base_chances=np.tile(np.array([0.05, 0.2, 0.4, 0.7], np.float32), (p, 1)),
        prices=PriceTables(np.zeros(size, np.int32), free, free.copy(), free.copy()),
        worths=Worths.published(),
        schedules=Schedules.of(products),
        settings=Settings(),
        versions=Versions("s", "m", "p", "c", None),
        feature_as_of_us=0,
        chances=None,
    )
    world = World(made, truth, found, serving, made.life())
    for day in range(log_days):
        world.life.respond(random_shelf(world, day))
    return world


def random_shelf(world: World, day: int) -> pa.Table:
    """Return one day's shelves: four products drawn evenly among those a person may take."""
    sessions, visits = world.market.sessions(day), world.market.visits(day)
    rng = np.random.default_rng([7, day])
    may = world.truth.eligible[visits.person] & world.truth.open_at(visits.at_us)
    score = np.where(may, rng.random(may.shape), -1.0)
    best = np.argsort(-score, axis=1)[:, :4]
    return every_shelf(world, sessions, best, np.take_along_axis(score, best, 1) >= 0)


def every_shelf(world: World, sessions: pa.Table, best: np.ndarray, good: np.ndarray) -> pa.Table:
    """Return shown rows of chosen products, (s, K) numbers and whether each is there."""
    row, place = np.nonzero(good)
    at = pa.array(row)
    return pa.table(
        {
            "trace_id": sessions["session_id"].take(at),
            "session_id": sessions["session_id"].take(at),
            "user_id": sessions["user_id"].take(at),
            "position": pa.array((place + 1).astype(np.int8)),
            "product_id": world.market.product_ids.take(pa.array(best[row, place])),
            "occurred_at": sessions["occurred_at"].take(at),
        }
    )
