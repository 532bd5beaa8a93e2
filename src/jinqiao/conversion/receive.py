"""Receive reports: each once, each on its own institution's click; what is refused is kept."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from jinqiao.conversion.applications import applications_by_click, row_of_folded
from jinqiao.conversion.clicks import click_of_row
from jinqiao.conversion.door import (
    body_digest,
    fault,
    kept_body,
    opened_body,
    rows_of,
    sound_clicks,
)
from jinqiao.conversion.fold import Folded, application_of, fold_rows, sequence_of
from jinqiao.conversion.moves import moves
from jinqiao.conversion.outbox import outcome_id, outcome_row, put
from jinqiao.domain.application import Application, LimitMove, Postback
from jinqiao.domain.decision import Reason
from jinqiao.domain.ids import keyed_id
from jinqiao.domain.tables import REPORTS
from jinqiao.errors import SchemaError
from jinqiao.store.base import Row, Tx

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Change", "Receipt", "Rejected", "keep_unreadable", "receive", "rejects", "replay"]

_ACCEPTED, _DUPLICATE, _REJECTED = "accepted", "duplicate", "rejected"
_UNREADABLE = "report_unreadable"


@dataclass(frozen=True, slots=True)
class Change:
    """An application before and after; ``before`` without any report is in state ``click``."""

    before: Application
    after: Application


@dataclass(frozen=True, slots=True)
class Rejected:
    """A report that was not accepted, and why. It is kept and can be replayed by ``reject_id``."""

    reject_id: str
    institution_id: str
    report_id: str
    field: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of each report: ``results`` has accepted, duplicate or rejected, in their order.

    ``moves``: what the catalog should post or void, for each changed application.
    """

    results: tuple[str, ...]
    rejected: tuple[Rejected, ...] = ()
    changes: tuple[Change, ...] = ()
    moves: tuple[LimitMove, ...] = ()

    @property
    def received(self) -> int:
        return len(self.results)

    @property
    def accepted(self) -> int:
        return self.results.count(_ACCEPTED)

    @property
    def duplicate(self) -> int:
        return self.results.count(_DUPLICATE)


@dataclass(slots=True)
class _Batch:
    """One call's work: the rows as they came, and what is known of their clicks."""

    rows: list[dict[str, Any]]
    clicks: dict[str, dict[str, Any]]
    known: dict[str, dict[str, dict[str, Any]]]
    """click_id → report_id → row."""
    results: list[str] = field(default_factory=list)
    rejected: list[tuple[Rejected, str]] = field(default_factory=list)


def receive(tx: Tx, postbacks: Sequence[Postback] | pa.Table, *, now_us: int) -> Receipt:
    """Return what became of reports, after folding the accepted ones into their applications.

    ``postbacks`` are records or a REPORTS table, in any order, of one or many institutions. In the
    same transaction each accepted report puts one outcome into the outbox. A report id seen before
    with the same body is a duplicate; with another body it is rejected and kept (``rejects``).
    """
    return _receive_rows(tx, rows_of(postbacks), now_us)


def rejects(
    tx: Tx, institution_id: str | None = None, *, limit: int = 1000
) -> list[dict[str, Any]]:
    """Return the rejected reports that still wait for a replay, with body and reason."""
    where: dict[str, Any] = {"status": "open"}
    if institution_id is not None:
        where["institution_id"] = institution_id
    rows = tx.find("report_rejects", where, order_by=("received_at", "reject_id"), limit=limit)
    return [{**row, "body": opened_body(row["body"])} for row in rows]


def replay(
    tx: Tx,
    *,
    now_us: int,
    fixed: Mapping[str, Mapping[str, object]] | None = None,
    limit: int = 10_000,
) -> Receipt:
    """Return what becomes of rejected reports when they are received once more.

    ``fixed`` maps a reject id to the fields to change (plain values: stage and polarity as text,
    instants in µs); None replays every open one as it came. What is accepted, or a duplicate of
    what was, is open no longer. A report that could not be read (``keep_unreadable``) must be given
    every field it needs in ``fixed``, else it is rejected as it was.
    """
    where: dict[str, Any] = {"status": "open"}
    if fixed is not None:
        where["reject_id"] = list(fixed)
    for changes in (fixed or {}).values():
        unknown = sorted(set(changes) - set(REPORTS.names))
        if unknown:
            raise SchemaError("a report has no such field", record=REPORTS.name, field=unknown[0])
    waiting = tx.find("report_rejects", where, order_by=("received_at", "reject_id"), limit=limit)
    rows = [_once_more(item, (fixed or {}).get(item["reject_id"], {})) for item in waiting]
    receipt = _receive_rows(tx, [row for row in rows if row is not None], now_us)
    told = iter(receipt.results)
    results = tuple(_REJECTED if row is None else next(told) for row in rows)
    still = tuple(_unreadable(item) for item, row in zip(waiting, rows, strict=True) if row is None)
    receipt = replace(receipt, results=results, rejected=receipt.rejected + still)
    done = [
        item["reject_id"]
        for item, result in zip(waiting, results, strict=True)
        if result in (_ACCEPTED, _DUPLICATE)
    ]
    if done:
        closed = {"status": "accepted", "replayed_at": now_us}
        tx.update("report_rejects", {"reject_id": done}, closed)
    return receipt


def keep_unreadable(
    tx: Tx, rows: Sequence[tuple[Mapping[str, object], str]], *, now_us: int
) -> tuple[Rejected, ...]:
    """Keep reports that are no rows of REPORTS, each with its field at fault; return them.

    ``rows``: plain values as they came, of any shape that JSON holds; the same again is kept once.
    """
    kept = []
    for row, name in rows:
        body = json.dumps(row, default=str, sort_keys=True)
        kept.append({
            "reject_id": keyed_id("rej", _UNREADABLE, body),
            "institution_id": _shown(str(row.get("institution_id") or ""), 96),
            "report_id": _shown(str(row.get("report_id") or ""), 128),
            "code": _UNREADABLE,
            "field": _shown(name, 64),
            "numbers": {"field": _shown(name, 64)},
            "body": body,
            "status": "open",
            "received_at": now_us,
            "replayed_at": None,
        })  # fmt: skip
    if kept:
        tx.insert_new("report_rejects", kept)
    return tuple(_unreadable(item) for item in kept)


def _unreadable(item: Row) -> Rejected:
    reason = Reason(_UNREADABLE, dict(item["numbers"]))
    return Rejected(
        item["reject_id"], item["institution_id"], item["report_id"], item["field"], reason
    )


def _once_more(item: Row, fixed: Mapping[str, object]) -> dict[str, Any] | None:
    """Return a rejected report with its mended fields, None while it cannot be read."""
    body = opened_body(item["body"])
    if item["code"] != _UNREADABLE:
        return {**body, **fixed}
    needed = [column.name for column in REPORTS.columns if not column.nullable]
    if any(fixed.get(name) is None for name in needed):
        return None
    return {name: fixed.get(name) for name in REPORTS.names}


def _receive_rows(tx: Tx, rows: list[dict[str, Any]], now_us: int) -> Receipt:
    batch = _open(tx, rows)
    fresh = _sort(tx, batch)
    changes = _fold(tx, batch, fresh, now_us)
    _keep(tx, batch, now_us)
    rejected = tuple(item for item, _ in batch.rejected)
    moved = tuple(move for change in changes for move in moves(change.before, change.after))
    return Receipt(tuple(batch.results), rejected, tuple(changes), moved)


def _open(tx: Tx, rows: list[dict[str, Any]]) -> _Batch:
    ids = sound_clicks(rows)
    found = tx.find("clicks", {"click_id": ids}, lock=True) if ids else []
    clicks = {row["click_id"]: row for row in found}
    batch = _Batch(rows, clicks, {click_id: {} for click_id in clicks})
    for report in tx.find("reports", {"click_id": list(batch.clicks)}) if found else []:
        batch.known[report["click_id"]][report["report_id"]] = report
    return batch


def _sort(tx: Tx, batch: _Batch) -> list[dict[str, Any]]:
    """Settle every row's result; return the accepted rows, inserted."""
    fresh: list[tuple[int, dict[str, Any]]] = []
    for place, given in enumerate(batch.rows):
        row = {**given, "body_digest": body_digest(given)}
        wrong = fault(row, batch.clicks.get(row["click_id"]))
        if wrong is not None:
            _reject(batch, row, *wrong)
            continue
        prior = batch.known[row["click_id"]].get(row["report_id"])
        if prior is None:
            batch.known[row["click_id"]][row["report_id"]] = row
            batch.results.append(_ACCEPTED)
            fresh.append((place, row))
        elif prior["body_digest"] == row["body_digest"]:
            batch.results.append(_DUPLICATE)
        else:
            _reject(batch, row, "report_id", _conflict(row))
    new = tx.insert_new("reports", [row for _, row in fresh]) if fresh else []
    for (place, row), is_new in zip(fresh, new, strict=True):
        if not is_new:  # its id was used for another click
            del batch.known[row["click_id"]][row["report_id"]]
            _reject(batch, row, "report_id", _conflict(row), place)
    return [row for (_, row), is_new in zip(fresh, new, strict=True) if is_new]


def _conflict(row: Row) -> Reason:
    return Reason("report_conflict", {"report_id": row["report_id"]})


def _reject(batch: _Batch, row: Row, name: str, reason: Reason, place: int | None = None) -> None:
    reject_id = keyed_id("rej", row["body_digest"])
    item = Rejected(reject_id, row["institution_id"], row["report_id"], name, reason)
    batch.rejected.append((item, kept_body(row)))
    if place is None:
        batch.results.append(_REJECTED)
    else:
        batch.results[place] = _REJECTED


def _fold(tx: Tx, batch: _Batch, fresh: Iterable[Mapping[str, Any]], now_us: int) -> list[Change]:
    """Fold every application with a new report; write those that changed, and all outcomes."""
    touched: dict[str, None] = {}
    outcomes = []
    for row in fresh:
        touched[row["click_id"]] = None
        outcomes.append(_outcome(batch.clicks[row["click_id"]], row))
    put(tx, outcomes)
    changes, written = [], []
    stored = applications_by_click(tx, [batch.clicks[name] for name in touched])
    for click_id in touched:
        row = batch.clicks[click_id]
        now = fold_rows(row["product_class"], list(batch.known[click_id].values()))
        before = stored.get(click_id) or Folded()
        if now != before:
            click = click_of_row(row)
            changes.append(Change(application_of(click, before), application_of(click, now)))
            written.append(row_of_folded(row, now, now_us))
    if written:
        tx.upsert("applications", written)
    return changes


def _outcome(click: Row, report: Row) -> dict[str, Any]:
    occurred, polarity = report["occurred_at"], report["polarity"]
    name = outcome_id(occurred, polarity, report["institution_id"], report["report_id"])
    row = outcome_row(click, name, report["stage"], polarity, occurred, report["received_at"])
    row["application_id"] = click["application_id"]
    row["amount_minor"] = report["amount_minor"]
    row["corrects"] = report["corrects"]
    row["sequence"] = sequence_of(report)
    return row


def _keep(tx: Tx, batch: _Batch, now_us: int) -> None:
    rows = {
        item.reject_id: {
            "reject_id": item.reject_id,
            "institution_id": _shown(item.institution_id, 96),
            "report_id": _shown(item.report_id, 128),
            "code": item.reason.code,
            "field": item.field,
            "numbers": dict(item.reason.numbers),
            "body": body,
            "status": "open",
            "received_at": now_us,
            "replayed_at": None,
        }
        for item, body in batch.rejected
    }
    if rows:
        tx.insert_new("report_rejects", list(rows.values()))


def _shown(text: str, most: int) -> str:
    """Return an id as a column can hold it; the kept body has it as it came."""
    return (text if text.isprintable() else ascii(text))[:most]
