"""What a test does when something it needs is not on this machine."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

__all__ = ["leave_out"]


def leave_out(reason: str) -> NoReturn:
    """Skip with the reason, or fail with it where ``JINQIAO_REQUIRE_ALL=1``."""
    if os.environ.get("JINQIAO_REQUIRE_ALL") == "1":
        pytest.fail(f"left out, and JINQIAO_REQUIRE_ALL=1: {reason}")
    pytest.skip(reason)
