"""The linear relaxation of a small problem, to high accuracy: its prices and what it uses.

The same smoothed dual and Newton steps as ``solver``, on everyone at once and down to a width at
which smoothing moves nothing that matters; nothing is rounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation.problem import LimitRow, Pairs

__all__ = ["Fractional", "fractional"]

_WIDTHS = (0.1, 0.01, 1e-3, 1e-4, 1e-6)
"""Smoothing, in units of a customer's mean best value."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Fractional:
    """Prices (m,) ≥ 0, what the fractional optimum uses of each row (m,), bound, and passes."""

    duals: Floats
    used: Floats
    bound: float
    passes: float


def fractional(
    pairs: Pairs,
    slots: object,
    rows: Sequence[LimitRow],
    *,
    n_products: int,
    warm: Floats | None = None,
    widths: tuple[float, float] = (0.1, 1e-6),
    tolerance: float = 1e-8,
) -> Fractional:
    """Return the relaxation's optimum, started at prices (m,) ≥ 0 if any are given.

    ``widths``: the smoothing to begin with (small where ``warm`` is nearly right) and to end with.
    ``tolerance``: stop at each width when a step promises less, as a share of the value.
    """
    from jinqiao.engines.allocation.dual import Dual, Meter
    from jinqiao.engines.allocation.search import Search
    from jinqiao.engines.allocation.solver import prepared
    from jinqiao.engines.allocation.terms import Reference

    problem = prepared(pairs, slots, rows, n_products)
    meter = Meter(pairs.n_pairs)
    search = Search(problem.terms, problem.source, meter)
    search.scale()
    terms = search.terms
    sign = np.array([1.0 if row.sense == "<=" else -1.0 for row in rows])
    given = np.zeros(len(rows)) if warm is None else np.asarray(warm, np.float64)
    duals = np.clip(given, 0.0, terms.ceiling)
    tally, core = problem.source.scan(terms, Reference.of(terms, duals, np.inf))
    dual = Dual.of(terms, tally, core, meter, terms.ceiling)
    point = None
    for width in (*(w for w in _WIDTHS if 3 * widths[1] <= w <= widths[0]), widths[1]):
        mu = width * terms.value_scale
        start = dual.at(duals, mu)
        point = dual.descend(start, mu, 60, tolerance * max(abs(start.smooth), mu))
        duals = point.duals
    assert point is not None
    return Fractional(duals, sign * point.used, point.bound, meter.passes)
