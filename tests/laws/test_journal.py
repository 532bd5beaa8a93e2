"""Laws of the journal: it sums to zero, and the same facts end in the same money."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conversion.reporting import DAY_US, T0_US, Delivery, click_out, record, report
from jinqiao import conversion, settlement
from jinqiao.domain.application import Click, Postback
from jinqiao.domain.journal import Statement
from jinqiao.domain.stage import Polarity, ProductClass, Stage
from jinqiao.store.base import Records, Tx
from jinqiao.store.memory import MemoryRecords
from settlement.paying import TERMS, close

PRODUCTS = tuple(TERMS)
BANKS = ("bank0", "bank1")
MONTHS = ("2026-01", "2026-02", "2026-03")
DELIVERIES = st.builds(
    Delivery, st.integers(0, 2**32), copies=st.integers(0, 10), pieces=st.integers(1, 5)
)
Stream = list[tuple[int, dict[str, Any]]]


@st.composite
def streams(draw: st.DrawFn) -> Stream:
    """Draw reports on eight loan clicks, mostly on stages that are paid for."""
    length = draw(st.integers(0, 20))
    made: Stream = []
    for number in range(length):
        place = draw(st.integers(0, 7))
        corrects = draw(st.one_of(st.none(), st.none(), st.integers(0, length)))
        facts = {
            "name": f"r{number}",
            "stage": draw(
                st.sampled_from(
                    [Stage.APPLICATION, Stage.ACTIVATION, Stage.DISBURSEMENT, Stage.DEFAULT]
                )
            ),
            "polarity": draw(
                st.sampled_from([Polarity.REACHED, Polarity.REACHED, Polarity.REVERSED])
            ),
            "days": draw(st.sampled_from([1, 2, 5, 29, 30, 31, 45])),
            "amount": draw(st.sampled_from([None, 100_000, 250_050, 33])),
            "corrects": None if corrects is None else f"r{corrects}",
            "sequence": draw(st.sampled_from([0, 0, 1, 2])),
        }
        made.append((place, facts))
    return made


def world(records: Records) -> list[Click]:
    """Record eight loan clicks: four products, each of its own bank."""
    outs = [
        click_out(n, ProductClass.LOAN, institution_id=BANKS[n % 2], product_id=PRODUCTS[n % 4])
        for n in range(8)
    ]
    return record(records, outs)


def said(clicks: Sequence[Click], stream: Stream) -> list[Postback]:
    """Return a drawn stream as reports."""
    return [report(clicks[place], **facts) for place, facts in stream]


def receive(records: Records, batches: Sequence[Sequence[Postback]]) -> None:
    """Receive batches, each in its own transaction."""
    for batch in batches:
        with records.transaction() as tx:
            conversion.receive(tx, batch, now_us=T0_US)


def journal(tx: Tx) -> tuple[list[Any], list[Any]]:
    """Return every transfer and entry."""
    return (
        tx.find("transfers", order_by=("transfer_id",)),
        tx.find("journal_entries", order_by=("transfer_id", "side")),
    )


def statements(tx: Tx) -> list[Statement]:
    """Return every bank's statement of every month."""
    return [settlement.statement(tx, bank, month) for bank in BANKS for month in MONTHS]


def net(tx: Tx) -> dict[tuple[str, str, str], int]:
    """Return what each application owes a month, by component; zeros left out."""
    sums: dict[tuple[str, str, str], int] = {}
    for row in tx.find("transfers"):
        sign = 1 if row["debit_account"].startswith("institution:") else -1
        account = row["credit_account" if sign == 1 else "debit_account"]
        key = (row["application_id"], row["month"], account)
        sums[key] = sums.get(key, 0) + sign * row["amount_minor"]
    return {key: value for key, value in sums.items() if value}


@settings(max_examples=150)
@given(stream=streams(), delivery=DELIVERIES)
def test_one_close_makes_one_journal(stream: Stream, delivery: Delivery) -> None:
    """Any order, repetition and splitting before a close: the same transfers and statements."""
    plain, shuffled = MemoryRecords(), MemoryRecords()
    clicks = world(plain)
    world(shuffled)
    reports = said(clicks, stream)
    receive(plain, [reports])
    receive(shuffled, delivery.batches(reports))
    assert close(plain).transfers == close(shuffled).transfers
    with plain.reading() as one, shuffled.reading() as two:
        assert journal(one) == journal(two)
        assert statements(one) == statements(two)
        assert settlement.journal_sum(one) == 0


@settings(max_examples=150)
@given(stream=streams(), delivery=DELIVERIES)
def test_closes_in_between_change_no_total(stream: Stream, delivery: Delivery) -> None:
    """With a close after every batch, each application, month and statement total ends the same."""
    plain, closed = MemoryRecords(), MemoryRecords()
    clicks = world(plain)
    world(closed)
    reports = said(clicks, stream)
    receive(plain, [reports])
    close(plain)
    for batch in delivery.batches(reports):
        receive(closed, [batch])
        close(closed)
        with closed.reading() as tx:
            assert settlement.journal_sum(tx) == 0
    with plain.reading() as one, closed.reading() as two:
        assert net(one) == net(two)
        totals = [[item.total_minor for item in statements(tx)] for tx in (one, two)]
        assert totals[0] == totals[1]
        assert [item.statement_id for item in statements(one)] == [
            item.statement_id for item in statements(two)
        ]
    assert close(closed).transfers == ()


@given(stream=streams(), delivery=DELIVERIES, days=st.sampled_from([2, 10, 30, 44]))
def test_the_day_of_a_close_changes_no_total(stream: Stream, delivery: Delivery, days: int) -> None:
    """A close as of an earlier day, then one as of the end, ends as one close does."""
    plain, closed = MemoryRecords(), MemoryRecords()
    clicks = world(plain)
    world(closed)
    reports = said(clicks, stream)
    receive(plain, [reports])
    close(plain)
    receive(closed, delivery.batches(reports))
    close(closed, as_of_us=T0_US + days * DAY_US)
    close(closed)
    with plain.reading() as one, closed.reading() as two:
        assert net(one) == net(two)


@given(stream=streams(), delivery=DELIVERIES)
def test_retracting_everything_nets_to_zero(stream: Stream, delivery: Delivery) -> None:
    """Settled, then retracted report by report and settled again: nobody owes anything."""
    records = MemoryRecords()
    clicks = world(records)
    reports = said(clicks, stream)
    receive(records, delivery.batches(reports))
    close(records)
    receive(
        records,
        [
            [
                report(
                    clicks[place],
                    f"x{facts['name']}",
                    facts["stage"],
                    Polarity.REVERSED,
                    days=60,
                    corrects=facts["name"],
                    sequence=9,
                )
                for place, facts in stream
            ]
        ],
    )
    close(records)
    with records.reading() as tx:
        assert net(tx) == {}
        assert all(item.total_minor == 0 for item in statements(tx))
        for bank in BANKS:
            assert settlement.balance(tx, f"institution:{bank}:receivable:CNY") == 0
        assert settlement.journal_sum(tx) == 0


@given(stream=streams(), delivery=DELIVERIES)
def test_issued_statements_stand(stream: Stream, delivery: Delivery) -> None:
    """Whatever is posted later, every issued version can be read again exactly as it was."""
    records = MemoryRecords()
    clicks = world(records)
    issued: list[Statement] = []
    for batch in delivery.batches(said(clicks, stream)):
        receive(records, [batch])
        close(records)
        with records.transaction() as tx:
            issued += [settlement.issue(tx, bank, "2026-01", now_us=T0_US) for bank in BANKS]
    with records.reading() as tx:
        for item in issued:
            again = settlement.statement(tx, item.institution_id, item.month, version=item.version)
            assert again == item
            assert item.total_minor == sum(line.amount_minor for line in item.lines)
            found = settlement.reconcile(
                tx,
                item,
                [
                    {"application_id": line.application_id, "amount_minor": line.amount_minor}
                    for line in item.lines
                ],
            )
            assert found.agrees


@given(stream=streams())
def test_a_statement_names_its_own_applications_only(stream: Stream) -> None:
    """No line of a bank's statement is of another bank's click."""
    records = MemoryRecords()
    clicks = world(records)
    receive(records, [said(clicks, stream)])
    close(records)
    owner = {click.application_id: click.institution_id for click in clicks}
    with records.reading() as tx:
        for item in statements(tx):
            assert {owner[line.application_id] for line in item.lines} <= {item.institution_id}


@pytest.mark.parametrize("seed", range(2))
def test_the_same_on_every_database(records: Records, seed: int) -> None:
    """Reports shuffled and closed twice on this database end in the totals of memory."""
    plain = MemoryRecords()
    clicks = world(plain)
    world(records)
    stream: Stream = [
        (n, {"name": f"{n}-{stage.value}", "stage": stage, "days": 2 + n, "amount": 50_000})
        for n in range(8)
        for stage in (Stage.ACTIVATION, Stage.DISBURSEMENT)
    ]
    stream += [(n, {"name": f"{n}-late", "stage": Stage.DEFAULT, "days": 20}) for n in (1, 3, 4)]
    reports = said(clicks, stream)
    receive(plain, [reports])
    close(plain)
    first, *rest = Delivery(seed, 5, 3).batches(reports)
    receive(records, [first])
    close(records)
    receive(records, rest)
    close(records)
    with plain.reading() as one, records.reading() as two:
        assert net(one) == net(two)
        assert net(one)
        assert settlement.journal_sum(two) == 0
