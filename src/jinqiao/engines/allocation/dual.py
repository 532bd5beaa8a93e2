"""Prices by projected Newton steps on the smoothed dual.

Minimise D_μ(λ) = Σ_c smoothed part + λ·b over 0 ≤ λ ≤ ceiling. D_μ is convex, once
differentiable and piecewise quadratic; its generalised Hessian is a sum over marginal customers, so
a semi-smooth Newton step (Qi & Sun 1993) costs the pass that is made anyway. A step stays within a
box of trust, which grows and shrinks as it keeps its promise; box and bounds are kept by a
primal-dual active set (Hintermüller, Ito & Kunisch 2002, algorithm 1). Rows are scaled by their
typical coefficient: y = λ · size.
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
        reach = 4.0 * mu
        for _ in range(steps):
            y = point.duals * size
            stiff = np.diag(point.hessian)
            floor = max(float(stiff.max(initial=0.0)) * 1e-10, 1e-12)
            matrix = point.hessian + np.diag(np.full(len(y), floor))
            box = (np.maximum(-y, -reach), np.minimum(upper - y, reach))
            step = _bounded_step(matrix, point.gradient, *box)
            promise = -float(point.gradient @ step + 0.5 * step @ point.hessian @ step)
            longest = float(np.abs(step).max(initial=0.0))
            boxed = longest >= reach * (1 - 1e-9)
            # A small promise says nothing where a narrow box is what keeps it small.
            if promise <= 0.0 or (promise <= tolerance and not (boxed and reach > 1e-4 * mu)):
                break
            moved = np.minimum(np.clip(y + step, 0.0, upper) / size, self.ceiling)
            new = self.at(moved, who, mu)
            ratio = (point.smooth - new.smooth) / promise
            self._tell(mu, new, len(who))
            if ratio > 1e-4:
                point = new
            if ratio < 0.2:
                reach = longest * 0.3
            elif ratio > 0.5 and boxed:
                reach *= 4.0
        return point

    def _tell(self, mu: float, point: Point, n_seen: int) -> None:
        event = {
            "mu": mu, "bound": point.bound, "loss": point.loss, "passes": self.passes,
            "customers": float(n_seen),
        }  # fmt: skip
        self.trace.append(event)
        if self.progress is not None:
            self.progress(event)


def _bounded_step(matrix: Floats, gradient: Floats, lower: Floats, upper: Floats) -> Floats:
    """Return argmin g·d + d·H·d/2 over lower ≤ d ≤ upper, by a primal-dual active set."""
    scale = np.diag(matrix)
    step = np.zeros(len(gradient))
    multiplier = gradient.copy()
    previous = None
    for _ in range(40):
        guess = step - multiplier / scale
        low, high = guess <= lower, guess >= upper
        free = ~(low | high)
        state = low.astype(np.int8) - high.astype(np.int8)
        if previous is not None and (state == previous).all():
            return np.clip(step, lower, upper)
        previous = state
        step = np.where(low, lower, np.where(high, upper, 0.0))
        if free.any():
            held = gradient + matrix @ step
            step[free] = np.linalg.solve(matrix[np.ix_(free, free)], -held[free])
        multiplier = gradient + matrix @ step
        multiplier[free] = 0.0
    return _walk(matrix, gradient, lower, upper)


def _walk(matrix: Floats, gradient: Floats, lower: Floats, upper: Floats) -> Floats:
    """Return the same minimum by a primal active set, where the other runs in a circle.

    From d = 0 every turn goes down, so that it may stop at any turn. lower ≤ 0 ≤ upper.
    """
    step = np.zeros(len(gradient))
    free = ((gradient < 0) & (upper > 0)) | ((gradient > 0) & (lower < 0))
    for _ in range(20 + 3 * len(gradient)):
        slope = gradient + matrix @ step
        if free.any():
            index = np.flatnonzero(free)
            way = np.linalg.solve(matrix[np.ix_(index, index)], -slope[index])
            room = np.where(way > 0, upper[index] - step[index], lower[index] - step[index])
            ratio = np.divide(room, way, out=np.full(len(way), np.inf), where=way != 0)
            block = int(np.argmin(ratio))
            step[index] += min(1.0, float(ratio[block])) * way
            if ratio[block] < 1.0:
                step[index[block]] = (upper if way[block] > 0 else lower)[index[block]]
                free[index[block]] = False
                continue
            slope = gradient + matrix @ step
        inward = np.where(step <= lower, -slope, np.where(step >= upper, slope, np.abs(slope)))
        inward[free | (lower >= upper)] = 0.0
        worst = int(np.argmax(inward))
        if inward[worst] <= 1e-12 * (1.0 + abs(float(gradient[worst]))):
            break
        free[worst] = True
    return np.clip(step, lower, upper)
