"""Why a row passes or not, clause by clause, and by how much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from jinqiao.engines.rules.row import compile_row, compile_term
from jinqiao.engines.rules.tree import (
    And,
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
    show,
)

__all__ = ["ClauseResult", "Verdict", "explain"]

_UNKNOWN_DISTANCE = 1_000.0
"""An unknown field is farther than any number, so a branch with known fields is nearer."""


class Verdict(StrEnum):
    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ClauseResult:
    """One clause against one row.

    Attributes
    ----------
    clause : its text in normal form.
    field : the field it tests; the expression's text when it tests one.
    relation : at_least, at_most, above, below, between, outside, one_of, none_of, known, unknown,
        true, false or constant.
    wanted : the number, the ``(lower, upper)`` pair or the tuple of values asked for.
    got : what the row has; None when NULL.
    shortfall : by how much ``got`` must change, ≥ 0, in ``unit``; None when that has no meaning.
    unit : the unit of the numbers.
    verdict : true, false or unknown.
    missing : the fields that are NULL, when the verdict is unknown.
    branch : the text of the OR branch it belongs to ("" outside any OR). Of several branches the
        one met, or else the nearest, is told.
    """

    clause: str
    field: str
    relation: str
    wanted: object
    got: object
    shortfall: float | None
    unit: str
    verdict: Verdict
    missing: tuple[str, ...] = ()
    branch: str = ""


def explain(node: Node, row: Mapping[str, object]) -> tuple[ClauseResult, ...]:
    """Return the clauses that decide a row; all of them are true exactly when the rule is."""
    match node:
        case And(parts):
            return tuple(result for part in parts for result in explain(part, row))
        case Or(parts):
            branches = [explain(part, row) for part in parts]
            best = min(range(len(parts)), key=lambda index: (_distance(branches[index]), index))
            text = show(parts[best])
            return tuple(replace(result, branch=text) for result in branches[best])
        case _:
            return (_atom(node, row),)


def _distance(results: tuple[ClauseResult, ...]) -> float:
    """Return how far a branch is from being met: the sum of its relative shortfalls."""
    total = 0.0
    for result in results:
        if result.verdict is Verdict.UNKNOWN:
            total += _UNKNOWN_DISTANCE
        elif result.verdict is Verdict.FALSE:
            total += 1e-9 + _relative(result)
    return total


def _relative(result: ClauseResult) -> float:
    if result.shortfall is None:
        return 1.0
    wanted = result.wanted if isinstance(result.wanted, tuple) else (result.wanted,)
    scale = max((abs(float(w)) for w in wanted if isinstance(w, int | float)), default=1.0)
    return result.shortfall / max(scale, 1.0)


def _atom(node: Node, row: Mapping[str, object]) -> ClauseResult:
    subject, relation, wanted = _parts(node, row)
    got = compile_term(subject)(row) if subject is not None else None
    missing: tuple[str, ...] = ()
    if compile_row(node)(row):
        verdict = Verdict.TRUE
    elif isinstance(node, IsNull | Constant) or not (missing := _missing(node, row)):
        verdict = Verdict.FALSE
    else:
        verdict = Verdict.UNKNOWN
    short = _shortfall(relation, wanted, got) if verdict is Verdict.FALSE else None
    return ClauseResult(
        clause=show(node),
        field=show(subject) if subject is not None else "",
        relation=relation,
        wanted=wanted,
        got=got,
        shortfall=0.0 if verdict is Verdict.TRUE and _is_numeric(relation) else short,
        unit=getattr(node, "unit", ""),
        verdict=verdict,
        missing=missing,
    )


_RELATIONS = {">=": "at_least", "<=": "at_most", ">": "above", "<": "below",
              "=": "one_of", "<>": "none_of"}  # fmt: skip
_NUMERIC = frozenset({"at_least", "at_most", "above", "below", "between", "outside"})


def _is_numeric(relation: str) -> bool:
    return relation in _NUMERIC


def _parts(node: Node, row: Mapping[str, object]) -> tuple[Term | None, str, Any]:
    """Return a clause's subject, its relation, and what it wants of this row."""
    match node:
        case Compare(operator, left, right, _):
            wanted = right.value if isinstance(right, Number) else compile_term(right)(row)
            relation = _RELATIONS[operator]
            return left, relation, (wanted,) if operator in ("=", "<>") else wanted
        case Range(term, lower, upper, negated, _):
            return term, "outside" if negated else "between", (lower, upper)
        case OneOf(term, values, negated, _):
            return term, "none_of" if negated else "one_of", values
        case IsNull(term, negated):
            return term, "known" if negated else "unknown", None
        case Flag(column, negated):
            return column, "false" if negated else "true", not negated
        case Constant(value):
            return None, "constant", value
        case _:
            raise AssertionError(node)


def _missing(node: Node, row: Mapping[str, object]) -> tuple[str, ...]:
    """Return the NULL fields of a clause that has no verdict; empty when it has one."""
    terms: tuple[Term, ...]
    match node:
        case Compare(_, left, right, _):
            terms = (left, right)
        case Range(term=term) | OneOf(term=term):
            terms = (term,)
        case Flag(column, _):
            terms = (column,)
        case _:
            return ()
    if all(compile_term(term)(row) is not None for term in terms):
        return ()
    columns: list[Column] = [column for term in terms for column in columns_of(term)]
    absent = [column.name for column in columns if compile_term(column)(row) is None]
    # Nothing is NULL and still no value: a division by zero. Then every field named is at fault.
    return tuple(dict.fromkeys(absent or [column.name for column in columns]))


def _shortfall(relation: str, wanted: Any, got: Any) -> float | None:
    """Return how far a number is from what is wanted, ≥ 0; None for texts and flags."""
    if isinstance(got, bool | str) or got is None:
        return None
    value = float(got)
    match relation:
        case "at_least" | "above":
            return float(wanted) - value
        case "at_most" | "below":
            return value - float(wanted)
        case "between":
            lower, upper = wanted
            return max(float(lower) - value, value - float(upper))
        case "outside":
            lower, upper = wanted
            return min(value - float(lower), float(upper) - value)
        case "one_of":
            return float(min(abs(value - float(one)) for one in wanted))
        case _:
            return None
