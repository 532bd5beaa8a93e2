"""Experiments at work: who is in which arm, what the log says, what is found, and how it ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jinqiao.domain.experiment import Arm, Guardrail, Trial, arms_in
from jinqiao.domain.shelf import Context
from jinqiao.domain.tables import OUTCOMES
from jinqiao.domain.time import DAY_US, from_us
from jinqiao.errors import InputError, NotFound
from jinqiao.flow import daily
from jinqiao.flow.experiments import (
    experiment_list,
    experiment_show,
    keep_results,
    start_experiment,
    stop_experiment,
)
from jinqiao.flow.intake import apply_catalog
from jinqiao.flow.live import Live
from jinqiao.flow.serve import Service
from jinqiao.flow.wiring import Engine, open_engine
from jinqiao.flow.workspace import init_workspace
from jinqiao.shelf import Requests

START_US = 1_790_000_000_000_000
PEOPLE = [f"cus_{i}" for i in range(1_500)]
SHORT = Trial(
    "one-offer", "One offer", "one offer is clicked as often as four", ("clicks", "click_rate"),
    (Arm("as-is", 0.5), Arm("one", 0.5, {"slots": 1})),
    guardrails=(Guardrail("shelves", "down", 0.1),),
)  # fmt: skip
SAME = replace(SHORT, experiment_id="same", arms=(Arm("as-is", 0.5), Arm("again", 0.5)))


class Clock:
    """A clock that is set by hand."""

    now_us = START_US

    def __call__(self) -> int:
        return self.now_us


class World:
    """Customers who come, look and click, over a real engine; nothing of them is known."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self.engine, self.clock = engine, clock
        profiles = daily.build_profiles(engine, clock())
        serving, catalog, _ = daily.make_serving(engine, profiles, None, as_of_us=clock(), seed=0)
        self.live = Live(engine, serving, catalog)
        self.rng = np.random.default_rng(4)
        self.keen = dict(zip(PEOPLE, self.rng.gamma(0.4, 0.3, len(PEOPLE)), strict=True))

    def requests(self, people: list[str]) -> Requests:
        """Return one visit of each."""
        now, n = self.clock(), len(people)
        words = {name: pa.array([name] * n) for name in ("app", "home", "own")}
        visit = [f"{name}-{now}" for name in people]
        return Requests(
            np.full(n, -1, np.int32), pa.array(people), pa.nulls(n, pa.string()), pa.array(visit),
            pa.array([f"shf_{one}" for one in visit]), np.full(n, now), words["app"],
            words["home"], words["own"], np.zeros(n, np.int64), np.full(n, np.nan, np.float32),
        )  # fmt: skip

    def day(self, share: float = 0.3, lost: str = "") -> None:
        """Let some come and click, and a day pass; half of an arm ``lost`` never gets there."""
        self.clock.now_us += DAY_US
        self.live.refresh()
        some = [name for name in PEOPLE if self.rng.random() < share]
        rows = self.live.rank(self.requests(some), log=False).rows()
        if lost:
            gone = np.array([arms_in(one).get("same") == lost for one in rows["arms"].to_pylist()])
            even = np.array([int(name[4:]) % 2 == 0 for name in rows["customer_id"].to_pylist()])
            rows = rows.filter(pa.array(~(gone & even)))
        self.live.log(rows)
        self.live.flush()
        keen = np.array([self.keen[name] for name in rows["customer_id"].to_pylist()])
        hit = np.flatnonzero(self.rng.random(rows.num_rows) < np.minimum(keen, 0.9))
        clicked = _clicked(rows.take(pa.array(hit)))
        self.engine.lake.append(OUTCOMES, clicked, batch_id=f"{self.clock()}")


def _clicked(rows: pa.Table) -> pa.Table:
    n = rows.num_rows
    names = ("trace_id", "position", "customer_id", "product_id", "institution_id")
    kept = {name: rows[name] for name in names}
    keys = zip(rows["trace_id"].to_pylist(), rows["position"].to_pylist(), strict=True)
    ids = pa.array([f"out_{trace}_{position}" for trace, position in keys])
    return pa.table({
        "outcome_id": ids, **kept, "click_id": ids, "application_id": pa.nulls(n, pa.string()),
        "stage": pa.array(["click"] * n), "polarity": pa.array(["reached"] * n),
        "occurred_at": rows["occurred_at"], "received_at": rows["received_at"],
        "amount_minor": pa.nulls(n, pa.int64()), "corrects": pa.nulls(n, pa.string()),
        "sequence": pa.array([0] * n, pa.int32()),
    }).select(OUTCOMES.names)  # fmt: skip


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    clock = Clock()
    with open_engine(workspace=init_workspace(tmp_path / "mine"), clock=clock) as engine:
        apply_catalog(engine, author="test")
        clock.now_us += DAY_US
        yield World(engine, clock)


def start(world: World, trial: Trial) -> dict[str, Any]:
    made = start_experiment(world.engine, trial, actor="ann")
    world.live.refresh()
    return made


def verdict(world: World, name: str) -> str:
    code: str = experiment_show(world.engine, name)["found"]["verdict"]["code"]
    return code


def test_an_effect_is_found_and_nothing_where_there_is_none(world: World) -> None:
    """Of four offers more are clicked than of one; the same shelf twice never alarms, any day."""
    for _ in range(4):
        world.day()
    start(world, SHORT)
    start(world, SAME)
    alarms = []
    for day in range(10):
        world.day()
        if day % 3 == 0:
            alarms.append(verdict(world, "same"))
    shown = experiment_show(world.engine, "one-offer")
    clicks = shown["found"]["metrics"][0]
    assert shown["found"]["verdict"]["code"] == "experiment_worse"
    assert clicks["upper"] < 0
    assert clicks["narrowed"] > 0.05
    assert set(alarms) <= {"experiment_too_early", "experiment_go_on"}
    assert shown["found"]["split"]["whole"]


def test_a_customer_has_one_arm_in_every_shelf_and_the_log_says_it(world: World) -> None:
    """Alone or among a thousand, today and tomorrow, in this server and another: one arm."""
    world.live.rank(Requests.one(Context(from_us(world.clock()), "s")), log=False)
    start(world, SHORT)
    world.clock.now_us += 1
    many = world.live.rank(world.requests(PEOPLE)).rows()
    told = dict(zip(many["customer_id"].to_pylist(), many["arms"].to_pylist(), strict=True))
    assert set(told.values()) == {"one-offer=as-is", "one-offer=one"}
    offers = {name: many["customer_id"].to_pylist().count(name) for name in PEOPLE[:50]}
    other = Live(world.engine, world.live.serving, world.live.catalog)
    other.refresh()
    world.clock.now_us += DAY_US
    for name in PEOPLE[:50]:
        alone = other.rank(world.requests([name])).rows()
        assert set(alone["arms"].to_pylist()) == {told[name]}
        assert alone.num_rows == offers[name]
        assert (alone.num_rows == 1) == (told[name] == "one-offer=one")
    many = many.append_column("order", pa.array(range(many.num_rows)))
    world.live.flush()
    kept = world.engine.lake.query("select trace_id, position, arms from decisions")
    both = kept.join(many.select(["trace_id", "position", "arms"]), ["trace_id", "position"],
                     right_suffix="_shown")  # fmt: skip
    assert both.num_rows == many.num_rows
    assert both["arms"].to_pylist() == both["arms_shown"].to_pylist()


def test_rows_of_many_requests_stay_in_order(world: World) -> None:
    """Parted by arm or not, the log lies shelf by shelf in the order that was asked."""
    start(world, SHORT)
    rows = world.live.rank(world.requests(PEOPLE[:200])).rows()
    keys = list(zip(rows["customer_id"].to_pylist(), rows["position"].to_pylist(), strict=True))
    place = {name: i for i, name in enumerate(PEOPLE)}
    assert keys == sorted(keys, key=lambda key: (place[key[0]], key[1]))
    one = world.live.rank(world.requests(PEOPLE[:200]), log=False).record(7)
    assert [offer.product_id for offer in one.offers] == [
        name for name, who in zip(rows["product_id"].to_pylist(), keys, strict=True)
        if who[0] == PEOPLE[7]
    ]  # fmt: skip


def test_the_holdout_and_strangers_see_the_plain_shelf(world: World) -> None:
    """Who is held out is logged so; who is nobody's customer is in no experiment by customer."""
    plain = world.live.rank(world.requests(PEOPLE[:300]), log=False).rows()
    start(world, replace(SHORT, holdout=0.4))
    rows = world.live.rank(world.requests(PEOPLE[:300]), log=False).rows()
    out = pa.compute.equal(rows["arms"], "one-offer=")
    held = rows.filter(out)
    assert 0.25 < len(set(held["customer_id"].to_pylist())) / 300 < 0.55
    who = pa.compute.unique(held["customer_id"])
    same = plain.filter(pa.compute.is_in(plain["customer_id"], who))
    assert held["product_id"].to_pylist() == same["product_id"].to_pylist()
    nobody = Requests.one(Context(from_us(world.clock()), "s1"))
    assert world.live.rank(nobody, log=False).rows()["arms"].to_pylist()[0] is None
    other = (Arm("as-is", 0.5), Arm("free", 0.5, {"pricing": False}))
    start(world, replace(SHORT, experiment_id="by-visit", unit="session", arms=other))
    arms = [
        world.live.rank(
            Requests.one(Context(from_us(world.clock()), f"s{i}")), log=False
        ).rows()["arms"][0].as_py()
        for i in range(30)
    ]  # fmt: skip
    assert set(arms) == {"by-visit=as-is", "by-visit=free"}


def test_a_split_that_loses_people_is_seen(world: World) -> None:
    """Half of the second arm never gets there: the split is broken, and that is said first."""
    start(world, SAME)
    for _ in range(8):
        world.day(lost="again")
    assert verdict(world, "same") == "experiment_split_broken"


def test_harm_stops_an_arm(world: World) -> None:
    """The click rate may fall by 1 in 1,000 at most, and falls by far more: stop, says the page."""
    rail = Guardrail("clicks", "down", 0.001)
    start(world, replace(SHORT, metrics=("shelves",), guardrails=(rail,)))
    for _ in range(8):
        world.day(share=0.6)
    found = experiment_show(world.engine, "one-offer")["found"]
    assert found["verdict"]["code"] == "experiment_harm"
    assert found["verdict"]["numbers"] == {"arms": "one", "metrics": "clicks"}
    assert [rail["broken"] for rail in found["guardrails"]] == [True]


def test_it_starts_and_ends_at_every_server_within_a_second(world: World) -> None:
    """What looks after serving reads what runs; a stop is the plain shelf again, and stays kept."""
    other = Live(world.engine, world.live.serving, world.live.catalog)
    service = Service(world.engine, other)
    assert world.engine.settings.serve.stop_check_seconds <= 1.0
    service.watch()
    start_experiment(world.engine, SHORT, actor="ann")
    service.watch()
    assert "one-offer=one" in other.rank(world.requests(PEOPLE[:50])).rows()["arms"].to_pylist()
    world.live.refresh()
    world.day()
    ended = stop_experiment(world.engine, "one-offer", actor="bo", why="enough")
    assert (ended["running"], ended["stopped_by"], ended["stopped_why"]) == (False, "bo", "enough")
    service.watch()
    after = other.rank(world.requests(PEOPLE[:50])).rows()
    assert set(after["arms"].to_pylist()) == {None}
    assert set(after["position"].to_pylist()) == {1, 2}
    listed = experiment_list(world.engine)
    assert [(one["experiment_id"], one["running"]) for one in listed] == [("one-offer", False)]
    assert listed[0]["last"]["verdict"] == ended["found"]["verdict"]
    world.clock.now_us += DAY_US
    assert keep_results(world.engine, world.clock()) == 1
    assert experiment_list(world.engine)[0]["last"]["as_of"] > listed[0]["last"]["as_of"]


def test_an_arm_changes_only_what_there_is(world: World) -> None:
    """A setting, value, model or metric that is not there is refused by name, and nothing runs."""
    refused: list[tuple[dict[str, object], type[Exception], str]] = [
        ({"colour": "red"}, InputError, "colour"), ({"slots": 0}, InputError, "slots"),
        ({"slots": 2.5}, InputError, "slots"), ({"pricing": 1}, InputError, "pricing"),
        ({"exploration_share": 0.9}, InputError, "exploration_share"),
        ({"beta": True}, InputError, "beta"), ({"policy": "magic"}, InputError, "policy"),
        ({"model": "chain-unknown"}, NotFound, "model"), ({"badge": "no"}, InputError, "badge"),
    ]  # fmt: skip
    for changes, error, named in refused:
        arms = (Arm("as-is", 0.5), Arm("new", 0.5, changes))
        with pytest.raises(error, match=named):
            start_experiment(world.engine, replace(SHORT, arms=arms), actor="ann")
    with pytest.raises(InputError, match="fame"):
        start_experiment(world.engine, replace(SHORT, metrics=("fame",)), actor="ann")
    rail = Guardrail("refusal_rate", "down")
    with pytest.raises(InputError, match="guardrails"):
        start_experiment(world.engine, replace(SHORT, guardrails=(rail,)), actor="ann")
    assert experiment_list(world.engine) == []
