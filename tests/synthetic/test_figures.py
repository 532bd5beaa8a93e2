"""The page of the market shows what was measured, and what was measured is in its bands."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
LEAST_AND_MOST = {
    "click_pct": (4, 8), "application_pct": (15, 30), "approval_pct": (30, 55),
    "activation_pct": (55, 80), "credit_pct": (60, 100), "random_pct": (20, 40),
    "static_pct": (80, 90), "oracle_of_bound_pct": (50, 100),
}  # fmt: skip


@pytest.fixture(scope="module")
def benchmark_file() -> ModuleType:
    """``benchmarks/market.py``, as a module."""
    spec = importlib.util.spec_from_file_location("market_figures", ROOT / "benchmarks/market.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    """The committed result."""
    text = (ROOT / "benchmarks" / "results" / "market.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def test_the_page_shows_the_committed_result(
    benchmark_file: ModuleType, record: dict[str, Any]
) -> None:
    """The table of docs/explanation/market.md is that of ``python benchmarks/market.py``."""
    text = benchmark_file.PAGE.read_text(encoding="utf-8")
    assert text == benchmark_file.with_table(text, record)


def test_three_seeds_stand_in_their_bands(
    benchmark_file: ModuleType, record: dict[str, Any]
) -> None:
    """Funnel and ladder of the frozen size lie in the bands they were frozen in, for each seed."""
    assert record["people"] == 20_000
    assert len(record["bands"]) == 3
    for figures in record["bands"].values():
        assert set(figures) == set(LEAST_AND_MOST) == set(benchmark_file.BANDS)
        for name, (least, most) in LEAST_AND_MOST.items():
            assert least <= figures[name] <= most, name


def test_memory_is_bounded(record: dict[str, Any]) -> None:
    """Five times as many people took the same memory, within a quarter."""
    small, large = record["blocks"]
    assert large["people"] == 5 * small["people"]
    assert large["peak_rss_mb"] < 1.25 * small["peak_rss_mb"]
