"""Observed rates of products and institutions, leaning on their class where few were seen.

rate(product) = (reached + m · rate(class)) / (cases + m); rate(class) leans on all classes alike.
A product nobody has seen therefore has the rate of its class: the cold start.

How far products of a class truly differ decides m, day by day: the likeliest of a beta-binomial
(many products alike: m is large), leaning on what is usual. A case may count for less than one: an
offer low on a shelf is less looked at, so ``reached / cases`` is observed ÷ expected.

Source: Robbins, "An empirical Bayes approach to statistics", 1956; Skellam, J. Roy. Statist. Soc. B
10 (1948), 257–261 (beta-binomial).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEAN_CASES", "Tally", "smooth"]

LEAN_CASES = (200.0, 30.0, 10.0, 10.0)
"""m for click, application, approval and activation where nothing is known yet of how products
differ: cases of belief in the class."""
_GRID = np.exp(np.linspace(np.log(0.25), np.log(16.0), 13))
"""So many times the usual m are tried."""
_USUAL_SD = 1.0


@dataclass(frozen=True, slots=True)
class Tally:
    """Cases and reached ones of one stage, each (days, P) float64, by the day a case began."""

    cases: NDArray[np.float64]
    reached: NDArray[np.float64]

    def before(self) -> Tally:
        """Return, per day, the sums of the days before it; one day more than it was given."""
        zero = np.zeros((1, self.cases.shape[1]))
        return Tally(
            np.vstack((zero, self.cases.cumsum(axis=0))),
            np.vstack((zero, self.reached.cumsum(axis=0))),
        )


def smooth(
    tally: Tally, classes: NDArray[np.int64], institutions: NDArray[np.int64], lean: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the product's and the institution's rate per day, each (days, P) in (0, 1)."""
    overall = (tally.reached.sum(axis=1) + 0.5) / (tally.cases.sum(axis=1) + 10.0)
    by_class = _lean(tally, classes, overall[:, None], lean)
    own = _likeliest(tally, by_class, lean)[:, None]
    product = (tally.reached + own * by_class) / (tally.cases + own)
    return product, _lean(tally, institutions, overall[:, None], lean)


def _likeliest(tally: Tally, by_class: NDArray[np.float64], usual: float) -> NDArray[np.float64]:
    """Return each day's m, (days,): the likeliest that products of a class differ as they do."""
    from scipy.special import betaln

    cases = np.maximum(tally.cases, tally.reached)[..., None]
    reached, rate = tally.reached[..., None], by_class[..., None]
    m = usual * _GRID
    told = betaln(reached + m * rate, cases - reached + m * (1.0 - rate))
    told -= betaln(m * rate, m * (1.0 - rate))
    total = told.sum(axis=1) - 0.5 * (np.log(_GRID) / _USUAL_SD) ** 2
    found: NDArray[np.float64] = m[np.argmax(total, axis=1)]
    return found


def _lean(
    tally: Tally, codes: NDArray[np.int64], prior: NDArray[np.float64], lean: float
) -> NDArray[np.float64]:
    """Return each product's group rate, (days, P), leaning on a prior by ``lean`` cases."""
    member = np.zeros((len(codes), int(codes.max(initial=0)) + 1))
    member[np.arange(len(codes)), codes] = 1.0
    group = (tally.reached @ member + lean * prior) / (tally.cases @ member + lean)
    found: NDArray[np.float64] = group[:, codes]
    return found
