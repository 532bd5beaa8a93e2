"""Solve the plan: every allowed pair scored by the code that serves, limits from the catalog.

A pair is "show this product to this customer while the plan stands". Its value, use and cost are
those of one showing at the mean position of a shelf, times the visits expected of the customer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jinqiao import match
from jinqiao.domain.catalog import Catalog, Period
from jinqiao.domain.shelf import Context
from jinqiao.domain.time import DAY_US, from_us, local_date
from jinqiao.engines.worth import expected_applications, expected_payout, pair_value
from jinqiao.errors import JinqiaoError
from jinqiao.flow.settings import PlanSettings
from jinqiao.shelf import Requests, Serving
from jinqiao.shelf.scoring import Scores, candidates, score

__all__ = [
    "AllPairs", "PlanPairs", "Planned", "all_pairs", "everyone_at",
    "horizon_of", "over_days", "plan_pairs", "plan_version", "scores_of", "solve_plan",
    "visits_a_day",
]  # fmt: skip

_KAPPA_DAYS = 14.0
"""Days of the average customer's visits mixed into each customer's own rate."""
_TOTAL_DAYS = 28.0
"""A total limit without a withdrawal date is spread over so many days."""


@dataclass(frozen=True, eq=False)
class PlanPairs:
    """Scored pairs of one serving: what does not change when only limits do.

    ``own_value`` (nnz,) is the value of every pair with payout 0, for the steering audit.
    """

    pairs: match.Pairs
    own_value: NDArray[np.float64]
    visits: NDArray[np.float64]
    examination: float


@dataclass(frozen=True, eq=False)
class Planned:
    """A plan, the rows it was made under, and how it was made.

    ``at_us`` is when it begins, ``base`` what was used of each limit then, by limit id; ``limits``
    are the LIMITS rows it found, ``start`` the prices it began with, by row name.
    """

    plan: match.Plan
    rows: tuple[match.LimitRow, ...]
    version: str
    horizon_days: float
    at_us: int
    base: Mapping[str, int]
    notes: tuple[str, ...] = field(default=())
    limits: pa.Table | None = None
    start: Mapping[str, float] | None = None

    @property
    def duals(self) -> Mapping[str, float]:
        """Each row's price by name, for the next plan to start from."""
        return dict(zip(self.plan.row_names, self.plan.duals.tolist(), strict=True))

    def report(self) -> dict[str, Any]:
        """Return certificate and limit prices as plain data."""
        c = self.plan.certificate
        return {
            "version": self.version,
            "horizon_days": self.horizon_days,
            "primal_minor": c.primal,
            "dual_bound_minor": c.dual_bound,
            "gap": c.gap,
            "violation_max": c.violation_max,
            "slot_excess": c.slot_excess,
            "passes": c.passes,
            "offers": int(self.plan.chosen.sum()),
            "notes": list(self.notes),
            "limits": [
                {
                    "limit": p.name, "sense": p.sense, "measure": p.measure, "limit_units": p.limit,
                    "used": p.used, "left": p.left, "price_minor": p.price,
                }
                for p in match.price_report(self.plan, self.rows)
            ],
        }  # fmt: skip


def plan_version(as_of_us: int, catalog: str, model: str) -> str:
    """Return the version of a plan made at an instant from a catalog and a model."""
    return f"{from_us(as_of_us).strftime('%Y%m%dT%H%M%SZ')}-{model[:8]}-{catalog[:8]}"


def everyone_at(serving: Serving, at_us: int) -> Requests:
    """Return one request a profile, all at one typical moment: an evening at home in the app."""
    n = serving.profiles.num_rows
    one = Requests.one(Context(from_us(at_us), "plan", channel="app"), consent_version="plan")
    rows = one.take(np.zeros(n, np.int64))
    tier = np.full(n, np.nan, np.float32)
    if "city_tier" in serving.profiles.column_names:
        tier = serving.profiles["city_tier"].cast(pa.float64()).to_numpy().astype(np.float32)
    return replace(
        rows,
        customer=np.arange(n, dtype=np.int32),
        customer_id=serving.profiles["customer_id"].combine_chunks(),
        city_tier=tier,
        region=None,  # a plan asks for no place in particular
    )


@dataclass(frozen=True, eq=False)
class AllPairs:
    """Every pair that may be shown, at one typical moment: (m,) rows, their chances (m, 4)."""

    asked: Requests
    start: NDArray[np.int64]
    customer: NDArray[np.int64]
    product: NDArray[np.int32]
    chances: NDArray[np.float32]


def all_pairs(serving: Serving, at_us: int) -> AllPairs:
    """Return every pair that may be shown with its chances; the one large scoring of a plan."""
    asked = everyone_at(serving, at_us + DAY_US // 2)  # local evening of a plan begun at midnight
    found = candidates(serving, asked, None, None)
    customer, product = found.request, found.product
    chances = serving.base_chances[product]
    if serving.chances is not None and len(product):
        rows, top = customer.astype(np.int32), np.ones(len(asked), np.int8)
        chances = serving.chances(rows, product, asked, rows, top)
    return AllPairs(asked, found.start, customer, product, chances)


def scores_of(serving: Serving, pairs: AllPairs) -> Scores:
    """Return value and price of every pair by the code that serves, with chances known already."""
    known = replace(serving, chances=lambda *_: pairs.chances)
    return score(known, pairs.asked, pairs.customer, pairs.product)


def plan_pairs(
    serving: Serving, pairs: AllPairs, scores: Scores, visits_a_day: NDArray[np.float64]
) -> PlanPairs:
    """Return every allowed pair of a serving with its value, use and cost of one day's showing."""
    share = _examination(serving, pairs.asked, (pairs.customer, pairs.product))
    customer, product = pairs.customer, pairs.product
    factor = visits_a_day[customer] * share
    payout, stage = serving.payout_minor[product], serving.paid_stage[product]
    rule = serving.settings
    own = pair_value(
        scores.chances, scores.worth_minor, 0.0, stage, rule.refusal_harm_minor, rule.beta
    )
    found = match.Pairs(
        pairs.start, product.astype(np.int32), scores.value_minor * factor,
        use=expected_applications(scores.chances) * factor,
        cost=expected_payout(scores.chances, payout, stage) * factor,
        approval=scores.chances[:, 2].astype(np.float64),
    )  # fmt: skip
    return PlanPairs(found, own * factor, visits_a_day, share)


def _examination(
    serving: Serving,
    asked: Requests,
    pairs: tuple[NDArray[np.int64], NDArray[np.int32]],
) -> float:
    """Return the mean chance of a click over a shelf's positions, beside the top's."""
    slots = serving.settings.slots
    request, product = pairs
    if serving.chances is None or len(request) == 0:
        return 1.0
    some = np.linspace(0, len(request) - 1, min(len(request), 512)).astype(np.int64)
    moment = np.zeros(len(some), np.int32)
    rows, goods = asked.customer[request[some]], product[some]
    then = asked.take(np.zeros(1, np.int64))
    top = float(serving.chances(rows, goods, then, moment, np.ones(1, np.int8))[:, 0].sum())
    total = 0.0
    for position in range(1, slots + 1):
        there = np.full(1, position, np.int8)
        total += float(serving.chances(rows, goods, then, moment, there)[:, 0].sum())
    return total / slots / top if top > 0 else 1.0


def visits_a_day(profiles: pa.Table, settings: PlanSettings) -> NDArray[np.float64]:
    """Return the visits a day expected of each customer: own rate, drawn to everyone's mean."""
    if settings.visits_per_customer:
        daily = settings.visits_per_customer / settings.horizon_days
        return np.full(profiles.num_rows, daily)
    if "visits_30d" not in profiles.column_names:
        return np.full(profiles.num_rows, 1.0 / 7)
    seen = profiles["visits_30d"].cast(pa.float64()).fill_null(0.0).to_numpy()
    tenure = np.full(len(seen), 30.0)
    if "tenure_days" in profiles.column_names:
        known = profiles["tenure_days"].cast(pa.float64()).fill_null(30.0).to_numpy()
        tenure = np.clip(known, 1.0, 30.0)
    mean = seen.sum() / max(tenure.sum(), 1.0)
    rate: NDArray[np.float64] = (seen + mean * _KAPPA_DAYS) / (tenure + _KAPPA_DAYS)
    return np.maximum(rate, 1e-4)


def solve_plan(
    scored: PlanPairs,
    serving: Serving,
    catalog: Catalog,
    limits: pa.Table,
    settings: PlanSettings,
    *,
    at_us: int,
    seed: int,
    days: float | None = None,
    warm: Mapping[str, float] | None = None,
    zone: str = "Asia/Shanghai",
) -> Planned:
    """Return the plan of scored pairs under what is left of every limit at an instant.

    A floor that contradicts the other rows is dropped with a note, never a limit.
    """
    days = float(settings.horizon_days) if days is None else days
    pairs = over_days(scored.pairs, days)
    floors: dict[str, float] = {
        i.institution_id: i.approval_rate_floor
        for i in catalog.institutions
        if i.approval_rate_floor is not None
    }
    rows = match.limit_rows(
        limits, serving.products, horizon=horizon_of(at_us, days, zone), approval_floors=floors
    )
    ask = {"n_products": serving.n_products, "seed": seed, "gap_target": settings.gap_target}
    slots = serving.settings.slots
    plan, notes = _solved(pairs, slots, rows, _under_todays_names(warm, rows), ask)
    if settings.thin_file_share > 0:
        floor = _thin_file_row(serving, pairs, plan, settings)
        if floor is not None:
            duals = dict(zip(plan.row_names, plan.duals.tolist(), strict=True))
            try:
                plan, notes = _solved(pairs, slots, (*rows, floor), duals, ask)
                rows = (*rows, floor)
            except JinqiaoError as error:
                notes.append(f"thin-file floor dropped: {error}")
    version = plan_version(at_us, serving.versions.catalog, serving.versions.model)
    return Planned(plan, rows, version, days, at_us, used_units(limits), tuple(notes), limits, warm)


def used_units(limits: pa.Table) -> dict[str, int]:
    """Return what is posted or reserved of each limit in its present period."""
    totals = np.add(limits["posted"].to_numpy(), limits["reserved"].to_numpy()).tolist()
    return dict(zip(limits["limit_id"].to_pylist(), totals, strict=True))


_AIM = 0.2
"""So much of the gap that is warned of is aimed at: a pass or two more, on most days."""


def _solved(
    pairs: match.Pairs,
    slots: int,
    rows: tuple[match.LimitRow, ...],
    warm: Mapping[str, float] | None,
    ask: Mapping[str, Any],
) -> tuple[match.Plan, list[str]]:
    """Return the plan, solved to a fifth of the gap that is warned of, and the warning.

    Prices of an earlier day can lead astray: where they miss that gap, the plan is solved from none
    too, and the nearer one is kept.
    """
    most = float(ask["gap_target"])
    aimed = {**ask, "gap_target": _AIM * most}
    plan = match.solve(pairs, slots, rows, warm=warm, **aimed)
    if warm is not None and plan.certificate.gap > most:
        anew = match.solve(pairs, slots, rows, **aimed)
        plan = min(plan, anew, key=lambda one: one.certificate.gap)
    gap = plan.certificate.gap
    return plan, [f"gap {gap:.2e} is above {most:.0e}"] if gap > most else []


def _under_todays_names(
    warm: Mapping[str, float] | None, rows: tuple[match.LimitRow, ...]
) -> Mapping[str, float] | None:
    """Return earlier prices by the names of these rows: a limit's row ends with its period."""
    if warm is None:
        return None
    by_limit = {name.rsplit("@", 1)[0]: price for name, price in warm.items()}
    return {
        row.name: warm.get(row.name, by_limit.get(row.name.rsplit("@", 1)[0], 0.0)) for row in rows
    }


def over_days(pairs: match.Pairs, days: float) -> match.Pairs:
    """Return one day's pairs over several days."""
    return replace(
        pairs,
        value=pairs.value * days,
        use=np.asarray(pairs.use) * days,
        cost=np.asarray(pairs.cost) * days,
    )


def horizon_of(at_us: int, days: float, zone: str) -> match.Horizon:
    day = local_date(at_us, zone)
    midnight = (at_us + _offset_us(at_us, zone)) % DAY_US / DAY_US
    rest = 1.0 - midnight
    week = 6 - day.weekday() + rest
    return match.Horizon(days, {Period.DAY: rest, Period.WEEK: week, Period.TOTAL: _TOTAL_DAYS})


def _offset_us(at_us: int, zone: str) -> int:
    from zoneinfo import ZoneInfo

    offset = from_us(at_us).astimezone(ZoneInfo(zone)).utcoffset()
    return 0 if offset is None else int(offset.total_seconds() * 1_000_000)


def _thin_file_row(
    serving: Serving, pairs: match.Pairs, plan: match.Plan, settings: PlanSettings
) -> match.LimitRow | None:
    """Return the floor: thin-file customers get their share of expected applications."""
    if "income_months_seen" not in serving.profiles.column_names:
        return None
    months = serving.profiles["income_months_seen"].cast(pa.float64()).fill_null(0.0).to_numpy()
    thin = months < settings.thin_file_months
    if not thin.any():
        return None
    total = float(np.asarray(pairs.use)[plan.chosen].sum())
    everything = np.arange(serving.n_products, dtype=np.int32)
    return match.segment_row("thin_file", thin, settings.thin_file_share * total, everything)
