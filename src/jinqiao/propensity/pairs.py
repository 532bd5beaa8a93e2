"""The numbers of pairs as compiled loops, so that one request and a batch come to the same bits.

m pairs, n rows, k columns, g groups. Sums are float32 and grow in the order of the columns.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from jinqiao.propensity.columns import _FAMILY as FAMILY
from jinqiao.propensity.columns import PRODUCT_COLUMNS

__all__ = ["family_of", "fill_pairs", "grouped", "pair_places", "rowwise"]

_MONTH = np.float32(30.4)


def family_of(classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return which of credit, wealth, insurance a class counts as, (P,); −1 for none."""
    return FAMILY[classes]


def pair_places() -> NDArray[np.int64]:
    """Return the product columns that pairs need: amount, term, risk level."""
    names = ("reference_amount_minor", "reference_term_days", "risk_level")
    return np.array([PRODUCT_COLUMNS.index(name) for name in names], np.int64)


def rowwise(z: NDArray[np.float32], slopes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return z·slopes, (n, g), of (n, k) and (g, k): a row comes to the same bits among others."""
    out = np.zeros((len(z), len(slopes)), np.float32)
    _rowwise(z, np.ascontiguousarray(slopes.T), out)
    return out


def grouped(
    z: NDArray[np.float32], slopes: NDArray[np.float32], group: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return each row's z·slopes of its own group, (m,), of (m, k) and (g, k)."""
    out = np.zeros(len(z), np.float32)
    _grouped(z, slopes, group, out)
    return out


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _rowwise(z, across, out):  # type: ignore[no-untyped-def]
    for i in range(z.shape[0]):
        for k in range(z.shape[1]):
            for g in range(out.shape[1]):
                out[i, g] += z[i, k] * across[k, g]


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _grouped(z, slopes, group, out):  # type: ignore[no-untyped-def]
    for i in range(z.shape[0]):
        for k in range(z.shape[1]):
            out[i] += z[i, k] * slopes[group[i], k]


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _at_least(x, least):  # type: ignore[no-untyped-def]
    return least if x < least else x


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[misc,untyped-decorator,unused-ignore]
def fill_pairs(needs, ci, goods, family, pi, day, tier, ki, places, out):  # type: ignore[no-untyped-def]
    """Fill in the pair columns of m pairs, (m, 8) float32: those of ``columns.pair_columns``.

    ``needs`` (n, inputs), ``goods`` (P, columns), ``family`` (P,) of a product's class, ``day`` and
    ``tier`` (k,) of a moment; ``ci``, ``pi``, ``ki`` (m,) name a pair's rows; ``places`` are the
    product columns of amount, term and risk level.
    """
    for i in range(pi.size):
        own, p, k = needs[ci[i]], pi[i], ki[i]
        amount = goods[p, places[0]]
        months = _at_least(goods[p, places[1]] / _MONTH, np.float32(1.0))
        out[i, 0] = amount / _at_least(own[0], np.float32(1.0))
        out[i, 1] = out[i, 0] / months
        out[i, 2] = amount / _at_least(own[1], np.float32(100.0))
        kind = family[p]
        out[i, 3] = own[2 + kind] if kind >= 0 else np.float32(0.0)
        out[i, 4] = own[5 + kind] if kind >= 0 else np.float32(0.0)
        out[i, 5] = goods[p, places[2]] - own[8]
        out[i, 6] = (day[k] - own[9]) % _MONTH
        shift = tier[k] - own[10]
        out[i, 7] = np.float32(0.0) if np.isnan(shift) else shift
