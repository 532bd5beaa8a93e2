"""What if a limit were another: the new value, who moves, and the certificate, in a pass or two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation import Certificate, LimitRow, Pairs, Plan
from jinqiao.errors import InputError
from jinqiao.match.change import Change, changed_rows
from jinqiao.match.standing import Begin, Problem, Standing, stand

__all__ = ["WhatIf", "what_if"]

_BEYOND = 1.5
"""Times as far as its price moves, a change of a limit may reach at once."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class WhatIf:
    """Two plans of the same pairs: as things stand, and after the changes.

    ``entered`` and ``left`` index the offers made or taken away. ``passes`` is what the answer
    took beyond the standing plan.
    """

    before: Standing
    after: Standing
    entered: Ints
    left: Ints

    @property
    def plan(self) -> Plan:
        return self.after.plan

    @property
    def certificate(self) -> Certificate:
        return self.after.plan.certificate

    @property
    def passes(self) -> float:
        return self.certificate.passes

    @property
    def change(self) -> float:
        """What the plan's value changes by."""
        return self.certificate.primal - self.before.plan.certificate.primal

    @property
    def worth(self) -> float:
        """What the value of the best fractional plan changes by: free of rounding."""
        return self.certificate.dual_bound - self.before.plan.certificate.dual_bound

    @property
    def change_between(self) -> tuple[float, float]:
        """Where the change of the best possible value lies, certainly."""
        old, new = self.before.plan.certificate, self.certificate
        return new.primal - old.dual_bound, new.dual_bound - old.primal

    @property
    def displaced(self) -> Ints:
        """The customers whose offers are worth less to the plan than before, ascending."""
        return np.flatnonzero(self.customer_change() < 0)

    def customer_change(self) -> Floats:
        """Return by how much each customer's offers are worth more, (n,)."""
        pairs = self.after.problem.pairs
        found = np.zeros(pairs.n_customers)
        np.add.at(found, owners(self.after.problem, self.entered), pairs.value[self.entered])
        np.subtract.at(found, owners(self.after.problem, self.left), pairs.value[self.left])
        return found

    def by_product(self) -> tuple[Ints, Ints]:
        """Return the offers entered and left by product, (p,) each."""
        problem = self.after.problem
        product, p = problem.pairs.product, problem.n_products
        entered, left = (
            np.bincount(product[index], minlength=p) for index in (self.entered, self.left)
        )
        return entered, left


def what_if(
    problem: Problem | Standing,
    plan: Plan | None = None,
    changes: Mapping[str, Change | float | str] | None = None,
    *,
    gap_target: float | None = None,
) -> WhatIf:
    """Return what changes when limits do: solved from the plan's prices, in a pass or two.

    Parameters
    ----------
    problem : what the plan was made from, or a ``stand(problem, plan)`` to ask many questions of.
    plan : the plan of a Problem; left out with a Standing.
    changes : by row name: "+500", "-10%", or the new limit; a floor's ``floor:NAME`` is the share
        of an approval row.
    gap_target : how near to the bound, as a share of the plan's value; default a tenth of the
        plan's own.

    Raises
    ------
    InputError : an unknown row, a limit below 0, a text that is no change.
    Infeasible : nothing meets the rows as changed, naming them and the least relaxation.

    Examples
    --------
    >>> from jinqiao.match import LimitRow, Pairs, solve
    >>> pairs = Pairs([0, 2, 4], [0, 1, 0, 1], [9.0, 2.0, 8.0, 7.0])
    >>> problem = Problem(pairs, 1, (LimitRow("quota", "<=", 1, "count", [0]),), 2)
    >>> plan = solve(pairs, 1, problem.rows, n_products=2)
    >>> answer = what_if(problem, plan, {"quota": "+1"})
    >>> answer.change, answer.entered.tolist(), answer.left.tolist()
    (1.0, [2], [3])
    """
    standing = standing_of(problem, plan, gap_target)
    rows = changed_rows(standing.problem.rows, changes or {})
    after = standing.resolve(rows, begin(standing, rows), gap_target)
    return compared(standing, after)


def compared(before: Standing, after: Standing) -> WhatIf:
    """Return two plans of the same pairs beside each other."""
    old, new = before.plan.chosen, after.plan.chosen
    return WhatIf(before, after, np.flatnonzero(new & ~old), np.flatnonzero(old & ~new))


def standing_of(
    problem: Problem | Standing, plan: Plan | None, gap_target: float | None
) -> Standing:
    """Return a plan made ready, which it may be already."""
    if isinstance(problem, Standing):
        return problem
    if plan is None:
        raise InputError("no plan given", record="plan", field="plan", fix="solve(…) makes one")
    return stand(problem, plan, gap_target=gap_target)


def begin(standing: Standing, rows: Sequence[LimitRow]) -> Begin:
    """Return prices to begin with: where a limit moves, that of the customer it reaches."""
    duals, who, read = standing.plan.duals.copy(), [np.zeros(0, np.int64)], 0
    for index, (row, old) in enumerate(zip(rows, standing.problem.rows, strict=True)):
        if row.limit == old.limit:
            continue
        approach = _approach(standing, old)
        read += len(approach.customer)
        scarcer = (row.limit < old.limit) == (row.sense == "<=")
        step = _step(standing, old, approach, abs(row.limit - old.limit), scarcer)
        duals[index] = max(duals[index] + (step if scarcer else -step), 0.0)
        away = approach.away(old, scarcer)
        who.append(np.unique(approach.customer[away <= _BEYOND * step]))
    return Begin(duals, np.unique(np.concatenate(who)), read)


def price_step(standing: Standing, row: LimitRow, units: float, scarcer: bool) -> float:
    """Return how far a row's price moves until so many units are given up, or taken up."""
    return _step(standing, row, _approach(standing, row), units, scarcer)


def _step(
    standing: Standing, row: LimitRow, approach: _Approach, units: float, scarcer: bool
) -> float:
    away = approach.away(row, scarcer)
    near = np.flatnonzero(np.isfinite(away))
    if not near.size:
        return 0.0
    near = near[np.argsort(away[near], kind="stable")]
    total = np.cumsum(np.abs(approach.amount[near]))
    free = standing.plan.duals[standing.plan.row_names.index(row.name)] == 0.0
    spare = abs(row.limit - float(_used(standing, row))) if free else 0.0
    place = int(np.searchsorted(total, max(units - spare, 0.0)))
    if free and units <= spare:
        return 0.0
    return float(away[near[min(place, len(near) - 1)]])


@dataclass(frozen=True, eq=False)
class _Approach:
    """The pairs of a row: (k,) customer, what a pair takes, and by how much a unit's price must
    move until it is given up (offers) or taken up (others); inf where that cannot be."""

    customer: Ints
    amount: Floats
    give: Floats
    take: Floats

    def away(self, row: LimitRow, scarcer: bool) -> Floats:
        """Return how far the price of a unit must move for each pair to answer a change."""
        return self.give if scarcer == (row.sense == "<=") else self.take

    def within(self, price: float) -> Ints:
        """Return who gives up or takes up something before the price has moved so far."""
        return np.unique(self.customer[np.minimum(self.give, self.take) <= price])


def nearest(standing: Standing, row: LimitRow, price: float) -> Ints:
    """Return who takes up or gives up something of a row before its price has moved so far."""
    return _approach(standing, row).within(price)


def _approach(standing: Standing, row: LimitRow) -> _Approach:
    problem, plan = standing.problem, standing.plan
    j = standing.pairs_of(row)
    c, away = standing.away(j)
    if row.customers is not None:
        inside = np.zeros(problem.pairs.n_customers, bool)
        inside[row.customers] = True
        j, c, away = j[inside[c]], c[inside[c]], away[inside[c]]
    amount = row_amount(problem.pairs, row, j)
    away = np.divide(away, np.abs(amount), where=amount != 0, out=np.full(len(j), np.inf))
    own = plan.chosen[j]
    return _Approach(c, amount, np.where(own, away, np.inf), np.where(own, np.inf, away))


def _used(standing: Standing, row: LimitRow) -> float:
    return float(standing.plan.used[standing.plan.row_names.index(row.name)])


def row_amount(pairs: Pairs, row: LimitRow, j: Ints) -> Floats:
    """Return what pairs take of a row that covers them."""
    if row.measure == "cost":
        return pairs.at("cost", j)
    use = pairs.at("use", j)
    return use if row.measure == "count" else use * (pairs.at("approval", j) - row.floor)


def owners(problem: Problem, index: Ints) -> Ints:
    """Return the customers of some pairs."""
    found: Ints = np.searchsorted(problem.pairs.indptr, index, side="right") - 1
    return found
