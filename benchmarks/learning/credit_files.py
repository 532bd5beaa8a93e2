"""Credit files of others: ours in 5 folds beside a logistic regression, boosting and their mean."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jinqiao import propensity
from jinqiao.propensity.committee import CommitteeSpec, fit_members, plain_logistic
from jinqiao.propensity.folds import CrossFit
from jinqiao.propensity.tables import columns_of, matrix_of

FILES = {
    "german_credit": ("german_credit/german_credit.parquet", ("class", 2)),
    "lending_club": ("modeldata_credit/lending_club.parquet", ("Class", "bad")),
    "credit_data": ("modeldata_credit/credit_data.parquet", ("Status", "bad")),
}


def boosting(known: Any, label: Any, asked: Any) -> Any:
    """Return the scores of scikit-learn's histogram boosting, untuned."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(random_state=0).fit(known, label)
    return model.predict_proba(asked)[:, 1]


def committee(known: Any, label: Any, asked: Any) -> Any:
    """Return the scores of our committee with its fixed settings."""
    names = tuple(str(i) for i in range(known.shape[1]))
    return fit_members(known, label, names, spec=CommitteeSpec(), seed=0).score(asked)


def table_of(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return (x, y) of one file: numbers as they are, texts as yes-or-no columns."""
    path, (column, bad) = FILES[name]
    table = pq.read_table(folder / path)
    y = np.array([value == bad for value in table[column].to_pylist()], np.float64)
    rest = table.drop_columns([column])
    texts = [
        n for n in rest.column_names if pa.types.is_dictionary(rest[n].type)
    ]  # fmt: skip
    for text in texts:
        place = rest.schema.get_field_index(text)
        rest = rest.set_column(place, text, rest[text].cast(pa.string()))
    return matrix_of(tuple(columns_of(rest, rest.column_names)), rest).astype(np.float64), y


def records(quick: bool, seed: int) -> list[dict[str, Any]]:
    """Return one record a file: our area under the curve beside the best of three peers."""
    folder = os.environ.get("JINQIAO_DATA_DIR")
    out = []
    for name in FILES:
        base = {"figure": f"auc_{name}", "unit": "AUC", "seed": seed}
        if not folder:
            out.append({**base, "ours": None, "peer": None, "peer_name": None, "ratio": None,
                        "size": None, "cpu_s": None,
                        "peer_reason": "JINQIAO_DATA_DIR is not set"})  # fmt: skip
            continue
        x, y = table_of(Path(folder), name)
        began = time.process_time()
        learners = {"ours": committee, "logistic": plain_logistic, "boosting": boosting}
        fit = propensity.cross_fit(x, y, learners, folds=5, repeats=1 if quick else 3, seed=seed)
        z = {n: (s - s.mean(axis=1, keepdims=True)) / s.std(axis=1, keepdims=True)
             for n, s in fit.scores.items()}  # fmt: skip
        both = CrossFit({**fit.scores, "mean": z["logistic"] + z["boosting"]}, fit.y, fit.folds)
        areas = {n: both.area(n) for n in both.scores}
        peer = max((n for n in areas if n != "ours"), key=lambda n: areas[n])
        told = propensity.area_figures(both, ["ours", peer], seed=seed, resamples=300)
        out.append({**base, "ours": areas["ours"], "interval": told["ours"]["ci"],
                    "peer": areas[peer], "peer_name": peer, "ratio": areas["ours"] / areas[peer],
                    "gain_interval": told[peer]["gain_ci"],
                    "size": {"rows": len(y), "columns": x.shape[1]},
                    "cpu_s": time.process_time() - began})  # fmt: skip
    return out


if __name__ == "__main__":
    for record in records(quick=bool(os.environ.get("QUICK")), seed=0):
        print(record)
