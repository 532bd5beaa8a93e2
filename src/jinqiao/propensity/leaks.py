"""Columns that are likely known only after the outcome: told, never silently used or dropped.

Two signs: one column alone tells the outcome almost surely, on rows it was not read from; or it
stands (is there, or is not 0) for one outcome alone, as a date of default does.

Letters: n rows. Source: Kaufman, Rosset & Perlich, "Leakage in data mining", ACM TKDD 6 (2012).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jinqiao.engines.given import is_text
from jinqiao.propensity.calibration import weighted_auc

__all__ = ["leaks_of"]

Floats = NDArray[np.float64]
_TELLS = 0.97
_BINS = 24
_LEAST = 20
_CHANCE = 1e-9
_TEXTS = 64


def leaks_of(table: pa.Table, names: Sequence[str], y: Floats) -> dict[str, str]:
    """Return what is suspicious of each column that is, in words; ``y`` (n,) are 0 and 1."""
    found = {}
    for name in names:
        code, there = _coded(table[name])
        one = _stands_for(there, y)
        if one:
            found[name] = one
        elif (area := _area(code, y)) >= _TELLS:
            found[name] = f"alone it tells the outcome (area {area:.2f} of 1)"
    return found


def _coded(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return a code a row, missing one of its own, and where anything stands, 0 being nothing."""
    missing = np.asarray(column.is_null().to_numpy(), bool)
    if is_text(column.type):
        coded = column.combine_chunks().dictionary_encode()
        code = coded.indices.fill_null(-1).to_numpy() + 1
        return np.minimum(code, _TEXTS).astype(np.int64), ~missing
    if pa.types.is_temporal(column.type):
        return missing.astype(np.int64), ~missing
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    elif not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        return missing.astype(np.int64), ~missing
    x = np.asarray(column.cast(pa.float64()).to_numpy(), np.float64)
    known = np.isfinite(x)
    shares = np.linspace(0, 1, _BINS + 1)[1:]
    edges: Floats = np.quantile(x[known], shares) if known.any() else np.empty(0)
    code = np.where(known, 1 + np.searchsorted(np.unique(edges), x, "left"), 0)
    zeros = known & (x == 0)
    mostly = zeros.sum() * 2 > len(x)
    return code.astype(np.int64), known & ~zeros if mostly else known


def _stands_for(there: NDArray[np.bool_], y: Floats) -> str:
    """Say so where a value stands in rows of the rarer outcome alone, too many for chance."""
    k, n = int(there.sum()), len(y)
    rare = 1.0 if y.mean() <= 0.5 else 0.0
    share = float((y == rare).mean())
    if _LEAST <= k < n and share and (y[there] == rare).all() and share**k < _CHANCE:
        return f"it stands in {k} rows, all of outcome {rare:.0f}"
    return ""


def _area(code: NDArray[np.int64], y: Floats) -> float:
    """Return the area under the curve of the codes' shares of yes, each half told by the other."""
    if min(y.sum(), len(y) - y.sum()) < _LEAST:
        return 0.5
    half = np.empty(len(y), np.int64)
    for label in (0.0, 1.0):
        rows = np.flatnonzero(y == label)
        half[rows] = np.random.default_rng(61).permutation(len(rows)) % 2
    areas, most = [], int(code.max()) + 1
    for one in (0, 1):
        read, told = half == one, half != one
        n = np.bincount(code[read], minlength=most)
        yes = np.bincount(code[read], y[read], minlength=most)
        score = (yes + y.mean()) / (n + 1.0)
        areas.append(weighted_auc(score[code[told]], y[told], np.ones(int(told.sum()))))
    return float(np.mean(areas))
