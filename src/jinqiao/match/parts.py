"""Some customers of a problem as a problem of its own, everybody else's offers held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation import LimitRow, Pairs, PriceTables

if TYPE_CHECKING:
    from jinqiao.match.standing import Problem

__all__ = ["Cells", "Part", "missed", "taken"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_ROUND = 1e-9


@dataclass(frozen=True, eq=False)
class Cells:
    """Which (segment, product) cells each row covers; ``segment`` (n,) of each customer."""

    segment: NDArray[np.int32]
    shape: tuple[int, int]
    members: tuple[Ints, ...]
    """Segments of each row."""

    @classmethod
    def of(
        cls, rows: Sequence[LimitRow], segment: NDArray[np.int32], shape: tuple[int, ...]
    ) -> Cells:
        """Return the cells of rows; every mask of a row is a union of segments."""
        everyone = np.arange(shape[0])
        members = tuple(
            everyone if r.customers is None else np.unique(segment[r.customers]).astype(np.int64)
            for r in rows
        )
        return cls(segment, (shape[0], shape[1]), members)

    def tables(self, rows: Sequence[LimitRow], duals: Floats) -> PriceTables:
        """Return the price tables of duals (m,)."""
        made = PriceTables(self.segment, *(np.zeros(self.shape) for _ in range(3)))
        for row, segments, dual in zip(rows, self.members, duals.tolist(), strict=True):
            if dual == 0.0:
                continue
            signed, where = dual if row.sense == "<=" else -dual, np.ix_(segments, row.products)
            if row.measure == "approval":
                made.approval[where] += signed
                made.count[where] -= signed * row.floor
            else:
                (made.count if row.measure == "count" else made.cost)[where] += signed
        return made

    def used(self, rows: Sequence[LimitRow], pairs: Pairs, chosen: NDArray[np.bool_]) -> Floats:
        """Return what chosen pairs take of each row, (m,)."""
        index = np.flatnonzero(chosen)
        owner = np.searchsorted(pairs.indptr, index, side="right") - 1
        cell = self.segment[owner].astype(np.int64) * self.shape[1] + pairs.product[index]
        use, size = pairs.column("use")[index], self.shape[0] * self.shape[1]
        amounts = (use, pairs.column("cost")[index], use * pairs.column("approval")[index])
        count, cost, approval = (
            np.bincount(cell, amount, minlength=size).reshape(self.shape) for amount in amounts
        )
        total = np.empty(len(rows))
        for i, (row, segments) in enumerate(zip(rows, self.members, strict=True)):
            where = np.ix_(segments, row.products)
            if row.measure == "approval":
                total[i] = approval[where].sum() - row.floor * count[where].sum()
            else:
                total[i] = (count if row.measure == "count" else cost)[where].sum()
        return total


@dataclass(frozen=True, eq=False)
class Part:
    """A part of a problem: ``index`` are its pairs in the whole, ``share`` its share of them.

    ``held`` (m,): what everybody else's offers take of each row.
    """

    pairs: Pairs
    slots: NDArray[np.int32]
    rows: tuple[LimitRow, ...]
    index: Ints
    share: float
    held: Floats

    @classmethod
    def of(
        cls, problem: Problem, chosen: NDArray[np.bool_], who: Ints, cells: Cells
    ) -> Part | None:
        """Return the part of customers ``who`` (ascending), under what the others leave.

        None when the others alone take more of a hard row than there is.
        """
        pairs, n = problem.pairs, problem.pairs.n_customers
        if len(who) == n:
            index, none = np.arange(pairs.n_pairs), np.zeros(len(problem.rows))
            return cls(pairs, np.asarray(problem.slots), problem.rows, index, 1.0, none)
        index, own = taken(pairs, who)
        held = chosen.copy()
        held[index] = False
        used = cells.used(problem.rows, pairs, held)
        rows = _left(problem.rows, used, who, n)
        if rows is None:
            return None
        share = len(index) / max(pairs.n_pairs, 1)
        slots = np.asarray(problem.slots)[who]
        return cls(own, slots, rows, index, share, used)


def taken(pairs: Pairs, who: Ints) -> tuple[Ints, Pairs]:
    """Return the pairs of some customers (ascending): where they are, and they alone."""
    degree = np.diff(pairs.indptr)[who]
    start = np.concatenate(([0], np.cumsum(degree)))
    index = np.repeat(pairs.indptr[who] - start[:-1], degree) + np.arange(start[-1])

    def column(given: Any) -> Any:
        return given[index] if np.ndim(given) == 1 else given

    return index, replace(
        pairs, indptr=start, product=pairs.product[index], value=pairs.value[index],
        use=column(pairs.use), cost=column(pairs.cost), approval=column(pairs.approval),
    )  # fmt: skip


def _left(rows: Sequence[LimitRow], used: Floats, who: Ints, n: int) -> tuple[LimitRow, ...] | None:
    made = []
    for row, held in zip(rows, used.tolist(), strict=True):
        limit = row.limit - held
        if row.measure == "count" and limit < 0:
            slack = _ROUND * max(1.0, abs(row.limit))
            if row.sense == "<=" and row.soft_penalty is None and limit < -slack:
                return None
            limit = 0.0
        customers = None
        if row.customers is not None:
            inside = np.zeros(n, bool)
            inside[row.customers] = True
            customers = inside[who]
        made.append(replace(row, limit=limit, customers=customers))
    return tuple(made)


def missed(rows: Sequence[LimitRow], used: Floats) -> Floats:
    """Return by how much each row is missed, (m,) ≥ 0; 0 within 1e-9 of its size."""
    limit = np.array([row.limit for row in rows], np.float64)
    sign = np.array([1.0 if row.sense == "<=" else -1.0 for row in rows])
    over = np.maximum(sign * (used - limit), 0.0)
    over[over <= _ROUND * np.maximum(1.0, np.abs(limit))] = 0.0
    return over
