"""The usual service: boosters asked row by row of candidates, NumPy for all else, no framework.

It is written as someone would who knows LightGBM and NumPy well: the product's part and the
schedule are ready, a request gathers its candidates' columns, asks four boosters for their scores
on one thread, and ranks. It gives the same shelf.
"""

from __future__ import annotations

import numpy as np
from benchmarks.serve.world import World
from numpy.typing import NDArray

from jinqiao import shelf
from jinqiao.propensity.columns import ContextColumns, pair_columns
from jinqiao.shelf.choose import draws
from jinqiao.shelf.kernel import caps_of

__all__ = ["Usual"]


class Usual:
    """Answers requests with ``lightgbm.Booster.predict``."""

    def __init__(self, world: World) -> None:
        self.world, serving = world, world.serving
        scorer = serving.chances
        self.people, self.goods = scorer.people, scorer.goods  # type: ignore[union-attr]
        self.codes, self.most = _caps(serving)

    def chances(
        self, row: int, goods: NDArray[np.int64], asked: shelf.Requests, position: NDArray[np.int8]
    ) -> NDArray[np.float32]:
        """Return (m, 4) chances of one customer's candidates at positions."""
        m = len(goods)
        at = ContextColumns(asked.at_us, asked.channel, asked.scene, asked.source, asked.city_tier)
        context = np.stack([at.matrix(int(p))[0] for p in np.unique(position)])
        place = np.searchsorted(np.unique(position), position)
        needs = np.broadcast_to(self.people.needs[row], (m, self.people.needs.shape[1]))
        own = pair_columns(needs, (self.goods.matrix[goods], self.goods.classes[goods]),
                           (at.day_of_month().astype(np.float32), at.city_tier))  # fmt: skip
        profile = np.broadcast_to(self.people.matrix[row], (m, self.people.matrix.shape[1]))
        x = np.hstack((profile, self.goods.matrix[goods], context[place], own))
        raw = np.stack([booster.predict(x, raw_score=True, num_threads=1)
                        for booster in self.world.boosters], axis=1)  # fmt: skip
        return (1.0 / (1.0 + np.exp(-raw))).astype(np.float32)

    def decide(
        self, asked: shelf.Requests, left: NDArray[np.int64], stopped: NDArray[np.bool_]
    ) -> tuple[list[int], NDArray[np.float64]]:
        """Return the products of one shelf, top first, and their chances where they stand."""
        serving, row = self.world.serving, int(asked.customer[0])
        may = np.unpackbits(serving.allowed[row], count=serving.n_products).view(np.bool_)
        channel = asked.channel.to_pylist()
        ok = may & serving.schedules.open(asked.at_us, channel)[0] & (left > 0) & ~stopped
        goods = np.flatnonzero(ok)
        chances = self.chances(row, goods, asked, np.ones(len(goods), np.int8))
        least = np.full(16, np.inf)
        np.minimum.at(least, serving.class_code[may], serving.comparable_cost_minor[may])
        worth = self._worth(goods, chances, least)
        score = self._score(row, goods, chances, worth)
        shown = self._places(goods, score, asked)
        if len(shown) < 2:
            return [int(goods[i]) for i in shown], chances[shown]
        there = chances[shown]
        at = np.arange(2, len(shown) + 1, dtype=np.int8)
        there[1:] = self.chances(row, goods[shown[1:]], asked, at)
        self._score(row, goods[shown], there, worth[shown])  # the numbers that are logged
        return [int(goods[i]) for i in shown], there

    def _worth(
        self, goods: NDArray[np.int64], chances: NDArray[np.float32], least: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        serving = self.world.serving
        group = serving.class_code[goods]
        excess = np.maximum(serving.comparable_cost_minor[goods] - least[group], 0.0)
        return np.maximum(serving.worths.benefit_minor[group] * chances[:, 3] - excess, 0.0)

    def _score(
        self, row: int, goods: NDArray[np.int64], chances: NDArray[np.float32],
        worth: NDArray[np.float64],
    ) -> NDArray[np.float64]:  # fmt: skip
        serving, rule = self.world.serving, self.world.serving.settings
        reach = np.cumprod(chances.astype(np.float64), axis=1)
        stage = serving.paid_stage[goods]
        paid = reach[np.arange(len(goods)), stage] * serving.payout_minor[goods]
        own = reach[:, 3] * worth - (reach[:, 1] - reach[:, 2]) * rule.refusal_harm_minor
        value = own + np.minimum(paid, rule.beta * np.maximum(own, 0.0))
        prices, segment = serving.prices, serving.prices.segment[row]
        price = prices.count[segment, goods] * reach[:, 1] + prices.cost[segment, goods] * paid
        return np.asarray(value - price - prices.approval[segment, goods] * reach[:, 2])

    def _places(
        self, goods: NDArray[np.int64], score: NDArray[np.float64], asked: shelf.Requests
    ) -> list[int]:
        """Return the candidates chosen: greedy under the caps, the last one drawn now and then."""
        rule, taken, shown = self.world.serving.settings, {}, []  # type: ignore[var-annotated]

        def room(i: int) -> bool:
            keys = [(kind, int(self.codes[kind, goods[i]])) for kind in range(3)]
            return all(taken.get(key, 0) < self.most[key[0]][key[1]] for key in keys)

        def take(i: int) -> None:
            shown.append(i)
            for kind in range(3):
                key = (kind, int(self.codes[kind, goods[i]]))
                taken[key] = taken.get(key, 0) + 1

        draws(asked.trace_id.to_pylist(), rule.seed)
        for i in np.argsort(-score, kind="stable").tolist():
            if score[i] <= 0 or len(shown) == rule.slots:
                break
            if room(i):
                take(i)
        return shown


def _caps(serving: shelf.Serving) -> tuple[NDArray[np.int64], list[list[int]]]:
    caps = caps_of(serving, personal=True)
    return caps.codes, [one.tolist() for one in caps.most]
