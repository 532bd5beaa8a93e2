"""Laws of applications: whatever way reports come, the same states and the same outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conversion.reporting import T0_US, Delivery, click_out, record, report
from jinqiao import conversion
from jinqiao.domain.application import Application, Click, Postback
from jinqiao.domain.stage import STAGES, Polarity, ProductClass, Stage
from jinqiao.store.base import Records
from jinqiao.store.memory import MemoryRecords

CLASSES = list(ProductClass)
DELIVERIES = st.builds(
    Delivery, st.integers(0, 2**32), copies=st.integers(0, 12), pieces=st.integers(1, 6)
)
Streams = list[tuple[int, dict[str, Any]]]


@st.composite
def streams(draw: st.DrawFn, clicks: int = 4, most: int = 14) -> Streams:
    """Draw reports on a few clicks: any stage and polarity, corrections of each other, faults."""
    length = draw(st.integers(0, most))
    made: Streams = []
    for number in range(length):
        place = draw(st.integers(0, clicks - 1))
        corrects = draw(st.one_of(st.none(), st.integers(0, length)))
        made.append(
            (
                place,
                {
                    "name": f"r{number}",
                    "stage": draw(st.sampled_from(list(Stage))),
                    "polarity": draw(st.sampled_from(list(Polarity))),
                    "days": draw(st.sampled_from([-1, 0, 1, 2, 3, 9, 40])),
                    "amount": draw(st.sampled_from([None, 0, 7, 1_000, 123_457])),
                    "corrects": None if corrects is None else f"r{corrects}",
                    "sequence": draw(st.sampled_from([0, 0, 1, 2])),
                },
            )
        )
    return made


def world(records: Records, classes: Sequence[ProductClass]) -> list[Click]:
    """Record one click a class, at two institutions in turn."""
    outs = [
        click_out(n, product_class, institution_id=f"bank{n % 2}", product_id=f"p{n % 3}")
        for n, product_class in enumerate(classes)
    ]
    return record(records, outs)


def said(clicks: Sequence[Click], stream: Streams) -> list[Postback]:
    """Return a drawn stream as reports on the clicks."""
    return [report(clicks[place], **facts) for place, facts in stream]


def deliver(records: Records, batches: Sequence[Sequence[Postback]]) -> tuple[int, int, int]:
    """Receive batches, each in its own transaction; return accepted, duplicate, rejected."""
    counts = [0, 0, 0]
    for batch in batches:
        with records.transaction() as tx:
            receipt = conversion.receive(tx, batch, now_us=T0_US)
        assert receipt.received == len(batch)
        assert receipt.received == receipt.accepted + receipt.duplicate + len(receipt.rejected)
        for place, count in enumerate((receipt.accepted, receipt.duplicate, len(receipt.rejected))):
            counts[place] += count
    return counts[0], counts[1], counts[2]


def ending(records: Records, clicks: Sequence[Click]) -> tuple[list[Application], Any, Any]:
    """Return every application, outcome row and rejected report."""
    with records.reading() as tx:
        states = [conversion.application(tx, click.application_id) for click in clicks]
        batch = conversion.drain(tx)
        kept = [
            (row["institution_id"], row["report_id"], row["code"], row["body"])
            for row in conversion.rejects(tx)
        ]
    return states, None if batch is None else batch.rows.to_pylist(), sorted(kept, key=str)


@settings(max_examples=200)
@given(
    classes=st.lists(st.sampled_from(CLASSES), min_size=4, max_size=4),
    stream=streams(),
    delivery=DELIVERIES,
)
def test_order_repetition_and_splitting_change_nothing(
    classes: list[ProductClass], stream: Streams, delivery: Delivery
) -> None:
    """Any permutation, duplication and splitting ends in the same states, outcomes and rejects."""
    plain, shuffled = MemoryRecords(), MemoryRecords()
    clicks = world(plain, classes)
    assert world(shuffled, classes) == clicks
    reports = said(clicks, stream)
    accepted = deliver(plain, [reports])[0]
    again = deliver(shuffled, delivery.batches(reports))
    assert again[0] == accepted
    assert ending(shuffled, clicks) == ending(plain, clicks)


@given(stream=streams(clicks=1), order=st.randoms(use_true_random=False), data=st.data())
def test_the_fold_is_what_is_stored(stream: Streams, order: Any, data: st.DataObject) -> None:
    """Folding the accepted reports in any order gives the stored application."""
    records = MemoryRecords()
    product_class = data.draw(st.sampled_from(CLASSES))
    (click,) = world(records, [product_class])
    reports = said([click], stream)
    with records.transaction() as tx:
        receipt = conversion.receive(tx, reports, now_us=T0_US)
        stored = conversion.application(tx, click.application_id)
    good = [item for item, result in zip(reports, receipt.results, strict=True)
            if result == "accepted"]  # fmt: skip
    order.shuffle(good)
    assert conversion.fold(click, good) == stored


@given(
    product_class=st.sampled_from(CLASSES),
    stream=streams(clicks=1),
)
def test_stages_stand_in_a_row(product_class: ProductClass, stream: Streams) -> None:
    """Whatever stands, every stage before it stands; no stage the class lacks ever does."""
    records = MemoryRecords()
    (click,) = world(records, [product_class])
    deliver(records, [said([click], stream)])
    with records.reading() as tx:
        made = conversion.application(tx, click.application_id)
    standing = {stage for stage, _, _ in made.reached}
    assert standing <= set(STAGES[product_class])
    row = [
        stage
        for stage in (Stage.APPLICATION, Stage.APPROVAL, Stage.ACTIVATION, Stage.DISBURSEMENT)
        if stage in STAGES[product_class]
    ]
    held = [stage in standing for stage in row]
    assert held == sorted(held, reverse=True)
    assert not standing & {stage for stage, _, _, _ in made.reversals}
    ended = {"refused", "reversed", "click", "expired"}
    assert made.state in ended or Stage(made.state) == made.reached[-1][0]


@given(product_class=st.sampled_from(CLASSES), stream=streams(clicks=1, most=8))
def test_retracting_everything_leaves_a_click(product_class: ProductClass, stream: Streams) -> None:
    """When every report is retracted, the application is a click nobody reported on."""
    records = MemoryRecords()
    (click,) = world(records, [product_class])
    reports = said([click], stream)
    gone = [
        report(
            click,
            f"x{item.report_id}",
            item.stage,
            Polarity.REVERSED,
            days=50,
            corrects=item.report_id,
            sequence=9,
        )
        for item in reports
        if item.stage in STAGES[product_class]
    ]
    deliver(records, [reports, gone])
    with records.reading() as tx:
        made = conversion.application(tx, click.application_id)
    assert (made.state, made.reached, made.reversals) == ("click", (), ())


@given(stream=streams(), delivery=DELIVERIES)
def test_limit_moves_add_up_to_what_stands(stream: Streams, delivery: Delivery) -> None:
    """Following every move, the units posted are the stages that stand."""
    records = MemoryRecords()
    clicks = world(records, CLASSES[:4])
    posted: set[tuple[str, Stage]] = set()
    for batch in delivery.batches(said(clicks, stream)):
        with records.transaction() as tx:
            for move in conversion.receive(tx, batch, now_us=T0_US).moves:
                unit = (move.click_id, move.stage)
                posted.add(unit) if move.verb == "post" else posted.discard(unit)
    with records.reading() as tx:
        made = [conversion.application(tx, click.application_id) for click in clicks]
    assert posted == {(item.click_id, stage) for item in made for stage, _, _ in item.reached}


@given(stream=streams())
def test_an_institution_never_reads_another_s(stream: Streams) -> None:
    """No page, and no rejected report, of an institution names another's click."""
    records = MemoryRecords()
    clicks = world(records, CLASSES[:4])
    owner = {click.click_id: click.institution_id for click in clicks}
    deliver(records, [said(clicks, stream)])
    with records.reading() as tx:
        for name in ("bank0", "bank1"):
            page = conversion.of_institution(tx, name)
            assert {owner[item.click_id] for item in page.applications} == {name}
            kept = conversion.rejects(tx, name)
            assert {owner[row["body"]["click_id"]] for row in kept} <= {name}


@pytest.mark.parametrize("seed", range(3))
def test_the_same_on_every_database(records: Records, seed: int) -> None:
    """One stream, shuffled, on this database ends as it does in memory."""
    plain = MemoryRecords()
    clicks = world(plain, CLASSES)
    world(records, CLASSES)
    reports = [
        report(click, f"{n}-{stage.value}", stage, days=day, amount=1_000 * day)
        for n, click in enumerate(clicks)
        for day, stage in enumerate(STAGES[click.product_class], start=1)
        if stage not in (Stage.IMPRESSION, Stage.CLICK)
    ]
    reports += [
        report(click, f"{n}-undo", Stage.ACTIVATION, Polarity.REVERSED, days=20)
        for n, click in enumerate(clicks)
    ]
    deliver(plain, [reports])
    deliver(records, Delivery(seed, 9, 4).batches(reports))
    assert ending(records, clicks) == ending(plain, clicks)


@given(
    texts=st.fixed_dictionaries(
        {}, optional={
            name: st.text(max_size=140)
            for name in ("report_id", "click_id", "corrects", "refusal_code", "currency",
                         "institution_id")
        },
    ),
    numbers=st.fixed_dictionaries(
        {}, optional={name: st.integers(-(2**70), 2**70) for name in ("amount_minor", "sequence")}
    ),
)  # fmt: skip
def test_any_report_is_accepted_or_kept(texts: dict[str, Any], numbers: dict[str, Any]) -> None:
    """Whatever a field holds, the report beside it is accepted and it is accepted or kept."""
    records = MemoryRecords()
    (click,) = world(records, [ProductClass.LOAN])
    good = report(click, "good", Stage.APPLICATION)
    odd = replace(report(click, "odd", Stage.APPROVAL), **texts, **numbers)
    with records.transaction() as tx:
        receipt = conversion.receive(tx, [odd, good, odd], now_us=T0_US)
        assert receipt.results[1] == "accepted"
        kept = conversion.rejects(tx)
        assert len(kept) == ("rejected" in receipt.results)
        assert conversion.replay(tx, now_us=T0_US).accepted == 0
