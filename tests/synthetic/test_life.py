"""One history: what it answers, what it never tells, and that splitting changes nothing."""

from __future__ import annotations

from datetime import UTC
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from jinqiao.domain.tables import CLICKS, REPORTS
from jinqiao.domain.time import DAY_US, to_us
from jinqiao.engines.tables import check
from jinqiao.errors import InputError, NotFound
from jinqiao.synthetic import Life
from playing import World, random_shelf


def accept_all(life: Life, clicks: pa.Table) -> None:
    """Give every click a unit."""
    ids = pc.binary_join_element_wise(
        clicks["trace_id"], pc.cast(clicks["position"], pa.string()), "/"
    )
    life.accept(clicks.append_column("click_id", ids))


def sights(life: Life, day: int = 31) -> np.ndarray:
    """Return what each person has lately seen of each product."""
    keys = np.arange(life.market.size * len(life.market.goods))
    return life._seen.strength(keys, np.full(len(keys), day, np.int32))


@pytest.fixture(scope="module")
def lived(world: World) -> tuple[Life, pa.Table, pa.Table]:
    """A life of 14 days whose every click got a unit, its clicks and all its reports."""
    life, clicks = world.market.life(), []
    for day in range(14):
        clicks.append(life.respond(random_shelf(world, day)))
        accept_all(life, clicks[-1])
    return life, pa.concat_tables(clicks), life.reports(world.market.start_us + 250 * DAY_US)


def test_answers_are_the_same_in_any_splitting(world: World) -> None:
    """A day's shelves handed in at once or visit by visit are answered and remembered alike."""
    shown = random_shelf(world, 30)
    whole, parts = world.life.fork(), world.life.fork()
    at_once = whole.respond(shown)
    sessions = shown["session_id"].to_pylist()
    begins = [i for i in range(1, len(sessions)) if sessions[i] != sessions[i - 1]]
    edges = [0, *begins[:3], begins[20], begins[21], begins[70], len(sessions)]
    pieces = [parts.respond(shown.slice(a, b - a)) for a, b in pairwise(edges)]
    order = [("trace_id", "ascending"), ("position", "ascending")]
    assert pa.concat_tables(pieces).sort_by(order).equals(at_once.sort_by(order))
    assert np.array_equal(sights(whole), sights(parts))
    begin, end = world.market.start_us, world.market.start_us + 60 * DAY_US
    assert world.truth.captured(whole, begin, end) == pytest.approx(
        world.truth.captured(parts, begin, end)
    )


def test_a_fork_goes_its_own_way(world: World) -> None:
    """What a fork is shown does not reach the life it came from."""
    before = sights(world.life)
    first, second = world.life.fork(), world.life.fork()
    shown = random_shelf(world, 29)
    assert first.respond(shown).equals(second.respond(shown))
    assert np.array_equal(sights(world.life), before)
    assert not np.array_equal(sights(first), before)


def test_clicks_and_reports_pass_their_doors(lived: tuple[Life, pa.Table, pa.Table]) -> None:
    """Clicks and reports are rows of their schemas."""
    _, clicks, reports = lived
    check(clicks, CLICKS)
    check(reports, REPORTS)


def test_a_report_never_comes_before_what_it_reports(
    lived: tuple[Life, pa.Table, pa.Table],
) -> None:
    """Reports are received after they occur, are handed out as they arrive, and only once."""
    life, _, reports = lived
    occurred = reports["occurred_at"].cast(pa.int64()).to_numpy()
    received = reports["received_at"].cast(pa.int64()).to_numpy()
    assert (received > occurred).all()
    assert (np.diff(received) >= 0).all()
    assert life.reports(2**60).num_rows == 0


def test_reports_come_in_pieces_as_they_come_at_once(world: World) -> None:
    """Asking often gives the same reports as asking once."""
    shown = random_shelf(world, 28)
    once, often = world.life.fork(), world.life.fork()
    for life in (once, often):
        accept_all(life, life.respond(shown))
    end = world.market.start_us + 260 * DAY_US
    pieces = [often.reports(world.market.start_us + d * DAY_US) for d in range(28, 261)]
    whole = once.reports(end)
    keys = [("received_at", "ascending"), ("report_id", "ascending")]
    assert pa.concat_tables(pieces).sort_by(keys).equals(whole.sort_by(keys))


def test_an_accepted_click_goes_on_once(world: World) -> None:
    """Accepting a click again changes nothing; a click without a unit is never heard of again."""
    life = world.life.fork()
    clicks = life.respond(random_shelf(world, 28))
    accept_all(life, clicks.slice(0, 20))
    accept_all(life, clicks.slice(0, 20))
    reports = life.reports(2**60)
    heard = set(reports["click_id"].to_pylist())
    assert heard
    assert len(heard) <= 20
    first = clicks.slice(0, 20)
    columns = (first["trace_id"].to_pylist(), first["position"].to_pylist())
    assert heard <= {f"{t}/{p}" for t, p in zip(*columns, strict=True)}


def test_half_the_institutions_keep_silent_about_refusals(
    world: World, lived: tuple[Life, pa.Table, pa.Table]
) -> None:
    """Refusals are reported by about half of the institutions, and never by the others."""
    _, _, reports = lived
    refused = reports.filter(pc.equal(reports["polarity"], "refused"))
    goods = world.market.goods
    silent = {i for i, s in zip(goods.institution_id, goods.silent, strict=True) if s}
    assert 0.3 < len(silent) / 100 < 0.7
    assert refused.num_rows > 10
    assert not silent & set(refused["institution_id"].to_pylist())


def test_some_reports_are_doubled_and_some_correct_others(
    world: World, lived: tuple[Life, pa.Table, pa.Table]
) -> None:
    """One report in a hundred comes twice; a correction names an earlier one and outranks it."""
    life = world.market.life()
    for day in range(28):
        accept_all(life, life.respond(random_shelf(world, day)))
    every = life.reports(2**60)
    ids = every["report_id"].to_pylist()
    again = len(ids) - len(set(ids))
    assert 0.002 < again / len(ids) < 0.03
    corrections = every.filter(pc.is_valid(every["corrects"]))
    assert corrections.num_rows > 0
    assert set(corrections["corrects"].to_pylist()) <= set(ids)
    assert pc.min(corrections["sequence"]).as_py() >= 1


def test_delays_are_those_of_the_field(
    world: World, lived: tuple[Life, pa.Table, pa.Table]
) -> None:
    """Applications follow within hours, decisions within days, refusals sooner than approvals."""
    _, clicks, reports = lived
    clicked = {
        f"{t}/{p}": at
        for t, p, at in zip(
            clicks["trace_id"].to_pylist(), clicks["position"].to_pylist(),
            clicks["clicked_at"].cast(pa.int64()).to_pylist(), strict=True,
        )
    }  # fmt: skip
    first = {s: {} for s in ("application", "approval", "activation")}
    polarity = {}
    for row in reports.sort_by("sequence").to_pylist():
        if row["stage"] in first:
            at = to_us(row["occurred_at"].replace(tzinfo=UTC))
            first[row["stage"]].setdefault(row["click_id"], at)
            if row["stage"] == "approval":
                polarity.setdefault(row["click_id"], row["polarity"])
    hours = [(at - clicked[c]) / 3.6e9 for c, at in first["application"].items()]
    days = {c: (first["approval"][c] - first["application"][c]) / 8.64e10 for c in polarity}
    yes = [d for c, d in days.items() if polarity[c] == "reached"]
    no = [d for c, d in days.items() if polarity[c] == "refused"]
    wait = [(at - first["approval"][c]) / 8.64e10 for c, at in first["activation"].items()]
    assert 0.3 < np.median(hours) < 3
    assert np.mean(no) < np.mean(yes) < 6
    assert 1 < np.mean(wait) < 12
    assert max(wait) <= 43


def test_what_was_seen_often_is_clicked_less(world: World) -> None:
    """The same shelf shown again and again wears off, and rest brings it back."""
    life = world.market.life()
    person, product = np.zeros(1, np.int64), np.array([3])
    at = np.array([world.market.start_us])
    fresh = life.wear(person, product, at)[0]
    life._seen.add(np.array([3]), np.zeros(1, np.int32), np.float32([10]), len(world.market.goods))
    worn = life.wear(person, product, at)[0]
    rested = life.wear(person, product, at + 30 * DAY_US)[0]
    assert fresh == 1.0
    assert worn < 0.7 < rested < 1.0


def test_who_has_one_wants_no_second(world: World) -> None:
    """An active class is clicked far less; one with an open application somewhat less."""
    life = world.market.life()
    kind = world.market.goods.kind[3]
    person, product, at = np.zeros(1, np.int64), np.array([3]), np.array([world.market.start_us])
    life._applied.keep(np.array([kind]), at - DAY_US, latest=True)
    flying = life.wear(person, product, at)[0]
    life._active.keep(np.array([kind]), at - DAY_US, latest=False)
    assert life.wear(person, product, at)[0] < flying < 1.0


def test_wrong_shelves_are_refused(world: World) -> None:
    """A fifth place, the same product twice and a foreign session are refused by name."""
    life = world.life.fork()
    shown = random_shelf(world, 30).slice(0, 4)
    wrong = shown.set_column(3, "position", pa.array([1, 2, 3, 5], pa.int8()))
    with pytest.raises(InputError, match="a position is 1 to 4"):
        life.respond(wrong)
    same = pa.array([shown["product_id"][0].as_py()] * 4)
    with pytest.raises(InputError, match="twice"):
        life.respond(shown.set_column(4, "product_id", same))
    foreign = pa.array(["s9999999999999"] * 4)
    with pytest.raises(NotFound, match="not of this market"):
        life.respond(shown.set_column(1, "session_id", foreign))
    assert life.respond(shown.slice(0, 0)).num_rows == 0
