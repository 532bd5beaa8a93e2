"""Best ordered picks under prices: what a row of places can bring at most, row by row.

Letters: s rows, m pairs in compressed rows, p columns, K places with falling weights, g groups.
A pair at place k brings ``weight[k] × (value − count_price·use − money_price·spend)``. At most
``most`` pairs of a group stand in a row (0: any number); one that brings a loss is left out.

For a fixed set the best order is by falling score, and sets with at most ``most`` a group form a
partition matroid, so picking greedily is exact. With λ ≥ 0, Σ rows + λ·limits bounds every plan
(Lagrangian relaxation; Geoffrion 1974).
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["Places", "ordered_pass"]


@dataclass(frozen=True, eq=False)
class Places:
    """``weight`` (K,) ≥ 0, falling; ``group`` (p,) int64; ``most`` of a group in a row, 0: any."""

    weight: NDArray[np.float64]
    group: NDArray[np.int64]
    most: int = 0


def ordered_pass(
    start: NDArray[np.int64],
    product: NDArray[np.int64],
    worth: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    prices: tuple[NDArray[np.float64], NDArray[np.float64]],
    places: Places,
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Return the greatest total, and what it takes of use and spend by column, (p,) each.

    ``worth``: value, use and spend of each pair, (m,). ``prices``: of use and spend, (p,) ≥ 0.
    """
    width = len(places.group)
    used, spent = np.zeros(width), np.zeros(width)
    total = _pass(
        start, product, *worth, *prices, places.weight, places.group, places.most, used, spent
    )
    return total, used, spent


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _pass(  # type: ignore[no-untyped-def]
    start, product, value, use, spend, count_price, money_price, weight, group, most, used, spent
):  # fmt: skip
    total = 0.0
    groups = np.zeros(group.max() + 1, np.int64)
    score = np.empty(group.size)
    for s in range(start.size - 1):
        first, last = start[s], start[s + 1]
        for j in range(first, last):
            p = product[j]
            score[j - first] = value[j] - count_price[p] * use[j] - money_price[p] * spend[j]
        groups[:] = 0
        for k in range(weight.size):
            best, at = 0.0, -1
            for j in range(last - first):
                if score[j] > best and (most == 0 or groups[group[product[first + j]]] < most):
                    best, at = score[j], j
            if at < 0:
                break
            p = product[first + at]
            total += weight[k] * best
            used[p] += weight[k] * use[first + at]
            spent[p] += weight[k] * spend[first + at]
            groups[group[p]] += 1
            score[at] = -1.0
    return total
