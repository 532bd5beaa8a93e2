"""True probabilities, our prices: what ``match`` captures of the oracle's value in the market.

What is left of the market's week is given to ``match.solve`` every morning with true chances: a
visit is a customer, its places are slots. A life is lived under the prices it finds, with true
chances at each moment, beside the oracle's life, which has the prices of the tightest bound found.
Both meet the same visits, luck, limits and shelf rules (``flow.evaluate``); places weigh their mean
in the programme.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.match.table import Goal, record

from jinqiao import match
from jinqiao.catalog.limits import limit_terms
from jinqiao.domain.catalog import Measure, Period
from jinqiao.domain.time import DAY_US, period_key
from jinqiao.flow import evaluate
from jinqiao.flow.bound import limit_rows

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

__all__ = ["records"]

Prices = list[tuple[Any, Any]]


class Ours:
    """The market's week solved again every morning for the days that are left of it.

    What is left of a limit is what is neither used nor, by the share of clicks that were applied
    for so far, about to be (the hold of every other click comes back).
    """

    def __init__(self, inputs: evaluate.Inputs, truth: Any) -> None:
        self.inputs, self.truth = inputs, truth
        self.weight = float(np.mean(evaluate.POSITION[: inputs.serving.settings.slots]))
        self.days = {
            day: evaluate._day_pairs(inputs, truth, inputs.life.fork(), day)
            for week in inputs.weeks
            for day in week
        }
        self.prices: Prices = [(0.0, 0.0)] * len(inputs.weeks)
        self.player = evaluate._Player(inputs, evaluate._knowing(inputs, truth, self.prices))
        self.gap, self.passes = 0.0, 0.0
        self._warm: dict[str, float] | None = None

    def play(self, today: Any) -> None:
        """Solve what is left of the week, then live the day."""
        place = next(w for w, days in enumerate(self.inputs.weeks) if today.number in days)
        self.prices[place] = self._solved(
            [d for d in self.inputs.weeks[place] if d >= today.number]
        )
        self.player.play(today)

    def _solved(self, days: list[int]) -> tuple[Any, Any]:
        serving = self.inputs.serving
        made = evaluate._joined([self.days[day] for day in days])
        limits = limit_rows(self.inputs.catalog, len(days))
        left = np.maximum(limits.limit - self._used(days[0]), 0.0)
        rows = [
            match.LimitRow(f"limit-{i}", "<=", float(limit), "cost" if money else "count", own)
            for i, (limit, own, money) in enumerate(
                zip(left, limits.products, limits.money, strict=True)
            )
        ]
        pairs = match.Pairs(
            made.start, made.product.astype(np.int32), self.weight * made.value,
            use=self.weight * made.use, cost=self.weight * made.spend,
        )  # fmt: skip
        plan = match.solve(
            pairs, serving.settings.slots, rows, n_products=serving.n_products, warm=self._warm
        )
        self.gap = max(self.gap, plan.certificate.gap)
        self._warm = dict(zip(plan.row_names, plan.duals.tolist(), strict=True))
        return limits.spread(plan.duals, serving.n_products)

    def _used(self, day: int) -> Any:
        """Return what is used of each limit of ``limit_rows`` in its period, a day's aside."""
        now = self.inputs.market.start_us + day * DAY_US
        units = self.player.units
        units.expire(now)
        posted, open_ = units.by_state()
        done, gone = units.ended()
        share = (done + 1.0) / (done + gone + 4.0)
        found = []
        for one in limit_terms(self.inputs.catalog):
            money = one.limit.measure is Measure.MONEY
            if one.scope == "branch" or (not money and one.limit.stage.value != "application"):
                continue
            key = (one.limit_id, period_key(now, one.limit.period, one.zone))
            used = posted.get(key, 0.0) + share * open_.get(key, 0.0)
            found.append(0.0 if one.limit.period is Period.DAY else used)
        return np.array(found)


def lived(inputs: evaluate.Inputs, truth: Any, prices: Prices) -> tuple[dict[str, float], Ours]:
    """Return the value of our life and of the oracle's, both knowing the true chances."""
    stage, ours = evaluate._Stage(inputs, truth), Ours(inputs, truth)
    oracle = evaluate._Player(inputs, evaluate._knowing(inputs, truth, prices))
    for day in range(inputs.first_day, inputs.first_day + inputs.days):
        today = stage.day(day)
        ours.play(today)
        oracle.play(today)
    lives = {"ours": ours.player.life, "oracle": oracle.life}
    return {
        name: evaluate.captured_of(name, inputs, truth, life).value_minor
        for name, life in lives.items()
    }, ours


def records(quick: bool, seed: int) -> list[dict[str, Any]]:
    """Return the share of the oracle's value, and the oracle's of the bound."""
    from playing import make_world

    people, days = (1_000, 7) if quick else (20_000, 28)
    inputs = make_world(people, seed=seed).inputs(days=days)
    truth = evaluate.Truth(inputs.market)
    bound, best = evaluate.weekly_bound(inputs, truth)
    began = time.process_time()
    value, ours = lived(inputs, truth, best)
    cpu_s, gap = time.process_time() - began, ours.gap
    size = f"{people:,} people, {days} days, 150 products"
    ratio = value["ours"] / value["oracle"]
    return [
        record(
            "true probabilities: value under our prices ÷ the oracle's", "share",
            ratio, size, goal=Goal(0.98, 0.99, more=True), cpu_s=cpu_s,
            peer=1.0, peer_name="true chances, the bound's prices", gap=gap,
        ),
        record(
            "true probabilities: the same ÷ the weekly bound", "share", value["ours"] / sum(bound),
            size, cpu_s=cpu_s, peer=value["oracle"] / sum(bound), ratio=ratio,
            peer_name="the oracle",
        ),
    ]  # fmt: skip
