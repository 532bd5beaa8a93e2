"""Experiments by command and by API: started, served, shown, stopped, and refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient
from typer.testing import CliRunner

from jinqiao.domain.shelf import Context
from jinqiao.domain.time import from_us
from jinqiao.faces.api import app as served
from jinqiao.faces.cli import app
from jinqiao.flow.explain import explain
from jinqiao.flow.keys import key_create
from jinqiao.flow.model_record import model_list
from jinqiao.flow.serve import open_service
from tests_faces import Lived, Quiet

RUN = CliRunner()
START = (
    "start", "one-offer", "--hypothesis", "one is enough", "--arm", "as-is=0.5", "--metric",
    "clicks", "--guardrail", "refusal_rate:up:0.05",
)  # fmt: skip


def call(market: Lived, *words: str, code: int = 0) -> Any:
    result = RUN.invoke(app, ["experiment", *words, "--json", "-w", str(market.root)])
    assert result.exit_code == code, result.output + result.stderr
    return json.loads(result.stdout) if code == 0 else json.loads(result.stderr)["error"]


def test_an_experiment_by_command_from_start_to_archive(market: Lived, tmp_path: Path) -> None:
    """Started it serves its arms, shows what it finds, draws it, and stays listed once stopped."""
    made = call(market, *START, "--arm", "one=0.5:slots=1,pricing=false")
    assert made["arms"][1] == {
        "name": "one", "share": 0.5, "changes": {"slots": 1, "pricing": False},
    }  # fmt: skip
    assert made["versions"]["snapshot"]
    with market.engine() as engine:
        live = open_service(engine).live
        people = live.serving.profiles["customer_id"].to_pylist()[:40]
        context = Context(from_us(engine.clock()), "visit")
        shelves = [live.shelf(name, context) for name in people]
        live.flush()
        ones = [one for one in shelves if one.arms == "one-offer=one"]
        assert ones
        assert all(len(one.offers) <= 1 for one in ones)
        told = explain(engine, next(one for one in ones if one.offers).trace_id)
        assert told.context["arms"] == "one-offer=one"
        assert all(step.allowed for step in told.offers[0].steps)
    shown = call(market, "show", "one-offer", "--svg", str(tmp_path / "plot.svg"))
    assert sum(shown["found"]["units"].values()) == 40
    assert shown["found"]["verdict"]["code"] == "experiment_too_early"
    assert "<svg" in (tmp_path / "plot.svg").read_text()
    people_see = RUN.invoke(app, ["experiment", "show", "one-offer", "-w", str(market.root)])
    assert "Too early" in people_see.output
    ended = call(market, "stop", "one-offer", "--why", "enough")
    assert (ended["running"], ended["stopped_why"]) == (False, "enough")
    rows = call(market, "list")["experiments"]
    assert [(one["experiment_id"], one["last"]["as_of"]) for one in rows] == [
        ("one-offer", ended["found"]["as_of"])
    ]
    assert "enough" not in RUN.invoke(app, ["experiment", "list", "-w", str(market.root)]).stderr


def test_what_cannot_be_started_is_named(market: Lived) -> None:
    """An arm, a guardrail or a setting that cannot be read or is not there: exit code 2 or 4."""
    assert call(market, *START, "--arm", "one", code=2)["field"] == "arm"
    assert call(market, *START, "--arm", "one=0.5:colour=red", code=2)["field"] == "colour"
    assert call(market, *START, "--arm", "one=0.5:model=none", code=4)["field"] == "model"
    assert call(market, *START, "--arm", "one=0.6", code=2)["field"] == "arms"
    rail = ("--arm", "one=0.5", "--guardrail", "refusal_rate")
    assert call(market, *START, *rail, code=2)["field"] == "guardrail"
    assert call(market, "show", "never", code=4)["record"] == "never"
    assert call(market, "stop", "never", "--why", "x", code=4)["record"] == "never"


def test_a_challenger_serves_its_arm(market: Lived) -> None:
    """An arm with a model on record is scored by that model, says its version, and is explained."""
    with market.engine() as engine:
        name = model_list(engine)["models"][0]["model_id"]
    call(market, *START[:1], "challenger", *START[2:], "--arm", f"new=0.5:model={name}")
    with market.engine() as engine:
        live = open_service(engine).live
        people = live.serving.profiles["customer_id"].to_pylist()[:30]
        context = Context(from_us(engine.clock()), "visit")
        arms = {one.arms: one for one in (live.shelf(person, context) for person in people)}
        assert set(arms) == {"challenger=as-is", "challenger=new"}
        assert arms["challenger=new"].versions.model == name
    call(market, "stop", "challenger", "--why", "seen")


def test_an_experiment_by_api(market: Lived) -> None:
    """The same by an operator's key: 201, listed, shown, a conflict for the id, stopped by name."""
    body = {
        "experiment_id": "by-api", "hypothesis": "x", "metrics": ["clicks"],
        "arms": [{"name": "a", "share": 0.5}, {"name": "b", "share": 0.5, "changes": {"beta": 0}}],
    }  # fmt: skip
    with market.engine() as engine:
        key = key_create(engine, "operator")["secret"]
        door = served(open_service(engine), log=Quiet(), pages=False)
        with TestClient(door, headers={"authorization": f"Bearer {key}"}) as site:
            made = site.post("/v1/experiments", json=body)
            assert made.status_code == 201, made.text
            assert made.json()["started_by"].startswith("operator:")
            assert site.post("/v1/experiments", json=body).status_code == 409
            other = {**body, "experiment_id": "beta-too"}
            refused = site.post("/v1/experiments", json=other)
            assert (refused.status_code, refused.json()["field"]) == (409, "beta")
            listed = site.get("/v1/experiments").json()["experiments"]
            assert any(one["experiment_id"] == "by-api" and one["running"] for one in listed)
            assert site.get("/v1/experiments/by-api").json()["found"]["metrics"] == []
            assert site.post("/v1/experiments/by-api/stop", json={}).status_code == 422
            ended = site.post("/v1/experiments/by-api/stop", json={"why": "done"}).json()
            assert (ended["running"], ended["stopped_why"]) == (False, "done")
            assert site.get("/v1/experiments/never").status_code == 404
