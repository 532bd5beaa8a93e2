"""A small change solved on the customers it can reach, everybody else's offers held.

Whoever is far from another choice keeps their offers while prices move less than that, so that the
bound of the whole is known without reading them: their offers' value, less what these use at the
new prices. Those a move of prices may reach are looked at once; what they would rather have at the
new prices counts against the plan (regret), and where it is too much they join the solve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation import Plan, PriceTables, solve
from jinqiao.engines.allocation.regret import Regrets, regrets
from jinqiao.errors import Infeasible, NotConverged
from jinqiao.match.parts import Part, missed, taken

if TYPE_CHECKING:
    from jinqiao.match.standing import Problem, Standing

__all__ = ["Answer", "reached"]

_TURNS = 5
"""Times those who would rather have something else join, before everyone is asked."""

_FIRST, _MOST = 0.05, 0.12
"""The share of all pairs worth solving apart: at first, and with those who join."""

_LOOKED = 0.05
"""The share of customers, nearest to another choice, looked at whatever prices do."""

_SPARE = 0.7
"""The share of the gap asked for that the part may use; the rest is for those looked at."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Answer:
    """A plan of a changed problem: prices, offers (nnz,), what rows use, bound, and passes."""

    duals: Floats
    chosen: NDArray[np.bool_]
    used: Floats
    primal: float
    bound: float
    passes: float
    trace: Plan

    @property
    def gap(self) -> float:
        return max(self.bound - self.primal, 0.0) / max(abs(self.bound), abs(self.primal), 1e-12)


def reached(
    standing: Standing, problem: Problem, duals: Floats, who: Ints, target: float
) -> Answer | None:
    """Return the plan of a changed problem, begun at prices (m,) with the customers ``who``.

    None where too many are reached, or what the others hold leaves no plan: then solve for all.
    """
    return _Reach(standing, problem, target).answer(duals, who)


class _Reach:
    def __init__(self, standing: Standing, problem: Problem, target: float) -> None:
        self.standing, self.problem, self.target = standing, problem, target
        self.pairs, self.read = problem.pairs, 0
        self.old = standing.cells.tables(standing.problem.rows, standing.plan.duals)
        margin = standing.margin
        place = min(int(_LOOKED * len(margin)), len(margin) - 1)
        self.sure = 0.5 * float(np.partition(margin, place)[place]) if len(margin) else 0.0
        self.near = np.flatnonzero((margin < 2 * self.sure) | (standing.seen.regret > 0))

    def answer(self, duals: Floats, who: Ints) -> Answer | None:
        for turn in range(_TURNS):
            part = Part.of(self.problem, self.standing.plan.chosen, who, self.standing.cells)
            if part is None or part.share > (_MOST if turn else _FIRST):
                return None
            self.read += 2 * len(part.index)
            plan = self._solved(part, duals)
            if plan is None:
                return None
            duals = plan.duals
            found, others, seen = self._whole(part, plan, who)
            if found.gap <= self.target:
                return found
            stray = others[seen.regret > 0]
            if not len(stray):
                return None
            who = np.union1d(who, stray)
        return None

    def _solved(self, part: Part, duals: Floats) -> Plan | None:
        """Return the plan of a part, to the gap that is left for it."""
        chosen = self.standing.plan.chosen[part.index]
        own = float(np.abs(part.pairs.value[chosen]).sum(dtype=np.float64))
        target = _SPARE * self.target * self.standing.size / max(own, 1e-12)
        names = [row.name for row in part.rows]
        try:
            plan: Plan = solve(
                self.standing.loyal(part.pairs, chosen), part.slots, part.rows, near=True,
                n_products=self.problem.n_products, seed=self.standing.plan.seed,
                gap_target=target, warm=dict(zip(names, duals.tolist(), strict=True)), threads=1,
            )  # fmt: skip
        except (Infeasible, NotConverged):
            return None
        self.read += int(plan.certificate.passes * len(part.index))
        return plan

    def _whole(self, part: Part, plan: Plan, who: Ints) -> tuple[Answer, Ints, Regrets]:
        """Return the plan of everyone, and who else was looked at, with their regrets."""
        rows, cells = self.problem.rows, self.standing.cells
        tables = cells.tables(rows, plan.duals)
        own = self._seen(who, tables, plan.chosen)
        others = np.setdiff1d(self._looked(tables), who, assume_unique=True)
        index, _ = taken(self.pairs, others)
        self.read += len(index)
        seen = self._seen(others, tables, self.standing.plan.chosen[index])
        chosen = self.standing.plan.chosen.copy()
        held = chosen.copy()
        held[part.index] = False
        chosen[part.index] = plan.chosen
        kept = float(self.pairs.value[held].sum(dtype=np.float64))
        signed = np.array([d if r.sense == "<=" else -d for r, d in zip(rows, plan.duals.tolist(),
                                                                         strict=True)])  # fmt: skip
        limit = np.array([row.limit for row in rows])
        bound = kept + own.best + float(seen.regret.sum()) + float(signed @ (limit - part.held))
        used = part.held + plan.used
        soft = np.array([row.soft_penalty or 0.0 for row in rows])
        value = kept + float(part.pairs.value[plan.chosen].sum(dtype=np.float64))
        primal = value - float(missed(rows, used) @ soft)
        passes = self.read / max(self.pairs.n_pairs, 1)
        return Answer(plan.duals, chosen, used, primal, bound, passes, plan), others, seen

    def _seen(self, who: Ints, tables: PriceTables, chosen: NDArray[np.bool_]) -> Regrets:
        _, pairs = taken(self.pairs, who)
        mine = replace(tables, segment=self.standing.cells.segment[who])
        return regrets(pairs, self.problem.slots_each[who], mine, chosen)

    def _looked(self, tables: PriceTables) -> Ints:
        """Return the customers who may choose otherwise at new prices, ascending.

        Two offers change places only if the one they have became dearer, or the other cheaper, by
        half of what parts it from its own alternative; who is not ``near`` is parted from any by
        more than twice ``sure``.
        """
        standing = self.standing
        dearer, cheaper = self._moves(tables)
        found = [self.near]
        for product in np.flatnonzero(np.maximum(dearer, cheaper).max(axis=0) > self.sure).tolist():
            j = standing.pairs_of_products(np.array([product]))
            c, away = standing.away(j)
            self.read += len(j)
            cell = (standing.cells.segment[c], product)
            move = np.where(standing.plan.chosen[j], dearer[cell], cheaper[cell])
            found.append(c[away < 2 * move])
        return np.unique(np.concatenate(found))

    def _moves(self, tables: PriceTables) -> tuple[Floats, Floats]:
        """Return the most a pair of each segment and product became dearer, and cheaper."""
        count, cost, approval = (
            getattr(tables, name) - getattr(self.old, name)
            for name in ("count", "cost", "approval")
        )
        use, money = self.standing.ranges
        by_use = np.stack([u * t for u in use for t in (count, count + approval)])
        by_cost = np.stack([m * cost for m in money])
        dearer: Floats = by_use.max(axis=0) + by_cost.max(axis=0)
        cheaper: Floats = -by_use.min(axis=0) - by_cost.min(axis=0)
        return dearer, cheaper


def ranges(
    columns: Sequence[Floats], product: NDArray[np.integer], n_products: int
) -> list[Floats]:
    """Return the least and the most of each column by product, (2, n_products) each."""
    found = []
    for column in columns:
        low, high = np.full(n_products, np.inf), np.full(n_products, -np.inf)
        np.minimum.at(low, product, column)
        np.maximum.at(high, product, column)
        found.append(np.where(np.isfinite((low, high)), (low, high), 0.0))
    return found
