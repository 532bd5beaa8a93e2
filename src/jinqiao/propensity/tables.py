"""Anyone's table in, a calibrated score with reasons out.

Numbers and booleans are taken as they are, and texts that are numbers ("1,200", "13.5%") as
numbers; any other text becomes one yes-or-no column a value, for the values seen often enough; a
missing value stays missing. Ids, instants, constants and columns of nothing are left out, and it is
said why.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jinqiao.engines.given import column_of, instants_of, is_text, labels_of, table_of
from jinqiao.errors import SchemaError
from jinqiao.propensity.reasons import contributions, told
from jinqiao.propensity.stage import StageModel, StageSpec, fit_stage

if TYPE_CHECKING:
    from jinqiao.domain.decision import Reason

__all__ = ["Columns", "TableModel", "choose", "columns_of", "fit_table", "matrix_of", "one_row"]

Columns = tuple[tuple[str, tuple[str, ...]], ...]
"""(name, values) of each: values name the yes-or-no columns of a text, () a number."""
_MOST_VALUES = 24
_LEAST_ROWS = 20
_COVERED = 0.5
_FEW_ROWS = 50
_MOST = 3e38
_ID_WORDS = frozenset({"id", "no", "nr", "num", "number", "key", "code", "uuid"})
_ID_ENDS = ("number", "num", "编号", "号码", "号")


@dataclass(frozen=True)
class TableModel:
    """A stage model and how a table's columns become its numbers.

    ``columns`` are (name, values): values name the yes-or-no columns of a text, () a number.
    """

    model: StageModel
    columns: Columns

    def predict(self, table: Any) -> NDArray[np.float64]:
        """Return the chance of a yes for every row; raise SchemaError for a missing column."""
        return self.model.predict(matrix_of(self.columns, table_of(table)))

    def contributions(self, table: Any) -> NDArray[np.float64]:
        """Return what each column of ``model.names`` adds to the logit, (n, k + 1), base last."""
        return contributions(self.model, matrix_of(self.columns, table_of(table)))

    def reasons(
        self,
        table: Any,
        row: int,
        *,
        words: Mapping[str, tuple[str, str]] | None = None,
        most: int = 3,
    ) -> tuple[Reason, ...]:
        """Return the strongest reasons of one row.

        ``words`` maps a column to its Chinese and English name; without, the column's own name.
        """
        named = words or {name: (name, name) for name, _ in self.columns}
        added = self.contributions(one_row(table_of(table), row))[0]
        stage = (self.model.stage, self.model.stage)
        return told(added, self.model.names, named, stage=stage, most=most)

    @property
    def card(self) -> Mapping[str, object]:
        """What was learnt and how well, out of time, beside a constant and a plain logistic."""
        return self.model.card


def fit_table(
    table: Any,
    target: str,
    *,
    time: str | None = None,
    yes: Any = None,
    leave_out: tuple[str, ...] = (),
    seed: int = 0,
    spec: StageSpec | None = None,
) -> TableModel:
    """Return a calibrated score of ``target`` (0/1 or boolean) learnt from the other columns.

    Rows are judged in the order of ``time`` (instants, texts of them, or numbers), or of the table.
    ``table`` is an Arrow table, a mapping of arrays, or the path of a CSV or Parquet file; ``yes``
    the target's value that counts as 1, where it is not 0/1. Columns named in ``leave_out``, and
    ids, instants and constants, are not used.

    Raises
    ------
    SchemaError : no such column. InputError : the target is not 0/1, or has missing values.

    Examples
    --------
    >>> table = pa.table({"income": [1.0, 2.0] * 200, "bought": [0, 1] * 200})
    >>> model = fit_table(table, "bought", seed=1)
    >>> model.predict(table).round(1)[:2].tolist()
    [0.0, 1.0]
    """
    table = table_of(table)
    for name in (*leave_out, *((time,) if time else ())):
        column_of(table, name)
    y = labels_of(table, target, yes=yes)
    left = {target, time, *leave_out}
    columns, _ = choose(table, [name for name in table.column_names if name not in left])
    names = tuple(f"{name}={v}" if v else name for name, vs in columns for v in (vs or ("",)))
    times = None if time is None else _order(table[time], time)
    model = fit_stage(
        matrix_of(columns, table), y, names=names, times=times, seed=seed, spec=spec,
        stage=target,
    )  # fmt: skip
    return TableModel(model, columns)


def _order(column: pa.ChunkedArray, name: str) -> NDArray[np.int64]:
    if is_text(column.type) or pa.types.is_temporal(column.type):
        column = pa.chunked_array([instants_of(column, name)])
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy()))
        raise SchemaError("a row without a time has no place in order", record=f"table row {row}",
                          field=name, fix="leave the row out, or give its time")  # fmt: skip
    rank = pc.rank(column.combine_chunks(), "ascending", tiebreaker="min")
    return np.asarray(rank.to_numpy(), np.int64)


def one_row(table: pa.Table, row: int) -> pa.Table:
    """Return one row of a table; raise SchemaError where there is none."""
    if not 0 <= row < table.num_rows:
        raise SchemaError(f"there is no row {row}", record="table",
                          fix=f"rows are 0 to {table.num_rows - 1}")  # fmt: skip
    return table.slice(row, 1)


def columns_of(table: pa.Table, names: list[str]) -> Columns:
    """Return (name, values) of every column that can be a number; see ``TableModel``."""
    return choose(table, names)[0]


def choose(table: pa.Table, names: list[str]) -> tuple[Columns, dict[str, str]]:
    """Return the columns that can be learnt from, and of every other one why it cannot."""
    found: list[tuple[str, tuple[str, ...]]] = []
    left: dict[str, str] = {}
    for name in names:
        values, why = _values(table[name], name)
        if why:
            left[name] = why
        else:
            found.append((name, values))
    return tuple(found), left


def _values(column: pa.ChunkedArray, name: str) -> tuple[tuple[str, ...], str]:
    """Return the values of a text, () for a number; and why a column is no use, or nothing."""
    kind, t = column.type, pa.types
    if column.null_count == len(column):
        return (), "nothing stands in it"
    if t.is_temporal(kind):
        return (), "an instant: hand in an age or the days between two instead"
    if not (is_text(kind) or t.is_integer(kind) or t.is_floating(kind) or t.is_boolean(kind)):
        return (), f"{kind} is neither a number nor a text"
    distinct = pc.count_distinct(column).as_py()
    if distinct == 1 and not column.null_count:
        return (), "the same in every row"
    if is_text(kind):
        return _of_text(column, name)
    if t.is_integer(kind) and _is_id(column, name, distinct):
        return (), "an id: it differs in every row"
    return (), ""


def _is_id(column: pa.ChunkedArray, name: str, distinct: int) -> bool:
    n = len(column)
    if n < _FEW_ROWS or distinct < n:
        return False
    ends = pc.min_max(column).as_py()
    counts = ends["max"] - ends["min"] < 2 * n  # a counter
    words = [w.lower() for w in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_]+", name)]
    named = any(word in _ID_WORDS or word.endswith(_ID_ENDS) for word in words)
    return bool(counts or named)


def _of_text(column: pa.ChunkedArray, name: str) -> tuple[tuple[str, ...], str]:
    if _as_numbers(column) is not None:
        return (), ""
    n = len(column)
    counts = pc.value_counts(column.combine_chunks()).to_pylist()
    frequent = sorted(
        ((-c["counts"], str(c["values"])) for c in counts if c["values"] is not None
         and c["counts"] >= max(1, min(_LEAST_ROWS, n // 10))),
    )[:_MOST_VALUES]  # fmt: skip
    if frequent and -sum(k for k, _ in frequent) >= _COVERED * (n - column.null_count):
        return tuple(sorted(value for _, value in frequent)), ""
    try:
        instants_of(column, name)
    except SchemaError:
        return (), "a text of too many values"
    return (), "an instant: hand in an age or the days between two instead"


def _as_numbers(text: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Return texts that are all numbers ("1,200", "13.5%") as numbers, or None."""
    plain = pc.utf8_trim_whitespace(text)
    plain = pc.replace_substring_regex(plain, r"^[¥￥$€£] *| *[%元]$|,", "")
    try:
        return pc.if_else(pc.equal(plain, ""), None, plain).cast(pa.float64())
    except pa.ArrowInvalid:
        return None


def matrix_of(columns: Columns, table: pa.Table) -> NDArray[np.float32]:
    """Return the columns as numbers, (n, k) float32.

    Raises SchemaError for a missing column, or a value that is no number where numbers were
    learnt from, by row.
    """
    parts: list[NDArray[np.float32]] = []
    for name, values in columns:
        if name not in table.column_names:
            raise SchemaError("the model needs this column", record="table", field=name,
                              fix="hand in every column it was learnt from")  # fmt: skip
        column = table[name]
        if not values:
            parts.append(_numbers(column, name))
            continue
        text = column.cast(pa.string())
        missing = text.is_null().to_numpy()
        for value in values:
            hit = pc.fill_null(pc.equal(text, value), False).to_numpy().astype(np.float32)
            parts.append(np.where(missing, np.float32("nan"), hit))
    if not parts:
        return np.empty((table.num_rows, 0), np.float32)
    return np.ascontiguousarray(np.column_stack(parts), dtype=np.float32)


def _numbers(column: pa.ChunkedArray, name: str) -> NDArray[np.float32]:
    if is_text(column.type):
        made = _as_numbers(column)
        if made is None:
            wrong = [_as_numbers(pa.chunked_array([[v]], pa.string())) is None
                     for v in column.to_pylist()]  # fmt: skip
            row = wrong.index(True)
            raise SchemaError(
                f"{column[row].as_py()!r} is no number", record=f"table row {row}", field=name,
                fix="numbers stood here where the model was learnt",
            )  # fmt: skip
        column = made
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    x = np.asarray(column.cast(pa.float64()).to_numpy(), np.float64)
    x = np.where(np.isfinite(x), np.clip(x, -_MOST, _MOST), np.nan)
    return np.asarray(x, np.float32)
