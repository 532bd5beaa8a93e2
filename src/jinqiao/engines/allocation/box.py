"""The step of a quadratic model within a box, by active sets.

Source: Hintermüller, Ito & Kunisch 2002, "The primal-dual active set strategy as a semismooth
Newton method", algorithm 1; a primal active set takes over where that runs in a circle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation.sweep import backsolve

__all__ = ["Box"]

_FEW = 64

Floats = NDArray[np.float64]


@dataclass(eq=False)
class Box:
    """Steps of one descent: the rows held at their bounds are the first guess of the next."""

    state: NDArray[np.int8] | None = None

    def step(self, hessian: Floats, gradient: Floats, lower: Floats, upper: Floats) -> Floats:
        """Return argmin g·d + d·H·d/2 over lower ≤ d ≤ upper; lower ≤ 0 ≤ upper."""
        stiff = np.diag(hessian)
        floor = max(float(stiff.max(initial=0.0)) * 1e-10, 1e-12)
        matrix = hessian.copy()
        matrix[np.diag_indices_from(matrix)] += floor
        found = self._primal_dual(matrix, gradient, lower, upper)
        return _walk(matrix, gradient, lower, upper) if found is None else found

    def _primal_dual(
        self, matrix: Floats, gradient: Floats, lower: Floats, upper: Floats
    ) -> Floats | None:
        scale = np.diag(matrix)
        step = np.zeros(len(gradient))
        multiplier = gradient.copy()
        previous = None
        for turn in range(40):
            if turn == 0 and self.state is not None:
                state = self.state
            else:
                guess = step - multiplier / scale
                state = (guess <= lower).astype(np.int8) - (guess >= upper).astype(np.int8)
            # A few rows of many still changing sides move the step by little: the next one will.
            if previous is not None and (state != previous).sum() <= len(state) // _FEW:
                self.state = state
                return np.clip(step, lower, upper)
            previous = state
            step = np.where(state > 0, lower, np.where(state < 0, upper, 0.0))
            free = np.flatnonzero(state == 0)
            if len(free):
                held = gradient + matrix @ step
                step[free] = _solve(matrix[np.ix_(free, free)], -held[free])
            multiplier = gradient + matrix @ step
            multiplier[free] = 0.0
        return None


def _solve(matrix: Floats, right: Floats) -> Floats:
    """Return the solution of a positive definite system, by Cholesky."""
    try:
        lower = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return np.linalg.solve(matrix, right).astype(np.float64)
    solved = right.copy()
    backsolve(lower, solved)
    return solved


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
            way = _solve(matrix[np.ix_(index, index)], -slope[index])
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
