"""Anyone's table in, a calibrated score with reasons out.

Numbers and booleans are taken as they are; a text column becomes one yes-or-no column a value, for
the values seen often enough; a missing value stays missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jinqiao.errors import InputError, SchemaError
from jinqiao.propensity.reasons import contributions, told
from jinqiao.propensity.stage import StageModel, StageSpec, fit_stage

if TYPE_CHECKING:
    from jinqiao.domain.decision import Reason

__all__ = ["TableModel", "columns_of", "fit_table", "labels_of", "matrix_of"]

_MOST_VALUES = 24
_LEAST_ROWS = 20


@dataclass(frozen=True)
class TableModel:
    """A stage model and how a table's columns become its numbers.

    ``columns`` are (name, values): values name the yes-or-no columns of a text, () a number.
    """

    model: StageModel
    columns: tuple[tuple[str, tuple[str, ...]], ...]

    def predict(self, table: pa.Table) -> NDArray[np.float64]:
        """Return the chance of a yes for every row; raise SchemaError for a missing column."""
        return self.model.predict(matrix_of(self.columns, table))

    def contributions(self, table: pa.Table) -> NDArray[np.float64]:
        """Return what each column of ``model.names`` adds to the logit, (n, k + 1), base last."""
        return contributions(self.model, matrix_of(self.columns, table))

    def reasons(
        self,
        table: pa.Table,
        row: int,
        *,
        words: Mapping[str, tuple[str, str]] | None = None,
        most: int = 3,
    ) -> tuple[Reason, ...]:
        """Return the strongest reasons of one row.

        ``words`` maps a column to its Chinese and English name; without, the column's own name.
        """
        named = words or {name: (name, name) for name, _ in self.columns}
        added = self.contributions(table.slice(row, 1))[0]
        stage = (self.model.stage, self.model.stage)
        return told(added, self.model.names, named, stage=stage, most=most)

    @property
    def card(self) -> Mapping[str, object]:
        """What was learnt and how well, out of time, beside a constant and a plain logistic."""
        return self.model.card


def fit_table(
    table: pa.Table,
    target: str,
    *,
    time: str | None = None,
    leave_out: tuple[str, ...] = (),
    seed: int = 0,
    spec: StageSpec | None = None,
) -> TableModel:
    """Return a calibrated score of ``target`` (0/1 or boolean) learnt from the other columns.

    Rows are judged in the order of ``time``, or of the table. Columns named in ``leave_out``, and
    texts with more than two dozen frequent values (ids), are not used.

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
    for name in (*leave_out, *((time,) if time else ())):
        if name not in table.column_names:
            raise SchemaError("no such column", record="table", field=name)
    y = labels_of(table, target)
    left = {target, time, *leave_out}
    columns = tuple(columns_of(table, [name for name in table.column_names if name not in left]))
    names = tuple(f"{name}={v}" if v else name for name, vs in columns for v in (vs or ("",)))
    times = None if time is None else _instants(table[time])
    model = fit_stage(
        matrix_of(columns, table), y, names=names, times=times, seed=seed, spec=spec,
        stage=target,
    )  # fmt: skip
    return TableModel(model, columns)


def labels_of(table: pa.Table, target: str) -> NDArray[np.float64]:
    """Return the 0/1 labels of a column, (n,); raise SchemaError or InputError as ``fit_table``."""
    if target not in table.column_names:
        raise SchemaError("no such column", record="table", field=target)
    y = table[target].cast(pa.float64())
    if y.null_count or not np.isin(y.to_numpy(), (0.0, 1.0)).all():
        raise InputError("labels are 0 or 1, none missing", field=target)
    return np.asarray(y.to_numpy())


def _instants(column: pa.ChunkedArray) -> NDArray[np.int64]:
    rank = pc.rank(column.combine_chunks(), "ascending", tiebreaker="min")
    return np.asarray(rank.to_numpy(), np.int64)


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)
    )


def columns_of(table: pa.Table, names: list[str]) -> list[tuple[str, tuple[str, ...]]]:
    """Return (name, values) of every column that can be a number; see ``TableModel``."""
    found: list[tuple[str, tuple[str, ...]]] = []
    for name in names:
        kind = table[name].type
        if _is_text(kind):
            counts = pc.value_counts(table[name].cast(pa.string()).combine_chunks()).to_pylist()
            often = sorted(
                str(c["values"]) for c in counts
                if c["values"] is not None and c["counts"] >= min(_LEAST_ROWS, table.num_rows // 10)
            )  # fmt: skip
            if often and len(often) <= _MOST_VALUES:
                found.append((name, tuple(often)))
        elif pa.types.is_temporal(kind):
            continue
        else:
            found.append((name, ()))
    return found


def matrix_of(
    columns: tuple[tuple[str, tuple[str, ...]], ...], table: pa.Table
) -> NDArray[np.float32]:
    """Return the columns as numbers, (n, k) float32; raise SchemaError for a missing one."""
    parts: list[NDArray[np.float32]] = []
    for name, values in columns:
        if name not in table.column_names:
            raise SchemaError("the model needs this column", record="table", field=name)
        column = table[name]
        if not values:
            parts.append(column.cast(pa.float64()).to_numpy().astype(np.float32))
            continue
        text = column.cast(pa.string())
        missing = text.is_null().to_numpy()
        for value in values:
            hit = pc.fill_null(pc.equal(text, value), False).to_numpy().astype(np.float32)
            parts.append(np.where(missing, np.float32("nan"), hit))
    if not parts:
        return np.empty((table.num_rows, 0), np.float32)
    return np.ascontiguousarray(np.column_stack(parts), dtype=np.float32)
