"""Chance by key: the same key gives the same draw, whatever else is drawn, in whatever order.

Bulk draws come from a generator keyed by (seed, layer, block …). Single fates come from a hash of
(seed, layer, person, moment …), uniform in (0, 1): the same visit to the same product has the same
luck under every policy, so policies are compared on common random numbers.

Source of the mixing function: Steele, Lea & Flood, "Fast splittable pseudorandom number
generators", OOPSLA 2014 (SplitMix64).
"""

from __future__ import annotations

import zlib
from functools import cache

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["normal_of", "stream", "uniform"]

_MASK = (1 << 64) - 1
_GAMMA, _M1, _M2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


@cache
def _code(layer: str) -> int:
    return zlib.crc32(layer.encode())


def stream(seed: int, layer: str, *keys: int) -> np.random.Generator:
    """Return the generator of one layer and key (keys ≥ 0)."""
    sequence = np.random.SeedSequence([seed, _code(layer), *keys])
    return np.random.Generator(np.random.PCG64(sequence))


@cache
def _start(seed: int, layer: str) -> np.uint64:
    x = (seed * _GAMMA + _code(layer)) & _MASK
    x = ((x ^ (x >> 30)) * _M1) & _MASK
    x = ((x ^ (x >> 27)) * _M2) & _MASK
    return np.uint64(x ^ (x >> 31))


def uniform(seed: int, layer: str, *keys: ArrayLike) -> NDArray[np.float64]:
    """Return uniforms in (0, 1), one for each row of whole-number keys.

    ``keys``: arrays of one length, or numbers that stand for every row; at least one array.
    """
    arrays = [np.asarray(key, np.int64) for key in keys]
    rows = max(array.size for array in arrays)
    state = np.full(rows, _start(seed, layer), np.uint64)
    for array in arrays:
        _fold(state, array if array.ndim else array.reshape(1))
    out: NDArray[np.float64] = _unit(state)
    return out


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _fold(state, key):  # type: ignore[no-untyped-def]
    one = key.size == 1
    for i in range(state.size):
        x = state[i] * np.uint64(_GAMMA) + np.uint64(key[0 if one else i]) + np.uint64(1)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(_M1)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(_M2)
        state[i] = x ^ (x >> np.uint64(31))


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _unit(state):  # type: ignore[no-untyped-def]
    out = np.empty(state.size)
    for i in range(state.size):
        out[i] = (np.float64(state[i] >> np.uint64(11)) + 0.5) / 9007199254740992.0
    return out


def normal_of(u: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return standard normal quantiles, error below 5e-4 (Abramowitz & Stegun 26.2.23)."""
    low = np.minimum(u, 1.0 - u)
    t = np.sqrt(-2.0 * np.log(low))
    top = 2.515517 + t * (0.802853 + t * 0.010328)
    bottom = 1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308))
    z = t - top / bottom
    out: NDArray[np.float64] = np.where(u < 0.5, -z, z)
    return out
