"""Receiving reports: each once, on one's own clicks, and what is refused is kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pyarrow as pa
import pytest

from conversion.reporting import (
    DAY_US,
    KEY,
    T0_US,
    click_out,
    journey,
    receive,
    record,
    report,
)
from jinqiao import conversion
from jinqiao.domain.application import Postback
from jinqiao.domain.messages import sentence
from jinqiao.domain.stage import Polarity, ProductClass, Stage
from jinqiao.domain.tables import OUTCOMES, REPORTS
from jinqiao.errors import InputError, NotFound, SchemaError
from jinqiao.store.base import Records
from jinqiao.store.memory import MemoryRecords

CHAIN = (Stage.APPLICATION, Stage.APPROVAL, Stage.ACTIVATION)


def table_of(reports: list[Postback]) -> pa.Table:
    """Return reports as a REPORTS table."""
    types = {"timestamp": pa.timestamp("us"), "int64": pa.int64(), "int32": pa.int32()}
    columns = {}
    for column in REPORTS.columns:
        values = [getattr(item, column.name) for item in reports]
        if column.type == "timestamp":
            values = [value.replace(tzinfo=None) for value in values]
        columns[column.name] = pa.array(values, types.get(column.type, pa.string()))
    return pa.table(columns)


def test_a_journey_changes_the_application(any_records: Records) -> None:
    """Each accepted report folds in; before and after are handed back with the limit moves."""
    click = record(any_records, [click_out()])[0]
    with any_records.transaction() as tx:
        receipt = receive(tx, journey(click, CHAIN))
    assert receipt.results == ("accepted",) * 3
    (change,) = receipt.changes
    assert (change.before.state, change.after.state) == ("click", "activation")
    assert [(move.verb, move.stage) for move in receipt.moves] == [("post", s) for s in CHAIN]
    with any_records.reading() as tx:
        assert conversion.application(tx, click.application_id) == change.after


def test_a_table_says_the_same_as_records(any_records: Records) -> None:
    """A REPORTS table and the same records are the same reports."""
    click = record(any_records, [click_out()])[0]
    reports = journey(click, CHAIN)
    with any_records.transaction() as tx:
        first = conversion.receive(tx, table_of(reports), now_us=T0_US)
        again = conversion.receive(tx, reports, now_us=T0_US)
    assert (first.accepted, again.duplicate) == (3, 3)
    assert not again.changes


def test_the_same_id_with_another_body_is_kept_as_a_conflict(any_records: Records) -> None:
    """The first body stands; the second is listed with its reason, and lost neither."""
    click = record(any_records, [click_out()])[0]
    first = report(click, "r1", Stage.DISBURSEMENT, amount=100)
    with any_records.transaction() as tx:
        receipt = receive(tx, [first, replace(first, amount_minor=200)])
        assert receipt.results == ("accepted", "rejected")
        assert receipt.rejected[0].reason.code == "report_conflict"
        assert [item["body"]["amount_minor"] for item in conversion.rejects(tx, "bank")] == [200]
        assert conversion.application(tx, click.application_id).reached[-1][2] == 100


def test_an_id_used_for_another_click_is_a_conflict(any_records: Records) -> None:
    """A report id is the institution's own, across all its clicks."""
    one, two = record(any_records, [click_out(0), click_out(1)])
    with any_records.transaction() as tx:
        assert receive(tx, [report(one, "r1", Stage.APPLICATION)]).accepted == 1
        receipt = receive(tx, [report(two, "r1", Stage.APPLICATION)])
        assert receipt.rejected[0].reason.code == "report_conflict"
        both = receive(tx, [report(one, "r2", Stage.APPROVAL), report(two, "r2", Stage.APPROVAL)])
        assert both.results == ("accepted", "rejected")


def test_an_institution_reports_on_its_own_clicks_only(any_records: Records) -> None:
    """Another's click is as unknown as none; the same report id is free for each institution."""
    click = record(any_records, [click_out()])[0]
    other = record(any_records, [click_out(1, institution_id="insurer")])[0]
    stolen = report(click, "r1", Stage.APPLICATION, institution_id="insurer")
    with any_records.transaction() as tx:
        receipt = receive(tx, [stolen])
        assert receipt.rejected[0].reason.code == "report_unknown_click"
        own = [report(click, "r1", Stage.APPLICATION), report(other, "r1", Stage.APPLICATION)]
        assert receive(tx, own).accepted == 2


REFUSED, REVERSED = Polarity.REFUSED, Polarity.REVERSED


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("report_bad_text", {"report_id": ""}),
        ("report_bad_text", {"report_id": "x" * 129}),
        ("report_bad_text", {"report_id": "a\0"}),
        ("report_bad_text", {"click_id": "clk_\ud800"}),
        ("report_bad_text", {"corrects": "x" * 129}),
        ("report_bad_text", {"refusal_code": "line\nline"}),
        ("report_unknown_click", {"click_id": ""}),
        ("report_unknown_click", {"click_id": "clk_none"}),
        ("report_impossible_stage", {"stage": Stage.CLICK}),
        ("report_impossible_stage", {"stage": Stage.IMPRESSION}),
        ("report_impossible_polarity", {"stage": Stage.REPAYMENT, "polarity": REFUSED}),
        ("report_bad_amount", {"amount_minor": -1}),
        ("report_bad_amount", {"amount_minor": 10**16}),
        ("report_other_currency", {"currency": "USD"}),
        ("report_corrects_itself", {"corrects": "r1"}),
        ("report_bad_sequence", {"sequence": -1}),
        ("report_bad_sequence", {"sequence": 2**31}),
    ],
)
def test_what_cannot_be_true_is_rejected(
    records: MemoryRecords, code: str, change: dict[str, object]
) -> None:
    """Each fault has a reason with a sentence in both languages, and changes nothing."""
    click = record(records, [click_out()])[0]
    bad = replace(report(click, "r1", Stage.APPLICATION), **change)  # type: ignore[arg-type]
    with records.transaction() as tx:
        receipt = receive(tx, [bad])
        assert receipt.results == ("rejected",)
        (item,) = receipt.rejected
        assert item.reason.code == code
        assert all(sentence(item.reason, language) for language in ("zh", "en"))
        assert len(conversion.rejects(tx)) == 1
        assert not receipt.changes


def test_a_stage_the_class_lacks_is_rejected(records: MemoryRecords) -> None:
    """A deposit has no default."""
    click = record(records, [click_out(0, ProductClass.DEPOSIT)])[0]
    with records.transaction() as tx:
        receipt = receive(tx, [report(click, "r1", Stage.DEFAULT)])
    assert receipt.rejected[0].reason.code == "report_impossible_stage"


def test_times_must_be_possible(records: MemoryRecords) -> None:
    """Before the click or after its arrival is refused; a clock five minutes off is not."""
    click = record(records, [click_out()])[0]
    early = report(click, "early", Stage.APPLICATION, days=-1)
    good = report(click, "good", Stage.APPLICATION, days=-0.003)
    late = replace(good, report_id="late", received_at=good.occurred_at - timedelta(hours=1))
    with records.transaction() as tx:
        receipt = receive(tx, [early, good, late])
    assert receipt.results == ("rejected", "accepted", "rejected")
    codes = [item.reason.code for item in receipt.rejected]
    assert codes == ["report_before_click", "report_from_future"]


def test_a_customer_who_did_not_leave_has_no_reports(records: MemoryRecords) -> None:
    """A sold-out click takes no report, has no outcome, and is on nobody's list."""
    click = record(records, [click_out()])[0]
    with records.transaction() as tx:
        conversion.mark_sold_out(tx, [click.click_id])
        receipt = receive(tx, [report(click, "r1", Stage.APPLICATION)])
        assert receipt.rejected[0].reason.code == "report_sold_out_click"
        assert conversion.drain(tx) is None
        assert conversion.applications_of(tx, "cust").applications == ()


def test_a_sold_out_click_may_leave_later(records: MemoryRecords) -> None:
    """Once a repeated click-out gets a unit, the click counts like any other."""
    click, other = record(records, [click_out(0), click_out(1)])
    with records.transaction() as tx:
        conversion.mark_sold_out(tx, [click.click_id])
        span = {"from_us": 0, "until_us": 2**62}
        assert conversion.sold_out(tx, **span) == [(click.trace_id, click.position)]
        conversion.mark_left(tx, [click.click_id, other.click_id])
        assert conversion.sold_out(tx, **span) == []
        batch = conversion.drain(tx)
        assert batch is not None
        assert sorted(batch.rows.column("click_id").to_pylist()) == sorted(
            [click.click_id, other.click_id]
        )
        assert receive(tx, [report(click, "r1", Stage.APPLICATION)]).accepted == 1
        never = conversion.record_click(tx, replace(click_out(2), reserved=False), key=KEY)
        assert never.reserved is False
        conversion.mark_left(tx, [never.click_id])
        assert conversion.click(tx, never.click_id).reserved


def test_a_rejected_report_replays_once_its_click_is_there(records: MemoryRecords) -> None:
    """Replayed when the click exists, it gives the state it would have given at first."""
    out = click_out()
    elsewhere = record(MemoryRecords(), [out])[0]
    with records.transaction() as tx:
        assert receive(tx, [report(elsewhere, "r1", Stage.APPROVAL)]).accepted == 0
        assert receive(tx, [report(elsewhere, "r1", Stage.APPROVAL)]).accepted == 0
    click = record(records, [out])[0]
    with records.transaction() as tx:
        assert len(conversion.rejects(tx)) == 1
        receipt = conversion.replay(tx, now_us=T0_US)
        assert receipt.results == ("accepted",)
        assert conversion.rejects(tx) == []
        assert conversion.application(tx, click.application_id).state == "approval"


def test_a_rejected_report_is_fixed_and_replayed(records: MemoryRecords) -> None:
    """Only the fixed one is replayed, with the fields given."""
    click = record(records, [click_out()])[0]
    wrong = replace(report(click, "r1", Stage.APPLICATION), click_id="clk_typo")
    with records.transaction() as tx:
        receipt = receive(tx, [wrong, replace(wrong, report_id="r2")])
        name = receipt.rejected[0].reject_id
        fixed = {name: {"click_id": click.click_id}}
        assert conversion.replay(tx, now_us=T0_US, fixed=fixed).accepted == 1
        assert [item["report_id"] for item in conversion.rejects(tx)] == ["r2"]
        with pytest.raises(SchemaError, match="colour"):
            conversion.replay(tx, now_us=T0_US, fixed={name: {"colour": "red"}})


def test_limit_moves_follow_what_stands(records: MemoryRecords) -> None:
    """A refusal voids what will not come; what is retracted is held again; amounts restate."""
    click = record(records, [click_out()])[0]
    with records.transaction() as tx:
        receive(tx, journey(click, CHAIN[:1]))
        refusal = receive(tx, [report(click, "no", Stage.APPROVAL, REFUSED, days=2)])
        verbs = [(move.verb, move.stage.value) for move in refusal.moves]
        assert verbs == [
            ("void", name)
            for name in ("approval", "activation", "disbursement", "repayment", "default")
        ]
        undone = report(click, "u", Stage.APPROVAL, REVERSED, corrects="no", days=3)
        assert [move.verb for move in receive(tx, [undone]).moves] == ["hold"] * 5
        paid = receive(tx, [report(click, "d", Stage.DISBURSEMENT, days=4, amount=5)])
        assert [move.verb for move in paid.moves] == ["post"] * 3
        better = report(click, "d2", Stage.DISBURSEMENT, days=4, amount=6, corrects="d")
        assert [(m.verb, m.amount_minor) for m in receive(tx, [better]).moves] == [("post", 6)]
        gone = report(click, "d3", Stage.DISBURSEMENT, REVERSED, corrects="d2", sequence=9)
        moves = receive(tx, [gone]).moves
        assert {(m.verb, m.stage.value) for m in moves} == {
            ("hold", "approval"), ("hold", "activation"), ("hold", "disbursement"),
        }  # fmt: skip


def test_the_outbox_hands_over_until_told(any_records: Records) -> None:
    """The same rows under the same batch id until marked; then nothing, then only what is new."""
    click = record(any_records, [click_out()])[0]
    with any_records.transaction() as tx:
        receive(tx, journey(click, CHAIN))
        first, second = conversion.drain(tx), conversion.drain(tx)
        assert first is not None
        assert second is not None
        assert first.batch_id == second.batch_id
        assert first.rows.column_names == list(OUTCOMES.names)
        assert first.rows.num_rows == 4
        conversion.mark_drained(tx, first, now_us=T0_US)
        assert conversion.drain(tx) is None
        receive(tx, [report(click, "more", Stage.DISBURSEMENT, days=5)])
        third = conversion.drain(tx)
        assert third is not None
        assert third.rows.column("stage").to_pylist() == ["disbursement"]


def test_a_later_verdict_sorts_last_in_the_lake(records: MemoryRecords) -> None:
    """By (sequence, outcome id) the last row of a stage is the one that stands."""
    click = record(records, [click_out()])[0]
    reports = [
        report(click, "b", Stage.ACTIVATION, days=2),
        report(click, "a", Stage.ACTIVATION, REVERSED, days=9),
        report(click, "d", Stage.APPROVAL, days=1),
        report(click, "c", Stage.APPROVAL, REVERSED, days=0.5, corrects="d"),
    ]
    with records.transaction() as tx:
        receive(tx, reports)
        batch = conversion.drain(tx)
    assert batch is not None
    rows = sorted(batch.rows.to_pylist(), key=lambda row: (row["sequence"], row["outcome_id"]))
    last = {row["stage"]: row["polarity"] for row in rows}
    assert last["activation"] == last["approval"] == "reversed"


def test_a_silent_click_expires_and_may_still_wake(any_records: Records) -> None:
    """Past its hold it is expired, once; a report that comes later counts."""
    click = record(any_records, [click_out()])[0]
    with any_records.transaction() as tx:
        assert conversion.expire(tx, now_us=T0_US) == ()
        assert conversion.expire(tx, now_us=T0_US + 3 * DAY_US) == (click.click_id,)
        assert conversion.expire(tx, now_us=T0_US + 4 * DAY_US) == ()
        assert conversion.application(tx, click.application_id).state == "expired"
        receive(tx, [report(click, "r1", Stage.APPLICATION, days=5)])
        assert conversion.application(tx, click.application_id).state == "application"


def test_silence_is_no_word_on_the_click_and_yields_to_any_report(records: MemoryRecords) -> None:
    """In the lake a click stands after its hold; its missing application only until one is told."""
    click = record(records, [click_out()])[0]
    stands = []
    with records.transaction() as tx:
        for step in range(2):
            conversion.expire(tx, now_us=T0_US + 3 * DAY_US)
            batch = conversion.drain(tx)
            assert batch is not None
            rows = sorted(batch.rows.to_pylist(), key=lambda r: (r["sequence"], r["outcome_id"]))
            stands.append({row["stage"]: row["polarity"] for row in rows})
            if step == 0:
                receive(tx, [report(click, "r1", Stage.APPLICATION, days=1)])
    assert stands[0] == {"click": "reached", "application": "expired"}
    assert stands[1] == {"click": "reached", "application": "reached"}


def test_pages_show_each_application_once_newest_first(any_records: Records) -> None:
    """Following the cursor visits a customer's clicks in order, ties included."""
    outs = [replace(click_out(n), clicked_us=T0_US + n // 3) for n in range(11)]
    clicks = record(any_records, outs)
    with any_records.reading() as tx:
        seen: list[str] = []
        cursor = None
        while True:
            page = conversion.applications_of(tx, ["cust", "older"], cursor=cursor, limit=2)
            seen += [item.click_id for item in page.applications]
            cursor = page.cursor
            if cursor is None:
                break
        order = sorted(clicks, key=lambda click: (click.clicked_at, click.click_id), reverse=True)
        assert seen == [click.click_id for click in order]
        with pytest.raises(InputError, match="cursor"):
            conversion.applications_of(tx, "cust", cursor="nonsense")
        with pytest.raises(NotFound):
            conversion.application(tx, "app_none")


def test_an_institution_sees_its_own_applications(records: MemoryRecords) -> None:
    """A page of an institution holds no other's."""
    record(records, [click_out(n, institution_id=f"bank{n % 2}") for n in range(6)])
    with records.reading() as tx:
        page = conversion.of_institution(tx, "bank1")
        assert len(page.applications) == 3
        assert {item.institution_id for item in page.applications} == {"bank1"}


def test_a_table_without_a_column_is_refused(records: MemoryRecords) -> None:
    """A REPORTS table lacking a column, or with an empty id, is named."""
    click = record(records, [click_out()])[0]
    table = table_of(journey(click, CHAIN))
    with records.transaction() as tx:
        with pytest.raises(SchemaError, match="sequence"):
            conversion.receive(tx, table.drop_columns(["sequence"]), now_us=T0_US)
        holed = table.set_column(0, "report_id", pa.array(["a", None, "c"], pa.string()))
        with pytest.raises(SchemaError, match="report_id"):
            conversion.receive(tx, holed, now_us=T0_US)


def test_what_settled_is_not_handed_over_again(records: MemoryRecords) -> None:
    """Changed applications are handed to settlement until marked, and again when they change."""
    click = record(records, [click_out()])[0]
    with records.transaction() as tx:
        assert conversion.unsettled(tx) == []
        receive(tx, journey(click, CHAIN))
        (item,) = conversion.unsettled(tx)
        assert item == conversion.application(tx, click.application_id)
        conversion.mark_settled(tx, [item.application_id])
        assert conversion.unsettled(tx) == []
        receive(tx, [report(click, "more", Stage.DISBURSEMENT, days=5)])
        assert len(conversion.unsettled(tx)) == 1
