"""A small serving made from nothing but arrays: twelve products, forty customers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from jinqiao import shelf
from jinqiao.domain.shelf import Versions
from jinqiao.engines.allocation import PriceTables
from jinqiao.shelf.serving import Moments

NOW_US = 1_754_020_800_000_000
N, P = 40, 12
_CLASSES = ("loan", "credit_card", "deposit", "fund", "insurance", "e_account")


def products(p: int = P) -> pa.Table:
    """Return p products of six classes and five institutions."""
    rows = np.arange(p)
    kinds = [_CLASSES[i % 6] for i in rows]
    return pa.table({
        "product_id": [f"p{i:02d}" for i in rows],
        "institution_id": [f"bank{i % 5}" for i in rows],
        "product_version": pa.array(rows + 1, pa.int32()),
        "product_class": kinds,
        "licence": ["bank"] * p,
        "customer_kind": ["person"] * p,
        "risk_level": pa.array([5 if i % 12 == 9 else 2 for i in rows], pa.int8()),
        "rate_bps": pa.array(400 + 50 * rows, pa.int32()),
        "all_in_bps": pa.array(450 + 60 * rows, pa.int32()),
        "all_in_cost_minor": pa.array(1_000 + 500 * rows, pa.int64()),
        "reference_amount_minor": pa.array(np.full(p, 1_000_000), pa.int64()),
        "reference_term_days": pa.array(np.full(p, 365), pa.int32()),
        "amount_max_minor": pa.array(np.full(p, 5_000_000), pa.int64()),
        "payout_basis": ["CPA"] * p,
        "payout_stage": ["activation"] * p,
        "payout_amount_minor": pa.array(5_000 + 100 * rows, pa.int64()),
        "hold_hours": pa.array(np.full(p, 48), pa.int32()),
        "launch_at": pa.array([None] * p, pa.timestamp("us")),
        "withdraw_at": pa.array([None] * p, pa.timestamp("us")),
        "stopped": [False] * p,
    })  # fmt: skip


def chances(
    customers: NDArray[np.int32], goods: NDArray[np.int32], moments: Moments,
    moment: NDArray[np.int32], position: NDArray[np.int8],
) -> NDArray[np.float32]:  # fmt: skip
    """Return chances that depend on customer, product, hour and position, and nothing else."""
    hour = (np.asarray(moments.at_us)[moment] // 3_600_000_000 % 24).astype(float)
    taste = (customers * 37.0 + goods * 101.0 + hour * 13.0) % 97 / 97
    seen = 1.0 / np.asarray(position, float)[moment]
    return np.column_stack(
        [0.02 + 0.1 * taste * seen, 0.2 + 0 * taste, 0.5 + 0.3 * taste, 0.7 + 0 * taste]
    ).astype(np.float32)


def serving(n: int = N, p: int = P, **changes: Any) -> shelf.Serving:
    """Return a serving; ``changes`` replace its parts."""
    rng = np.random.default_rng(5)
    allowed = rng.random((n, p)) < 0.8
    profiles = pa.table({
        "customer_id": [f"c{i:03d}" for i in range(n)],
        "monthly_income_minor": rng.integers(300_000, 3_000_000, n),
        "credit_views_30d": pa.array(rng.integers(0, 4, n), pa.int64()),
    })  # fmt: skip
    zero = np.zeros((2, p))
    parts: dict[str, Any] = {
        "profiles": profiles,
        "products": products(p),
        "allowed": allowed,
        "open_to_all": np.arange(p) % 2 == 0,
        "popularity": np.linspace(1.0, 2.0, p),
        "base_chances": np.full((p, 4), 0.1, np.float32),
        "prices": PriceTables((np.arange(n) % 2).astype(np.int32), zero, zero, zero),
        "worths": shelf.Worths.published(),
        "schedules": shelf.Schedules.of(products(p)),
        "settings": shelf.Settings(),
        "versions": Versions("snap1", "chain1", "plan1", "cat1", None),
        "feature_as_of_us": NOW_US - 3_600_000_000,
        "chances": chances,
    }
    return shelf.Serving.of(**{**parts, **changes})


def requests(count: int = 30, *, consent: bool = True, known: bool = True) -> shelf.Requests:
    """Return requests of the first customers, a minute apart."""
    rows = np.arange(count) % N
    sessions = pa.table({
        "session_id": [f"s{i}" for i in range(count)],
        "occurred_at": pa.array(NOW_US + 60_000_000 * np.arange(count)).cast(pa.timestamp("us")),
        "channel": ["app"] * count,
        "scene": ["home"] * count,
        "source": ["own"] * count,
        "visit_cost_minor": pa.array([0] * count, pa.int64()),
        "city_tier": pa.array([None if i % 3 else 2 for i in range(count)], pa.int8()),
    })  # fmt: skip
    return shelf.Requests.of_sessions(
        sessions,
        rows if known else np.full(count, -1),
        [f"c{i:03d}" for i in rows] if known else [""] * count,
        ["v1"] * count if consent else [None] * count,
    )


@pytest.fixture
def make_serving() -> Callable[..., shelf.Serving]:
    """Return the maker of small servings."""
    return serving


@pytest.fixture
def make_requests() -> Callable[..., shelf.Requests]:
    """Return the maker of requests."""
    return requests


@pytest.fixture
def set_rules() -> Callable[..., shelf.Serving]:
    """Return a serving with other settings."""

    def changed(made: shelf.Serving, **settings: Any) -> shelf.Serving:
        return replace(made, settings=replace(made.settings, **settings))

    return changed
