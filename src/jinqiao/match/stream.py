"""A day's visits as arrays, and what a replay needs to know of them.

Letters: n visits, m rows, K places. Times are shares of the day, 0 its beginning and 1 its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jinqiao.engines.allocation import LimitRow, Pairs
from jinqiao.engines.allocation.problem import check_rows, check_slots
from jinqiao.errors import InputError

__all__ = ["Feedback", "Silence", "Stream", "arrays_of", "open_chance", "rows_of"]

Floats = NDArray[np.float64]
_KINDS = {"count": 0, "cost": 1, "approval": 2}


@dataclass(frozen=True, eq=False)
class Silence:
    """Reports on these products that would come in [begin, end) come at ``end``."""

    products: NDArray[np.int32]
    begin: float
    end: float


@dataclass(frozen=True, eq=False)
class Feedback:
    """How offers become click-outs and click-outs become use, some time later.

    Parameters
    ----------
    click : chance that a shown offer is clicked out, in (0, 1], one number or (nnz,).
    keep : chance that a click-out comes to count, in (0, 1], one number or (nnz,); a pair's ``use``
        is click × keep × the units it then takes.
    yes_wait, no_wait : mean wait for the report that it counts, or does not, > 0.
    hold : a click-out without a report is given back after so long; a later yes takes a free unit
        or is listed in ``Replayed.late``.
    """

    click: float | Floats
    keep: float | Floats
    yes_wait: float = 0.05
    no_wait: float = 0.05
    hold: float = np.inf
    silences: tuple[Silence, ...] = field(default=())

    def __post_init__(self) -> None:
        for name in ("click", "keep"):
            column = np.asarray(getattr(self, name), np.float64)
            if not ((column > 0) & (column <= 1)).all():
                raise InputError("a chance outside (0, 1]", record="feedback", field=name)
        for name in ("yes_wait", "no_wait", "hold"):
            if not getattr(self, name) > 0:
                raise InputError("a wait of 0 or less", record="feedback", field=name)


@dataclass(frozen=True, eq=False)
class Stream:
    """Visits in order of arrival.

    Parameters
    ----------
    pairs : the offers of each visit (a visit is a customer of ``Pairs``), worth ``value`` each time
        one is shown.
    slots : places of each visit's shelf, one number or (n,).
    at : (n,) when each visit comes, in [0, 1], never falling.
    demand : (k + 1,) share of the day's visits expected by even steps of the day, from 0 to 1; None
        means even. It is what was expected, not what comes.
    feedback : None when every offer shown takes its use at once.
    """

    pairs: Pairs
    slots: int | NDArray[np.integer]
    at: Floats
    demand: Floats | None = None
    feedback: Feedback | None = None

    def __post_init__(self) -> None:
        at = np.ascontiguousarray(self.at, np.float64)
        if at.shape != (self.pairs.n_customers,):
            raise InputError(f"{at.shape} times for {self.pairs.n_customers} visits", field="at")
        if len(at) and not (at[0] >= 0 and at[-1] <= 1 and (np.diff(at) >= 0).all()):
            raise InputError("times fall, or leave [0, 1]", record="stream", field="at")
        object.__setattr__(self, "at", at)
        if self.demand is not None:
            curve = np.asarray(self.demand, np.float64)
            if len(curve) < 2 or curve[0] != 0 or curve[-1] != 1 or (np.diff(curve) < 0).any():
                raise InputError("no rise from 0 to 1", record="stream", field="demand")

    def elapsed(self, at: float) -> float:
        """Return the share of the day's expected visits that come before a time, in [0, 1]."""
        if self.demand is None:
            return at
        return float(np.interp(at, np.linspace(0.0, 1.0, len(self.demand)), self.demand))

    def first(self, visits: int, at_most: int) -> tuple[Pairs, NDArray[np.int64]]:
        """Return the pairs of the first visits, thinned evenly to at most so many, and which."""
        which = np.arange(visits)
        if visits > at_most:
            which = np.linspace(0, visits - 1, at_most).astype(np.int64)
        return _take(self.pairs, which), which


def _take(pairs: Pairs, which: NDArray[np.int64]) -> Pairs:
    size = np.diff(pairs.indptr)[which]
    start = np.concatenate(([0], np.cumsum(size)))
    spot = np.repeat(pairs.indptr[which] - start[:-1], size) + np.arange(start[-1])

    def part(column: Any) -> Any:
        return column if column is None or np.ndim(column) != 1 else column[spot]

    return Pairs(
        start, pairs.product[spot], pairs.value[spot], part(pairs.use), part(pairs.cost),
        part(pairs.approval),
    )  # fmt: skip


def rows_of(
    rows: Sequence[LimitRow], n: int, which: NDArray[np.int64], limits: Floats
) -> tuple[LimitRow, ...]:
    """Return rows with other limits, over some of the n visits, renumbered from 0."""
    out = []
    for row, limit in zip(rows, limits.tolist(), strict=True):
        who = row.customers
        if who is not None:
            inside = np.zeros(n, bool)
            inside[who] = True
            who = inside[which]
        out.append(replace(row, limit=limit, customers=who))
    return tuple(out)


def open_chance(keep: ArrayLike, age: ArrayLike, yes_wait: float, no_wait: float) -> Floats:
    """Return the chance that click-outs without a report after ``age`` still come to count.

    Waits are exponential, so the two hazards are 1/yes_wait and 1/no_wait, and by Bayes
    keep·exp(−age/yes_wait) / (keep·exp(−age/yes_wait) + (1 − keep)·exp(−age/no_wait)).

    Examples
    --------
    >>> open_chance(0.2, [0.0, 0.1], 0.05, 0.05).tolist()
    [0.2, 0.2]
    >>> open_chance(0.2, [0.0, 0.1], 0.05, 1.0).round(3).tolist()
    [0.2, 0.036]
    """
    keep, age = np.asarray(keep, np.float64), np.asarray(age, np.float64)
    odds = np.clip(age * (1.0 / yes_wait - 1.0 / no_wait), -700.0, 700.0)
    return np.asarray(keep / (keep + (1.0 - keep) * np.exp(odds)), np.float64)


def arrays_of(stream: Stream, rows: Sequence[LimitRow], n_products: int) -> Any:
    """Return the compiled loop's arrays of a stream under rows; bad ones are refused by name."""
    from jinqiao.match.visits import Arrays

    pairs, n = stream.pairs, stream.pairs.n_customers
    check_rows(pairs, tuple(rows), n_products)
    for row in rows:
        if row.segments is not None:
            raise InputError(
                "a replay has no segment numbers", record=row.name, field="segments",
                fix="name the visits in ``customers``",
            )  # fmt: skip
    segment, cell_ptr, cell_row = _cells(rows, n, n_products)
    back = stream.feedback
    upper = np.array([row.sense == "<=" for row in rows], bool)
    firm = np.array([row.soft_penalty is None for row in rows], bool)
    kind = np.array([_KINDS[row.measure] for row in rows], np.int8)
    return Arrays(
        pairs.indptr, np.asarray(pairs.product, np.int32), _column(pairs.value),
        _measure(pairs, "use"), _measure(pairs, "cost"), _measure(pairs, "approval"),
        _column(1.0 if back is None else back.click),
        _column(1.0 if back is None else back.keep), check_slots(pairs, stream.slots),
        segment, cell_ptr, cell_row, kind, np.where(upper, 1.0, -1.0),
        np.array([row.floor for row in rows], np.float64), upper & firm,
        ~upper & firm & (kind == 2), n_products,
    )  # fmt: skip


def _measure(pairs: Pairs, name: str) -> Floats:
    """Return a column of pairs as (nnz,), or as (1,) where it is one number."""
    given = getattr(pairs, name)
    given = 0.0 if given is None else given
    return _column(given if np.ndim(given) == 0 else pairs.column(name))


def _column(given: Any) -> Floats:
    return np.ascontiguousarray(np.atleast_1d(np.asarray(given, np.float64)))


def _cells(rows: Sequence[LimitRow], n: int, n_products: int) -> tuple[Any, Any, Any]:
    """Return each visit's segment, and the rows of each cell (segment × product), compressed."""
    masks = np.zeros((sum(row.customers is not None for row in rows), n), bool)
    own = [row for row in rows if row.customers is not None]
    for mask, row in zip(masks, own, strict=True):
        mask[row.customers] = True
    segment = np.zeros(n, np.int32)
    first = np.zeros(1, np.int64)
    if len(masks) and n:
        packed = np.packbits(masks, axis=0).T
        _, first, code = np.unique(packed, axis=0, return_index=True, return_inverse=True)
        segment = code.reshape(-1).astype(np.int32)
    cells, owners, place = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], 0
    for i, row in enumerate(rows):
        on = np.arange(len(first))
        if row.customers is not None:
            on = np.flatnonzero(masks[place, first]) if n else on[:0]
            place += 1
        cell = (on[:, None] * n_products + row.products[None, :]).ravel()
        cells.append(cell)
        owners.append(np.full(len(cell), i, np.int64))
    cell, owner = np.concatenate(cells), np.concatenate(owners)
    order = np.argsort(cell, kind="stable")
    counts = np.bincount(cell, minlength=len(first) * n_products)
    ptr = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    return segment, ptr, owner[order]
