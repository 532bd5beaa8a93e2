"""A score for few rows: six learners that err differently, weighed, averaged and calibrated.

Two logistic regressions (on the columns, and with their steps), two support vector machines with a
radial kernel (on the columns, and on their normal scores), a small and a larger LightGBM see the
same rows; each one's score is put on mean 0 and spread 1 over the rows it learnt from, and the
committee's score is a weighted mean.
Settings are fixed beforehand, the same for every table. Weights are equal where a label has fewer
than 240 rows; with more they follow what each member is worth on rows it did not learn from, drawn
towards equal. scikit-learn trains; predicting needs NumPy, SciPy and LightGBM only.

Letters: n rows, k columns, m members, s support vectors.

Source: Breiman, "Stacked regressions", 1996 (weights not below 0, from rows left out); Platt 1999
(calibration on scores the members did not learn from); Sundararajan, Taly & Yan, "Axiomatic
attribution for deep networks", ICML 2017 (contributions of the kernel, which sum to its score).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jinqiao.errors import InputError, SchemaError
from jinqiao.propensity.calibration import sigmoid
from jinqiao.propensity.encoding import Encoding
from jinqiao.propensity.weighing import fit_weak_platt, fit_weights

__all__ = ["Committee", "CommitteeSpec", "Kernel", "Line", "enough", "fit_committee"]

Floats = NDArray[np.float64]
LEAST = 5
RARE = 240
_SMALL = 1_000
_PATH_NODES = 24
_AT_ONCE = 4_000_000
_MANY = 8_000


@dataclass(frozen=True, slots=True)
class CommitteeSpec:
    """The members' settings. ``ridge`` is C of the logistic on the columns, ``steps`` that with
    their steps; ``margin`` is C of a kernel, ``width`` its gamma · d.

    ``small`` and ``large`` are (leaves, rounds, learning rate, share of columns a tree) of the
    trees; past 10,000 rows rounds grow with their root. A kernel learns from at most
    ``kernel_rows`` rows, either label kept. ``pull`` is how strongly weights are drawn to equal.
    """

    ridge: float = 0.1
    steps: float = 0.01
    margin: float = 1.0
    width: float = 0.16
    small: tuple[int, int, float, float] = (6, 250, 0.04, 0.3)
    large: tuple[int, int, float, float] = (8, 200, 0.08, 0.5)
    min_leaf: int = 20
    l2: float = 5.0
    kernel_rows: int = 4_000
    pull: float = 10.0


@dataclass(frozen=True)
class Kernel:
    """A radial kernel's score: Σ dual · exp(−gamma · |z − support|²) + shift."""

    support: Floats
    dual: Floats
    shift: float
    gamma: float

    def score(self, z: Floats) -> Floats:
        """Return the score of scaled rows (n, d), (n,)."""
        parts = [self._weights(some).sum(axis=1) for some in self._some(z)]
        return np.concatenate(parts) + self.shift

    def parts(self, z: Floats) -> tuple[Floats, Floats]:
        """Return z · ∫ gradient(t·z) dt by Gauss–Legendre, (n, d), and the mean row's score."""
        added = np.concatenate([self._added(some) for some in self._some(z)])
        return added, self.score(z) - added.sum(axis=1)

    def _added(self, z: Floats) -> Floats:
        nodes, weights = np.polynomial.legendre.leggauss(_PATH_NODES)
        added = np.zeros_like(z)
        for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
            w = self._weights(node * z)
            slope = 2 * self.gamma * (w @ self.support - w.sum(axis=1)[:, None] * (node * z))
            added += weight * slope * z
        return added

    def _weights(self, z: Floats) -> Floats:
        far = (z**2).sum(axis=1)[:, None] + (self.support**2).sum(axis=1) - 2 * z @ self.support.T
        return np.asarray(np.exp(-self.gamma * np.maximum(far, 0.0)) * self.dual)

    def _some(self, z: Floats) -> list[Floats]:
        return np.array_split(z, max(1, len(z) * max(len(self.dual), 1) // _AT_ONCE))


@dataclass(frozen=True)
class Line:
    """A logistic regression's score: z · slopes + intercept."""

    slopes: Floats
    intercept: float

    def score(self, z: Floats) -> Floats:
        """Return the score of scaled rows (n, d), (n,)."""
        return np.asarray(z @ self.slopes + self.intercept)

    def parts(self, z: Floats) -> tuple[Floats, Floats]:
        """Return what each column adds, (n, d), and the mean row's score."""
        return z * self.slopes, np.full(len(z), self.intercept)


@dataclass(frozen=True)
class Committee:
    """A fitted committee: p = sigmoid(slope · score + shift), score a weighted mean of members.

    ``own`` are (view of ``encoding``, member); ``trees`` LightGBM texts, none where too few rows;
    ``scales`` (m, 2) mean and spread of each; ``weights`` (m,) add up to 1: own, then trees.
    """

    names: tuple[str, ...]
    encoding: Encoding
    own: tuple[tuple[str, Line | Kernel], ...]
    trees: tuple[str, ...]
    scales: Floats
    weights: Floats
    slope: float = 1.0
    shift: float = 0.0

    def members(self, x: NDArray[np.floating]) -> Floats:
        """Return each member's standardised score, (n, m)."""
        return np.asarray((self.raw(x) - self.scales[:, 0]) / self.scales[:, 1])

    def score(self, x: NDArray[np.floating]) -> Floats:
        """Return the committee's score of every row, (n,): higher is more likely a yes."""
        return np.asarray(self.members(x) @ self.weights)

    def predict(self, x: NDArray[np.floating]) -> Floats:
        """Return the calibrated chance of a yes of every row of (n, k), NaN for missing.

        Raises SchemaError when the number of columns is not the trained one.
        """
        return sigmoid(self.slope * self.score(x) + self.shift)

    def contributions(self, x: NDArray[np.floating]) -> Floats:
        """Return what each column adds to the calibrated logit, (n, k + 1); the last is the base.

        Exact for the lines and the trees (SHAP values); a kernel's are integrated gradients from
        the mean row. Rows sum to the logit of ``predict``, to rounding.
        """
        x = self._checked(x)
        total = np.zeros((len(x), len(self.names) + 1))
        for part, (mean, sd), weight in zip(self._parts(x), self.scales, self.weights, strict=True):
            total += part * (weight / sd)
            total[:, -1] -= mean * weight / sd
        total *= self.slope
        total[:, -1] += self.shift
        return total

    def raw(self, x: NDArray[np.floating]) -> Floats:
        """Return each member's own score, (n, m), before it is standardised."""
        x = self._checked(x)
        seen = self.encoding.seen(x)
        told = [member.score(seen[view]) for view, member in self.own]
        told += [_booster(text).predict(x, raw_score=True, num_threads=1) for text in self.trees]
        return np.column_stack(told)

    def _checked(self, x: NDArray[np.floating]) -> Floats:
        rows: Floats = np.asarray(x, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != len(self.names):
            raise SchemaError(f"{rows.shape} columns where {len(self.names)} are expected")
        return np.where(np.isfinite(rows), rows, np.nan)

    def _parts(self, x: Floats) -> Iterator[Floats]:
        """Yield what each column adds to each member's score, (n, k + 1), the base last."""
        seen = self.encoding.seen(x)
        for view, member in self.own:
            added, base = member.parts(seen[view])
            own = self.encoding.views[view].by_column(added, len(self.names))
            yield np.column_stack((own, base))
        for text in self.trees:
            yield np.asarray(_booster(text).predict(x, pred_contrib=True, num_threads=1))


def fit_committee(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    *,
    names: tuple[str, ...] | list[str],
    seed: int = 0,
    spec: CommitteeSpec | None = None,
) -> Committee:
    """Return the committee learnt from all rows, weighed and calibrated on rows its folds left out.

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
    from jinqiao.propensity.members import fit_members

    spec = spec or CommitteeSpec()
    x, y = _checked(x, y, tuple(names))
    whole = fit_members(x, y, tuple(names), seed, spec)
    outside, label = _outside(x, y, (tuple(names), seed, spec))
    weights = whole.weights
    if min(label.sum(), len(label) - label.sum()) >= RARE:
        weights = fit_weights(outside, label, spec.pull)
    slope, shift = fit_weak_platt(outside @ weights, label)
    return replace(whole, weights=weights, slope=slope, shift=shift)


def _outside(
    x: Floats, y: Floats, setup: tuple[tuple[str, ...], int, CommitteeSpec]
) -> tuple[Floats, Floats]:
    """Return members' scores of rows they did not learn from, (r, m), and their labels, (r,).

    Of many rows a third is enough to weigh them by.
    """
    from jinqiao.propensity.folds import copies, stratified
    from jinqiao.propensity.members import fit_members

    folds = 5 if len(y) < _SMALL else 3
    rng = np.random.default_rng([setup[1], 5])
    try:
        parts = stratified(y, folds, rng, copies(x, y))
    except InputError:  # too few that differ: copies cannot be kept together
        parts = stratified(y, folds, rng)
    made, labels = [], []
    for part in parts if len(y) < _MANY else parts[:1]:
        keep = np.ones(len(y), bool)
        keep[part] = False
        made.append(fit_members(x[keep], y[keep], *setup).members(x[part]))
        labels.append(y[part])
    return np.concatenate(made), np.concatenate(labels)


def _checked(
    x: NDArray[np.floating], y: NDArray[np.floating], names: tuple[str, ...]
) -> tuple[Floats, Floats]:
    rows: Floats = np.asarray(x, np.float64)
    label: Floats = np.asarray(y, np.float64)
    if rows.ndim != 2 or len(rows) != len(label) or rows.shape[1] != len(names):
        raise InputError(f"x is {rows.shape}, y {label.shape}, and {len(names)} names", field="x")
    if not np.isin(label, (0.0, 1.0)).all():
        raise InputError("labels are 0 or 1, none missing", field="y")
    enough(rows, label, "y")
    return np.where(np.isfinite(rows), rows, np.nan), label


def enough(x: Floats, y: Floats, field: str) -> None:
    """Raise InputError where there is nothing to learn from, or fewer than five of a label."""
    if not x.shape[1]:
        raise InputError(
            "no column is left to learn from", field=field,
            fix="hand in numbers, or texts of few values, beside the outcome",
        )  # fmt: skip
    if min(y.sum(), len(y) - y.sum()) < LEAST:
        raise InputError(
            f"{int(y.sum())} yes in {len(y)} rows", field=field, fix="five of either are needed"
        )


def _booster(text: str) -> Any:
    import lightgbm

    return lightgbm.Booster(model_str=text)
