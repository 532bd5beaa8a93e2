"""On Spark: the same solve on a standalone master and two workers of one core, beside one process.

``records`` measures what the page on scale is computed from: pairs a second of an executor's core,
bytes that a pass sends to the driver, and the driver's own seconds. Needs Java and the extra
``spark``; says so where they are missing.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.match import files as pair_files
from benchmarks.match import instances
from benchmarks.match.table import Goal, record

from jinqiao import match

TESTS = Path(__file__).resolve().parents[2] / "tests"


def records(*, quick: bool, seed: int) -> Iterable[dict[str, Any]]:
    """Yield the figures of a cluster of two executors."""
    n = 100_000 if quick else 1_000_000
    size = f"{n * pair_files.LAW.degree:.0e} pairs, {n:,} customers, 2 executors of 1 core"
    pair_files.make(n, seed)
    try:
        with _cluster() as session:
            yield from _measured(session, n, seed, size)
    except _Missing as missing:
        yield record("on Spark: wall seconds", "s", None, size, reason=str(missing), seed=seed)
    finally:
        shutil.rmtree(pair_files.folder_of(n, seed), ignore_errors=True)


@contextmanager
def _cluster() -> Iterator[Any]:
    """The tests' cluster: a master and two workers, each a process."""
    sys.path.insert(0, str(TESTS))
    try:
        import spark_cluster
    finally:
        sys.path.remove(str(TESTS))
    try:
        with spark_cluster.cluster() as session:
            yield session
    except spark_cluster.NotHereError as missing:
        raise _Missing(str(missing)) from missing


class _Missing(RuntimeError):
    pass


def _measured(session: Any, n: int, seed: int, size: str) -> Iterator[dict[str, Any]]:
    files, rows = pair_files.files_of(n, seed), instances.rows_of(pair_files.LAW, n, seed)
    out = Path(tempfile.mkdtemp(dir=pair_files.KEPT))
    try:
        _solve(session, files, rows, out / "warm")  # Python workers up, kernels loaded
        cpu = time.process_time()
        plan, turns, sent, wall = _solve(session, files, rows, out / "plan")
        driver_s = time.process_time() - cpu
        begun = time.perf_counter()
        alone = match.solve_files(files, rows, out / "alone", run=match.FilesRun(threads=2))
        alone_s = time.perf_counter() - begun
        checked = match.certify_files(files, rows, plan)
    finally:
        shutil.rmtree(out, ignore_errors=True)
    held = not checked.violation_max and not checked.slot_excess
    same = abs(alone.certificate.dual_bound / plan.certificate.dual_bound - 1.0)
    rate = 0.5 * turns["pass"][0] / turns["pass"][1]
    more = {"seed": seed}
    yield record(
        "on Spark: wall seconds", "s", wall, size, peer=alone_s, peer_name="the same, one process",
        cpu_s=driver_s, goal=Goal(holds=held), gap=checked.gap, bound_apart=same, **more,
    )  # fmt: skip
    yield record("on Spark: driver, CPU seconds", "s", driver_s, size, **more)
    yield record("on Spark: pairs a second of a core, pass", "1/s", rate, size, **more)
    yield record("on Spark: turns of files", "", float(turns["turns"][0]), size, **more)
    yield record("on Spark: to the driver", "MB", sent / 1e6, size, **more)


def _solve(
    session: Any, files: Any, rows: Any, into: Path
) -> tuple[Any, dict[str, tuple[float, float]], int, float]:
    """Return the plan, pairs and seconds of every stage, bytes sent to the driver, wall seconds."""
    done: dict[str, tuple[float, float]] = {}
    turns = 0

    def told(event: match.FilesProgress) -> None:
        nonlocal turns
        turns += 1
        pairs, seconds = done.get(event.stage, (0.0, 0.0))
        spent = event.pairs_done / max(event.pairs_per_s, 1e-9)
        done[event.stage] = (pairs + event.pairs_done, seconds + spent)

    watch = match.Watch(told, time.perf_counter)
    begun = time.perf_counter()
    plan = match.solve_spark(session, files, rows, into, run=match.FilesRun(watch=watch))
    wall = time.perf_counter() - begun
    done["turns"] = (float(turns + 1), 0.0)  # the offers are written in one turn more
    return plan, done, watch.received, wall
