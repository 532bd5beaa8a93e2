"""An independent check of a plan: plain NumPy, none of the solver's code.

Weak duality: for any λ ≥ 0, Σ_c (sum of the K best positive r) + Σ λ·b is at least the value of
every plan (Boyd & Vandenberghe, Convex Optimization, §5.1.3). Soft rows hold it for λ ≤ penalty.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation.problem import (
    Certificate,
    LimitRow,
    Pairs,
    Plan,
    check_rows,
    check_slots,
)
from jinqiao.errors import InputError

__all__ = ["certify"]

TOLERANCE = 1e-9
"""Relative to the size of a limit; whole-numbered rows are met exactly."""


def certify(pairs: Pairs, slots: object, rows: Sequence[LimitRow], plan: Plan) -> Certificate:
    """Return the certificate of a plan, recomputed from the problem and the plan's duals alone.

    Raises InputError when the plan is not one of this problem, or a dual is out of its range.
    """
    slots = check_slots(pairs, slots)
    n_products = plan.prices.count.shape[1]
    check_rows(pairs, tuple(rows), n_products)
    duals = _duals(rows, plan)
    price = np.zeros(pairs.n_pairs)
    used = np.zeros(len(rows))
    members = _Members(pairs, n_products)
    constant = 0.0
    for index, row in enumerate(rows):
        where, coefficient = members.of(row)
        used[index] = coefficient[plan.chosen[where]].sum()
        sign = 1.0 if row.sense == "<=" else -1.0
        price[where] += sign * duals[index] * coefficient
        constant += sign * duals[index] * row.limit
    bound = constant + _best_sum(pairs, slots, pairs.value - price)
    missed = {row.name: _missed(row, float(u)) for row, u in zip(rows, used, strict=True)}
    penalty = sum(missed[row.name] * row.soft_penalty for row in rows if row.soft_penalty)
    primal = float(pairs.value[plan.chosen].sum()) - penalty
    taken = np.bincount(pairs.customer[plan.chosen], minlength=pairs.n_customers)
    scale = max(abs(bound), abs(primal), 1e-12)
    return Certificate(
        primal=primal,
        dual_bound=bound,
        gap=max(bound - primal, 0.0) / scale,
        violation_max=max((missed[r.name] for r in rows if r.soft_penalty is None), default=0.0),
        violation_by_row=missed,
        passes=plan.certificate.passes,
        gap_target=plan.certificate.gap_target,
        slot_excess=int(np.maximum(taken - slots, 0).sum()),
    )


def _duals(rows: Sequence[LimitRow], plan: Plan) -> NDArray[np.float64]:
    if plan.row_names != tuple(row.name for row in rows):
        raise InputError("the plan was made for other rows", field="rows")
    for row, dual in zip(rows, plan.duals, strict=True):
        upper = np.inf if row.soft_penalty is None else row.soft_penalty
        if not 0 <= dual <= upper:
            raise InputError(f"dual {dual} outside [0, {upper}]", record=row.name, field="duals")
    return plan.duals


class _Members:
    """The pairs of a row and their coefficients, found by product."""

    def __init__(self, pairs: Pairs, n_products: int) -> None:
        self.pairs = pairs
        self.customer = pairs.customer
        self.by_product = np.argsort(pairs.product, kind="stable")
        self.start = np.searchsorted(pairs.product[self.by_product], np.arange(n_products + 1))

    def of(self, row: LimitRow) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        slices = [self.by_product[self.start[p] : self.start[p + 1]] for p in row.products]
        where = np.concatenate(slices) if slices else np.zeros(0, np.int64)
        if row.customers is not None:
            inside = np.zeros(self.pairs.n_customers, bool)
            inside[row.customers] = True
            where = where[inside[self.customer[where]]]
        if row.measure == "cost":
            return where, self.pairs.column("cost")[where]
        use = self.pairs.column("use")[where]
        if row.measure == "count":
            return where, use
        return where, use * (self.pairs.column("approval")[where] - row.floor)


def _best_sum(pairs: Pairs, slots: NDArray[np.int32], reduced: NDArray[np.float64]) -> float:
    positive = np.flatnonzero(reduced > 0)
    owner = pairs.customer[positive]
    order = np.lexsort((-reduced[positive], owner))
    owner = owner[order]
    place = np.arange(len(owner)) - np.searchsorted(owner, owner, side="left")
    return float(reduced[positive][order][place < slots[owner]].sum())


def _missed(row: LimitRow, used: float) -> float:
    over = used - row.limit if row.sense == "<=" else row.limit - used
    return over if over > TOLERANCE * max(1.0, abs(row.limit)) else 0.0
