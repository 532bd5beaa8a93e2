"""How much each member of a committee counts, and what its score means as a chance.

Letters: n rows that no member learnt from, m members. p = sigmoid(score · weights + shift).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jinqiao.propensity.calibration import sigmoid

__all__ = ["fit_weak_platt", "fit_weights"]

Floats = NDArray[np.float64]


def fit_weights(members: Floats, y: Floats, pull: float) -> Floats:
    """Return the members' weights, (m,), none below 0, adding up to 1.

    They make the chances of left-out rows likeliest, drawn towards equal by ``pull`` · |w − w̄|²,
    w̄ the equal weights of the best slope: rows in the thousands are heard, some dozens are not.

    Source: Breiman 1996, with a ridge that leans on the mean.
    """
    from scipy.optimize import minimize

    m = members.shape[1]
    slope, shift = fit_weak_platt(members.mean(axis=1), y)
    middle = np.full(m, slope / m)

    def loss(at: Floats) -> tuple[float, Floats]:
        logit, away = members @ at[:m] + at[m], at[:m] - middle
        left = sigmoid(logit) - y
        value = np.logaddexp(0.0, logit).sum() - y @ logit + pull * (away @ away)
        slopes = np.append(left @ members + 2 * pull * away, left.sum())
        return float(value), slopes

    bounds = [(0.0, None)] * m + [(None, None)]
    found = minimize(loss, np.append(middle, shift), jac=True, method="L-BFGS-B", bounds=bounds)
    total = float(found.x[:m].sum())
    return np.asarray(found.x[:m] / total) if total > 1e-9 else np.full(m, 1.0 / m)


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
