"""How anyone's columns become the numbers a straight line and a kernel can read.

Money has a long tail, a ratio a few wild values, and that a value is missing may say more than the
value. So each column is also given as steps (is it at least this much?), as its normal score among
the rows that were learnt from, and as whether it is missing. Trees need none of this.

Letters: n rows, k columns, d derived columns; each derived column is made of one column alone, so
what it adds to a score is that column's.

Sources: van der Waerden scores: Conover, "Practical Nonparametric Statistics", 1999, section 5.10;
steps beside a slope: Eilers & Marx, Statistical Science 11 (1996) (a penalised spline of degree 0).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["Derived", "Encoding", "fit_encoding"]

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
_MOST_Z = 8.0
_STEPS = 8
_KNOTS = 65
_GAP_SHARE = 0.005
_END = 1e-3


@dataclass(frozen=True)
class Derived:
    """Derived columns: which column each is made of, (d,), its mean and its spread."""

    owner: Places
    mean: Floats
    sd: Floats

    def scaled(self, raw: Floats) -> Floats:
        """Return (raw − mean) / sd within ±8, 0 where nothing is known."""
        z = np.clip((raw - self.mean) / self.sd, -_MOST_Z, _MOST_Z)
        return np.where(np.isfinite(z), z, 0.0)

    def by_column(self, parts: Floats, k: int) -> Floats:
        """Return (n, d) added up by the column each is made of, (n, k)."""
        out = np.zeros((len(parts), k))
        for place, column in enumerate(self.owner):
            out[:, column] += parts[:, place]
        return out


@dataclass(frozen=True)
class Encoding:
    """Three views of the same columns: ``plain``, as they are; ``steps``, with their steps and
    gaps; ``ranks``, as normal scores, with their gaps.

    ``edges`` and ``knots`` are by column; a column without edges is taken as it is; ``gaps`` are
    the columns whose missing is told apart.
    """

    edges: tuple[Floats, ...]
    knots: tuple[tuple[Floats, Floats], ...]
    gaps: Places
    views: Mapping[str, Derived]

    def seen(self, x: Floats) -> dict[str, Floats]:
        """Return every view of rows (n, k): (n, d) scaled, 0 where nothing is known."""
        return {name: self.views[name].scaled(_raw(name, x, self)) for name in self.views}


def fit_encoding(x: Floats) -> Encoding:
    """Return the encoding of the rows that are learnt from, (n, k), NaN for missing."""
    known = [column[np.isfinite(column)] for column in x.T]
    edges, knots = tuple(_edges(v) for v in known), tuple(_knots(v) for v in known)
    share = 1.0 - np.isfinite(x).mean(axis=0) if x.size else np.zeros(x.shape[1])
    gaps = np.flatnonzero((share > _GAP_SHARE) & (share < 1.0))
    k = np.arange(x.shape[1])
    stepped = np.concatenate((k, np.repeat(k, [len(e) for e in edges]), gaps)).astype(np.int64)
    ranked = np.concatenate((k, gaps)).astype(np.int64)
    made = Encoding(edges, knots, gaps, {})
    owners = {"plain": k.astype(np.int64), "steps": stepped, "ranks": ranked}
    return replace(made, views={n: _derived(o, _raw(n, x, made)) for n, o in owners.items()})


def _raw(view: str, x: Floats, by: Encoding) -> Floats:
    if view == "plain":
        return x
    if view == "steps":
        return _stepped(x, by.edges, by.gaps)
    return _ranked(x, by.knots, by.gaps)


def _derived(owner: Places, raw: Floats) -> Derived:
    """Return mean and spread of each column over what is known; 0 and 1 where nothing varies."""
    known = np.isfinite(raw)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, raw, 0.0).sum(axis=0) / count
    sd = np.sqrt((np.where(known, raw - mean, 0.0) ** 2).sum(axis=0) / count)
    # a spread that is rounding of a far mean is none
    return Derived(owner, mean, np.where(sd > 1e-9 * np.maximum(1.0, np.abs(mean)), sd, 1.0))


def _edges(known: Floats) -> Floats:
    values = np.unique(known)
    if len(values) <= 2:
        return np.empty(0)
    if len(values) <= _STEPS:
        return np.asarray((values[1:] + values[:-1]) / 2)
    inner = np.linspace(0, 1, _STEPS + 1)[1:-1]
    cut: Floats = np.unique(np.quantile(known, inner))
    return np.asarray(cut[cut > values[0]])


def _knots(known: Floats) -> tuple[Floats, Floats]:
    """Return values and their normal scores, ascending; between them a line is drawn."""
    from scipy.special import ndtri

    if not len(known):
        return np.zeros(1), np.zeros(1)
    order = np.sort(known)
    at = np.unique(np.quantile(order, np.linspace(0, 1, _KNOTS), method="nearest"))
    middle = (np.searchsorted(order, at, "left") + np.searchsorted(order, at, "right")) / 2
    share = np.clip(middle / len(order), _END, 1 - _END)
    return at, np.asarray(ndtri(share), np.float64)


def _stepped(x: Floats, edges: tuple[Floats, ...], gaps: Places) -> Floats:
    parts = [x]
    for place, cut in enumerate(edges):
        if len(cut):
            column = x[:, place, None]
            parts.append(np.where(np.isfinite(column), column >= cut, np.nan))
    return np.hstack([*parts, np.isnan(x[:, gaps]).astype(np.float64)])


def _ranked(x: Floats, knots: tuple[tuple[Floats, Floats], ...], gaps: Places) -> Floats:
    out = np.empty((len(x), len(knots) + len(gaps)))
    for place, (at, score) in enumerate(knots):
        column = x[:, place]
        out[:, place] = np.where(np.isfinite(column), np.interp(column, at, score), np.nan)
    out[:, len(knots) :] = np.isnan(x[:, gaps])
    return out
