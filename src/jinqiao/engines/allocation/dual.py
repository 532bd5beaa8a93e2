"""Prices by projected Newton steps on the smoothed dual.

Minimise D_μ(λ) = Σ_c smoothed part + λ·b over 0 ≤ λ ≤ ceiling. D_μ is convex, once
differentiable and piecewise quadratic; its generalised Hessian is a sum over marginal customers, so
a semi-smooth Newton step (Qi & Sun 1993) costs the pass that is made anyway. Steps are damped as
Levenberg and Marquardt do, and the bounds are kept by a primal-dual active set (Hintermüller, Ito &
Kunisch 2002, algorithm 1). Rows are scaled by their typical coefficient: y = λ · size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation.compiled import Compiled
from jinqiao.engines.allocation.sweep import sweep

__all__ = ["Dual", "Point"]

Floats = NDArray[np.float64]
Progress = Callable[[dict[str, float]], None]


@dataclass(frozen=True, eq=False)
class Point:
    """The dual at one price vector: all numbers for the whole problem, a sample scaled up."""

    duals: Floats
    bound: float
    smooth: float
    loss: float
    """exact − fractional part: what smoothing gives away."""
    used: Floats
    gradient: Floats
    hessian: Floats


@dataclass(eq=False)
class Dual:
    """Prices of one problem, moved by passes over samples or over everyone."""

    problem: Compiled
    limit: Floats
    ceiling: Floats
    progress: Progress | None = None
    passes: float = 0.0
    trace: list[dict[str, float]] = field(default_factory=list)

    def at(self, duals: Floats, who: NDArray[np.int64], mu: float) -> Point:
        """Return the dual at prices, seen by the customers ``who`` (scaled up to all)."""
        problem = self.problem
        arrays, m = problem.arrays, len(problem.rows)
        tables = problem.tables(duals)
        prices = (tables.count.ravel(), tables.cost.ravel(), tables.approval.ravel())
        usage = np.zeros((3, len(prices[0])))
        hessian = np.zeros((m, m))
        exact, smooth, fractional, _ = sweep(arrays, who, prices, mu, usage, hessian)
        weight = problem.n_customers / max(len(who), 1)
        self.passes += len(who) / max(problem.n_customers, 1)
        used = weight * problem.row_sums(usage)
        constant = float(duals @ self.limit)
        size = problem.size
        return Point(
            duals,
            weight * exact + constant,
            weight * smooth + constant,
            weight * (exact - fractional),
            used,
            (self.limit - used) / size,
            hessian * (weight / mu) / np.outer(size, size),
        )

    def descend(
        self, point: Point, who: NDArray[np.int64], mu: float, steps: int, tolerance: float
    ) -> Point:
        """Return the point after Newton steps; stop when a step promises less than tolerance."""
        size = self.problem.size
        upper = self.ceiling * size
        damping = 1e-6
        for _ in range(steps):
            y = point.duals * size
            stiff = np.diag(point.hessian).copy()
            floor = max(float(stiff.max(initial=0.0)) * 1e-9, 1e-12)
            matrix = point.hessian + np.diag(damping * np.maximum(stiff, floor) + floor)
            step = _bounded_step(matrix, point.gradient, -y, upper - y)
            promise = -float(point.gradient @ step + 0.5 * step @ point.hessian @ step)
            if promise <= tolerance:
                break
            moved = np.clip(y + step, 0.0, upper) / size
            new = self.at(moved, who, mu)
            ratio = (point.smooth - new.smooth) / promise
            self._tell(mu, new, len(who))
            if ratio > 1e-4:
                point = new
            damping = _damp(damping, ratio)
            if damping > 1e6:
                break
        return point

    def _tell(self, mu: float, point: Point, n_seen: int) -> None:
        event = {
            "mu": mu, "bound": point.bound, "loss": point.loss, "passes": self.passes,
            "customers": float(n_seen),
        }  # fmt: skip
        self.trace.append(event)
        if self.progress is not None:
            self.progress(event)


def _damp(damping: float, ratio: float) -> float:
    if ratio > 0.5:
        return max(damping * 0.1, 1e-9)
    if ratio > 0.1:
        return damping
    return max(damping, 1e-4) * 10.0


def _bounded_step(matrix: Floats, gradient: Floats, lower: Floats, upper: Floats) -> Floats:
    """Return argmin g·d + d·H·d/2 over lower ≤ d ≤ upper, by a primal-dual active set."""
    m = len(gradient)
    scale = np.diag(matrix)
    step = np.zeros(m)
    multiplier = gradient.copy()
    previous = None
    for _ in range(40):
        guess = step - multiplier / scale
        low, high = guess <= lower, guess >= upper
        free = ~(low | high)
        state = low.astype(np.int8) - high.astype(np.int8)
        if previous is not None and (state == previous).all():
            break
        previous = state
        step = np.where(low, lower, np.where(high, upper, 0.0))
        held = gradient + matrix @ step
        if free.any():
            block = matrix[np.ix_(free, free)]
            step[free] = np.linalg.solve(block, -held[free])
        multiplier = gradient + matrix @ step
        multiplier[free] = 0.0
    return np.clip(step, lower, upper)
