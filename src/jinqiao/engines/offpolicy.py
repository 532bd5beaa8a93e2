"""What another policy would have earned, told from what one policy showed.

In: rewards, the chance by which each row was shown, the chance another policy gives it, and (for
the doubly robust ones) a reward model's say. Out: estimates with their spread. Always: a weight is
target ÷ logged chance; spread counts whole clusters, for rows of one visit are not independent.

Letters: n rows, w weight, r reward, q a model's reward of the row, v its mean under the target.

From: Horvitz & Thompson, JASA 47 (1952); Swaminathan & Joachims, NeurIPS 2015 (self-normalised);
Dudík, Langford & Li, ICML 2011 (doubly robust); Wang, Agarwal & Dudík, ICML 2017 (switch); Su,
Dimakopoulou, Krishnamurthy & Dudík, ICML 2020 (optimistic shrinkage); Su, Srinath & Krishnamurthy,
ICML 2020 (choice by intersecting intervals, SLOPE).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Estimate", "Rows", "effective_rows", "estimates", "pick"]

Floats = NDArray[np.float64]
_GRID = 24


@dataclass(frozen=True, slots=True)
class Rows:
    """n logged rows. ``cluster`` (n,) are codes 0 … c − 1; ``model`` is (q, v), each (n,)."""

    reward: Floats
    weight: Floats
    cluster: NDArray[np.int64]
    model: tuple[Floats, Floats] | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean reward a row, and the root of its expected squared error; ``setting``: what was tuned.

    Where weights are cut, shrunken or left out, the error holds a bound on what that bends.
    """

    value: float
    error: float
    setting: float | None = None


def effective_rows(weight: Floats) -> float:
    """Return (Σw)² / Σw²: how many rows of equal weight would say as much; 0 without any."""
    square = float((weight**2).sum())
    return float(weight.sum()) ** 2 / square if square > 0 else 0.0


def estimates(rows: Rows) -> Mapping[str, Estimate]:
    """Return every estimator's answer: ips, snips, and with a model dr, switch, dros, dm."""
    r, w = rows.reward, rows.weight
    out = {"ips": _mean(w * r, rows.cluster), "snips": _self_normalised(rows)}
    if rows.model is None:
        return out
    q, v = rows.model
    out["dr"] = _mean(v + w * (r - q), rows.cluster)
    out["switch"] = _tuned(rows, lambda t: np.where(w <= t, w, 0.0), _cuts(w))
    out["dros"] = _tuned(rows, lambda t: t * w / (w**2 + t), _cuts(w) ** 2)
    out["dm"] = _tuned(rows, lambda _: np.zeros(len(w)), np.ones(1))
    return out


def pick(found: Mapping[str, Estimate]) -> str:
    """Return the name of the narrowest estimate that agrees with every wider one.

    Estimates are taken from the widest to the narrowest, for what narrows may bend: the first
    interval (± 2 errors) that does not meet all before it ends the walk. Plain ips is passed over:
    it depends on what a reward of nothing is called.
    """
    names = sorted((n for n in found if n != "ips"), key=lambda name: -found[name].error)
    lower, upper, chosen = -np.inf, np.inf, names[0]
    for name in names:
        one = found[name]
        lower = max(lower, one.value - 2 * one.error)
        upper = min(upper, one.value + 2 * one.error)
        if lower > upper:
            break
        chosen = name
    return chosen


def _mean(x: Floats, cluster: NDArray[np.int64]) -> Estimate:
    value = float(x.mean())
    return Estimate(value, _error(x - value, cluster))


def _error(away: Floats, cluster: NDArray[np.int64]) -> float:
    """Return the standard error of a mean from its departures, clusters whole."""
    sums = np.bincount(cluster, away)
    c = len(sums)
    return float(np.sqrt((sums**2).sum() * (c / max(c - 1, 1)))) / len(away)


def _self_normalised(rows: Rows) -> Estimate:
    total = rows.weight.mean()
    if total <= 0:
        return Estimate(0.0, np.inf)
    value = float((rows.weight * rows.reward).mean() / total)
    return Estimate(value, _error(rows.weight * (rows.reward - value) / total, rows.cluster))


def _cuts(w: Floats) -> Floats:
    """Return weights to cut at, from the median of what is above 0 to the largest."""
    above = w[w > 0]
    if not len(above):
        return np.ones(1)
    return np.unique(np.quantile(above, np.linspace(0.5, 1.0, _GRID)))


def _tuned(rows: Rows, shrink: object, settings: Floats) -> Estimate:
    """Return the setting of least squared bias (bounded from above) plus variance."""
    assert rows.model is not None
    assert callable(shrink)
    q, v = rows.model
    rest = rows.reward - q
    best, least = None, np.inf
    for setting in settings:
        w = shrink(setting)
        one = _mean(v + w * rest, rows.cluster)
        bent = _mean((rows.weight - w) * rest, rows.cluster)
        risk = (abs(bent.value) + bent.error) ** 2 + one.error**2
        if risk < least:
            best, least = Estimate(one.value, float(np.sqrt(risk)), float(setting)), risk
    assert best is not None
    return best
