"""A rule as bulk SQL that DuckDB and Spark read alike: doubles where arithmetic is done."""

from __future__ import annotations

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

__all__ = ["to_sql"]


def to_sql(node: Node) -> str:
    """Return the SQL expression of a tree."""
    match node:
        case And(parts):
            return "(" + " AND ".join(to_sql(part) for part in parts) + ")"
        case Or(parts):
            return "(" + " OR ".join(to_sql(part) for part in parts) + ")"
        case Compare(operator, left, right, _):
            exact = _is_whole(left) and _is_whole(right)
            return f"{_term(left, exact)} {operator} {_term(right, exact)}"
        case Range(term, lower, upper, negated, _):
            exact = _is_whole(term)
            word = "NOT BETWEEN" if negated else "BETWEEN"
            return f"{_term(term, exact)} {word} {_literal(lower)} AND {_literal(upper)}"
        case OneOf(term, values, negated, _):
            exact = _is_whole(term)
            word = "NOT IN" if negated else "IN"
            return f"{_term(term, exact)} {word} ({', '.join(_literal(v) for v in values)})"
        case IsNull(term, negated):
            return f"{_term(term, True)} IS {'NOT ' if negated else ''}NULL"
        case Flag(column, negated):
            return f"{'NOT ' if negated else ''}{_quoted(column.name)}"
        case Constant(value):
            return "TRUE" if value else "FALSE"


def _is_whole(term: Term) -> bool:
    """Return whether a side can be compared as it is stored: no double is involved."""
    match term:
        case Number(value):
            return isinstance(value, int)
        case Column(kind=kind):
            return kind != "float"
        case _:
            return False


def _term(term: Term, exact: bool = False) -> str:
    match term:
        case Number(value):
            return _literal(value if exact else float(value))
        case Column(name=name):
            return _quoted(name) if exact else f"CAST({_quoted(name)} AS DOUBLE)"
        case Arithmetic("/", left, right):
            return f"({_term(left)} / nullif({_term(right)}, 0e0))"
        case Arithmetic(operator, left, right):
            return f"({_term(left)} {operator} {_term(right)})"
        case Coalesce(parts):
            return f"coalesce({', '.join(_term(part) for part in parts)})"


def _literal(value: float | int | str) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, int):
        return str(value)
    text = repr(value)
    return text if "e" in text else f"{text}e0"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
