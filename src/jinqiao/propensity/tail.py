"""How late answers may still come: the share of a delay's law that lies within what was watched.

A log of four weeks shows no answer that takes six. Among the answers that did come, each was seen
only because it took no longer than its case is old: their law, cut off at each case's own age, is
fitted as log-normal and as Weibull, and the likelier one says what is still to come. A group
(an institution) is faster or slower by a factor that leans on 1.

Letters: n answers seen, g groups. log delay = m + u_g + s·ε.

Source: Kalbfleisch & Lawless, "Inference based on retrospective ascertainment", JASA 84 (1989),
360–372 (delays seen only when they are short enough).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Tail", "fit_tail"]

Floats = NDArray[np.float64]
_Law = Callable[[Floats, Floats], tuple[Floats, Floats, Floats, Floats]]

_FEW = 20
"""Of fewer answers nothing is said of later ones."""
_GROUP_SD = 0.5
_SPREAD, _SPREAD_SD = 0.8, 0.5
"""Delays of people and offices spread by a factor of about two; the prior's own sd is wide."""
_LEAST = 1e-9
_LEAST_OF_MEDIAN = 0.05
"""An answer at once (reports that overtake each other) says little of the slow ones: of a delay
shorter than this share of the median only that is known."""


@dataclass(frozen=True, slots=True)
class Tail:
    """A fitted law. ``place`` (g + 1,) are the groups' middles of the log, the last for a new one.

    ``spread`` is s; ``weibull`` says which of the two laws it is.
    """

    place: Floats
    spread: float
    weibull: bool

    def by(self, age: Floats, group: NDArray[np.integer]) -> Floats:
        """Return the share of answers that take no longer than some ages, (m,) in [0, 1]."""
        from scipy.special import ndtr

        z = (np.log(np.maximum(age, _LEAST)) - self.place[group]) / self.spread
        found: Floats = -np.expm1(-np.exp(np.minimum(z, 50.0))) if self.weibull else ndtr(z)
        return found


def fit_tail(after: Floats, limit: Floats, group: NDArray[np.integer], n_groups: int) -> Tail:
    """Return the law of delays that were seen because they were at most ``limit``, (n,) each.

    In any unit of time, ``limit`` ≥ ``after`` > 0. Of fewer than 20 delays: all is over at once.
    """
    if len(after) < _FEW:
        return Tail(np.full(n_groups + 1, np.log(_LEAST)), 1e-3, False)
    least = max(_LEAST_OF_MEDIAN * float(np.median(after)), _LEAST)
    y, cut = (np.log(np.maximum(t, least)) for t in (after, np.maximum(limit, after)))
    fits = [
        _fitted((y, cut, float(np.log(least))), group, n_groups, law) for law in (_normal, _weibull)
    ]
    weibull = fits[1][0] < fits[0][0]
    _, place, spread = fits[int(weibull)]
    return Tail(place, spread, weibull)


def _fitted(
    seen: tuple[Floats, Floats, float], group: NDArray[np.integer], n_groups: int, law: _Law
) -> tuple[float, Floats, float]:
    """Return the least −log posterior of a law, its groups' places and its spread."""
    from scipy.optimize import minimize

    y, cut, floor = seen
    early = y <= floor

    def loss(theta: Floats) -> tuple[float, Floats]:
        spread = np.exp(theta[1])
        place = theta[0] + theta[2:][group]
        z, b = (y - place) / spread, (cut - place) / spread
        density, d_density, share, d_share = law(z, b)
        at_most, d_at_most = law(z, z)[2:]
        density = np.where(early, at_most + theta[1], density)
        d_density = np.where(early, d_at_most, d_density)
        pull = (theta[1] - np.log(_SPREAD)) / _SPREAD_SD
        prior = 0.5 * (theta[2:] @ theta[2:]) / _GROUP_SD**2 + 0.5 * pull**2
        by_place = (d_density - d_share) / spread  # z falls as the place rises: the sign turns
        by_spread = ~early + d_density * z - d_share * b
        slopes = np.empty_like(theta)
        slopes[0], slopes[1] = by_place.sum(), by_spread.sum() + pull / _SPREAD_SD
        slopes[2:] = np.bincount(group, by_place, n_groups) + theta[2:] / _GROUP_SD**2
        return float((theta[1] - density + share).sum() + prior), slopes

    start = np.zeros(2 + n_groups)
    start[0], start[1] = np.median(y), np.log(max(float(y.std()), 0.2))
    bounds = [(None, None), (-3.0, 1.5), *[(-3.0, 3.0)] * n_groups]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    place = found.x[0] + np.append(found.x[2:], 0.0)
    return float(found.fun), place, float(np.exp(found.x[1]))


def _normal(z: Floats, b: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return log density at z and log share at b with their slopes, of the normal law."""
    from scipy.special import log_ndtr

    share = log_ndtr(b)
    root = 0.5 * np.log(2.0 * np.pi)
    return -0.5 * z**2 - root, -z, share, np.exp(-0.5 * b**2 - share - root)


def _weibull(z: Floats, b: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return the same of the law of a Weibull's logarithm."""
    rise, up = np.exp(np.clip(z, -40.0, 6.0)), np.exp(np.clip(b, -40.0, 6.0))
    whole = -np.expm1(-up)
    return z - rise, 1.0 - rise, np.log(whole), up * np.exp(-up) / whole
