"""A score for few rows: three different learners, each standardised, averaged and calibrated.

A logistic regression, a support vector machine with a radial kernel, and a small LightGBM see the
same columns; each one's score is put on mean 0 and spread 1 over the rows it learnt from, and the
committee's score is their mean. Settings are fixed beforehand, the same for every table: nothing is
searched, so nothing is fitted to the rows that judge. scikit-learn trains; predicting needs NumPy
and LightGBM only.

Letters: n rows, k columns, s support vectors. z = (x − mean) / sd, missing is 0, bounded by ±8.

Source: Breiman, "Stacked regressions", 1996 (why unlike learners average well); Platt 1999
(calibration on scores the members did not learn from); Sundararajan, Taly & Yan, "Axiomatic
attribution for deep networks", ICML 2017 (contributions of the kernel, which sum to its score).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jinqiao.errors import InputError, SchemaError
from jinqiao.propensity.calibration import sigmoid
from jinqiao.propensity.linear import one_thread

__all__ = [
    "Committee",
    "CommitteeSpec",
    "fit_committee",
    "fit_members",
    "fit_weak_platt",
    "plain_logistic",
]

_MOST_Z = 8.0
_INNER_FOLDS = 5
_PATH_NODES = 24


@dataclass(frozen=True, slots=True)
class CommitteeSpec:
    """The members' settings. ``ridge`` and ``margin`` are C of the two; ``width`` is gamma · k.

    Equal weights: a member counts as much as any other.
    """

    ridge: float = 0.1
    margin: float = 1.0
    width: float = 0.16
    rounds: int = 120
    learning_rate: float = 0.05
    leaves: int = 4
    min_leaf: int = 15
    feature_fraction: float = 0.3
    l2: float = 5.0


@dataclass(frozen=True)
class Committee:
    """A fitted committee: p = sigmoid(slope · score + shift), score the mean of three members.

    ``slopes`` (k,) of the logistic; ``support`` (s, k) and ``dual`` (s,) of the kernel; ``trees`` a
    LightGBM text, None when nothing could be grown; ``scales`` (3, 2) mean and spread of each.
    """

    names: tuple[str, ...]
    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    slopes: NDArray[np.float64]
    intercept: float
    support: NDArray[np.float64]
    dual: NDArray[np.float64]
    kernel_shift: float
    gamma: float
    trees: str | None
    scales: NDArray[np.float64]
    slope: float = 1.0
    shift: float = 0.0

    def members(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return each member's standardised score, (n, 3): logistic, kernel, boosting."""
        x = self._checked(x)
        raw = self._raw(x, self._z(x))
        return (raw - self.scales[:, 0]) / self.scales[:, 1]

    def score(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the committee's score of every row, (n,): higher is more likely a yes."""
        return np.asarray(self.members(x).mean(axis=1))

    def predict(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the calibrated chance of a yes of every row of (n, k), NaN for missing.

        Raises SchemaError when the number of columns is not the trained one.
        """
        return sigmoid(self.slope * self.score(x) + self.shift)

    def contributions(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return what each column adds to the calibrated logit, (n, k + 1); the last is the base.

        Exact for the logistic and the trees (SHAP values); the kernel's are integrated gradients
        from the mean row. Rows sum to the logit of ``predict``, to rounding.
        """
        x = self._checked(x)
        z = self._z(x)
        parts = (self._logistic_parts(z), self._kernel_parts(z), self._tree_parts(x))
        total = np.zeros((len(x), len(self.names) + 1))
        for part, (mean, sd) in zip(parts, self.scales, strict=True):
            total += part / sd
            total[:, -1] -= mean / sd
        total *= self.slope / len(parts)
        total[:, -1] += self.shift
        return total

    def _checked(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        rows: NDArray[np.float64] = np.asarray(x, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != len(self.names):
            raise SchemaError(f"{rows.shape} columns where {len(self.names)} are expected")
        return rows

    def _z(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return _standard(x, self.mean, self.sd)

    def _raw(self, x: NDArray[np.float64], z: NDArray[np.float64]) -> NDArray[np.float64]:
        trees = np.zeros(len(x))
        if self.trees is not None:
            trees = np.asarray(_booster(self.trees).predict(x, raw_score=True, num_threads=1))
        logistic = z @ self.slopes + self.intercept
        return np.column_stack((logistic, self._kernel(z) + self.kernel_shift, trees))

    def _kernel(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(self._weights(z).sum(axis=1))

    def _weights(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return dual · exp(−gamma · |z − support|²), (n, s)."""
        far = (z**2).sum(axis=1)[:, None] + (self.support**2).sum(axis=1) - 2 * z @ self.support.T
        return np.asarray(np.exp(-self.gamma * np.maximum(far, 0.0)) * self.dual)

    def _logistic_parts(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack((z * self.slopes, np.full(len(z), self.intercept)))

    def _kernel_parts(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return z · ∫ gradient(t·z) dt by Gauss–Legendre, and the score of the mean row."""
        nodes, weights = np.polynomial.legendre.leggauss(_PATH_NODES)
        added = np.zeros_like(z)
        for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
            w = self._weights(node * z)
            slope = 2 * self.gamma * (w @ self.support - w.sum(axis=1)[:, None] * (node * z))
            added += weight * slope * z
        base = self._kernel(z) - added.sum(axis=1) + self.kernel_shift
        return np.column_stack((added, base))

    def _tree_parts(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.trees is None:
            return np.zeros((len(x), len(self.names) + 1))
        return np.asarray(_booster(self.trees).predict(x, pred_contrib=True, num_threads=1))


def fit_committee(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    *,
    names: tuple[str, ...] | list[str],
    seed: int = 0,
    spec: CommitteeSpec | None = None,
) -> Committee:
    """Return the committee learnt from all rows, calibrated on scores of rows its folds left out.

    Parameters
    ----------
    x : (n, k) numbers, NaN for missing. y : (n,) 0 or 1. names : k column names.

    Raises
    ------
    InputError : shapes differ, a label is neither 0 nor 1, or fewer than five of either.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> x = rng.normal(size=(300, 2))
    >>> model = fit_committee(x, (x[:, 0] > 0).astype(float), names=("a", "b"), seed=1)
    >>> bool(model.predict(np.array([[2.0, 0.0]]))[0] > 0.8)
    True
    """
    from jinqiao.propensity.folds import stratified

    spec = spec or CommitteeSpec()
    x, y = _checked(x, y, tuple(names))
    rng = np.random.default_rng([seed, 5])
    outside = np.zeros(len(y))
    for part in stratified(y, _INNER_FOLDS, rng):
        keep = np.ones(len(y), bool)
        keep[part] = False
        outside[part] = fit_members(x[keep], y[keep], tuple(names), seed, spec).score(x[part])
    slope, shift = fit_weak_platt(outside, y)
    whole = fit_members(x, y, tuple(names), seed, spec)
    return Committee(**{**_fields(whole), "slope": slope, "shift": shift})


def fit_members(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    names: tuple[str, ...],
    seed: int,
    spec: CommitteeSpec,
) -> Committee:
    """Return the three members fitted on some rows, not calibrated (slope 1, shift 0)."""
    rows, label = _plain(x), _plain(y)
    mean, sd = _centre(rows)
    z = _standard(rows, mean, sd)
    gamma = spec.width / max(rows.shape[1], 1)
    with one_thread():
        logistic = _logistic(z, label, spec.ridge)
        support, dual, kernel_shift = _support(z, label, spec.margin, gamma)
        trees = _boosted(rows, label, (names, seed, spec))
    plain = Committee(
        names, mean, sd, *logistic, support, dual, kernel_shift, gamma, trees,
        np.tile([0.0, 1.0], (3, 1)),
    )  # fmt: skip
    raw = plain._raw(rows, z)
    spread = raw.std(axis=0)
    scales = np.column_stack((raw.mean(axis=0), np.where(spread > 1e-9, spread, 1.0)))
    return Committee(**{**_fields(plain), "scales": scales})


def fit_weak_platt(score: NDArray[np.floating], y: NDArray[np.floating]) -> tuple[float, float]:
    """Return slope ≥ 0 and shift of p = sigmoid(slope · score + shift), hardly drawn to anything.

    The penalty on the slope is that of one observation; labels are Platt's: (n₁ + 1) / (n₁ + 2)
    for a yes, 1 / (n₀ + 2) for a no.
    """
    yes = float(y.sum())
    soft = np.where(y > 0.5, (yes + 1) / (yes + 2), 1 / (len(y) - yes + 2))
    slope, shift = 1.0, float(np.log((yes + 1) / (len(y) - yes + 1)))
    for _ in range(60):
        p = sigmoid(slope * score + shift)
        residual, curve = p - soft, p * (1 - p) + 1e-9
        gradient = np.array([residual @ score + 0.25 * (slope - 1.0), residual.sum()])
        cross = curve @ score
        hessian = np.array([[curve @ score**2 + 0.25, cross], [cross, curve.sum()]])
        step = np.clip(np.linalg.solve(hessian, gradient), -1.0, 1.0)
        slope, shift = slope - float(step[0]), shift - float(step[1])
        if float(np.abs(step).max()) < 1e-9:
            break
    return max(slope, 0.0), shift


def _fields(model: Committee) -> dict[str, Any]:
    return {name: getattr(model, name) for name in model.__dataclass_fields__}


def _checked(
    x: NDArray[np.floating], y: NDArray[np.floating], names: tuple[str, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = _plain(x), _plain(y)
    if x.ndim != 2 or len(x) != len(y) or x.shape[1] != len(names):
        raise InputError(f"x is {x.shape}, y {y.shape}, and {len(names)} names", field="x")
    if not np.isin(y, (0.0, 1.0)).all():
        raise InputError("labels are 0 or 1, none missing", field="y")
    if min(y.sum(), len(y) - y.sum()) < _INNER_FOLDS:
        raise InputError(
            f"{int(y.sum())} yes in {len(y)} rows", field="y", fix="five of either are needed"
        )
    return _plain(x), _plain(y)


def _plain(values: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)


def _centre(x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and spread of each column over what is known; 0 and 1 where nothing varies."""
    known = np.isfinite(x)
    count = np.maximum(known.sum(axis=0), 1)
    filled = np.where(known, x, 0.0)
    mean = filled.sum(axis=0) / count
    sd = np.sqrt((np.where(known, x - mean, 0.0) ** 2).sum(axis=0) / count)
    return mean, np.where(sd > 1e-12, sd, 1.0)


def _standard(
    x: NDArray[np.float64], mean: NDArray[np.float64], sd: NDArray[np.float64]
) -> NDArray[np.float64]:
    z = np.clip((x - mean) / sd, -_MOST_Z, _MOST_Z)
    return np.where(np.isfinite(z), z, 0.0)


def _logistic(
    z: NDArray[np.float64], y: NDArray[np.float64], ridge: float
) -> tuple[NDArray[np.float64], float]:
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=ridge, max_iter=1000, tol=1e-6).fit(z, y)
    return np.asarray(fitted.coef_[0], np.float64), float(fitted.intercept_[0])


def _support(
    z: NDArray[np.float64], y: NDArray[np.float64], margin: float, gamma: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    from sklearn.svm import SVC

    fitted = SVC(C=margin, gamma=gamma, class_weight="balanced").fit(z, y)
    dual = np.asarray(fitted.dual_coef_[0], np.float64)
    return np.asarray(fitted.support_vectors_), dual, float(fitted.intercept_[0])


def _boosted(
    x: NDArray[np.float64], y: NDArray[np.float64], setup: tuple[Any, int, CommitteeSpec]
) -> str | None:
    import lightgbm

    names, seed, spec = setup
    if len(y) < 2 * spec.min_leaf or len(names) == 0:
        return None
    params: Mapping[str, Any] = {
        "objective": "binary", "num_leaves": spec.leaves, "learning_rate": spec.learning_rate,
        "min_data_in_leaf": spec.min_leaf, "feature_fraction": spec.feature_fraction,
        "bagging_fraction": 0.7, "bagging_freq": 1, "lambda_l2": spec.l2, "num_threads": 1,
        "seed": seed % 2**31, "deterministic": True, "force_row_wise": True, "verbose": -1,
    }  # fmt: skip
    data = lightgbm.Dataset(x, y, params={"verbose": -1})
    return str(lightgbm.train(dict(params), data, spec.rounds).model_to_string())


def plain_logistic(
    known: NDArray[np.float64], label: NDArray[np.float64], asked: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the scores of the baseline: scikit-learn's logistic regression as it comes (C = 1)."""
    mean, sd = _centre(known)
    with one_thread():
        slopes, intercept = _logistic(_standard(known, mean, sd), label, 1.0)
    return np.asarray(_standard(asked, mean, sd) @ slopes + intercept)


def _booster(text: str) -> Any:
    import lightgbm

    return lightgbm.Booster(model_str=text)
