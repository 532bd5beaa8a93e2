"""Rescoring many customers at once: predictions a second a core."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from benchmarks.match.table import Goal, record
from benchmarks.serve.usual import Usual
from benchmarks.serve.world import N_PRODUCTS, World, moments

__all__ = ["records"]


def records(world: World, *, quick: bool, seed: int) -> Iterator[dict[str, Any]]:
    """Yield predictions (a pair by one model) a second of CPU; the best of three."""
    rng = np.random.default_rng(seed + 2)
    people, scorer = (300 if quick else 3_000), world.serving.chances
    rows = rng.choice(world.serving.profiles.num_rows, people, replace=False).astype(np.int32)
    ci, pi = np.repeat(rows, N_PRODUCTS), np.tile(np.arange(N_PRODUCTS, dtype=np.int32), people)
    at = moments(rng, 1)
    assert scorer is not None

    def once() -> float:
        began = time.process_time()
        scorer(ci, pi, at, np.zeros(len(ci), np.int32), np.ones(1, np.int8))
        return time.process_time() - began

    once()
    best = min(once() for _ in range(3))
    size = {"pairs": len(ci), "models": 4, "trees": 800}
    yield record(
        "batch_predictions_per_s", "1/s", 4 * len(ci) / best, size,  # type: ignore[arg-type]
        goal=Goal(1e6, 4e6, more=True), peer=_peer(world, at), peer_name="LightGBM",
    )  # fmt: skip


def _peer(world: World, at: Any) -> float:
    """Return the predictions a second of boosters asked for 200 customers' pairs at once."""
    usual, people = Usual(world), 50
    m = people * N_PRODUCTS
    goods = np.tile(np.arange(N_PRODUCTS), people)
    x = np.hstack((
        np.repeat(usual.people.matrix[:people], N_PRODUCTS, axis=0), usual.goods.matrix[goods],
        np.repeat(at.matrix(1), m, axis=0), np.zeros((m, 8), np.float32),
    ))  # fmt: skip
    began = time.process_time()
    for booster in world.boosters:
        booster.predict(x, raw_score=True, num_threads=1)
    return 4 * m / (time.process_time() - began)
