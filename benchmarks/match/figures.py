"""Our figures: one function a group of lines of the table, each yields records.

Every measurement is a process of its own (``measure``), one after another.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.match import contradictions, instances
from benchmarks.match.peers import Peer, fastest, run_peers
from benchmarks.match.table import Goal, record

__all__ = ["GROUPS", "Run", "measured"]

ROOT = Path(__file__).resolve().parents[2]
Records = Iterator[dict[str, Any]]


@dataclass(frozen=True)
class Run:
    """How the table is run: ``quick`` takes smaller sizes."""

    quick: bool
    seed: int

    def n(self, full: int, quick: int) -> int:
        return quick if self.quick else full


class Failed(Exception):
    """A measurement that came to no end; its text is the reason."""


def measured(
    case: str, n: int, seed: int, *more: str, limit_s: float = 600.0, **environment: str
) -> dict[str, Any]:
    """Return what ``measure`` printed. Raises Failed. With QUICK, a minute at most."""
    limit_s = min(limit_s, 60.0) if os.environ.get("QUICK") else limit_s
    words = [sys.executable, "-m", "benchmarks.match.measure", case, str(n), str(seed), *more]
    try:
        done = subprocess.run(
            words, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True,
            timeout=limit_s,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Failed(f"no answer within {limit_s:.0f} s") from None
    if done.returncode:
        last = (done.stderr.strip() or "no word").splitlines()[-1]
        raise Failed(f"ended with {done.returncode}: {last}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@dataclass(frozen=True)
class Asked:
    """CPU-s and gap that a solve must reach, and its moonshots."""

    cpu_s: tuple[float, float]
    gap: tuple[float, float]


EVERY = (
    ("every kind of row, K = 1", "every-1", Asked((0.6, 0.2), (2e-4, 5e-5))),
    ("every kind of row, K = 3", "every-3", Asked((1.2, 0.5), (2e-4, 5e-5))),
    ("ties: scores of ten levels", "ties", Asked((1.2, 0.5), (2e-4, 5e-5))),
    ("ties, floors, K = 3", "floors", Asked((1.2, 0.5), (2e-4, 5e-5))),
)


def solves(name: str, law: str, n: int, seed: int, asked: Asked, **more: Any) -> Records:
    """Yield CPU-s and gap of a solve to the gap that must be, and of one to the moonshot's."""
    size = f"{n:,} customers"
    why = more.pop("peer_reason", "peers run on the base instance at 100,000 customers")
    try:
        gaps = ",".join(f"{gap:g}" for gap in asked.gap)
        found = measured(f"solve:{law}", n, seed, gaps, **more)
    except Failed as error:
        goal = Goal(*asked.cpu_s)
        yield record(
            f"{name}: solve", "CPU-s", None, size, goal=goal, reason=str(error), peer_reason=why
        )
        return
    for place, (label, run) in enumerate(zip(("must", "moonshot"), found["runs"], strict=True)):
        whole = run["violation"] == 0.0 and run["slot_excess"] == 0
        tight = [run["gap"] <= gap and whole for gap in asked.gap]
        fast = [run["cpu_s"] <= cpu for cpu in asked.cpu_s]
        told = {
            "cpu_s": run["cpu_s"], "gap": run["gap"], "wall_s": run["wall_s"],
            "passes": run["passes"], "binding": run["binding"], "pairs": run["pairs"],
            "violation": run["violation"], "peer_reason": why,
        }  # fmt: skip
        here = f"{name}, to a gap of {asked.gap[place]:g}"
        goal = Goal(*asked.cpu_s, holds=tight[0], holds_moonshot=tight[1])
        yield record(f"{here}: solve", "CPU-s", run["cpu_s"], size, goal=goal, **told)
        goal = Goal(*asked.gap, holds=whole and fast[0], holds_moonshot=fast[1])
        yield record(f"{here}: gap", "share", run["gap"], size, goal=goal, **told)
        if label == "must" and n >= 1_000_000:
            yield record(
                f"{name}: memory beyond the input", "share", run["memory_beyond_input"], size,
                goal=Goal(0.30, 0.10) if n == 1_000_000 else None, **told,
            )  # fmt: skip


def every(run: Run) -> Records:
    """Every kind of row, K = 1 and 3, ties, floors."""
    for name, law, asked in EVERY:
        yield from solves(name, law, run.n(100_000, 20_000), run.seed, asked)


def beside_peers(run: Run) -> Records:
    """The base instance beside PDLP and HiGHS."""
    n, gap = run.n(100_000, 10_000), 2e-4
    size = f"{n:,} customers"
    ours = measured("solve:base", n, run.seed, "2e-4,2e-5")["runs"]
    best = min(run["bound"] for run in ours)
    instance = instances.problem("base", n, run.seed)
    peers = run_peers(instance, best, gap)
    first = fastest(peers, gap)
    mine = ours[0]
    told = {"cpu_s": mine["cpu_s"], "gap": mine["gap"], "passes": mine["passes"]}
    beside = {"peer_reason": "no peer came within the gap"}
    if first is not None:
        beside = {"peer": first.cpu_s, "peer_name": first.name, "peer_gap": first.gap}
        ratio = (first.cpu_s or 0.0) / mine["cpu_s"]
        goal = Goal(40, 100, more=True, holds=mine["gap"] <= gap)
        yield record(
            f"base: the fastest peer's CPU ÷ ours, gap {gap:g}", "×", ratio, size, goal=goal,
            ratio=ratio, **beside, **told,
        )  # fmt: skip
    yield record("base: solve", "CPU-s", mine["cpu_s"], size, **beside, **told)
    for peer in peers:
        yield _peer_line(peer, mine, size)


def _peer_line(peer: Peer, mine: dict[str, Any], size: str) -> dict[str, Any]:
    told = {"cpu_s": mine["cpu_s"], "gap": mine["gap"], "tried": peer.tried}
    if peer.cpu_s is None:
        return record(
            f"base: beside {peer.name}", "CPU-s", mine["cpu_s"], size, peer_name=peer.name,
            peer_reason=peer.reason, reason=f"{peer.name}: {peer.reason}", **told,
        )  # fmt: skip
    return record(
        f"base: beside {peer.name} (gap {peer.gap:.1e})", "CPU-s", mine["cpu_s"], size,
        peer=peer.cpu_s, peer_name=peer.name, peer_gap=peer.gap, peer_tolerance=peer.tolerance,
        **told,
    )  # fmt: skip


def large(run: Run) -> Records:
    """A million and ten million customers."""
    million, ten = run.n(1_000_000, 100_000), run.n(10_000_000, 200_000)
    why = "peers run at 100,000 customers only"
    asked = Asked((3.0, 1.0), (1e-4, 2e-5))
    yield from solves("base", "base", million, run.seed, asked, peer_reason=why)
    asked = Asked((20.0, 6.0), (1e-4, 1e-5))
    yield from solves("base", "base", ten, run.seed, asked, peer_reason=why, limit_s=900.0)


def wide(run: Run) -> Records:
    """A thousand products, 1,200 rows."""
    asked = Asked((20.0, 6.0), (2e-4, 1e-4))
    for n in (run.n(300_000, 20_000), run.n(1_000_000, 0)):
        if n:
            name = "1,000 products, 1,200 rows"
            yield from solves(name, "wide", n, run.seed, asked, limit_s=240.0)


def small(run: Run) -> Records:
    """The integral gap of ten thousand customers within a second."""
    found = measured("solve:base", 10_000, run.seed, "1e-4,2e-5")["runs"]
    quick = [one for one in found if one["wall_s"] <= 1.0] or found[:1]
    one = min(quick, key=lambda one: one["gap"])
    goal = Goal(5e-4, 2e-4, holds=one["wall_s"] <= 1.0)
    yield record(
        "base: integral gap within 1 s", "share", one["gap"], "10,000 customers", goal=goal,
        cpu_s=one["cpu_s"], wall_s=one["wall_s"],
    )  # fmt: skip


def infeasible(run: Run) -> Records:
    """Rows that contradict each other: found, named, and the least relaxation beside HiGHS's."""
    for kind in contradictions.KINDS:
        n = run.n(5_000, 2_000)
        found = measured(f"infeasible:{kind}", n, run.seed)
        both = float(found["found"] and found["named"])
        told = {"cpu_s": found["cpu_s"], "rows_told": found["rows_told"]}
        size = f"{n:,} customers"
        yield record(
            f"infeasible, {kind}: found and named", "yes", both, size,
            goal=Goal(1, 1, more=True, holds_moonshot=found["proof"] < 0), proof=found["proof"],
            peer_reason="HiGHS says infeasible and names no row", **told,
        )  # fmt: skip
        over = found["ours"] / max(found["least"], 1e-12)
        yield record(
            f"infeasible, {kind}: relaxation told ÷ least", "×", over, size, goal=Goal(1.01, None),
            peer=found["least"], peer_name="HiGHS phase one, units",
            ratio=found["least"] / max(found["ours"], 1e-12), **told,
        )  # fmt: skip


def next_day(run: Run) -> Records:
    """Tomorrow from today's prices."""
    n = run.n(100_000, 20_000)
    size, beside = f"{n:,} customers", {"peer_name": "ours, cold"}
    for kind, found in measured("warm:base", n, run.seed).items():
        if kind not in instances.DAYS:
            continue
        cold, warm = found["cold"], found["warm"]
        told = {"cpu_s": warm["cpu_s"], "gap": warm["gap"]} | beside
        yield record(
            f"next day, {kind}, warm: passes", "passes", warm["passes"], size,
            goal=Goal(8, 3, holds=warm["gap"] <= 2e-4), peer=cold["passes"], **told,
        )  # fmt: skip
        yield record(
            f"next day, {kind}, warm: solve", "CPU-s", warm["cpu_s"], size, peer=cold["cpu_s"],
            **told,
        )  # fmt: skip


def same(run: Run) -> Records:
    """The same plan and prices for any number of threads; a plan and a bound at any stop."""
    n = run.n(200_000, 50_000)
    size = f"{n:,} customers"
    for law in ("base", "every-3"):
        found = measured(f"same:{law}", n, run.seed)
        equal = float(len(set(found["digests"])) == 1)
        yield record(
            f"{law}: 1, 2 and 3 threads, bit for bit", "yes", equal, size,
            goal=Goal(1, 1, more=True), cpu_s=found["cpu_s"], peer_reason="a property",
        )  # fmt: skip
        found = measured(f"stop:{law}", n, run.seed)
        share = sum(found["kept"]) / len(found["kept"])
        yield record(
            f"{law}: stops that leave a feasible plan, valid bound", "share", share, size,
            goal=Goal(1, 1, more=True), cpu_s=found["cpu_s"], peer_reason="a property",
        )  # fmt: skip


def first_call(run: Run) -> Records:
    """The first solve of a process whose kernels were compiled by an earlier one."""
    n = run.n(100_000, 20_000)
    found = measured("cold:base", n, run.seed)
    yield record(
        "base: first solve of a new process", "CPU-s", found["first_cpu_s"], f"{n:,} customers",
        peer=found["next_cpu_s"], peer_name="ours, the next solve", cpu_s=found["first_cpu_s"],
    )  # fmt: skip


GROUPS: dict[str, Callable[[Run], Records]] = {
    "every": every, "peers": beside_peers, "large": large, "wide": wide, "small": small,
    "infeasible": infeasible, "next-day": next_day, "same": same, "first": first_call,
}  # fmt: skip
