"""What payout displaced: the plan beside the one made with payout set to 0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation import LimitRow, Pairs, Plan, solve
from jinqiao.errors import InputError

__all__ = ["SteeringAudit", "steering_audit"]


@dataclass(frozen=True, eq=False)
class SteeringAudit:
    """A plan against the one that ignores payout, in the values' unit.

    ``loss`` (n,) is what each customer's own value falls by under the plan (negative: gains, as
    limits are shared); the totals are sums over customers. ``displaced`` counts customers whose
    offers differ, ``offers_displaced`` the offers. ``plan`` is the payout-free plan.
    """

    own_value: float
    own_value_without: float
    payout: float
    payout_without: float
    displaced: int
    offers_displaced: int
    loss: NDArray[np.float64]
    plan: Plan

    @property
    def loss_share(self) -> float:
        """What steering costs customers, as a share of their value without it."""
        return (self.own_value_without - self.own_value) / max(abs(self.own_value_without), 1e-12)


def steering_audit(
    pairs: Pairs,
    slots: int | NDArray[np.integer],
    rows: Sequence[LimitRow],
    plan: Plan,
    *,
    own_value: NDArray[np.float64],
    seed: int = 0,
    gap_target: float = 2e-4,
) -> SteeringAudit:
    """Return what the payout term displaced, in total and for each customer.

    ``own_value`` (nnz,) is the value of every pair with payout 0 (``engines.worth.pair_value``
    with ``payout_minor=0``); rows and slots stay as they are. The expected payout of a plan is its
    Σ cost.
    """
    own = np.asarray(own_value, np.float64)
    if own.shape != (pairs.n_pairs,):
        raise InputError(f"{own.shape} values for {pairs.n_pairs} pairs", field="own_value")
    bare = solve(
        replace(pairs, value=own), slots, rows, n_products=plan.prices.count.shape[1],
        seed=seed, gap_target=gap_target, warm=dict(zip(plan.row_names, plan.duals, strict=True)),
    )  # fmt: skip
    moved = plan.chosen != bare.chosen
    cost, owner = pairs.column("cost"), pairs.customer
    change = np.where(bare.chosen, own, 0.0) - np.where(plan.chosen, own, 0.0)
    return SteeringAudit(
        own_value=float(own[plan.chosen].sum()),
        own_value_without=float(own[bare.chosen].sum()),
        payout=float(cost[plan.chosen].sum()),
        payout_without=float(cost[bare.chosen].sum()),
        displaced=len(np.unique(owner[moved])),
        offers_displaced=int((moved & bare.chosen).sum()),
        loss=np.bincount(owner, change, minlength=pairs.n_customers).astype(np.float64),
        plan=bare,
    )
