"""Chance by key: the same key gives the same draw, whatever else is drawn, in whatever order.

Bulk draws come from a generator keyed by (seed, layer, block …). Single fates come from a hash of
(seed, layer, person, moment …), uniform in (0, 1): the same visit to the same product has the same
luck under every policy, so policies are compared on common random numbers.

Source of the mixing function: Steele, Lea & Flood, "Fast splittable pseudorandom number
generators", OOPSLA 2014 (SplitMix64).
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["normal_of", "stream", "uniform"]

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_M1 = np.uint64(0xBF58476D1CE4E5B9)
_M2 = np.uint64(0x94D049BB133111EB)


def _code(layer: str) -> int:
    return zlib.crc32(layer.encode())


def stream(seed: int, layer: str, *keys: int) -> np.random.Generator:
    """Return the generator of one layer and key (keys ≥ 0)."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, _code(layer), *keys])))


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = (x ^ (x >> np.uint64(30))) * _M1
    x = (x ^ (x >> np.uint64(27))) * _M2
    return x ^ (x >> np.uint64(31))


def uniform(seed: int, layer: str, *keys: ArrayLike) -> NDArray[np.float64]:
    """Return uniforms in (0, 1), one for each broadcast row of whole-number keys."""
    arrays = np.broadcast_arrays(*[np.asarray(key, np.int64) for key in keys])
    with np.errstate(over="ignore"):
        state = _mix(np.uint64(seed) * _GAMMA + np.array([_code(layer)], np.uint64))
        state = np.broadcast_to(state, arrays[0].shape)
        for array in arrays:
            state = _mix(state * _GAMMA + array.astype(np.uint64) + np.uint64(1))
    out: NDArray[np.float64] = ((state >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53
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
