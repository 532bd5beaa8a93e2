"""The table of serving: ``python -m benchmarks.serve``, from the root of the repository.

QUICK=1 takes smaller sizes, SEED=n another market, ONLY=group,group some of the groups. Writes
``benchmarks/out/serve.json`` after every group, so that a run that is stopped keeps what it has.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.match.table import write, written
from benchmarks.serve.world import make

OUT = Path(__file__).resolve().parents[1] / "out" / "serve.json"
GROUPS = ("decision", "batch", "memory")


def main() -> None:
    """Measure every group, print the table, write the records."""
    quick, seed = bool(os.environ.get("QUICK")), int(os.environ.get("SEED") or 1)
    asked = [name for name in os.environ.get("ONLY", "").split(",") if name]
    customers = int(os.environ.get("CUSTOMERS") or (50_000 if quick else 1_000_000))
    world, lines = make(customers, seed), []
    for name in GROUPS:
        if asked and name not in asked:
            continue
        began = time.perf_counter()
        module: Any = importlib.import_module(f"benchmarks.serve.{name}")
        for line in module.records(world, quick=quick, seed=seed):
            lines.append({"group": name, "seed": seed, "quick": quick} | line)
            write(OUT, lines)
        print(f"{name}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    print(written(lines))
    if quick:
        print("\nQUICK sizes: what must be and the moonshots are those of the full sizes.")


if __name__ == "__main__":
    main()
