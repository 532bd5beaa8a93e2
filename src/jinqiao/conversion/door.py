"""The door for reports: records or an Arrow table become rows, each checked against its click."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from jinqiao.domain.application import Postback
from jinqiao.domain.decision import Reason
from jinqiao.domain.stage import STAGES, Polarity, Stage
from jinqiao.domain.tables import REPORTS
from jinqiao.domain.time import to_us
from jinqiao.errors import SchemaError
from jinqiao.store.base import Row

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "CLOCK_SKEW_US",
    "body_digest",
    "fault",
    "kept_body",
    "opened_body",
    "rows_of",
    "sound_clicks",
]

CLOCK_SKEW_US = 300_000_000
"""How far an institution's clock may be off, either way."""

_POLARITIES = frozenset(polarity.value for polarity in Polarity)
_STAGES = {
    product_class.value: frozenset(stage.value for stage in stages)
    - {Stage.IMPRESSION.value, Stage.CLICK.value}
    for product_class, stages in STAGES.items()
}
_NEVER_REFUSED = frozenset({Stage.REPAYMENT.value, Stage.DEFAULT.value})
_BODY = tuple(name for name in REPORTS.names if name != "received_at")
_MAX_MINOR = 10**15
_LONGEST = {
    "report_id": 128,
    "institution_id": 96,
    "click_id": 64,
    "corrects": 128,
    "refusal_code": 64,
}


def rows_of(postbacks: Sequence[Postback] | pa.Table) -> list[dict[str, Any]]:
    """Return plain rows (instants µs, stage and polarity text) of records or a REPORTS table.

    Raises SchemaError when a table lacks a column.
    """
    if isinstance(postbacks, Sequence):
        return [_of_record(post) for post in postbacks]
    return _of_table(postbacks)


def sound_clicks(rows: Iterable[Row]) -> list[str]:
    """Return the click ids that could be one: records need not be asked for the others."""
    return sorted({row["click_id"] for row in rows if _sound(row["click_id"], 64)})


def kept_body(row: Row) -> str:
    """Return a rejected report as it is kept: exactly as it came, in ASCII."""
    return json.dumps({name: row[name] for name in REPORTS.names})


def opened_body(body: str) -> dict[str, Any]:
    """Return the report a kept body holds."""
    return dict(json.loads(body))


def body_digest(row: Row) -> str:
    """Return a digest of what a report says; when it arrived is no part of it."""
    text = "\x1f".join(str(row[name]) for name in _BODY)
    return hashlib.blake2b(text.encode(errors="backslashreplace"), digest_size=16).hexdigest()


def fault(row: Row, click: Row | None) -> tuple[str, Reason] | None:
    """Return the field at fault and why a report cannot be accepted, or None when it can.

    A click of another institution is as unknown as one that never was.
    """
    for name, most in _LONGEST.items():
        if row[name] is not None and not _sound(row[name], most):
            return name, Reason("report_bad_text", {"field": name, "most": most})
    if not row["report_id"]:
        return "report_id", Reason("report_bad_text", {"field": "report_id", "most": 128})
    if click is None or click["institution_id"] != row["institution_id"]:
        return "click_id", Reason("report_unknown_click", {"click_id": row["click_id"]})
    if not click["reserved"]:
        return "click_id", Reason("report_sold_out_click", {"click_id": row["click_id"]})
    return _stage_fault(row, click) or _time_fault(row, click) or _value_fault(row, click)


def _sound(text: str, most: int) -> bool:
    return len(text) <= most and text.isprintable()


def _stage_fault(row: Row, click: Row) -> tuple[str, Reason] | None:
    stage, polarity = row["stage"], row["polarity"]
    if stage not in _STAGES[click["product_class"]]:
        numbers = {"stage": stage, "product_class": click["product_class"]}
        return "stage", Reason("report_impossible_stage", numbers)
    if polarity not in _POLARITIES or (polarity == Polarity.REFUSED and stage in _NEVER_REFUSED):
        return "polarity", Reason("report_impossible_polarity", {"polarity": polarity})
    return None


def _time_fault(row: Row, click: Row) -> tuple[str, Reason] | None:
    before = click["clicked_at"] - row["occurred_at"]
    if before > CLOCK_SKEW_US and row["stage"] != Stage.PRE_APPROVAL:
        return "occurred_at", Reason("report_before_click", {"seconds": before // 1_000_000})
    ahead = row["occurred_at"] - row["received_at"]
    if ahead > CLOCK_SKEW_US:
        return "occurred_at", Reason("report_from_future", {"seconds": ahead // 1_000_000})
    return None


def _value_fault(row: Row, click: Row) -> tuple[str, Reason] | None:
    amount, currency = row["amount_minor"], row["currency"]
    if amount is not None and not 0 <= amount <= _MAX_MINOR:
        return "amount_minor", Reason("report_bad_amount", {"amount_minor": amount})
    if currency is not None and currency != click["currency"]:
        numbers = {"given": currency, "wanted": click["currency"]}
        return "currency", Reason("report_other_currency", numbers)
    if row["corrects"] == row["report_id"]:
        return "corrects", Reason("report_corrects_itself", {"report_id": row["report_id"]})
    if not 0 <= row["sequence"] < 2**31:
        return "sequence", Reason("report_bad_sequence", {"sequence": row["sequence"]})
    return None


def _of_record(post: Postback) -> dict[str, Any]:
    return {
        "report_id": post.report_id,
        "institution_id": post.institution_id,
        "click_id": post.click_id,
        "stage": post.stage.value,
        "polarity": post.polarity.value,
        "occurred_at": to_us(post.occurred_at),
        "received_at": to_us(post.received_at),
        "amount_minor": post.amount_minor,
        "currency": post.currency,
        "corrects": post.corrects,
        "sequence": post.sequence,
        "refusal_code": post.refusal_code,
    }


def _of_table(table: pa.Table) -> list[dict[str, Any]]:
    import pyarrow as pa

    missing = [name for name in REPORTS.names if name not in table.column_names]
    if missing:
        raise SchemaError("a column is missing", record=REPORTS.name, field=missing[0])
    columns: dict[str, list[Any]] = {}
    for column in REPORTS.columns:
        values = table[column.name]
        if values.null_count and not column.nullable:
            raise SchemaError("a value is missing", record=REPORTS.name, field=column.name)
        if column.type == "timestamp":
            values = values.cast(pa.timestamp("us")).cast(pa.int64())
        columns[column.name] = values.to_pylist()
    return [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
