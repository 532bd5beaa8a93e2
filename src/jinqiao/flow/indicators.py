"""The three families of indicators, from the lake and the few facts that lie in records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jinqiao.domain.metric import Metric
from jinqiao.domain.time import DAY_US
from jinqiao.flow.wiring import Engine

if TYPE_CHECKING:
    from jinqiao.insight import Facts

__all__ = ["indicators_of", "report_facts", "report_page"]


def report_facts(engine: Engine, as_of_us: int, window_days: int) -> Facts:
    """Return what insight needs from records as of an instant."""
    from jinqiao import catalog, customer
    from jinqiao.insight import Facts

    window = {"posted_at": as_of_us - window_days * DAY_US + 1}
    with engine.records.reading() as tx:
        products = catalog.product_table(catalog.load(tx, as_of_us), as_of_us)
        moved = tx.find("transfers", at_least=window, below={"posted_at": as_of_us + 1})
        mapped, consent = customer.customer_map(tx), customer.consent_state(tx, as_of_us)
    paid: list[int] = []
    taken: list[int] = []
    for row in moved:
        owed = row["debit_account"].startswith("institution:")
        (paid if owed else taken).append(int(row["amount_minor"]))
    return Facts(
        mapped, consent, products, tuple(paid), tuple(taken), engine.settings.marketplace.currency
    )


def indicators_of(
    engine: Engine, *, window_days: int = 28, as_of_us: int | None = None
) -> tuple[Metric, ...]:
    """Return market scale, traffic operation and conversion effect: six indicators each."""
    from jinqiao import insight
    from jinqiao.flow import daily

    as_of = engine.clock() if as_of_us is None else as_of_us
    daily.drain_outcomes(engine)
    facts = report_facts(engine, as_of, window_days)
    return insight.indicators(engine.lake, facts, as_of_us=as_of, window_days=window_days)


def report_page(engine: Engine, metrics: tuple[Metric, ...], language: str) -> str:
    """Return indicators as a table for people."""
    from jinqiao import insight

    currency = engine.settings.marketplace.currency
    return insight.report_text(metrics, language, currency=currency)
