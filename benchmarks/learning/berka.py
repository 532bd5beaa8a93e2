"""Bad loans of a real bank: 354 loans, 30 of them bad, five times ten folds, beside peers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from benchmarks.bank_learning import bad_loans


def records(quick: bool, seed: int) -> list[dict[str, Any]]:
    """Return one record: our area under the curve beside the best peer in the same folds."""
    base = {"figure": "berka_bad_loan", "unit": "AUC", "seed": seed}
    folder = os.environ.get("JINQIAO_DATA_DIR")
    if not folder:
        return [{**base, "ours": None, "peer": None, "peer_name": None, "ratio": None,
                 "size": None, "cpu_s": None,
                 "peer_reason": "JINQIAO_DATA_DIR is not set"}]  # fmt: skip
    repeats = 1 if quick else 5
    told = bad_loans(Path(folder) / "berka", seed, repeats)
    best = max(told, key=lambda record: record["peer"])
    areas = {record["peer_name"]: record["peer"] for record in told}
    size = {"rows": best["size"], "repeats": repeats}
    return [{**best, **base, "interval": best["ci"], "areas": areas, "size": size}]


if __name__ == "__main__":
    for record in records(quick=bool(os.environ.get("QUICK")), seed=1):
        print(record)
