"""Which hard rows contradict each other, and the least that would make them agree.

Phase one of linear programming: the same problem with every value 0 and every hard row soft at a
price of one a typical coefficient. Its bound is below zero only when no plan, integral or
fractional, meets the rows; the rows with a price are those in conflict (a Farkas certificate).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from jinqiao.engines.allocation.compiled import Compiled
from jinqiao.engines.allocation.dual import Dual, Point
from jinqiao.errors import Infeasible

__all__ = ["conflict", "infeasible"]


def conflict(problem: Compiled) -> Mapping[str, float]:
    """Return the least relaxation by row name, in units of the row; empty when rows can hold.

    Rows in conflict that need no relaxing themselves are there with 0.
    """
    point = _phase_one(problem)
    scaled = point.duals * problem.size
    magnitude = 1.0 + float((scaled * np.abs(problem.limit) / problem.size).sum())
    if point.bound >= -1e-7 * magnitude:
        return {}
    missed = np.maximum(point.used - problem.limit, 0.0)
    missed[missed < 1e-6 * np.maximum(1.0, np.abs(problem.limit))] = 0.0
    priced = scaled > 1e-3
    return {
        row.name: float(amount)
        for row, amount, is_priced in zip(problem.rows, missed, priced, strict=True)
        if is_priced
    }


def infeasible(relaxation: Mapping[str, float]) -> Infeasible:
    """Return the error that names the conflicting rows and the least relaxation."""
    names = ", ".join(relaxation)
    parts = [f"{name} by {amount:.6g}" for name, amount in relaxation.items() if amount > 0]
    return Infeasible(
        f"no plan meets these rows together: {names}",
        record=next((n for n, amount in relaxation.items() if amount > 0), names),
        field="limit",
        fix=f"least relaxation: {'; '.join(parts)}" if parts else "relax one of them",
    )


def _phase_one(problem: Compiled) -> Point:
    arrays = problem.arrays._replace(value=np.zeros_like(problem.arrays.value))
    hard = np.array([row.soft_penalty is None for row in problem.rows], bool)
    ceiling = np.where(hard, 1.0 / problem.size, 0.0)
    only_rows = replace(problem, arrays=arrays, value_scale=1.0)
    dual = Dual(only_rows, problem.limit, ceiling)
    everyone = np.arange(problem.n_customers)
    point = dual.at(np.zeros(len(problem.rows)), everyone, 1.0)
    for mu in (1.0, 0.1, 0.01, 1e-3, 1e-4):
        start = dual.at(point.duals, everyone, mu)
        point = dual.descend(start, everyone, mu, 30, 1e-9 * max(problem.n_customers, 1))
    return point
