"""95 % intervals, in closed form. k: events; n: trials; z: the normal quantile."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["Interval", "mean", "poisson", "ratio_of_ratios", "total", "wilson"]

Z = 1.959963984540054
Interval = tuple[float, float]


def wilson(k: float, n: float) -> Interval | None:
    """Return the interval of a share k / n, or None without trials.

    Wilson, JASA 22 (1927), 209–212: never below 0 or above 1, sound for small n.
    """
    if n <= 0:
        return None
    share, square = k / n, Z * Z
    centre = (share + square / (2 * n)) / (1 + square / n)
    half = Z * math.sqrt(share * (1 - share) / n + square / (4 * n * n)) / (1 + square / n)
    return min(max(centre - half, 0.0), share), max(min(centre + half, 1.0), share)


def poisson(k: float) -> Interval:
    """Return the interval of an expected count of which k was seen.

    Byar's approximation of the exact interval (Breslow and Day 1987, IARC 82, p. 69).
    """
    lower = k * (1 - 1 / (9 * k) - Z / (3 * math.sqrt(k))) ** 3 if k > 0 else 0.0
    above = k + 1
    return max(lower, 0.0), above * (1 - 1 / (9 * above) + Z / (3 * math.sqrt(above))) ** 3


def total(amounts: Sequence[float]) -> Interval:
    """Return the interval of an expected sum of independent amounts at Poisson moments.

    Such a sum has variance Σx² (compound Poisson); normal approximation. No amount: (0, 0).
    """
    value = float(sum(amounts))
    half = Z * math.sqrt(sum(float(x) * float(x) for x in amounts))
    return value - half, value + half


def mean(value_sum: float, square_sum: float, n: int) -> Interval | None:
    """Return the interval of a mean from Σx, Σx² and n; None without values.

    Normal approximation with the sample variance; a single value has no spread to show.
    """
    if n <= 0:
        return None
    value = value_sum / n
    variance = max(square_sum - n * value * value, 0.0) / (n - 1) if n > 1 else 0.0
    half = Z * math.sqrt(variance / n)
    return value - half, value + half


def ratio_of_ratios(k1: float, n1: float, k0: float, n0: float) -> Interval | None:
    """Return the interval of (k1 / n1) ÷ (k0 / n0), or None when either share has no event.

    Katz et al., Biometrics 34 (1978), 469–474: normal on the logarithm.
    """
    if min(k1, n1, k0, n0) <= 0:
        return None
    value = (k1 / n1) / (k0 / n0)
    spread = Z * math.sqrt(max(1 / k1 - 1 / n1 + 1 / k0 - 1 / n0, 0.0))
    return value * math.exp(-spread), value * math.exp(spread)
