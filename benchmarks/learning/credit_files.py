"""Credit files of others: ours in 5 folds beside a logistic regression, a scorecard, boosting and
the mean of the first and the last.

Nested: all that learns from labels learns inside a fold, the committee's weights too. Files of the
table are german_credit, lending_club and credit_data; the others tell whether what was gained there
holds elsewhere. Columns known only after the outcome are left out.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jinqiao import propensity
from jinqiao.engines.given import labels_of, table_of
from jinqiao.propensity.committee import fit_committee
from jinqiao.propensity.folds import CrossFit
from jinqiao.propensity.members import plain_logistic
from jinqiao.propensity.tables import choose, matrix_of

QUICK_ROWS = 1_500


@dataclass(frozen=True)
class File:
    """Where a file is, its outcome, the value that counts, what is known too late; repeats."""

    path: str
    target: str
    yes: Any
    late: tuple[str, ...] = ()
    repeats: int = 1
    rows: int = 12_000


FILES = {
    "german_credit": File("german_credit/german_credit", "class", 2, repeats=3),
    "lending_club": File("modeldata_credit/lending_club", "Class", "bad", repeats=2),
    "credit_data": File("modeldata_credit/credit_data", "Status", "bad", repeats=2),
    "bank_churners": File("bank_churners/bank_churners", "Attrition_Flag", "Attrited Customer",
                          rows=5_000),
    "coil2000": File("coil2000/ticdata2000", "CARAVAN", 1),
    "polish_bankruptcy": File("polish_bankruptcy/year1", "class", 1),
    "sba_case": File("sba_case/sba_case", "Default", 1,
                     ("Term", "daysterm", "xx", "ChgOffDate", "BalanceGross", "MIS_Status",
                      "ChgOffPrinGr", "Selected", "LoanNr_ChkDgt", "Zip")),
    "census_income": File("census_income_kdd/census_income_test", "income_50k", 1,
                          ("instance_weight",), rows=4_000),
}  # fmt: skip


def boosting(known: Any, label: Any, asked: Any) -> Any:
    """Return the scores of scikit-learn's histogram boosting, untuned."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(random_state=0).fit(known, label)
    return model.predict_proba(asked)[:, 1]


def scorecard(known: Any, label: Any, asked: Any) -> Any:
    """Return the scores of a scorecard: weights of evidence of eighths, then a logistic."""
    told = [np.empty_like(known), np.empty_like(asked)]
    base = (label.sum() + 0.5) / (len(label) - label.sum() + 0.5)
    for place in range(known.shape[1]):
        column = known[:, place]
        cuts = np.nanquantile(column, np.linspace(0, 1, 9)[1:-1]) if np.isfinite(
            column).any() else np.zeros(1)  # fmt: skip
        bins = [np.where(np.isnan(x[:, place]), 9, np.searchsorted(cuts, x[:, place], "right"))
                for x in (known, asked)]  # fmt: skip
        n, bad = np.bincount(bins[0], minlength=10), np.bincount(bins[0], label, minlength=10)
        woe = np.log((bad + 0.5 * base) / (n - bad + 0.5) / base)
        for out, code in zip(told, bins, strict=True):
            out[:, place] = np.where(n > 0, woe, 0.0)[code]
    return plain_logistic(told[0], label, told[1])


def committee(known: Any, label: Any, asked: Any) -> Any:
    """Return the scores of our committee, its weights learnt inside what is known."""
    names = tuple(str(i) for i in range(known.shape[1]))
    return fit_committee(known, label, names=names, seed=0).score(asked)


PEERS = {"logistic": plain_logistic, "scorecard": scorecard, "boosting": boosting}


def table_of_file(folder: Path, name: str, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (x, y) of one file, at most so many rows of it: as ``fit_score`` reads it."""
    file = FILES[name]
    table = table_of(folder / f"{file.path}.parquet")
    target = file.target if file.target in table.column_names else table.column_names[-1]
    if table.num_rows > most:
        rows = np.sort(np.random.default_rng(0).choice(table.num_rows, most, replace=False))
        table = table.take(rows)
    y = labels_of(table, target, yes=file.yes)
    asked = [n for n in table.column_names if n != target and n not in file.late]
    return matrix_of(choose(table, asked)[0], table).astype(np.float64), y


def standard(score: np.ndarray) -> np.ndarray:
    """Return scores of each repeat with mean 0 and spread 1, as logits where they are chances."""
    if score.min() >= 0 and score.max() <= 1:
        score = np.log(np.clip(score, 1e-6, 1 - 1e-6) / (1 - np.clip(score, 1e-6, 1 - 1e-6)))
    return (score - score.mean(axis=1, keepdims=True)) / score.std(axis=1, keepdims=True)


def one(folder: Path, name: str, quick: bool, seed: int) -> dict[str, Any]:
    """Return the record of one file: our area under the curve beside the best of four peers."""
    file, began = FILES[name], time.process_time()
    x, y = table_of_file(folder, name, QUICK_ROWS if quick else file.rows)
    learners = {"ours": committee, **PEERS}
    repeats = 1 if quick else file.repeats
    fit = propensity.cross_fit(x, y, learners, folds=5, repeats=repeats, seed=seed)
    mean = standard(fit.scores["logistic"]) + standard(fit.scores["boosting"])
    both = CrossFit({**fit.scores, "mean of logistic and boosting": mean}, fit.y, fit.folds)
    areas = {n: both.area(n) for n in both.scores}
    peer = max((n for n in areas if n != "ours"), key=lambda n: areas[n])
    told = propensity.area_figures(both, ["ours", peer], seed=seed, resamples=300)
    return {
        "figure": f"auc_{name}", "unit": "AUC", "seed": seed, "ours": areas["ours"],
        "interval": told["ours"]["ci"], "peer": areas[peer], "peer_name": peer,
        "ratio": areas["ours"] / areas[peer], "gain_interval": told[peer]["gain_ci"],
        "areas": areas, "size": {"rows": len(y), "columns": x.shape[1], "repeats": repeats},
        "cpu_s": time.process_time() - began,
    }  # fmt: skip


def records(quick: bool, seed: int) -> list[dict[str, Any]]:
    """Return one record a file; QUICK takes the three of the table, and some rows of each."""
    folder = os.environ.get("JINQIAO_DATA_DIR")
    names = list(FILES)[:3] if quick else list(FILES)
    if folder:
        return [one(Path(folder), name, quick, seed) for name in names]
    return [
        {"figure": f"auc_{name}", "unit": "AUC", "seed": seed, "ours": None, "peer": None,
         "peer_name": None, "ratio": None, "size": None, "cpu_s": None,
         "peer_reason": "JINQIAO_DATA_DIR is not set"}
        for name in names
    ]  # fmt: skip


if __name__ == "__main__":
    for record in records(quick=bool(os.environ.get("QUICK")), seed=0):
        print(record)
