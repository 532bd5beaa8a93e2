"""Random allocation problems, and the linear programme HiGHS solves for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import highspy
import numpy as np
from numpy.typing import NDArray

from jinqiao.match import LimitRow, Pairs

__all__ = ["KINDS", "Problem", "coefficients", "lp_optimum", "random_problem"]


@dataclass(frozen=True, eq=False)
class Problem:
    pairs: Pairs
    slots: NDArray[np.int32]
    rows: tuple[LimitRow, ...]
    n_products: int


def coefficients(pairs: Pairs, row: LimitRow) -> NDArray[np.float64]:
    """Return the coefficient of every pair in a row, by its definition alone."""
    inside = np.isin(pairs.product, row.products)
    if row.customers is not None:
        mask = np.zeros(pairs.n_customers, bool)
        mask[row.customers] = True
        inside &= mask[pairs.customer]
    use = pairs.column("use")
    amount = {
        "count": use,
        "cost": pairs.column("cost"),
        "approval": use * (pairs.column("approval") - row.floor),
    }[row.measure]
    return np.where(inside, amount, 0.0)


def lp_optimum(problem: Problem) -> float | None:
    """Return the optimum of the linear relaxation by HiGHS, None when no plan meets the rows."""
    pairs, rows = problem.pairs, problem.rows
    if pairs.n_pairs == 0:
        return _empty_optimum(rows)
    model = highspy.HighsLp()
    soft = [row for row in rows if row.soft_penalty is not None]
    n, k = pairs.n_pairs, len(soft)
    slot_rows = [np.flatnonzero(pairs.customer == c) for c in range(pairs.n_customers)]
    model.num_col_, model.num_row_ = n + k, pairs.n_customers + len(rows)
    model.sense_ = highspy.ObjSense.kMaximize
    model.col_cost_ = np.concatenate((pairs.value, [-row.soft_penalty for row in soft]))
    model.col_lower_ = np.zeros(n + k)
    model.col_upper_ = np.concatenate((np.ones(n), np.full(k, np.inf)))
    lower = [-np.inf] * pairs.n_customers
    upper = [float(s) for s in problem.slots]
    index, values, start = [], [], [0]
    for members in slot_rows:
        index.append(members)
        values.append(np.ones(len(members)))
        start.append(start[-1] + len(members))
    for row in rows:
        a = coefficients(pairs, row)
        members = np.flatnonzero(a)
        amounts = a[members]
        if row.soft_penalty is not None:
            members = np.append(members, n + soft.index(row))
            amounts = np.append(amounts, -1.0 if row.sense == "<=" else 1.0)
        index.append(members)
        values.append(amounts)
        start.append(start[-1] + len(members))
        lower.append(-np.inf if row.sense == "<=" else row.limit)
        upper.append(row.limit if row.sense == "<=" else np.inf)
    model.row_lower_, model.row_upper_ = np.array(lower), np.array(upper)
    model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    model.a_matrix_.start_ = np.array(start)
    model.a_matrix_.index_ = np.concatenate(index) if index else np.zeros(0, int)
    model.a_matrix_.value_ = np.concatenate(values) if values else np.zeros(0)
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.passModel(model)
    solver.run()
    status = solver.getModelStatus()
    if status == highspy.HighsModelStatus.kOptimal:
        return float(solver.getInfo().objective_function_value)
    assert status in (
        highspy.HighsModelStatus.kInfeasible,
        highspy.HighsModelStatus.kUnboundedOrInfeasible,
    ), status
    return None


def _empty_optimum(rows: Sequence[LimitRow]) -> float | None:
    value = 0.0
    for row in rows:
        over = max(-row.limit if row.sense == "<=" else row.limit, 0.0)
        if over > 0 and row.soft_penalty is None:
            return None
        value -= over * (row.soft_penalty or 0.0)
    return value


def random_problem(
    rng: np.random.Generator,
    n: int,
    p: int,
    *,
    ties: bool = False,
    feasible: bool = True,
    kind: str = "plain",
) -> Problem:
    """Return a problem of n customers and p products with rows of every kind.

    With ``feasible``, floors are set below what one hidden integral plan meets. ``kind`` is one of
    ``KINDS``.
    """
    member = rng.random((n, p)) < rng.uniform(0.2, 1.0)
    if kind == "empty customers":
        member[rng.random(n) < 0.5] = False
    indptr = np.concatenate(([0], np.cumsum(member.sum(axis=1))))
    product = np.nonzero(member)[1].astype(np.int32)
    whole = kind in ("tight", "quotas of 1", "equal values") or bool(rng.random() < 0.5)
    pairs = _some_pairs(rng, indptr, product, whole, "coarse" if ties else kind)
    slots = rng.integers(0, 4, n).astype(np.int32)
    if kind == "slots above the degree":
        slots = np.full(n, p + 2, np.int32)
    hidden = _some_plan(rng, pairs, slots)
    if kind == "quotas of 1":
        hidden &= _first_of_each(np.where(hidden, product, -1))
    if kind == "zero budgets":
        hidden[:] = False
    count = int(rng.integers(0, 9))
    rows = tuple(_some_row(rng, pairs, p, hidden, i, feasible, kind) for i in range(count))
    if kind == "quotas of 1":
        rows += tuple(LimitRow(f"one{i}", "<=", 1, "count", np.array([i])) for i in range(p))
    if kind == "duplicated rows":
        rows += tuple(replace(row, name=f"{row.name}-again") for row in rows)
    return Problem(pairs, slots, rows, p)


KINDS = (
    "plain", "coarse", "equal values", "tight", "worthless", "empty customers", "one product",
    "duplicated rows", "quotas of 1", "slots above the degree", "zero budgets", "large numbers",
    "soft rows",
)  # fmt: skip
"""What is special about a problem."""


def _some_pairs(
    rng: np.random.Generator,
    indptr: NDArray[np.int64],
    product: NDArray[np.int32],
    whole: bool,
    kind: str,
) -> Pairs:
    m = len(product)
    value = rng.normal(1.0, 2.0, m)
    if kind == "coarse":
        value = rng.integers(-2, 6, m).astype(float)
    elif kind == "equal values":
        value = np.full(m, 3.0)
    elif kind == "worthless":
        value = np.minimum(value - 1.0, 0.0)
    elif kind == "large numbers":
        value = np.round(1e7 * value)
    use = 1.0 if whole else rng.uniform(0.05, 1.0, m)
    cost = rng.integers(0, 9, m).astype(float) if whole else rng.uniform(0.0, 5.0, m)
    if kind == "large numbers":
        cost = np.round(1e6 * cost)
    return Pairs(indptr, product, value, use, cost, rng.random(m))


def _some_plan(
    rng: np.random.Generator, pairs: Pairs, slots: NDArray[np.int32]
) -> NDArray[np.bool_]:
    chosen = np.zeros(pairs.n_pairs, bool)
    for c in range(pairs.n_customers):
        own = np.arange(pairs.indptr[c], pairs.indptr[c + 1])
        take = min(int(rng.integers(0, slots[c] + 1)), len(own))
        chosen[rng.choice(own, take, replace=False)] = True
    return chosen


def _first_of_each(number: NDArray[np.int32]) -> NDArray[np.bool_]:
    first = np.zeros(len(number), bool)
    first[np.unique(number, return_index=True)[1]] = True
    return first


def _some_row(
    rng: np.random.Generator,
    pairs: Pairs,
    p: int,
    hidden: NDArray[np.bool_],
    number: int,
    feasible: bool,
    kind: str,
) -> LimitRow:
    measure = str(rng.choice(["count", "cost", "approval"]))
    products = rng.choice(p, int(rng.integers(1, p + 1)), replace=False)
    customers = rng.random(pairs.n_customers) < 0.6 if rng.random() < 0.4 else None
    soft = 0.7 if kind == "soft rows" else 0.2
    penalty = float(rng.uniform(0.1, 3.0)) if rng.random() < soft else None
    sense = ">=" if rng.random() < 0.4 else "<="
    floor = float(rng.uniform(0.2, 0.7)) if measure == "approval" else 0.0
    row = LimitRow(f"row{number}", sense, 0.0, measure, products, customers, penalty, floor)
    met = float(coefficients(pairs, row)[hidden].sum())
    if not feasible:
        met += float(rng.normal(0.0, 3.0))
    widest = 0.0 if kind == "tight" else 0.3
    slack = abs(met) * float(rng.uniform(0.0, widest)) * (1 if sense == "<=" else -1)
    limit = met + slack
    if isinstance(pairs.use, float) and measure != "approval":
        limit = float(np.floor(limit) if sense == ">=" else np.ceil(limit))
    if measure == "count":
        limit = max(limit, 0.0)
    return LimitRow(row.name, sense, limit, measure, products, customers, penalty, floor)


def rows_named(rows: Sequence[LimitRow]) -> dict[str, LimitRow]:
    return {row.name: row for row in rows}
