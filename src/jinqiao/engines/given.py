"""Anyone's table as it is handed in: Arrow, a mapping of arrays, a CSV or Parquet file.

In: a table in one of many forms. Out: an Arrow table of plain types; texts read as instants or as
yes and no where that is asked for. Always: what cannot be read is refused by column, row and fix;
rows are counted from 0; nothing is guessed that could be read two ways.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jinqiao.errors import InputError, NotFound, SchemaError

__all__ = ["column_of", "instants_of", "is_text", "labels_of", "table_of"]

_NOTHING = ("", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "?", "#N/A")
_MARKS = (",", ";", "\t", "|")
_FORMATS = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%Y年%m月%d日",
    "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y/%m/%d %H:%M:%S", "%Y-%m-%d %H:%M",
    "%Y/%m/%d %H:%M", "%Y-%m-%dT%H:%M", "%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S",
    "%d-%b-%Y", "%d %b %Y", "%b-%d-%Y", "%Y%m%d%H%M%S",
)  # fmt: skip
_TWO_WAYS = (("%d/%m/%Y", "%m/%d/%Y"), ("%d-%m-%Y", "%m-%d-%Y"),
             ("%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M"),
             ("%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S"))  # fmt: skip
_YES = {"yes": 1.0, "y": 1.0, "true": 1.0, "t": 1.0, "1": 1.0, "是": 1.0}
_NO = {"no": 0.0, "n": 0.0, "false": 0.0, "f": 0.0, "0": 0.0, "否": 0.0}


def table_of(given: Any, *, record: str = "table") -> pa.Table:
    """Return an Arrow table of anything that is one.

    Parameters
    ----------
    given : an Arrow table or batch; a mapping of column names to arrays or lists; a path of a .csv,
        .tsv, .txt or .parquet file; or anything of the Arrow interchange (pandas, polars, DuckDB).
    record : what errors call it.

    Raises
    ------
    NotFound : no such file. SchemaError : it cannot be read as a table, columns of unequal length,
        the same column twice, no rows.
    """
    table = _decoded(_read(given, record))
    repeated = sorted({n for n in table.column_names if table.column_names.count(n) > 1})
    if repeated:
        raise SchemaError("the column is there twice", record=record, field=repeated[0],
                          fix="name every column once")  # fmt: skip
    if not table.num_rows:
        raise SchemaError("there are no rows", record=record, fix="hand in a table with rows")
    return table


def _read(given: Any, record: str) -> pa.Table:
    if isinstance(given, pa.Table):
        return given
    if isinstance(given, pa.RecordBatch):
        return pa.Table.from_batches([given])
    if isinstance(given, str | Path):
        return _file(Path(given))
    if isinstance(given, Mapping):
        return _mapping(given, record)
    if hasattr(given, "__arrow_c_stream__"):
        return pa.table(given)
    raise SchemaError(
        f"a {type(given).__name__} is no table", record=record,
        fix="hand in an Arrow table, a mapping of arrays, or the path of a CSV or Parquet file",
    )  # fmt: skip


def _mapping(given: Mapping[Any, Any], record: str) -> pa.Table:
    columns = {}
    for name, values in given.items():
        try:
            columns[str(name)] = pa.array(_flat(values), from_pandas=True)
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise SchemaError(
                f"cannot be read as one column: {error}", record=record, field=str(name),
                fix="one kind of value a column: numbers, texts, booleans or instants",
            ) from error  # fmt: skip
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        usual = max(lengths.values(), key=list(lengths.values()).count)
        odd = next(name for name, n in lengths.items() if n != usual)
        raise SchemaError(
            f"{lengths[odd]} values where other columns have {usual}", record=record, field=odd,
            fix="one value a row in every column",
        )  # fmt: skip
    return pa.table(columns)


def _flat(values: Any) -> Any:
    if isinstance(values, pa.ChunkedArray):
        return values.combine_chunks()
    if isinstance(values, np.ndarray) and values.dtype.kind == "U":
        return values.astype(object)
    return values


def _file(path: Path) -> pa.Table:
    if not path.is_file():
        raise NotFound("no such file", record=str(path), fix="name a CSV or Parquet file")
    kind = path.suffix.lower()
    try:
        if kind in (".parquet", ".pq"):
            import pyarrow.parquet as pq

            return pq.read_table(path)
        if kind in (".csv", ".tsv", ".txt", ".gz"):
            return _csv(path)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise SchemaError(f"cannot be read: {error}", record=str(path)) from error
    raise SchemaError(
        f"{kind or 'no suffix'} is not a kind of file read here", record=str(path),
        fix="hand in .csv, .tsv or .parquet",
    )  # fmt: skip


def _csv(path: Path) -> pa.Table:
    from pyarrow import csv

    with pa.input_stream(str(path), compression="detect") as lines:
        start = lines.read(65_536)
    first = start.split(b"\n", 1)[0]
    mark = max(_MARKS, key=lambda m: first.count(m.encode()))
    try:
        start.decode("utf-8")
        encoding = "utf-8"
    except UnicodeDecodeError as error:
        # a cut character at the end of what was looked at is no fault
        encoding = "utf-8" if error.start > len(start) - 4 else "gb18030"
    return csv.read_csv(
        path,
        read_options=csv.ReadOptions(encoding=encoding, block_size=1 << 24),
        parse_options=csv.ParseOptions(delimiter=mark, newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            null_values=list(_NOTHING), strings_can_be_null=True, quoted_strings_can_be_null=True
        ),
    )


def _decoded(table: pa.Table) -> pa.Table:
    """Return the table with categories as texts, decimals as numbers, no empty type."""
    for place, field in enumerate(table.schema):
        kind, want = field.type, field.type
        if pa.types.is_dictionary(kind):
            want = pa.string() if is_text(kind.value_type) else kind.value_type
        elif is_text(kind):
            want = pa.string()
        elif pa.types.is_decimal(kind) or pa.types.is_null(kind) or pa.types.is_float16(kind):
            want = pa.float64()
        if not want.equals(kind):
            table = table.set_column(place, field.name, table.column(place).cast(want))
    return table


def is_text(kind: pa.DataType) -> bool:
    """Return whether a type is one of text."""
    t = pa.types
    return bool(t.is_string(kind) or t.is_large_string(kind) or t.is_string_view(kind))


def column_of(table: pa.Table, name: str, *, record: str = "table") -> pa.ChunkedArray:
    """Return a column; raise SchemaError naming those that are there."""
    if name not in table.column_names:
        raise SchemaError(
            "no such column", record=record, field=name,
            fix=f"columns are {', '.join(table.column_names[:20])}",
        )  # fmt: skip
    return table[name]


def instants_of(column: pa.ChunkedArray, name: str, *, record: str = "table") -> pa.Array:
    """Return instants as int64 microseconds since 1970 (UTC), null where nothing stands.

    Instants and days are taken as they are; texts in one of the usual ways of writing them, all of
    a column in one way. Numbers are refused: they may count seconds or milliseconds.

    Raises
    ------
    SchemaError : a type or text that is no instant, by row; or days and months that may be swapped.
    """
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        flat = column.cast(pa.timestamp("us", getattr(kind, "tz", None)), safe=False)
        return flat.cast(pa.int64()).combine_chunks()
    if is_text(kind):
        return _parsed(column.combine_chunks(), name, record)
    if column.null_count == len(column):
        return pa.nulls(len(column), pa.int64())
    raise SchemaError(
        f"{kind} is no instant", record=record, field=name,
        fix="cast it: pyarrow.compute.cast(seconds, pyarrow.timestamp('s'))",
    )  # fmt: skip


def _parsed(text: pa.Array, name: str, record: str) -> pa.Array:
    text = pc.utf8_trim_whitespace(text)
    text = pc.if_else(pc.is_in(text, pa.array(_NOTHING)), pa.scalar(None, pa.string()), text)
    have = len(text) - text.null_count
    for zone in (None, "UTC"):  # ISO 8601, all without or all with a zone, which is taken to UTC
        try:
            return text.cast(pa.timestamp("us", zone)).cast(pa.int64())
        except pa.ArrowInvalid:
            continue
    best, most = None, 0
    tried = [(one, None) for one in _FORMATS] + [pair for a, b in _TWO_WAYS for pair in
                                                ((a, b), (b, a))]  # fmt: skip
    for form, other in tried:
        made = _as(text, form)
        read = len(made) - made.null_count
        if read == have and other is not None:
            again = _as(text, other)
            if again.null_count == made.null_count and not again.equals(made):
                one = text[_first(text.is_valid())].as_py()
                raise SchemaError(
                    f"{one!r} may be read day first or month first",
                    record=record, field=name, fix="write days as 2026-01-31",
                )  # fmt: skip
        if read == have:
            return made.cast(pa.int64())
        if read > most:
            best, most = made, read
    row = _first_odd(text) if best is None else _first(pc.and_(best.is_null(), text.is_valid()))
    raise SchemaError(
        f"{text[row].as_py()!r} is no instant"
        + (" written as the others are" if best is not None else ""),
        record=f"{record} row {row}", field=name,
        fix="write instants as 2026-01-31 or 2026-01-31T08:00:00Z",
    )  # fmt: skip


def _as(text: pa.Array, form: str) -> pa.Array:
    return pc.strptime(text, format=form, unit="us", error_is_null=True)


def _first(where: pa.Array) -> int:
    return int(np.argmax(where.to_numpy(zero_copy_only=False)))


def _first_odd(text: pa.Array) -> int:
    """Return the first row that is not ISO 8601 as most are, the first that stands if none is."""
    valid = np.flatnonzero(text.is_valid().to_numpy(zero_copy_only=False))
    for row in valid:
        for kind in (pa.timestamp("us"), pa.timestamp("us", "UTC")):
            try:
                text.slice(row, 1).cast(kind)
                break
            except pa.ArrowInvalid:
                continue
        else:
            return int(row)
    return int(valid[0])


def labels_of(
    table: pa.Table, name: str, *, yes: Any = None, record: str = "table"
) -> NDArray[np.float64]:
    """Return the labels of a column as 0 and 1, (n,).

    0/1, booleans and yes/no (true/false, y/n, 是/否) are read as they are; of any other column
    ``yes`` is the value that counts as 1.

    Raises
    ------
    SchemaError : no such column. InputError : a label that is missing or neither, by row; a ``yes``
        that no row has; two or more other values and no ``yes``.
    """
    column = column_of(table, name, record=record)
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy()))
        raise InputError(
            f"labels are 0 or 1, none missing: {column.null_count} are", record=f"{record} row "
            f"{row}", field=name, fix="leave out rows whose outcome is not known yet",
        )  # fmt: skip
    if yes is not None:
        hit = _equal(column, yes)
        if not hit.any():
            raise InputError(
                f"no row has {yes!r}", record=record, field=name,
                fix=f"values are {_some(column)}",
            )  # fmt: skip
        return hit.astype(np.float64)
    made = _zero_one(column)
    bad = ~np.isin(made, (0.0, 1.0))
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            f"labels are 0 or 1, none missing; this is {column[row].as_py()!r}",
            record=f"{record} row {row}", field=name,
            fix=f"values are {_some(column)}: say which of them counts as yes=",
        )  # fmt: skip
    return made


def _zero_one(column: pa.ChunkedArray) -> NDArray[np.float64]:
    kind = column.type
    if is_text(kind):
        known = {**_YES, **_NO}
        return np.array(
            [known.get(str(v).strip().lower(), np.nan) for v in column.to_pylist()], np.float64
        )
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return np.asarray(column.cast(pa.float64()).to_numpy(), np.float64)
    return np.full(len(column), np.nan)


def _equal(column: pa.ChunkedArray, yes: Any) -> NDArray[np.bool_]:
    try:
        hit = pc.equal(column, pa.scalar(yes).cast(column.type))
    except (pa.ArrowException, TypeError):
        return np.zeros(len(column), bool)
    return np.asarray(hit.to_numpy(), bool)


def _some(column: pa.ChunkedArray) -> str:
    values = column.unique().to_pylist()
    shown = ", ".join(repr(v) for v in sorted(values, key=str)[:6])
    return shown + (f" and {len(values) - 6} more" if len(values) > 6 else "")
