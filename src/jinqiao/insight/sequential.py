"""What may be looked at any day: how wide an interval is then, and when a split is broken.

Letters: n units or visits, a arms.

Sources: Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, Annals of Statistics 52 (2024), Theorem 2.2
and eq. 12 (asymptotic confidence sequences); Lindon & Malek, NeurIPS 2022, eq. 5 (multinomial
counts at any time).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from jinqiao.errors import InputError

__all__ = ["anytime_factor", "sample_ratio_anytime"]

_TUNED_AT = 5_000
_PRIOR = 100.0
"""How many units' worth of belief that a broken split is near the one that was meant."""


def anytime_factor(n: float, alpha: float) -> float:
    """Return how many standard errors an interval needs to hold at every n at once.

    √(((nρ² + 1) / (nρ²)) · ln((nρ² + 1) / α²)), narrowest near 5,000 units (eq. 12 and 24: ρ).
    """
    rho2 = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / _TUNED_AT
    scale = n * rho2
    return math.sqrt((scale + 1) / scale * math.log((scale + 1) / alpha**2))


def sample_ratio_anytime(counts: Mapping[str, int], shares: Mapping[str, float]) -> float:
    """Return a p-value of the split that holds at every look, in (0, 1].

    One over how much better a Dirichlet mixture around ``shares`` tells the counts than the shares
    themselves do: under a whole split that is a martingale that starts at 1, so it passes 1,000
    ever with a chance of at most 1 in 1,000 (Ville).

    Raises InputError for an arm that has no share.

    Examples
    --------
    >>> even = {"a": 0.5, "b": 0.5}
    >>> sample_ratio_anytime({"a": 5_000, "b": 4_950}, even)
    1.0
    >>> sample_ratio_anytime({"a": 5_000, "b": 4_500}, even) < 1e-3
    True
    """
    unknown = sorted(set(counts) - set(shares))
    if unknown:
        raise InputError("an arm that the experiment does not have", record=unknown[0], field="arm")
    n = sum(counts.values())
    log = math.lgamma(_PRIOR) - math.lgamma(_PRIOR + n)
    for arm, share in shares.items():
        prior, k = _PRIOR * share, counts.get(arm, 0)
        log += math.lgamma(prior + k) - math.lgamma(prior) - k * math.log(share)
    return min(1.0, math.exp(-min(log, 700.0)))
