"""A small world for settlement tests: products, their terms, and closes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from conversion.reporting import DAY_US, T0_US, click_out, record
from jinqiao import conversion, settlement
from jinqiao.domain.application import Click, Postback
from jinqiao.domain.catalog import Payout, PayoutBasis, PayoutTier
from jinqiao.domain.stage import ProductClass, Stage
from jinqiao.errors import NotFound
from jinqiao.settlement import PayoutTerms, Settled
from jinqiao.store.base import Records
from jinqiao.store.memory import MemoryRecords

END_US = T0_US + 365 * DAY_US
ACTIVATION, DISBURSEMENT = Stage.ACTIVATION, Stage.DISBURSEMENT


def payout(
    basis: PayoutBasis, stage: Stage, *tiers: PayoutTier, clawback_days: int = 30
) -> PayoutTerms:
    """Return terms in CNY."""
    return PayoutTerms(Payout(basis, stage, tiers, clawback_days), "CNY")


CPA = payout(PayoutBasis.CPA, ACTIVATION, PayoutTier(1, 10_000))
CPL = payout(PayoutBasis.CPL, ACTIVATION, PayoutTier(1, 800))
CPS = payout(PayoutBasis.CPS, DISBURSEMENT, PayoutTier(1, rate_bps=125))
TIERED = payout(
    PayoutBasis.CPA, ACTIVATION, PayoutTier(1, 1_000), PayoutTier(3, 1_500), PayoutTier(5, 2_000)
)
TERMS: Mapping[str, PayoutTerms] = {"cpa": CPA, "cpl": CPL, "cps": CPS, "tiered": TIERED}


def terms_of(product_id: str, version: int) -> PayoutTerms:
    """Return the terms of a product of this world, whatever its version."""
    if product_id not in TERMS:
        raise NotFound("no such product", record=product_id)
    return TERMS[product_id]


def clicks_on(
    records: Records, products: Sequence[str], institution_id: str = "bank"
) -> list[Click]:
    """Record a loan click on each product."""
    return record(
        records,
        [
            click_out(n, ProductClass.LOAN, product_id=name, institution_id=institution_id)
            for n, name in enumerate(products)
        ],
    )


def close(records: Records, *, as_of_us: int = END_US) -> Settled:
    """Settle what changed, as the daily close does."""
    with records.transaction(durable=True) as tx:
        changed = conversion.unsettled(tx)
        done = settlement.settle(tx, changed, as_of_us=as_of_us, terms=terms_of)
        conversion.mark_settled(tx, done.settled)
    return done


def hear(records: Records, reports: Sequence[Postback]) -> None:
    """Receive reports; each must be accepted."""
    with records.transaction() as tx:
        receipt = conversion.receive(tx, reports, now_us=END_US)
    assert receipt.accepted == len(reports), receipt.rejected


def told(done: Settled) -> list[tuple[str, int]]:
    """Return reason and signed amount of each transfer (+ the institution owes)."""
    return [
        (t.reason, t.amount_minor if t.debit_account.startswith("inst") else -t.amount_minor)
        for t in done.transfers
    ]


def fresh() -> MemoryRecords:
    """Return empty records."""
    return MemoryRecords()
