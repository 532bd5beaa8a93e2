"""Dated rules: the value of the day, a source for each, and no guessing."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from jinqiao.domain.jurisdiction import Jurisdiction, JurisdictionRule
from jinqiao.errors import SchemaError
from jinqiao.policy import (
    check_pack,
    credit_cap_bps,
    private_lending_cap_bps,
    required_rule,
    retention_days,
)


def changed(law: Jurisdiction, name: str, /, **changes: object) -> Jurisdiction:
    rules = [replace(r, **changes) if r.name == name else r for r in law.rules]  # type: ignore[arg-type]
    return replace(law, rules=tuple(rules))


def test_a_rule_changes_on_its_day(law: Jurisdiction) -> None:
    """The judicial ceiling is four times the rate in force on the day, not before or after."""
    assert private_lending_cap_bps(law, date(2025, 5, 19)) == 4 * 385
    assert private_lending_cap_bps(law, date(2025, 5, 20)) == 4 * 300


def test_caps_and_retention_are_read_for_a_day(law: Jurisdiction) -> None:
    """The cap on credit and the years of keeping come from the pack."""
    assert credit_cap_bps(law, date(2025, 1, 1)) == 2_400
    assert retention_days(law, "journal", date(2025, 1, 1)) == 10_950


def test_no_value_for_a_day_is_an_error(law: Jurisdiction) -> None:
    """A day before the first value names the rule and when it begins."""
    with pytest.raises(SchemaError) as caught:
        required_rule(law, "minimum_age", date(2001, 1, 1))
    assert caught.value.field == "minimum_age"
    assert "2020-01-01" in str(caught.value)


def test_a_good_pack_has_no_fault(law: Jurisdiction) -> None:
    """The pack used by these tests is well formed."""
    assert check_pack(law) == ()


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("minimum_age", {"value": "18"}, "whole number"),
        ("minimum_age", {"value": True}, "whole number"),
        ("minimum_age", {"unit": "days"}, "is in years"),
        ("minimum_age", {"name": "minimal_age"}, "no rule is called"),
        ("minimum_age", {"source": " "}, "names no source"),
        ("credit_to_students_forbidden", {"value": 1}, "true or false"),
        ("suitability_classes", {"value": ["stock"]}, "product classes"),
        ("suitability_matrix", {"value": {"C1": ["R1"]}}, "C1 to C5"),
        ("suitability_matrix", {"value": {f"C{c}": ["R9"] for c in range(1, 6)}}, "R1 to R5"),
    ],
)
def test_a_faulty_pack_says_what_is_wrong(
    law: Jurisdiction, name: str, changes: dict[str, object], said: str
) -> None:
    """Each kind of fault is found and told."""
    assert any(said in message for _, message, _ in check_pack(changed(law, name, **changes)))


def test_two_values_from_one_day_are_a_fault(law: Jurisdiction) -> None:
    """A rule cannot have two values that begin together."""
    twice = replace(law, rules=(*law.rules, law.rules[0]))
    assert any("begins twice" in message for _, message, _ in check_pack(twice))


def test_a_missing_required_rule_is_a_fault(law: Jurisdiction) -> None:
    """A pack without a minimum age is not usable, and says which rule it lacks."""
    fewer: tuple[JurisdictionRule, ...] = tuple(r for r in law.rules if r.name != "minimum_age")
    assert any("minimum_age" in text for _, text, _ in check_pack(replace(law, rules=fewer)))
