"""Click ids: only the operator can make them; each click-out has one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion.reporting import HOUR_US, KEY, T0_US, click_out, record
from jinqiao import conversion
from jinqiao.errors import AccessError, NotFound
from jinqiao.store.base import Records
from jinqiao.store.memory import MemoryRecords


def test_a_click_id_opens_with_the_key_that_signed_it() -> None:
    """Opening gives back the id and its expiry, and says whether it has passed."""
    out = click_out()
    name = conversion.sign_click(KEY, out)
    before = conversion.open_click(KEY, name, now_us=T0_US)
    after = conversion.open_click(KEY, name, now_us=T0_US + 49 * HOUR_US)
    assert before.click_id == name
    assert (before.expired, after.expired) == (False, True)


@given(place=st.integers(0, 42), letter=st.sampled_from("abcXYZ019-_=!"))
def test_a_changed_click_id_is_refused(place: int, letter: str) -> None:
    """Changing any one character makes an id that was not made here."""
    name = conversion.sign_click(KEY, click_out())
    forged = name[:place] + letter + name[place + 1 :]
    if forged == name:
        return
    with pytest.raises(AccessError):
        conversion.open_click(KEY, forged, now_us=T0_US)


@pytest.mark.parametrize(
    "text", ["", "clk_", "clk_é", "x" * 43, "clk_" + "A" * 39, "clk_" + "A" * 9999]
)
def test_what_is_no_click_id_is_refused(text: str) -> None:
    """Text of any kind is refused, never an error of another tree."""
    with pytest.raises(AccessError):
        conversion.open_click(KEY, text, now_us=T0_US)


def test_another_key_does_not_open_it() -> None:
    """An id signed elsewhere is refused."""
    with pytest.raises(AccessError):
        conversion.open_click(b"x" * 32, conversion.sign_click(KEY, click_out()), now_us=T0_US)


@pytest.mark.parametrize(
    "other",
    [
        {"trace_id": "t"}, {"position": 2}, {"customer_id": "c"}, {"product_id": "p"},
        {"expires_us": T0_US + 49 * HOUR_US},
    ],
)  # fmt: skip
def test_an_id_is_bound_to_its_click(other: dict[str, object]) -> None:
    """Another trace, position, customer, product or expiry has another id."""
    out = click_out()
    changed = replace(out, **other)  # type: ignore[arg-type]
    assert conversion.sign_click(KEY, out) != conversion.sign_click(KEY, changed)


def test_a_retry_gets_the_click_that_was_recorded(any_records: Records) -> None:
    """The same trace and position later gives the first click, and one outcome."""
    first = record(any_records, [click_out()])[0]
    again = record(any_records, [replace(click_out(), clicked_us=T0_US + HOUR_US)])[0]
    assert again == first
    with any_records.reading() as tx:
        assert conversion.click(tx, first.click_id) == first
        batch = conversion.drain(tx)
        assert batch is not None
        assert batch.rows.column("stage").to_pylist() == ["click"]


def test_one_batch_may_hold_a_click_twice(records: MemoryRecords) -> None:
    """A click-out repeated inside one batch is one click."""
    clicks = record(records, [click_out(), click_out(), click_out(1)])
    assert clicks[0] == clicks[1] != clicks[2]


def test_an_unknown_click_is_not_found(records: MemoryRecords) -> None:
    """Asking for a click that never was names it."""
    with records.reading() as tx, pytest.raises(NotFound, match="clk_none"):
        conversion.click(tx, "clk_none")
