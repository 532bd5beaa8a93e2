"""Laws of the whole stream: what comes in decides the state, and how it comes in does not.

One stream of events, a ledger, consents, click-outs and postbacks (``laws.streams``) is played over
the real path: intake, click-out, reports, outcomes into the lake, profiles, the close, statements.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jinqiao.domain.tables import EMPTY_SHELVES, LAKE_TABLES
from jinqiao.domain.time import DAY_US
from jinqiao.settlement import journal_sum
from laws.streams.killed import Job, chain
from laws.streams.state import State, differences, profiles, rows, state
from laws.streams.steps import Died, Steps, watched
from laws.streams.stream import AS_OF_US, DAYS, T0_US, Item, stream
from laws.streams.world import Delivery, World, chronological, in_memory, tmpfs

SEEDS = range(5)
FEW = settings(max_examples=16, suppress_health_check=[HealthCheck.too_slow])
DELIVERIES = st.builds(
    Delivery, st.integers(0, 2**32), copies=st.integers(0, 200), pieces=st.integers(1, 9)
)
Play = Callable[[World], World]


def ends(play: Play) -> State:
    """Return the state of a fresh world after a play."""
    with in_memory() as world:
        return state(play(world).engine)


@cache
def plain(seed: int) -> State:
    """Return the state after the whole stream, in order, in one batch, once."""
    return ends(lambda world: world.play([stream(seed)]).finish())


def without(found: State, *parts: str) -> State:
    return {part: value for part, value in found.items() if part not in parts}


@FEW
@given(seed=st.sampled_from(SEEDS), delivery=DELIVERIES)
def test_order_repetition_and_splitting_change_nothing(seed: int, delivery: Delivery) -> None:
    """Any order, repetition and splitting of one stream ends in the same rows, profiles, money."""
    batches = delivery.batches(stream(seed))
    assert differences(plain(seed), ends(lambda world: world.play(batches).finish())) == {}


def test_the_streams_are_worth_the_laws() -> None:
    """They reach every part of the state: rows of each kind, merges, undone sales, faults."""
    states = [plain(seed) for seed in SEEDS]

    def every(part: str, place: Any) -> set[Any]:
        return {row[place] for found in states for row in found[part]}

    for found in states:
        assert all(
            found[f"lake {schema.name}"] for schema in LAKE_TABLES if schema is not EMPTY_SHELVES
        )
        assert {len(some) for some in found["people"]} >= {1, 2, 3}
        assert found["net"]
        assert found["journal sum"] == 0
        assert found["batches that do not add up"] == found["held but not counted"] == []
    assert every("applications", 1) >= {"expired", "refused", "reversed", "activation"}
    assert every("units", 2) >= {"reserved", "posted", "void", "expired"}
    assert every("transfers", "reason") >= {"payout", "clawback"}
    assert len(every("refused", 2)) > 12


@FEW
@given(seed=st.sampled_from(SEEDS), delivery=DELIVERIES)
def test_received_is_accepted_and_rejected_and_duplicate(seed: int, delivery: Delivery) -> None:
    """Over all deliveries: every row handed in is counted once, and the accepted are the lake's."""
    batches = delivery.batches(stream(seed))
    with in_memory() as world:
        world.play(batches)
        for kind in ("messages", "behaviour", "transactions", "attributes", "reports"):
            handed = [item for batch in batches for item in batch if item.kind == kind]
            got = [received for name, received in world.counts if name == kind]
            rejected = sum(_rejected(one) for one in got)
            assert sum(one.received for one in got) == len(handed)
            assert rejected == sum(item.right is not None for item in handed)
            accepted = sum(one.accepted for one in got)
            assert accepted == len({item.key for item in handed if item.right is None})
            assert sum(one.duplicate for one in got) == len(handed) - rejected - accepted


def _rejected(received: Any) -> int:
    found = received.rejected
    return found if isinstance(found, int) else received.results.count("rejected")


ONLY_CLOSES = ("transfers", "statements", "units", "limits", "clicks", "lake outcomes")
"""What tells how often the books were closed: entries and corrections, holds that had passed."""


@FEW
@given(seed=st.sampled_from(SEEDS), delivery=DELIVERIES)
def test_closes_in_between_change_no_total(seed: int, delivery: Delivery) -> None:
    """With a close after every batch, even before late reports, features and money end the same."""
    with in_memory() as world:
        for number, batch in enumerate(delivery.batches(stream(seed))):
            world.clock.now_us += 1_000_000
            world.deliver(f"d{number}", batch)
            world.finish()
            with world.engine.records.reading() as tx:
                assert journal_sum(tx) == 0
        closed = state(world.engine)
    found = differences(without(plain(seed), *ONLY_CLOSES), without(closed, *ONLY_CLOSES))
    assert found == {}
    totals = [[[*row[:2], row[3]] for row in s["statements"]] for s in (plain(seed), closed)]
    assert totals[0] == totals[1]
    silent = [
        [row for row in s["lake outcomes"] if row["polarity"] != "expired"]
        for s in (plain(seed), closed)
    ]
    assert silent[0] == silent[1]


@settings(FEW, max_examples=10)
@given(seed=st.sampled_from(SEEDS), day=st.integers(25, DAYS), days=st.sampled_from([4, 15]))
def test_a_feature_knows_only_what_had_arrived(seed: int, day: int, days: int) -> None:
    """Profiles as of a day, made from the whole stream, are those made from what came by then."""
    as_of_us = T0_US + day * DAY_US
    batches = _in_time(stream(seed), days, as_of_us)
    early = [batch for batch in batches if batch[-1].at_us <= as_of_us]

    def found(some: Iterable[Sequence[Item]]) -> list[Any]:
        with in_memory() as world:
            for number, batch in enumerate(some):
                world.clock.now_us = batch[-1].at_us
                world.deliver(f"d{number}", batch)
                world.finish(batch[-1].at_us)
            world.finish(max(as_of_us, world.clock.now_us))
            return profiles(world.engine, None, as_of_us)

    whole = found(batches)
    assert whole == found(early)
    assert whole


def _in_time(items: Sequence[Item], days: int, as_of_us: int) -> list[list[Item]]:
    """Return batches in order, one of which ends at the instant."""
    by_then = [item for item in items if item.at_us <= as_of_us]
    later = [item for item in items if item.at_us > as_of_us]
    return [*chronological(by_then, days), *chronological(later, days)]


def test_rows_that_arrive_later_are_not_looked_at() -> None:
    """A row dated long ago changes no profile as of an instant before it arrived; then it does."""
    items = [item for item in stream(3) if item.kind != "reports"]
    late = next(item for item in items if item.kind == "transactions" and item.right is None)
    user, arrival = late.row["user_id"], AS_OF_US - DAY_US
    row = late.row | {
        "transaction_id": "late", "category": "salary", "amount_minor": 12_345,
        "occurred_at": T0_US + 8 * DAY_US, "received_at": arrival,
    }  # fmt: skip
    consent = {
        "user_id": user, "purpose": "personalise", "action": "grant", "text_version": None,
        "occurred_at": T0_US + 45 * DAY_US, "received_at": T0_US + 45 * DAY_US, "channel": None,
        "scope": None, "expires_at": None,
    }  # fmt: skip
    items = [item for item in items if item.kind != "consents"]
    items.append(Item("consents", "c", T0_US + 45 * DAY_US, consent))
    found = {}
    for name, more in (("without", []), ("with", [Item("transactions", "late", arrival, row)])):
        with in_memory() as world:
            world.play([[*items, *more]])
            found[name] = [profiles(world.engine, None, at) for at in (arrival - 1, arrival)]
    assert found["with"][0] == found["without"][0]
    assert found["with"][1] != found["without"][1]


def test_a_death_at_any_step_changes_nothing() -> None:
    """A delivery that ends at any one step of the stores, then comes again whole: the same rows."""
    batches = Delivery(9, 6, 1).batches(stream(9, people=3, faulty=0.2))
    whole = _died(batches, 0)
    assert whole["steps"] > 50
    for die_at in range(1, whole["steps"] + 1):
        assert differences(whole["state"], _died(batches, die_at)["state"]) == {}, die_at


def test_a_batch_that_died_counts_what_it_wrote_itself() -> None:
    """A batch dies before its rows are in; another brings some of them; both add up to the lake."""
    items = [i for i in stream(4, people=4) if i.kind == "transactions" and i.right is None]
    with in_memory() as world:
        steps = Steps(7)  # its counts are kept, its rows are not in the lake
        with pytest.raises(Died), watched(world.engine, steps):
            world.deliver("first", items)
        world.deliver("second", items[:10])
        world.deliver("first", items)
        found = rows(world.engine)
        assert [one.accepted for _, one in world.counts] == [10, len(items) - 10]
    assert len(found["lake transactions"]) == len(items)
    assert found["batches that do not add up"] == []


def _died(batches: Sequence[Sequence[Item]], die_at: int) -> dict[str, Any]:
    with in_memory() as world:
        steps = Steps(die_at)
        try:
            with watched(world.engine, steps):
                world.play(batches).finish()
        except Died:
            World(world.engine, world.clock).play(batches).finish()
        return {"state": rows(world.engine), "steps": steps.count}


def killed(job: Callable[[str], Job]) -> None:
    """Assert that a job whose processes died ends as its stream does in one piece, in memory."""
    with tempfile.TemporaryDirectory(dir=tmpfs()) as folder:
        given_ = job(folder)
        found = chain(given_)
    items = given_.items()
    whole = ends(lambda world: world.play([items]).finish())
    # On a quick machine a child may be done before the clock's kill comes; half die at a step.
    assert set(found["killed"]) <= {0, 9}
    assert found["killed"].count(9) >= given_.kills // 2
    assert found["last"] == 0
    assert differences(whole, found["state"]) == {}


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_kills_and_retries_end_in_the_same_state(seed: int) -> None:
    """kill -9 between and within batches, each time the same batches again: the same state."""
    killed(lambda folder: Job(folder, seed, kills=6))


@pytest.mark.postgres
def test_postgresql_ends_in_the_same_state(postgres_url: str) -> None:
    """A shuffled, repeated, split stream with kills on PostgreSQL: the state memory ends in."""
    killed(lambda folder: Job(folder, 3, kills=2, records_url=postgres_url))
