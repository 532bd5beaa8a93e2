"""Who is shown how much: exposure by segment, and plans of nearly the same value that even it out.

The search follows the idea of a less discriminatory alternative (12 CFR 1002.6(b) comment 2): of
plans that serve the same purpose nearly as well, take the one with the least disparity. Floors on a
segment's expected applications are raised step by step, each plan started from the last one's
prices; what comes out is the frontier of value against disparity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation import LimitRow, Pairs, Plan, solve
from jinqiao.errors import InputError, JinqiaoError
from jinqiao.match.standing import Problem

__all__ = ["Exposure", "FairPoint", "Frontier", "exposure", "fairness_frontier"]

Floats = NDArray[np.float64]
_Z90 = 1.6448536269514722
_ROOM = 1e-3
"""Floors leave so much of the expected applications unpromised: whole offers need some play."""
_FEWEST = 20
"""Groups of fewer customers are told but not steered by: their share says little."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """What a plan does for one group of customers.

    Shares are of all customers, offers (impressions, by visits), expected applications and value.
    Ratios are a share over the share of customers, 1 is even; intervals are 90 %, over customers.
    ``approval`` : mean chance of approval of its expected applications, NaN where there is none.
    """

    group: str
    customers: int
    customer_share: float
    offers: int
    impression_share: float
    application_share: float
    value_share: float
    application_ratio: float
    application_between: tuple[float, float]
    value_ratio: float
    value_between: tuple[float, float]
    approval: float
    approval_between: tuple[float, float]


def exposure(
    pairs: Pairs,
    chosen: NDArray[np.bool_],
    code: NDArray[np.integer],
    groups: Sequence[str],
    *,
    visits: Floats | None = None,
) -> tuple[Exposure, ...]:
    """Return the exposure of each group that has customers, in the groups' order.

    Parameters
    ----------
    pairs, chosen : the plan's pairs and which of them it shows, (nnz,).
    code : (n,) each customer's place in ``groups``. visits : (n,) of each, 1 where left out.

    Raises InputError for codes of another number of customers, or outside the groups.
    """
    code = _codes(code, groups, pairs.n_customers)
    n, owner = pairs.n_customers, pairs.customer[chosen]
    weight = np.ones(n) if visits is None else np.asarray(visits, np.float64)

    def of_each(values: Floats) -> Floats:
        return np.bincount(owner, values[chosen], minlength=n).astype(np.float64)

    worths = np.asarray(pairs.value, np.float64)
    use, ones = pairs.column("use"), np.ones(pairs.n_pairs)
    offers, used = of_each(ones), of_each(use)
    value, approved = of_each(worths), of_each(use * pairs.column("approval"))
    out = []
    for place, group in enumerate(groups):
        mine = code == place
        if not mine.any():
            continue
        applied, applied_between = _ratio(used, mine)
        worth, worth_between = _ratio(value, mine)
        chance, between = _mean(approved[mine], used[mine])
        out.append(Exposure(
            group, int(mine.sum()), float(mine.mean()), int(offers[mine].sum()),
            _part(offers * weight, mine), _part(used, mine), _part(value, mine),
            applied, applied_between, worth, worth_between, chance, between,
        ))  # fmt: skip
    return tuple(out)


@dataclass(frozen=True, eq=False)
class FairPoint:
    """One plan of the frontier.

    ``level`` : every group was to get so much of its even share of the first plan's expected
    applications (0: the first plan itself). ``value_share`` : value over the first plan's.
    ``disparity`` : 1 − the least application ratio of a group. ``hard`` : whether the floors were
    kept to the letter; otherwise some limit forbids it, and they were only pulled towards.
    """

    level: float
    value: float
    value_share: float
    disparity: float
    ratios: tuple[float, ...]
    hard: bool
    plan: Plan


@dataclass(frozen=True, eq=False)
class Frontier:
    """Points by rising level, the first the plan as it is; ``groups`` are those steered by."""

    groups: tuple[str, ...]
    points: tuple[FairPoint, ...]

    def within(self, loss_share: float) -> FairPoint:
        """Return the point of least disparity that gives up at most so much of the value."""
        good = [p for p in self.points if p.value_share >= 1.0 - loss_share]
        return min(good, key=lambda p: (p.disparity, -p.value_share))


def fairness_frontier(
    problem: Problem,
    plan: Plan,
    code: NDArray[np.integer],
    groups: Sequence[str],
    *,
    levels: Sequence[float] | None = None,
    gap_target: float = 1e-3,
) -> Frontier:
    """Return value against disparity as floors on each group's expected applications rise.

    Parameters
    ----------
    problem, plan : what the plan was made from, and the plan. code, groups : see ``exposure``.
    levels : parts of an even share, above what the least served group has anyway; None: ten even
        steps from there to 1.

    Raises InputError for levels outside (0, 1.5], or codes that do not fit.
    """
    if any(not 0 < level <= 1.5 for level in levels or ()):
        raise InputError("a level outside (0, 1.5]", record="frontier", field="levels")
    code = _codes(code, groups, problem.pairs.n_customers)
    sizes = np.bincount(code, minlength=len(groups))
    kept = [g for g in range(len(groups)) if sizes[g] >= _FEWEST]
    use = problem.pairs.column("use")
    total = float(use[plan.chosen].sum()) * (1.0 - _ROOM)
    first = _point(problem, plan, code, kept, (0.0, None, True))
    points, warm = [first], dict(zip(plan.row_names, plan.duals.tolist(), strict=True))
    if levels is None:
        levels = [1.0 - first.disparity * (1.0 - k / 10) for k in range(1, 11)]
    for level in sorted(levels):
        if level <= 1.0 - first.disparity or len(kept) < 2:
            continue
        floors = [(groups[g], code == g, level * total * sizes[g] / len(code)) for g in kept]
        found, hard = _evened(problem, floors, warm, gap_target)
        warm = dict(zip(found.row_names, found.duals.tolist(), strict=True))
        points.append(_point(problem, found, code, kept, (level, first.value, hard)))
    return Frontier(tuple(groups[g] for g in kept), tuple(points))


def _evened(
    problem: Problem,
    floors: Sequence[tuple[str, NDArray[np.bool_], float]],
    warm: dict[str, float],
    gap_target: float,
) -> tuple[Plan, bool]:
    everything = np.arange(problem.n_products, dtype=np.int32)
    use = problem.pairs.column("use")
    value = np.abs(problem.pairs.value[use > 0] / use[use > 0])
    pull = 2.0 * float(np.quantile(value, 0.9)) if len(value) else 1.0
    for penalty in (None, pull):
        more = [
            LimitRow(f"fair:{name}", ">=", units, "count", everything, who, penalty)
            for name, who, units in floors
        ]
        try:
            plan = solve(
                problem.pairs, problem.slots, (*problem.rows, *more),
                n_products=problem.n_products, gap_target=gap_target, warm=warm,
            )  # fmt: skip
            return plan, penalty is None
        except JinqiaoError:
            if penalty is not None:
                raise
    raise AssertionError


def _point(
    problem: Problem,
    plan: Plan,
    code: NDArray[np.int64],
    kept: Sequence[int],
    about: tuple[float, float | None, bool],
) -> FairPoint:
    level, best, hard = about
    pairs = problem.pairs
    owner = pairs.customer[plan.chosen]
    used = np.bincount(owner, pairs.column("use")[plan.chosen], minlength=pairs.n_customers)
    mean = max(float(used.mean()), 1e-300)
    ratios = tuple(float(used[code == g].mean()) / mean for g in kept)
    value = float(pairs.value[plan.chosen].sum())
    share = 1.0 if best is None else value / best if best else 1.0
    least = min(ratios, default=1.0)
    return FairPoint(level, value, share, 1.0 - least, ratios, hard, plan)


def _codes(code: NDArray[np.integer], groups: Sequence[str], n: int) -> NDArray[np.int64]:
    found = np.asarray(code, np.int64)
    if found.shape != (n,):
        raise InputError(f"{found.shape} codes for {n} customers", field="code")
    if n and not 0 <= found.min() <= found.max() < len(groups):
        raise InputError("a code outside the groups", field="code")
    return found


def _part(values: Floats, mine: NDArray[np.bool_]) -> float:
    total = float(values.sum())
    return float(values[mine].sum()) / total if total else 0.0


def _ratio(values: Floats, mine: NDArray[np.bool_]) -> tuple[float, tuple[float, float]]:
    """Return a group's mean over everybody's, and its 90 % interval by the delta method."""
    mean, n = float(values.mean()), len(values)
    if mean == 0:
        return 1.0, (1.0, 1.0)
    ratio = float(values[mine].mean()) / mean
    own = np.where(mine, (values - values[mine].mean()) * n / mine.sum(), 0.0)
    swing = (own - ratio * (values - mean)) / mean
    half = _Z90 * float(np.sqrt((swing**2).sum())) / n
    return ratio, (ratio - half, ratio + half)


def _mean(top: Floats, bottom: Floats) -> tuple[float, tuple[float, float]]:
    """Return Σ top / Σ bottom over customers, and its 90 % interval."""
    total = float(bottom.sum())
    if total <= 0:
        return float("nan"), (float("nan"), float("nan"))
    mean = float(top.sum()) / total
    half = _Z90 * float(np.sqrt(((top - mean * bottom) ** 2).sum())) / total
    return mean, (max(mean - half, 0.0), min(mean + half, 1.0))
