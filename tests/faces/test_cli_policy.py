"""policy evaluate: the log's own policy is told as it was, and what cannot be told is refused."""

from __future__ import annotations

import json
from typing import Any

from typer.testing import CliRunner

from jinqiao.faces.cli import app
from jinqiao.flow import daily
from jinqiao.flow.policies import Question, policy_as_asked, rows_of
from jinqiao.flow.rewards import became
from tests_faces import Lived

RUN = CliRunner()


def call(market: Lived, *words: str, code: int = 0) -> Any:
    result = RUN.invoke(app, ["policy", "evaluate", *words, "--json", "-w", str(market.root)])
    assert result.exit_code == code, result.output + result.stderr
    return json.loads(result.stdout) if code == 0 else json.loads(result.stderr)["error"]


def test_the_random_log_tells_its_own_policy(market: Lived) -> None:
    """Of evenly drawn shelves the random policy's weights are 1: ips is what was shown, exactly."""
    found = call(market, "random_eligible", "--logged", "random", "--reward", "clicks")
    told, ran = found["by_estimator"]["ips"], found["logged_value"]
    assert abs(told["value"] - ran["value"]) < 1e-6
    assert abs(found["effective_rows"] - found["rows"]) < 1e-3 * found["rows"]
    assert set(found["by_estimator"]) == {"ips", "snips", "dr", "switch", "dros", "dm"}
    assert found["value"]["lower"] < ran["value"] < found["value"]["upper"]
    assert found["shelves"] > 100


def test_the_same_question_has_the_same_answer(market: Lived) -> None:
    """Value with late answers expected, in minor units, is told twice alike."""
    words = ("random_eligible", "--logged", "random", "--days", "14", "--method", "snips")
    first, again = call(market, *words), call(market, *words)
    assert first == again
    assert first["unit"] == "minor"
    assert first["chosen"] == "snips"


def test_a_log_that_cannot_say_is_refused(market: Lived) -> None:
    """A policy the log hardly ever did is refused with how little there is, and where to ask."""
    refused = call(market, "highest_payout", "--days", "7", code=2)
    assert "effective rows" in refused["detail"] or "the log covers" in refused["detail"]
    assert "--logged random" in refused["fix"]
    unknown = call(market, "greed", code=2)
    assert "chain_greedy" in unknown["fix"]
    nothing = call(market, "plan", "--logged", "nobody", code=4)
    assert "nothing was logged" in nothing["detail"]


def test_people_read_a_table(market: Lived) -> None:
    """Without --json there is the table, what was chosen and why, and what was left out."""
    words = ["policy", "evaluate", "random_eligible", "--logged", "random", "-w", str(market.root)]
    shown = RUN.invoke(app, words)
    assert shown.exit_code == 0, shown.output
    assert "what was shown" in shown.output
    assert "agrees with every wider one" in shown.output


def test_every_shelf_of_the_log_can_be_made_again(market: Lived) -> None:
    """With what was closed on record no shelf is left out for limits, the plan's included."""
    with market.engine() as engine:
        for logged in ("plan", "random"):
            question = Question("plan", days=60, logged=logged)
            found = rows_of(engine, policy_as_asked(engine, question), question)
            assert set(found.left_out) <= {"consent_withdrawn"}
            closed = found.rows["closed"].to_pylist()
            assert None not in closed
            assert len(set(closed)) > 1


def test_a_click_that_found_no_unit_is_a_click(market: Lived) -> None:
    """Every recorded click counts, and of those without a unit nothing came."""
    with market.engine() as engine:
        daily.drain_outcomes(engine)
        rows = engine.lake.query("select *, epoch_us(occurred_at) as at_us from decisions")
        fates = became(engine, rows)
        with engine.records.reading() as tx:
            clicks = tx.find("clicks")
    away = {(row["trace_id"], row["position"]) for row in clicks if not row["reserved"]}
    assert away
    assert fates[:, 0].sum() == len(clicks)
    keys = zip(rows["trace_id"].to_pylist(), rows["position"].to_pylist(), strict=True)
    turned = [i for i, key in enumerate(keys) if key in away]
    assert not fates[turned, 1:].any()
