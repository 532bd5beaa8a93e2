"""The plan of scored pairs under the limits of a small market."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from jinqiao import catalog as catalogs
from jinqiao.domain.time import DAY_US
from jinqiao.flow import plan
from jinqiao.flow.settings import PlanSettings
from jinqiao.flow.wiring import open_engine
from jinqiao.flow.workspace import init_workspace
from playing import make_world


def test_thin_file_customers_get_their_floor_and_the_plan_its_certificate(tmp_path: Path) -> None:
    """The floor is a row that holds, and what is warned of is the plan that has it."""
    world = make_world(400, seed=5, log_days=0)
    at = world.market.start_us + 28 * DAY_US
    root = init_workspace(tmp_path / "w", samples=False)
    with open_engine(workspace=root, clock=lambda: at) as engine, engine.records.reading() as tx:
        limits = catalogs.limit_rows(tx, world.catalog, at)
    months = np.random.default_rng(1).integers(0, 9, 400)
    profiles = pa.table(
        {"customer_id": world.serving.profiles["customer_id"], "income_months_seen": months}
    )
    serving = replace(world.serving, profiles=profiles)
    pairs = plan.all_pairs(serving, at)
    scored = plan.plan_pairs(serving, pairs, plan.scores_of(serving, pairs), np.full(400, 40.0))

    def made(share: float) -> plan.Planned:
        settings = PlanSettings(thin_file_share=share)
        return plan.solve_plan(scored, serving, world.catalog, limits, settings, at_us=at, seed=1)

    def thin_use(found: plan.Planned) -> float:
        thin = (months < 2)[found_pairs.customer] & found.plan.chosen
        return float(found_pairs.column("use")[thin].sum())

    found_pairs = plan.over_days(scored.pairs, PlanSettings().horizon_days)
    free = made(0.0)
    share = 1.2 * thin_use(free) / float(found_pairs.column("use")[free.plan.chosen].sum())
    held = made(share)
    assert "thin_file" not in free.plan.row_names
    assert "thin_file" in held.plan.row_names
    assert held.plan.certificate.violation_max == 0
    assert thin_use(held) >= 1.15 * thin_use(free)
    assert held.plan.certificate.gap <= PlanSettings().gap_target or held.notes
