"""How far one sample's distribution lies from another's: the population stability index.

Letters: k bins; n and m cases of the reference and of the day; p and q their shares of each bin.
PSI = Σ (q − p) · ln(q / p), the sum of the two Kullback–Leibler divergences. Where nothing drifted
it is about (1/n + 1/m) times a χ² variable of k − 1 degrees: its mean is what a day shows by chance
alone, and a small day shows much.

Sources: Siddiqi, "Credit Risk Scorecards", 2006, section "Scorecard monitoring" (the index; below
0.1 no change, above 0.25 a major one); Yurdakul, "Statistical properties of population stability
index", Western Michigan University, 2018, section 3 (its distribution where nothing drifted).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jinqiao.errors import InputError

__all__ = [
    "MAJOR", "MODERATE", "Bins", "Shift", "bin_places", "count_in", "find_bins", "shift_of",
]  # fmt: skip

MODERATE, MAJOR = 0.1, 0.25
_MOST_BINS = 10
_SURE = 0.9999
"""A page of 28 days and 100 features asks 2,800 times: it shall not alarm by chance."""
_A_BIN = 5
"""Cases a bin that the distribution by chance takes (Cochran, Biometrics 10, 1954)."""
_LEAN = 0.5
"""Added to every bin's cases of both samples, so that an empty one has a logarithm."""


@dataclass(frozen=True, slots=True)
class Bins:
    """Bins of one column: ``edges`` ascending, each the least value of a bin but the first.

    ``shares`` (k,) of the reference, the last being of missing values; ``cases`` counts what may
    be taken as independent in it, such as customers.
    """

    edges: tuple[float, ...]
    shares: tuple[float, ...]
    cases: int


@dataclass(frozen=True, slots=True)
class Shift:
    """``psi`` of a day; ``floor`` its mean and ``chance`` its 99.99 % quantile without any drift.

    ``verdict``: ``stable``, ``moderate`` (the index less its floor is 0.1 or more), ``major`` (0.25
    or more), or ``too_few`` where the index is that large but chance alone may be as large, or
    fewer than five cases a bin leave it unknown how large.
    """

    psi: float
    floor: float
    chance: float
    cases: int
    verdict: str


def find_bins(values: ArrayLike, cases: int | None = None, *, most: int = _MOST_BINS) -> Bins:
    """Return bins of about equal shares of a reference sample, (n,), NaN for missing.

    A column of at most ``most`` values has a bin of each. ``cases``: what may be taken as
    independent of it, n where None. Raises InputError for an empty sample.
    """
    column = _column(values)
    if not len(column):
        raise InputError("no case to find bins of", field="values")
    seen = column[~np.isnan(column)]
    distinct = np.unique(seen)
    if len(distinct) <= most:
        edges = distinct[1:]
    else:
        inner = np.linspace(0, 1, most + 1)[1:-1]
        edges = np.unique(np.quantile(seen, inner, method="inverted_cdf"))
        edges = edges[edges > distinct[0]]
    found = Bins(tuple(float(e) for e in edges), (), len(column) if cases is None else cases)
    counts = count_in(found, column)
    return Bins(found.edges, tuple(float(c) for c in counts / counts.sum()), found.cases)


def bin_places(bins: Bins, values: ArrayLike) -> NDArray[np.int64]:
    """Return the bin of each value, 0 … k − 1, the last for a missing one."""
    column = _column(values)
    place = np.searchsorted(np.asarray(bins.edges), column, side="right").astype(np.int64)
    place[np.isnan(column)] = len(bins.edges) + 1
    return place


def count_in(bins: Bins, values: ArrayLike) -> NDArray[np.float64]:
    """Return how many values fall into each bin, (k,)."""
    return np.bincount(bin_places(bins, values), minlength=len(bins.edges) + 2).astype(np.float64)


def shift_of(bins: Bins, counts: ArrayLike, cases: int) -> Shift:
    """Return how far a day lies from the reference: ``counts`` (k,) of rows in each bin.

    ``cases`` is how many of them may be taken as independent. Bins that neither sample fills are
    left out. Raises InputError for another number of bins or no case.

    Examples
    --------
    >>> bins = find_bins(np.arange(1000.0))
    >>> shift_of(bins, count_in(bins, np.arange(1000.0)), 1000).verdict
    'stable'
    """
    from scipy.special import gammaincinv

    day = np.asarray(counts, np.float64)
    share = np.asarray(bins.shares)
    if day.shape != share.shape:
        raise InputError(f"{day.shape} counts for {len(share)} bins", field="counts")
    if cases < 1 or day.sum() <= 0:
        raise InputError("no case on that day", field="cases")
    filled = (day > 0) | (share > 0)
    k = int(filled.sum())
    q = (day[filled] / day.sum() * cases + _LEAN) / (cases + _LEAN * k)
    p = (share[filled] * bins.cases + _LEAN) / (bins.cases + _LEAN * k)
    psi = float(((q - p) * np.log(q / p)).sum())
    scale = 1.0 / bins.cases + 1.0 / cases
    floor = (k - 1) * scale
    chance = float(2.0 * gammaincinv((k - 1) / 2, _SURE)) * scale if k > 1 else 0.0
    sure = psi > chance and min(cases, bins.cases) >= _A_BIN * k
    return Shift(psi, floor, chance, cases, _verdict(psi - floor, sure))


def _verdict(beyond: float, sure: bool) -> str:
    if beyond < MODERATE:
        return "stable"
    if not sure:
        return "too_few"
    return "major" if beyond >= MAJOR else "moderate"


def _column(values: ArrayLike) -> NDArray[np.float64]:
    column: NDArray[np.float64] = np.asarray(values, np.float64)
    if column.ndim != 1:
        raise InputError(f"{column.shape} is not one column", field="values")
    return column
