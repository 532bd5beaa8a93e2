"""Small changes of a solved problem beside solving it anew: what-if, a new product, price ranges.

``python -m benchmarks.match.whatif``: SEED=n for another instance, QUICK=1 for a smaller one. Both
sides in one process, CPU seconds, to the same gap; ours ends with a certificate of its own. Rows
are those that bind and weigh most; each is changed by ±2 % and ±10 %, and, told apart, by half
and to nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from benchmarks.match import instances
from benchmarks.match.table import Goal, record, written

from jinqiao import match

GAP = 2e-4
CHANGES = {"": ("+2%", "-2%", "+10%", "-10%"), ", by half": ("+50%", "-50%"), ", to 0": ("0",)}
_ROWS = 4
Timed = tuple[Any, float]


@dataclass(frozen=True, eq=False)
class Case:
    """An instance with its plan made ready, and what solving it took."""

    problem: match.Problem
    standing: match.Standing
    stand_cpu_s: float
    plan: match.Plan
    cpu_s: float
    seed: int


def timed(work: Callable[[], Any]) -> Timed:
    """Return what was made, and the CPU seconds it took."""
    started = time.process_time()
    return work(), time.process_time() - started


def solved(problem: match.Problem, seed: int) -> Timed:
    """Return the plan of a problem from nothing."""
    return timed(
        lambda: match.solve(
            problem.pairs, problem.slots, problem.rows, n_products=problem.n_products, seed=seed,
            gap_target=GAP,
        )
    )  # fmt: skip


def case(n: int, seed: int) -> Case:
    """Return the base instance, solved; kernels are loaded before."""
    made = instances.problem("base", n, seed)
    problem = match.Problem(
        instances.pairs_of(made), made.law.slots, made.rows, made.law.n_products
    )
    match.warm_up()
    match.stand(problem, solved(problem, seed)[0], gap_target=GAP)
    plan, cpu_s = solved(problem, seed)
    standing, stand_cpu_s = timed(lambda: match.stand(problem, plan, gap_target=GAP))
    match.what_if(standing, changes={problem.rows[0].name: "+1"})
    return Case(problem, standing, stand_cpu_s, plan, cpu_s, seed)


def what_ifs(case: Case, label: str) -> list[dict[str, Any]]:
    """Return passes and CPU of what-if answers beside solving the changed problem anew."""
    weight = case.standing.plan.duals * np.abs([row.limit for row in case.problem.rows])
    names = [case.problem.rows[i].name for i in np.argsort(-weight)[:_ROWS].tolist()]
    passes, cpu, full_passes, full_cpu, gaps = [], [], [], [], []
    for name in names:
        for change in CHANGES[label]:
            answer, cpu_s = timed(lambda n=name, c=change: match.what_if(
                case.standing, changes={n: c}, gap_target=GAP))  # fmt: skip
            full, full_s = solved(answer.after.problem, case.seed)
            passes.append(answer.passes)
            cpu.append(cpu_s)
            full_passes.append(full.certificate.passes)
            full_cpu.append(full_s)
            gaps.append(answer.certificate.gap)
    size = f"{case.problem.pairs.n_customers:,} customers, {len(passes)} changes"
    holds = max(gaps) <= GAP
    told = {"cpu_s": float(np.median(cpu)), "gap": max(gaps), "peer_name": "ours, from nothing"}
    lines = []
    for word, pick in (("median", np.median), ("worst", np.max)):
        share = float(pick(np.array(passes) / np.array(full_passes)))
        goal = Goal(0.25, 1.0 / float(np.median(full_passes)), holds=holds)
        lines.append(record(
            f"what-if on one row{label}, {word}: passes ÷ full", "share", share, size, goal=goal,
            peer=1.0, passes=float(pick(passes)), full_passes=float(np.median(full_passes)), **told,
        ))  # fmt: skip
        share = float(pick(np.array(cpu) / np.array(full_cpu)))
        lines.append(record(
            f"what-if on one row{label}, {word}: CPU ÷ full", "share", share, size,
            goal=Goal(0.25, None, holds=holds), peer=1.0, **told,
        ))  # fmt: skip
    return lines


def a_launch(case: Case) -> match.Launch:
    """Return a product for a fifth of the customers, as good as the others."""
    pairs, rng = case.problem.pairs, np.random.default_rng([case.seed, 7])
    who = np.flatnonzero(rng.random(pairs.n_customers) < 0.2)
    value = rng.permutation(np.asarray(pairs.value, np.float64))[: len(who)]
    return match.Launch(who, value, 1.0, 100.0, 0.5, 1.0)


def new_product(case: Case) -> list[dict[str, Any]]:
    """Return what one more product costs, beside solving the larger problem anew."""
    quota = 0.003 * case.problem.pairs.n_customers
    launch = a_launch(case)
    match.forecast(case.standing, launches={1.0: launch}, quotas=[1.0], gap_target=GAP)
    (point,), cpu_s = timed(lambda: match.forecast(
        case.standing, launches={1.0: launch}, quotas=[quota], gap_target=GAP))  # fmt: skip
    full, full_s = solved(point.answer.after.problem, case.seed)
    size = f"{case.problem.pairs.n_customers:,} customers"
    told = {"gap": point.answer.certificate.gap, "peer_name": "ours, from nothing", "cpu_s": cpu_s}
    share = point.answer.passes / full.certificate.passes
    holds = point.answer.certificate.gap <= GAP
    return [
        record("one new product: passes ÷ full", "share", share, size, peer=1.0,
               goal=Goal(0.25, 1 / full.certificate.passes, holds=holds),
               passes=point.answer.passes, full_passes=full.certificate.passes, **told),
        record("one new product: CPU ÷ full", "share", cpu_s / full_s, size, peer=1.0,
               goal=Goal(0.25, None, holds=holds), **told),
    ]  # fmt: skip


def ranges(case: Case) -> list[dict[str, Any]]:
    """Return what the price of one more unit and its range cost a limit."""
    weight = case.standing.plan.duals * np.abs([row.limit for row in case.problem.rows])
    names = [case.problem.rows[i].name for i in np.argsort(-weight)[:10].tolist()]
    found, cpu_s = timed(lambda: match.price_ranges(case.standing, names=names))
    size = f"{case.problem.pairs.n_customers:,} customers"
    why = "HiGHS ranges a basis; at this size it has none within minutes"
    return [
        record("price and range of a limit", "CPU-s", cpu_s / len(found), size, cpu_s=cpu_s,
               peer_reason=why),
        record("a plan made ready for questions", "CPU-s", case.stand_cpu_s, size,
               peer=case.cpu_s, peer_name="ours, from nothing", cpu_s=case.stand_cpu_s),
    ]  # fmt: skip


def records(quick: bool, seed: int) -> list[dict[str, Any]]:
    """Return the records of small changes."""
    made = case(50_000 if quick else 100_000, seed)
    asked = [line for label in CHANGES for line in what_ifs(made, label)]
    lines = [*asked, *new_product(made), *ranges(made)]
    return [{"seed": seed} | line for line in lines]


if __name__ == "__main__":
    print(written(records(bool(os.environ.get("QUICK")), int(os.environ.get("SEED") or 1))))
