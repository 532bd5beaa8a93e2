"""Reach of a product before its launch: what the plan would give it, by payout and quota.

The product joins the standing plan with a quota of 0, and each quota asked about is a what-if on
that row: who would be shown it, what it displaces, what one more unit of its quota is worth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation import LimitRow, Pairs, Plan
from jinqiao.errors import InputError
from jinqiao.match.change import changed_rows
from jinqiao.match.parts import Cells
from jinqiao.match.standing import Problem, Standing
from jinqiao.match.whatif import WhatIf, begin, compared, standing_of

__all__ = ["Expected", "ForecastPoint", "Launch", "forecast"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LAUNCH = "launch"
"""Name of the new product's quota row."""
Z_90 = 1.6449
"""Half-width of a 90 % interval of the normal law."""
_MANY = 200.0
"""From so many on a count is told by its logarithm."""


@dataclass(frozen=True, eq=False)
class Launch:
    """A product that is not in the plan yet, by the customers who may be shown it.

    Parameters
    ----------
    customer : (k,) whole numbers, ascending, each once.
    value, use, cost, approval : (k,) as of ``Pairs``.
    impressions : (k,) showings of an offer while the plan stands, ≥ 0.
    counts_in : names of the plan's rows it counts in too (its institution's budget, say).
    """

    customer: Ints
    value: Floats
    use: Floats
    cost: Floats
    approval: Floats
    impressions: Floats
    counts_in: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        customer = np.asarray(self.customer, np.int64)
        if (np.diff(customer) <= 0).any():
            raise InputError("customers are ascending, each once", record="launch",
                             field="customer", fix="sort them")  # fmt: skip
        object.__setattr__(self, "customer", customer)
        for name in ("value", "use", "cost", "approval", "impressions"):
            column = np.broadcast_to(np.asarray(getattr(self, name), np.float64), customer.shape)
            object.__setattr__(self, name, column)
        if not (self.impressions >= 0).all():
            raise InputError("below 0, or no number", record="launch", field="impressions")


@dataclass(frozen=True, slots=True)
class Expected:
    """An expected count and its 90 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class ForecastPoint:
    """What a launch at one payout and quota would reach while the plan stands.

    ``price``: what one more unit of the quota is worth. ``customers``: who would be shown it.
    ``answer``: the plans without and with it (``WhatIf``); its by_product() says what is displaced.
    """

    payout: float
    quota: float
    customers: int
    impressions: Expected
    applications: Expected
    approvals: Expected
    price: float
    answer: WhatIf

    @property
    def value_change(self) -> float:
        """What the value of the best fractional plan changes by."""
        return self.answer.worth


def forecast(
    problem: Problem | Standing,
    plan: Plan | None = None,
    launches: Mapping[float, Launch] | None = None,
    quotas: Sequence[float] = (),
    *,
    spread: float = 0.0,
    gap_target: float | None = None,
) -> tuple[ForecastPoint, ...]:
    """Return what a new product would reach, a point a payout and quota, in that order.

    Parameters
    ----------
    problem, plan : as of ``what_if``.
    launches : the product by payout: its pairs' value and cost depend on what it pays.
    quotas : limits on its Σ use (expected applications), each > 0.
    spread : standard deviation of the logarithm of the product's true chances about those given,
        ≥ 0: how far one new product of its kind is from another. The intervals hold it and the
        chance of counting (Poisson counts about a spread mean); no count is above its quota.

    Raises
    ------
    InputError : an unknown row or customer, a quota ≤ 0.

    Examples
    --------
    >>> from jinqiao.match import LimitRow, Pairs, solve
    >>> pairs = Pairs([0, 1, 2, 3], [0, 0, 0], [9.0, 5.0, 4.0])
    >>> problem = Problem(pairs, 1, (LimitRow("q", "<=", 2, "count", [0]),), 1)
    >>> plan = solve(pairs, 1, problem.rows, n_products=1)
    >>> new = Launch([0, 1, 2], [8.0, 8.0, 8.0], 1.0, 0.0, 0.5, 10.0)
    >>> [round(p.applications.mean) for p in forecast(problem, plan, {100: new}, [1, 2, 9])]
    [1, 2, 2]
    """
    standing = standing_of(problem, plan, gap_target)
    if any(not quota > 0 for quota in quotas):
        raise InputError("a quota is above 0", record=LAUNCH, field="quotas")
    if not spread >= 0:
        raise InputError(f"a spread of {spread}", record=LAUNCH, field="spread", fix="use ≥ 0")
    points: dict[tuple[float, float], ForecastPoint] = {}
    for payout, launch in (launches or {}).items():
        base, place = joined(standing, launch)
        last = base
        for quota in sorted(set(quotas)):
            rows = changed_rows(last.problem.rows, {LAUNCH: quota})
            last = last.resolve(rows, begin(last, rows), gap_target)
            answer = compared(base, last)
            points[payout, quota] = _point(payout, quota, launch, answer, place, spread)
    return tuple(points[p, q] for p in (launches or {}) for q in dict.fromkeys(quotas))


def joined(standing: Standing, launch: Launch) -> tuple[Standing, Ints]:
    """Return the plan with the product in it under a quota of 0, and where its pairs are."""
    problem, plan = standing.problem, standing.plan
    names = [row.name for row in problem.rows]
    _check(problem, launch, names)
    place = problem.pairs.indptr[launch.customer + 1] + np.arange(len(launch.customer))
    new = problem.n_products
    rows = tuple(
        replace(row, products=np.append(row.products, new)) if row.name in launch.counts_in else row
        for row in problem.rows
    )
    rows = (*rows, LimitRow(LAUNCH, "<=", 0.0, "count", np.array([new])))
    made = Problem(_with_pairs(problem.pairs, launch, new), problem.slots, rows, new + 1)
    chosen = np.zeros(made.pairs.n_pairs, bool)
    old = np.ones(len(chosen), bool)
    old[place] = False
    chosen[old] = plan.chosen
    shape = (standing.cells.shape[0], new + 1)
    cells = Cells(standing.cells.segment, shape, (*standing.cells.members, np.arange(shape[0])))
    duals = np.append(plan.duals, 0.0)
    duals[-1] = _dearest(standing, made, cells, duals, place)
    begun = Plan(
        chosen, duals, np.append(plan.used, 0.0), (*plan.row_names, LAUNCH),
        cells.tables(rows, duals), plan.certificate, plan.seed,
    )  # fmt: skip
    return Standing(made, begun, cells, standing.gap_target), place


def _check(problem: Problem, launch: Launch, names: Sequence[str]) -> None:
    unknown = [name for name in launch.counts_in if name not in names]
    if unknown or LAUNCH in names:
        name = unknown[0] if unknown else LAUNCH
        raise InputError(f"no limit {name!r}" if unknown else "a row of that name exists",
                         record=name, field="counts_in")  # fmt: skip
    last = launch.customer[-1] if len(launch.customer) else 0
    if len(launch.customer) and not 0 <= launch.customer[0] <= last < problem.pairs.n_customers:
        raise InputError("unknown customer", record="launch", field="customer",
                         fix=f"use 0…{problem.pairs.n_customers - 1}")  # fmt: skip


def _with_pairs(pairs: Pairs, launch: Launch, product: int) -> Pairs:
    """Return the pairs with the product's added, after the others of each customer."""
    at = pairs.indptr[launch.customer + 1]
    more = np.zeros(pairs.n_customers, np.int64)
    more[launch.customer] = 1
    short = pairs.product.dtype == np.uint16 and product <= np.iinfo(np.uint16).max

    def column(name: str) -> Any:
        given, own = getattr(pairs, name), getattr(launch, name)
        if np.ndim(given) == 0 and given is not None and (own == given).all():
            return given
        return np.insert(given if np.ndim(given) == 1 else pairs.column(name), at, own)

    value: Any = np.insert(pairs.value, at, launch.value)
    return Pairs(
        pairs.indptr + np.concatenate(([0], np.cumsum(more))),
        np.insert(pairs.product.astype(np.uint16 if short else np.int32, copy=False), at, product),
        value,
        use=column("use"), cost=column("cost"), approval=column("approval"),
    )  # fmt: skip


def _dearest(standing: Standing, made: Problem, cells: Cells, duals: Floats, place: Ints) -> float:
    """Return the price of a unit at which nobody takes the product, a little above the best bid."""
    c = np.searchsorted(made.pairs.indptr, place, side="right") - 1
    use = made.pairs.column("use")[place]
    tables = cells.tables(made.rows, duals)
    cell = (cells.segment[c], made.pairs.product[place])
    price = (
        tables.count[cell] + made.pairs.column("approval")[place] * tables.approval[cell]
    ) * use
    r = made.pairs.value[place] - price - made.pairs.column("cost")[place] * tables.cost[cell]
    free = standing.taken[c] < made.slots_each[c]
    gain = r - np.where(free, 0.0, np.maximum(standing.seen.low[c], 0.0))
    bid = np.divide(gain, use, out=np.zeros(len(gain)), where=use > 0)
    return float(max(bid.max(initial=0.0), 0.0) * 1.001)


def _point(
    payout: float, quota: float, launch: Launch, answer: WhatIf, place: Ints, spread: float
) -> ForecastPoint:
    shown = answer.plan.chosen[place]
    applications = float(launch.use[shown].sum())
    approvals = float((launch.use * launch.approval)[shown].sum())
    counts: dict[str, Any] = {
        "impressions": _expected(float(launch.impressions[shown].sum()), 0.0),
        "applications": _expected(applications, spread, quota),
        "approvals": _expected(approvals, spread, quota),
    }
    return ForecastPoint(
        float(payout), float(quota), int(shown.sum()), price=answer.plan.dual(LAUNCH),
        answer=answer, **counts,
    )  # fmt: skip


def _expected(mean: float, spread: float, most: float = np.inf) -> Expected:
    if mean <= 0:
        return Expected(0.0, 0.0, 0.0)
    low, high = _ends(mean, spread)
    return Expected(mean, min(low, mean), min(max(high, mean), max(most, mean)))


def _ends(mean: float, spread: float) -> tuple[float, float]:
    """Return the 5 % and 95 % points of a count: Poisson about a gamma-distributed mean whose
    logarithm has about this spread (negative binomial); log-normal where it is large."""
    if mean > _MANY:
        width, middle = Z_90 * float(np.sqrt(spread**2 + 1 / mean)), mean * np.exp(-(spread**2) / 2)
        return float(middle * np.exp(-width)), float(middle * np.exp(width))
    shape = 1.0 / max(float(np.expm1(spread**2)), 1e-9)
    chance = mean / (mean + shape)
    count, p, total = 0, float(np.exp(shape * np.log1p(-chance))), 0.0
    low = -1
    while total + p < 0.95 and count < 100 * _MANY:
        total += p
        if low < 0 and total >= 0.05:
            low = count
        count += 1
        p *= (count - 1 + shape) / count * chance
    return float(low if low >= 0 else count), float(count)
