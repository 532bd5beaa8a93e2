"""A billion variables in memory: 50 million customers × 20 products, cost per product, one plan.

The input is made once, in files of their own (6.4 GB in ``benchmarks/out/instances``), by two
processes; a run that was stopped goes on where it was. ``python -m benchmarks.match.billion make N
SEED`` makes it, ``… solve N SEED`` reads it into memory and solves it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from benchmarks.match import instances, measure
from benchmarks.match.instances import CHUNK, LAWS, Instance
from benchmarks.match.table import Goal, record

__all__ = ["records"]

ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / "benchmarks" / "out" / "instances"
LAW = LAWS["billion"]
PARTS = 2
NEEDED = 13e9
"""Bytes of free memory below which a billion variables are not tried."""

_BATCH = 25
"""Chunks between two marks of progress."""


def folder(n: int, seed: int) -> Path:
    """Return where an instance lies."""
    return FILES / f"billion-{n}-{seed}"


def make(n: int, seed: int) -> float:
    """Make what is missing of the files; return the seconds it took."""
    began, here = time.perf_counter(), folder(n, seed)
    here.mkdir(parents=True, exist_ok=True)
    for name, dtype in (("value", np.float32), ("product", np.uint16)):
        if not (here / f"{name}.npy").exists():
            np.lib.format.open_memmap(here / f"{name}.npy", "w+", dtype, (n * LAW.degree,))
    words = [sys.executable, "-m", "benchmarks.match.billion", "part", str(n), str(seed)]
    running = [subprocess.Popen([*words, str(part)], cwd=ROOT) for part in range(PARTS)]
    codes = [process.wait() for process in running]
    if any(codes):
        raise RuntimeError("the instance could not be made")
    return time.perf_counter() - began


def make_part(n: int, seed: int, part: int) -> None:
    """Make every PARTS-th batch of chunks, from where this part was stopped."""
    here, goods = folder(n, seed), instances.market(LAW, seed)
    mark = here / f"part-{part}.json"
    done = json.loads(mark.read_text())["batches"] if mark.exists() else 0
    value, product = (
        np.load(here / f"{name}.npy", mmap_mode="r+") for name in ("value", "product")
    )
    batches = range(part, -(-n // (_BATCH * CHUNK)), PARTS)
    for batch in batches[done:]:
        for index in range(batch * _BATCH, min((batch + 1) * _BATCH, -(-n // CHUNK))):
            begin = index * CHUNK
            made = goods.chunk(index, min(CHUNK, n - begin), plan=False)
            at = slice(begin * LAW.degree, begin * LAW.degree + len(made.product))
            value[at], product[at] = made.value, made.product
        value.flush()
        product.flush()
        done += 1
        mark.write_text(json.dumps({"batches": done}))


def read(n: int, seed: int) -> Instance:
    """Return the instance, in memory."""
    here = folder(n, seed)
    value, product = (np.load(here / f"{name}.npy") for name in ("value", "product"))
    indptr = np.arange(0, (n + 1) * LAW.degree, LAW.degree, dtype=np.int64)
    goods = instances.market(LAW, seed)
    cost = np.ceil(goods.price).astype(np.float32)
    rows = instances.rows_of(LAW, n, seed)
    return Instance(LAW, indptr, product, value, cost, None, rows, seed)


def solve(n: int, seed: int, gap: float) -> dict[str, Any]:
    """Return what one solve needs, and what the checker finds of its plan."""
    from jinqiao import match

    match.warm_up()
    began = time.perf_counter()
    instance = read(n, seed)
    read_s = time.perf_counter() - began
    with measure.Clock() as clock:
        plan = measure.solve(instance, gap)
    found = measure.checked(instance, plan)
    return found | {
        "cpu_s": clock.cpu_s, "wall_s": clock.wall_s, "peak_bytes": clock.peak, "read_s": read_s,
        "input_bytes": instance.n_bytes,
    }  # fmt: skip


def records(quick: bool, seed: int) -> list[dict[str, Any]]:
    """Return the figures: seconds, gigabytes and gap; none, with the reason, without the memory."""
    n = 1_000_000 if quick else 50_000_000
    size = f"{n * LAW.degree:,} variables, {n:,} customers"
    names = ("wall", "peak memory", "gap")
    goals = (Goal(180, 30), Goal(12, 9), Goal(1e-4, 1.5e-5))
    free = psutil.virtual_memory().available
    if not quick and free < NEEDED:
        reason = f"{free / 1e9:.0f} GB of memory are free, {NEEDED / 1e9:.0f} are needed"
        return [
            record(f"in memory: {name}", unit, None, size, goal=goal, reason=reason)
            for name, unit, goal in zip(names, ("s", "GB", "share"), goals, strict=True)
        ]
    made_s = make(n, seed)
    words = [sys.executable, "-m", "benchmarks.match.billion", "solve", str(n), str(seed)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=1_500)
    if done.returncode:
        raise RuntimeError(
            (done.stderr.strip() or f"ended with {done.returncode}").splitlines()[-1]
        )
    found = json.loads(done.stdout.splitlines()[-1])
    whole = found["violation"] == 0.0 and found["slot_excess"] == 0 and found["gap"] <= 1e-4
    told = {key: found[key] for key in ("cpu_s", "gap", "passes", "read_s", "violation")}
    told |= {"made_s": made_s, "peer_reason": "peers run at 100,000 customers only"}
    figures = (found["wall_s"], (found["peak_bytes"] or np.nan) / 1e9, found["gap"])
    lines = []
    for name, unit, figure, goal in zip(names, ("s", "GB", "share"), figures, goals, strict=True):
        asked = None if quick else Goal(goal.must, goal.moonshot, holds=whole)
        lines.append(record(f"in memory: {name}", unit, figure, size, goal=asked, **told))
    return lines


def main() -> None:
    what, n, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if what == "make":
        sys.stdout.write(f"made in {make(n, seed):.0f} s\n")
    elif what == "part":
        make_part(n, seed, int(sys.argv[4]))
    else:
        sys.stdout.write(json.dumps(solve(n, seed, 1e-4)) + "\n")


if __name__ == "__main__":
    main()
