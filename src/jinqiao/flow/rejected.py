"""Refused rows and refused reports: listed, shown, mended and tried again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jinqiao.domain.messages import codes, render
from jinqiao.errors import NotFound
from jinqiao.flow.desk import instants
from jinqiao.flow.wiring import Engine

if TYPE_CHECKING:
    from jinqiao.store.base import Tx

__all__ = ["reject_list", "reject_show", "replay"]

_OPEN = ("open", "refused_again")


def reject_list(
    engine: Engine, *, institution_id: str | None = None, limit: int = 1000
) -> list[dict[str, Any]]:
    """Return what waits to be mended, oldest first: intake rows, and institutions' reports.

    ``institution_id``: that institution's reports alone. No row holds the refused body.
    """
    rows = [] if institution_id is not None else _intake(engine, limit)
    return (rows + _reports(engine, institution_id, limit))[:limit]


def _intake(engine: Engine, limit: int) -> list[dict[str, Any]]:
    with engine.records.reading() as tx:
        found = tx.find(
            "intake_rejects", {"status": list(_OPEN)}, order_by=("received_at", "reject_id"),
            limit=limit,
        )  # fmt: skip
    return [
        {
            "reject_id": row["reject_id"], "kind": row["kind"], "source": row["source"],
            "row": row["row_number"], "record": row["record_key"], "field": row["field"],
            "code": row["code"], "numbers": row["numbers"], "status": row["status"],
            "received_at": instants(row)["received_at"],
        }
        for row in found
    ]  # fmt: skip


def _reports(engine: Engine, institution_id: str | None, limit: int) -> list[dict[str, Any]]:
    from jinqiao import conversion

    with engine.records.reading() as tx:
        found = conversion.rejects(tx, institution_id, limit=limit)
    return [
        {
            "reject_id": row["reject_id"], "kind": "report", "source": row["institution_id"],
            "row": None, "record": row["report_id"], "field": row["field"], "code": row["code"],
            "numbers": row["numbers"], "status": row["status"],
            "received_at": instants(row)["received_at"],
        }
        for row in found
    ]  # fmt: skip


def reject_show(engine: Engine, reject_id: str) -> dict[str, Any]:
    """Return one refused row with its body and what to do about it, in both languages.

    Raises NotFound when nothing of that id waits.
    """
    from jinqiao import events
    from jinqiao.flow.intake import door

    row = next((one for one in reject_list(engine) if one["reject_id"] == reject_id), None)
    if row is None:
        raise NotFound(
            "nothing of that id waits", record=reject_id, fix="see `jinqiao rejects list`"
        )
    if row["kind"] == "report":
        body = _report_body(engine, reject_id)
    else:
        raw = events.refused_bodies(door(engine), [reject_id])[reject_id]
        body = _read(raw)
    return row | {"why": _sentences(row), "body": body}


def _report_body(engine: Engine, reject_id: str) -> Any:
    from jinqiao import conversion

    with engine.records.reading() as tx:
        found = conversion.rejects(tx)
    return next(row["body"] for row in found if row["reject_id"] == reject_id)


def _read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")


def _sentences(row: Mapping[str, Any]) -> dict[str, str]:
    known = codes()
    said = {}
    for language in ("zh", "en"):
        parts = [
            render(code, language, row["numbers"])
            for code in (row["code"], f"{row['code']}_fix")
            if code in known
        ]
        said[language] = " ".join(parts)
    return said


def replay(
    engine: Engine, fixed: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, dict[str, int]]:
    """Return what became of refused rows and reports tried again, some with fields mended.

    ``fixed`` maps a reject id to the mended row (intake), or to the fields to change (reports);
    None tries everything that waits.
    """
    from jinqiao.flow import intake

    reports = {row["reject_id"] for row in _reports(engine, None, 100_000)}
    mine = None if fixed is None else {k: v for k, v in fixed.items() if k in reports}
    rest = None if fixed is None else {k: v for k, v in fixed.items() if k not in reports}
    answer: dict[str, dict[str, int]] = {}
    if rest is None or rest:
        got = intake.replay_rejects(engine, rest)
        answer["rows"] = {
            "received": got.received, "accepted": got.accepted, "rejected": got.rejected,
            "duplicate": got.duplicate,
        }  # fmt: skip
    if mine is None or mine:
        answer["reports"] = _replay_reports(engine, mine)
    return answer


def _replay_reports(
    engine: Engine, fixed: Mapping[str, Mapping[str, Any]] | None
) -> dict[str, int]:
    from jinqiao import catalog, conversion

    now = engine.clock()
    fixed = None if fixed is None else _readable(engine, fixed)

    def step(tx: Tx) -> Any:
        receipt = conversion.replay(tx, now_us=now, fixed=fixed)
        catalog.move(tx, receipt.moves, now)
        return receipt

    got: Any = engine.write(step, durable=True)
    return {
        "received": got.received, "accepted": got.accepted, "rejected": len(got.rejected),
        "duplicate": got.duplicate,
    }  # fmt: skip


def _readable(
    engine: Engine, fixed: Mapping[str, Mapping[str, Any]]
) -> dict[str, Mapping[str, Any]]:
    """Return the fixes, those of reports that could not be read as whole rows where they now can.

    Their fields may be written as a file writes them; the arrival stays what it was at first.
    """
    from jinqiao import conversion
    from jinqiao.flow.bulk import report_rows

    with engine.records.reading() as tx:
        kept = {row["reject_id"]: row for row in conversion.rejects(tx, limit=100_000)}
    made = dict(fixed)
    for name, changes in fixed.items():
        row = kept.get(name)
        if row is not None and row["code"] == "report_unreadable":
            whole = {**row["body"], **changes}
            made[name] = report_rows([whole], received_us=row["received_at"])[0]
    return made
