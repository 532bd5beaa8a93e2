"""Read applications: one, a customer's, an institution's; hand changed ones to settlement."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from jinqiao.conversion.clicks import click_of_row
from jinqiao.conversion.fold import Folded, application_of
from jinqiao.domain.application import Application
from jinqiao.errors import InputError, NotFound
from jinqiao.store.base import Row, Tx

__all__ = [
    "Page",
    "application",
    "applications_by_click",
    "applications_of",
    "mark_settled",
    "of_institution",
    "row_of_folded",
    "unsettled",
]


@dataclass(frozen=True, slots=True)
class Page:
    """Some applications, newest click first; ``cursor`` gets the next page, None: the last."""

    applications: tuple[Application, ...]
    cursor: str | None = None


def application(tx: Tx, application_id: str) -> Application:
    """Return one application, as every report so far makes it; raise NotFound for another id."""
    found = tx.find("clicks", {"application_id": application_id})
    if not found:
        raise NotFound("no such application", record=application_id)
    return _of_clicks(tx, found)[0]


def applications_of(
    tx: Tx, customer_id: str | Sequence[str], *, cursor: str | None = None, limit: int = 50
) -> Page:
    """Return a page of a customer's applications; several ids are one merged customer's."""
    ids = customer_id if isinstance(customer_id, str) else list(customer_id)
    return _page(tx, {"customer_id": ids}, cursor, limit)


def of_institution(
    tx: Tx, institution_id: str, *, cursor: str | None = None, limit: int = 50
) -> Page:
    """Return a page of the applications an institution was sent, and of no other's."""
    return _page(tx, {"institution_id": institution_id}, cursor, limit)


def unsettled(tx: Tx, *, limit: int | None = None) -> list[Application]:
    """Return the applications that changed since they were last settled, in id order."""
    rows = tx.find("applications", {"unsettled": True}, order_by=("application_id",), limit=limit)
    if not rows:
        return []
    clicks = tx.find("clicks", {"click_id": [row["click_id"] for row in rows]})
    by_id = {click["click_id"]: click for click in clicks}
    return [
        application_of(click_of_row(by_id[row["click_id"]]), folded_of_row(row)) for row in rows
    ]


def mark_settled(tx: Tx, application_ids: Iterable[str]) -> None:
    """Note that the journal knows the present state of these applications.

    Call it in the transaction that read them by ``unsettled`` and settled them.
    """
    ids = list(application_ids)
    if ids:
        tx.update("applications", {"application_id": ids}, {"unsettled": False})


def applications_by_click(tx: Tx, clicks: Sequence[Row]) -> dict[str, Folded]:
    """Return, by click id, what each click's application is stored as; absent: no report yet."""
    ids = [click["application_id"] for click in clicks]
    rows = tx.find("applications", {"application_id": ids}) if ids else []
    return {row["click_id"]: folded_of_row(row) for row in rows}


def folded_of_row(row: Row) -> Folded:
    """Return the fold a row of ``applications`` holds."""
    return Folded(
        row["state"],
        [tuple(item) for item in row["reached"]],
        [tuple(item) for item in row["reversals"]],
        row["refused_at"],
        row["refused_stage"],
    )


def row_of_folded(click: Row, folded: Folded, changed_us: int) -> dict[str, Any]:
    """Return the row of ``applications`` for a click's fold, to be settled again."""
    return {
        "application_id": click["application_id"],
        "click_id": click["click_id"],
        "institution_id": click["institution_id"],
        "state": folded.state,
        "reached": folded.reached,
        "reversals": folded.reversals,
        "refused_at": folded.refused_at,
        "refused_stage": folded.refused_stage,
        "changed_at": changed_us,
        "unsettled": True,
    }


def _of_clicks(tx: Tx, clicks: Sequence[Row]) -> tuple[Application, ...]:
    stored = applications_by_click(tx, clicks)
    made = []
    for click in clicks:
        folded = stored.get(click["click_id"]) or Folded()
        if folded.state == "click" and click["expired_at"] is not None:
            folded.state = "expired"
        made.append(application_of(click_of_row(click), folded))
    return tuple(made)


def _page(tx: Tx, where: dict[str, Any], cursor: str | None, limit: int) -> Page:
    order = ("-clicked_at", "-click_id")
    where = {**where, "reserved": True}
    rows: list[dict[str, Any]] = []
    below = None
    if cursor is not None:
        at, click_id = _open_cursor(cursor)
        same = {**where, "clicked_at": at}
        after = {"click_id": click_id}
        rows = tx.find("clicks", same, order_by=order, below=after, limit=limit + 1)
        below = {"clicked_at": at}
    if len(rows) <= limit:
        more = limit + 1 - len(rows)
        rows += tx.find("clicks", where, order_by=order, below=below, limit=more)
    shown = rows[:limit]
    following = _cursor(shown[-1]) if len(rows) > limit else None
    return Page(_of_clicks(tx, shown), following)


def _cursor(row: Row) -> str:
    text = json.dumps([row["clicked_at"], row["click_id"]])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _open_cursor(cursor: str) -> tuple[int, str]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        at, click_id = json.loads(base64.urlsafe_b64decode(padded))
        return int(at), str(click_id)
    except (binascii.Error, ValueError, TypeError) as error:
        raise InputError("not a cursor of this list", field="cursor") from error
