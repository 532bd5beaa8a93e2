"""Learning on real banks beside peers: one command, ``benchmarks/out/bank_learning.json``.

``JINQIAO_DATA_DIR=… python benchmarks/bank_learning.py``: SEED=n for other folds, QUICK=1 for two
repeats. Peers see the same columns in the same folds, as scikit-learn ships them.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from jinqiao.flow.banks import bank_marketing, scoring
from jinqiao.flow.banks.arrive import arrive
from jinqiao.flow.banks.home import BankClock, bank_engine
from jinqiao.flow.banks.ledgers import read_bank
from jinqiao.propensity import CommitteeSpec, area_figures, cross_fit
from jinqiao.propensity.members import fit_members

OUT = Path(__file__).resolve().parent / "out" / "bank_learning.json"
ASKED = ("amount", "duration", "payments", "age")


def boosting(known: Any, label: Any, asked: Any) -> Any:
    """Return the scores of scikit-learn's histogram boosting, untuned."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(random_state=0).fit(known, label)
    return model.predict_proba(asked)[:, 1]


def forest(known: Any, label: Any, asked: Any) -> Any:
    """Return the scores of scikit-learn's random forest, untuned, missing values as the mean."""
    from sklearn.ensemble import RandomForestClassifier

    middle = np.nanmean(known, axis=0)
    full = [np.where(np.isnan(part), middle, part) for part in (known, asked)]
    model = RandomForestClassifier(random_state=0).fit(full[0], label)
    return model.predict_proba(full[1])[:, 1]


def bad_loans(data: Path, seed: int, repeats: int) -> list[dict[str, Any]]:
    """Return the records of bad loans: ours, and each peer in the same folds."""
    clock = BankClock(scoring.AS_OF_US)
    with tempfile.TemporaryDirectory() as root, bank_engine(Path(root) / "bank", clock) as engine:
        bank = read_bank(data)
        arrived = arrive(engine, clock, bank, lambda *_: None)
        trial = scoring.Trial(seed, repeats, lambda _: None)
        begun = time.process_time()
        learnt = scoring.bad_loan(engine, bank, arrived, trial=trial)
    card, spent = learnt.model.card, time.process_time() - begun
    names = [n for n in learnt.table.column_names if n != "bad_loan"]
    x = np.column_stack([learnt.table[n].cast("float64").to_numpy() for n in names])
    y = learnt.table["bad_loan"].to_numpy().astype(float)
    asked = [names.index(name) for name in ASKED]

    def static(known: Any, label: Any, other: Any) -> Any:
        return boosting(known[:, asked], label, other[:, asked])

    def ridge(known: Any, label: Any, other: Any) -> Any:
        return fit_members(known, label, tuple(names), seed, CommitteeSpec()).members(other)[:, 0]

    peers = {
        "the committee's own logistic (C = 0.1)": ridge,
        "boosting, untuned": boosting,
        "random forest, untuned": forest,
        "what was asked for and age alone, boosting": static,
    }
    fitted = cross_fit(x, y, peers, repeats=repeats, seed=seed)
    found = area_figures(fitted, tuple(peers), seed=seed)
    areas = {"logistic, as it comes": card["logistic"]["auc"]}
    areas |= {name: found[name]["auc"] for name in peers}
    common = {"figure": "bad_loan_auc", "unit": "auc", "ours": card["auc"], "ci": card["ci"],
              "size": len(y), "seed": seed, "cpu_s": round(spent, 1)}  # fmt: skip
    return [
        common | {"peer": peer, "peer_name": name, "ratio": card["auc"] / peer}
        for name, peer in areas.items()
    ]


def calls(file: Path, seed: int) -> list[dict[str, Any]]:
    """Return the records of term deposits in time order; no peer is run on them here."""
    begun = time.process_time()
    told = bank_marketing.run(file, seed=seed)
    spent = time.process_time() - begun
    return [
        {"figure": name, "unit": "auc", "ours": told[name], "ci": told[f"{name}_ci"],
         "peer": None, "peer_name": None, "peer_reason": "the drift is the figure's, not a peer's",
         "ratio": None, "size": told["rows"], "seed": seed, "cpu_s": round(spent, 1),
         "yes_rate_by_tenth": told["yes_rate_by_tenth"]}
        for name in ("term_deposit_auc", "term_deposit_auc_rolling")
    ]  # fmt: skip


def main() -> None:
    """Measure, print the table, write the records."""
    root = os.environ.get("JINQIAO_DATA_DIR")
    if not root or not Path(root).is_dir():
        sys.exit("real data were not measured: JINQIAO_DATA_DIR is not set")
    seed = int(os.environ.get("SEED") or 1)
    repeats = 2 if os.environ.get("QUICK") else 5
    records = bad_loans(Path(root) / "berka", seed, repeats)
    records += calls(Path(root) / "bank_marketing" / "bank_additional_full.parquet", seed)
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    for row in records:
        peer = "" if row["peer"] is None else f"{row['peer']:.4f}  {row['peer_name']}"
        low, high = row["ci"]
        print(f"{row['figure']:26} {row['ours']:.4f} ({low:.3f}–{high:.3f})  {peer}")


if __name__ == "__main__":
    main()
