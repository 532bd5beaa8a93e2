"""What had run out when evenly drawn shelves were made, read from the shelves themselves.

A product that may be shown and is not, over a stretch in which it would have been shown several
times, had run out; each shelf logged how many there were, so exactly so many are looked for, and
where it is not plain which, nothing is said.

Letters: r shelves in order of time, P products.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["sold_out"]

_SURE = 5.0
_APART = 1.5

Bools = NDArray[np.bool_]


def sold_out(
    may: Bools, shown: Bools, candidates: NDArray[np.integer], slots: int
) -> tuple[Bools, Bools]:
    """Return what had run out, (r, P), and whether that is plain, (r,).

    ``may`` (r, P) by rule; ``shown`` (r, P); ``candidates`` (r,) as logged. A silence is measured
    in times the product would have been shown between the shows before and after the shelf: the
    longest must be 5 at least, and 1½ times the longest of those taken to be left.
    """
    missing = may.sum(axis=1) - candidates
    would = np.where(may, slots / np.maximum(candidates, 1)[:, None], 0.0)
    passed = np.cumsum(would, axis=0)
    before = np.maximum.accumulate(np.where(shown, passed, 0.0), axis=0)
    after = np.where(shown, passed, passed[-1] if len(passed) else 0.0)
    silence = np.minimum.accumulate(after[::-1], axis=0)[::-1] - before
    silence = np.where(may & ~shown, silence, -1.0)
    order = np.argsort(-silence, axis=1, kind="stable")
    ranked = np.take_along_axis(silence, order, axis=1)
    rows, p = np.arange(len(may)), may.shape[1]
    last = ranked[rows, np.clip(missing - 1, 0, p - 1)]
    rest = np.where(missing < p, ranked[rows, np.clip(missing, 0, p - 1)], -1.0)
    plain = (missing == 0) | ((missing > 0) & (last >= _SURE) & (last >= _APART * rest))
    out = np.zeros_like(may)
    np.put_along_axis(out, order, np.arange(p)[None, :] < missing[:, None], axis=1)
    out[~plain] = False
    return out, plain
