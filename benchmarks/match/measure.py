"""One measurement in a process of its own: ``python -m benchmarks.match.measure CASE N SEED``.

Prints a JSON object. Kernels are compiled or loaded before, and told beside. CPU seconds are of
this process, every thread; memory is read from Linux's /proc, and null elsewhere.
"""

from __future__ import annotations

import gc
import hashlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.match import instances
from benchmarks.match.instances import Instance

from jinqiao import match
from jinqiao.errors import Infeasible

CASES: dict[str, Callable[[str, int, int], dict[str, Any]]] = {}
"""``solve:LAW``, ``warm:LAW``, ``same:LAW``, ``stop:LAW``, ``cold:LAW``, ``infeasible:NAME``."""

_STATUS = Path("/proc/self/status")


def case(name: str) -> Callable[[Any], Any]:
    def keep(function: Any) -> Any:
        CASES[name] = function
        return function

    return keep


class Clock:
    """CPU and wall seconds, and the highest resident memory, of a block."""

    def __enter__(self) -> Clock:
        gc.collect()
        self.before = _memory("VmRSS")
        _forget_peak()
        self.cpu_s, self.wall_s = -time.process_time(), -time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.cpu_s += time.process_time()
        self.wall_s += time.perf_counter()
        self.peak = _memory("VmHWM")

    @property
    def beyond(self) -> int | None:
        """Bytes above what was resident at the start."""
        return None if self.peak is None or self.before is None else self.peak - self.before


def _memory(name: str) -> int | None:
    if not _STATUS.exists():
        return None
    line = next(x for x in _STATUS.read_text().splitlines() if x.startswith(name))
    return 1024 * int(line.split()[1])


def _forget_peak() -> None:
    reset = Path("/proc/self/clear_refs")
    if reset.exists():
        reset.write_text("5")


def solve(instance: Instance, gap_target: float, **more: Any) -> match.Plan:
    """Return the plan of an instance at the solver's door."""
    return match.solve(
        instances.pairs_of(instance), instance.law.slots, instance.rows,
        n_products=instance.law.n_products, seed=instance.seed, gap_target=gap_target, **more,
    )  # fmt: skip


def checked(instance: Instance, plan: match.Plan) -> dict[str, Any]:
    """Return what the independent checker finds."""
    found = match.certify(instances.pairs_of(instance), instance.law.slots, instance.rows, plan)
    return {
        "gap": found.gap, "told_gap": plan.certificate.gap, "violation": found.violation_max,
        "slot_excess": found.slot_excess, "passes": found.passes, "primal": found.primal,
        "bound": found.dual_bound,
    }  # fmt: skip


def digest(plan: match.Plan) -> str:
    """Return a name of every bit of a plan and its prices."""
    whole = hashlib.sha256(np.packbits(plan.chosen).tobytes())
    whole.update(plan.duals.tobytes())
    return whole.hexdigest()


def timed(instance: Instance, gap_target: float, turns: int, **more: Any) -> dict[str, Any]:
    """Return the middle run of some, by CPU-s, with what the checker says of its plan."""
    runs = []
    for _ in range(turns):
        with Clock() as clock:
            plan = solve(instance, gap_target, **more)
        runs.append((clock.cpu_s, clock, plan))
    first = runs[0][1]
    _, clock, plan = sorted(runs, key=lambda run: run[0])[(turns - 1) // 2]
    bound = np.array([dual > 0 for dual in plan.duals])
    return checked(instance, plan) | {
        "cpu_s": clock.cpu_s, "wall_s": clock.wall_s, "gap_target": gap_target,
        "pairs": len(instance.product), "binding": float(bound.mean()) if len(bound) else 0.0,
        "memory_beyond_input": None if first.beyond is None else first.beyond / instance.n_bytes,
        "memory_bytes": first.peak, "digest": digest(plan), "turns": turns,
    }  # fmt: skip


@case("solve")
def solve_case(law: str, n: int, seed: int) -> dict[str, Any]:
    """Solve to each gap of ``GAPS``."""
    instance = instances.problem(law, n, seed)
    turns = 3 if n <= 200_000 else 1
    gaps = [float(x) for x in sys.argv[4].split(",")]
    return {"runs": [timed(instance, gap, turns) for gap in gaps]}


@case("warm")
def warm_case(law: str, n: int, seed: int) -> dict[str, Any]:
    """Solve today, then every kind of tomorrow cold and from today's prices."""
    today = instances.problem(law, n, seed)
    plan = solve(today, 2e-4)
    prices = dict(zip(plan.row_names, plan.duals.tolist(), strict=True))
    found = {}
    for kind in instances.DAYS:
        day = instances.next_day(today, seed, kind)
        found[kind] = {"cold": timed(day, 2e-4, 3), "warm": timed(day, 2e-4, 3, warm=prices)}
    return found


@case("same")
def same_case(law: str, n: int, seed: int) -> dict[str, Any]:
    """Return the digest of the plan of one thread, of two, and of three."""
    instance = instances.problem(law, n, seed)
    runs = [timed(instance, 2e-4, 1, threads=k) for k in (1, 2, 3)]
    return {"digests": [run["digest"] for run in runs], "cpu_s": runs[0]["cpu_s"]}


@case("stop")
def stop_case(law: str, n: int, seed: int) -> dict[str, Any]:
    """Stop a solve after ever more of its steps; check each plan and bound as it is."""
    instance = instances.problem(law, n, seed)
    whole = checked(instance, solve(instance, 2e-4))
    kept = []
    with Clock() as clock:
        for turns in (0, 1, 2, 4, 8, 16, 32, 64):
            calls = iter(range(turns))
            plan = solve(instance, 2e-4, stop=lambda calls=calls: next(calls, None) is None)
            one = checked(instance, plan)
            valid = one["bound"] >= whole["primal"] * (1 - 1e-12)
            told = abs(one["bound"] - plan.certificate.dual_bound) <= 1e-9 * abs(one["bound"])
            kept.append(valid and told and one["violation"] == 0.0 and one["slot_excess"] == 0)
    return {"kept": kept, "cpu_s": clock.cpu_s}


@case("cold")
def cold_case(law: str, n: int, seed: int) -> dict[str, Any]:
    """Solve at once in a new process: compiling, or loading what was compiled, included."""
    instance = instances.problem(law, n, seed)
    with Clock() as first:
        solve(instance, 2e-4)
    with Clock() as second:
        solve(instance, 2e-4)
    return {"first_cpu_s": first.cpu_s, "first_wall_s": first.wall_s, "next_cpu_s": second.cpu_s}


@case("infeasible")
def infeasible_case(name: str, n: int, seed: int) -> dict[str, Any]:
    """Return what is said of rows that no plan meets."""
    from benchmarks.match import contradictions

    instance, guilty = contradictions.made(name, n, seed)
    told: dict[str, float] = {}
    relaxation: dict[str, float] = {}
    with Clock() as clock:
        try:
            solve(instance, 2e-4)
        except Infeasible as error:
            told, relaxation = dict(error.weights), dict(error.relaxation)
    proof = match.certify_infeasible(
        instances.pairs_of(instance), instance.law.slots, instance.rows, told,
        n_products=instance.law.n_products,
    )  # fmt: skip
    found = contradictions.judged(instance, guilty, told, relaxation)
    return found | {"cpu_s": clock.cpu_s, "proof": proof}


def main() -> None:
    what, _, law = sys.argv[1].partition(":")
    began = time.process_time()
    if what != "cold":
        match.warm_up()
    ready = time.process_time() - began
    found = CASES[what](law, int(sys.argv[2]), int(sys.argv[3]))
    sys.stdout.write(json.dumps(found | {"ready_cpu_s": ready}) + "\n")


if __name__ == "__main__":
    main()
