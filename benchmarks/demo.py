"""The whole demonstration, measured: ``benchmarks/results/demo.json``, then the README's table.

``python benchmarks/demo.py``: SEED=n for another market (written to ``out/``, not committed),
QUICK=1 for 1,000 people (to ``out/`` too). Each run is a process of its own, cold and then warm:
the second finds compiled kernels. Seconds are of this machine, alone; CPU seconds stand beside.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SEED = int(os.environ.get("SEED", "1") or 1)
QUICK = bool(os.environ.get("QUICK"))


def play(folder: Path) -> dict[str, Any]:
    """Return the figures of one run, with its CPU seconds."""
    jinqiao = Path(sys.executable).with_name("jinqiao")
    words = [str(jinqiao), "demo", str(folder), "--seed", str(SEED), "--json"]
    words.append("--quick" if QUICK else "--no-serve")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures | {"cpu_s": round(cpu, 1)}


def main() -> None:
    """Run twice, keep the second with the first's seconds beside it."""
    with tempfile.TemporaryDirectory() as scratch:
        cold = play(Path(scratch) / "one")
        warm = play(Path(scratch) / "two")
    figures = {key: value for key, value in warm.items() if key != "cpu_s"}
    record = {
        "benchmark": "demo",
        "command": "make demo SERVE=0",
        "seed": SEED,
        "cpu_s": warm["cpu_s"],
        "cold": {key: cold[key] for key in ("first_shelf_s", "total_s", "cpu_s")},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "peer": None,
        "peer_reason": "the peers are the naive ladder and the oracle, in figures",
        "figures": figures,
    }
    kept = HERE / ("out" if QUICK or SEED != 1 else "results")
    kept.mkdir(exist_ok=True)
    path = kept / "demo.json"
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for key, value in figures.items():
        print(f"{key:24} {value}")
    print(f"{'cpu_s':24} {warm['cpu_s']} (first run {cold['cpu_s']})")
    if kept.name == "results":
        subprocess.run([sys.executable, HERE.parent / "scripts" / "readme_figures.py"], check=True)


if __name__ == "__main__":
    main()
