"""plan fairness and plan steering at the command line, over a market that was lived in."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from jinqiao.faces.cli import app
from tests_faces import Lived

RUN = CliRunner()


def test_fairness_is_told_and_drawn(market: Lived, tmp_path: Path) -> None:
    """JSON carries exposure and frontier, both languages say them, and the picture is written."""
    picture = tmp_path / "frontier.svg"
    words = ["plan", "fairness", "--steps", "2", "-w", str(market.root)]
    found = json.loads(RUN.invoke(app, [*words, "--json", "--svg", str(picture)]).stdout)
    assert found["exposure"]["file"]
    assert sum(p["named"] for p in found["frontier"]) == 1
    assert picture.read_text(encoding="utf-8").startswith("<svg")
    for language, word in (("en", "disparity"), ("zh", "差距")):
        said = RUN.invoke(app, [*words, "--lang", language])
        assert said.exit_code == 0, said.stderr
        assert word in said.stdout


def test_steering_is_told(market: Lived) -> None:
    """JSON carries totals, spread and customers; both languages say the same."""
    words = ["plan", "steering", "--most", "2", "-w", str(market.root)]
    found = json.loads(RUN.invoke(app, [*words, "--json"]).stdout)
    assert found["customers"]["moved"] >= len(found["examples"])
    for language, word in (("en", "displaced"), ("zh", "挤出")):
        said = RUN.invoke(app, [*words, "--lang", language])
        assert said.exit_code == 0, said.stderr
        assert word in said.stdout
