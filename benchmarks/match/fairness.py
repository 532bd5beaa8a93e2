"""How much disparity a little value buys off: the frontier on a market with an unlike fifth.

The law: customers of thin files (a fifth) are worth 0.55 of others for the same 40 products, whose
quotas cannot serve everyone, so that a plan of value alone passes them by. Floors on each group's
expected applications are raised in ten steps, each plan started from the last one's prices.

``python -m benchmarks.match.fairness PATH`` draws ``frontier.svg``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.match.table import record

from jinqiao import match
from jinqiao.match.picture import Curve, svg_curves

__all__ = ["records"]

P, DEGREE = 40, 10


def frontier(n: int, seed: int) -> tuple[match.Frontier, float, float]:
    """Return the frontier, and the CPU-seconds of the first plan and of the whole sweep."""
    rng = np.random.default_rng([seed, 9])
    code = (rng.random(n) > 0.2).astype(np.int64)
    product = np.sort(np.argsort(rng.random((n, P)), axis=1)[:, :DEGREE], axis=1)
    worth = np.exp(rng.normal(0, 0.5, (n, DEGREE)) + rng.normal(0, 0.3, P)[product])
    worth *= np.where(code == 0, 0.55, 1.0)[:, None]
    pairs = match.Pairs(np.arange(0, n * DEGREE + 1, DEGREE), product.ravel(), worth.ravel())
    rows = tuple(
        match.LimitRow(f"quota-{p}", "<=", int(0.6 * n / P), "count", [p]) for p in range(P)
    )
    problem = match.Problem(pairs, 1, rows, P)
    started = time.process_time()
    plan = match.solve(pairs, 1, rows, n_products=P, seed=seed)
    first = time.process_time() - started
    found = match.fairness_frontier(problem, plan, code, ("thin", "thick"))
    return found, first, time.process_time() - started - first


def records(quick: bool, seed: int) -> Iterator[dict[str, Any]]:
    """Yield disparity before and within 1 % of the value, and what the sweep costs in solves."""
    n = 20_000 if quick else 100_000
    match.warm_up()
    found, first, sweep = frontier(n, seed)
    best, size = found.within(0.01), f"{n:,} customers, {DEGREE} of {P} products"
    none = {"peer_reason": "none is known that reports it", "seed": seed}
    yield record("disparity of the plan", "share", found.points[0].disparity, size, **none)
    yield record("disparity within 1 % of its value", "share", best.disparity, size, **none)
    even = found.points[-1]
    yield record("value kept at even shares", "share", even.value_share, size, **none)
    yield record(
        "CPU of the frontier over one solve", "×", sweep / max(first, 1e-9), size, cpu_s=sweep,
        **none,
    )  # fmt: skip


def picture(n: int = 20_000, seed: int = 1) -> str:
    """Return the drawing of the frontier."""
    points = sorted(frontier(n, seed)[0].points, key=lambda p: p.disparity)
    x, y = [100 * p.disparity for p in points], [100 * p.value_share for p in points]
    axes = ("least served group below an even share, %", "value kept, %")
    return svg_curves("Value against disparity", axes, [Curve("plans", x, y, dots=True)])


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(picture() + "\n", encoding="utf-8")
