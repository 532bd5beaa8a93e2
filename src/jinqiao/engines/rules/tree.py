"""The tree of a rule after negation was pushed to the leaves.

Without NOT above a leaf, "is true" of a conjunction is the conjunction of "is true", so no backend
needs a second bit for NULL: a comparison with NULL is simply not true, and neither is its negation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = [
    "And",
    "Arithmetic",
    "Atom",
    "Coalesce",
    "Column",
    "Compare",
    "Constant",
    "Flag",
    "IsNull",
    "Node",
    "Number",
    "OneOf",
    "Or",
    "Range",
    "Term",
    "columns_of",
    "negate",
    "show",
]


@dataclass(frozen=True, slots=True)
class Number:
    value: float | int


@dataclass(frozen=True, slots=True)
class Column:
    """A field: ``kind`` is int, float, bool or category; ``values`` are a category's texts."""

    name: str
    kind: str
    unit: str = ""
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """``operator`` is + - * or /; a division by zero is NULL."""

    operator: str
    left: Term
    right: Term


@dataclass(frozen=True, slots=True)
class Coalesce:
    """The first of the parts that is not NULL."""

    parts: tuple[Term, ...]


Term = Number | Column | Arithmetic | Coalesce


@dataclass(frozen=True, slots=True)
class Compare:
    """``operator`` is one of < <= > >= = <>; both sides are numbers."""

    operator: str
    left: Term
    right: Term
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Range:
    """``lower <= term <= upper``, or its negation; both ends are literals."""

    term: Term
    lower: float | int
    upper: float | int
    negated: bool = False
    unit: str = ""


@dataclass(frozen=True, slots=True)
class OneOf:
    """The term is one of some literals, or (negated) none of them."""

    term: Term
    values: tuple[float | int | str, ...]
    negated: bool = False
    unit: str = ""


@dataclass(frozen=True, slots=True)
class IsNull:
    term: Term
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Flag:
    """A bool column is true, or (negated) false."""

    column: Column
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Constant:
    value: bool


Atom = Compare | Range | OneOf | IsNull | Flag | Constant


@dataclass(frozen=True, slots=True)
class And:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple[Node, ...]


Node = And | Or | Compare | Range | OneOf | IsNull | Flag | Constant

_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "=": "<>", "<>": "="}


def negate(node: Node) -> Node:
    """Return NOT node with the negation pushed to the leaves (De Morgan; NULL stays NULL)."""
    match node:
        case And(parts):
            return Or(tuple(negate(part) for part in parts))
        case Or(parts):
            return And(tuple(negate(part) for part in parts))
        case Compare(operator, left, right, unit):
            return Compare(_OPPOSITE[operator], left, right, unit)
        case Range(term, lower, upper, negated, unit):
            return Range(term, lower, upper, not negated, unit)
        case OneOf(term, values, negated, unit):
            return OneOf(term, values, not negated, unit)
        case IsNull(term, negated):
            return IsNull(term, not negated)
        case Flag(column, negated):
            return Flag(column, not negated)
        case Constant(value):
            return Constant(not value)


def columns_of(node: Node | Term) -> Iterator[Column]:
    """Yield every column a tree or term names, in order, with repetitions."""
    match node:
        case Column():
            yield node
        case Flag(column, _):
            yield column
        case And(parts) | Or(parts) | Coalesce(parts):
            for part in parts:
                yield from columns_of(part)
        case Arithmetic(_, left, right) | Compare(_, left, right, _):
            yield from columns_of(left)
            yield from columns_of(right)
        case Range(term=term) | OneOf(term=term) | IsNull(term=term):
            yield from columns_of(term)
        case _:
            return


def show(node: Node | Term) -> str:
    """Return a tree as the text of a rule, normalised: what an explanation quotes."""
    match node:
        case Number(value):
            return f"{value:g}" if isinstance(value, float) else str(value)
        case Column(name=name):
            return name
        case Arithmetic(operator, left, right):
            return f"({show(left)} {operator} {show(right)})"
        case Coalesce(parts):
            return f"coalesce({', '.join(show(part) for part in parts)})"
        case Compare(operator, left, right, _):
            return f"{show(left)} {operator} {show(right)}"
        case Range(term, lower, upper, negated, _):
            word = "not between" if negated else "between"
            return f"{show(term)} {word} {show(Number(lower))} and {show(Number(upper))}"
        case OneOf(term, values, negated, _):
            return _show_one_of(term, values, negated)
        case IsNull(term, negated):
            return f"{show(term)} is {'not ' if negated else ''}null"
        case Flag(column, negated):
            return f"not {column.name}" if negated else column.name
        case Constant(value):
            return "true" if value else "false"
        case And(parts):
            return " and ".join(f"({show(p)})" if isinstance(p, Or) else show(p) for p in parts)
        case Or(parts):
            return " or ".join(f"({show(p)})" if isinstance(p, And) else show(p) for p in parts)


def _show_one_of(term: Term, values: tuple[float | int | str, ...], negated: bool) -> str:
    texts = [_literal(value) for value in values]
    if len(texts) == 1:
        return f"{show(term)} {'<>' if negated else '='} {texts[0]}"
    return f"{show(term)} {'not in' if negated else 'in'} ({', '.join(texts)})"


def _literal(value: float | int | str) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return show(Number(value))
