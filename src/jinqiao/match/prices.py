"""Prices of limits: for serving, for people, and through the day.

Source of pacing: Balseiro, Lu & Mirrokni, "The Best of Many Worlds: Dual Mirror Descent for Online
Allocation Problems", Operations Research 71(1), 2023, algorithm 1 with the entropy as reference,
turned towards what is left of a limit and summed over the period; docs/explanation/pacing.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jinqiao.engines.allocation import LimitRow, Plan, PriceTables
from jinqiao.errors import InputError

__all__ = ["LimitPrice", "pace", "price_report", "prices", "reprice"]

Floats = NDArray[np.float64]
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class LimitPrice:
    """A limit as people read it: ``price`` is what one more unit of it is worth, ≥ 0.

    For a floor, what one unit less would be worth. ``left`` ≥ 0 is the room to the limit.
    """

    name: str
    sense: str
    measure: str
    limit: float
    used: float
    left: float
    price: float


def price_report(plan: Plan, rows: Sequence[LimitRow]) -> tuple[LimitPrice, ...]:
    """Return every limit with its use and price, dearest first by price × limit."""
    _same(plan, rows)
    report = []
    for row, used, dual in zip(rows, plan.used.tolist(), plan.duals.tolist(), strict=True):
        room = row.limit - used if row.sense == "<=" else used - row.limit
        report.append(
            LimitPrice(row.name, row.sense, row.measure, row.limit, used, max(room, 0.0), dual)
        )
    return tuple(sorted(report, key=lambda r: (-r.price * max(abs(r.limit), 1.0), r.name)))


def prices(plan: Plan) -> PriceTables:
    """Return what serving subtracts, by segment and product: (n_segments, n_products) tables.

    The price of showing a pair is count·use + cost·expected payout + approval·use·p_approval.
    """
    return plan.prices


def reprice(plan: Plan, rows: Sequence[LimitRow], duals: ArrayLike) -> PriceTables:
    """Return the tables of other duals of the same rows, (m,) ≥ 0, such as paced ones."""
    _same(plan, rows)
    duals = np.asarray(duals, np.float64)
    if duals.shape != (len(rows),) or not (duals >= 0).all():
        raise InputError("one price ≥ 0 a row", record="prices", field="duals")
    segment, shape = plan.prices.segment, plan.prices.count.shape
    tables = PriceTables(segment, np.zeros(shape), np.zeros(shape), np.zeros(shape))
    for row, dual in zip(rows, duals, strict=True):
        if dual == 0.0:
            continue
        signed = dual if row.sense == "<=" else -dual
        cells = np.ix_(_segments(row, segment, shape[0]), row.products)
        if row.measure == "approval":
            tables.approval[cells] += signed
            tables.count[cells] -= signed * row.floor
        else:
            (tables.count if row.measure == "count" else tables.cost)[cells] += signed
    return tables


def pace(
    duals: ArrayLike,
    used_share: ArrayLike,
    elapsed_share: float,
    *,
    strength: float = 4.0,
    least: ArrayLike = 0.0,
    units: ArrayLike = np.inf,
    floors: ArrayLike = False,
) -> Floats:
    """Return the prices of limits for the rest of a period, (m,) ≥ 0.

    Parameters
    ----------
    duals : (m,) the plan's prices.
    used_share : (m,) what is used, or expected to be of what is reserved, of each limit so far, as
        a share of it, ≥ 0.
    elapsed_share : the share of the period's expected demand that has passed, in [0, 1].
    strength : η; where 10 % less is left of a limit than of the period, it is dearer by 0.1·η.
    least : s, (m,) or a number: the price below which a change counts in absolute terms, so that a
        limit the plan left free gets a price too, and one that turns out slack loses all of its.
    units : (m,) or a number: about how many conversions fill a limit. Few say little of whether it
        goes too fast: ε = 1/√units is added to both shares that are left (not of floors).
    floors : (m,) bool, rows to be reached rather than kept below; then ``used_share`` ≥ 1 is met.

    λ = (λ₀ + s)·((T + ε) / (L + ε))^η − s, never below 0, with T = 1 − elapsed and L = 1 − used the
    shares left of the period and of the limit; for a floor the fraction is turned round. At ε = 0
    it is the sum of every small step of mirror descent (entropy shifted by s) towards what is left,
    d log(λ + s) = η·(du − (L/T)·dt)/L = η·d log(T/L), so that it needs no state. A limit that is
    used up has an infinite price, a floor that is met none.

    Examples
    --------
    >>> pace([2.0, 2.0, 0.0], [0.5, 0.25, 0.1], 0.5).round(3).tolist()
    [2.0, 0.395, 0.0]
    """
    duals, used = np.asarray(duals, np.float64), np.asarray(used_share, np.float64)
    if not (duals >= 0).all() or not (used >= 0).all():
        raise InputError("a price or a share below 0", record="pace", field="duals")
    if not 0 <= elapsed_share <= 1:
        raise InputError(f"{elapsed_share} is no share", record="pace", field="elapsed_share")
    blur = 1.0 / np.sqrt(np.maximum(np.asarray(units, np.float64), 1.0))
    blur = np.where(floors, 0.0, blur)
    least = np.asarray(least, np.float64)
    left = np.maximum(1.0 - used, 0.0)
    ahead = np.log(np.maximum(1.0 - elapsed_share + blur, _TINY) / np.maximum(left + blur, _TINY))
    ahead = np.where(floors, -ahead, ahead)
    factor = np.exp(np.clip(strength * ahead, -50.0, 50.0))
    paced = np.maximum((duals + least) * factor - least, 0.0)
    return np.where(used >= 1.0, np.where(floors, 0.0, np.inf), paced)


def _segments(row: LimitRow, segment: NDArray[np.int32], n_segments: int) -> NDArray[np.int64]:
    if row.customers is None:
        return np.arange(n_segments)
    return np.unique(segment[row.customers]).astype(np.int64)


def _same(plan: Plan, rows: Sequence[LimitRow]) -> None:
    if plan.row_names != tuple(row.name for row in rows):
        raise InputError("the plan was made for other rows", record="plan", field="rows")
