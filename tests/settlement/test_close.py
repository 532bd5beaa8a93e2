"""A close posts what is due and not posted yet, as double entry."""

from __future__ import annotations

from dataclasses import replace

import pytest

from conversion.reporting import DAY_US, T0_US, click_out, journey, record, report
from jinqiao import conversion, settlement
from jinqiao.domain.application import Click, Postback
from jinqiao.domain.catalog import PayoutBasis, PayoutTier
from jinqiao.domain.stage import Polarity, Stage
from jinqiao.errors import JournalError, Unbalanced
from jinqiao.settlement.journal import post
from jinqiao.settlement.terms import month_of, unit_minor
from jinqiao.store.memory import MemoryRecords
from settlement.paying import (
    CPA,
    CPS,
    DISBURSEMENT,
    TERMS,
    TIERED,
    clicks_on,
    close,
    hear,
    payout,
    told,
)

CHAIN = (Stage.APPLICATION, Stage.APPROVAL, Stage.ACTIVATION)
REVERSED = Polarity.REVERSED


def activation(click: Click, *, days: float = 3, tag: str = "a") -> Postback:
    """Return a report of an activation."""
    return report(click, f"{tag}-{click.trace_id}", Stage.ACTIVATION, days=days)


@pytest.mark.parametrize(
    ("product", "due"),
    [("cpa", 10_000), ("cpl", 800), ("cps", 1_250), ("tiered", 1_000)],
)
def test_each_basis_pays_for_its_stage(records: MemoryRecords, product: str, due: int) -> None:
    """CPA a fixed amount, CPL for the application, CPS a share of what was disbursed."""
    (click,) = clicks_on(records, [product])
    hear(records, journey(click, (*CHAIN, DISBURSEMENT)))
    assert told(close(records)) == [("payout", due)]
    with records.reading() as tx:
        assert settlement.balance(tx, "institution:bank:receivable:CNY") == due
        assert settlement.balance(tx, "operator:payout:CNY") == -due
        assert settlement.owed(tx) == {("bank", "CNY"): due}
        assert settlement.journal_sum(tx) == 0


def test_nothing_is_due_before_the_paid_stage(records: MemoryRecords) -> None:
    """An approval does not pay for an activation."""
    (click,) = clicks_on(records, ["cpa"])
    hear(records, journey(click, CHAIN[:2]))
    assert told(close(records)) == []


def test_closing_twice_changes_nothing(records: MemoryRecords) -> None:
    """The same applications settled again post no transfer."""
    (click,) = clicks_on(records, ["cpa"])
    hear(records, journey(click, CHAIN))
    assert len(close(records).transfers) == 1
    with records.transaction() as tx:
        item = conversion.application(tx, click.application_id)
        again = settlement.settle(tx, [item], as_of_us=T0_US + 99 * DAY_US, terms=TERMS_OF)
        assert again.transfers == ()
        assert again.settled == (click.application_id,)
        assert len(settlement.transfers_of(tx, click.application_id)) == 1


def TERMS_OF(product_id: str, version: int) -> settlement.PayoutTerms:
    """Return the terms of the test world."""
    return TERMS[product_id]


def test_the_click_s_version_pays(records: MemoryRecords) -> None:
    """Terms are asked for by the version the click was made under."""
    clicks = record(records, [replace(click_out(n, product_id="p"), product_version=n + 1)
                              for n in range(2)])  # fmt: skip
    hear(records, [activation(click) for click in clicks])
    by_version = {1: CPA, 2: payout(PayoutBasis.CPA, Stage.ACTIVATION, PayoutTier(1, 77))}
    with records.transaction() as tx:
        done = settlement.settle(
            tx, conversion.unsettled(tx), as_of_us=T0_US + 90 * DAY_US,
            terms=lambda _, version: by_version[version],
        )  # fmt: skip
    assert sorted(amount for _, amount in told(done)) == [77, 10_000]


def test_a_restated_amount_posts_the_difference(records: MemoryRecords) -> None:
    """A correction of what was disbursed is a new transfer that names the old one."""
    (click,) = clicks_on(records, ["cps"])
    hear(records, [report(click, "d", DISBURSEMENT, days=2, amount=100_000)])
    first = close(records)
    hear(records, [report(click, "d2", DISBURSEMENT, days=2, amount=80_000, corrects="d")])
    second = close(records)
    assert told(second) == [("restate", -250)]
    assert second.transfers[0].corrects == first.transfers[0].transfer_id


def test_a_retraction_takes_everything_back_at_any_time(records: MemoryRecords) -> None:
    """What never happened was never due, long after the clawback window."""
    (click,) = clicks_on(records, ["cpa"])
    hear(records, [activation(click)])
    close(records)
    name = f"a-{click.trace_id}"
    hear(records, [report(click, "x", Stage.ACTIVATION, REVERSED, days=300, corrects=name)])
    assert told(close(records)) == [("restate", -10_000)]
    with records.reading() as tx:
        assert settlement.balance(tx, "institution:bank:receivable:CNY") == 0


@pytest.mark.parametrize(("days", "told_then"), [(33, [("clawback", -10_000)]), (34, [])])
def test_a_reversal_is_clawed_back_inside_the_window(
    records: MemoryRecords, days: int, told_then: list[tuple[str, int]]
) -> None:
    """Undone on the thirtieth day after activation: clawed back; on the next, kept."""
    (click,) = clicks_on(records, ["cpa"])
    hear(records, [activation(click, days=3)])
    close(records)
    hear(records, [report(click, "r", Stage.ACTIVATION, REVERSED, days=days)])
    assert told(close(records)) == told_then


def test_a_default_is_clawed_back_and_the_month_is_its_own(records: MemoryRecords) -> None:
    """The payout stays on its month; the clawback stands on the month of the default."""
    (click,) = clicks_on(records, ["cpa"])
    hear(records, [activation(click, days=3), report(click, "d", Stage.DEFAULT, days=32)])
    assert told(close(records)) == [("payout", 10_000), ("clawback", -10_000)]
    with records.reading() as tx:
        january = settlement.statement(tx, "bank", "2026-01")
        february = settlement.statement(tx, "bank", "2026-02")
    assert (january.total_minor, february.total_minor) == (10_000, -10_000)
    hear(records, [report(click, "dx", Stage.DEFAULT, REVERSED, days=33)])
    assert told(close(records)) == [("restate", 10_000)]


def test_tiers_pay_by_order_of_instant(records: MemoryRecords) -> None:
    """The third and fourth unit of a month pay more, the fifth more still."""
    clicks = clicks_on(records, ["tiered"] * 5)
    hear(records, [activation(click, days=3 + n) for n, click in enumerate(clicks)])
    done = close(records)
    by_application = {t.application_id: t.amount_minor for t in done.transfers}
    paid = [by_application[click.application_id] for click in clicks]
    assert paid == [1_000, 1_000, 1_500, 1_500, 2_000]


def test_an_earlier_unit_shifts_the_tier_of_later_ones(records: MemoryRecords) -> None:
    """A late report of an earlier activation moves others up; the difference is an adjustment."""
    clicks = clicks_on(records, ["tiered"] * 3)
    hear(records, [activation(clicks[1], days=5), activation(clicks[2], days=6)])
    assert sorted(told(close(records))) == [("payout", 1_000), ("payout", 1_000)]
    hear(records, [activation(clicks[0], days=4)])
    assert sorted(told(close(records))) == [("payout", 1_000), ("tier_adjustment", 500)]
    gone = report(clicks[0], "x", Stage.ACTIVATION, REVERSED, corrects=f"a-{clicks[0].trace_id}")
    hear(records, [gone])
    assert sorted(told(close(records))) == [("restate", -1_000), ("tier_adjustment", -500)]


def test_a_tier_shift_reaches_a_clawback(records: MemoryRecords) -> None:
    """A clawed-back unit nets to zero whatever its tier becomes, and keeps its place."""
    clicks = clicks_on(records, ["tiered"] * 3)
    hear(records, [activation(clicks[1], days=5), activation(clicks[2], days=6)])
    close(records)
    hear(records, [report(clicks[2], "r", Stage.ACTIVATION, REVERSED, days=8)])
    close(records)
    hear(records, [activation(clicks[0], days=4)])
    assert sorted(told(close(records))) == [
        ("payout", 1_000), ("tier_adjustment", -500), ("tier_adjustment", 500),
    ]  # fmt: skip
    with records.reading() as tx:
        moved = settlement.transfers_of(tx, clicks[2].application_id)
        net = sum(t.amount_minor * (1 if t.debit_account[0] == "i" else -1) for t in moved)
        assert (len(moved), net) == (4, 0)


def test_a_restated_amount_restates_its_clawback(records: MemoryRecords) -> None:
    """A clawed-back share that is corrected still nets to zero, both lines as restatements."""
    (click,) = clicks_on(records, ["cps"])
    hear(records, [report(click, "d", DISBURSEMENT, days=2, amount=100_000)])
    hear(records, [report(click, "late", Stage.DEFAULT, days=20)])
    close(records)
    hear(records, [report(click, "d2", DISBURSEMENT, days=2, amount=80_000, corrects="d")])
    assert told(close(records)) == [("restate", -250), ("restate", 250)]


def test_a_new_month_counts_from_one(records: MemoryRecords) -> None:
    """Units of another month do not help to reach a tier."""
    clicks = clicks_on(records, ["tiered"] * 4)
    hear(records, [activation(click, days=29 + n) for n, click in enumerate(clicks)])
    assert sorted(told(close(records))) == [("payout", 1_000)] * 4


def test_an_instant_that_moves_to_another_month_moves_its_payout(records: MemoryRecords) -> None:
    """Restated into February: January gives it back, February owes it."""
    (click,) = clicks_on(records, ["cpa"])
    hear(records, [activation(click, days=3)])
    close(records)
    moved = report(click, "b", Stage.ACTIVATION, days=40, corrects=f"a-{click.trace_id}")
    hear(records, [moved])
    assert told(close(records)) == [("restate", -10_000), ("payout", 10_000)]
    with records.reading() as tx:
        assert settlement.statement(tx, "bank", "2026-01").total_minor == 0
        assert settlement.statement(tx, "bank", "2026-02").total_minor == 10_000


def test_what_lies_ahead_waits(records: MemoryRecords) -> None:
    """A close as of yesterday does not know today; the application stays unsettled."""
    (click,) = clicks_on(records, ["cpa"])
    hear(records, [activation(click, days=3), report(click, "d", Stage.DEFAULT, days=9)])
    assert told(close(records, as_of_us=T0_US + DAY_US)) == []
    assert told(close(records, as_of_us=T0_US + 5 * DAY_US)) == [("payout", 10_000)]
    assert told(close(records, as_of_us=T0_US + 10 * DAY_US)) == [("clawback", -10_000)]
    assert close(records).settled == ()


def test_unknown_terms_are_listed_and_wait(records: MemoryRecords) -> None:
    """A product without terms stops nobody else, and is settled once they exist."""
    clicks = clicks_on(records, ["lost", "cpa"])
    hear(records, [activation(click) for click in clicks])
    done = close(records)
    assert [name for name, _ in done.exceptions] == [clicks[0].application_id]
    assert told(done) == [("payout", 10_000)]
    with records.reading() as tx:
        waiting = conversion.unsettled(tx)
    assert [item.application_id for item in waiting] == [clicks[0].application_id]


def test_a_share_of_an_amount_nobody_reported_is_listed(records: MemoryRecords) -> None:
    """It counts as zero until the amount comes, which is then a payout."""
    (click,) = clicks_on(records, ["cps"])
    hear(records, [report(click, "d", DISBURSEMENT, days=2)])
    done = close(records)
    assert (told(done), done.exceptions[0][1].code) == ([], "settlement_no_amount")
    hear(records, [report(click, "d2", DISBURSEMENT, days=2, amount=100_000, corrects="d")])
    assert told(close(records)) == [("payout", 1_250)]


def test_an_unbalanced_close_posts_nothing(records: MemoryRecords) -> None:
    """A transfer of nothing, or from an account to itself, stops the transaction."""
    (click,) = clicks_on(records, ["cpa"])
    hear(records, [activation(click)])
    close(records)
    with records.reading() as tx:
        row = tx.find("transfers")[0]
    for wrong in ({"amount_minor": 0}, {"credit_account": row["debit_account"]}):
        with pytest.raises(Unbalanced), records.transaction() as tx:
            post(tx, [{**row, "transfer_id": "t2", **wrong}], 2)
    with records.transaction() as tx:
        stray = {"transfer_id": "t9", "side": "debit", "account": "a", "currency": "CNY",
                 "amount_minor": 1, "close_number": 7}  # fmt: skip
        tx.insert("journal_entries", [stray])
        with pytest.raises(JournalError, match="7"):
            post(tx, [{**row, "transfer_id": "t3"}], 7)
    with records.reading() as tx:
        assert settlement.journal_sum(tx) == 1


def test_the_month_is_the_institution_s_own() -> None:
    """One instant lies in January in London and in February in Shanghai."""
    us = T0_US + 31 * DAY_US - 1
    assert month_of(us, "Europe/London") == "2026-01"
    assert month_of(us, "Asia/Shanghai") == "2026-02"


def test_shares_round_half_to_even() -> None:
    """A share is whole minor units."""
    half = payout(PayoutBasis.CPS, DISBURSEMENT, PayoutTier(1, rate_bps=5_000))
    assert [unit_minor(half, 1, amount) for amount in (1, 3, 5)] == [0, 2, 2]
    assert unit_minor(CPS, 1, None) == 0


def test_before_the_first_tier_nothing_is_paid() -> None:
    """A payout that starts with the third unit pays nothing for two."""
    late = payout(PayoutBasis.CPA, Stage.ACTIVATION, PayoutTier(3, 9))
    assert [unit_minor(late, rank, None) for rank in (1, 2, 3)] == [0, 0, 9]
    assert settlement.tier_of(TIERED.payout, 4) == PayoutTier(3, 1_500)


def test_versions_of_a_product_are_counted_together(records: MemoryRecords) -> None:
    """A unit under flat terms still takes a place that moves a unit under tiered terms."""
    outs = [replace(click_out(n, product_id="p"), product_version=1 + (n > 0)) for n in range(3)]
    clicks = record(records, outs)
    by_version = {1: CPA, 2: TIERED}

    def settle_all() -> list[tuple[str, int]]:
        with records.transaction() as tx:
            done = settlement.settle(
                tx, conversion.unsettled(tx), as_of_us=T0_US + 90 * DAY_US,
                terms=lambda _, version: by_version[version],
            )  # fmt: skip
            conversion.mark_settled(tx, done.settled)
        return sorted(told(done))

    hear(records, [activation(clicks[1], days=5), activation(clicks[2], days=6)])
    assert settle_all() == [("payout", 1_000), ("payout", 1_000)]
    hear(records, [activation(clicks[0], days=4)])
    assert settle_all() == [("payout", 10_000), ("tier_adjustment", 500)]


def test_without_a_clawback_window_nothing_is_clawed_back(records: MemoryRecords) -> None:
    """Terms of 0 days keep the payout, even when it is undone in the same instant."""
    (click,) = clicks_on(records, ["cpa"])
    hear(records, [activation(click), report(click, "r", Stage.ACTIVATION, REVERSED, days=3)])
    kept = payout(PayoutBasis.CPA, Stage.ACTIVATION, PayoutTier(1, 9), clawback_days=0)
    with records.transaction() as tx:
        done = settlement.settle(
            tx, conversion.unsettled(tx), as_of_us=T0_US + 90 * DAY_US, terms=lambda *_: kept
        )
    assert told(done) == [("payout", 9)]
