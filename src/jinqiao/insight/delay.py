"""How long a conversion takes, corrected for those still on their way.

Competing risks: a click ends in conversion (1), in refusal, expiry or reversal (2), or is still
open (0, censored at the as-of). F₁(t) is the chance to have converted by t.

Source: Aalen and Johansen, Scand. J. Statist. 5 (1978), 141–150.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.hazards import incidence as ends
from jinqiao.insight.interval import Z

__all__ = ["incidence", "median_days"]

Floats = NDArray[np.float64]


def incidence(days: Floats, end: NDArray[np.integer]) -> tuple[Floats, Floats]:
    """Return the times of conversions, ascending, and F₁ at each.

    ``days`` (n,) ≥ 0; ``end`` (n,) in {0 open, 1 converted, 2 ended otherwise}.
    F₁(t) = Σ_{tᵢ ≤ t} S(tᵢ−) · d₁ᵢ / nᵢ, with S the chance to be still open.
    """
    found = ends(days, np.asarray(end) - 1, 2)
    keep = np.diff(found.share[0], prepend=0.0) > 0
    return found.times[keep], found.share[0][keep]


def median_days(days: Floats, end: NDArray[np.integer]) -> tuple[float, tuple[float, float]] | None:
    """Return the median days to convert among those who will, and its 95 % interval, or None.

    The smallest t with F₁(t) ≥ ½·F₁(∞). The interval takes the quantiles ½ ± z·√(¼/m) of the same
    distribution, m being the conversions seen (the interval of an order statistic).
    """
    times, chance = incidence(days, end)
    if times.size == 0:
        return None
    share = chance / chance[-1]
    seen = int((end == 1).sum())
    half = Z * math.sqrt(0.25 / seen)

    def quantile(p: float) -> float:
        place = int(np.searchsorted(share, min(max(p, 0.0), 1.0) - 1e-12))
        return float(times[min(place, len(times) - 1)])

    return quantile(0.5), (quantile(0.5 - half), quantile(0.5 + half))
