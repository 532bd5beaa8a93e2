"""Records for conversion tests: in memory, and SQLite where the database matters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jinqiao.store.base import Records
from jinqiao.store.memory import MemoryRecords
from jinqiao.store.records import open_records


@pytest.fixture
def records() -> MemoryRecords:
    """Return empty records in memory."""
    return MemoryRecords()


@pytest.fixture(params=["memory", "sqlite"])
def any_records(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Records]:
    """Return empty records of each kind."""
    if request.param == "memory":
        yield MemoryRecords()
        return
    opened = open_records(f"sqlite:///{tmp_path}/records.db")
    opened.migrate()
    yield opened
    opened.close()
