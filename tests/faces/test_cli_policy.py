"""policy evaluate: the log's own policy is told as it was, and what cannot be told is refused."""

from __future__ import annotations

import json
from typing import Any

from typer.testing import CliRunner

from jinqiao.faces.cli import app
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
