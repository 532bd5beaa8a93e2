"""The committee's members, fitted on the same rows: two lines, two kernels, two sets of trees.

Letters: n rows, k columns, d derived columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jinqiao.propensity.committee import Committee, CommitteeSpec, Kernel, Line
from jinqiao.propensity.encoding import fit_encoding
from jinqiao.propensity.linear import one_thread

__all__ = ["fit_members", "plain_logistic"]

Floats = NDArray[np.float64]
_FEW = 10_000


def fit_members(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    names: tuple[str, ...],
    seed: int,
    spec: CommitteeSpec,
) -> Committee:
    """Return the members fitted on some rows, weighed alike, not calibrated (slope 1, shift 0)."""
    rows: Floats = np.asarray(x, np.float64)
    rows = np.where(np.isfinite(rows), rows, np.nan)
    label: Floats = np.asarray(y, np.float64)
    encoding = fit_encoding(rows)
    seen = encoding.seen(rows)
    with one_thread():
        own: tuple[tuple[str, Line | Kernel], ...] = (
            ("plain", Line(*_logistic(seen["plain"], label, spec.ridge))),
            ("steps", Line(*_logistic(seen["steps"], label, spec.steps))),
            ("plain", _kernel(seen["plain"], label, seed, spec)),
            ("ranks", _kernel(seen["ranks"], label, seed, spec)),
        )
        trees = _trees(rows, label, seed, spec)
    m = len(own) + len(trees)
    plain = Committee(names, encoding, own, trees, np.tile([0.0, 1.0], (m, 1)), np.full(m, 1 / m))
    raw = plain.raw(rows[_some(label, spec.kernel_rows, np.random.default_rng([seed, 61]))])
    spread = raw.std(axis=0)
    scales = np.column_stack((raw.mean(axis=0), np.where(spread > 1e-9, spread, 1.0)))
    return replace(plain, scales=scales)


def plain_logistic(known: Floats, label: Floats, asked: Floats) -> Floats:
    """Return the scores of the baseline: scikit-learn's logistic regression as it comes (C = 1) on
    standardised columns, a missing value the mean.
    """
    mean, spread = np.zeros(known.shape[1]), np.ones(known.shape[1])
    seen = np.isfinite(known)
    count = np.maximum(seen.sum(axis=0), 1)
    mean = np.where(seen, known, 0.0).sum(axis=0) / count
    spread = np.sqrt((np.where(seen, known - mean, 0.0) ** 2).sum(axis=0) / count)
    spread = np.where(spread > 1e-12, spread, 1.0)

    def scaled(x: Floats) -> Floats:
        z = np.clip((x - mean) / spread, -8.0, 8.0)
        return np.where(np.isfinite(z), z, 0.0)

    with one_thread():
        slopes, intercept = _logistic(scaled(known), label, 1.0)
    return np.asarray(scaled(asked) @ slopes + intercept)


def _logistic(z: Floats, y: Floats, ridge: float) -> tuple[Floats, float]:
    from sklearn.linear_model import LogisticRegression

    if not z.shape[1]:
        return np.empty(0), 0.0
    fitted = LogisticRegression(C=ridge, max_iter=1000, tol=1e-5).fit(z, y)
    return np.asarray(fitted.coef_[0], np.float64), float(fitted.intercept_[0])


def _kernel(z: Floats, y: Floats, seed: int, spec: CommitteeSpec) -> Kernel:
    from sklearn.svm import SVC

    gamma = spec.width / max(z.shape[1], 1)
    if not z.shape[1]:
        return Kernel(np.empty((0, 0)), np.empty(0), 0.0, gamma)
    rows = _some(y, spec.kernel_rows, np.random.default_rng([seed, 59]))
    machine = SVC(C=spec.margin, gamma=gamma, class_weight="balanced", cache_size=500)
    fitted = machine.fit(z[rows], y[rows])
    dual = np.asarray(fitted.dual_coef_[0], np.float64)
    support = np.asarray(fitted.support_vectors_, np.float64)
    return Kernel(support, dual, float(fitted.intercept_[0]), gamma)


def _some(y: Floats, most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return at most so many rows, drawn: of the rarer label up to half of them."""
    if len(y) <= most:
        return np.arange(len(y))
    either = [np.flatnonzero(y == label) for label in (0.0, 1.0)]
    fewer, more = sorted(either, key=len)
    kept = min(len(fewer), max(most // 2, int(most * len(fewer) / len(y))))
    drawn = [rng.permutation(fewer)[:kept], rng.permutation(more)[: most - kept]]
    return np.sort(np.concatenate(drawn))


def _trees(x: Floats, y: Floats, seed: int, spec: CommitteeSpec) -> tuple[str, ...]:
    if len(y) < 2 * spec.min_leaf or not x.shape[1]:
        return ()
    return tuple(_boosted(x, y, (shape, seed, spec)) for shape in (spec.small, spec.large))


def _boosted(
    x: Floats, y: Floats, setup: tuple[tuple[int, int, float, float], int, CommitteeSpec]
) -> str:
    import lightgbm

    (leaves, rounds, rate, share), seed, spec = setup
    rounds = int(rounds * max(1.0, (len(y) / _FEW) ** 0.5))
    params: Mapping[str, Any] = {
        "objective": "binary", "num_leaves": leaves, "learning_rate": rate,
        "min_data_in_leaf": spec.min_leaf, "feature_fraction": share, "bagging_fraction": 0.7,
        "bagging_freq": 1, "lambda_l2": spec.l2, "num_threads": 1, "seed": seed % 2**31,
        "deterministic": True, "force_row_wise": True, "verbose": -1,
    }  # fmt: skip
    data = lightgbm.Dataset(x, y, params={"verbose": -1})
    return str(lightgbm.train(dict(params), data, rounds).model_to_string())
