"""The demo: played once, opened again, never over somebody's folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jinqiao.errors import InputError
from jinqiao.flow import demo

SECONDS = {"first_shelf_s", "total_s", "opened_again"}


@pytest.mark.slow
def test_a_demo_played_to_its_end_is_opened_again(tmp_path: Path) -> None:
    """The same demo in the same folder keeps its figures and shows a shelf without playing."""
    asked = {"customers": 150, "days": 1, "tail_days": 0}
    steps: list[str] = []
    made = demo.run_demo(tmp_path / "d", **asked)
    again = demo.run_demo(tmp_path / "d", **asked, progress=lambda step, _: steps.append(step))
    assert steps == []
    assert again.figures["opened_again"]
    assert {k: v for k, v in again.figures.items() if k not in SECONDS} == {
        k: v for k, v in made.figures.items() if k not in SECONDS
    }
    assert json.loads((tmp_path / "d" / "figures.json").read_text()) == again.figures
    assert again.first.shelf.offers
    assert set(again.first.names) == {o.product_id for o in again.first.shelf.offers}
    assert not demo._played(tmp_path / "d", demo._signature("another market"))


def test_a_folder_no_demo_made_is_left_alone(tmp_path: Path) -> None:
    """A demo refuses a folder that holds something else, and touches nothing in it."""
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="not made by a demo"):
        demo.run_demo(tmp_path, customers=100)
    assert (tmp_path / "thesis.txt").read_text() == "mine"
