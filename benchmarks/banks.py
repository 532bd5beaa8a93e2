"""The two public banks, measured: ``benchmarks/results/banks.json``, then the README's table.

``python benchmarks/banks.py`` with JINQIAO_DATA_DIR set to the folder that holds ``berka/`` and
``bank_marketing/``; without it nothing is measured and nothing is written. SEED=n is taken.
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
SEED = os.environ.get("SEED") or "1"


def take(*words: str) -> dict[str, Any]:
    """Return the figures a command printed, but the shelf and its workspace, and CPU seconds."""
    jinqiao = Path(sys.executable).with_name("jinqiao")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as here:
        done = subprocess.run(
            [str(jinqiao), "import", *words, "--seed", SEED, "--json"],
            stdout=subprocess.PIPE, cwd=here, check=True,
        )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    figures: dict[str, Any] = json.loads(done.stdout)
    for told in ("shelf", "workspace"):
        figures.pop(told, None)
    return figures | {"cpu_s": round(cpu, 1)}


def main() -> None:
    """Measure both, where their data are."""
    root = os.environ.get("JINQIAO_DATA_DIR")
    if not root or not Path(root).is_dir():
        print("real data were not measured: JINQIAO_DATA_DIR is not set")
        return
    marketing = next(Path(root).glob("bank*marketing/bank*additional*full.*"))
    record = {
        "benchmark": "banks",
        "seed": int(SEED),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "berka": take("berka", str(Path(root) / "berka")),
        "bank_marketing": take("bank-marketing", str(marketing)),
    }
    (HERE / "results").mkdir(exist_ok=True)
    path = HERE / "results" / "banks.json"
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps(record, indent=1, ensure_ascii=False))
    subprocess.run([sys.executable, HERE.parent / "scripts" / "readme_figures.py"], check=True)


if __name__ == "__main__":
    main()
