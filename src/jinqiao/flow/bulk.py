"""Bulk files of the desk: bills, consents, institutions' reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinqiao.domain.ids import keyed_id
from jinqiao.domain.tables import CONSENT_EVENTS, REPORTS, TableSchema
from jinqiao.domain.time import parse_instant, to_us
from jinqiao.errors import InputError, JinqiaoError, NotFound, SchemaError
from jinqiao.flow.wiring import Engine

if TYPE_CHECKING:
    import pyarrow as pa

    from jinqiao.conversion import Receipt

__all__ = [
    "import_bill",
    "import_consents",
    "import_reports",
    "read_rows",
    "report_rows",
    "report_table",
]

_MOST_BYTES = 512 << 20
_AT_ONCE = 5_000


def import_bill(
    engine: Engine,
    path: Path,
    *,
    user_id: str,
    account_id: str = "",
    hints: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return what became of an exported bill of one customer: every row is taken or named.

    ``hints``: the zone, currency and day_first of ``ledger.BillHints`` where the bill leaves them
    out; the marketplace's zone and currency otherwise.
    """
    from jinqiao import ledger
    from jinqiao.flow import intake

    def digest(text: str) -> str:
        return engine.vault.digest("bill", text)

    market = engine.settings.marketplace
    told = {"zone": market.zone, "currency": market.currency, **_given(hints or {})}
    bill = ledger.read_bill(path, digest=digest, hints=ledger.BillHints(**told))
    rows = bill.of(user_id, digest)
    if account_id:
        place = rows.schema.get_field_index("account_id")
        import pyarrow as pa

        name = pa.array([account_id] * rows.num_rows, pa.string())
        rows = rows.set_column(place, rows.schema.field(place), name)
    name = keyed_id("bill", _content(path), digest(user_id), account_id, *sorted(told.items()))
    got = intake.receive_table(engine, "transactions", rows, source=path.name, batch_id=name)
    unread = [_fault(f.row, f.field, f.code, f.numbers, f.record) for f in bill.faults]
    refused = [_fault(f.row, f.field, f.code, f.numbers, f.record) for f in got.faults]
    return {
        "kind": bill.kind, "received": bill.read, "accepted": got.accepted,
        "rejected": got.rejected + len(bill.faults), "duplicate": got.duplicate,
        "faults": (unread + refused)[:100],
        "balances": [
            {
                "currency": one.currency, "opening_minor": one.opening_minor,
                "closing_minor": one.closing_minor, "moved_minor": one.moved_minor,
                "difference_minor": one.difference_minor, "agrees": one.agrees,
            }
            for one in bill.balances
        ],
    }  # fmt: skip


def _content(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


def import_consents(engine: Engine, path: Path) -> dict[str, Any]:
    """Return what became of a file of grants and withdrawals (CONSENT_EVENTS by ``user_id``)."""
    from jinqiao.domain.consent import ConsentAction, Purpose
    from jinqiao.flow import intake

    words = {"purpose": {p.value for p in Purpose}, "action": {a.value for a in ConsentAction}}
    schema = _by_user(CONSENT_EVENTS)
    good: list[dict[str, Any]] = []
    faults: list[dict[str, Any]] = []
    for number, raw in enumerate(read_rows(path), start=1):
        try:
            row = _typed({"received_at": engine.clock(), **_given(raw)}, schema)
            for name, known in words.items():
                if row[name] not in known:
                    fix = f"use {', '.join(sorted(known))}"
                    raise SchemaError(f"{row[name]!r} is no {name}", field=name, fix=fix)
        except JinqiaoError as error:
            faults.append(_read_fault(number, error))
            continue
        good.append(row)
    new = sum(
        intake.receive_consents(engine, _table(good[at : at + _AT_ONCE], schema))
        for at in range(0, len(good), _AT_ONCE)
    )
    return {
        "received": len(good) + len(faults), "accepted": new, "rejected": len(faults),
        "duplicate": len(good) - new, "faults": faults[:100],
    }  # fmt: skip


def import_reports(engine: Engine, path: Path) -> dict[str, Any]:
    """Return what became of a file of institutions' reports, each with its ``institution_id``.

    What cannot be read is kept with the other rejects, to be mended and replayed.
    """
    from jinqiao import conversion
    from jinqiao.flow.live import receive_reports

    good: list[dict[str, Any]] = []
    faults: list[dict[str, Any]] = []
    unread: list[tuple[Mapping[str, object], str]] = []
    for number, raw in enumerate(read_rows(path), start=1):
        try:
            good.append(report_rows([raw], received_us=engine.clock())[0])
        except JinqiaoError as error:
            faults.append(_read_fault(number, error))
            unread.append((raw, error.field or ""))
    if unread:
        with engine.writing(durable=True) as tx:
            conversion.keep_unreadable(tx, unread, now_us=engine.clock())
    counts = {"accepted": 0, "duplicate": 0, "rejected": len(faults)}
    for at in range(0, len(good), _AT_ONCE):
        receipt: Receipt = receive_reports(engine, _table(good[at : at + _AT_ONCE], REPORTS))
        counts["accepted"] += receipt.accepted
        counts["duplicate"] += receipt.duplicate
        counts["rejected"] += receipt.results.count("rejected")
        faults += [
            _fault(None, r.field, r.reason.code, r.reason.numbers, r.report_id)
            for r in receipt.rejected
        ]
    return {"received": sum(counts.values()), **counts, "faults": faults[:100]}


def report_rows(
    rows: Sequence[Mapping[str, Any]], *, received_us: int, institution_id: str | None = None
) -> list[dict[str, Any]]:
    """Return reports as rows of REPORTS (instants in µs) from plain JSON or file values.

    ``institution_id``: whose reports they are; a row that names another is refused. Raises
    SchemaError naming the row and field that is missing or of another type.
    """
    made = []
    for number, row in enumerate(rows):
        record = f"reports[{number}]"
        given = {"polarity": "reached", "sequence": 0, **_given(row), "received_at": received_us}
        if institution_id is not None:
            named = given.setdefault("institution_id", institution_id)
            if named != institution_id:
                raise SchemaError("another institution's", record=record, field="institution_id")
        unknown = sorted(set(given) - set(REPORTS.names))
        if unknown:
            raise SchemaError("no such field", record=record, field=unknown[0])
        made.append(_typed(given, REPORTS, record))
    return made


def report_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return rows of ``report_rows`` as a REPORTS table."""
    return _table(rows, REPORTS)


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of an NDJSON, CSV or Parquet file as plain values.

    Raises NotFound for no file, InputError for another kind, SchemaError for a damaged one.
    """
    if not path.is_file():
        raise NotFound("no such file", record=str(path))
    if path.stat().st_size > _MOST_BYTES:
        raise InputError("the file is too large", record=str(path), fix="split it")
    readers = {".ndjson": _ndjson, ".jsonl": _ndjson, ".csv": _csv, ".parquet": _parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError("not a kind of file we read", record=str(path), fix=", ".join(readers))
    yield from reader(path)


def _ndjson(path: Path) -> Iterator[dict[str, Any]]:
    import msgspec

    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = msgspec.json.decode(line)
            except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
                raise SchemaError("not JSON", record=f"{path.name}:{number}") from error
            if not isinstance(row, dict):
                raise SchemaError("not an object", record=f"{path.name}:{number}")
            yield row


def _csv(path: Path) -> Iterator[dict[str, Any]]:
    import csv

    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file, strict=True):
                yield {str(key): value for key, value in row.items() if key is not None}
    except (csv.Error, UnicodeDecodeError) as error:
        raise SchemaError(f"not CSV in UTF-8: {error}", record=path.name) from error


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        for batch in pq.ParquetFile(path).iter_batches():
            yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise SchemaError("not a Parquet file", record=path.name) from error


def _given(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if value is not None and value != ""}


def _by_user(schema: TableSchema) -> TableSchema:
    from dataclasses import replace

    columns = tuple(
        replace(one, name="user_id") if one.name == "subject_id" else one for one in schema.columns
    )
    return TableSchema(f"{schema.name}_by_user", columns, schema.key, None)


def _typed(row: Mapping[str, Any], schema: TableSchema, record: str = "") -> dict[str, Any]:
    """Return a row in a schema's types: texts, whole numbers, instants as µs."""
    made: dict[str, Any] = {}
    for column in schema.columns:
        value = row.get(column.name)
        if value is None:
            if not column.nullable:
                raise SchemaError("is missing", record=record or None, field=column.name)
            made[column.name] = None
        elif column.type == "timestamp":
            made[column.name] = _instant(value, column.name, record)
        elif column.type in ("int8", "int32", "int64"):
            made[column.name] = _whole(value, column.type, column.name, record)
        elif isinstance(value, str):
            made[column.name] = value
        else:
            raise SchemaError("is no text", record=record or None, field=column.name)
    return made


def _instant(value: Any, field: str, record: str) -> int:
    from datetime import UTC, datetime

    try:
        if isinstance(value, datetime):
            return to_us(value if value.tzinfo else value.replace(tzinfo=UTC))
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**62:
            return value
        if isinstance(value, str):
            return to_us(parse_instant(value))
    except (InputError, OverflowError) as error:
        said = error.message if isinstance(error, InputError) else "is no instant"
        raise SchemaError(said, record=record or None, field=field) from error
    raise SchemaError(
        "is no instant", record=record or None, field=field, fix="2026-11-05T08:00:00Z"
    )


def _whole(value: Any, kind: str, field: str, record: str) -> int:
    bits = int(kind.removeprefix("int"))
    try:
        number = int(value) if isinstance(value, str) else value
    except ValueError:
        number = None
    most = 2 ** (bits - 1)
    if isinstance(number, int) and not isinstance(number, bool) and -most <= number < most:
        return number
    raise SchemaError("is no whole number", record=record or None, field=field)


def _table(rows: Sequence[Mapping[str, Any]], schema: TableSchema) -> pa.Table:
    import pyarrow as pa

    from jinqiao.engines.tables import arrow_schema

    columns = {name: [row[name] for row in rows] for name in schema.names}
    return pa.Table.from_pydict(columns, schema=arrow_schema(schema))


def _fault(
    row: int | None, field: str, code: str, numbers: Mapping[str, Any], record: str = ""
) -> dict[str, Any]:
    return {
        "row": row, "field": field, "code": code, "numbers": dict(numbers), "record": record,
    }  # fmt: skip


def _read_fault(number: int, error: JinqiaoError) -> dict[str, Any]:
    return _fault(number, error.field or "", error.message, {}, error.record or "")
