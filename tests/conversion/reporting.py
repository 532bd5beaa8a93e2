"""Clicks and reports for tests: small words to say what an institution reported."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from jinqiao import conversion
from jinqiao.conversion import ClickOut
from jinqiao.domain.application import Click, Postback
from jinqiao.domain.ids import InstitutionId
from jinqiao.domain.stage import Polarity, ProductClass, Stage
from jinqiao.domain.time import from_us, to_us
from jinqiao.store.base import Records, Tx

KEY = bytes(range(32))
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
T0_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z


def click_out(
    number: int = 0,
    product_class: ProductClass = ProductClass.LOAN,
    *,
    institution_id: str = "bank",
    product_id: str = "loan",
    at_us: int = T0_US,
    customer_id: str = "cust",
) -> ClickOut:
    """Return the ``number``-th click-out of a day."""
    return ClickOut(
        trace_id=f"trace-{number}",
        position=1,
        customer_id=customer_id,
        product_id=product_id,
        institution_id=institution_id,
        product_version=1,
        product_class=product_class,
        currency="CNY",
        clicked_us=at_us + number,
        expires_us=at_us + number + 48 * HOUR_US,
        expected_payout_minor=500,
    )


def record(records: Records, outs: Sequence[ClickOut]) -> list[Click]:
    """Record click-outs and return the clicks."""
    with records.transaction() as tx:
        return conversion.record_clicks(tx, outs, key=KEY)


def report(
    click: Click,
    name: str,
    stage: Stage,
    polarity: Polarity = Polarity.REACHED,
    *,
    days: float = 1.0,
    amount: int | None = None,
    corrects: str | None = None,
    sequence: int = 0,
    institution_id: str | None = None,
) -> Postback:
    """Return a report on a click, so many days after it, arrived an hour later."""
    at = to_us(click.clicked_at) + round(days * DAY_US)
    return Postback(
        report_id=name,
        institution_id=InstitutionId(institution_id or click.institution_id),
        click_id=click.click_id,
        stage=stage,
        polarity=polarity,
        occurred_at=from_us(at),
        received_at=from_us(at + HOUR_US),
        amount_minor=amount,
        currency=None if amount is None else "CNY",
        corrects=corrects,
        sequence=sequence,
    )


def journey(click: Click, stages: Iterable[Stage], *, tag: str = "r") -> list[Postback]:
    """Return one report a stage, a day apart."""
    return [
        report(click, f"{tag}-{stage.value}", stage, days=day, amount=100_000)
        for day, stage in enumerate(stages, start=1)
    ]


def receive(tx: Tx, reports: Sequence[Postback]) -> conversion.Receipt:
    """Receive reports a year after the first click."""
    return conversion.receive(tx, reports, now_us=T0_US + 365 * DAY_US)


@dataclass(frozen=True)
class Delivery:
    """One way a stream may come: its order, what comes twice, and where it is cut."""

    seed: int
    copies: int
    pieces: int

    def batches(self, reports: Sequence[Postback]) -> list[list[Postback]]:
        """Return the stream as it comes; every report at least once."""
        chance = random.Random(self.seed)
        stream = list(reports)
        if reports:
            stream += chance.choices(reports, k=self.copies)
        chance.shuffle(stream)
        cuts = sorted(chance.randint(0, len(stream)) for _ in range(self.pieces - 1))
        edges = [0, *cuts, len(stream)]
        return [stream[a:b] for a, b in pairwise(edges)]
