"""A plan that stands, made ready for questions: what changes when little changes.

Prices that move a little change the choice of few customers: those near a tie, and those whose
products are priced anew. Only they are solved again, with everybody else's offers held; then one
pass over everyone at the new prices bounds what the others could add (their regret). Whoever has a
regret joins, until nothing is left: the answer is that of the whole problem, with its certificate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation import Certificate, LimitRow, Pairs, Plan, solve
from jinqiao.engines.allocation.fractional import Fractional, fractional
from jinqiao.engines.allocation.problem import check_rows, check_slots
from jinqiao.engines.allocation.regret import Regrets, regrets
from jinqiao.errors import Infeasible, InputError, NotConverged
from jinqiao.match.parts import Cells, Part, missed

__all__ = ["Problem", "Standing", "stand"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_WHOLE = 4_000
"""Up to so many customers the whole problem is as quick as a part of it."""
_TURNS = 6
_LOYALTY = 1e-3
"""A move is worth making from this share of a mean offer's value on."""


@dataclass(frozen=True, eq=False)
class Problem:
    """What a plan is made from: the arguments of ``match.solve`` in one record."""

    pairs: Pairs
    slots: int | NDArray[np.integer]
    rows: tuple[LimitRow, ...]
    n_products: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", tuple(self.rows))
        object.__setattr__(self, "slots", check_slots(self.pairs, self.slots))
        check_rows(self.pairs, self.rows, self.n_products)

    def with_rows(self, rows: Sequence[LimitRow]) -> Problem:
        """Return the same pairs and slots under other rows."""
        return replace(self, rows=tuple(rows))


@dataclass(eq=False)
class Standing:
    """A problem, its plan, and each customer's distance to another choice at the plan's prices.

    ``plan.certificate.passes`` counts what making it took, in passes over all pairs.
    """

    problem: Problem
    plan: Plan
    cells: Cells
    gap_target: float
    seed: int = 0

    @cached_property
    def seen(self) -> Regrets:
        """Each customer's regret and nearest other choice at the plan's prices; one pass."""
        tables = self.cells.tables(self.problem.rows, self.plan.duals)
        return regrets(self.problem.pairs, self.problem.slots, tables, self.plan.chosen)

    @cached_property
    def margin(self) -> Floats:
        """How far prices move before a customer's choice changes, (n,) ≥ 0."""
        taken = self.taken
        return self.seen.margin(taken < self.problem.slots)

    @cached_property
    def taken(self) -> Ints:
        """Offers of each customer, (n,)."""
        return per_customer(self.problem.pairs, self.plan.chosen)

    @cached_property
    def by_product(self) -> tuple[Ints, Ints]:
        """Pairs ordered by product, and where each product's begin, (p + 1,)."""
        product = self.problem.pairs.product
        order = np.argsort(product, kind="stable")
        start = np.searchsorted(product[order], np.arange(self.problem.n_products + 1))
        return order, start

    @property
    def size(self) -> float:
        """What gaps are shares of."""
        c = self.plan.certificate
        return max(abs(c.dual_bound), abs(c.primal), 1e-12)

    def near(self, count: int) -> Ints:
        """Return the customers nearest to another choice, at least ``count`` if there are."""
        n = len(self.margin)
        if count >= n:
            return np.arange(n)
        width = np.partition(self.margin, count - 1)[count - 1]
        return np.flatnonzero(self.margin <= width)

    def resolve(
        self, rows: Sequence[LimitRow], who: Ints, warm: Floats, gap_target: float
    ) -> Standing:
        """Return the plan of the same pairs under other rows, begun with the customers ``who``.

        Raises Infeasible, naming rows, when nothing meets them; NotConverged as ``solve`` does.
        """
        problem = self.problem.with_rows(rows)
        if all(new is old for new, old in zip(problem.rows, self.problem.rows, strict=True)):
            return self
        search = _Search(self, problem, gap_target)
        return search.run(who, warm)


def stand(
    problem: Problem, plan: Plan, *, gap_target: float = 1e-5, seed: int | None = None
) -> Standing:
    """Return a plan made ready for questions: first brought nearer to its bound, by near ties alone.

    Raises InputError when the plan is not one of this problem.
    """
    if plan.row_names != tuple(row.name for row in problem.rows):
        raise InputError("the plan was made for other rows", record="plan", field="rows")
    if plan.chosen.shape != (problem.pairs.n_pairs,):
        raise InputError("the plan has other pairs", record="plan", field="chosen")
    cells = Cells.of(problem.rows, plan.prices.segment, plan.prices.count.shape)
    first = Standing(problem, plan, cells, gap_target, plan.seed if seed is None else seed)
    return _Search(first, problem, gap_target).run(first.near(near_count(problem)), plan.duals)


def near_count(problem: Problem) -> int:
    """Return how many customers near a tie decide a plan of so many rows."""
    return max(1_000, 10 * len(problem.rows))


def per_customer(pairs: Pairs, chosen: NDArray[np.bool_]) -> Ints:
    """Return how many pairs of each customer are chosen, (n,)."""
    total = np.concatenate(([0], np.cumsum(chosen)))
    return total[pairs.indptr[1:]] - total[pairs.indptr[:-1]]


@dataclass(eq=False)
class _Search:
    """One re-solve. ``before`` is held where nothing asks for a change."""

    before: Standing
    problem: Problem
    gap_target: float
    passes: float = 0.0

    def run(self, who: Ints, warm: Floats) -> Standing:
        n = self.problem.pairs.n_customers
        duals = warm
        for turn in range(_TURNS):
            if n <= _WHOLE or len(who) > 0.5 * n or turn == _TURNS - 1:
                who = np.arange(n)
            part = Part.of(self.problem, self.before.plan.chosen, who, self.before.cells)
            if part is None:
                who = self._wider(who)
                continue
            found = self._exact(part, duals)
            seen = self._look(found.duals)
            outside = seen.regret.copy()
            outside[who] = 0.0
            if outside.sum() <= 0.05 * self.gap_target * self.before.size or len(who) == n:
                made = self._rounded(part, found, seen)
                if made is not None:
                    return made
                who = self._wider(who)
                continue
            duals = found.duals
            who = np.union1d(who, self._strays(outside, seen, len(who)))
        raise NotConverged("no plan was found", record="rows", field="limit", fix="widen a row")

    def _wider(self, who: Ints) -> Ints:
        return np.union1d(who, self.before.near(4 * len(who)))

    def _strays(self, outside: Floats, seen: Regrets, count: int) -> Ints:
        """Return who regrets, and as many again who are nearest to it at the new prices."""
        strays = np.flatnonzero(outside > 0)
        margin = seen.margin(self.before.taken < self.problem.slots)
        more = min(max(len(strays), count // 2), len(margin) - 1)
        near = np.argpartition(margin, more)[:more]
        return np.union1d(strays, near)

    def _exact(self, part: Part, duals: Floats) -> Fractional:
        found = fractional(
            part.pairs, part.slots, part.rows, n_products=self.problem.n_products, warm=duals,
            widths=(0.01, 1e-5), tolerance=1e-7,
        )  # fmt: skip
        self.passes += found.passes * part.share
        return found

    def _look(self, duals: Floats) -> Regrets:
        tables = self.before.cells.tables(self.problem.rows, duals)
        self.passes += 1.0
        problem = self.problem
        return regrets(problem.pairs, problem.slots, tables, self.before.plan.chosen)

    def _rounded(self, part: Part, found: Fractional, seen: Regrets) -> Standing | None:
        """Return the whole plan with the part's offers anew; None when the part has no plan."""
        problem, rows = self.problem, self.problem.rows
        bound = seen.best + _constant(rows, found.duals)
        scale = max(abs(found.bound), 1e-9 * self.before.size)
        target = float(np.clip(0.5 * self.gap_target * self.before.size / scale, 1e-7, 0.5))
        names = [row.name for row in rows]
        try:
            plan = solve(
                self._loyal(part), part.slots, part.rows, n_products=problem.n_products,
                seed=self.before.seed, gap_target=target,
                warm=dict(zip(names, found.duals.tolist(), strict=True)),
            )  # fmt: skip
        except (Infeasible, NotConverged):
            if part.share == 1.0:
                raise
            return None
        self.passes += plan.certificate.passes * part.share
        chosen = self.before.plan.chosen.copy()
        chosen[part.index] = plan.chosen
        return self._standing(chosen, found.duals, bound)

    def _loyal(self, part: Part) -> Pairs:
        """Return the part's pairs with present offers worth a little more: no needless moves."""
        present = self.before.plan.chosen[part.index]
        value = np.asarray(part.pairs.value, np.float64)
        more = _LOYALTY * float(np.abs(value[present]).mean()) if present.any() else 0.0
        return replace(part.pairs, value=value + more * present)

    def _standing(self, chosen: NDArray[np.bool_], duals: Floats, bound: float) -> Standing:
        problem, cells, before = self.problem, self.before.cells, self.before
        used = cells.used(problem.rows, problem.pairs, chosen)
        over = missed(problem.rows, used)
        soft = np.array([row.soft_penalty or 0.0 for row in problem.rows])
        hard = np.array([row.soft_penalty is None for row in problem.rows], bool)
        primal = float(problem.pairs.value[chosen].sum()) - float(over @ soft)
        names = tuple(row.name for row in problem.rows)
        size = max(abs(bound), abs(primal), 1e-12)
        certificate = Certificate(
            primal, bound, max(bound - primal, 0.0) / size, float(over[hard].max(initial=0.0)),
            dict(zip(names, over.tolist(), strict=True)), self.passes, self.gap_target,
        )  # fmt: skip
        tables = cells.tables(problem.rows, duals)
        plan = Plan(chosen, duals, used, names, tables, certificate, before.seed)
        return Standing(problem, plan, cells, self.gap_target, before.seed)


def _constant(rows: Sequence[LimitRow], duals: Floats) -> float:
    sign = np.array([1.0 if row.sense == "<=" else -1.0 for row in rows])
    return float((sign * duals) @ np.array([row.limit for row in rows], np.float64))
