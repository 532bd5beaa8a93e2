"""Settlement at the desk: the daily close, statements, an institution's own list beside ours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinqiao.domain.journal import Statement
from jinqiao.errors import NotFound
from jinqiao.flow.wiring import Engine

if TYPE_CHECKING:
    from jinqiao.settlement import Reconciliation, Settled
    from jinqiao.store.base import Tx

__all__ = [
    "close_books", "journal_state", "reconcile_statement", "statement_of", "statement_text",
    "statements_issued",
]  # fmt: skip


def close_books(engine: Engine) -> Settled:
    """Expire holds that have passed and settle what changed, as of now."""
    from jinqiao.flow import daily

    return daily.close(engine, engine.clock())


def journal_state(engine: Engine) -> dict[str, Any]:
    """Return the sum of the journal (0, or it is damaged), and what each institution owes."""
    from jinqiao import settlement

    with engine.records.reading() as tx:
        rows = tx.find("payables")
        owed: dict[tuple[str, str], int] = {}
        for row in rows:
            key = (row["institution_id"], row["currency"])
            owed[key] = owed.get(key, 0) + row["posted_minor"]
        return {
            "journal_sum_minor": settlement.journal_sum(tx),
            "owed": [
                {"institution_id": name, "currency": currency, "owed_minor": owed[name, currency]}
                for name, currency in sorted(owed)
            ],
        }


def statement_of(
    engine: Engine, institution_id: str, month: str, *, currency: str | None = None,
    version: int | None = None, issue: bool = False,
) -> Statement:  # fmt: skip
    """Return an institution's statement of a month: as the journal stands, or as it was issued.

    ``issue`` fixes it: that version never changes again. Raises NotFound for an unknown
    institution or a version that was not issued.
    """
    from jinqiao import settlement

    money = currency or _currency_of(engine, institution_id)
    if issue:

        def step(tx: Tx) -> Statement:
            now = engine.clock()
            return settlement.issue(tx, institution_id, month, now_us=now, currency=money)

        made = engine.write(step, durable=True)
        assert isinstance(made, Statement)
        return made
    with engine.records.reading() as tx:
        return settlement.statement(tx, institution_id, month, currency=money, version=version)


def _currency_of(engine: Engine, institution_id: str) -> str:
    institution = engine.catalog().institution(institution_id)
    if institution is not None:
        return institution.currency
    with engine.records.reading() as tx:
        if not tx.find("institution_versions", {"institution_id": institution_id}, limit=1):
            raise NotFound(
                "no such institution", record=institution_id, fix="see `jinqiao catalog list`"
            )
    return engine.settings.marketplace.currency


def statement_text(statement: Statement) -> str:
    """Return a statement as CSV text."""
    from jinqiao import settlement

    return settlement.statement_csv(statement)


def statements_issued(engine: Engine, institution_id: str) -> list[dict[str, Any]]:
    """Return what was issued to an institution, newest month first."""
    from jinqiao import settlement
    from jinqiao.flow.desk import instants

    with engine.records.reading() as tx:
        return [instants(row) for row in settlement.statements_of(tx, institution_id)]


def reconcile_statement(
    engine: Engine, institution_id: str, month: str, theirs: Path, *, currency: str | None = None
) -> Reconciliation:
    """Return how a month's statement and an institution's own file differ, to the cent."""
    from jinqiao import settlement

    ours = statement_of(engine, institution_id, month, currency=currency)
    with engine.records.reading() as tx:
        return settlement.reconcile(tx, ours, theirs)
