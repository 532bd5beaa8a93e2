"""A plan that stands, made ready for questions: what changes when little changes.

A changed problem is solved from the standing plan's prices, which decide nearly everybody's offers
in one pass. Present offers are worth a little more than they are (``_LOYALTY``) while it is solved,
so that nobody moves for nothing; value and bound are then those of the problem as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation import Certificate, LimitRow, Pairs, Plan, solve
from jinqiao.engines.allocation.problem import check_rows, check_slots
from jinqiao.engines.allocation.regret import Regrets, regrets
from jinqiao.errors import InputError
from jinqiao.match.parts import Cells, missed
from jinqiao.match.reached import Answer, ranges, reached

__all__ = ["Begin", "Problem", "Standing", "stand"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_LOYALTY = 1e-3
"""A move is worth making from this share of a mean offer's value on."""


@dataclass(frozen=True, eq=False)
class Problem:
    """What a plan is made from: the arguments of ``match.solve`` in one record.

    ``segment`` (n,) numbers customers where rows speak of ``segments``; kept as the rows'
    customers.
    """

    pairs: Pairs
    slots: int | NDArray[np.integer]
    rows: tuple[LimitRow, ...]
    n_products: int
    segment: NDArray[np.integer] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", tuple(self.rows))
        object.__setattr__(self, "slots", check_slots(self.pairs, self.slots))
        check_rows(self.pairs, self.rows, self.n_products)
        object.__setattr__(self, "rows", tuple(self._named(row) for row in self.rows))

    def _named(self, row: LimitRow) -> LimitRow:
        """Return a row with its customers named, where it speaks of segments by number."""
        if row.segments is None:
            return row
        if self.segment is None:
            raise InputError("it speaks of segments by number", record=row.name, field="segments",
                             fix="give the problem each customer's segment")  # fmt: skip
        return replace(row, customers=np.isin(self.segment, row.segments), segments=None)

    @property
    def slots_each(self) -> NDArray[np.int32]:
        """Slots of each customer, (n,)."""
        return np.asarray(self.slots, np.int32)

    def with_rows(self, rows: Sequence[LimitRow]) -> Problem:
        """Return the same pairs and slots under other rows."""
        return replace(self, rows=tuple(rows))


@dataclass(frozen=True, eq=False)
class Begin:
    """Where a changed problem is begun: prices (m,), customers the change reaches first, and the
    pairs read to know."""

    duals: Floats
    who: Ints
    read: int = 0


@dataclass(eq=False)
class Standing:
    """A problem and its plan, with what questions about it need, worked out when first asked.

    ``plan.certificate.passes`` counts what making it took, in passes over all pairs.
    """

    problem: Problem
    plan: Plan
    cells: Cells
    gap_target: float

    @cached_property
    def seen(self) -> Regrets:
        """Each customer's regret and nearest other choice at the plan's prices; one pass."""
        tables = self.cells.tables(self.problem.rows, self.plan.duals)
        return regrets(self.problem.pairs, self.problem.slots_each, tables, self.plan.chosen)

    @cached_property
    def margin(self) -> Floats:
        """How far prices move before a customer's choice changes, (n,) ≥ 0."""
        return self.seen.margin(self.taken < self.problem.slots_each)

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

    def pairs_of(self, row: LimitRow) -> Ints:
        """Return the pairs of a row's products; by index, once ``by_product`` was asked for."""
        if "by_product" not in self.__dict__:
            inside = np.zeros(self.problem.n_products, bool)
            inside[row.products] = True
            return np.flatnonzero(inside[self.problem.pairs.product])
        return self.pairs_of_products(row.products)

    def pairs_of_products(self, products: NDArray[np.integer]) -> Ints:
        """Return the pairs of some products."""
        order, start = self.by_product
        parts = [order[start[p] : start[p + 1]] for p in products]
        return np.concatenate(parts) if parts else order[:0]

    @cached_property
    def ranges(self) -> list[Floats]:
        """The least and the most a pair of each product uses, and costs; (2, p) each."""
        pairs = self.problem.pairs
        columns = [pairs.column(name) for name in ("use", "cost")]
        return ranges(columns, pairs.product, self.problem.n_products)

    @cached_property
    def loyalty(self) -> float:
        """What a present offer is worth more while a change is solved."""
        value = self.problem.pairs.value[self.plan.chosen]
        return _LOYALTY * float(np.abs(value).mean(dtype=np.float64)) if len(value) else 0.0

    def away(self, j: Ints) -> tuple[Ints, Floats]:
        """Return the customers of pairs, and by how much each pair's price must move until it is
        given up (offers) or taken up (others), in units of value; inf where it cannot be.
        """
        pairs, seen, plan = self.problem.pairs, self.seen, self.plan
        c: Ints = np.searchsorted(pairs.indptr, j, side="right") - 1
        tables, cell = plan.prices, (self.cells.segment[c], pairs.product[j])
        use, approval, cost = (pairs.at(name, j) for name in ("use", "approval", "cost"))
        price = (tables.count[cell] + approval * tables.approval[cell]) * use
        r = pairs.value[j] - price - cost * tables.cost[cell]
        free = self.taken[c] < self.problem.slots_each[c]
        give, take = r - np.maximum(seen.high[c], 0.0), np.where(free, 0.0, seen.low[c]) - r
        return c, np.where(plan.chosen[j], give, take)

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
        self, rows: Sequence[LimitRow], begin: Begin, gap_target: float | None = None
    ) -> Standing:
        """Return the plan of the same pairs under other rows, begun at prices near theirs.

        On the customers the change can reach, and where these are too many, on everyone. Raises
        Infeasible, naming rows, when nothing meets them; NotConverged as ``solve`` does.
        """
        problem, old = self.problem.with_rows(rows), self.problem.rows
        if all(a is b for a, b in zip(problem.rows, old, strict=True)):
            return self
        target = self.gap_target if gap_target is None else gap_target
        who = np.union1d(self.near(near_count(problem)), begin.who)
        found = reached(self, problem, begin.duals, who, target)
        if found is None:
            return self.solved(problem, begin.duals, target)
        return self._apart(problem, found, target, begin.read)

    def solved(
        self, problem: Problem, duals: Floats, target: float, near: bool = False
    ) -> Standing:
        """Return the plan of a problem of the same pairs; ``near`` where its prices are."""
        names = [row.name for row in problem.rows]
        plan = solve(
            self.loyal(problem.pairs, self.plan.chosen), problem.slots_each, problem.rows,
            n_products=problem.n_products, seed=self.plan.seed, gap_target=target, near=near,
            warm=dict(zip(names, duals.tolist(), strict=True)),
        )  # fmt: skip
        return self._true(problem, plan, target)

    def loyal(self, pairs: Pairs, chosen: NDArray[np.bool_]) -> Pairs:
        """Return pairs with present offers worth a little more."""
        value: Any = np.array(pairs.value)
        value[chosen] += self.loyalty
        return replace(pairs, value=value)

    def _apart(self, problem: Problem, found: Answer, target: float, read: int) -> Standing:
        """Return the plan found on those a change reaches, with the certificate of the whole."""
        over = missed(problem.rows, found.used)
        hard = np.array([row.soft_penalty is None for row in problem.rows], bool)
        passes = found.passes + read / max(problem.pairs.n_pairs, 1)
        certificate = Certificate(
            found.primal, found.bound, found.gap, float(over[hard].max(initial=0.0)),
            dict(zip(found.trace.row_names, over.tolist(), strict=True)), passes, target,
        )  # fmt: skip
        plan = replace(
            found.trace, chosen=found.chosen, duals=found.duals, used=found.used,
            prices=self.cells.tables(problem.rows, found.duals), certificate=certificate,
        )  # fmt: skip
        return Standing(problem, plan, self.cells, target)

    def _true(self, problem: Problem, plan: Plan, target: float) -> Standing:
        """Return a plan with the certificate of the problem as it is: one more pass."""
        pairs, rows, cells = problem.pairs, problem.rows, self.cells
        tables = cells.tables(rows, plan.duals)
        seen = regrets(pairs, problem.slots_each, tables, plan.chosen)
        bound = seen.best + _constant(rows, plan.duals)
        used = cells.used(rows, pairs, plan.chosen)
        over = missed(rows, used)
        soft = np.array([row.soft_penalty or 0.0 for row in rows])
        hard = np.array([row.soft_penalty is None for row in rows], bool)
        primal = float(np.sum(pairs.value[plan.chosen], dtype=np.float64)) - float(over @ soft)
        certificate = Certificate(
            primal, bound, max(bound - primal, 0.0) / max(abs(bound), abs(primal), 1e-12),
            float(over[hard].max(initial=0.0)),
            dict(zip(plan.row_names, over.tolist(), strict=True)),
            plan.certificate.passes + 1.0, target,
        )  # fmt: skip
        made = Standing(
            problem, replace(plan, used=used, prices=tables, certificate=certificate), cells, target
        )
        made.seen = seen
        return made


def stand(problem: Problem, plan: Plan, *, gap_target: float | None = None) -> Standing:
    """Return a plan made ready for questions, first brought nearer to its bound.

    ``gap_target``: default a tenth of the plan's own. Raises InputError when the plan is not one
    of this problem.
    """
    if plan.row_names != tuple(row.name for row in problem.rows):
        raise InputError("the plan was made for other rows", record="plan", field="rows")
    if plan.chosen.shape != (problem.pairs.n_pairs,):
        raise InputError("the plan has other pairs", record="plan", field="chosen")
    cells = Cells.of(problem.rows, plan.prices.segment, plan.prices.count.shape)
    target = plan.certificate.gap_target / 10 if gap_target is None else gap_target
    return Standing(problem, plan, cells, target).solved(problem, plan.duals, target, near=True)


def near_count(problem: Problem) -> int:
    """Return how many customers near a tie decide a plan of so many rows."""
    return max(1_000, 10 * len(problem.rows))


def per_customer(pairs: Pairs, chosen: NDArray[np.bool_]) -> Ints:
    """Return how many pairs of each customer are chosen, (n,)."""
    total = np.concatenate(([0], np.cumsum(chosen)))
    return total[pairs.indptr[1:]] - total[pairs.indptr[:-1]]


def _constant(rows: Sequence[LimitRow], duals: Floats) -> float:
    sign = np.array([1.0 if row.sense == "<=" else -1.0 for row in rows])
    return float((sign * duals) @ np.array([row.limit for row in rows], np.float64))
