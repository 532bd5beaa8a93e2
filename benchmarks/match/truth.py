"""True probabilities, our prices: what ``match`` captures of the oracle's value in the market.

The market's week is given to ``match.solve`` with true chances: a visit is a customer, its places
are slots. A life is then lived under the prices it finds, with true chances at each moment, beside
the oracle's life, which has the prices of the tightest bound found. Both meet the same visits,
luck, limits and shelf rules (``flow.evaluate``); places weigh their mean in the programme.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.match.table import Goal, record

from jinqiao import match
from jinqiao.flow import evaluate
from jinqiao.flow.bound import limit_rows

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

__all__ = ["records"]

Prices = list[tuple[Any, Any]]


def our_prices(inputs: evaluate.Inputs, truth: Any) -> tuple[Prices, float]:
    """Return each week's prices of use and of spend by product, and the widest gap."""
    life, settings = inputs.life.fork(), inputs.serving.settings
    weight = float(np.mean(evaluate.POSITION[: settings.slots]))
    prices, gap = [], 0.0
    for week in inputs.weeks:
        days = [evaluate._day_pairs(inputs, truth, life, day) for day in week]
        made = evaluate._joined(days)
        limits = limit_rows(inputs.catalog, len(week))
        rows = [
            match.LimitRow(f"limit-{i}", "<=", float(limit), "cost" if money else "count", own)
            for i, (limit, own, money) in enumerate(
                zip(limits.limit, limits.products, limits.money, strict=True)
            )
        ]
        pairs = match.Pairs(
            made.start, made.product.astype(np.int32), weight * made.value,
            use=weight * made.use, cost=weight * made.spend,
        )  # fmt: skip
        plan = match.solve(pairs, settings.slots, rows, n_products=inputs.serving.n_products)
        gap = max(gap, plan.certificate.gap)
        prices.append(limits.spread(plan.duals, inputs.serving.n_products))
    return prices, gap


def lived(inputs: evaluate.Inputs, truth: Any, prices: dict[str, Prices]) -> dict[str, float]:
    """Return the value of a life under each set of prices, knowing the true chances."""
    stage = evaluate._Stage(inputs, truth)
    players = {
        name: evaluate._Player(inputs, evaluate._knowing(inputs, truth, found))
        for name, found in prices.items()
    }
    for day in range(inputs.first_day, inputs.first_day + inputs.days):
        today = stage.day(day)
        for player in players.values():
            player.play(today)
    return {
        name: evaluate.captured_of(name, inputs, truth, player.life).value_minor
        for name, player in players.items()
    }


def records(quick: bool, seed: int) -> list[dict[str, Any]]:
    """Return the share of the oracle's value, and the oracle's of the bound."""
    from playing import make_world

    people, days = (1_000, 7) if quick else (20_000, 28)
    inputs = make_world(people, seed=seed).inputs(days=days)
    truth = evaluate.Truth(inputs.market)
    began = time.process_time()
    ours, gap = our_prices(inputs, truth)
    cpu_s = time.process_time() - began
    bound, best = evaluate.weekly_bound(inputs, truth)
    value = lived(inputs, truth, {"ours": ours, "oracle": best})
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
