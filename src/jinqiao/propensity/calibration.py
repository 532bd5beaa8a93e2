"""Platt calibration with a prior, and how far chances are from what happened."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "calibration_error", "calibration_floor", "fit_platt", "log_loss", "sigmoid", "weighted_auc",
]  # fmt: skip

_PRIOR_SLOPE_SD = 0.3
_PRIOR_SHIFT_SD = 1.0


def sigmoid(score: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return 1 / (1 + e^−score), float64 in (0, 1), without overflow."""
    bounded = np.clip(np.asarray(score, dtype=np.float64), -40.0, 40.0)
    return 1.0 / (1.0 + np.exp(-bounded))


def fit_platt(
    score: NDArray[np.floating], y: NDArray[np.floating], weights: NDArray[np.floating]
) -> tuple[float, float]:
    """Return slope and shift of ``p = sigmoid(slope · score + shift)``.

    A normal prior at slope 1 (sd 0.3) and shift 0 (sd 1) keeps few outcomes from bending the curve:
    with none at all the answer is (1, 0). Found by Newton's method.

    Source: Platt, "Probabilistic outputs for support vector machines", 1999.
    """
    score = np.asarray(score, dtype=np.float64)
    slope, shift = 1.0, 0.0
    penalty = np.array([1.0 / _PRIOR_SLOPE_SD**2, 1.0 / _PRIOR_SHIFT_SD**2])
    for _ in range(30):
        p = sigmoid(slope * score + shift)
        residual = weights * (p - y)
        curve = weights * p * (1.0 - p)
        gradient = np.array([residual @ score, residual.sum()])
        gradient += penalty * np.array([slope - 1.0, shift])
        cross = curve @ score
        hessian = np.array([[curve @ score**2, cross], [cross, curve.sum()]]) + np.diag(penalty)
        step = np.linalg.solve(hessian, gradient)
        slope, shift = slope - float(step[0]), shift - float(step[1])
        if float(np.abs(step).max()) < 1e-8:
            break
    return max(slope, 0.05), shift


def log_loss(
    p: NDArray[np.floating], y: NDArray[np.floating], weights: NDArray[np.floating]
) -> float:
    """Return the weighted mean of −log of the chance given to what happened (nats)."""
    p = np.clip(p, 1e-7, 1.0 - 1e-7)
    loss = -(y * np.log(p) + (1.0 - y) * np.log1p(-p))
    return float((weights * loss).sum() / weights.sum())


def weighted_auc(
    score: NDArray[np.floating], y: NDArray[np.floating], weights: NDArray[np.floating]
) -> float:
    """Return the chance that a yes outranks a no, ties half; NaN when one side is absent."""
    order = np.argsort(score, kind="stable")
    score, yes = score[order], (weights * y)[order]
    no = (weights * (1.0 - y))[order]
    new = np.concatenate(([True], score[1:] != score[:-1]))
    group = np.cumsum(new) - 1
    yes_by, no_by = np.bincount(group, weights=yes), np.bincount(group, weights=no)
    below = np.cumsum(no_by) - no_by
    total = yes.sum() * no.sum()
    return float((yes_by * (below + 0.5 * no_by)).sum() / total) if total > 0 else float("nan")


def calibration_error(
    p: NDArray[np.floating],
    y: NDArray[np.floating],
    weights: NDArray[np.floating],
    *,
    bins: int = 10,
) -> float:
    """Return the expected calibration error: mean |said − happened| over bins of equal weight."""
    order = np.argsort(p, kind="stable")
    p, y, weights = p[order], y[order], weights[order]
    share = np.cumsum(weights) / weights.sum()
    group = np.minimum((share * bins).astype(np.int64), bins - 1)
    gap = np.bincount(group, weights=weights * (p - y), minlength=bins)
    return float(np.abs(gap).sum() / weights.sum())


def calibration_floor(
    p: NDArray[np.floating],
    weights: NDArray[np.floating],
    rng: np.random.Generator,
    *,
    bins: int = 10,
    draws: int = 200,
) -> tuple[float, float]:
    """Return the calibration error of chances that are true: its mean and 95 % quantile.

    Outcomes are drawn from the chances themselves and told as ``calibration_error`` tells them.
    """
    order = np.argsort(p, kind="stable")
    p, weights = np.asarray(p, np.float64)[order], np.asarray(weights, np.float64)[order]
    share = np.cumsum(weights) / weights.sum()
    group = np.minimum((share * bins).astype(np.int64), bins - 1)
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    found = np.empty(draws)
    for place in range(draws):
        gap = np.add.reduceat(weights * (p - (rng.random(len(p)) < p)), starts)
        found[place] = np.abs(gap).sum() / weights.sum()
    return float(found.mean()), float(np.quantile(found, 0.95))
