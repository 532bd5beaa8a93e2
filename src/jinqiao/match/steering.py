"""What payout displaced: the plan beside the one made with payout set to 0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation import LimitRow, Pairs, Plan, solve
from jinqiao.errors import InputError

__all__ = ["CustomerSteering", "SteeringAudit", "own_values", "steering_audit"]


@dataclass(frozen=True, slots=True)
class CustomerSteering:
    """One customer whose offers payout moved: ``loss`` of own value (negative: a gain).

    ``without`` : products shown only without payout, displaced by it; ``instead`` : those shown in
    their place.
    """

    customer: int
    loss: float
    without: tuple[int, ...]
    instead: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class SteeringAudit:
    """A plan against the one that ignores payout, in the values' unit.

    ``loss`` (n,) is what each customer's own value falls by under the plan (negative: gains, as
    limits are shared); the totals are sums over customers. ``displaced`` counts customers whose
    offers differ, ``offers_displaced`` the offers. ``plan`` is the payout-free plan. ``moved``
    (nnz,) are the pairs shown by one of the two plans alone.
    """

    own_value: float
    own_value_without: float
    payout: float
    payout_without: float
    displaced: int
    offers_displaced: int
    loss: NDArray[np.float64]
    plan: Plan
    pairs: Pairs
    moved: NDArray[np.bool_]

    @property
    def loss_share(self) -> float:
        """What steering costs customers, as a share of their value without it."""
        return (self.own_value_without - self.own_value) / max(abs(self.own_value_without), 1e-12)

    @property
    def losing(self) -> int:
        """How many customers have less own value under the plan than without payout."""
        return int((self.loss > 0).sum())

    @property
    def gaining(self) -> int:
        """How many customers have more: shared limits came free for them."""
        return int((self.loss < 0).sum())

    def quantiles(self, shares: Sequence[float] = (0.5, 0.9, 0.99, 1.0)) -> dict[float, float]:
        """Return the losses that so many of all customers do not pass."""
        if not len(self.loss):
            return dict.fromkeys(shares, 0.0)
        return {q: float(np.quantile(self.loss, q)) for q in shares}

    def by_group(self, code: NDArray[np.integer], n_groups: int) -> NDArray[np.float64]:
        """Return the mean loss of the customers of each group, (n_groups,); 0 where there is none.

        ``code`` (n,) is the group of each customer.
        """
        number = np.bincount(code, minlength=n_groups)
        total = np.bincount(code, self.loss, minlength=n_groups)
        return np.asarray(total / np.maximum(number, 1), np.float64)

    def customers(self, most: int | None = None) -> tuple[CustomerSteering, ...]:
        """Return the customers whose offers payout moved, the greatest loss first."""
        places = np.flatnonzero(self.moved)
        owner = self.pairs.customer[places]
        who = np.unique(owner)
        who = who[np.argsort(-self.loss[who], kind="stable")][:most]
        chosen, out = self.plan.chosen, []
        for c in who.tolist():
            own = places[np.searchsorted(owner, c) : np.searchsorted(owner, c, side="right")]
            gone, come = own[chosen[own]], own[~chosen[own]]
            out.append(CustomerSteering(
                c, float(self.loss[c]), tuple(self.pairs.product[gone].tolist()),
                tuple(self.pairs.product[come].tolist()),
            ))  # fmt: skip
        return tuple(out)


def own_values(
    value: NDArray[np.float64], payout: NDArray[np.float64], beta: float
) -> NDArray[np.float64]:
    """Return what pairs are worth with payout 0, from their value and expected payout, (nnz,) each.

    The inverse of ``v = a + min(payout, β·max(a, 0))``: a = v below 0, else the greater of
    v − payout and v / (1 + β). Payouts ≥ 0, β ≥ 0.
    """
    v = np.asarray(value, np.float64)
    bare = np.maximum(v - np.asarray(payout, np.float64), v / (1.0 + beta))
    return np.asarray(np.where(v < 0, v, bare), np.float64)


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
        pairs=pairs,
        moved=moved,
    )
