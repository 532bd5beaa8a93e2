"""A generated market whose evenly drawn log was lived, with its truth beside every learnt row.

What the market truly is stands behind ``flow.evaluate`` and ``synthetic``; nothing that learns here
is handed any of it but through the labels it is compared by.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jinqiao import propensity, synthetic
from jinqiao.domain.time import DAY_US
from jinqiao.flow import evaluate
from jinqiao.flow.daily import training_rows
from jinqiao.flow.demo import _evaluation_inputs
from jinqiao.flow.evaluate import Truth, candidates, requests_of
from jinqiao.flow.rehearse import Rehearsal, SimulatedClock, open_market
from jinqiao.flow.wiring import Engine, open_engine
from jinqiao.flow.workspace import init_workspace
from jinqiao.propensity import ContextColumns
from jinqiao.propensity.columns import class_codes, customers, pair_columns, product_matrix
from jinqiao.shelf import Requests

__all__ = ["Pairs", "Played", "eventual", "played", "true_chances"]

SUBJECTS = 103
MOST_PAIRS = 40_000


@dataclass(eq=False)
class Played:
    """A market after its log: the engine, what it could learn from, and the evaluation's inputs."""

    engine: Engine
    market: Rehearsal
    rows: propensity.TrainingSet
    inputs: evaluate.Inputs

    def more(self, days: int) -> None:
        """Live on under even draws, and learn anew from everything known then."""
        first = int((self.inputs.from_us - self.market.market.start_us) // DAY_US)
        live = self.market._unplanned(first)
        for day in range(first, first + days):
            if day % 7 == 0:
                self.market._week_in(day)
                live.flush()
                live = self.market._unplanned(day)
            self.market.play_day(live, day, policy="random", ticks=4)
        live.flush()
        self.market._week_in(first + days)
        rows = training_rows(self.engine, self.market.clock())
        assert rows is not None
        self.rows = rows


@contextmanager
def played(size: int, seed: int) -> Iterator[Played]:
    """Give a market after its log of 28 days and its first plan."""
    market = synthetic.market(size, seed)
    clock, chance = SimulatedClock(market.start_us), np.random.default_rng([seed, SUBJECTS])
    with tempfile.TemporaryDirectory() as folder:
        workspace = init_workspace(Path(folder) / "market", samples=False)
        with open_engine(workspace=workspace, clock=clock, chance=lambda: chance) as engine:
            run = open_market(engine, market, clock, seed=seed)
            run.arrive()
            run.log()
            run.plan(market.log_days)
            rows = training_rows(engine, clock())
            assert rows is not None
            yield Played(engine, run, rows, _evaluation_inputs(run, 28))


def true_chances(world: Played) -> NDArray[np.float64]:
    """Return the true chances of every learnt row as it was shown, (n, 4)."""
    market, rows = world.market.market, world.rows
    shown = Truth(market).shown(world.market.life, 0, rows.as_of_us)
    code = {name: i for i, name in enumerate(market.goods.product_id)}
    ours = np.array([code[name] for name in rows.products["product_id"].to_pylist()])
    keys = [
        (at * 1_000 + product) * 8 + position
        for at, product, position in (
            (shown.at_us, shown.product, shown.position),
            (rows.shown_us, ours[rows.product], rows.position),
        )
    ]
    order = np.argsort(keys[0], kind="stable")
    spot = np.minimum(np.searchsorted(keys[0][order], keys[1]), len(order) - 1)
    assert (keys[0][order][spot] == keys[1]).mean() > 0.999
    found: NDArray[np.float64] = shown.chances[order[spot]]
    return found


def eventual(truth: NDArray[np.float64], world: Played, place: int, seed: int) -> NDArray[np.int64]:
    """Return how each case of a stage ends once all is heard, drawn by its true chance.

    A case that was answered by now ended as it was answered; one that is open, or that silence made
    a no, is drawn given that it was not a yes by now.
    """
    stage = world.rows.stages[place]
    label, p = stage.delays.label, truth[stage.rows, place]
    left = p * (1.0 - stage.delays.yes_by)
    still = left / np.maximum(left + 1.0 - p, 1e-9)
    draw = np.random.default_rng([seed, place]).random(len(p)) < still
    return np.where(label == 1, 1, np.where(np.isnan(label), draw, 0)).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Some of a day's pairs that may be shown: their columns, levels and true chances (m, 4)."""

    x: NDArray[np.float32]
    product: NDArray[np.int64]
    chances: NDArray[np.float64]

    @classmethod
    def of_day(cls, world: Played, day: int, seed: int) -> Pairs:
        """Return at most forty thousand pairs of people whose profile may be read."""
        inputs = world.inputs
        requests = requests_of(inputs, inputs.market.sessions(day), day)
        found = candidates(inputs.serving, requests, None, None)
        allowed = np.zeros((len(requests), inputs.serving.n_products), bool)
        allowed[found.request, found.product] = True
        life = world.market.life.fork()
        truth = Truth(inputs.market).pairs(inputs.market.visits(day), allowed, life).chances
        some = np.flatnonzero(requests.personalised[found.request])
        rng = np.random.default_rng([seed, 9])
        if len(some) > MOST_PAIRS:
            some = np.sort(rng.choice(some, MOST_PAIRS, replace=False))
        who = requests.customer[found.request[some]]
        x = _columns(world, requests, (found.request[some], who, found.product[some]))
        return cls(x, found.product[some].astype(np.int64), truth[some])


def _columns(
    world: Played, requests: Requests, pairs: tuple[NDArray[np.integer], ...]
) -> NDArray[np.float32]:
    """Return the columns of pairs: the request, the customer's and the product's row of each."""
    at, who, what = pairs
    rows, serving = world.rows, world.inputs.serving
    people = customers(rows.layout, serving.profiles)
    goods = product_matrix(serving.products, rows.rates[-1])[what]
    ask = requests.take(np.asarray(at, np.int64))
    context = ContextColumns(ask.at_us, ask.channel, ask.scene, ask.source, ask.city_tier)
    moment = (context.day_of_month(), context.city_tier)
    own = pair_columns(people.needs[who], (goods, class_codes(serving.products)[what]), moment)
    return np.hstack((people.matrix[who], goods, context.matrix(1), own))
