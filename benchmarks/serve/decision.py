"""One decision: CPU of a shelf of one request, beside the usual service's in the same process."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from benchmarks.match.table import Goal, record
from benchmarks.serve.usual import Usual
from benchmarks.serve.world import N_PRODUCTS, N_TREES, World, requests

from jinqiao import shelf

__all__ = ["records"]


def _cpu_us(work: Callable[[Any], Any], asked: list[Any]) -> np.ndarray:
    """Return the CPU of each call, µs: of the whole process."""
    out, clock = np.empty(len(asked)), time.process_time_ns
    for i, one in enumerate(asked):
        began = clock()
        work(one)
        out[i] = clock() - began
    return out / 1e3


def records(world: World, *, quick: bool, seed: int) -> Iterator[dict[str, Any]]:
    """Yield the decision's figures; ours and the usual service take turns on the same requests."""
    rng = np.random.default_rng(seed + 1)
    count, rounds = (1_500, 2) if quick else (10_000, 3)
    serving, usual = world.serving, Usual(world)
    asked = requests(world, count, rng)
    left = rng.integers(0, 50, N_PRODUCTS)
    stopped = rng.random(N_PRODUCTS) < 0.02

    def ours(one: shelf.Requests) -> shelf.Shelves:
        return shelf.rank(serving, one, left=left, stopped=stopped)

    def peer(one: shelf.Requests) -> Any:
        return usual.decide(one, left, stopped)

    few = asked[: count // 10]
    same, eligible = _agreement(ours, peer, few)
    for one in asked[:200]:
        ours(one)
    gc.collect()
    gc.disable()
    told, theirs = [], []
    for _ in range(rounds):
        told.append(_cpu_us(ours, asked))
        theirs.append(_cpu_us(peer, few))
    gc.enable()
    mine, other = np.concatenate(told), np.concatenate(theirs)
    size = {
        "customers": serving.profiles.num_rows, "products": N_PRODUCTS, "candidates": eligible,
        "trees": 4 * N_TREES, "requests": count,
    }  # fmt: skip
    name = "LightGBM + NumPy"
    for figure, q, goal in (
        ("decision_cpu_p50", 50, Goal(150, 50)), ("decision_cpu_p99", 99, Goal(500, 200)),
    ):  # fmt: skip
        a, b = float(np.percentile(mine, q)), float(np.percentile(other, q))
        yield record(figure, "µs", a, size, goal=goal, peer=b, peer_name=name)  # type: ignore[arg-type]
    yield record("decision_cpu_mean", "µs", float(mine.mean()), size,  # type: ignore[arg-type]
                 peer=float(other.mean()), peer_name=name)  # fmt: skip
    speed = float(np.percentile(other, 50) / np.percentile(mine, 50))
    yield record(
        "same_answer_speed_up", "×", speed, size, goal=Goal(15, 30, more=True, holds=same == 1.0),  # type: ignore[arg-type]
        peer=1.0, peer_name=name, same_shelves=same,
    )  # fmt: skip
    yield from _scoring(world, asked[: count // 5], size)
    yield from _eligibility(world, rng, size)


def _agreement(ours: Any, peer: Any, asked: list[Any]) -> tuple[float, int]:
    """Return the share of undrawn shelves that agree, and the mean number of candidates."""
    same, sizes = [], []
    for one in asked:
        found = ours(one)
        products, chances = peer(one)
        sizes.append(int(found.n_candidates[0]))
        if found.placed.drawn.any():
            continue
        same.append(
            found.product.tolist() == products
            and bool(np.allclose(found.there.chances, chances, rtol=1e-6))
        )
    return float(np.mean(same)), round(float(np.mean(sizes)))


def _scoring(world: World, asked: list[Any], size: Any) -> Iterator[dict[str, Any]]:
    """Yield the CPU of the four models alone, on the same candidates of the same requests."""
    serving, usual = world.serving, Usual(world)
    scorer: Any = serving.chances
    cases = [
        (int(one.customer[0]), one, np.flatnonzero(serving.may_see(one.customer)[0]))
        for one in asked
    ]

    def ours(case: Any) -> Any:
        return scorer.ask(case[0], case[1]).chances(case[2].astype(np.int32))

    def peer(case: Any) -> Any:
        return usual.chances(case[0], case[2], case[1], np.ones(len(case[2]), np.int8))

    a, b = np.median(_cpu_us(ours, cases)), np.median(_cpu_us(peer, cases[: len(cases) // 10 + 1]))
    yield record("four_models_cpu_p50", "µs", float(a), size, peer=float(b),
                 peer_name="LightGBM")  # fmt: skip


def _eligibility(world: World, rng: np.random.Generator, size: Any) -> Iterator[dict[str, Any]]:
    """Yield the CPU of 200 rules on one profile: the index, and the vectorised form."""
    from jinqiao.engines.rules import masks

    index = world.index
    rows = [world.facts[i] for i in rng.integers(0, len(world.facts), 5_000)]
    names = [field.name for field in index.fields]
    singles = [{n: row[j : j + 1] for j, n in enumerate(names)} for row in rows[:100]]
    a = np.median(_cpu_us(index.mask, rows))
    b = np.median(_cpu_us(lambda columns: masks(index.rules, columns), singles))
    yield record("eligibility_cpu_p50", "µs", float(a), size, peer=float(b),
                 peer_name="vectorised rules")  # fmt: skip
