"""The rule language: what is refused, and what explanations say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jinqiao.engines.rules import Verdict, masks, parse
from jinqiao.errors import SchemaError

Fields = Mapping[str, Any]


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("agee > 3", 1, "did you mean age?"),
        ("age > 'x'", 7, "a number is needed"),
        ("city_tier <= 2 and occupation = 'salary'", 33, "did you mean salaried?"),
        ("occupation > 'gig'", 1, "no order"),
        ('occupation = "gig"', 14, "single quotes"),
        ("age > monthly_income_minor", 1, "years"),
        ("age + city_tier > 3", 1, "tier"),
        ("savings_rate >= 20", 1, "nobody can pass"),
        ("age between 55 and 22", 1, "holds for nobody"),
        ("age in (select 1)", 1, "list of literals"),
        ("lower(occupation) = 'gig'", 1, "not part of the rule language"),
        ("age > 1 -- note", 7, "comment"),
        ("age > 1; drop table people", 8, "semicolon"),
        ("people.age > 1", 1, "table name"),
        ("case when age > 1 then true end", None, "not part of the rule language"),
        ("age > $limit", None, "not part of the rule language"),
        ("age = null", None, "is null"),
        ("age", 1, "not true or false"),
        ("is_merchant > 3", 1, "not a number"),
        ("1 = 1", 1, "names no field"),
        ("age > 1e99", 7, "too large"),
        ("age > 1 / 0", None, "division by zero"),
        ("age >", 5, "missing"),
        ("'open", None, "quote is not closed"),
        ("(" * 40 + "age > 1" + ")" * 40, 33, "nested deeper"),
        ("not " * 900 + "is_merchant", None, "nested too deep"),
        ("age > 1 or " * 400 + "age > 1", None, "longer than"),
    ],
)
def test_a_wrong_rule_is_refused_with_its_place_and_a_fix(
    fields: Fields, text: str, column: int | None, said: str
) -> None:
    """What is outside the language is a SchemaError that says where and what to write instead."""
    with pytest.raises(SchemaError) as caught:
        parse(text, fields)
    assert said in str(caught.value)
    if column is not None:
        assert caught.value.record == f"rule, column {column}"


@given(text=st.text(max_size=60))
def test_no_text_raises_anything_but_a_schema_error(text: str) -> None:
    """Hostile text is refused, never run and never a crash."""
    try:
        parse(text, {})
    except SchemaError:
        return


def test_an_empty_rule_is_everyone(fields: Fields) -> None:
    """Blank text lets every row pass, in every form."""
    rule = parse("  ", fields)
    assert rule.mask({"age": np.array([1.0, np.nan])}).tolist() == [True, True]
    assert rule.passes({})
    assert rule.sql() == "TRUE"
    assert rule.names == ()


def test_an_unknown_field_value_is_not_eligible(fields: Fields) -> None:
    """A rule that is NULL does not pass, and neither does its negation."""
    for text in ("age >= 18", "not (age >= 18)"):
        assert not parse(text, fields).passes({"age": None})
        assert not parse(text, fields).mask({"age": np.array([np.nan])})[0]
    (clause,) = parse("age >= 18", fields).explain({})
    assert (clause.verdict, clause.missing) == (Verdict.UNKNOWN, ("age",))


def test_an_explanation_says_by_how_much(fields: Fields) -> None:
    """The clause that fails carries what was wanted, what was found and the difference."""
    rule = parse("age >= 18 and monthly_income_minor >= 500000", fields)
    met, failed = rule.explain({"age": 30, "monthly_income_minor": 420_000})
    assert (met.verdict, met.shortfall) == (Verdict.TRUE, 0.0)
    assert (failed.field, failed.wanted, failed.got) == ("monthly_income_minor", 500_000, 420_000)
    assert (failed.shortfall, failed.unit) == (80_000.0, "minor")


def test_an_or_tells_its_nearest_branch(fields: Fields) -> None:
    """Of several ways to qualify, the one with the smallest relative shortfall is told."""
    rule = parse("age >= 60 or monthly_income_minor >= 500000", fields)
    (clause,) = rule.explain({"age": 20, "monthly_income_minor": 490_000})
    assert clause.field == "monthly_income_minor"
    assert clause.branch == "monthly_income_minor >= 500000"
    (clause,) = rule.explain({"age": 59, "monthly_income_minor": None})
    assert (clause.field, clause.shortfall) == ("age", 1.0)


def test_a_comparison_of_two_fields_wants_the_other_one(fields: Fields) -> None:
    """What is wanted of income depends on the customer's own rent."""
    rule = parse("monthly_income_minor >= 3 * rent_monthly_minor", fields)
    (clause,) = rule.explain({"monthly_income_minor": 500_000, "rent_monthly_minor": 200_000})
    assert (clause.wanted, clause.shortfall) == (600_000.0, 100_000.0)
    (clause,) = rule.explain({"monthly_income_minor": 500_000})
    assert clause.missing == ("rent_monthly_minor",)


def test_units_follow_arithmetic(fields: Fields) -> None:
    """Money over money is a ratio, and money over a count is money."""
    parse("rent_monthly_minor / monthly_income_minor <= debt_service_ratio", fields)
    parse("monthly_income_minor / transactions_30d >= rent_monthly_minor", fields)
    with pytest.raises(SchemaError):
        parse("monthly_income_minor * rent_monthly_minor > rent_monthly_minor", fields)


def test_a_missing_column_is_an_error_not_an_empty_answer(fields: Fields) -> None:
    """A bulk mask without a column it reads names the column."""
    with pytest.raises(SchemaError, match="city_tier"):
        parse("city_tier <= 2", fields).mask({"age": np.array([3.0])})


def test_float32_columns_compare_like_doubles(fields: Fields) -> None:
    """A literal is not rounded to the width of a column: mask and closure agree at the edge."""
    column = np.array([0.3, 0.5], dtype=np.float32)
    rule = parse("debt_service_ratio > 0.3", fields)
    by_row = [rule.passes({"debt_service_ratio": value}) for value in column]
    assert rule.mask({"debt_service_ratio": column}).tolist() == by_row == [True, True]


def test_a_long_column_is_taken_in_slices_without_a_seam(fields: Fields) -> None:
    """Rows at the ends of slices get the same answer as in one piece."""
    age = np.arange(50_000, dtype=np.float64) % 100
    passed = masks([parse("age between 22 and 55", fields)], {"age": age})[:, 0]
    assert (passed == ((age >= 22) & (age <= 55))).all()


def test_rules_equal_by_meaning_share_a_tree(fields: Fields) -> None:
    """The order of a comparison's sides and brackets do not make another rule."""
    assert parse("18 <= age", fields) == parse("(age >= 18)", fields)
