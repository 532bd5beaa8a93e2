"""A published plan's exposure, its fairer neighbours, and what payout displaced."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pytest

from jinqiao import catalog as catalogs
from jinqiao.domain.consent import Purpose
from jinqiao.domain.time import DAY_US
from jinqiao.errors import InputError
from jinqiao.flow import daily, fairness, kept, plan
from jinqiao.flow.settings import PlanSettings
from jinqiao.flow.wiring import Engine, open_engine
from jinqiao.flow.workspace import init_workspace
from playing import make_world


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Return an engine with the plan of a small market in which limits bind."""
    world = make_world(400, seed=5, log_days=0)
    at = world.market.start_us + 28 * DAY_US
    root = init_workspace(tmp_path_factory.mktemp("asked") / "w", samples=False)
    with open_engine(workspace=root, clock=lambda: at) as opened:
        with opened.records.reading() as tx:
            limits = catalogs.limit_rows(tx, world.catalog, at)
        rng = np.random.default_rng(1)
        known = {"income_months_seen": rng.integers(0, 9, 400), "age": rng.integers(18, 70, 400)}
        profiles = pa.table(
            {"customer_id": world.serving.profiles["customer_id"]}
            | {name: pa.array(column, pa.int64()) for name, column in known.items()}
        )
        serving = replace(world.serving, profiles=profiles)
        pairs = plan.all_pairs(serving, at)
        scored = plan.plan_pairs(serving, pairs, plan.scores_of(serving, pairs), np.full(400, 40.0))
        made = plan.solve_plan(
            scored, serving, world.catalog, limits, PlanSettings(), at_us=at, seed=1
        )
        daily.publish(opened, daily.with_plan(serving, made), made, None, scored)
        yield opened


def test_every_segment_may_be_measured_and_adds_up(engine: Engine) -> None:
    """Segments rest on features allowed to measure; their shares sum to one."""
    names = {s.name for s in fairness.measured_segments(engine, kept.read_problem(engine))}
    allowed = {f.name for f in engine.dictionary.features if Purpose.MEASURE in f.purposes}
    assert names
    assert {fairness._FEATURE.get(name, name) for name in names} <= allowed
    found = fairness.fairness(engine, segment=min(names), steps=2)
    assert set(found["exposure"]) == names
    for rows in found["exposure"].values():
        assert sum(row["value_share"] for row in rows) == pytest.approx(1.0)


def test_the_frontier_is_told_and_drawn(engine: Engine) -> None:
    """One point is named; it gives up no more than was allowed; the drawing is well formed."""
    name = fairness.measured_segments(engine, kept.read_problem(engine))[0].name
    found = fairness.fairness(engine, segment=name, loss_share=0.02, steps=3)
    (named,) = [p for p in found["frontier"] if p["named"]]
    assert named["value_share"] >= 0.98
    assert named["disparity"] <= found["frontier"][0]["disparity"]
    drawn = ElementTree.fromstring(fairness.frontier_svg(found))
    assert len(drawn.findall("{http://www.w3.org/2000/svg}circle")) == len(found["frontier"])


def test_steering_of_the_published_plan(engine: Engine) -> None:
    """Without payout customers get no less in total, beyond what whole offers round away."""
    found = fairness.steering(engine, most=3)
    assert found["own_value_without_payout_minor"] >= found["own_value_minor"] * (1 - 2e-2)
    people = found["customers"]
    assert people["losing"] + people["gaining"] <= people["moved"] <= people["all"]
    assert len(found["examples"]) == min(3, people["moved"])


def test_what_cannot_be_asked_is_refused(engine: Engine) -> None:
    """An unknown segmentation, a loss that is no share, and no steps are named."""
    for words in ({"segment": "zodiac"}, {"loss_share": 2.0}, {"steps": 0}):
        with pytest.raises(InputError):
            fairness.fairness(engine, **words)
