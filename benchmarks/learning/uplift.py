"""Whom to contact: uplift beside a response model and a plain T-learner, where the truth is known.

No randomised campaign is among the public files, so contacts are drawn by lot over the people of a
real one (bank-full, without ``duration``), whose answers are drawn from a model of the real ones
and an effect made of their own columns; and over made people. What a ranking is worth is the mean
of the true effect · (2u − 1) over people it did not learn from, u the rank in [0, 1] (a Qini
area): contacting by lot is 0.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from benchmarks.learning.credit_files import boosting

from jinqiao import propensity
from jinqiao.engines.given import labels_of, table_of
from jinqiao.propensity.tables import choose, matrix_of

KINDS = ("moved", "none", "harmed")


def people(folder: str | None, n: int, rng: np.random.Generator) -> tuple[pa.Table, np.ndarray]:
    """Return people and the chance each buys uncontacted: real ones where there is a file."""
    if not folder:
        x = rng.normal(size=(n, 8))
        table = pa.table({f"x{i}": x[:, i] for i in range(8)})
        return table, 1 / (1 + np.exp(2.0 - x[:, 0] - 0.5 * x[:, 1]))
    table = table_of(Path(folder) / "bank_marketing" / "bank_full.parquet")
    table = table.take(pa.array(np.sort(rng.choice(table.num_rows, n, replace=False))))
    y = labels_of(table, "y")
    table = table.drop_columns(["y", "duration"])
    x = matrix_of(choose(table, table.column_names)[0], table).astype(np.float64)
    half = rng.random(n) < 0.5
    held = np.where(half, boosting(x[~half], y[~half], x), boosting(x[half], y[half], x))
    return table, np.clip(held, 0.01, 0.9)


def effect(table: pa.Table, held: np.ndarray, kind: str) -> np.ndarray:
    """Return what a contact adds to each one's chance."""
    if kind == "none":
        return np.zeros(len(held))
    if kind == "harmed":
        return np.where(held > np.quantile(held, 0.7), -0.4 * held, 0.06)
    names = [n for n in ("age", "balance", "x2", "x3") if n in table.column_names]
    rank = [np.argsort(np.argsort(table[n].to_numpy())) / len(held) for n in names]
    return np.clip(0.16 * (rank[0] * (1 - rank[1])) - 0.01, -held, 1 - held)


def worth(true: np.ndarray, score: np.ndarray) -> float:
    """Return the mean true effect weighted by rank, 0 for a ranking by lot; ties by chance."""
    order = np.lexsort((np.random.default_rng(0).random(len(score)), score))
    place = (np.arange(len(true)) + 0.5) / len(true)
    return float((true[order] * (2 * place - 1)).mean())


def one(folder: str | None, kind: str, n: int, seed: int) -> dict[str, Any]:
    """Return what each ranking is worth in one campaign, and whether intervals hold."""
    rng = np.random.default_rng([seed, 71, KINDS.index(kind)])
    table, held = people(folder, n, rng)
    true = effect(table, held, kind)
    called = rng.random(n) < 0.5
    bought = rng.random(n) < np.clip(held + called * true, 0, 1)
    known = np.arange(n) % 2 == 0
    x = matrix_of(choose(table, table.column_names)[0], table).astype(np.float64)
    full = table.append_column("called", pa.array(called)).append_column("bought", pa.array(bought))
    model = propensity.fit_uplift(full.filter(pa.array(known)), treatment="called",
                                  outcome="bought", seed=seed)  # fmt: skip
    asked, rest = table.filter(pa.array(~known)), true[~known]
    told, label = model.uplift(asked), bought.astype(float)
    arms = [boosting(x[known & (called == arm)], label[known & (called == arm)], x[~known])
            for arm in (False, True)]  # fmt: skip
    return {
        "ours": worth(rest, model.rank(asked)), "T-learner": worth(rest, arms[1] - arms[0]),
        "response": worth(rest, boosting(x[known], label[known], x[~known])),
        "oracle": worth(rest, rest), "ranks_by": model.ranks_by,
        "held": float(((told.lower <= rest) & (rest <= told.upper)).mean()),
    }  # fmt: skip


def records(quick: bool, seed: int) -> list[dict[str, Any]]:
    """Return, kind by kind, what ours is worth beside the better peer, over several campaigns."""
    folder, out = os.environ.get("JINQIAO_DATA_DIR"), []
    n, times = (6_000, 2) if quick else (20_000, 6)
    for kind in KINDS:
        began = time.process_time()
        told = [one(folder, kind, n, seed * 100 + k) for k in range(times)]
        mean = {who: float(np.mean([t[who] for t in told]))
                for who in ("ours", "T-learner", "response", "oracle", "held")}  # fmt: skip
        peer = max(("T-learner", "response"), key=lambda who: mean[who])
        spread = float(np.std([t["ours"] - t[peer] for t in told], ddof=1) / np.sqrt(times))
        gain = mean["ours"] - mean[peer]
        out.append({
            "figure": f"uplift_{kind}", "unit": "effect by rank", "ours": mean["ours"],
            "peer": mean[peer], "peer_name": peer,
            "ratio": mean["ours"] / mean[peer] if mean[peer] > 0 else None,
            "gain_interval": [gain - 1.96 * spread, gain + 1.96 * spread],
            "worth": mean, "ranks_by": [t["ranks_by"] for t in told],
            "size": {"people": n, "campaigns": times, "real_people": bool(folder)},
            "seed": seed, "cpu_s": time.process_time() - began,
        })  # fmt: skip
    return out


if __name__ == "__main__":
    for record in records(quick=bool(os.environ.get("QUICK")), seed=0):
        print(record)
