"""Approval odds are said only where they hold now: enough old cases, a bound, no fresh doubt."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jinqiao.domain.messages import sentence
from jinqiao.domain.tables import DECISIONS, OUTCOMES
from jinqiao.domain.time import DAY_US
from jinqiao.flow.odds import LEAST, Odds, badge, measure, read_odds, told, write_odds
from jinqiao.propensity import approval_odds
from jinqiao.propensity.fallen import fallen
from jinqiao.store.arrow import arrow_schema
from jinqiao.store.memory import MemoryLake

ZERO = 20_000 * DAY_US
NO_DAY = DAY_US // 4
YES_DAYS = 5 * DAY_US


@pytest.fixture
def lake() -> Iterator[MemoryLake]:
    with closing(MemoryLake()) as made:
        yield made


def applied(
    lake: MemoryLake, name: str, at_us: np.ndarray, p: np.ndarray, yes: np.ndarray, *,
    silent: bool = False,
) -> None:  # fmt: skip
    """Log applications for ``loan`` of one house: refused in hours, approved in five days."""
    n = len(at_us)
    plain = {"string": name, "bool": True, "timestamp": ZERO}
    shown = {c.name: pa.array([plain.get(c.type, 0)] * n) for c in DECISIONS.columns}
    trace = [f"{name}-{i}" for i in range(n)]
    when = pa.array(at_us, pa.int64()).cast(pa.timestamp("us"))
    shown |= {
        "trace_id": pa.array(trace), "occurred_at": when, "received_at": when,
        "product_id": pa.array(["loan"] * n), "p_approval": pa.array(p),
    }  # fmt: skip
    lake.append(DECISIONS, _cast(shown, DECISIONS), batch_id=f"{name}-shown")
    _report(lake, name, "application", trace, at_us, "reached")
    answer = at_us + np.where(yes, YES_DAYS, NO_DAY)
    keys = np.array(trace, dtype=object)
    _report(lake, name, "approval", keys[yes].tolist(), answer[yes], "reached")
    if not silent:
        _report(lake, name, "approval", keys[~yes].tolist(), answer[~yes], "refused")


def _report(
    lake: MemoryLake, name: str, stage: str, trace: list[str], at: np.ndarray, how: str
) -> None:
    n = len(trace)
    plain = {"string": name, "timestamp": ZERO}
    rows = {c.name: pa.array([plain.get(c.type, 0)] * n) for c in OUTCOMES.columns}
    when = pa.array(at, pa.int64()).cast(pa.timestamp("us"))
    rows |= {
        "outcome_id": pa.array([f"{stage}-{one}" for one in trace]), "trace_id": pa.array(trace),
        "stage": pa.array([stage] * n), "polarity": pa.array([how] * n),
        "occurred_at": when, "received_at": when,
    }  # fmt: skip
    lake.append(OUTCOMES, _cast(rows, OUTCOMES), batch_id=f"{name}-{stage}-{how}")


def _cast(columns: dict[str, pa.Array], schema: object) -> pa.Table:
    wanted = arrow_schema(schema)  # type: ignore[arg-type]
    return pa.table([columns[f.name].cast(f.type) for f in wanted], schema=wanted)


def steady(n: int, days: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    at = np.sort(rng.integers(0, days * DAY_US, n)) + ZERO
    return at, np.full(n, 0.8), rng.random(n) < 0.8


def test_a_badge_goes_when_an_institution_tightens(lake: MemoryLake) -> None:
    """Two houses approve alike; one refuses everybody from day 60 on: its badge alone goes."""
    at, p, yes = steady(600, 70, 1)
    applied(lake, "kept", at, p, yes)
    applied(lake, "tight", at, p, yes & (at < ZERO + 60 * DAY_US))
    before = measure(lake, ["loan"], ZERO + 60 * DAY_US)
    after = measure(lake, ["loan"], ZERO + 70 * DAY_US)
    for name in ("kept", "tight"):
        assert badge(before, name, "loan", 0.81) is not None, name
    assert badge(after, "kept", "loan", 0.81) is not None
    assert badge(after, "tight", "loan", 0.81) is None
    why = told(after, "tight", "loan", 0.81)
    assert why is not None
    assert why.code == "odds_fallen"
    assert "no longer shown" in sentence(why, "en")


def test_what_is_not_answered_yet_does_not_raise_the_odds(lake: MemoryLake) -> None:
    """A house that reports only approvals promises no more than one that reports both."""
    at, p, yes = steady(800, 60, 2)
    applied(lake, "tells", at, p, yes & (np.arange(800) % 2 == 0))
    applied(lake, "silent", at, p, yes & (np.arange(800) % 2 == 0), silent=True)
    found = measure(lake, ["loan"], ZERO + 60 * DAY_US).found
    assert 300 < found.cases_by_group["silent"] < 800
    assert found.badge("tells", 0.8) is None
    assert found.badge("silent", 0.8) is None


def test_odds_know_nothing_of_later(lake: MemoryLake) -> None:
    """What was shown, answered or heard after an instant changes nothing said of it."""
    at, p, yes = steady(500, 60, 3)
    applied(lake, "a", at, p, yes)
    first = measure(lake, ["loan"], ZERO + 60 * DAY_US)
    applied(lake, "b", at + 61 * DAY_US, p, np.zeros(500, bool))
    assert measure(lake, ["loan"], ZERO + 60 * DAY_US) == first
    assert measure(lake, ["another"], ZERO + 60 * DAY_US).found.cases_by_group == {}


def test_the_sentence_says_the_numbers(tmp_path: Path) -> None:
    """A badge tells cases, share in ten and day, in both languages, and survives the disk."""
    found = approval_odds(np.full(400, 0.9), np.arange(400) % 10 > 1, ["a"] * 400)
    odds = Odds(ZERO, found)
    write_odds(tmp_path / "odds.json", odds)
    assert read_odds(tmp_path / "odds.json") == odds
    assert read_odds(tmp_path / "none.json") is None
    said = badge(odds, "a", "credit_card", 0.95)
    assert said is not None
    assert sentence(said, "en") == (
        "Of 400 people like you who applied here, at least 7 in 10 were approved"
        " (as of 2024-10-04)."
    )
    assert "400" in sentence(said, "zh")
    assert "7" in sentence(said, "zh")
    assert badge(odds, "a", "deposit", 0.95) is None


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 900), st.integers(0, 10_000), st.floats(0, 1))
def test_no_badge_without_enough_cases_and_a_bound(n: int, seed: int, chance: float) -> None:
    """Whatever the cases, a badge has 200 at or above its chance and a bound that holds."""
    rng = np.random.default_rng(seed)
    p = np.round(rng.random(n), 2)
    yes = rng.random(n) < p ** rng.uniform(0.2, 2)
    found = approval_odds(p, yes, rng.choice(["a", "b"], n).tolist()) if n else None
    odds = Odds(ZERO, found) if found else None
    for name in ("a", "b"):
        said = told(odds, name, "loan", chance)
        assert said is not None
        assert sentence(said, "zh")
        if said.code != "odds_badge":
            continue
        assert said.numbers["cases"] >= LEAST
        assert said.numbers["lower"] >= said.numbers["level"] == said.numbers["in_ten"] / 10


def test_a_promise_that_holds_is_seldom_taken_back() -> None:
    """Where the share is just what was promised, at most 5 in 100 looks take it back."""
    rng = np.random.default_rng(5)
    lost = sum(fallen(rng.random(300) < 0.7, 0.7) for _ in range(400))
    assert lost <= 0.05 * 400
    assert sum(fallen(rng.random(60) < 0.3, 0.7) for _ in range(100)) > 90
