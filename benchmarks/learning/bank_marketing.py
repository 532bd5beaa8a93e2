"""Term deposits by telephone without ``duration``: random folds, and rows in the order of time.

Random 5-fold, by the committee, says the future is known. Rolling 600, by ``follow``, is what a
model refitted as answers come is worth: train on all earlier rows, predict the next 600, pool the
area under the curve.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from benchmarks.learning.credit_files import boosting, committee

from jinqiao import propensity
from jinqiao.flow.banks.bank_marketing import FEATURES, read_calls
from jinqiao.propensity.members import plain_logistic
from jinqiao.propensity.rolling import area_with_interval, follow, rolling
from jinqiao.propensity.tables import choose, matrix_of

PEERS = {"logistic": plain_logistic, "boosting": boosting}
QUICK_STEP = 8


def calls(folder: Path, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (x, y) in the order of the calls, every ``step``-th of them."""
    table = read_calls(folder / "bank_marketing" / "bank_additional_full.parquet")
    table = table.take(pa.array(np.arange(0, table.num_rows, step)))
    y = np.array([word == "yes" for word in table["y"].cast(pa.string()).to_pylist()], float)
    return matrix_of(choose(table, list(FEATURES))[0], table).astype(np.float64), y


def record(figure: str, ours: tuple[float, list[float]], areas: dict[str, float]) -> dict[str, Any]:
    """Return a record beside the better of two peers."""
    peer = max(areas, key=lambda name: areas[name])
    return {"figure": figure, "unit": "AUC", "ours": ours[0], "interval": ours[1],
            "peer": areas[peer], "peer_name": peer, "ratio": ours[0] / areas[peer],
            "areas": areas}  # fmt: skip


def records(quick: bool, seed: int) -> list[dict[str, Any]]:
    """Return both figures; QUICK takes every eighth call."""
    folder = os.environ.get("JINQIAO_DATA_DIR")
    names = ("bank_marketing_random", "bank_marketing_rolling")
    if not folder:
        return [{"figure": name, "unit": "AUC", "seed": seed, "ours": None, "peer": None,
                 "peer_name": None, "ratio": None, "size": None, "cpu_s": None,
                 "peer_reason": "JINQIAO_DATA_DIR is not set"} for name in names]  # fmt: skip
    x, y = calls(Path(folder), QUICK_STEP if quick else 1)
    out, ones = [], {"seed": seed, "size": {"rows": len(y), "columns": x.shape[1]}}
    for name in names:
        began = time.process_time()
        if name == names[0]:
            learners = {"ours": committee, **PEERS}
            fit = propensity.cross_fit(x, y, learners, folds=5, repeats=1, seed=seed)
            scores = {who: score[0] for who, score in fit.scores.items()}
        else:
            scores = {"ours": rolling(x, y, follow(seed))}
            scores |= {who: rolling(x, y, learn) for who, learn in PEERS.items()}
        told = {who: area_with_interval(score, y, seed=seed) for who, score in scores.items()}
        areas = {who: area for who, (area, _) in told.items() if who != "ours"}
        out.append({**record(name, told["ours"], areas), **ones,
                    "cpu_s": time.process_time() - began})  # fmt: skip
    return out


if __name__ == "__main__":
    for one in records(quick=bool(os.environ.get("QUICK")), seed=0):
        print(one)
