"""The last step of a stage: its level set right on all rows, leaning on what is recent.

A curve fitted on one late slice carries that slice's luck into the level; early stopping and a
ridge pull a strong column towards nothing. So the slope is taken from rows the model did not see,
and the level from all rows: one shift, and one for each named column of 0 and 1, by which the
model's mean on them equals what happened. (Shifts by product or institution were tried here: seen
twice by the same rows, they only repeat their luck.)

Letters: n rows. logit = slope · score + shift + Σ δ_column · x.

Source: Steyerberg, "Clinical Prediction Models", 2nd ed. 2019, chapter 20 (recalibration in the
large).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jinqiao.propensity.calibration import sigmoid

__all__ = ["fit_shifts", "recency"]

_COLUMN_SD = 0.5
"""How far a named column may have been pulled, before any row is looked at."""
_STEPS = 20


def recency(times: NDArray[np.integer], half_life_us: float | None) -> NDArray[np.float64]:
    """Return weights in (0, 1] that halve with every half-life before the newest; None: 1."""
    if half_life_us is None or not len(times):
        return np.ones(len(times))
    age = (np.max(times) - np.asarray(times)).astype(np.float64)
    return np.asarray(0.5 ** (age / half_life_us))


def fit_shifts(
    score: NDArray[np.floating],
    y: NDArray[np.floating],
    weights: NDArray[np.floating],
    columns: NDArray[np.floating],
) -> tuple[float, NDArray[np.float64]]:
    """Return the most likely shift of a logit, and each column's; a column's leans on 0.

    ``score`` (n,) the logit as it stands; ``columns`` (n, c) of 0 and 1, c may be 0. Found by
    Newton's method.
    """
    x = np.column_stack((np.ones(len(y)), np.asarray(columns, np.float64)))
    penalty = np.concatenate(([1e-6], np.full(x.shape[1] - 1, _COLUMN_SD**-2)))
    theta = np.zeros(x.shape[1])
    for _ in range(_STEPS):
        p = sigmoid(score + x @ theta)
        gradient = x.T @ (weights * (p - y)) + penalty * theta
        hessian = (x * (weights * p * (1.0 - p))[:, None]).T @ x + np.diag(penalty)
        step = np.linalg.solve(hessian, gradient)
        theta -= np.clip(step, -1.0, 1.0)
        if float(np.abs(step).max()) < 1e-8:
            break
    return float(theta[0]), theta[1:]
