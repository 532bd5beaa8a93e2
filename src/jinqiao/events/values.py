"""Texts and JSON values read as typed columns; a cell that does not fit marks its row, not the lot.

Numbers and instants are read by Arrow, so a column costs the same care whether one cell is bad or
none. An instant is ISO 8601 with a zone, or (JSON only) whole microseconds since 1970.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jinqiao.domain.row_fault import RowFault
from jinqiao.domain.tables import TableSchema
from jinqiao.domain.time import from_us
from jinqiao.engines.tables import arrow_schema, arrow_type

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Faults", "table_of_rows", "table_of_texts"]

_WHOLE = r"^[+-]?[0-9]{1,19}$"
_BAD = object()
_LATEST_US = 253_402_300_799_999_999  # the end of year 9999


class Faults:
    """The first fault found in each row (rows counted from 0 here)."""

    def __init__(self, first_row: int = 1, record: str = "") -> None:
        self.found: dict[int, RowFault] = {}
        self._first = first_row
        self._record = record

    def __len__(self) -> int:
        return len(self.found)

    def mark(self, place: int, code: str, field: str, **numbers: object) -> None:
        """Keep a fault of one row, unless it has one."""
        if place not in self.found:
            self.found[place] = RowFault(place + self._first, field, code, numbers, self._record)

    def mark_all(self, bad: pa.Array, code: str, field: str, **numbers: object) -> None:
        """Keep a fault of every row where ``bad`` is true."""
        import pyarrow.compute as pc

        if bad.true_count:
            for place in pc.indices_nonzero(bad).to_pylist():
                self.mark(place, code, field, **numbers)


def table_of_rows(
    rows: Sequence[Mapping[str, Any] | None], schema: TableSchema, faults: Faults
) -> pa.Table:
    """Return JSON objects as one typed table, null where a cell does not fit (and a fault).

    ``None`` is a row that has its fault already. Keys the schema lacks are faults too.
    """
    known = set(schema.names)
    for place, row in enumerate(rows):
        if row is not None and not known.issuperset(row):
            extra = min(str(key) for key in row if key not in known)
            faults.mark(place, "intake_unknown_field", _safe_name(extra))
    texts = {}
    for column in schema.columns:
        values = [None if row is None else _text(row.get(column.name), column.type) for row in rows]
        for place, value in enumerate(values):
            if value is _BAD:
                faults.mark(place, "intake_wrong_type", column.name, type=column.type)
                values[place] = None
        texts[column.name] = values
    return table_of_texts(texts, schema, faults)


def table_of_texts(
    texts: Mapping[str, Sequence[Any]], schema: TableSchema, faults: Faults
) -> pa.Table:
    """Return columns of texts (None is null) as one typed table, null where a text does not fit."""
    import pyarrow as pa

    columns = []
    for column in schema.columns:
        array = _strings(texts[column.name], column.name, faults)
        typed = _typed(array, column.type)
        lost = _lost(array, typed)
        faults.mark_all(lost, "intake_wrong_type", column.name, type=column.type)
        columns.append(typed)
    fields = [pa.field(f.name, f.type) for f in arrow_schema(schema)]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def _safe_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.]", "?", name)[:64]


def _text(value: Any, type_name: str) -> Any:
    """Return a JSON value as the text its column reads, None, or _BAD."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return _BAD
    if isinstance(value, int):
        if type_name == "timestamp":
            return from_us(value).isoformat() if 0 <= value <= _LATEST_US else _BAD
        return str(value) if value.bit_length() <= 64 else _BAD
    if isinstance(value, float):
        if type_name == "float64":
            return repr(value)
        whole = type_name in ("int8", "int32", "int64") and value.is_integer()
        return str(int(value)) if whole and abs(value) < 2**63 else _BAD
    return _BAD


def _strings(values: Sequence[Any], name: str, faults: Faults) -> pa.Array:
    import pyarrow as pa

    if isinstance(values, pa.Array):
        return values
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:
        clean = list(values)
        for place, value in enumerate(clean):
            if value is not None and not _encodes(value):
                faults.mark(place, "intake_not_text", name)
                clean[place] = None
        return pa.array(clean, pa.string())


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _typed(texts: pa.Array, type_name: str) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = arrow_type(type_name)
    if pa.types.is_string(wanted):
        return texts
    trimmed = pc.utf8_trim_whitespace(texts)
    if pa.types.is_integer(wanted):
        whole = pc.match_substring_regex(trimmed, _WHOLE)
        trimmed = pc.if_else(whole, pc.utf8_ltrim(trimmed, "+"), pa.scalar(None, pa.string()))
        return _cast(trimmed, wanted)
    if pa.types.is_timestamp(wanted):
        return pc.cast(_cast(trimmed, pa.timestamp("us", "UTC")), wanted)
    numbers = _cast(trimmed, wanted)
    return pc.if_else(pc.is_finite(numbers), numbers, pa.scalar(None, wanted))


def _cast(texts: pa.Array, wanted: pa.DataType) -> pa.Array:
    """Return texts cast, null where one cannot be, by halving around the bad ones."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        return pc.cast(texts, wanted)
    except pa.ArrowInvalid:
        if len(texts) == 1:
            return pa.nulls(1, wanted)
    half = len(texts) // 2
    return pa.concat_arrays([_cast(texts[:half], wanted), _cast(texts[half:], wanted)])


def _lost(texts: pa.Array, typed: pa.Array) -> pa.Array:
    import pyarrow.compute as pc

    return pc.and_(pc.is_valid(texts), pc.is_null(typed))
