"""A jurisdiction's rules by date: which names exist, what their values must be, and reading them.

The values, each with its source and article, are the files of ``jurisdictions/``; nothing here is a
number of any law. A rule that is required and has no value on a day is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType

from jinqiao.domain.jurisdiction import Jurisdiction, JurisdictionRule
from jinqiao.domain.stage import ProductClass
from jinqiao.errors import SchemaError

__all__ = [
    "RULES",
    "RuleKind",
    "check_pack",
    "credit_cap_bps",
    "private_lending_cap_bps",
    "required_rule",
    "retention_days",
    "suitable_levels",
]


@dataclass(frozen=True, slots=True)
class RuleKind:
    """What the value of a named rule must be: whole (within bounds), flag, classes or matrix."""

    kind: str
    unit: str
    lower: int = 0
    upper: int = 1_000_000
    required: bool = False


RULES: Mapping[str, RuleKind] = MappingProxyType(
    {
        "credit_all_in_cap_bps": RuleKind("whole", "bps", 1, 100_000, required=True),
        "private_lending_lpr_multiple": RuleKind("whole", "times", 1, 100),
        "lpr_1y_bps": RuleKind("whole", "bps", 0, 10_000),
        "minimum_age": RuleKind("whole", "years", 0, 30, required=True),
        "credit_to_students_forbidden": RuleKind("flag", "", required=True),
        "suitability_matrix": RuleKind("matrix", "", required=True),
        "suitability_classes": RuleKind("classes", "", required=True),
        "insurance_cooling_off_days": RuleKind("whole", "days", 0, 365),
        "personalisation_opt_out": RuleKind("flag", ""),
        "consent_retention_days": RuleKind("whole", "days", 0, 36_500, required=True),
        "decision_retention_days": RuleKind("whole", "days", 0, 36_500, required=True),
        "identity_retention_days": RuleKind("whole", "days", 0, 36_500, required=True),
        "journal_retention_days": RuleKind("whole", "days", 0, 36_500, required=True),
    }
)
"""Every rule name a pack may hold."""

LEVELS = range(1, 6)


def required_rule(jurisdiction: Jurisdiction, name: str, on: date) -> JurisdictionRule:
    """Return the rule of that name in force on a day.

    Raises SchemaError when the pack says nothing for that day: a law is never guessed.
    """
    found = jurisdiction.rule(name, on)
    if found is None:
        begins = [rule.in_force_from for rule in jurisdiction.rules if rule.name == name]
        fix = f"the first value begins on {min(begins)}" if begins else "add it, with its source"
        raise SchemaError(
            f"no {name} in force on {on}",
            record=f"jurisdiction {jurisdiction.code}",
            field=name,
            fix=fix,
        )
    return found


def _whole(jurisdiction: Jurisdiction, name: str, on: date) -> int:
    return int(str(required_rule(jurisdiction, name, on).value))


def credit_cap_bps(jurisdiction: Jurisdiction, on: date) -> int:
    """Return the highest yearly all-in cost of credit by licensed lenders, in basis points."""
    return _whole(jurisdiction, "credit_all_in_cap_bps", on)


def private_lending_cap_bps(jurisdiction: Jurisdiction, on: date) -> int:
    """Return the judicial ceiling of unlicensed lending: a multiple of the one-year LPR."""
    multiple = _whole(jurisdiction, "private_lending_lpr_multiple", on)
    return multiple * _whole(jurisdiction, "lpr_1y_bps", on)


def retention_days(jurisdiction: Jurisdiction, what: str, on: date) -> int:
    """Return how long ``consent``, ``decision``, ``identity`` or ``journal`` records are kept."""
    return _whole(jurisdiction, f"{what}_retention_days", on)


def suitable_levels(jurisdiction: Jurisdiction, on: date) -> Mapping[int, frozenset[int]]:
    """Return, per risk tolerance C1 to C5, the product risk levels R that may be shown."""
    matrix = required_rule(jurisdiction, "suitability_matrix", on).value
    assert isinstance(matrix, Mapping)
    return {
        int(str(tolerance)[1:]): frozenset(int(str(level)[1:]) for level in levels)
        for tolerance, levels in matrix.items()
    }


def check_pack(jurisdiction: Jurisdiction) -> tuple[tuple[int, str, str], ...]:
    """Return every fault of a pack as (index of the rule or -1, what is wrong, how to fix it)."""
    faults = []
    seen: set[tuple[str, date]] = set()
    for index, rule in enumerate(jurisdiction.rules):
        kind = RULES.get(rule.name)
        if kind is None:
            faults.append((index, f"no rule is called {rule.name!r}", _known_names()))
            continue
        wrong = _wrong_value(rule.value, kind)
        if wrong:
            faults.append((index, f"{rule.name}: {wrong}", "see the reference of the files"))
        if rule.unit != kind.unit:
            said = f"{rule.name} is in {kind.unit or 'no unit'}, not {rule.unit or 'no unit'}"
            faults.append((index, said, f"write unit: {kind.unit!r}"))
        if not rule.source.strip() or not rule.article.strip():
            faults.append((index, f"{rule.name} names no source or article", "name the regulation"))
        if (rule.name, rule.in_force_from) in seen:
            said = f"{rule.name} begins twice on {rule.in_force_from}"
            faults.append((index, said, "keep one of them"))
        seen.add((rule.name, rule.in_force_from))
    names = {rule.name for rule in jurisdiction.rules}
    faults.extend(
        (-1, f"required rule {name} is missing", "add it, with its source")
        for name, kind in RULES.items()
        if kind.required and name not in names
    )
    return tuple(faults)


def _known_names() -> str:
    return f"use one of {', '.join(RULES)}"


def _wrong_value(value: object, kind: RuleKind) -> str:
    match kind.kind:
        case "whole":
            whole = isinstance(value, int) and not isinstance(value, bool)
            if not whole or not kind.lower <= int(str(value)) <= kind.upper:
                return f"a whole number from {kind.lower} to {kind.upper} is needed, not {value!r}"
        case "flag":
            if not isinstance(value, bool):
                return f"true or false is needed, not {value!r}"
        case "classes":
            known = {member.value for member in ProductClass}
            if not isinstance(value, list | tuple) or not set(map(str, value)) <= known:
                return f"a list of product classes is needed, not {value!r}"
        case _:
            return _wrong_matrix(value)
    return ""


def _wrong_matrix(value: object) -> str:
    rows = {f"C{level}" for level in LEVELS}
    columns = {f"R{level}" for level in LEVELS}
    if not isinstance(value, Mapping) or set(value) != rows:
        return "a matrix has a row for each of C1 to C5"
    for name, levels in value.items():
        if not isinstance(levels, list | tuple) or not set(levels) <= columns:
            return f"row {name} is a list of R1 to R5"
    return ""
