"""Open Bandit's shelves: one policy's value told from the other's log, both ways, men and women."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jinqiao import insight
from jinqiao.errors import InputError

PLACES = 3


@dataclass(frozen=True)
class Shown:
    """What one policy showed: (n,) item, place, click, its chance, and (n, 5) what was known."""

    item: NDArray[np.int64]
    place: NDArray[np.int64]
    click: NDArray[np.float64]
    chance: NDArray[np.float64]
    known: NDArray[np.float64]

    @property
    def log(self) -> insight.PolicyLog:
        return insight.PolicyLog(self.click, self.chance)


def shown(folder: Path, name: str) -> Shown:
    """Return one of men_random, men_bts, women_random, women_bts."""
    table = pq.read_table(folder / "open_bandit" / f"{name}.parquet")
    coded = [
        np.unique(np.array(table[f"user_feature_{k}"].to_pylist()), return_inverse=True)[1]
        for k in range(4)
    ]
    place = table["position"].to_numpy().astype(np.int64) - 1
    return Shown(
        table["item_id"].to_numpy().astype(np.int64),
        place,
        table["click"].to_numpy().astype(np.float64),
        table["propensity_score"].to_numpy(),
        np.column_stack([*coded, place]).astype(np.float64),
    )


def target(of: Shown, n_items: int) -> NDArray[np.float64]:
    """Return how often a policy shows each item in each place, (places, items)."""
    counts = np.bincount(of.place * n_items + of.item, minlength=PLACES * n_items)
    table = counts.reshape(PLACES, n_items).astype(np.float64)
    return table / table.sum(axis=1, keepdims=True)


def told(log: Shown, chances: NDArray[np.float64], seed: int = 0) -> insight.PolicyValue:
    """Return the value of a target of (places, items) chances from another policy's log."""
    by_row = chances[log.place]
    model = insight.reward_model(log.log, log.known, log.item, by_row, seed=seed)
    own = by_row[np.arange(len(log.item)), log.item]
    return insight.policy_value(log.log, own, model=model)


def records(quick: bool, seed: int) -> list[dict[str, Any]]:
    """Return, both ways and for both shops, the value told beside the other log's click rate."""
    del quick
    folder = os.environ.get("JINQIAO_DATA_DIR")
    out = []
    for shop in ("men", "women") if folder else ():
        logs = {name: shown(Path(str(folder)), f"{shop}_{name}") for name in ("random", "bts")}
        n_items = 1 + max(int(log.item.max()) for log in logs.values())
        for source, other in (("random", "bts"), ("bts", "random")):
            started = time.process_time()
            base = {
                "figure": f"open_bandit_{shop}_{source}_to_{other}",
                "unit": "click rate",
                "peer": float(logs[other].click.mean()),
                "peer_name": "its own log",
                "ratio": None,
                "size": {"rows": len(logs[source].item)},
                "seed": seed,
            }
            try:
                found = told(logs[source], target(logs[other], n_items), seed)
                more = {"ours": found.value.value, "chosen": found.chosen,
                        "interval": [found.value.lower, found.value.upper]}  # fmt: skip
            except InputError as refused:
                more = {"ours": None, "refused": str(refused)}
            out.append({**base, **more, "cpu_s": time.process_time() - started})
    return out


if __name__ == "__main__":
    for record in records(quick=False, seed=0):
        print(record)
