"""Rows that no plan meets, of every kind, and what HiGHS says is the least that must give way.

The least is measured as the solver does: Σ relaxation ÷ the row's mean absolute coefficient.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import highspy
import numpy as np
from benchmarks.match.instances import Instance, problem
from numpy.typing import NDArray

from jinqiao.match import LimitRow

__all__ = ["KINDS", "judged", "least", "made"]

KINDS = ("floor-over-quota", "floor-over-people", "rate", "floor-over-budget", "three-rows")


def made(kind: str, n: int, seed: int) -> tuple[Instance, tuple[str, ...]]:
    """Return ``every-1`` with rows in conflict, and the names that must be among those told."""
    base = problem("every-1", n, seed)
    by_name = {row.name: row for row in base.rows}
    everything = np.arange(base.law.n_products)
    if kind == "floor-over-quota":
        limit = by_name["quota-3"].limit
        new, guilty = LimitRow("floor", ">=", limit + 7, "count", np.array([3])), ("quota-3",)
    elif kind == "floor-over-people":
        who = by_name["branch-6"].customers
        size = int(np.asarray(who).sum())
        new, guilty = LimitRow("floor", ">=", size + 5, "count", everything, who), ()
    elif kind == "rate":
        own = np.array([5, 6])
        new = LimitRow("floor", ">=", 20, "count", own)
        strict = LimitRow("strict", ">=", 0, "approval", own, floor=0.999)
        base, guilty = replace(base, rows=(*base.rows, strict)), ("strict",)
    elif kind == "floor-over-budget":
        own = by_name["budget-2"].products
        new = LimitRow("floor", ">=", by_name["budget-2"].limit + 500, "cost", own)
        guilty = ("budget-2",)
    else:
        limit = sum(by_name[f"quota-{p}"].limit for p in (8, 9))
        new = LimitRow("floor", ">=", limit + 3, "count", np.array([8, 9]))
        guilty = ("quota-8", "quota-9")
    return replace(base, rows=(*base.rows, new)), ("floor", *guilty)


def judged(
    instance: Instance,
    guilty: tuple[str, ...],
    told: Mapping[str, float],
    relaxation: Mapping[str, float],
) -> dict[str, Any]:
    """Return whether the conflict was found and named, and its relaxation beside the least.

    ``told`` are the weights of the rows named.
    """
    sizes = dict(zip((r.name for r in instance.rows), _sizes(instance), strict=True))
    ours = sum(amount / sizes[name] for name, amount in relaxation.items())
    optimum = least(instance) if instance.n <= 20_000 else None
    return {
        "found": bool(told), "named": set(guilty) <= set(told), "rows_told": len(told),
        "ours": ours, "least": optimum,
    }  # fmt: skip


def _sizes(instance: Instance) -> NDArray[np.float64]:
    sizes = []
    for row in instance.rows:
        where, a = _members(instance, row)
        sizes.append(float(np.abs(a).mean()) if len(where) and a.any() else 1.0)
    return np.array(sizes)


def _members(instance: Instance, row: LimitRow) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    inside = np.isin(instance.product, row.products)
    if row.customers is not None:
        inside &= np.repeat(np.asarray(row.customers), np.diff(instance.indptr))
    where = np.flatnonzero(inside)
    if row.measure == "cost":
        return where, instance.cost[where].astype(np.float64)
    if row.measure == "count":
        return where, np.ones(len(where))
    assert instance.approval is not None
    return where, instance.approval[where].astype(np.float64) - row.floor


def least(instance: Instance) -> float:
    """Return the least Σ relaxation ÷ size by HiGHS: phase one of linear programming."""
    hard = [row for row in instance.rows if row.soft_penalty is None]
    sizes = dict(zip((r.name for r in instance.rows), _sizes(instance), strict=True))
    n, nnz, k = instance.n, len(instance.product), len(hard)
    index: list[Any] = np.split(np.arange(nnz), instance.indptr[1:-1])
    data: list[Any] = [np.ones(len(part)) for part in index]
    lower, upper = [-np.inf] * n, [float(instance.law.slots)] * n
    for place, row in enumerate(hard):
        where, a = _members(instance, row)
        ceiling = row.sense == "<="
        index.append(np.append(where, nnz + place))
        data.append(np.append(a, -1.0 if ceiling else 1.0))
        lower.append(-np.inf if ceiling else row.limit)
        upper.append(row.limit if ceiling else np.inf)
    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = nnz + k, n + k
    model.col_cost_ = np.concatenate((np.zeros(nnz), [1 / sizes[row.name] for row in hard]))
    model.col_lower_ = np.zeros(nnz + k)
    model.col_upper_ = np.concatenate((np.ones(nnz), np.full(k, np.inf)))
    model.row_lower_, model.row_upper_ = np.array(lower), np.array(upper)
    model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    model.a_matrix_.start_ = np.concatenate(([0], np.cumsum([len(part) for part in index])))
    model.a_matrix_.index_, model.a_matrix_.value_ = np.concatenate(index), np.concatenate(data)
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    solver.passModel(model)
    solver.run()
    return float(solver.getInfo().objective_function_value)
