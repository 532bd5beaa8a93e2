"""What a run reports beside its ladder, held against what is known of it by other ways."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from jinqiao.domain.time import DAY_US
from jinqiao.flow import evaluate
from jinqiao.flow.reported import days_to_share, delay_recovered, quota_use, report_of
from jinqiao.synthetic import Life
from playing import World, make_world, random_shelf


@pytest.fixture(scope="module")
def lived() -> tuple[evaluate.Inputs, evaluate.Evaluation]:
    """Two weeks of the ladder at 500 people, after a log whose every click got a unit."""
    world = make_world(500, seed=2, log_days=0)
    for day in range(28):
        clicks = world.life.respond(random_shelf(world, day))
        accept_all(world.life, clicks)
    inputs = world.inputs(days=14)
    return inputs, evaluate.ladder(inputs)


def accept_all(life: Life, clicks: pa.Table) -> None:
    """Give every click a unit."""
    ids = pc.binary_join_element_wise(
        clicks["trace_id"], pc.cast(clicks["position"], pa.string()), "/"
    )
    life.accept(clicks.append_column("click_id", ids))


def test_a_report_is_plain_and_whole(
    lived: tuple[evaluate.Inputs, evaluate.Evaluation],
) -> None:
    """Everything that a run reports is there, is JSON, and agrees with the ladder."""
    inputs, found = lived
    greedy = found.captured["chain_greedy"]
    told = report_of(inputs, found, greedy, found.lives["chain_greedy"])
    assert json.loads(json.dumps(told)) == told
    assert set(told) == {
        "value_pct", "bound_by_week_minor", "regret_by_week_minor", "quota_use_pct",
        "refused_per_100", "calibration", "delay_recovered_pct", "new_products",
        "value_by_segment", "fraud",
    }  # fmt: skip
    assert told["value_pct"]["true_prices"]["of_oracle"] == 100.0
    assert told["value_pct"]["static_best"]["of_static"] == 100.0
    assert told["value_pct"]["plan"] == told["value_pct"]["chain_greedy"]
    regret = told["regret_by_week_minor"]["plan"]
    assert len(regret) == 2
    assert sum(regret) == pytest.approx(found.bound_minor - greedy.value_minor, abs=2)
    assert {label.partition(":")[0] for label in told["value_by_segment"]} == {"type", "city_tier"}
    assert set(told["fraud"]) == {"ring", "synthetic", "bot", "lead", "collusion"}
    shares = [kind["refusals_pct"] for kind in told["fraud"].values()]
    assert 0 < sum(shares) < 40


def test_use_of_scarce_units_is_a_share(
    lived: tuple[evaluate.Inputs, evaluate.Evaluation],
) -> None:
    """Units used are 0 to 100 % of scarce ones, and knowing prices uses more than chance does."""
    inputs, found = lived
    used = {name: quota_use(inputs, found, life) for name, life in found.lives.items()}
    assert all(0 <= share <= 100 for share in used.values())
    assert used["true_prices"] > used["random_eligible"]


def test_the_oracle_gives_new_products_their_share(
    lived: tuple[evaluate.Inputs, evaluate.Evaluation],
) -> None:
    """A life compared with itself reaches its own share of every product, within the run."""
    inputs, found = lived
    oracle = found.lives["true_prices"]
    told = days_to_share(inputs, oracle, oracle)
    assert told["reached"] == told["products"]
    assert told["median_days"] is None or 1 <= told["median_days"] <= inputs.days


def test_delay_is_made_good_by_the_truth_and_not_by_silence(
    lived: tuple[evaluate.Inputs, evaluate.Evaluation],
) -> None:
    """True chances make good all of the delay's loss; taking silence for a no, none of it."""
    inputs, _ = lived
    seen = evaluate.told_of(inputs.life).seen_share(inputs.from_us)
    assert 0.5 < seen[2] < seen[1] <= 1
    names = ("application", "approval", "activation")
    true = delay_recovered(inputs, dict.fromkeys(names, 1.0))
    silent = delay_recovered(inputs, dict(zip(names, seen, strict=True)))
    assert true["activation"] == 100.0
    assert silent["activation"] == 0.0


def test_reports_heard_are_those_handed_out() -> None:
    """By any instant a life is heard to have as many stages reached as it handed out reports of."""
    world: World = make_world(300, seed=4, log_days=0)
    life = world.market.life()
    for day in range(10):
        accept_all(life, life.respond(random_shelf(world, day)))
    now = world.market.start_us + 14 * DAY_US
    rows = life.reports(now)
    rows = rows.filter(pc.equal(rows["polarity"], "reached"))
    told = evaluate.told_of(life).at_us
    for column, stage in enumerate(("application", "approval", "activation")):
        clicks = rows.filter(pc.equal(rows["stage"], stage))["click_id"]
        assert len(set(clicks.to_pylist())) == int(np.sum(told[:, column] <= now))
