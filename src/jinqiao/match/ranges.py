"""The price of one more unit of a limit, and how far the limit may move while it stays so.

The value of the best plan is concave in a limit, so that its price falls step by step as the limit
grows (Bertsimas & Tsitsiklis, Introduction to Linear Optimization, §5.2). Where the price has
fallen to (1 − tolerance) of itself is found without a search: at that fixed price, what customers
ask for of the row, everything else solved anew, is the limit at which it would hold.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation import LimitRow, Pairs, Plan
from jinqiao.engines.allocation.fractional import Fractional, fractional
from jinqiao.engines.allocation.regret import regrets
from jinqiao.errors import InputError
from jinqiao.match.parts import Part
from jinqiao.match.standing import Problem, Standing, near_count
from jinqiao.match.whatif import nearest, price_step, row_amount, standing_of

__all__ = ["PriceRange", "price_ranges"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_TURNS = 4
_FINE, _COARSE = 1e-6, 3e-4
"""Smoothing of the least and of the most that a price is looked at with."""


@dataclass(frozen=True, slots=True)
class PriceRange:
    """A limit's price, ≥ 0, in value a unit, and the limits between which it holds.

    While the limit stays within ``limit − down`` … ``limit + up``, all others as they are, one
    more unit (of a floor: one less) is worth ``price`` within the tolerance. A limit that is free
    has price 0 and no end above; ``down`` is what it has to spare. ``used`` is what the best
    fractional plan takes.
    """

    name: str
    sense: str
    measure: str
    limit: float
    used: float
    price: float
    down: float
    up: float
    tolerance: float


def price_ranges(
    problem: Problem | Standing,
    plan: Plan | None = None,
    *,
    names: Iterable[str] | None = None,
    tolerance: float = 0.1,
) -> tuple[PriceRange, ...]:
    """Return the price of one more unit of limits, each with the range over which it holds.

    Parameters
    ----------
    problem, plan : as of ``what_if``.
    names : the rows wanted (default: all), answered in the order of the problem's rows.
    tolerance : how much of itself a price may change by, in (0, 1).

    The prices are those of the linear relaxation, solved again to high accuracy, so that they may
    differ from ``plan.duals`` by what the plan's gap allows.

    Raises
    ------
    InputError : an unknown row, a tolerance outside (0, 1).

    Examples
    --------
    >>> from jinqiao.match import LimitRow, Pairs, solve
    >>> value = [9.0, 8.0, 7.0, 3.0]
    >>> pairs = Pairs([0, 1, 2, 3, 4], [0, 0, 0, 0], value, use=0.5)
    >>> problem = Problem(pairs, 1, (LimitRow("quota", "<=", 1.2, "count", [0]),), 1)
    >>> plan = solve(pairs, 1, problem.rows, n_products=1)
    >>> (found,) = price_ranges(problem, plan)
    >>> round(found.price, 3), round(found.down, 3), round(found.up, 3)
    (14.0, 0.2, 0.3)
    """
    if not 0 < tolerance < 1:
        raise InputError(f"{tolerance} is no share", record="price_ranges", field="tolerance",
                         fix="use 0.1 for a tenth")  # fmt: skip
    standing = standing_of(problem, plan, None)
    rows = standing.problem.rows
    wanted = {row.name for row in rows} if names is None else set(names)
    unknown = wanted - {row.name for row in rows}
    if unknown:
        raise InputError(f"no limit {min(unknown)!r}", record=min(unknown), field="names")
    search = _Ranges(standing, tolerance)
    return tuple(search.of(i) for i, row in enumerate(rows) if row.name in wanted)


class _Ranges:
    def __init__(self, standing: Standing, tolerance: float) -> None:
        self.standing, self.tolerance = standing, tolerance
        standing.by_product  # noqa: B018  # made once, for every row
        self.near = standing.near(near_count(standing.problem))
        part = self._part(self.near)
        self.base = self._exact(part, part.rows, standing.plan.duals, 1e-5)
        self.used = part.held + self.base.used
        pairs = standing.problem.pairs
        self.amount = [_typical(pairs, row) for row in standing.problem.rows]
        self.scale = standing.size / max(pairs.n_customers, 1)

    def of(self, index: int) -> PriceRange:
        row, price = self.standing.problem.rows[index], float(self.base.duals[index])
        used = float(self.used[index])
        if price * self.amount[index] <= 1e-5 * self.scale:
            spare = row.limit - used if row.sense == "<=" else used - row.limit
            price, tight, loose = 0.0, max(spare, 0.0), np.inf
        else:
            loose = self._distance(index, price * (1 - self.tolerance))
            if loose < 0.01 * self.amount[index]:  # the limit is where one price ends
                price = self._of_one_more(index)
                loose = self._distance(index, price * (1 - self.tolerance))
            dearer = price * (1 + self.tolerance)
            held = row.soft_penalty is not None and dearer > row.soft_penalty
            tight = np.inf if held else self._distance(index, dearer, -1.0)
        if row.sense == "<=" and row.measure == "count":
            tight = min(tight, row.limit)
        down, up = (tight, loose) if row.sense == "<=" else (loose, tight)
        return PriceRange(
            row.name, row.sense, row.measure, row.limit, used, price, down, up, self.tolerance
        )

    def _of_one_more(self, index: int) -> float:
        """Return the price a little beyond the limit: what the next unit is worth."""
        standing = self.standing
        row, half = standing.problem.rows[index], 0.5 * self.amount[index]
        part = self._part(self._reached(row, 4 * half))
        rows = list(part.rows)
        limit = rows[index].limit + (half if row.sense == "<=" else -half)
        rows[index] = replace(
            rows[index], limit=max(limit, 0.0) if row.measure == "count" else limit
        )
        return float(self._exact(part, rows, self.base.duals, 1e-5).duals[index])

    def _reached(self, row: LimitRow, units: float) -> Ints:
        """Return the near ties, and who would take up so many units of a row first."""
        step = price_step(self.standing, row, units, row.sense != "<=")
        return np.union1d(self.near, nearest(self.standing, row, 1.001 * step))

    def _distance(self, index: int, price: float, way: float = 1.0) -> float:
        """Return how far the limit is, ≥ 0, from the one at which its price would be this.

        ``way`` is 1 where that makes the row looser, −1 where it makes it tighter.
        """
        row = self.standing.problem.rows[index]
        sign = way if row.sense == "<=" else -way
        return max(sign * (self._asked(index, price) - row.limit), 0.0)

    def _asked(self, index: int, price: float) -> float:
        """Return what is asked for of a row at a fixed price, all other limits kept."""
        standing = self.standing
        row, duals = standing.problem.rows[index], self.base.duals
        moved = abs(price - duals[index])
        width = float(np.clip(0.01 * moved * self.amount[index] / self.scale, _FINE, _COARSE))
        who = np.union1d(self.near, nearest(standing, row, 2 * moved))
        asked = 0.0
        for _ in range(_TURNS):
            part = self._part(who)
            rows = list(part.rows)
            rows[index] = _at_price(part, rows[index], price)
            start = duals.copy()
            start[index] = price
            found = self._exact(part, rows, start, width)
            asked = float(part.held[index] + found.used[index])
            strays = self._strays(found.duals, who)
            if len(strays) == 0 or part.share == 1.0:
                break
            who = np.union1d(who, strays)
        return asked

    def _exact(
        self, part: Part, rows: Iterable[LimitRow], warm: Floats, width: float
    ) -> Fractional:
        return fractional(
            part.pairs, part.slots, tuple(rows), n_products=self.standing.problem.n_products,
            warm=warm, widths=(max(width, 1e-3), width), tolerance=1e-10,
        )  # fmt: skip

    def _strays(self, duals: Floats, who: Ints) -> Ints:
        standing = self.standing
        problem, tables = standing.problem, standing.cells.tables(standing.problem.rows, duals)
        seen = regrets(problem.pairs, problem.slots_each, tables, standing.plan.chosen)
        outside = seen.regret
        outside[who] = 0.0
        return np.flatnonzero(outside > 1e-9 * standing.size / max(len(outside), 1))

    def _part(self, who: Ints) -> Part:
        problem = self.standing.problem
        part = Part.of(problem, self.standing.plan.chosen, who, self.standing.cells)
        if part is None:
            everyone = np.arange(problem.pairs.n_customers)
            part = Part.of(problem, self.standing.plan.chosen, everyone, self.standing.cells)
        assert part is not None
        return part


def _typical(pairs: Pairs, row: LimitRow) -> float:
    """Return the mean size of what a pair takes of a row."""
    inside = np.flatnonzero(np.isin(pairs.product, row.products))
    return float(np.abs(row_amount(pairs, row, inside)).mean()) if inside.size else 0.0


def _at_price(part: Part, row: LimitRow, price: float) -> LimitRow:
    """Return the row as a charge (a floor: a bonus) a unit, whatever is taken."""
    inside = np.flatnonzero(np.isin(part.pairs.product, row.products))
    amount = row_amount(part.pairs, row, inside)
    if row.sense == "<=":
        limit = min(float(np.minimum(amount, 0.0).sum()), 0.0)
    else:
        limit = float(np.maximum(amount, 0.0).sum())
    return replace(row, limit=limit, soft_penalty=price)
