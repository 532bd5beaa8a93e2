"""Prices of a sample made right for everyone, by passes that set nobody aside.

A pass decides a customer only where the prices of a sample are sure enough; for tens of millions of
customers those of a million are not, and too many would be kept open at once. So Newton steps on
the smoothed dual (``engines.allocation.dual``) are made on everyone first, a pass a step: value,
use and second derivative are sums over chunks, and nothing else is held. A few bring prices to
where a pass leaves as few open as memory allows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation.chunk import Chunk, Core, Tally, scan_chunk
from jinqiao.engines.allocation.dual import Dual, Meter, Point
from jinqiao.engines.allocation.terms import Reference, Terms

__all__ = ["OPEN", "Sums", "polished", "sums_of"]

OPEN = 1_000_000
"""Customers a pass may leave open."""

_NARROWER, _STEPS = (1.0, 0.2, 0.04), 3
"""Smoothings, in parts of what prices are unsure by; steps of each at most."""

_SEEN = 40_000
"""Customers of a sample that margins are taken from."""

Floats = NDArray[np.float64]


@dataclass(eq=False)
class Sums:
    """The smoothed dual of some customers, without λ·b; those of others add."""

    exact: float
    smooth: float
    loss: float
    used: Floats
    hessian: Floats
    marginal: int

    @classmethod
    def nothing(cls, m: int) -> Sums:
        return cls(0.0, 0.0, 0.0, np.zeros(m), np.zeros((m, m)), 0)

    def add(self, other: Sums) -> None:
        """Add the sums of other customers at the same prices."""
        for name in (f.name for f in fields(self)):
            setattr(self, name, getattr(self, name) + getattr(other, name))


Pass = Callable[[Terms, Floats, float], Sums]


def sums_of(terms: Terms, chunk: Chunk, duals: Floats, mu: float, threads: int = 1) -> Sums:
    """Return the sums of a chunk at prices, smoothing of width mu."""
    tally = Tally.empty(terms)
    core = scan_chunk(terms, chunk, Reference.of(terms, duals, mu), tally, threads=threads)
    point = Dual.of(terms, tally, core, Meter(1), terms.ceiling).at(duals, mu)
    smooth = point.smooth - float(duals @ terms.limit)
    return Sums(tally.exact, smooth, point.loss, point.used, point.hessian, point.marginal)


@dataclass(eq=False)
class _Everyone(Dual):
    """The dual of everyone, a pass a point. ``best`` is the least bound and its prices."""

    passed: Pass | None = None
    n_pairs: int = 0
    best: tuple[float, Floats] | None = None

    def at(self, duals: Floats, mu: float) -> Point:
        """Return the dual at prices with smoothing of width mu, in units of value."""
        assert self.passed is not None
        found, terms = self.passed(self.terms, duals, mu), self.terms
        self.meter.read += self.n_pairs
        constant = float(duals @ terms.limit)
        bound = found.exact + constant
        if self.best is None or bound < self.best[0]:
            self.best = bound, duals
        return Point(
            duals, bound, found.smooth + constant, found.loss, found.used,
            (terms.limit - found.used) / terms.size, found.hessian, found.marginal,
        )  # fmt: skip


def polished(
    terms: Terms, source: Any, spot: tuple[Floats, float, Any], meter: Meter
) -> tuple[Floats, float, Any]:
    """Return prices, smoothing and room to begin a pass with, that leaves few enough open.

    ``spot`` is the same from the samples; it is returned as it is where that is so already.
    """
    duals, _, room = spot
    n = source.index.n_customers
    few = source.open / max(n, 1)
    sample = None if source.latest is None else _thinned(source.latest)
    if sample is None or _share(terms, sample, duals, room) <= few:
        return spot
    unsure = float(np.sqrt(np.mean(np.minimum(room, terms.value_scale) ** 2))) / 3.0
    dual = _Everyone(
        terms, Core.nothing(), 0.0, np.zeros(len(terms.rows)), terms.ceiling, meter, float(n),
        passed=source.passed, n_pairs=source.index.n_pairs,
    )  # fmt: skip
    for part in _NARROWER:
        width = max(part * unsure, 1e-5 * terms.value_scale)
        point = dual.at(duals, width)
        duals = dual.descend(point, width, _STEPS, 2e-6 * abs(point.smooth)).duals
        if meter.halted():
            break
    margin = _scanned(terms, sample, duals, np.inf).margin
    open_few = np.quantile(margin[np.isfinite(margin)], min(0.5 * few, 1.0))
    return duals, width / terms.value_scale, 0.5 * float(open_few)


def _thinned(sample: Chunk) -> Chunk:
    """Return a sample of which few enough are looked at that all of them may be left open."""
    who = np.arange(0, sample.n_customers, -(-sample.n_customers // _SEEN))
    return replace(sample, who=who, weight=1.0)


def _scanned(terms: Terms, sample: Chunk, duals: Floats, room: Any) -> Core:
    return scan_chunk(terms, sample, Reference.of(terms, duals, room), Tally.empty(terms))


def _share(terms: Terms, sample: Chunk, duals: Floats, room: Any) -> float:
    core = _scanned(terms, sample, duals, room)
    return core.n_customers / max(sample.n_customers, 1)
