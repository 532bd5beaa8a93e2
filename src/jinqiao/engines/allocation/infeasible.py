"""Which hard rows contradict each other, and the least that would make them agree.

Phase one of linear programming: the same problem with every value 0 and every hard row soft at a
price of one a typical coefficient. Its bound is below zero only when no plan, integral or
fractional, meets the rows. The prices λ there are the proof (Farkas): Σ_c (sum of the K best
positive −λ·a) + λ·b < 0, while any plan that meets the rows would make it at least 0.
``certify_infeasible`` checks that in plain NumPy. Prices that the proof does without are dropped.

Every fractional plan met on the way keeps the rows once they give way by what it misses of them;
the one that misses least, in typical coefficients, is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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

_WIDTHS = (1.0, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4, 1e-5)
"""Smoothing, in typical coefficients."""

_PATIENCE = 14
"""At prices of 0 nobody is chosen and no curvature is seen: a first step may be far too long."""

_DROPPED = (0.3, 0.1, 0.03, 0.01, 1e-3)
"""Prices below so much of the highest are dropped, where the proof stands without them."""


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

    Rows in conflict that need no relaxing themselves are there with 0. Above 300,000 customers the
    relaxation may be a sample's.
    """
    n = source.facts.n_customers
    rng = np.random.default_rng(seed)
    for size in [*(size for size in _SAMPLES if size < n), n]:
        found = _phase_one(terms, source, size, rng)
        duals = found.proof.duals
        bound = found.proof.bound if size == n else _everyone(terms, source, duals)
        if bound < _surely(terms, duals):
            weights, bound = _without_spare(terms, source, duals, bound)
            return _told(terms, found.missed, weights, bound)
    return None


def _surely(terms: Terms, duals: Floats) -> float:
    """Return what a bound must be below to be below 0 whatever was rounded."""
    return -1e-7 * (1.0 + float(duals @ np.abs(terms.limit)))


def _without_spare(
    terms: Terms, source: Source, duals: Floats, bound: float
) -> tuple[Floats, float]:
    """Return the proof without the prices it can do without, and its bound."""
    scaled = duals * terms.size
    for part in _DROPPED:
        fewer = np.where(scaled >= part * scaled.max(initial=0.0), duals, 0.0)
        less = _everyone(terms, source, fewer)
        if less < min(_surely(terms, fewer), 0.01 * bound):
            return fewer, less
    return duals, bound


def _told(terms: Terms, missed: Floats, weights: Floats, bound: float) -> Conflict:
    names = [row.name for row in terms.rows]
    tiny = 1e-9 * np.maximum(1.0, np.abs(terms.limit))
    relaxation = {
        name: float(amount) if amount > least else 0.0
        for name, amount, weight, least in zip(names, missed, weights, tiny, strict=True)
        if weight > 0 or amount > least
    }
    proof = {name: float(weight) for name, weight in zip(names, weights, strict=True) if weight > 0}
    return Conflict(relaxation, proof, bound)


def infeasible(found: Conflict) -> Infeasible:
    """Return the error that names the conflicting rows, the least relaxation and the proof."""
    relaxation = found.relaxation
    names = ", ".join(found.weights)
    most = sorted(relaxation.items(), key=lambda item: -item[1])
    parts = [f"{name} by {amount:.6g}" for name, amount in most if amount > 0]
    error = Infeasible(
        f"no plan meets these rows together: {names}",
        record=next((n for n in found.weights if relaxation.get(n, 0.0) > 0), names),
        field="limit",
        fix=f"least relaxation: {'; '.join(parts)}" if parts else "relax one of them",
    )
    error.relaxation, error.weights = dict(relaxation), dict(found.weights)
    return error


@dataclass(eq=False)
class _PhaseOne(Dual):
    """The dual of the valueless problem; remembers its lowest bound and the least it missed."""

    proof: Point = field(init=False)
    missed: Floats = field(init=False)
    _least: float = field(init=False, default=np.inf)
    _lowest: float = field(init=False, default=np.inf)

    def at(self, duals: Floats, mu: float) -> Point:
        point = super().at(duals, mu)
        missed = np.where(self.terms.hard, np.maximum(point.used - self.terms.limit, 0.0), 0.0)
        total = float((missed / self.terms.size).sum())
        if total < self._least:
            self._least, self.missed = total, missed
        if point.bound < self._lowest:
            self._lowest, self.proof = point.bound, point
        return point


def _phase_one(terms: Terms, source: Source, size: int, rng: np.random.Generator) -> _PhaseOne:
    """Return the dual of the valueless problem, descended, as a sample sees it."""
    zeros = np.zeros(len(terms.rows))
    at = replace(Reference.of(terms, zeros, np.inf), valueless=True)
    tally = Tally.empty(terms)
    if size < source.facts.n_customers:
        core = scan_chunk(terms, source.sample(terms, size, rng), at, tally)
    else:
        tally, core = source.scan(terms, at)
    ceiling = np.where(terms.hard, 1.0 / terms.size, 0.0)
    dual = _PhaseOne.of(terms, tally, core, Meter(core.n_pairs), ceiling)
    assert isinstance(dual, _PhaseOne)
    dual.patience = _PATIENCE
    duals = zeros
    for mu in _WIDTHS:
        duals = dual.descend(dual.at(duals, mu), mu, 30, 1e-4 * mu).duals
        if dual._least + dual._lowest <= 1e-3 * dual._least:
            break
    return dual


def _everyone(terms: Terms, source: Source, duals: Floats) -> float:
    """Return the bound of the valueless problem at these prices, over everyone."""
    at = replace(Reference.of(terms, duals, 0.0), valueless=True)
    tally, _ = source.scan(terms, at)
    return tally.bound(terms, duals)
