"""A day online beside hindsight: ours, PID pacing, mirror descent, yesterday's prices, greedy.

The law: 100 products of 20 institutions with quotas and budgets, 20 offers a visit. Yesterday and
today are different visits of one law; drift d multiplies each product's values by exp(d·z),
z ~ N(0, 1), from the first visit on, unknown to the plan. ``floors`` adds approval floors and a
floor for thin files. ``surge``: one hour of ten times its visits on top, unexpected. ``clicks``:
offers are clicked out (5–30 %), units wait for late reports, three institutions are silent for
hours. Every policy sees the same visits and the same luck. CPU time is that of the replay alone.

``python -m benchmarks.match.online PATH`` draws ``prices.svg`` from a replay: prices of the dearest
limits through a day under drift.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.match.table import Goal, record
from numpy.typing import NDArray

from jinqiao import match
from jinqiao.match.policies import Policy, fixed, mirror, pid

__all__ = ["records"]

P, HOUSES, DEGREE = 100, 20, 20
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class World:
    """What yesterday and today share."""

    appeal: Floats
    pull: Floats
    house: NDArray[np.int64]
    payout: Floats

    @classmethod
    def of(cls, seed: int) -> World:
        rng = np.random.default_rng([seed, 0])
        return cls(
            rng.normal(0, 0.5, P), rng.normal(0, 0.5, (P, 4)),
            rng.permutation(np.arange(P) % HOUSES), rng.integers(10, 100, P).astype(float),
        )  # fmt: skip

    def visits(self, n: int, rng: np.random.Generator, shift: Floats | float = 0.0) -> match.Pairs:
        """Return n visits of DEGREE offers, in float64."""
        taste = rng.normal(0, 1, (n, 4))
        drawn = np.argsort(rng.random((n, P), np.float32), axis=1)[:, :DEGREE]
        product = np.sort(drawn, axis=1).astype(np.int32)
        fit = np.einsum("nk,ndk->nd", taste, self.pull[product])
        noise = rng.normal(0, 0.3, product.shape)
        value = np.exp((self.appeal + shift)[product] + fit + noise)
        chance = 1 / (1 + np.exp(-(rng.normal(0, 0.7, product.shape) + 0.3 * taste[:, :1])))
        return match.Pairs(
            np.arange(0, n * DEGREE + 1, DEGREE), product.ravel(), value.ravel(), 1.0,
            self.payout[product].ravel(), chance.ravel(),
        )  # fmt: skip

    def rows(self, n: int, seed: int, thin: NDArray[np.bool_] | None) -> list[match.LimitRow]:
        """Return 100 quotas and 20 budgets; with ``thin`` also five approval floors and its own."""
        rng = np.random.default_rng([seed, 1])
        out = [
            match.LimitRow(f"quota-{p}", "<=", int(n / P * rng.uniform(0.4, 2)), "count", [p])
            for p in range(P)
        ]
        for i in range(HOUSES):
            own = np.flatnonzero(self.house == i)
            most = int(n / P * self.payout[own].sum() * rng.uniform(0.5, 1.6))
            out.append(match.LimitRow(f"budget-{i}", "<=", most, "cost", own))
            if thin is not None and i % 4 == 0:
                out.append(match.approval_row(f"approval-{i}", own, 0.54))
        if thin is not None:
            wanted = np.argsort(-self.appeal)[:20]
            out.append(match.segment_row("thin", thin, int(0.35 * thin.sum()), wanted))
        return out


@dataclass(frozen=True, eq=False)
class Case:
    """A plan of yesterday and the stream of today under the same rows."""

    stream: match.Stream
    rows: Sequence[match.LimitRow]
    duals: Floats
    bound: float


def case(n: int, seed: int, *, drift: float = 0.0, floors: bool = False, surge: bool = False,
         clicks: bool = False) -> Case:  # fmt: skip
    """Return one case of the law, solved in hindsight."""
    world = World.of(seed)
    rng = np.random.default_rng([seed, 2])
    extra = int(9 * n / 24) if surge else 0
    at = np.sort(np.concatenate((rng.random(n), rng.uniform(10 / 24, 11 / 24, extra))))
    thin = rng.random(n + extra) < 0.1 if floors else None
    yesterday = world.visits(n, rng)
    shift = rng.normal(0, drift, P) if drift else 0.0
    today = world.visits(n + extra, rng, shift)
    rows = world.rows(n, seed, thin)
    back = None
    if clicks:
        back = _feedback(world, today, rng)
        yesterday = _expected(yesterday, float(np.mean(back.click)) * 0.3)
        today = _expected(today, back.click * back.keep)
        rows = [replace(row, limit=float(np.ceil(row.limit * 0.05))) for row in rows]
    old = match.solve(yesterday, 1, rows, n_products=P, seed=seed)
    stream = match.Stream(today, 1, at, feedback=back)
    best = match.hindsight(stream, rows, n_products=P, seed=seed)
    return Case(stream, rows, old.duals, best.certificate.dual_bound)


def _feedback(world: World, today: match.Pairs, rng: np.random.Generator) -> match.Feedback:
    quiet = np.flatnonzero(world.house < 3)
    click = rng.uniform(0.05, 0.3, today.n_pairs)
    return match.Feedback(
        click, 0.3, yes_wait=0.03, no_wait=0.06, hold=0.5,
        silences=(match.Silence(quiet, 0.3, 0.7),),
    )  # fmt: skip


def _expected(pairs: match.Pairs, chance: Any) -> match.Pairs:
    whole = pairs.column("cost")
    return replace(pairs, value=pairs.value * chance, use=chance, cost=whole * chance)


def policies(c: Case) -> dict[str, Policy]:
    """Return every policy by name, each from yesterday's prices but the greedy one."""
    return {
        "greedy": fixed(np.zeros(len(c.rows))),
        "yesterday's prices": fixed(c.duals),
        "mirror descent, fixed rate": mirror(c.duals, 12.0),
        "PID pacing": pid(c.duals, (16.0, 32.0, 0.02)),
        "paced": match.paced(c.duals),
        "resolved": match.resolved(c.duals, n_products=P),
    }


def records(quick: bool, seed: int) -> Iterator[dict[str, Any]]:
    """Yield share of hindsight, passings of hard limits and missed floors of every case."""
    n = 20_000 if quick else 100_000
    match.warm_up()
    kinds: dict[str, tuple[dict[str, Any], Goal]] = {
        "no drift": ({}, Goal(0.990, 0.998, more=True)),
        "drift 0.3": ({"drift": 0.3}, Goal(0.985, 0.997, more=True)),
        "drift 0.3, floors": ({"drift": 0.3, "floors": True}, Goal(0.985, 0.997, more=True)),
        "surge 10×": ({"surge": True}, Goal()),
        "late and silent reports": ({"clicks": True}, Goal()),
    }
    for name, (words, goal) in kinds.items():
        yield from _case(name, case(n, seed, **words), n, seed, goal)


def _case(name: str, c: Case, n: int, seed: int, goal: Goal) -> Iterator[dict[str, Any]]:
    found, cpu_s = {}, {}
    for policy, rule in policies(c).items():
        started = time.process_time()
        found[policy] = match.replay(c.stream, c.rows, rule, n_products=P, seed=seed)
        cpu_s[policy] = time.process_time() - started
    shares = {policy: one.share_of(c.bound) for policy, one in found.items()}
    size = f"{n:,} visits, 20 of {P} products"
    peer = max((p for p in shares if p not in ("paced", "resolved")), key=lambda p: shares[p])
    for policy in ("resolved", "paced"):
        yield record(
            f"online, {name}: {policy}", "of hindsight", shares[policy], size,
            cpu_s=cpu_s[policy], goal=goal, peer=shares[peer], peer_name=peer,
            ratio=shares[policy] / shares[peer], seed=seed, shares=shares,
        )  # fmt: skip
    ours = [found["resolved"], found["paced"]]
    over = max(float(one.over.max(initial=0.0)) for one in found.values())
    yield record(f"online, {name}: hard limits passed", "share", over, size, goal=Goal(0.0, 0.0),
                 peer_reason="none is compared", seed=seed)  # fmt: skip
    if any(row.sense == ">=" for row in c.rows):
        worst = max(float(one.missed.max(initial=0.0)) for one in ours)
        theirs = float(found[peer].missed.max(initial=0.0))
        yield record(f"online, {name}: worst floor missed", "share", worst, size,
                     goal=Goal(0.005, 0.005), peer=theirs, peer_name=peer, ratio=None,
                     seed=seed)  # fmt: skip


def picture(n: int = 100_000, seed: int = 1) -> str:
    """Return the drawing of the dearest limits' prices through a day under drift 0.3."""
    from jinqiao.match.picture import Curve, svg_curves

    c = case(n, seed, drift=0.3)
    paced = match.replay(c.stream, c.rows, match.paced(c.duals), n_products=P, seed=seed)
    solved = match.replay(c.stream, c.rows, match.resolved(c.duals, n_products=P), n_products=P,
                          seed=seed)  # fmt: skip
    last = solved.duals_by_tick[-48:].mean(axis=0)
    quota = np.arange(P)
    moved = np.argsort(-np.abs(last - c.duals)[quota])[:4]
    hours = 24 * np.arange(len(paced.elapsed)) / len(paced.elapsed)
    curves = []
    for place, i in enumerate(moved.tolist()):
        name = c.rows[i].name
        curves.append(Curve(name, hours, paced.duals_by_tick[:, i], place))
        curves.append(Curve("", hours, solved.duals_by_tick[:, i], place, dashed=True))
    title = "Prices through a day of drift 0.3; dashed: solved again on the way"
    return svg_curves(title, ("hour", "price of one more unit"), curves)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(picture() + "\n", encoding="utf-8")
