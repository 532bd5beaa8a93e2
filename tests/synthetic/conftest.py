"""One small market, and one that has lived through its log, made once."""

from __future__ import annotations

import pytest

from jinqiao.synthetic import Market, market
from playing import World, make_world


@pytest.fixture(scope="session")
def small() -> Market:
    """A market of 1,000 people."""
    return market(1_000, 1)


@pytest.fixture(scope="session")
def world() -> World:
    """A market of 1,000 people after a random log of 28 days."""
    return make_world(1_000, seed=1)
