"""What time, place, channel and scene add, from a generated market's random log and by its truth.

A market lives its 28-day random log; two models of a click that differ only in their columns of
context are fitted on its earlier 80 % and judged on the rest (``propensity.context_gain``). Each
puts one of the offers that an evenly drawn shelf held first: how often that one is clicked is told
by the log, and by the market's truth. ``PLOT=path`` writes the picture of both.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jinqiao import propensity, synthetic
from jinqiao.flow import daily
from jinqiao.flow.rehearse import SimulatedClock, open_market
from jinqiao.flow.wiring import open_engine
from jinqiao.flow.workspace import init_workspace
from jinqiao.insight import Span, svg_intervals
from jinqiao.synthetic.truth import POSITION, Truth

SUBJECTS = 103


def true_clicks(
    rows: propensity.TrainingSet, market: synthetic.Market, life: synthetic.Life
) -> NDArray[np.float64]:
    """Return each row's true chance of a click if it stood at the top, (n,)."""
    shown = Truth(market).shown(life, market.start_us, int(rows.as_of_us) + 1)
    place = {name: i for i, name in enumerate(market.goods.product_id)}
    goods = np.array([place[name] for name in rows.products["product_id"].to_pylist()])

    def key(at: Any, product: Any, position: Any) -> Any:
        return (at * len(place) + product) * len(POSITION) + position - 1

    known = key(shown.at_us, shown.product, shown.position)
    order = np.argsort(known)
    asked = key(rows.shown_us, goods[rows.product], rows.position)
    spot = order[np.searchsorted(known[order], asked)]
    assert (known[spot] == asked).all()
    return np.asarray(shown.chances[spot, 0] / POSITION[rows.position - 1])


def played(size: int, seed: int) -> tuple[propensity.TrainingSet, NDArray[np.float64]]:
    """Return what a market's random log teaches, and the truth of its rows."""
    market = synthetic.market(size, seed)
    clock, chance = SimulatedClock(market.start_us), np.random.default_rng([seed, SUBJECTS])
    with tempfile.TemporaryDirectory() as folder:
        workspace = init_workspace(Path(folder) / "market", samples=False)
        with open_engine(workspace=workspace, clock=clock, chance=lambda: chance) as engine:
            lived = open_market(engine, market, clock, seed=seed)
            lived.arrive()
            lived.log()
            at = lived.day_us(market.log_days)
            clock.now_us = at
            daily.drain_outcomes(engine)
            daily.build_profiles(engine, at)
            rows = daily.training_rows(engine, at)
            assert rows is not None
            return rows, true_clicks(rows, market, lived.life)


def picture(by: dict[str, tuple[float, float, float]]) -> str:
    """Return what context changes of the first offer's clicks, by the log and by the truth."""
    rows = [
        Span(name, 100 * lift, 100 * low, 100 * high, True if low > 0 else None)
        for name, (lift, low, high) in by.items()
    ]
    return svg_intervals("Clicks of the offer put first, with context beside without", rows)


def records(quick: bool, seed: int) -> list[dict[str, Any]]:
    """Return what context saves in log-loss, and what it changes of the first offer's clicks."""
    size = 2_000 if quick else 6_000
    begun = time.process_time()
    rows, truth = played(size, seed)
    most = len(rows)
    told = propensity.context_gain(rows, seed=seed, most=most)
    true = propensity.context_gain(rows, seed=seed, most=most, truth=truth)
    assert told.lift is not None
    assert true.lift is not None
    if os.environ.get("PLOT"):
        by = {"by the log's clicks": told.lift, "by the market's truth": true.lift}
        Path(os.environ["PLOT"]).write_text(picture(by), encoding="utf-8")
    same = {
        "size": {"people": size, "offers": len(rows), "judged": told.rows}, "seed": seed,
        "cpu_s": time.process_time() - begun,
    }  # fmt: skip
    return [
        {"figure": "context_nats", "unit": "nats an offer", "ours": told.nats[0], "peer": 0.0,
         "peer_name": "no context", "ratio": None, "interval": told.nats[1:],
         "auc": told.auc, "auc_without": told.auc_without, **same},
        {"figure": "context_first_offer", "unit": "true clicks of the offer put first",
         "ours": true.picked, "peer": true.picked_without, "peer_name": "no context",
         "ratio": 1 + true.lift[0], "interval": [1 + x for x in true.lift[1:]],
         "differ": true.differ, "by_log": told.lift, **same},
    ]  # fmt: skip


if __name__ == "__main__":
    for record in records(
        quick=bool(os.environ.get("QUICK")), seed=int(os.environ.get("SEED") or 1)
    ):
        print(record)
