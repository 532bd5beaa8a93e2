"""Laws of every shelf, whatever the rules, limits and scores."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from jinqiao import shelf
from jinqiao.catalog import offered
from jinqiao.catalog.table import midnight_us
from jinqiao.domain.catalog import Schedule
from jinqiao.shelf.choose import Candidates, Caps, choose, choose_evenly, draws


@st.composite
def cases(draw: st.DrawFn) -> tuple[Candidates, np.ndarray, Caps, int, float, int]:
    """Return random candidates of several requests, their scores, and the rules."""
    p = draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    mask = rng.random((draw(st.integers(1, 5)), p)) < draw(st.floats(0, 1))
    start = np.concatenate(([0], np.cumsum(mask.sum(axis=1)))).astype(np.int64)
    found = Candidates(start, np.nonzero(mask)[1].astype(np.int32))
    codes = rng.integers(0, 4, (3, p)).astype(np.int64)
    most = tuple(rng.integers(0, 4, 4).astype(np.int64) for _ in range(3))
    score = np.round(rng.normal(0, 3, len(found.product)))
    slots, share = draw(st.integers(0, 6)), draw(st.sampled_from([0.0, 0.05, 0.5, 1.0]))
    return found, score, Caps(codes, most), slots, share, draw(st.integers(0, 2**40))  # type: ignore[return-value]


@given(cases())
def test_no_rule_of_a_shelf_is_ever_broken(
    case: tuple[Candidates, np.ndarray, Caps, int, float, int],
) -> None:
    """Only candidates, none twice, no cap passed, positions without gaps, chances in (0, 1]."""
    found, score, caps, slots, share, seed = case
    r = len(found.start) - 1
    words = draws([f"t{i}" for i in range(r)], seed)
    shelf = choose(found, score, words, caps, slots=slots, exploration_share=share)
    product = found.product[shelf.candidate]
    assert ((shelf.display_probability > 0) & (shelf.display_probability <= 1)).all()
    assert share == 1.0 or (score[shelf.candidate[~shelf.drawn]] > 0).all()
    for i in range(r):
        mine = shelf.request == i
        own = range(found.start[i], found.start[i + 1])
        assert set(shelf.candidate[mine].tolist()) <= set(own)
        assert shelf.position[mine].tolist() == list(range(1, mine.sum() + 1))
        assert mine.sum() <= slots
        assert len(set(product[mine].tolist())) == mine.sum()
        for kind in range(3):
            counts = np.bincount(caps.codes[kind, product[mine]], minlength=4)
            assert (counts <= caps.most[kind]).all()


@given(cases())
def test_the_shelf_does_not_depend_on_who_else_asks(
    case: tuple[Candidates, np.ndarray, Caps, int, float, int],
) -> None:
    """Each request alone gets what it gets in the batch, by either policy."""
    found, score, caps, slots, share, seed = case
    words = draws([f"t{i}" for i in range(len(found.start) - 1)], seed)
    both = (
        choose(found, score, words, caps, slots=slots, exploration_share=share),
        choose_evenly(found, words, slots=slots),
    )
    for i in range(len(found.start) - 1):
        a, b = found.start[i], found.start[i + 1]
        alone = Candidates(np.array([0, b - a]), found.product[a:b])
        word = words[i : i + 1]
        single = (
            choose(alone, score[a:b], word, caps, slots=slots, exploration_share=share),
            choose_evenly(alone, word, slots=slots),
        )
        for batch, one in zip(both, single, strict=True):
            mine = batch.request == i
            assert (batch.candidate[mine] - a).tolist() == one.candidate.tolist()
            assert batch.display_probability[mine].tolist() == one.display_probability.tolist()


ZONES = ("Asia/Shanghai", "Europe/London", "America/St_Johns", "Asia/Kathmandu")
SCHEDULES = st.builds(
    Schedule,
    launch_on=st.none() | st.dates(date(2026, 3, 1), date(2026, 4, 30)),
    withdraw_on=st.none() | st.dates(date(2026, 3, 1), date(2026, 4, 30)),
    hours=st.none()
    | st.tuples(st.integers(0, 23), st.integers(1, 24)).filter(lambda span: span[0] != span[1]),
    regions=st.sampled_from([(), ("east",), ("east", "west")]),
    channels=st.sampled_from([(), ("app",), ("app", "web")]),
)


@settings(max_examples=60, deadline=None)
@given(
    sold=st.lists(st.tuples(SCHEDULES, st.sampled_from(ZONES)), min_size=1, max_size=5),
    asked=st.lists(
        st.tuples(
            st.integers(1_772_323_200_000_000, 1_777_507_200_000_000),  # March and April 2026
            st.sampled_from(["app", "web", "branch"]),
            st.sampled_from([None, "east", "west", "north"]),
        ),
        min_size=1, max_size=8,
    ),
)  # fmt: skip
def test_a_shelfs_schedule_is_the_catalogs(
    sold: list[tuple[Schedule, str]], asked: list[tuple[int, str, str | None]]
) -> None:
    """When, where and through what a product stands on a shelf is what its file says, by its own
    institution's clock, in summer time too.
    """

    def midnights(days: list[date | None]) -> pa.Array:
        found = [midnight_us(day, zone) for day, (_, zone) in zip(days, sold, strict=True)]
        return pa.array(found, pa.int64()).cast(pa.timestamp("us"))

    when = shelf.Schedules.of(
        pa.table({
            "launch_at": midnights([one.launch_on for one, _ in sold]),
            "withdraw_at": midnights([one.withdraw_on for one, _ in sold]),
        }),
        [one.hours for one, _ in sold], [one.channels for one, _ in sold],
        [one.regions for one, _ in sold], [zone for _, zone in sold],
    )  # fmt: skip
    at, channel, region = zip(*asked, strict=True)
    found = when.open(np.array(at), channel, region)
    for i, (at_us, through, place) in enumerate(asked):
        wanted = [offered(one, zone, at_us, place, through) for one, zone in sold]
        assert found[i].tolist() == wanted
