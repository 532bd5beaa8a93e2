"""plan whatif, prices and forecast at the command line, over a market that was lived in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from jinqiao.faces.cli import app
from tests_faces import Lived

RUN = CliRunner()


def run(market: Lived, *words: str) -> Result:
    return RUN.invoke(app, [*words, "-w", str(market.root)])


def call(market: Lived, *words: str, code: int = 0) -> Any:
    result = run(market, *words, "--json")
    assert result.exit_code == code, result.output + result.stderr
    return json.loads(result.stdout) if code == 0 else json.loads(result.stderr)["error"]


def a_quota(market: Lived) -> str:
    rows = call(market, "limit", "list")["limits"]
    return next(r["product_id"] for r in rows if r["product_id"] and r["measure"] == "count")


def test_what_if_is_answered_to_programs_and_people(market: Lived) -> None:
    """JSON carries value, movers, segments and certificate; both languages say the same."""
    product = a_quota(market)
    found = call(market, "plan", "whatif", "quota", f"{product}=0")
    assert found["certificate"]["violation_max"] == 0.0
    assert found["value_minor"]["worth"] <= 1e-6 * abs(found["value_minor"]["before"])
    assert {"products", "segments", "customers", "examples", "prices"} <= set(found)
    for language, word in (("en", "certificate"), ("zh", "凭证")):
        said = run(market, "plan", "whatif", "quota", f"{product}=0", "--lang", language)
        assert said.exit_code == 0, said.stderr
        assert word in said.stdout
        assert product in said.stdout


def test_prices_of_limits_with_their_ranges(market: Lived) -> None:
    """Every limit is there with its price; ranges are left out when not wanted."""
    found = call(market, "plan", "prices", "--ranges", "2")
    assert found["limits"]
    assert sum(row["holds_from"] is not None for row in found["limits"]) <= 2
    plain = call(market, "plan", "prices", "--ranges", "0")
    assert "holds_from" not in plain["limits"][0]
    assert run(market, "plan", "prices", "--all").exit_code == 0


def test_the_reach_of_a_draft(market: Lived, tmp_path: Path) -> None:
    """A file with one product that is not on sale gets its curve, as table, JSON and picture."""
    source = sorted((market.root / "institutions").glob("bank-*.yaml"))[0]
    text = source.read_text(encoding="utf-8")
    name = text.split("product_id: ")[1].split("\n")[0]
    draft = tmp_path / "draft.yaml"
    draft.write_text(text.replace(name, f"{name}-new"), encoding="utf-8")
    picture = tmp_path / "reach.svg"
    words = ("plan", "forecast", str(draft), "--payout", "50,150", "--quota", "1,20")
    found = call(market, *words, "--svg", str(picture))
    assert found["product_id"] == f"{name}-new"
    assert [(p["payout"], p["quota"]) for p in found["points"]] == [
        (50, 1), (50, 20), (150, 1), (150, 20),
    ]  # fmt: skip
    assert picture.read_text(encoding="utf-8").startswith("<svg")
    said = run(market, *words)
    assert said.exit_code == 0, said.stderr
    assert "90 %" in said.stdout


def test_bad_questions_end_with_one_line_and_a_fix(market: Lived) -> None:
    """An unknown limit, nonsense and an unknown draft: code 2 or 4, field and fix."""
    product = a_quota(market)
    unknown = call(market, "plan", "whatif", "quota", "nobody=+5", code=2)
    assert "nobody" in json.dumps(unknown)
    result = run(market, "plan", "whatif", "quota", f"{product}=lots")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "+500" in result.stderr
    missing = run(market, "plan", "forecast", "nobody", "--payout", "1", "--quota", "1")
    assert missing.exit_code == 4
    wrong = run(market, "plan", "forecast", "nobody", "--payout", "x", "--quota", "1")
    assert wrong.exit_code == 2
