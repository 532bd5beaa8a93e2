"""Ridge logistic regression with group deviations and random effects, in NumPy.

Letters: n rows, k columns, g groups (product classes), e levels of an effect (a product, an
institution). logit = b + x·(β + δ_g) + d_g + Σ u_e. Every group leans on the shared β: a group with
few rows keeps it, one with many departs. Columns are squeezed by asinh and standardised inside.

Source: Gelman & Hill, "Data Analysis Using Regression and Multilevel Models", 2007, chapters 12–14;
penalties are the inverse variances of the normal priors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jinqiao.propensity.calibration import sigmoid

__all__ = ["Linear", "Scaling", "fit_linear", "fit_scaling", "one_thread", "scaled"]

_SHARED_SD, _DEVIATION_SD, _GROUP_SD, _EFFECT_SD = 0.5, 0.1, 1.0, 0.35
_MAX_Z = 4.0


@dataclass(frozen=True, slots=True)
class Scaling:
    """z = (asinh(x / unit) − mean) / sd, clipped to ±4; missing becomes 0, the mean."""

    unit: NDArray[np.float32]
    mean: NDArray[np.float32]
    sd: NDArray[np.float32]

    def apply(self, x: NDArray[np.float32], start: int = 0) -> NDArray[np.float32]:
        """Return z of columns ``start`` … of the training matrix, (n, columns) float32."""
        part = slice(start, start + x.shape[1])
        return scaled(x, self.unit[part], self.mean[part], self.sd[part])


def scaled(
    x: NDArray[np.float32],
    unit: NDArray[np.float32],
    mean: NDArray[np.float32],
    sd: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return z of columns and their scalings; the arguments broadcast."""
    z = np.arcsinh(x / unit)
    z -= mean
    z /= sd
    np.clip(z, -_MAX_Z, _MAX_Z, out=z)
    z[np.isnan(z)] = 0.0
    return np.asarray(z)


@dataclass(frozen=True, slots=True)
class Linear:
    """Coefficients on scaled columns. ``slopes`` is (g, k): shared and deviation together."""

    scaling: Scaling
    intercepts: NDArray[np.float64]
    slopes: NDArray[np.float32]
    effects: tuple[NDArray[np.float64], ...]

    def score(
        self,
        x: NDArray[np.float32],
        groups: NDArray[np.integer] | None = None,
        effects: tuple[NDArray[np.integer], ...] = (),
    ) -> NDArray[np.float64]:
        """Return the logit of every row, (n,) float64; an effect level of −1 adds nothing."""
        return self.score_scaled(self.scaling.apply(x), groups, effects)

    def score_scaled(
        self,
        z: NDArray[np.float32],
        groups: NDArray[np.integer] | None = None,
        effects: tuple[NDArray[np.integer], ...] = (),
    ) -> NDArray[np.float64]:
        """Return the same for columns scaled already."""
        out: NDArray[np.float64]
        if groups is None or len(self.intercepts) == 1:
            out = (z @ self.slopes[0]).astype(np.float64) + self.intercepts[0]
        else:
            out = self.intercepts[groups]
            for group in np.unique(groups):
                rows = np.flatnonzero(groups == group)
                out[rows] += z[rows] @ self.slopes[group]
        for values, levels in zip(self.effects, effects, strict=False):
            known = levels >= 0
            out += np.where(known, values[np.where(known, levels, 0)], 0.0)
        return out

    def shifted(self, columns: Mapping[int, float]) -> Linear:
        """Return the same with a logit that a column's 1, against its 0, moves by so much more."""
        intercepts, slopes = self.intercepts.copy(), self.slopes.copy()
        for j, shift in columns.items():
            nothing, whole = self.scaling.apply(np.array([[0.0], [1.0]], np.float32), j)[:, 0]
            own = shift / float(whole - nothing)
            slopes[:, j] += np.float32(own)
            intercepts -= own * float(nothing)
        return replace(self, intercepts=intercepts, slopes=slopes)


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep linear algebra to one thread inside the block: small sums gain nothing from more."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped,unused-ignore]

    with threadpool_limits(1):
        yield


def fit_scaling(x: NDArray[np.float32]) -> Scaling:
    """Return the scaling of a training matrix, (n, k) float32 with NaN for missing."""
    k = x.shape[1]
    unit, mean, sd = np.ones(k, np.float32), np.zeros(k, np.float32), np.ones(k, np.float32)
    sample = x if x.shape[0] <= 20_000 else x[:: x.shape[0] // 20_000]
    for j in range(k):
        column = sample[:, j]
        column = column[np.isfinite(column)]
        filled = np.abs(column[column != 0])
        if filled.size == 0:
            continue
        unit[j] = max(float(np.median(filled)), 1e-12)
        squeezed = np.arcsinh(column / unit[j])
        mean[j], spread = squeezed.mean(), squeezed.std()
        sd[j] = spread if spread > 1e-6 else 1.0
    return Scaling(unit, mean, sd)


@dataclass(slots=True)
class _Problem:
    """The penalised loss and its gradient over rows kept together by group."""

    z: NDArray[np.float32]
    y: NDArray[np.float64]
    w: NDArray[np.float64]
    bounds: NDArray[np.int64]
    levels: tuple[NDArray[np.int64], ...]
    sizes: tuple[int, ...]
    penalty: NDArray[np.float64]
    deviations: bool

    def split(
        self, theta: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64], list[NDArray[np.float64]]]:
        k, g = self.z.shape[1], len(self.bounds) - 1
        own = theta[1 + k : 1 + k + (g * (k + 1) if self.deviations else 0)].reshape(-1, k + 1)
        rest, at = [], 1 + k + own.size
        for size in self.sizes:
            rest.append(theta[at : at + size])
            at += size
        return float(theta[0]), theta[1 : 1 + k], own, rest

    def __call__(self, theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        base, shared, own, rest = self.split(theta)
        eta = np.empty(len(self.y))
        for g in range(len(self.bounds) - 1):
            rows = slice(self.bounds[g], self.bounds[g + 1])
            slopes = shared + own[g, 1:] if self.deviations else shared
            shift = own[g, 0] if self.deviations else 0.0
            eta[rows] = self.z[rows] @ slopes.astype(np.float32) + shift
        eta += base
        for values, levels in zip(rest, self.levels, strict=True):
            eta += values[levels]
        loss = float(self.w @ (np.logaddexp(0.0, eta) - self.y * eta))
        residual = self.w * (sigmoid(eta) - self.y)
        gradient = self._gradient(residual.astype(np.float32), residual)
        loss += 0.5 * float(self.penalty @ theta**2)
        return loss, gradient + self.penalty * theta

    def _gradient(
        self, short: NDArray[np.float32], residual: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        k = self.z.shape[1]
        shared, own = np.zeros(k), []
        for g in range(len(self.bounds) - 1):
            rows = slice(self.bounds[g], self.bounds[g + 1])
            part = (short[rows] @ self.z[rows]).astype(np.float64)
            shared += part
            own.append(np.concatenate(([residual[rows].sum()], part)))
        parts = [np.array([residual.sum()]), shared]
        parts += own if self.deviations else []
        for levels, size in zip(self.levels, self.sizes, strict=True):
            parts.append(np.bincount(levels, weights=residual, minlength=size))
        return np.concatenate(parts)


def fit_linear(
    x: NDArray[np.float32],
    y: NDArray[np.floating],
    weights: NDArray[np.floating],
    *,
    groups: NDArray[np.integer] | None = None,
    n_groups: int = 1,
    effects: tuple[NDArray[np.integer], ...] = (),
    sizes: tuple[int, ...] = (),
    strength: float = 1.0,
) -> Linear:
    """Return the fitted model; ``strength`` multiplies every penalty.

    ``x`` is (n, k) float32 with NaN for missing; ``y`` in [0, 1]; ``groups`` and each of
    ``effects`` (n,) whole numbers below ``n_groups`` and ``sizes``.
    """
    from scipy.optimize import minimize

    scaling = fit_scaling(x)
    codes = np.zeros(len(y), np.int64) if groups is None else np.asarray(groups, np.int64)
    deviations = groups is not None and n_groups > 1
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(n_groups + 1)).astype(np.int64)
    k = x.shape[1]
    shared = np.full(k, _SHARED_SD**-2)
    own = np.concatenate(([_GROUP_SD**-2], np.full(k, _DEVIATION_SD**-2)))
    parts = [np.array([1e-6]), shared, *([own] * n_groups if deviations else [])]
    parts += [np.full(size, _EFFECT_SD**-2) for size in sizes]
    problem = _Problem(
        scaling.apply(x[order]),
        np.asarray(y, np.float64)[order],
        np.asarray(weights, np.float64)[order],
        bounds,
        tuple(np.asarray(levels, np.int64)[order] for levels in effects),
        sizes,
        np.concatenate(parts) * strength,
        deviations,
    )
    theta = np.zeros(len(problem.penalty))
    rate = float(np.clip(np.average(problem.y, weights=problem.w), 1e-4, 1 - 1e-4))
    theta[0] = np.log(rate / (1 - rate))
    found = minimize(
        problem, theta, jac=True, method="L-BFGS-B", options={"maxiter": 60, "ftol": 1e-8}
    )
    base, slopes, deviation, rest = problem.split(found.x)
    if deviations:
        intercepts, slopes = base + deviation[:, 0], slopes + deviation[:, 1:]
    else:
        intercepts, slopes = np.full(n_groups, base), np.tile(slopes, (n_groups, 1))
    return Linear(scaling, intercepts, slopes.astype(np.float32), tuple(rest))
