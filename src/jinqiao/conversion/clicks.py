"""Record click-outs, each once; a retry gets the click that was recorded first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from jinqiao.conversion.clickout import ClickOut
from jinqiao.conversion.outbox import WITHDRAWN, outcome_id, outcome_row, put
from jinqiao.conversion.signing import sign_click
from jinqiao.domain.application import Click, application_id_of
from jinqiao.domain.ids import ClickId, CustomerId, InstitutionId, ProductId, TraceId
from jinqiao.domain.stage import Polarity, ProductClass, Stage
from jinqiao.domain.time import from_us
from jinqiao.errors import NotFound
from jinqiao.store.base import Row, Tx

__all__ = [
    "ClickOut",
    "click",
    "click_of_row",
    "expire",
    "holds_due",
    "mark_left",
    "mark_sold_out",
    "record_click",
    "record_clicks",
    "sold_out",
]


def record_click(tx: Tx, out: ClickOut, *, key: bytes) -> Click:
    """Return the click of a trace and position, recorded now or by an earlier try.

    The click's outcome row goes to the outbox in the same transaction.
    """
    return record_clicks(tx, [out], key=key)[0]


def record_clicks(tx: Tx, outs: Sequence[ClickOut], *, key: bytes) -> list[Click]:
    """Return the clicks of many click-outs, in their order; each trace and position once."""
    recorded = _recorded(tx, outs)
    fresh: dict[tuple[str, int], dict[str, Any]] = {}
    for out in outs:
        place = (out.trace_id, out.position)
        if place not in recorded and place not in fresh:
            fresh[place] = _row(sign_click(key, out), out)
    if fresh:
        tx.insert("clicks", list(fresh.values()))
        put(tx, [_outcome(row) for row in fresh.values() if row["reserved"]])
    rows = {**recorded, **fresh}
    return [click_of_row(rows[out.trace_id, out.position]) for out in outs]


def mark_sold_out(tx: Tx, click_ids: Sequence[str]) -> None:
    """Note that no unit was left for these clicks: the customer did not leave.

    Call it in the transaction that recorded them; their click outcomes are taken back unsent.
    """
    tx.update("clicks", {"click_id": list(click_ids)}, {"reserved": False})
    unsent = {"click_id": list(click_ids), "stage": Stage.CLICK.value, "sent_at": None}
    tx.update("outcome_outbox", unsent, {"sent_at": WITHDRAWN})


def mark_left(tx: Tx, click_ids: Sequence[str]) -> None:
    """Note that customers who once found these clicks sold out have now left after all.

    Call it when a repeated click-out got a unit; clicks that were never sold out stay as they are.
    """
    found = tx.find("clicks", {"click_id": list(click_ids), "reserved": False})
    if not found:
        return
    ids = [row["click_id"] for row in found]
    tx.update("clicks", {"click_id": ids}, {"reserved": True})
    taken_back = {"click_id": ids, "stage": Stage.CLICK.value, "sent_at": WITHDRAWN}
    tx.update("outcome_outbox", taken_back, {"sent_at": None})
    put(tx, [_outcome(row) for row in found])


def click(tx: Tx, click_id: str) -> Click:
    """Return a recorded click; raise NotFound for any other id."""
    row = tx.get("clicks", {"click_id": click_id})
    if row is None:
        raise NotFound("no such click", record=click_id)
    return click_of_row(row)


def sold_out(tx: Tx, *, from_us: int, until_us: int) -> list[tuple[str, int]]:
    """Return trace and position of clicks in [from, until) that found no unit and have none now.

    They are clicks of which nothing came because nothing could: no report will ever tell of them.
    """
    found = tx.find(
        "clicks", {"reserved": False}, at_least={"clicked_at": from_us},
        below={"clicked_at": until_us},
    )  # fmt: skip
    return [(row["trace_id"], row["position"]) for row in found]


def expire(tx: Tx, *, now_us: int, limit: int = 10_000) -> tuple[ClickId, ...]:
    """Return the clicks whose hold has passed without one report, marking each once.

    At most ``limit`` holds are looked at, the oldest first; ``holds_due`` tells whether more wait.
    Each puts one outcome of polarity ``expired`` at the stage that did not come, an application. It
    stands only while nobody reports that stage: a report that comes later counts in its place.
    """
    due = tx.find(
        "clicks",
        {"expired_at": None, "reserved": True},
        below={"expires_at": now_us + 1},
        order_by=("expires_at", "click_id"),
        limit=limit,
    )
    ids = [row["click_id"] for row in due]
    reported = {row["click_id"] for row in tx.find("reports", {"click_id": ids})} if ids else set()
    silent = [row for row in due if row["click_id"] not in reported]
    if ids:
        tx.update("clicks", {"click_id": ids}, {"expired_at": now_us})
    put(tx, [_expiry(row) for row in silent])
    return tuple(ClickId(row["click_id"]) for row in silent)


def holds_due(tx: Tx, *, now_us: int) -> bool:
    """Return whether the hold of any click has passed and was not marked yet."""
    due = {"expired_at": None, "reserved": True}
    return bool(tx.find("clicks", due, below={"expires_at": now_us + 1}, limit=1))


def click_of_row(row: Row) -> Click:
    """Return the record of a row of ``clicks``."""
    return Click(
        ClickId(row["click_id"]),
        TraceId(row["trace_id"]),
        row["position"],
        ProductId(row["product_id"]),
        InstitutionId(row["institution_id"]),
        row["product_version"],
        CustomerId(row["customer_id"]),
        from_us(row["clicked_at"]),
        from_us(row["expires_at"]),
        bool(row["reserved"]),
        ProductClass(row["product_class"]),
        row["currency"],
        row["branch_id"],
        row["expected_payout_minor"],
    )


def _recorded(tx: Tx, outs: Iterable[ClickOut]) -> dict[tuple[str, int], dict[str, Any]]:
    traces = list({out.trace_id for out in outs})
    rows = tx.find("clicks", {"trace_id": traces}) if traces else []
    return {(row["trace_id"], row["position"]): row for row in rows}


def _row(click_id: ClickId, out: ClickOut) -> dict[str, Any]:
    return {
        "click_id": click_id,
        "application_id": application_id_of(click_id),
        "trace_id": out.trace_id,
        "position": out.position,
        "product_id": out.product_id,
        "product_class": out.product_class.value,
        "institution_id": out.institution_id,
        "branch_id": out.branch_id,
        "product_version": out.product_version,
        "customer_id": out.customer_id,
        "currency": out.currency,
        "expected_payout_minor": out.expected_payout_minor,
        "clicked_at": out.clicked_us,
        "expires_at": out.expires_us,
        "reserved": out.reserved,
        "expired_at": None,
    }


def _outcome(row: Row) -> dict[str, Any]:
    at, polarity = row["clicked_at"], Polarity.REACHED.value
    name = outcome_id(at, polarity, row["click_id"], polarity)
    return outcome_row(row, name, Stage.CLICK.value, polarity, at, at)


def _expiry(row: Row) -> dict[str, Any]:
    """Return the outcome of a hold that passed in silence; any report has a higher sequence."""
    at = row["expires_at"]
    name = outcome_id(at, "expired", row["click_id"], "expired")
    made = outcome_row(row, name, Stage.APPLICATION.value, "expired", at, at)
    return {**made, "sequence": -1}
