"""Fixtures every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("jinqiao", deadline=None, max_examples=50)
settings.load_profile("jinqiao")


@pytest.fixture
def data_dir() -> Path:
    """Return the folder of real data sets, or skip with the reason."""
    root = os.environ.get("JINQIAO_DATA_DIR")
    if not root or not Path(root).is_dir():
        pytest.skip("real data: set JINQIAO_DATA_DIR to the folder of data sets")
    return Path(root)
