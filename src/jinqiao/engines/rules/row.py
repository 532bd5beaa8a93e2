"""A rule as a closure over one row: no parsing, no array, about a microsecond.

``values`` of a row are plain Python or NumPy scalars; absent, None and NaN are NULL.
"""

from __future__ import annotations

import operator as op
from collections.abc import Callable, Mapping
from typing import Any

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
)

__all__ = ["compile_row", "compile_term"]

Row = Mapping[str, object]
Test = Callable[[Row], bool]
Value = Callable[[Row], Any]

_TESTS: dict[str, Callable[[Any, Any], Any]] = {
    "<": op.lt, "<=": op.le, ">": op.gt, ">=": op.ge, "=": op.eq, "<>": op.ne,
}  # fmt: skip
_PLAIN = (int, float, str, bool)


def compile_row(node: Node) -> Test:
    """Return the test of a tree: true exactly where the rule is true."""
    match node:
        case And(parts):
            tests = tuple(compile_row(part) for part in parts)
            return lambda row: all(test(row) for test in tests)
        case Or(parts):
            tests = tuple(compile_row(part) for part in parts)
            return lambda row: any(test(row) for test in tests)
        case Constant(value):
            return lambda row: value
        case Flag(column, negated):
            return _one_of(compile_term(column), frozenset({not negated}), False)
        case IsNull(term, negated):
            get = compile_term(term)
            return lambda row: (get(row) is None) != negated
        case OneOf(term, values, negated, _):
            return _one_of(compile_term(term), frozenset(values), negated)
        case Range(term, lower, upper, negated, _):
            return _range(compile_term(term), lower, upper, negated)
        case Compare(operator, left, right, _):
            return _compare(operator, compile_term(left), right)


def _one_of(get: Value, values: frozenset[Any], negated: bool) -> Test:
    def test(row: Row) -> bool:
        value = get(row)
        return value is not None and (value in values) != negated

    return test


def _range(get: Value, lower: float, upper: float, negated: bool) -> Test:
    def test(row: Row) -> bool:
        value = get(row)
        return value is not None and (lower <= value <= upper) != negated

    return test


def _compare(operator: str, left: Value, right: Term) -> Test:
    compare = _TESTS[operator]
    if isinstance(right, Number):
        wanted = right.value

        def against_number(row: Row) -> bool:
            value = left(row)
            return value is not None and compare(value, wanted)

        return against_number
    other = compile_term(right)

    def against_term(row: Row) -> bool:
        a, b = left(row), other(row)
        return a is not None and b is not None and compare(a, b)

    return against_term


def compile_term(term: Term) -> Value:
    """Return a function from a row to a term's value, None for NULL."""
    match term:
        case Number(value):
            return lambda row: value
        case Column(name=name):
            return _column(name)
        case Coalesce(parts):
            gets = tuple(compile_term(part) for part in parts)
            return lambda row: next((v for v in (get(row) for get in gets) if v is not None), None)
        case Arithmetic(operator, left, right):
            return _arithmetic(operator, compile_term(left), compile_term(right))


def _column(name: str) -> Value:
    def get(row: Row) -> Any:
        value: Any = row.get(name)
        if value is None or value != value:
            return None
        if type(value) in _PLAIN:
            return value
        # A NumPy scalar compares in its own width; the other backends compare doubles.
        return value.item() if hasattr(value, "item") else value

    return get


def _arithmetic(operator: str, left: Value, right: Value) -> Value:
    def get(row: Row) -> float | None:
        a, b = left(row), right(row)
        if a is None or b is None:
            return None
        x, y = float(a), float(b)
        if operator == "/":
            return x / y if y != 0.0 else None
        return x + y if operator == "+" else x - y if operator == "-" else x * y

    return get
