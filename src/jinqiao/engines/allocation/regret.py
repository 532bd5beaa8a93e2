"""What each customer's part of a plan misses at given prices: one pass, whole problem.

At prices, a customer's best is the sum of the K best positive reduced values r = v − Σ λ·a. The
regret is that best less what the plan gives them; Σ regret + Σ λ·(b − used) is exactly the distance
from the plan to the bound of these prices (weak duality, Boyd & Vandenberghe §5.1.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation.problem import Pairs, PriceTables

__all__ = ["Regrets", "regrets"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Regrets:
    """``best`` Σ over customers of their best; (n,) each: ``regret`` ≥ 0, ``low`` the least r among
    a customer's own offers (+inf: none), ``high`` the largest r among the others (−inf: none)."""

    best: float
    regret: Floats
    low: Floats
    high: Floats

    def margin(self, slots_free: NDArray[np.bool_]) -> Floats:
        """Return how far prices must move before a customer's choice changes, (n,) ≥ 0.

        ``slots_free`` (n,): customers who could take one offer more.
        """
        swap = self.low - np.maximum(self.high, 0.0)
        add = np.where(slots_free, -self.high, np.inf)
        found: Floats = np.maximum(np.minimum(swap, add), 0.0)
        return found


def regrets(
    pairs: Pairs, slots: NDArray[np.int32], prices: PriceTables, chosen: NDArray[np.bool_]
) -> Regrets:
    """Return every customer's best and regret at price tables; the plan is ``chosen`` (nnz,)."""
    n = pairs.n_customers
    regret, low, high = np.empty(n), np.empty(n), np.empty(n)
    given = [getattr(pairs, name) for name in ("use", "cost", "approval")]
    columns = tuple(_flat(one) for one in given)
    ways = tuple((int(np.ndim(one) == 1), int(np.ndim(one) == 2)) for one in given)
    tables = tuple(
        np.ascontiguousarray(t.ravel()) for t in (prices.count, prices.cost, prices.approval)
    )
    best = _pass(
        pairs.indptr, pairs.product, pairs.value, columns, ways,
        np.ascontiguousarray(prices.segment), slots, tables, prices.count.shape[1], chosen,
        regret, low, high,
    )  # fmt: skip
    return Regrets(float(best), regret, low, high)


def _flat(given: Any) -> NDArray[Any]:
    return np.ascontiguousarray(0.0 if given is None else given).reshape(-1)


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _pass(
    indptr: Any, product: Any, value: Any, columns: Any, ways: Any, segment: Any, slots: Any,
    tables: Any, n_products: int, chosen: Any, regret: Any, low: Any, high: Any,
) -> float:  # fmt: skip
    use, cost, approval = columns
    count, money, rate = tables
    (use_pair, use_kind), (cost_pair, cost_kind), (rate_pair, rate_kind) = ways
    deepest = 1
    for c in range(len(slots)):
        deepest = max(deepest, min(slots[c], indptr[c + 1] - indptr[c]))
    top = np.empty(deepest + 1)
    total = 0.0
    for c in range(len(slots)):
        base = np.int64(segment[c]) * n_products
        k, kept, own = slots[c], 0, 0.0
        least, most = np.inf, -np.inf
        for j in range(indptr[c], indptr[c + 1]):
            kind = np.int64(product[j])
            cell = base + kind
            chance = approval[j * rate_pair + kind * rate_kind]
            price = (count[cell] + chance * rate[cell]) * use[j * use_pair + kind * use_kind]
            r = value[j] - price - cost[j * cost_pair + kind * cost_kind] * money[cell]
            if chosen[j]:
                own += r
                least = min(least, r)
            else:
                most = max(most, r)
            if r > 0.0 and k > 0 and (kept < k or r > top[kept - 1]):
                if kept < k:
                    kept += 1
                place = kept - 1
                while place > 0 and top[place - 1] < r:
                    top[place] = top[place - 1]
                    place -= 1
                top[place] = r
        found = 0.0
        for i in range(kept):
            found += top[i]
        total += found
        regret[c] = max(found - own, 0.0)
        low[c], high[c] = least, most if k > 0 else -np.inf
    return total
