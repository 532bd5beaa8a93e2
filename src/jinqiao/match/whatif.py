"""What if a limit were another: the new value, who moves, and the certificate, in a pass or two."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation import Certificate, LimitRow, Pairs, Plan
from jinqiao.errors import InputError
from jinqiao.match.standing import Problem, Standing, near_count, stand

__all__ = ["Change", "WhatIf", "what_if"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_TEXT = re.compile(r"\s*([+-]?)\s*(\d+(?:[_,]\d{3})*(?:\.\d+)?|\.\d+)\s*(%?)\s*")


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a number: ``by`` an amount, by a ``share`` of itself, or ``to`` a value."""

    how: str
    amount: float

    @classmethod
    def of(cls, given: Change | float | str, record: str = "change") -> Change:
        """Return the change of "+500", "-10%", "900", or of a number (the new value).

        Raises InputError for any other text, naming the record.
        """
        if isinstance(given, Change):
            return given
        if isinstance(given, int | float | np.number):
            return cls("to", float(given))
        match = _TEXT.fullmatch(given)
        if match is None or (match[3] and not match[1]):
            raise InputError(
                f"{given!r} is no change", record=record, field="change",
                fix="write +500, -10% or the new value",
            )  # fmt: skip
        amount = float(match[2].replace(",", "").replace("_", ""))
        signed = -amount if match[1] == "-" else amount
        if match[3]:
            return cls("share", signed / 100)
        return cls("by" if match[1] else "to", signed)

    def __call__(self, value: float) -> float:
        """Return the number after the change."""
        if self.how == "share":
            return value * (1 + self.amount)
        return value + self.amount if self.how == "by" else self.amount


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
    gap_target: float = 1e-5,
) -> WhatIf:
    """Return what changes when limits do: solved from the plan's prices, near ties alone.

    Parameters
    ----------
    problem : what the plan was made from, or a ``stand(problem, plan)`` to ask many questions of.
    plan : the plan of a Problem; left out with a Standing.
    changes : by row name: "+500", "-10%", or the new limit; a floor's ``floor:NAME`` is the share
        of an approval row.
    gap_target : how near to the bound, as a share of the plan's value.

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
    after = standing.resolve(rows, first_movers(standing, rows), standing.plan.duals, gap_target)
    return compared(standing, after)


def compared(before: Standing, after: Standing) -> WhatIf:
    """Return two plans of the same pairs beside each other."""
    old, new = before.plan.chosen, after.plan.chosen
    return WhatIf(before, after, np.flatnonzero(new & ~old), np.flatnonzero(old & ~new))


def standing_of(problem: Problem | Standing, plan: Plan | None, gap_target: float) -> Standing:
    """Return a plan made ready, which it may be already."""
    if isinstance(problem, Standing):
        return problem
    if plan is None:
        raise InputError("no plan given", record="plan", field="plan", fix="solve(…) makes one")
    return stand(problem, plan, gap_target=gap_target)


def changed_rows(
    rows: Sequence[LimitRow], changes: Mapping[str, Change | float | str]
) -> tuple[LimitRow, ...]:
    """Return the rows with some limits (or approval floors) changed."""
    place = {row.name: i for i, row in enumerate(rows)}
    made = list(rows)
    for name, given in changes.items():
        floor, key = name.startswith("floor:") and name not in place, name.removeprefix("floor:")
        if (key if floor else name) not in place:
            raise InputError(
                f"no limit {name!r}", record=name, field="changes",
                fix=f"one of {', '.join(list(place)[:5])} …" if place else "the plan has no rows",
            )  # fmt: skip
        index = place[key if floor else name]
        made[index] = _changed(made[index], Change.of(given, name), floor)
    return tuple(made)


def _changed(row: LimitRow, change: Change, floor: bool) -> LimitRow:
    if floor:
        share = change(row.floor)
        if row.measure != "approval" or not 0 <= share <= 1:
            raise InputError(
                f"a floor of {share:g}", record=row.name, field="floor",
                fix="give an approval row a share in 0 … 1",
            )  # fmt: skip
        return replace(row, floor=share)
    limit = change(row.limit)
    if limit == row.limit:
        return row
    if not math.isfinite(limit) or (limit < 0 <= row.limit):
        raise InputError(
            f"{limit:g} is no limit", record=row.name, field="limit",
            fix=f"it is {row.limit:g} now: take off less",
        )  # fmt: skip
    return replace(row, limit=limit)


def first_movers(standing: Standing, rows: Sequence[LimitRow]) -> Ints:
    """Return the customers who may move: near ties, and those nearest to a changed row."""
    found = [standing.near(near_count(standing.problem))]
    for row, old in zip(rows, standing.problem.rows, strict=True):
        if row is old:
            continue
        if row.floor != old.floor:
            found.append(standing.near(4 * near_count(standing.problem)))
        else:
            found.append(nearest(standing, old, 2 * abs(row.limit - old.limit)))
    return np.unique(np.concatenate(found))


def nearest(standing: Standing, row: LimitRow, units: float, price: float = np.inf) -> Ints:
    """Return who first take up, and who first give up, so many units of a row as its price moves.

    Not those whom more than ``price`` a unit would be needed for.
    """
    problem, seen, plan = standing.problem, standing.seen, standing.plan
    order, start = standing.by_product
    pairs = problem.pairs
    j = np.concatenate([order[start[p] : start[p + 1]] for p in row.products] or [order[:0]])
    c = owners(problem, j)
    if row.customers is not None:
        inside = np.zeros(pairs.n_customers, bool)
        inside[row.customers] = True
        j, c = j[inside[c]], c[inside[c]]
    tables, segment = standing.cells.tables(problem.rows, plan.duals), standing.cells.segment
    use, cell = pairs.column("use")[j], (segment[c], pairs.product[j])
    price = (tables.count[cell] + pairs.column("approval")[j] * tables.approval[cell]) * use
    r = pairs.value[j] - price - pairs.column("cost")[j] * tables.cost[cell]
    free = standing.taken[c] < problem.slots[c]  # type: ignore[index]
    own = plan.chosen[j]
    give, take = r - np.maximum(seen.high[c], 0.0), np.where(free, 0.0, seen.low[c]) - r
    amount = row_amount(pairs, row, j)
    away = np.divide(np.where(own, give, take), np.abs(amount), where=amount != 0,
                     out=np.full(len(j), np.inf))  # fmt: skip
    away[away > price] = np.inf
    return np.concatenate([
        _until(c, np.where(own, away, np.inf), amount, units),
        _until(c, np.where(own, np.inf, away), amount, units),
    ])  # fmt: skip


def row_amount(pairs: Pairs, row: LimitRow, j: Ints) -> Floats:
    """Return what pairs take of a row that covers them."""
    if row.measure == "cost":
        return pairs.column("cost")[j]
    use = pairs.column("use")[j]
    return use if row.measure == "count" else use * (pairs.column("approval")[j] - row.floor)


def _until(customer: Ints, distance: Floats, amount: Floats, units: float) -> Ints:
    """Return the nearest customers whose pairs come to so many units, and a few more."""
    near = np.flatnonzero(np.isfinite(distance))
    near = near[np.argsort(distance[near], kind="stable")]
    total = np.cumsum(np.abs(amount[near]))
    stop = int(np.searchsorted(total, units)) + 100
    return customer[near[:stop]]


def owners(problem: Problem, index: Ints) -> Ints:
    """Return the customers of some pairs."""
    found: Ints = np.searchsorted(problem.pairs.indptr, index, side="right") - 1
    return found
