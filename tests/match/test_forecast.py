"""Reach of a product before its launch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from jinqiao import match
from jinqiao.errors import InputError
from match.test_whatif import market


@pytest.fixture(scope="module")
def standing() -> match.Standing:
    problem = market(6_000, 11)
    plan = match.solve(problem.pairs, 1, problem.rows, n_products=problem.n_products)
    return match.stand(problem, plan)


def launch(payout: float, n: int = 6_000, seed: int = 1) -> match.Launch:
    """Return a product for 40 % of customers that is worth more the more it pays."""
    rng = np.random.default_rng(seed)
    who = np.flatnonzero(rng.random(n) < 0.4)
    use = rng.uniform(0.2, 0.8, len(who))
    value = rng.lognormal(0, 0.5, len(who)) + 0.02 * payout * use
    return match.Launch(
        who, value, use, payout * use, rng.random(len(who)), 7.0, counts_in=("budget",)
    )


def test_a_forecast_is_the_plan_with_the_product_in_it(standing: match.Standing) -> None:
    """Each point equals solving the larger problem from nothing, within the gap."""
    launches = {10.0: launch(10.0), 30.0: launch(30.0)}
    points = match.forecast(standing, launches=launches, quotas=[50, 300])
    assert [(p.payout, p.quota) for p in points] == [(10, 50), (10, 300), (30, 50), (30, 300)]
    for point in points:
        problem = point.answer.after.problem
        full = match.solve(problem.pairs, problem.slots, problem.rows, n_products=13)
        check = match.certify(problem.pairs, problem.slots, problem.rows, point.answer.plan)
        assert check.violation_max == 0.0
        assert check.primal >= full.certificate.primal * (1 - 1e-3)
        used = full.used[full.row_names.index("launch")]
        assert point.applications.mean == pytest.approx(used, rel=0.05, abs=1.0)


def test_reach_grows_with_the_quota_and_stops_at_demand(standing: match.Standing) -> None:
    """More quota, more applications, never above it; the price of one more unit falls to 0."""
    quotas = [20.0, 100.0, 400.0, 5_000.0]
    points = match.forecast(standing, launches={20.0: launch(20.0)}, quotas=quotas)
    reach = [p.applications.mean for p in points]
    prices = [p.price for p in points]
    assert (np.diff(reach) >= -0.01 * reach[-1]).all()
    assert all(r <= q + 1e-9 for r, q in zip(reach, quotas, strict=True))
    assert (np.diff(prices) <= 1e-6).all()
    assert prices[0] > 0
    assert prices[-1] == pytest.approx(0, abs=1e-6)
    assert all(p.value_change >= -1e-4 * standing.size for p in points)


def test_intervals_hold_their_mean_and_widen_with_the_spread(standing: match.Standing) -> None:
    """Low ≤ mean ≤ high ≤ quota; a larger spread is a wider interval; impressions do not depend."""
    ask = {"launches": {20.0: launch(20.0)}, "quotas": [100.0]}
    (sure,), (unsure,) = (
        match.forecast(standing, **ask),
        match.forecast(standing, spread=0.5, **ask),
    )
    for point in (sure, unsure):
        assert point.applications.low < point.applications.mean <= point.applications.high <= 100
        assert point.approvals.low < point.approvals.mean < point.approvals.high
    assert unsure.applications.low < sure.applications.low
    assert unsure.impressions == sure.impressions
    assert sure.impressions.mean == pytest.approx(7.0 * sure.customers)


def test_what_is_displaced_is_counted(standing: match.Standing) -> None:
    """Offers of others leave where the product enters, and nothing else moves the product count."""
    (point,) = match.forecast(standing, launches={20.0: launch(20.0)}, quotas=[200.0])
    entered, left = point.answer.by_product()
    assert entered[12] == point.customers > 0
    assert left[:12].sum() > 0
    assert left[12] == 0


def test_a_launch_is_checked(standing: match.Standing) -> None:
    """Unsorted customers, unknown ones, unknown rows, a quota of 0 and a spread below 0."""
    good = launch(10.0)
    with pytest.raises(InputError):
        replace(good, customer=good.customer[::-1])
    with pytest.raises(InputError):
        replace(good, impressions=-1.0)
    for bad in (replace(good, counts_in=("none",)), replace(good, customer=good.customer + 6_000)):
        with pytest.raises(InputError):
            match.forecast(standing, launches={1.0: bad}, quotas=[1.0])
    with pytest.raises(InputError):
        match.forecast(standing, launches={1.0: good}, quotas=[0.0])
    with pytest.raises(InputError):
        match.forecast(standing, launches={1.0: good}, quotas=[1.0], spread=-1.0)
