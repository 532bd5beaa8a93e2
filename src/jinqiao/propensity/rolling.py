"""Rows in the order of time: train on all earlier ones, predict the next few, pool the scores.

The figure: rows b·i … b·(i+1) are scored by a model of rows 0 … b·i alone, for every i ≥ 1; the
area under the curve is over all scored rows pooled, so it also says whether the level was followed.

``follow`` is boosted trees on all known rows, averaged over seeds. Its settings are constants here,
not arguments of a search.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jinqiao.errors import InputError
from jinqiao.propensity.folds import Learn
from jinqiao.propensity.measure import auc_interval

__all__ = ["BLOCK_ROWS", "area_with_interval", "follow", "rolling"]

BLOCK_ROWS = 600
_ROUNDS = 60
_SEEDS = 2
_RESAMPLES = 1000
_BINS: dict[str, Any] = {"max_bin": 63, "verbose": -1}
_SETTINGS: dict[str, Any] = {
    "objective": "binary", "num_leaves": 15, "learning_rate": 0.06, "min_data_in_leaf": 60,
    "feature_fraction": 0.25, "lambda_l2": 10.0, "num_threads": 1, "deterministic": True,
    "force_row_wise": True,
}  # fmt: skip


def rolling(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    learn: Learn,
    *,
    block_rows: int = BLOCK_ROWS,
    progress: Callable[[float], None] | None = None,
) -> NDArray[np.float64]:
    """Return the score of every row by a model of the blocks before its own, (n,).

    The first block, which nothing comes before, is NaN. Raises InputError for fewer than two
    blocks.
    """
    rows: NDArray[np.float64] = np.asarray(x, np.float64)
    label: NDArray[np.float64] = np.asarray(y, np.float64)
    n = len(label)
    if n <= block_rows:
        raise InputError(f"{n} rows are not two blocks of {block_rows}", field="y")
    scores = np.full(n, np.nan)
    for start in range(block_rows, n, block_rows):
        end = min(start + block_rows, n)
        scores[start:end] = learn(rows[:start], label[:start], rows[start:end])
        if progress is not None:
            progress(end / n)
    return scores


def follow(seed: int = 0) -> Learn:
    """Return the learner: known rows in the order of time and their labels, then those asked."""

    def learn(
        known: NDArray[np.float64], label: NDArray[np.float64], asked: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        import lightgbm

        total = np.zeros(len(asked))
        for k in range(_SEEDS):
            data = lightgbm.Dataset(known, label, params=dict(_BINS))
            params = _SETTINGS | _BINS | {"seed": (seed * 1009 + k) % 2**31}
            booster = lightgbm.train(params, data, _ROUNDS)
            total += np.asarray(booster.predict(asked, raw_score=True, num_threads=1))
        return total / _SEEDS

    return learn


def area_with_interval(
    score: NDArray[np.floating], y: NDArray[np.floating], *, seed: int = 0
) -> tuple[float, list[float]]:
    """Return the area under the curve of scored rows (NaN left out) and its 95 % interval over
    resampled rows.
    """
    from jinqiao.propensity.calibration import weighted_auc

    kept = np.isfinite(score)
    score, y = score[kept], np.asarray(y, np.float64)[kept]
    ones = np.ones(len(y))
    rng = np.random.default_rng([seed, 17])
    return weighted_auc(score, y, ones), auc_interval(score, y, ones, rng, resamples=_RESAMPLES)
