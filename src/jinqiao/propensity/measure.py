"""Log-loss, area under the curve and calibration error of candidates on the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jinqiao.propensity.calibration import calibration_error, log_loss, weighted_auc

__all__ = ["BASELINES", "auc_interval", "compare"]

BASELINES = ("constant", "logistic")
_RESAMPLES = 200
_MOST = 20_000


def compare(
    told: Mapping[str, NDArray[np.floating]],
    y: NDArray[np.floating],
    weights: NDArray[np.floating],
    *,
    seed: int,
) -> dict[str, dict[str, Any]]:
    """Return, per candidate, log_loss, its 95 % interval, auc, its interval, ece and mean chance.

    ``gain`` holds, for each baseline and the blend, how much less log-loss, and its 95 % interval.
    Intervals are by Poisson bootstrap over rows, the same resamples for every candidate.
    """
    rng = np.random.default_rng([seed, 77])
    sample = np.arange(len(y)) if len(y) <= _MOST else rng.choice(len(y), _MOST, replace=False)
    draws = rng.poisson(1.0, size=(_RESAMPLES, len(sample))).astype(np.float32)
    draws *= weights[sample].astype(np.float32)
    found: dict[str, dict[str, Any]] = {}
    drawn: dict[str, NDArray[np.floating]] = {}
    for name, p in told.items():
        clipped = np.clip(p[sample], 1e-7, 1 - 1e-7)
        each = -(y[sample] * np.log(clipped) + (1 - y[sample]) * np.log1p(-clipped))
        losses = (draws @ each.astype(np.float32)) / np.maximum(draws.sum(axis=1), 1e-9)
        drawn[name] = losses
        hard = np.asarray(y, dtype=np.float64)
        found[name] = {
            "log_loss": log_loss(p, y, weights),
            "log_loss_ci": _ends(losses),
            "auc": weighted_auc(p, hard, weights),
            "auc_ci": auc_interval(p[sample], hard[sample], weights[sample], rng, resamples=50),
            "ece": calibration_error(p, y, weights),
            "mean": float(np.average(p, weights=weights)),
            "observed": float(np.average(y, weights=weights)),
        }
    for name, losses in drawn.items():
        found[name]["gain"] = {
            other: [
                found[other]["log_loss"] - found[name]["log_loss"],
                *_ends(drawn[other] - losses),
            ]
            for other in (*BASELINES, "blend")
            if other in drawn and other != name
        }
    return found


def auc_interval(
    score: NDArray[np.floating],
    y: NDArray[np.floating],
    weights: NDArray[np.floating],
    rng: np.random.Generator,
    *,
    resamples: int = _RESAMPLES,
) -> list[float]:
    """Return the 95 % bootstrap interval of the area under the curve, over rows."""
    order = np.argsort(score, kind="stable")
    sorted_score = score[order]
    group = np.cumsum(np.concatenate(([False], sorted_score[1:] != sorted_score[:-1])))
    y, weights = y[order], weights[order]
    areas = []
    for _ in range(resamples):
        w = weights * rng.poisson(1.0, size=len(y))
        yes, no = np.bincount(group, weights=w * y), np.bincount(group, weights=w * (1 - y))
        total = yes.sum() * no.sum()
        if total > 0:
            below = np.cumsum(no) - no
            areas.append(float((yes * (below + 0.5 * no)).sum() / total))
    return _ends(np.asarray(areas))


def _ends(values: NDArray[np.floating]) -> list[float]:
    if values.size == 0:
        return [float("nan"), float("nan")]
    low, high = np.quantile(values, (0.025, 0.975))
    return [float(low), float(high)]
