"""What a snapshot's arrays take when several processes map them: proportional set size."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.match.table import Goal, record
from benchmarks.serve.world import World

from jinqiao import shelf

__all__ = ["records"]

WORKERS = 2
_READ = """
import sys
from pathlib import Path
import numpy as np
from jinqiao import propensity, shelf
serving = shelf.read(Path(sys.argv[1])) if len(sys.argv) > 1 else None
if serving is not None:
    int(serving.allowed[:].sum())
    for column in serving.profiles.columns[1:]:
        column.null_count, float(np.nansum(column.to_numpy()))
print("ready", flush=True)
sys.stdin.readline()
"""


def records(world: World, *, quick: bool, seed: int) -> Iterator[dict[str, Any]]:
    """Yield the memory of workers that have read all of a mapped snapshot, less their baseline."""
    if not Path("/proc/self/smaps_rollup").exists():
        yield record("snapshot_pss", "MB", None, "", reason="no /proc/self/smaps_rollup here")
        return
    with tempfile.TemporaryDirectory() as folder:
        shelf.write(Path(folder) / "serving", world.serving)
        alone = _pss([])
        mapped = _pss([str(Path(folder) / "serving")])
    size = {"customers": world.serving.profiles.num_rows, "features": 60, "workers": WORKERS}
    yield record(
        "snapshot_pss", "MB", mapped - alone, size,  # type: ignore[arg-type]
        goal=Goal(400, 260), baseline_mb=alone, peer_reason="no peer maps its snapshot",
    )  # fmt: skip


def _pss(arguments: list[str]) -> float:
    """Return the summed proportional set size of the workers, MB."""
    command = [sys.executable, "-c", _READ, *arguments]
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(WORKERS)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            if worker.stdout.readline().strip() != "ready":
                raise RuntimeError("a worker could not read the snapshot")
        return sum(_own_pss(worker.pid) for worker in workers)
    finally:
        for worker in workers:
            worker.communicate("\n")


def _own_pss(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1e3
