"""Time to one of several ends, with cases still open: shares by each end, and what an age says.

In: times, ends, weights. Out: step functions of time. Always: shares and what is open add up to
1; a case still open is neither end. From: Aalen & Johansen, Scand. J. Statist. 5 (1978), 141–150.

Letters: n cases, k ends, t distinct times.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Incidence", "incidence"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Incidence:
    """``times`` (t,) ascending; ``share`` (k, t) that reached each end by then; ``open`` (t,)."""

    times: Floats
    share: Floats
    open: Floats

    @property
    def final(self) -> Floats:
        """The share that reaches each end in all the time watched, (k,)."""
        return self.share[:, -1] if self.times.size else np.zeros(len(self.share))

    def by(self, age: Floats) -> tuple[Floats, Floats]:
        """Return the shares by each end at some ages, (k, m), and what is open then, (m,)."""
        place = np.searchsorted(self.times, age, side="right")
        start = np.zeros((len(self.share), 1))
        shares = np.concatenate((start, self.share), axis=1)[:, place]
        return shares, np.concatenate(([1.0], self.open))[place]

    def still(self, age: Floats) -> Floats:
        """Return the chance of each end for cases open at some ages, (k, m).

        (F(∞) − F(a)) / S(a). Older than all that was watched: 0.
        """
        shares, open_ = self.by(age)
        left = np.maximum(self.final[:, None] - shares, 0.0)
        chance: Floats = np.divide(
            left, open_, out=np.zeros_like(left), where=np.broadcast_to(open_ > 1e-9, left.shape)
        )
        return np.clip(chance, 0.0, 1.0)


def incidence(
    after: Floats, end: NDArray[np.integer], n_ends: int, weight: Floats | None = None
) -> Incidence:
    """Return the cumulative incidence of each end.

    Parameters
    ----------
    after : (n,) ≥ 0, time to the end, or to now where open. end : (n,) 0 … n_ends − 1, −1 open.
    weight : (n,) ≥ 0 how much each case counts; 1 by default.
    """
    if not len(after):
        return Incidence(np.empty(0), np.empty((n_ends, 0)), np.empty(0))
    w = np.ones(len(after)) if weight is None else np.asarray(weight, np.float64)
    order = np.argsort(after, kind="stable")
    times, first = np.unique(np.asarray(after, np.float64)[order], return_index=True)
    w, ended = w[order], np.asarray(end)[order]
    left = w.sum() - np.concatenate(([0.0], np.cumsum(np.add.reduceat(w, first))[:-1]))
    here = np.stack([np.add.reduceat(w * (ended == k), first) for k in range(n_ends)])
    hazard = np.divide(here, left, out=np.zeros_like(here), where=left > 1e-12 * w.sum())
    open_ = np.cumprod(np.clip(1.0 - hazard.sum(axis=0), 0.0, 1.0))
    before = np.concatenate(([1.0], open_[:-1]))
    return Incidence(times, np.cumsum(before * hazard, axis=1), open_)
