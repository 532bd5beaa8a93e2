"""Rules over columns: n rows × R rules at memory speed.

Rows are taken a slice at a time so that a slice of every column stays in the processor's cache, and
a clause that several rules share is computed once a slice. n: rows; R: rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.rules.fields import fault
from jinqiao.engines.rules.tree import (
    And,
    Arithmetic,
    Coalesce,
    Column,
    Compare,
    Constant,
    Flag,
    IsNull,
    Node,
    Number,
    OneOf,
    Or,
    Range,
    Term,
    columns_of,
)

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["OTHER", "masks", "prepare"]

SLICE_ROWS = 16_384
OTHER = -2
"""Code of a category text that the field does not list: not NULL, and equal to no literal."""

Bools = NDArray[np.bool_]
Arrays = Mapping[str, NDArray[Any]]

_COMPARE: dict[str, Any] = {"<": np.less, "<=": np.less_equal, ">": np.greater,
                            ">=": np.greater_equal, "=": np.equal}  # fmt: skip


class HasTree(Protocol):
    @property
    def tree(self) -> Node: ...


def masks(rules: Sequence[HasTree], columns: Arrays | pa.Table) -> Bools:
    """Return which rows pass which rules, bool ``(n, R)`` (a view, contiguous per rule).

    ``columns``: see `prepare`. n is the length of the columns, also when no rule reads one.
    """
    arrays, n_rows = prepare(
        [column for rule in rules for column in columns_of(rule.tree)], columns
    )
    passed = np.empty((len(rules), n_rows), dtype=bool)
    for start in range(0, n_rows, SLICE_ROWS):
        stop = min(start + SLICE_ROWS, n_rows)
        one = _Slice({name: array[start:stop] for name, array in arrays.items()}, stop - start)
        for row, rule in enumerate(rules):
            passed[row, start:stop] = one.true(rule.tree)
    return passed.T


def prepare(wanted: Sequence[Column], columns: Arrays | pa.Table) -> tuple[dict[str, Any], int]:
    """Return the wanted columns as plain arrays, and the number of rows.

    Numbers: any numeric dtype (NaN is NULL) or object with None. Bools: bool, a float of 0, 1 and
    NaN, or object. Categories: texts (object or str, None or NaN is NULL), or integer codes into
    the field's ``values`` with -1 for NULL. An Arrow table gives the same with its own nulls.
    Raises SchemaError for a column that is missing or of another length.
    """
    names = columns.column_names if hasattr(columns, "column_names") else list(columns)
    n_rows = len(columns[names[0]]) if names else 0
    arrays: dict[str, Any] = {}
    for column in wanted:
        if column.name in arrays:
            continue
        if column.name not in names:
            raise fault(f"column {column.name} is missing", field=column.name)
        arrays[column.name] = array = _plain(column, columns[column.name])
        if len(array) != n_rows:
            raise fault(f"column {column.name} has {len(array)} rows, not {n_rows}")
    return arrays, n_rows


def _plain(column: Column, values: Any) -> NDArray[Any]:
    if hasattr(values, "to_pylist"):
        return _from_arrow(column, values)
    array = np.asarray(values)
    if column.kind == "category":
        return array if array.dtype.kind in "iu" else _codes(column, array)
    if array.dtype.kind == "O":
        array = array.astype(np.float64)  # None becomes NaN
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    if array.dtype.kind not in "iufb":
        raise fault(f"{column.name} holds {array.dtype}, not numbers", field=column.name)
    return array


def _from_arrow(column: Column, values: Any) -> NDArray[Any]:
    import pyarrow as pa

    if column.kind == "category":
        if pa.types.is_integer(values.type):
            return np.asarray(values.fill_null(-1))
        return _arrow_codes(column, values)
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.int8())
    if values.null_count:
        wide = values.type if pa.types.is_floating(values.type) else pa.float64()
        values = values.cast(wide)
    return np.asarray(values.to_numpy())


def _arrow_codes(column: Column, values: Any) -> NDArray[np.int16]:
    """Return codes of a text column: each distinct text is looked up once."""
    import pyarrow as pa

    if isinstance(values, pa.Array):
        values = pa.chunked_array([values])
    code = {text: index for index, text in enumerate(column.values)}
    parts = []
    for chunk in values.chunks:
        if not pa.types.is_dictionary(chunk.type):
            chunk = chunk.dictionary_encode()
        table = [-1 if t is None else code.get(t, OTHER) for t in chunk.dictionary.to_pylist()]
        lookup = np.array([*table, -1], dtype=np.int16)
        parts.append(lookup[np.asarray(chunk.indices.cast(pa.int64()).fill_null(-1))])
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int16)


def _codes(column: Column, array: NDArray[Any]) -> NDArray[np.int16]:
    import pyarrow as pa

    texts = pa.array(array.tolist(), type=pa.string(), from_pandas=True)
    return _arrow_codes(column, texts)


class _Slice:
    """One slice of rows; clauses already computed are kept for the next rule."""

    def __init__(self, arrays: Arrays, n_rows: int) -> None:
        self.arrays = arrays
        self.n_rows = n_rows
        self.known: dict[Node, Bools] = {}

    def true(self, node: Node) -> Bools:
        """Return where a tree is true. The result may be shared: do not write into it."""
        match node:
            case And(parts):
                return self._joined(np.logical_and, parts)
            case Or(parts):
                return self._joined(np.logical_or, parts)
        found = self.known.get(node)
        if found is None:
            found = self.known[node] = self._atom(node)
        return found

    def _joined(self, join: Any, parts: tuple[Node, ...]) -> Bools:
        result = join(self.true(parts[0]), self.true(parts[1]))
        for part in parts[2:]:
            join(result, self.true(part), out=result)
        return np.asarray(result)

    def _atom(self, node: Node) -> Bools:
        match node:
            case Constant(value):
                return np.full(self.n_rows, value)
            case Flag(column, negated):
                return np.asarray(self.arrays[column.name] == (0 if negated else 1))
            case IsNull(term, negated):
                null = self._null(term)
                return ~null if negated else null
            case OneOf(term, values, negated, _):
                return self._one_of(term, values, negated)
            case Range(term, lower, upper, negated, _):
                number = self._value(term)
                low, high = _scalar(number, lower), _scalar(number, upper)
                if negated:
                    return np.asarray((number < low) | (number > high))
                return np.asarray((number >= low) & (number <= high))
            case Compare(operator, left, right, _):
                return self._compare(operator, left, right)
            case _:
                raise AssertionError(node)

    def _compare(self, operator: str, left: Term, right: Term) -> Bools:
        a = self._value(left)
        b = _scalar(a, right.value) if isinstance(right, Number) else self._value(right)
        if operator == "<>":  # NaN <> x is true in IEEE, and NULL in SQL
            return np.asarray((a < b) | (a > b))
        return np.asarray(_COMPARE[operator](a, b))

    def _one_of(self, term: Term, values: tuple[Any, ...], negated: bool) -> Bools:
        value: NDArray[Any]
        if isinstance(term, Column) and term.kind == "category":
            value = self.arrays[term.name]
            values = tuple(term.values.index(text) for text in values)
        else:
            value = self._value(term)
        found: Bools = np.asarray(value == _scalar(value, values[0]))
        for other in values[1:]:
            np.logical_or(found, value == _scalar(value, other), out=found)
        return ~found & ~self._null(term) if negated else found

    def _null(self, term: Term) -> Bools:
        if isinstance(term, Column) and term.kind == "category":
            return np.asarray(self.arrays[term.name] == -1)
        value = self._value(term)
        return np.isnan(value) if value.dtype.kind == "f" else np.zeros(self.n_rows, dtype=bool)

    def _value(self, term: Term) -> NDArray[Any]:
        match term:
            case Number(value):
                return np.full(self.n_rows, float(value))
            case Column(name=name):
                return self.arrays[name]
            case Coalesce(parts):
                result = self._double(parts[0])
                for part in parts[1:]:
                    result = np.where(np.isnan(result), self._double(part), result)
                return result
            case Arithmetic(operator, left, right):
                return _computed(operator, self._double(left), self._double(right))

    def _double(self, term: Term) -> NDArray[np.float64]:
        return self._value(term).astype(np.float64, copy=False)


def _computed(operator: str, a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[Any]:
    with np.errstate(all="ignore"):
        match operator:
            case "+":
                return a + b
            case "-":
                return a - b
            case "*":
                return a * b
            case _:
                return np.where(b == 0.0, np.nan, a / b)


def _scalar(array: NDArray[Any], value: Any) -> Any:
    """Return a literal that compares exactly: a float32 column must not round it first."""
    if array.dtype == np.float32 and float(np.float32(value)) != value:
        return np.float64(value)
    return value
