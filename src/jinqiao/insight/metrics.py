"""The formulas of the figures that learning is judged by, each in one place.

Letters: n rows or cohorts, g groups.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jinqiao.errors import InputError

__all__ = ["cohort_error"]

Floats = NDArray[np.float64]


def cohort_error(estimated: Floats, final: Floats) -> float:
    """Return the mean of |estimated / final − 1| over n cohorts, each a share above 0.

    Raises
    ------
    InputError : the lengths differ, or a final share is not above 0.
    """
    estimated, final = np.asarray(estimated, np.float64), np.asarray(final, np.float64)
    if estimated.shape != final.shape or not len(final):
        raise InputError("one estimate a final share is needed", field="estimated")
    if not (final > 0).all():
        raise InputError(
            "a final share of 0 has no relative error",
            record=f"cohort {int(np.argmin(final > 0))}",
            field="final",
        )
    return float(np.abs(estimated / final - 1).mean())
