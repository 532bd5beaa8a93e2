"""Repeated stratified folds: scores of rows their model did not see, and the area under the curve.

The figure: for each of R repeats the rows are cut into F folds, each with its share of yes; every
row is scored once by the model of the other folds; ``AUC_r`` is the area over all n scores of a
repeat pooled. The figure is the mean of ``AUC_r`` over repeats. Its interval resamples the rows
(2,000 times, with replacement, yes and no together), the same rows in every repeat, and takes the
2.5 and 97.5 percentiles of the mean area; a difference is paired: both scores on the same resample.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jinqiao.errors import InputError
from jinqiao.propensity.calibration import weighted_auc

__all__ = ["CrossFit", "area_figures", "copies", "cross_fit", "stratified"]

Learn = Callable[
    [NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]
]
"""(x, y, x of others) → their scores."""

_RESAMPLES = 2000
_ONE_LABEL, _MIXED = 0.98, 3.0


@dataclass(frozen=True)
class CrossFit:
    """Scores by learner, each (repeats, n), of rows their model never saw; labels (n,); the fold
    of each row in each repeat, (repeats, n).
    """

    scores: Mapping[str, NDArray[np.float64]]
    y: NDArray[np.float64]
    folds: NDArray[np.int64]

    def area(self, name: str) -> float:
        """Return the mean over repeats of the pooled area under the curve."""
        ones = np.ones(len(self.y))
        return float(np.mean([weighted_auc(s, self.y, ones) for s in self.scores[name]]))


def stratified(
    y: NDArray[np.floating],
    folds: int,
    rng: np.random.Generator,
    groups: NDArray[np.integer] | None = None,
) -> list[NDArray[np.int64]]:
    """Return the rows of each fold, each with its share of either label.

    Rows of one of ``groups`` (n,) are in one fold, dealt by the group's first label. Raises
    InputError when a label has fewer rows (or groups) than there are folds.
    """
    y = np.asarray(y)
    if groups is not None:
        _, first, of = np.unique(groups, return_index=True, return_inverse=True)
        if len(first) < len(y):
            parts_of = stratified(y[first], folds, rng)
            fold = np.empty(len(first), np.int64)
            for place, part in enumerate(parts_of):
                fold[part] = place
            return [np.flatnonzero(fold[of] == place) for place in range(folds)]
    parts: list[list[NDArray[np.int64]]] = [[] for _ in range(folds)]
    for label in (0.0, 1.0):
        rows = np.flatnonzero(y == label)
        if len(rows) < folds:
            raise InputError(f"{len(rows)} rows of label {label:g} in {folds} folds", field="y")
        start = 0 if label == 0.0 else len(parts[0][0]) % folds
        for place, some in enumerate(np.array_split(rng.permutation(rows), folds)):
            parts[(place + start) % folds].append(some)
    return [np.sort(np.concatenate(part)) for part in parts]


def copies(x: NDArray[np.floating], y: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return a code a row, (n,), the same for rows that are copies of each other.

    Rows equal in every column are copies where such rows are nearly always of one label and by
    chance some would not be; else they are people alike, and each row is for itself.
    """
    filled = np.where(np.isfinite(x), x, -9.87654321e8)
    _, place = np.unique(filled, axis=0, return_inverse=True)
    code = np.asarray(place, np.int64).reshape(-1)
    rows, yes = np.bincount(code), np.bincount(code, weights=np.asarray(y, np.float64))
    many, base = rows > 1, float(np.mean(y))
    by_chance = 1 - base ** rows[many] - (1 - base) ** rows[many]  # of two labels
    pure = ((yes == 0) | (yes == rows))[many]
    told = by_chance.sum() >= _MIXED and pure.mean() >= _ONE_LABEL
    return code if told else np.arange(len(code))


def cross_fit(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    learners: Mapping[str, Learn],
    *,
    folds: int = 10,
    repeats: int = 5,
    seed: int = 0,
    groups: NDArray[np.integer] | None = None,
    progress: Callable[[float], None] | None = None,
) -> CrossFit:
    """Return every learner's scores in the same folds. ``progress`` is told the share done.

    Rows of one of ``groups`` (n,) are never on both sides of a fold.
    """
    rows: NDArray[np.float64] = np.asarray(x, np.float64)
    label: NDArray[np.float64] = np.asarray(y, np.float64)
    scores = {name: np.zeros((repeats, len(label))) for name in learners}
    fold = np.zeros((repeats, len(label)), np.int64)
    for repeat in range(repeats):
        rng = np.random.default_rng([seed, 11, repeat])
        for place, part in enumerate(stratified(label, folds, rng, groups)):
            keep = np.ones(len(label), bool)
            keep[part] = False
            fold[repeat, part] = place
            for name, learn in learners.items():
                scores[name][repeat, part] = learn(rows[keep], label[keep], rows[part])
            if progress is not None:
                progress((repeat * folds + place + 1) / (repeats * folds))
    return CrossFit(scores, label, fold)


def area_figures(
    fit: CrossFit, names: Sequence[str], *, seed: int = 0, resamples: int = _RESAMPLES
) -> dict[str, dict[str, list[float] | float]]:
    """Return, per learner, ``auc`` and ``ci``; per further learner also ``gain`` and ``gain_ci``.

    A gain is the first learner's area less this one's.
    """
    rng = np.random.default_rng([seed, 13])
    ranks = {name: _ranked(fit.scores[name]) for name in names}
    drawn = {name: np.zeros(resamples) for name in names}
    n = len(fit.y)
    for k in range(resamples):
        weights = np.bincount(rng.integers(0, n, n), minlength=n).astype(np.float64)
        for name in names:
            drawn[name][k] = _mean_area(ranks[name], fit.y, weights)
    found: dict[str, dict[str, list[float] | float]] = {}
    for name in names:
        found[name] = {"auc": fit.area(name), "ci": _ends(drawn[name])}
        if name != names[0]:
            found[name]["gain"] = fit.area(names[0]) - fit.area(name)
            found[name]["gain_ci"] = _ends(drawn[names[0]] - drawn[name])
    return found


_Ranked = list[tuple[NDArray[np.int64], NDArray[np.int64]]]


def _ranked(scores: NDArray[np.float64]) -> _Ranked:
    """Return, per repeat, the rows in order of score and the tie group of each."""
    found = []
    for score in scores:
        order = np.argsort(score, kind="stable")
        new = np.concatenate(([False], np.diff(score[order]) != 0))
        found.append((order, np.cumsum(new)))
    return found


def _mean_area(ranked: _Ranked, y: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    areas = []
    for order, group in ranked:
        w, label = weights[order], y[order]
        yes, no = np.bincount(group, weights=w * label), np.bincount(group, weights=w * (1 - label))
        below = np.cumsum(no) - no
        total = yes.sum() * no.sum()
        areas.append((yes * (below + 0.5 * no)).sum() / total if total > 0 else np.nan)
    return float(np.mean(areas))


def _ends(values: NDArray[np.float64]) -> list[float]:
    low, high = np.nanquantile(values, (0.025, 0.975))
    return [float(low), float(high)]
