"""From files: pairs made once, kept and gone on with; solved in a process that never holds them.

``python -m benchmarks.match.files make N SEED`` makes N customers (20 pairs each of 100 products),
``… solve N SEED`` solves them and prints a JSON object, ``… drop N SEED`` deletes them. In the
whole table: 1e8 pairs, 4e6 with QUICK=1, or as many as FILES_PAIRS says (1e9, say: 6 GB on disk).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from benchmarks.match import instances
from benchmarks.match.measure import Clock
from benchmarks.match.table import Goal, record

from jinqiao import match

KEPT = Path(__file__).resolve().parents[1] / "out" / "pairs"
LAW = instances.LAWS["billion"]
PER_FILE = 1_000_000
"""Customers of a file."""


def folder_of(n: int, seed: int) -> Path:
    """Return where the pairs of so many customers lie."""
    return KEPT / f"{n}-{seed}"


def make(n: int, seed: int) -> Path:
    """Return the folder of the pairs, made where they are not there yet, file by file."""
    folder = folder_of(n, seed)
    folder.mkdir(parents=True, exist_ok=True)
    for first in range(0, n, PER_FILE):
        place = folder / f"pairs-{first // PER_FILE:04d}.parquet"
        if place.exists():
            continue
        beside = place.with_suffix(".part")
        _write(beside, first, min(first + PER_FILE, n), seed)
        os.replace(beside, place)
    return folder


def _write(place: Path, first: int, last: int, seed: int) -> None:
    schema = pa.schema(
        [("customer", pa.int64()), ("product", pa.uint16()), ("value", pa.float32())]
    )
    with pq.ParquetWriter(
        place, schema, compression="none", use_dictionary=["product"],
        column_encoding={"customer": "DELTA_BINARY_PACKED", "value": "PLAIN"},
    ) as out:  # fmt: skip
        for batch in _tables(first, last, seed):
            out.write_table(batch, row_group_size=2_000_000)


def _tables(first: int, last: int, seed: int) -> Iterator[pa.Table]:
    """Yield tables of some chunks of the law, of about 2,000,000 rows."""
    goods, per = instances.market(LAW, seed), 5 * instances.CHUNK
    for low in range(first, last, per):
        high = min(low + per, last)
        held = [
            goods.chunk(at // instances.CHUNK, min(instances.CHUNK, high - at), plan=False)
            for at in range(low, high, instances.CHUNK)
        ]
        counts = np.concatenate([p.count for p in held])
        yield pa.table({
            "customer": np.repeat(np.arange(low, high), counts),
            "product": np.concatenate([p.product for p in held]),
            "value": np.concatenate([p.value for p in held]),
        })  # fmt: skip


def files_of(n: int, seed: int) -> match.PairFiles:
    """Return the files of so many customers, made before."""
    cost = next(instances.chunks(LAW, 1, seed)).cost
    return match.PairFiles(folder_of(n, seed), LAW.n_products, cost=cost)


def solve(n: int, seed: int) -> dict[str, Any]:
    """Return what a solve from files takes in this process, and its certificate, checked."""
    match.warm_up()
    files, rows = files_of(n, seed), instances.rows_of(LAW, n, seed)
    stages: dict[str, float] = {}
    with tempfile.TemporaryDirectory(dir=KEPT) as into:
        watch = match.Watch(_noting(stages), time.process_time)
        with Clock() as clock:
            plan = match.solve_files(
                files, rows, into, seed=seed, gap_target=1e-4, run=match.FilesRun(watch=watch)
            )
        with Clock() as check:
            checked = match.certify_files(files, rows, plan)
    return {
        "wall_s": clock.wall_s, "cpu_s": clock.cpu_s, "peak_bytes": clock.peak,
        "pairs": plan.n_pairs, "offers": plan.n_offers, "gap": checked.gap,
        "violation_max": checked.violation_max, "slot_excess": checked.slot_excess,
        "passes": plan.certificate.passes, "stages": stages,
        "told_gap": plan.certificate.gap, "check_s": check.wall_s, "check_cpu_s": check.cpu_s,
        "check_peak_bytes": check.peak,
    }  # fmt: skip


def _noting(stages: dict[str, float]) -> Any:
    """Note the CPU seconds of every turn of a stage; tell rates on the error stream."""

    def told(event: match.FilesProgress) -> None:
        name = f"{event.stage} {event.number}"
        share = event.pairs_done / max(event.pairs_total, 1)
        stages[name] = round(event.pairs_done / max(event.pairs_per_s, 1e-9), 3)
        print(
            f"{name} {share:.0%} {event.pairs_per_s:.3g} pairs a CPU-second",
            file=sys.stderr,
            flush=True,
        )

    return told


def records(*, quick: bool, seed: int) -> Iterable[dict[str, Any]]:
    """Yield the figures of one size."""
    wanted = float(os.environ.get("FILES_PAIRS") or (4e6 if quick else 1e8))
    n = int(wanted) // LAW.degree
    size = f"{wanted:.0e} pairs, {n:,} customers, {LAW.n_products} products, files"
    begun = time.perf_counter()
    make(n, seed)
    made_s = time.perf_counter() - begun
    command = [sys.executable, "-m", "benchmarks.match.files", "solve", str(n), str(seed)]
    told = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
    found = json.loads(told.splitlines()[-1])
    if "FILES_PAIRS" not in os.environ:
        shutil.rmtree(folder_of(n, seed), ignore_errors=True)
    full = wanted >= 1e9
    good = found["gap"] <= 1e-4 and not found["violation_max"] and not found["slot_excess"]
    none = {"peer_reason": "no peer reads pairs from files", "seed": seed, "making_s": made_s}
    goal = Goal(1200.0, 180.0, holds=good) if full else None
    yield record(
        "from files: wall seconds", "s", found["wall_s"], size, cpu_s=found["cpu_s"], goal=goal,
        gap=found["gap"], passes=found["passes"], stage_cpu_s=found["stages"], **none,
    )  # fmt: skip
    yield record(
        "from files: gap, checked", "", found["gap"], size, goal=Goal(1e-4),
        check_s=found["check_s"], cpu_s=found["check_cpu_s"], **none,
    )  # fmt: skip
    gib = None if found["peak_bytes"] is None else found["peak_bytes"] / 2**30
    goal = Goal(2e9 / 2**30, holds=good)
    yield record("from files: resident memory", "GiB", gib, size, goal=goal, **none)


def main(argv: list[str]) -> None:
    verb, n, seed = argv[0], int(float(argv[1])), int(argv[2])
    if verb == "make":
        print(make(n, seed))
    elif verb == "solve":
        print(json.dumps(solve(n, seed)))
    elif verb == "drop":
        shutil.rmtree(folder_of(n, seed), ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
