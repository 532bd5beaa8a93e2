"""The two-engine SQL subset: what passes, what is refused and why, and the text for Spark."""

from __future__ import annotations

import pytest

from jinqiao.engines.sql import check, check_expression, to_spark
from jinqiao.errors import InputError, SchemaError

COLUMNS = frozenset({"a", "b", "c"})


@pytest.mark.parametrize(
    "text",
    [
        "sum(a) filter (where b < 30)",
        "count(*) filter (where c in ('x', 'y') and b is not null)",
        "coalesce(sum(a), 0) / nullif(count(*), 0)",
        "arg_max(a, row(b, c)) filter (where a is not null)",
        "case when a > 0 then 1.0 else -1.0 end",
        "cast(floor(a / 3) as bigint)",
        "cast(a as double) * log2(b) + ln(c)",
        "(a + 28800000000) // 3600000000 % 24",
        "count(distinct a) filter (where b between 1 and 5)",
    ],
)
def test_what_both_engines_agree_on_passes(text: str) -> None:
    """An expression of the subset is accepted and knows the columns it reads."""
    assert set(check_expression(text, COLUMNS, record="f").names) <= COLUMNS


@pytest.mark.parametrize(
    ("text", "said", "fix"),
    [
        ("a / b", "may be 0", "nullif"),
        ("a // b", "may be 0", "nullif"),
        ("a % 0", "may be 0", "nullif"),
        ("log(a)", "another base", "log2"),
        ("cast(a as bigint)", "rounds on one engine", "floor"),
        ("cast(a as varchar)", "a cast to", "double"),
        ("arg_max(a, b)", "skips NULL", "is not null"),
        ("arg_max(a, b) filter (where b is not null)", "skips NULL", "is not null"),
        ("sum(a) + b", "outside the aggregates", "aggregate it"),
        ("median(a)", "median", "Python step"),
        ("any_value(a)", "subset", ""),
        ("mode(a)", "mode", "count each"),
        ("current_timestamp", "subset", "parameter"),
        ("random()", "subset", "column"),
        ("date_diff('day', a, b)", "subset", "epoch_us"),
        ("a like 'x%'", "like", ""),
        ("max(a, b)", "several values", "greatest"),
        ("sum(a) over (order by b)", "window", "one group"),
        ("(select 1)", "subquery", "columns"),
        ("a in (select b from c)", "subquery", ""),
        ("d + 1", "no column 'd'", ""),
        ("secret_function(a)", "secret_function", ""),
        ("a +", "part is missing", ""),
        ("a; b", "one statement", ";"),
        ('"A b" + 1', "the name", "a to z"),
    ],
)  # fmt: skip
def test_what_they_do_differently_is_refused(text: str, said: str, fix: str) -> None:
    """A refusal names the expression, the reason, and what to write instead."""
    with pytest.raises(SchemaError) as refused:
        check_expression(text, COLUMNS, record="f")
    assert said in refused.value.message
    assert fix in (refused.value.fix or "")
    assert (refused.value.record or "").startswith("f")


def test_a_refusal_says_where() -> None:
    """The column of the part at fault stands in the record."""
    with pytest.raises(SchemaError) as refused:
        check_expression("a + b + log(c)", COLUMNS, record="income")
    assert refused.value.record == "income, column 9"


def test_a_query_lists_its_tables_and_parameters() -> None:
    """Tables it defines itself are left out; parameters are named once."""
    query = check(
        "with w as (select a from t where a < $limit) "
        "select a, count(*) n from w join u using (a) where a > $limit group by a order by a"
    )
    assert query.tables == ("u", "t") or set(query.tables) == {"t", "u"}
    assert query.parameters == ("limit",)


@pytest.mark.parametrize(
    "sql",
    [
        "select a from t limit 3",
        "select distinct on (a) a from t",
        "select * exclude (a) from t",
        "select a from t join u",
        "select a from t full join u using (a)",
        "select a from t asof join u using (a)",
        "select sum(a) over (partition by b) from t",
        "select row_number() over (partition by a) from t",
        "delete from t",
        "create table t (a int)",
        "select a from read_parquet('/etc/passwd')",
        "select a from t tablesample 10%",
        "copy t to 'x'",
        "pragma version",
    ],
)
def test_a_query_outside_the_subset_is_refused(sql: str) -> None:
    """Limits, samples, outer and as-of joins, files and statements that write are refused."""
    with pytest.raises(SchemaError):
        check(sql)


def test_the_text_for_spark_has_its_functions_and_values() -> None:
    """Instants, integer division, arg_max and parameters are said as Spark says them."""
    query = check(
        "select (epoch_us(t) + $shift) // 3600000000 % 24 as h, "
        "arg_max(v, row(t, i)) filter (where v is not null) as last from x "
        "where t <= make_timestamp($as_of_us) group by 1 order by h"
    )
    text = to_spark(query, {"shift": 28_800_000_000, "as_of_us": 7})
    assert "(UNIX_MICROS(CAST(t AS TIMESTAMP)) + 28800000000) DIV 3600000000 % 24" in text
    assert "MAX_BY(v, STRUCT(t, i)) FILTER(WHERE NOT v IS NULL)" in text
    assert "t <= TIMESTAMP_MICROS(7)" in text
    assert "$" not in text


def test_a_parameter_without_a_value_is_refused() -> None:
    """Spark's text is not written while a parameter is open."""
    with pytest.raises(InputError) as refused:
        to_spark(check("select a from t where a < $top"))
    assert refused.value.field == "top"


def test_a_fraction_is_a_double_for_spark() -> None:
    """A literal with a point is no decimal there, whose quotients would be rounded."""
    assert "a / CAST(30.4375 AS DOUBLE)" in to_spark(check("select a / 30.4375 as x from t"))
