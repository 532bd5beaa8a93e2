"""Prices through the day."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from jinqiao import match
from jinqiao.domain.tables import LIMITS
from jinqiao.domain.time import DAY_US
from jinqiao.engines.tables import check
from jinqiao.flow.pacing import Pacer, read_pacer, write_pacer
from jinqiao.flow.plan import Planned

MIDNIGHT_US = 1_740_000_000_000_000 // DAY_US * DAY_US - 8 * 3_600_000_000


def limits(posted: int, period: str = "week", limit: int = 100) -> pa.Table:
    return check(
        pa.table({
            "limit_id": ["q"], "scope": ["product"], "institution_id": ["i"], "product_id": ["p"],
            "branch_id": pa.array([None], pa.string()), "measure": ["count"],
            "stage": ["application"], "period": [period], "period_key": ["k"], "limit": [limit],
            "posted": [posted], "reserved": [0], "kept": [0], "left": [limit - posted],
        }),
        LIMITS,
    )  # fmt: skip


@pytest.fixture
def planned() -> Planned:
    """A plan of three customers for one product with one unit to give, and a price for it."""
    pairs = match.Pairs([0, 1, 2, 3], [0, 0, 0], [9.0, 5.0, 4.0])
    rows = (match.LimitRow("q@k", "<=", 1, "count", np.array([0])),)
    plan = match.solve(pairs, 1, rows, n_products=1)
    return Planned(plan, rows, "v", 1.0, MIDNIGHT_US, {"q": 10})


def price(pacer: Pacer, used: int, hour: float, period: str = "week") -> float:
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Bare:
        prices: match.PriceTables

    at = MIDNIGHT_US + int(hour * 3_600_000_000)
    bare = Bare(pacer.planned.plan.prices)
    return float(pacer.serving(bare, limits(used, period), at).prices.count[0, 0])  # type: ignore[arg-type]


def test_a_limit_that_goes_too_fast_is_dearer_and_too_slowly_cheaper(planned: Planned) -> None:
    """The price rises above the plan's when use runs ahead of visits, and falls behind them."""
    pacer, plan = Pacer.of(planned), float(planned.plan.duals[0])
    assert plan > 0
    assert price(pacer, 11, 2.0) > plan
    assert price(pacer, 10, 20.0) < plan


def test_use_before_the_plan_does_not_count(planned: Planned) -> None:
    """Units used when the plan was made are not counted against it."""
    assert price(Pacer.of(planned), 10, 1.0) <= float(planned.plan.duals[0])


def test_a_days_limit_is_held_against_the_day(planned: Planned) -> None:
    """What a day's limit used is compared with the day's visits, whatever the plan began with."""
    pacer = Pacer.of(planned)
    assert price(pacer, 50, 4.0, "day") > price(pacer, 50, 22.0, "day")


def test_all_visits_of_a_day_have_passed_at_its_end(planned: Planned) -> None:
    """The share of visits that passed goes from 0 to 1 over a one-day plan and never falls."""
    pacer = Pacer.of(planned)
    hours = np.linspace(0, 23.99, 200)
    shares = [pacer.elapsed_shares(MIDNIGHT_US + int(h * 3.6e9))[1] for h in hours]
    assert shares[0] == 0.0
    assert shares[-1] > 0.99
    assert (np.diff(shares) >= -1e-12).all()
    assert pacer.elapsed_shares(MIDNIGHT_US + DAY_US)[1] == 1.0


def test_a_pacer_kept_beside_a_snapshot_gives_the_same_prices(
    planned: Planned, tmp_path: Path
) -> None:
    """Written and read back, a pacer prices alike."""
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Bare:
        prices: match.PriceTables

    write_pacer(tmp_path, Pacer.of(planned))
    again = read_pacer(tmp_path, Bare(planned.plan.prices))  # type: ignore[arg-type]
    assert again is not None
    assert price(again, 11, 3.0) == price(Pacer.of(planned), 11, 3.0)
