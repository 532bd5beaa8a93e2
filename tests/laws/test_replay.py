"""Laws of what was refused: mended and tried again, it gives the state it would have at first."""

from __future__ import annotations

import tempfile
from functools import cache

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jinqiao import conversion
from jinqiao.flow import rejected
from laws.streams.killed import Job, chain
from laws.streams.state import State, differences, state
from laws.streams.stream import Item, mended, stream
from laws.streams.world import Delivery, in_memory, tmpfs

SEEDS = range(4)
FEW = settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow])
DELIVERIES = st.builds(
    Delivery, st.integers(0, 2**32), copies=st.integers(0, 60), pieces=st.integers(1, 5)
)
FAULTS = {
    "intake_missing", "intake_unknown_word", "intake_not_an_object", "intake_future",
    "intake_out_of_range", "intake_too_long", "intake_not_a_digest", "intake_not_a_name",
    "intake_direct_identifier", "intake_no_value", "intake_not_finite", "intake_reserved",
    "report_unknown_click", "report_impossible_stage", "report_impossible_polarity",
    "report_before_click", "report_from_future", "report_bad_amount", "report_other_currency",
    "report_corrects_itself", "report_bad_sequence", "report_bad_text",
}  # fmt: skip
"""Every kind of fault a row of these kinds can have."""


def bad(seed: int) -> list[Item]:
    return stream(seed, faulty=0.4)


@cache
def right(seed: int) -> State:
    """Return the state of a stream that was right at first."""
    with in_memory() as world:
        found = state(world.play([mended(bad(seed))]).finish().engine)
    assert found["refused"] == []
    return found


def told_apart(seed: int, found: State) -> dict[str, object]:
    """Return what a mended world differs in, the list of what was refused aside."""
    assert {row[-1] for row in found["refused"]} <= {"replayed", "accepted"}
    return differences(right(seed), found | {"refused": []})


@FEW
@given(seed=st.sampled_from(SEEDS), delivery=DELIVERIES, early=st.integers(0, 4))
def test_a_mended_row_gives_the_state_it_would_have_given(
    seed: int, delivery: Delivery, early: int
) -> None:
    """Two rows in five refused; mended on the way and at the end: as if all had been right."""
    with in_memory() as world:
        for number, batch in enumerate(delivery.batches(bad(seed))):
            world.clock.now_us += 1_000_000
            world.deliver(f"d{number}", batch)
            if number == early:
                world.mend()
        world.clock.now_us += 3_600_000_000
        world.mend()
        found = state(world.finish().engine)
    assert told_apart(seed, found) == {}


def test_every_kind_of_fault_is_mended() -> None:
    """The streams hold every kind of fault a row or report can have, and none stays open."""
    codes = set()
    for seed in SEEDS:
        with in_memory() as world:
            world.play([bad(seed)])
            with world.engine.records.reading() as tx:
                codes |= {row["code"] for row in tx.find("intake_rejects")}
                codes |= {row["code"] for row in conversion.rejects(tx)}
            world.mend()
            assert rejected.reject_list(world.engine) == []
    assert codes >= FAULTS


@settings(FEW, max_examples=3)
@given(seed=st.sampled_from(SEEDS))
def test_what_is_still_wrong_stays_refused_and_can_be_mended_later(seed: int) -> None:
    """Tried again as it came, nothing is accepted or lost; mended after that, all is."""
    with in_memory() as world:
        world.play([bad(seed)])
        before = rejected.reject_list(world.engine)
        again = rejected.replay(world.engine)
        assert again["rows"]["rejected"] + again["reports"]["rejected"] == len(before)
        after = rejected.reject_list(world.engine)
        assert [row["reject_id"] for row in after] == [row["reject_id"] for row in before]
        world.clock.now_us += 60_000_000
        got = world.mend()
        assert sum(part["rejected"] for part in got.values()) == 0
        assert told_apart(seed, state(world.finish().engine)) == {}


def test_kills_while_mending_change_nothing() -> None:
    """kill -9 anywhere in a delivery that ends with mending: retried, as if all had been right."""
    with tempfile.TemporaryDirectory(dir=tmpfs()) as folder:
        job = Job(folder, 5, kills=6, mend=True)
        found = chain(job)
    with in_memory() as world:
        whole = state(world.play([mended(job.items())]).finish().engine)
    assert set(found["killed"]) <= {0, 9}  # a quick child may be done before the clock's kill
    assert found["killed"].count(9) >= 3
    assert differences(whole, found["state"] | {"refused": []}) == {}
