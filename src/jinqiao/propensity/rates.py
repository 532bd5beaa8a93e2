"""Observed rates of products and institutions, leaning on their class where few were seen.

rate(product) = (reached + m · rate(class)) / (cases + m); rate(class) leans on all classes alike.
A product nobody has seen therefore has the rate of its class: the cold start.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEAN_CASES", "Tally", "smooth"]

LEAN_CASES = (200.0, 30.0, 10.0, 10.0)
"""m for click, application, approval and activation: cases of belief in the class."""


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
    product = (tally.reached + lean * by_class) / (tally.cases + lean)
    return product, _lean(tally, institutions, overall[:, None], lean)


def _lean(
    tally: Tally, codes: NDArray[np.int64], prior: NDArray[np.float64], lean: float
) -> NDArray[np.float64]:
    """Return each product's group rate, (days, P), leaning on a prior by ``lean`` cases."""
    member = np.zeros((len(codes), int(codes.max(initial=0)) + 1))
    member[np.arange(len(codes)), codes] = 1.0
    group = (tally.reached @ member + lean * prior) / (tally.cases @ member + lean)
    found: NDArray[np.float64] = group[:, codes]
    return found
