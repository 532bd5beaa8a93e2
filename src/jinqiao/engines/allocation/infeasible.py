"""Which hard rows contradict each other, and the least that would make them agree.

Phase one of linear programming: the same problem with every value 0 and every hard row soft at a
price of one a typical coefficient. Its bound is below zero only when no plan, integral or
fractional, meets the rows. The prices λ there are the proof (Farkas): Σ_c (sum of the K best
positive −λ·a) + λ·b < 0, while any plan that meets the rows would make it at least 0.
``certify_infeasible`` checks that in plain NumPy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation.chunk import Tally, scan_chunk
from jinqiao.engines.allocation.dual import Dual, Meter, Point
from jinqiao.engines.allocation.terms import Reference, Terms
from jinqiao.errors import Infeasible

if TYPE_CHECKING:
    from jinqiao.engines.allocation.search import Source

__all__ = ["Conflict", "conflict", "infeasible"]

Floats = NDArray[np.float64]

_SAMPLES = (30_000, 300_000)
"""Customers looked at before everyone is, where there are more."""


@dataclass(frozen=True, eq=False)
class Conflict:
    """``relaxation`` by row name, in units of the row; ``weights`` (m,) ≥ 0 prove it, ``bound`` < 0
    is what they come to.
    """

    relaxation: Mapping[str, float]
    weights: Mapping[str, float]
    bound: float


def conflict(terms: Terms, source: Source, seed: int = 0) -> Conflict | None:
    """Return the rows in conflict, None when a plan, whole or fractional, can meet them all.

    Rows in conflict that need no relaxing themselves are there with 0.
    """
    n = source.facts.n_customers
    rng = np.random.default_rng(seed)
    for size in [*(size for size in _SAMPLES if size < n), n]:
        point = _phase_one(terms, source, size, rng)
        bound = point.bound
        if size < n:
            bound = _everyone(terms, source, point.duals)
        if bound < -1e-7 * (1.0 + float(point.duals @ np.abs(terms.limit))):
            return _told(terms, replace(point, bound=bound))
    return None


def _told(terms: Terms, point: Point) -> Conflict:
    missed = np.maximum(point.used - terms.limit, 0.0)
    missed[missed < 1e-6 * np.maximum(1.0, np.abs(terms.limit))] = 0.0
    scaled = point.duals * terms.size
    names = [row.name for row in terms.rows]
    relaxation = {
        name: float(amount)
        for name, amount, weight, size in zip(names, missed, scaled, terms.size, strict=True)
        if weight > 1e-3 or amount > 1e-4 * size
    }
    weights = {
        name: float(weight) for name, weight in zip(names, point.duals, strict=True) if weight > 0
    }
    return Conflict(relaxation, weights, point.bound)


def infeasible(found: Conflict) -> Infeasible:
    """Return the error that names the conflicting rows, the least relaxation and the proof."""
    relaxation = found.relaxation
    names = ", ".join(relaxation)
    parts = [f"{name} by {amount:.6g}" for name, amount in relaxation.items() if amount > 0]
    error = Infeasible(
        f"no plan meets these rows together: {names}",
        record=next((n for n, amount in relaxation.items() if amount > 0), names),
        field="limit",
        fix=f"least relaxation: {'; '.join(parts)}" if parts else "relax one of them",
    )
    error.relaxation, error.weights = dict(relaxation), dict(found.weights)
    return error


def _phase_one(terms: Terms, source: Source, size: int, rng: np.random.Generator) -> Point:
    """Return the dual of the valueless problem as a sample sees it."""
    zeros = np.zeros(len(terms.rows))
    at = replace(Reference.of(terms, zeros, np.inf), valueless=True)
    tally = Tally.empty(terms)
    if size < source.facts.n_customers:
        core = scan_chunk(terms, source.sample(terms, size, rng), at, tally)
    else:
        tally, core = source.scan(terms, at)
    ceiling = np.where(terms.hard, 1.0 / terms.size, 0.0)
    dual = Dual.of(terms, tally, core, Meter(core.n_pairs), ceiling)
    duals = zeros
    n = float(max(source.facts.n_customers, 1))
    for mu in (1.0, 0.1, 0.01, 1e-3, 1e-4, *((1e-5, 1e-6) if core.n_customers <= 2_000 else ())):
        point = dual.descend(dual.at(duals, mu), mu, 30, 1e-9 * n)
        duals = point.duals
    return point


def _everyone(terms: Terms, source: Source, duals: Floats) -> float:
    """Return the bound of the valueless problem at these prices, over everyone."""
    at = replace(Reference.of(terms, duals, 0.0), valueless=True)
    tally, _ = source.scan(terms, at)
    return tally.bound(terms, duals)
