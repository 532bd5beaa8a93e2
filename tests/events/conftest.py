"""A door for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from events.receiving import Receiving


@pytest.fixture
def receiving(tmp_path: Path) -> Receiving:
    """Return an intake in memory, its refused rows in a folder of the test's own."""
    return Receiving(tmp_path / "rejects")
