"""The reference pages say what the program says."""

from __future__ import annotations

from pathlib import Path

import pytest

from jinqiao.faces.reference import pages

DOCS = Path(__file__).parents[2] / "docs" / "reference"


@pytest.mark.parametrize("name", ["cli.md", "errors.md", "api.md"])
def test_the_page_is_the_program(name: str) -> None:
    """Write it again by ``python -m jinqiao.faces.reference docs/reference``."""
    assert (DOCS / name).read_text(encoding="utf-8") == pages()[name]


def test_no_command_is_without_a_page() -> None:
    """Each bare verb and each noun the command line has stands on the page."""
    page = (DOCS / "cli.md").read_text(encoding="utf-8")
    for words in ("init", "check", "publish", "report", "serve", "demo", "doctor",
                  "import berka", "decision explain", "statement reconcile"):  # fmt: skip
        assert f"## jinqiao {words}\n" in page
