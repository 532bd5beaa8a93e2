"""Match beside HiGHS: one command, one table, ``benchmarks/out/match_small.json``.

``python -m benchmarks.match.small``: SEED=n for another market, QUICK=1 for smaller sizes. Seconds
are CPU seconds of this process. HiGHS solves the linear relaxation (not integral) and one tenth of
the customers, where it can; ours also runs that size. Compiling is done before, and printed.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from jinqiao import match
from match.problems import Problem, lp_optimum

OUT = Path(__file__).resolve().parents[1] / "out" / "match_small.json"
N_PRODUCTS, N_INSTITUTIONS = 60, 20


def market(n: int, slots: int, seed: int) -> Problem:
    """Return n customers × 60 products: quotas, budgets, segment and approval floors."""
    rng = np.random.default_rng(seed)
    p = N_PRODUCTS
    allowed = rng.random((n, p)) < 0.5
    taste, pull = rng.normal(0, 1, (n, 4)), rng.normal(0, 0.35, (p, 4))
    need = (taste @ pull.T)[allowed]
    click = np.clip(np.exp(need + rng.normal(-3.0, 0.3, len(need))), 1e-3, 0.6)
    chances = np.column_stack(
        [click, rng.beta(4, 12, len(need)), rng.beta(5, 6, len(need)), rng.beta(8, 4, len(need))]
    )
    payout, stage = rng.integers(3_000, 30_000, p), rng.integers(1, 4, p)
    worth = rng.lognormal(9.5, 0.6, len(need))
    product = np.nonzero(allowed)[1]
    from jinqiao.engines.worth import pair_value

    value = pair_value(chances, worth, payout[product], stage[product], 3_000.0, 1.0)
    pairs = match.pairs_from(allowed, chances, value, payout, stage)
    return Problem(pairs, np.full(n, slots), rows(pairs, rng, slots), p)


def rows(pairs: match.Pairs, rng: np.random.Generator, slots: int) -> tuple[match.LimitRow, ...]:
    """Return 60 quotas, 20 budgets, 5 approval floors, a thin-file floor and a city ceiling."""
    n, p = pairs.n_customers, N_PRODUCTS
    institution = rng.permutation(np.arange(p) % N_INSTITUTIONS)
    use, cost = n * slots * pairs.column("use").mean(), n * slots * pairs.column("cost").mean()
    chance = pairs.column("approval").mean()
    everything, share = np.arange(p), 1.0 / p
    made = [
        match.LimitRow(f"quota-{i}", "<=", use * share * rng.uniform(0.4, 2.5), "count", [i])
        for i in range(p)
    ]
    for i in range(N_INSTITUTIONS):
        own = np.flatnonzero(institution == i)
        budget = np.floor(cost * len(own) * share * rng.uniform(0.4, 2.5))
        made.append(match.LimitRow(f"budget-{i}", "<=", budget, "cost", own))
        if i % 4 == 0:
            made.append(match.approval_row(f"approval-{i}", own, 1.02 * chance))
    thin, city = rng.random(n) < 0.1, rng.random(n) < 0.4
    made.append(match.segment_row("thin-file", thin, 0.1 * use, everything))
    made.append(match.LimitRow("city", "<=", 0.3 * use, "count", everything, city))
    return tuple(made)


def timed(work: Any) -> tuple[Any, float]:
    started = time.process_time()
    return work(), time.process_time() - started


def ours(problem: Problem) -> tuple[match.Plan, float]:
    plan, cpu_s = timed(
        lambda: match.solve(
            problem.pairs, problem.slots, problem.rows, n_products=problem.n_products
        )
    )
    checked = match.certify(problem.pairs, problem.slots, problem.rows, plan)
    assert checked.violation_max == 0.0
    assert checked.slot_excess == 0
    return plan, cpu_s


def records(n: int, slots: int, seed: int) -> list[dict[str, Any]]:
    big, small = market(n, slots, seed), market(n // 10, slots, seed)
    plan, cpu_s = ours(big)
    part, part_s = ours(small)
    optimum, peer_s = timed(lambda: lp_optimum(small))
    size = {"customers": n, "products": N_PRODUCTS, "slots": slots, "pairs": big.pairs.n_pairs}
    less = {**size, "customers": n // 10, "pairs": small.pairs.n_pairs}
    found = (optimum - part.certificate.primal) / abs(optimum)
    alone = {
        "peer": None,
        "peer_name": "HiGHS",
        "ratio": None,
        "peer_reason": "minutes at this size",
    }
    beside = {"peer": peer_s, "peer_name": "HiGHS LP", "ratio": peer_s / max(part_s, 1e-9)}
    return [
        {"figure": "solve", "unit": "cpu_s", "ours": cpu_s, "size": size, "cpu_s": cpu_s, **alone},
        {"figure": "gap", "unit": "share", "ours": plan.certificate.gap, "size": size,
         "cpu_s": cpu_s, **alone},
        {"figure": "passes", "unit": "passes", "ours": plan.certificate.passes, "size": size,
         "cpu_s": cpu_s, **alone},
        {"figure": "solve", "unit": "cpu_s", "ours": part_s, "size": less, "cpu_s": part_s,
         **beside},
        {"figure": "below_lp_optimum", "unit": "share", "ours": found, "peer": 0.0,
         "peer_name": "HiGHS LP, fractional", "ratio": None, "size": less, "cpu_s": part_s},
    ]  # fmt: skip


def main() -> None:
    seed, n = int(os.environ.get("SEED", "0")), 20_000 if os.environ.get("QUICK") else 100_000
    _, warm_s = timed(match.warm_up)
    print(f"kernels ready in {warm_s:.1f} CPU-s (seed {seed})")
    table = [line | {"seed": seed} for slots in (1, 4) for line in records(n, slots, seed)]
    for line in table:
        size = line["size"]
        peer = "" if line["peer"] is None else f"{line['peer_name']} {line['peer']:.4g}"
        ratio = "" if line["ratio"] is None else f"{line['ratio']:.0f}×"
        where = f"{size['customers']:,} × {size['products']}, K={size['slots']}"
        figure = f"{line['figure']:18} {where:24} {line['ours']:10.4g} {line['unit']:7}"
        print(f"{figure} {peer:22} {ratio}")
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
