"""The solver: prices on a growing sample, then on everyone, then an integral plan.

Smoothing is wide at first (prices far off still see which rows matter) and narrowed in steps; the
sample bears the wide steps, everyone only the last ones. Rounding is tried as soon as what
smoothing gives away is below the gap asked for; while the certified gap is larger, smoothing is
narrowed again. The best bound and the best plan met on the way are kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation.compiled import Compiled, compile_problem
from jinqiao.engines.allocation.dual import Dual, Point, Progress
from jinqiao.engines.allocation.infeasible import conflict, infeasible
from jinqiao.engines.allocation.problem import (
    Certificate,
    LimitRow,
    Pairs,
    Plan,
    check_rows,
    check_slots,
)
from jinqiao.engines.allocation.rounding import Rounded, round_plan
from jinqiao.errors import InputError, NotConverged

__all__ = ["least_relaxation", "solve"]

SAMPLE = 10_000
"""Customers of the first sample."""

_WIDE = (1.0, 0.3, 0.1, 0.03)
_FULL = (0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 1e-6)
"""Smoothing, in units of a customer's mean best value."""

_SMALL = 2_000
"""Up to so many customers a pass is cheap, and prices may take many."""

_TRIES, _SHAKES = 4, 20
"""Roundings at most once there is a plan; further ones, shaken, while there is none."""

Floats = NDArray[np.float64]


def solve(
    pairs: Pairs,
    slots: int | NDArray[np.integer],
    rows: Sequence[LimitRow],
    *,
    n_products: int,
    seed: int = 0,
    gap_target: float = 2e-4,
    warm: Mapping[str, float] | None = None,
    progress: Progress | None = None,
) -> Plan:
    """Return an integral plan with a price for every row and its certificate.

    Parameters
    ----------
    pairs : the eligible pairs, at most one of a customer and a product.
    slots : K, one number or (n,) whole numbers ≥ 0.
    rows : the limits. Hard ones hold in the plan.
    n_products : products are numbered 0 … n_products − 1.
    seed : orders the sample and the rounding; the same seed gives the same plan.
    gap_target : stop at this certified gap; a plan that misses it is returned with
        ``certificate.reached`` false, never thrown away.
    warm : duals by row name from an earlier plan; rows it does not name start at 0.
    progress : called after every pass with mu, bound, loss, passes, customers.

    Raises
    ------
    InputError : naming the pair, row or customer at fault.
    Infeasible : naming the rows in conflict and the least relaxation.
    NotConverged : rows that a fractional plan meets, and no integral one was found.

    Examples
    --------
    >>> pairs = Pairs([0, 2, 4], [0, 1, 0, 1], [9.0, 2.0, 8.0, 7.0])
    >>> quota = LimitRow("quota", "<=", 1, "count", [0])
    >>> solve(pairs, 1, [quota], n_products=2).chosen
    array([ True, False, False,  True])
    """
    problem = _checked(pairs, slots, rows, n_products)
    dual = Dual(problem, problem.limit, problem.ceiling, progress)
    search = _Search(problem, dual, seed, gap_target)
    search.run(_start(problem, warm))
    return search.plan()


def least_relaxation(
    pairs: Pairs, slots: int | NDArray[np.integer], rows: Sequence[LimitRow], *, n_products: int
) -> Mapping[str, float]:
    """Return by how much each row in conflict must give way; empty when the rows can hold."""
    return conflict(_checked(pairs, slots, rows, n_products))


def _checked(pairs: Pairs, slots: object, rows: Sequence[LimitRow], n_products: int) -> Compiled:
    rows = tuple(rows)
    check_rows(pairs, rows, n_products)
    return compile_problem(pairs, check_slots(pairs, slots), rows, n_products)


def _start(problem: Compiled, warm: Mapping[str, float] | None) -> Floats | None:
    if warm is None:
        return None
    duals = np.array([float(warm.get(row.name, 0.0)) for row in problem.rows])
    good = np.isfinite(duals) & (duals >= 0)
    if not good.all():
        name = problem.rows[int(np.argmin(good))].name
        raise InputError("a starting price below 0 or no number", record=name, field="warm")
    start: Floats = np.minimum(duals, problem.ceiling)
    return start


@dataclass(eq=False)
class _Search:
    problem: Compiled
    dual: Dual
    seed: int
    gap_target: float
    bound: float = np.inf
    duals: Floats | None = None
    best: Rounded | None = None

    def run(self, warm: Floats | None) -> None:
        rng = np.random.default_rng(self.seed)
        n, scale = self.problem.n_customers, self.problem.value_scale
        everyone = np.arange(n)
        sample = everyone if n <= 2 * SAMPLE else np.sort(rng.permutation(n)[:SAMPLE])
        duals = np.zeros(len(self.problem.rows)) if warm is None else warm
        for mu in _WIDE if warm is None else ():
            duals = self._narrow(duals, sample, mu * scale, 1e-3).duals
        tries = 0
        for mu in _FULL:
            point = self._narrow(duals, everyone, mu * scale, 0.05)
            duals = point.duals
            self._keep(point)
            if point.loss > 0.25 * self.gap_target * self._size() and mu > _FULL[-1]:
                continue
            self._round(duals, rng)
            tries += 1
            if self._gap() <= self.gap_target or (self.best is not None and tries >= _TRIES):
                return
        for shake in range(1, _SHAKES + 1):
            if self.best is None:
                self._round(duals, rng, 0.05 * shake)
        self._refuse_if_infeasible()

    def _narrow(self, duals: Floats, who: NDArray[np.int64], mu: float, part: float) -> Point:
        """Return the dual's point at this smoothing, to a part of the gap asked for."""
        start = self.dual.at(duals, who, mu)
        tolerance = part * self.gap_target * max(abs(start.smooth), 1e-9 * mu)
        steps = 25 if self.problem.n_customers > _SMALL else 200
        return self.dual.descend(start, who, mu, steps, tolerance)

    def _keep(self, point: Point) -> None:
        if point.bound < self.bound:
            self.bound, self.duals = point.bound, point.duals
        if self.bound < self._lowest():
            self._refuse_if_infeasible()

    def _round(self, duals: Floats, rng: np.random.Generator, jitter: float = 0.0) -> None:
        new = round_plan(self.problem, duals, rng, jitter)
        if new.excess > 0:
            return
        if self.best is None or new.primal > self.best.primal:
            self.best = new

    def _lowest(self) -> float:
        """Return what no plan can be worth less than, −inf when a penalty has no end."""
        if any(row.soft_penalty is not None for row in self.problem.rows):
            return -np.inf
        low = float(np.minimum(self.problem.arrays.value, 0.0).sum())
        return low - 1e-6 * self.problem.value_scale * max(self.problem.n_customers, 1)

    def _size(self) -> float:
        return max(abs(self.bound), 1e-12)

    def _gap(self) -> float:
        primal = self.best.primal if self.best else -np.inf
        return max(self.bound - primal, 0.0) / max(abs(self.bound), abs(primal), 1e-12)

    def _refuse_if_infeasible(self) -> None:
        if self.best is not None:
            return
        relaxation = conflict(self.problem)
        if relaxation:
            raise infeasible(relaxation)
        if self.bound >= self._lowest():
            raise NotConverged(
                "a fractional plan meets the rows, no integral one was found",
                record=", ".join(row.name for row in self.problem.rows[:5]),
                field="limit",
                fix="widen the tightest floors and ceilings by one pair, or make one soft",
            )

    def plan(self) -> Plan:
        problem, best = self.problem, self.best
        assert best is not None
        assert self.duals is not None
        over = np.maximum(best.used - problem.limit, 0.0)
        over[over <= 1e-9 * np.maximum(1.0, np.abs(problem.limit))] = 0.0
        names = tuple(row.name for row in problem.rows)
        hard = [row.soft_penalty is None for row in problem.rows]
        certificate = Certificate(
            primal=best.primal,
            dual_bound=self.bound,
            gap=self._gap(),
            violation_max=float(over[hard].max(initial=0.0)),
            violation_by_row=dict(zip(names, over.tolist(), strict=True)),
            passes=self.dual.passes,
            gap_target=self.gap_target,
        )
        sign = np.array([1.0 if row.sense == "<=" else -1.0 for row in problem.rows])
        return Plan(
            chosen=best.chosen, duals=self.duals, used=sign * best.used, row_names=names,
            prices=problem.tables(self.duals), certificate=certificate, seed=self.seed,
            trace=tuple(self.dual.trace),
        )  # fmt: skip
