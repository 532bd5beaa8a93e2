"""Whether the newest cases contradict a promised share: old cases must not carry it on.

A bet against the promise: starting anywhere, each case multiplies the stake by 1 + (level − y). As
long as the share promised holds, no start gains in the mean, so the best of n starts passes n ÷ α
with a chance of at most α (Ville's inequality and a union over starts).

Source: Waudby-Smith & Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86
(2024), section 4; Shin, Ramdas & Rinaldo, "E-detectors", NEJSDS 2 (2024) (the best of all starts).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from jinqiao.errors import InputError

__all__ = ["fallen"]


def fallen(happened: ArrayLike, level: float, *, confidence: float = 0.95) -> bool:
    """Return whether a share of at least ``level`` is contradicted up to the newest case.

    ``happened`` : (n,) 0/1, the oldest first. Raises InputError for a level or confidence outside
    (0, 1) or an outcome that is not 0 or 1.

    Examples
    --------
    >>> fallen([1] * 300, 0.7), fallen([1] * 300 + [0] * 40, 0.7)
    (False, True)
    """
    y = np.asarray(happened, np.float64)
    for value in (level, confidence):
        if not 0 < value < 1:
            raise InputError(f"{value} is not between 0 and 1", field="level or confidence")
    if y.ndim != 1 or not np.isin(y, (0.0, 1.0)).all():
        raise InputError("an outcome is not 0 or 1", field="happened")
    if not len(y):
        return False
    gained = np.cumsum(np.log1p(level - y)[::-1])
    return bool(gained.max() >= np.log(len(y) / (1.0 - confidence)))
