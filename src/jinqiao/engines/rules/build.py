"""From a parsed SQL expression to a typed tree; everything not expressly allowed is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinqiao.engines.rules.fields import FieldLike, combine_units, fault, nearest, same_unit
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
    negate,
    show,
)
from jinqiao.errors import SchemaError

__all__ = ["MAX_DEPTH", "MAX_LITERAL", "Builder"]

MAX_DEPTH = 32
"""Deepest nesting of brackets, NOT and functions."""
MAX_LITERAL = 10**15
"""Largest literal: beyond 2**53 a double no longer counts every whole number."""
MAX_OPERATORS = 16
"""Most arithmetic operators in one term, so that no product of stored amounts overflows."""
MAX_LIST = 200
"""Most values in one IN list."""

_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "<>": "<>"}
_COMPARES = {"LT": "<", "LTE": "<=", "GT": ">", "GTE": ">=", "EQ": "=", "NEQ": "<>"}
_ARITHMETIC = {"Add": "+", "Sub": "-", "Mul": "*", "Div": "/"}

Typed = tuple[Term, str | None]
"""A term and its unit; None for a bare literal, which takes the unit of what it meets."""


class Builder:
    """Builds one rule over the fields it may name. ``expression`` arguments are sqlglot nodes."""

    def __init__(self, fields: Mapping[str, FieldLike]) -> None:
        self.fields = fields

    def node(self, expression: Any, depth: int = 0) -> Node:
        """Return the tree of a boolean expression; raise SchemaError for anything not allowed."""
        if depth > MAX_DEPTH:
            raise fault(f"nested deeper than {MAX_DEPTH}", fix="split the rule into clauses")
        kind = type(expression).__name__
        if kind == "Paren":
            return self.node(expression.this, depth + 1)
        if kind == "Not":
            return negate(self.node(expression.this, depth + 1))
        if kind in ("And", "Or"):
            parts = tuple(self.node(part, depth + 1) for part in _chain(expression, kind))
            return And(parts) if kind == "And" else Or(parts)
        if kind in _COMPARES:
            return self._compare(expression, _COMPARES[kind], depth)
        if kind == "Between":
            return self._between(expression, depth)
        if kind == "In":
            return self._one_of(expression, depth)
        if kind == "Is":
            return self._is_null(expression, depth)
        if kind == "Boolean":
            return Constant(bool(expression.this))
        if kind == "Column":
            return self._flag(expression)
        raise _refused(expression, kind)

    def _flag(self, expression: Any) -> Flag:
        column = self._column(expression)
        if column.kind != "bool":
            raise fault(
                f"{column.name} is a {column.kind}, not true or false",
                column=_column_of(expression),
                field=column.name,
                fix=f"compare it, for example {column.name} >= 1",
            )
        return Flag(column)

    def _compare(self, expression: Any, operator: str, depth: int) -> Node:
        left, right = expression.this, expression.expression
        for one, other in ((left, right), (right, left)):
            texts = self._texts_of(one, other, operator)
            if texts is not None:
                return texts
        for one, other in ((left, right), (right, left)):
            if type(other).__name__ == "Boolean" and operator in ("=", "<>"):
                flag = self._flag(one)
                return flag if bool(other.this) == (operator == "=") else Flag(flag.column, True)
        a, unit_a = self._term(left, depth + 1)
        b, unit_b = self._term(right, depth + 1)
        self._agree(expression, (a, unit_a), (b, unit_b))
        if isinstance(a, Number):
            a, b, operator = b, a, _FLIPPED[operator]
        if isinstance(a, Number):
            raise fault("a clause names no field", column=_column_of(expression))
        unit = next((u for u in (unit_a, unit_b) if u is not None), "")
        if operator in ("=", "<>") and isinstance(b, Number):
            self._possible(expression, a, b.value, b.value, operator == "<>")
            return OneOf(a, (b.value,), operator == "<>", unit)
        if isinstance(b, Number):
            lower = b.value if operator in (">", ">=") else None
            upper = b.value if operator in ("<", "<=") else None
            self._possible(expression, a, lower, upper, False)
        return Compare(operator, a, b, unit)

    def _texts_of(self, one: Any, other: Any, operator: str) -> Node | None:
        """Return category = 'text' as a membership, or None when neither side is a category."""
        if type(one).__name__ != "Column":
            return None
        column = self._column(one)
        if column.kind != "category":
            return None
        if operator not in ("=", "<>"):
            raise fault(
                f"{column.name} is a category and has no order",
                column=_column_of(one),
                field=column.name,
                fix="use =, <> or in (…)",
            )
        return OneOf(column, (self._text(column, other),), operator == "<>")

    def _text(self, column: Column, expression: Any) -> str:
        if type(expression).__name__ != "Literal" or not expression.is_string:
            raise fault(
                f"{column.name} is a category: compare it with a text in single quotes",
                column=_column_of(expression),
                field=column.name,
                fix=nearest("", column.values),
            )
        text = str(expression.this)
        if text not in column.values:
            raise fault(
                f"{column.name} is never {text!r}",
                column=_column_of(expression),
                field=column.name,
                fix=nearest(text, column.values),
            )
        return text

    def _between(self, expression: Any, depth: int) -> Node:
        term = self._term(expression.this, depth + 1)
        lower = self._term(expression.args["low"], depth + 1)
        upper = self._term(expression.args["high"], depth + 1)
        self._agree(expression, term, lower)
        self._agree(expression, term, upper)
        if isinstance(term[0], Number):
            raise fault("a clause names no field", column=_column_of(expression))
        unit = term[1] or ""
        if not (isinstance(lower[0], Number) and isinstance(upper[0], Number)):
            at_least = Compare(">=", term[0], lower[0], unit)
            return And((at_least, Compare("<=", term[0], upper[0], unit)))
        if lower[0].value > upper[0].value:
            raise fault(
                f"between {show(lower[0])} and {show(upper[0])} holds for nobody",
                column=_column_of(expression),
                fix="write the smaller number first",
            )
        self._possible(expression, term[0], lower[0].value, upper[0].value, False)
        return Range(term[0], lower[0].value, upper[0].value, False, unit)

    def _one_of(self, expression: Any, depth: int) -> Node:
        items = expression.args.get("expressions") or []
        if not items or expression.args.get("query") or expression.args.get("unnest"):
            raise fault(
                "in (…) takes a list of literals",
                column=_column_of(expression),
                fix="for example occupation in ('salaried', 'gig')",
            )
        if len(items) > MAX_LIST:
            raise fault(f"a list of more than {MAX_LIST} values", column=_column_of(expression))
        if type(expression.this).__name__ == "Column":
            column = self._column(expression.this)
            if column.kind == "category":
                return OneOf(column, tuple(dict.fromkeys(self._text(column, i) for i in items)))
        term, unit = self._term(expression.this, depth + 1)
        values = []
        for item in items:
            value, _ = self._term(item, depth + 1)
            if not isinstance(value, Number):
                raise fault("in (…) takes literals only", column=_column_of(item))
            values.append(value.value)
        if isinstance(term, Number):
            raise fault("a clause names no field", column=_column_of(expression))
        return OneOf(term, tuple(dict.fromkeys(values)), False, unit or "")

    def _is_null(self, expression: Any, depth: int) -> Node:
        if type(expression.expression).__name__ != "Null":
            raise fault(
                "only is null and is not null are known",
                column=_column_of(expression),
                fix="write a bool field alone, or with not",
            )
        if type(expression.this).__name__ == "Column":
            return IsNull(self._column(expression.this))
        term, _ = self._term(expression.this, depth + 1)
        if isinstance(term, Number):
            raise fault("a clause names no field", column=_column_of(expression))
        return IsNull(term)

    def _term(self, expression: Any, depth: int) -> Typed:
        """Return a number-valued term and its unit."""
        if depth > MAX_DEPTH:
            raise fault(f"nested deeper than {MAX_DEPTH}", fix="split the rule into clauses")
        kind = type(expression).__name__
        if kind == "Paren":
            return self._term(expression.this, depth + 1)
        if kind == "Literal":
            return _number(expression), None
        if kind == "Neg":
            term, unit = self._term(expression.this, depth + 1)
            if isinstance(term, Number):
                return Number(-term.value), unit
            return Arithmetic("-", Number(0), term), unit
        if kind == "Column":
            return self._number_column(expression)
        if kind in _ARITHMETIC:
            return self._arithmetic(expression, _ARITHMETIC[kind], depth)
        if kind == "Coalesce":
            return self._coalesce(expression, depth)
        if kind == "Null":
            raise fault("nothing is equal to null", fix="write is null or is not null")
        raise _refused(expression, kind)

    def _number_column(self, expression: Any) -> Typed:
        column = self._column(expression)
        if column.kind not in ("int", "float"):
            raise fault(
                f"{column.name} is a {column.kind}, not a number",
                column=_column_of(expression),
                field=column.name,
                fix="compare a category with a text in single quotes, write a bool alone",
            )
        return column, column.unit

    def _arithmetic(self, expression: Any, operator: str, depth: int) -> Typed:
        left = self._term(expression.this, depth + 1)
        right = self._term(expression.expression, depth + 1)
        if operator in "+-":
            self._agree(expression, left, right)
            unit = left[1] if left[1] is not None else right[1]
        else:
            unit = combine_units(operator, left[1], right[1])
        if isinstance(left[0], Number) and isinstance(right[0], Number):
            return _folded(operator, left[0].value, right[0].value), unit
        term = Arithmetic(operator, left[0], right[0])
        if _operators(term) > MAX_OPERATORS:
            raise fault(f"more than {MAX_OPERATORS} operators in one term")
        return term, unit

    def _coalesce(self, expression: Any, depth: int) -> Typed:
        parts = [self._term(p, depth + 1) for p in (expression.this, *expression.expressions)]
        for part in parts[1:]:
            self._agree(expression, parts[0], part)
        unit = next((unit for _, unit in parts if unit is not None), None)
        return Coalesce(tuple(term for term, _ in parts)), unit

    def _column(self, expression: Any) -> Column:
        name = str(expression.name)
        position = _column_of(expression)
        if expression.args.get("table") is not None:
            raise fault(
                f"{expression.sql()} has a table name", column=position, fix=f"write {name}"
            )
        known = self.fields.get(name)
        if known is None:
            fix = nearest(name, tuple(self.fields))
            if getattr(expression.this, "quoted", False):
                fix = f"texts take single quotes: '{name}'"
            raise fault(f"no field {name!r}", column=position, field=name, fix=fix)
        if known.type == "category" and not known.values:
            raise fault(f"category {name} lists no values", column=position, field=name)
        if known.type not in ("int", "float", "bool", "category"):
            raise fault(f"{name} has unknown type {known.type!r}", column=position, field=name)
        return Column(name, known.type, known.unit, tuple(known.values))

    def _agree(self, expression: Any, left: Typed, right: Typed) -> None:
        if not same_unit(left[1], right[1]):
            raise fault(
                f"{show(left[0])} is in {left[1] or 'no unit'} "
                f"and {show(right[0])} in {right[1] or 'no unit'}",
                column=_column_of(expression),
                field=show(left[0]),
                fix="compare or add fields of one unit only",
            )

    def _possible(
        self, expression: Any, term: Term, lower: float | None, upper: float | None, negated: bool
    ) -> None:
        """Refuse a clause that no value of the field can meet: mostly a slip of unit."""
        if negated or not isinstance(term, Column):
            return
        field = self.fields[term.name]
        too_high = lower is not None and field.upper is not None and lower > field.upper
        too_low = upper is not None and field.lower is not None and upper < field.lower
        if too_high or too_low:
            raise fault(
                f"{term.name} lies between {field.lower} and {field.upper}: nobody can pass",
                column=_column_of(expression),
                field=term.name,
                fix=f"give the number in {term.unit or 'the unit of the field'}",
            )


def _chain(expression: Any, kind: str) -> list[Any]:
    """Return the operands of a left-deep chain of AND or OR, in order, without recursion."""
    parts: list[Any] = []
    while type(expression).__name__ == kind:
        parts.append(expression.expression)
        expression = expression.this
    parts.append(expression)
    return parts[::-1]


def _number(literal: Any) -> Number:
    if literal.is_string:
        raise fault(
            f"'{literal.this}' is a text where a number is needed",
            column=_column_of(literal),
            fix="write numbers without quotes; only category fields take texts",
        )
    text = str(literal.this)
    try:
        value: float | int = int(text) if text.isdigit() else float(text)
    except ValueError as error:
        raise fault(f"{text} is not a number", column=_column_of(literal)) from error
    if not abs(value) <= MAX_LITERAL:
        raise fault(f"{text} is too large", column=_column_of(literal), fix="use minor units")
    return Number(value)


def _folded(operator: str, left: float, right: float) -> Number:
    if operator == "/" and right == 0:
        raise fault("a division by zero")
    values = {"+": left + right, "-": left - right, "*": left * right}
    value = float(left) / right if operator == "/" else values[operator]
    if abs(value) > MAX_LITERAL:
        raise fault("a literal that is too large")
    return Number(int(value) if float(value).is_integer() else value)


def _operators(term: Term) -> int:
    match term:
        case Arithmetic(_, left, right):
            return 1 + _operators(left) + _operators(right)
        case Coalesce(parts):
            return sum(_operators(part) for part in parts)
        case _:
            return 0


def _column_of(expression: Any) -> int | None:
    """Return the 1-based column of the first token below a sqlglot node that knows its place."""
    starts = [n.meta["start"] for n in expression.walk() if n.meta.get("start") is not None]
    return min(starts) + 1 if starts else None


def _refused(expression: Any, kind: str) -> SchemaError:
    return fault(
        f"{kind.lower()} is not part of the rule language",
        column=_column_of(expression),
        fix="use and, or, not, comparisons, between, in, is null, + - * /, coalesce",
    )
