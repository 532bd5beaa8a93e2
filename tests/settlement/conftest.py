"""Records for settlement tests."""

from __future__ import annotations

import pytest

from jinqiao.store.memory import MemoryRecords


@pytest.fixture
def records() -> MemoryRecords:
    """Return empty records in memory."""
    return MemoryRecords()
