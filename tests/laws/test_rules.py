"""The law of the rule language: mask, test, explanation and SQL agree on every rule and row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from jinqiao.engines.rules import RuleIndex, Verdict, masks, parse


@dataclass(frozen=True)
class RuleField:
    name: str
    type: str
    unit: str = ""
    values: tuple[str, ...] = ()
    lower: float | None = None
    upper: float | None = None


TEXTS = ("a", "b", "it's")
FIELDS: Mapping[str, RuleField] = {
    field.name: field
    for field in (
        RuleField("i", "int"),
        RuleField("j", "int"),
        RuleField("x", "float"),
        RuleField("y", "float"),
        RuleField("c", "category", values=TEXTS),
        RuleField("f", "bool"),
    )
}
SCHEMA = pa.schema(
    [("i", pa.int64()), ("j", pa.int64()), ("x", pa.float64()), ("y", pa.float32()),
     ("c", pa.string()), ("f", pa.bool_())]
)  # fmt: skip

# Few distinct values, so that equality, range ends and division by zero are met often.
INTS = st.integers(-3, 3)
FLOATS = st.sampled_from([-1.5, -0.3, 0.0, 0.1, 0.3, 1.0, 2.5])
NUMBERS = st.one_of(INTS.map(str), FLOATS.map(str))
TEXT = st.sampled_from(TEXTS).map(lambda text: "'" + text.replace("'", "''") + "'")
OPERATOR = st.sampled_from(["<", "<=", ">", ">=", "=", "<>", "!="])

TERMS = st.recursive(
    st.sampled_from(["i", "j", "x", "y"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), st.one_of(inner, NUMBERS)).map(
            lambda parts: f"({' '.join(parts)})"
        ),
        st.tuples(inner, NUMBERS).map(lambda parts: f"coalesce({', '.join(parts)})"),
    ),
    max_leaves=3,
)
CLAUSES = st.one_of(
    st.tuples(TERMS, OPERATOR, st.one_of(NUMBERS, TERMS)).map(" ".join),
    st.tuples(NUMBERS, OPERATOR, TERMS).map(" ".join),
    st.tuples(TERMS, st.sampled_from(["between", "not between"]), INTS).map(
        lambda parts: f"{parts[0]} {parts[1]} {parts[2]} and {parts[2] + 2}"
    ),
    st.tuples(TERMS, st.sampled_from(["in", "not in"]), st.lists(NUMBERS, min_size=1)).map(
        lambda parts: f"{parts[0]} {parts[1]} ({', '.join(parts[2])})"
    ),
    st.tuples(st.sampled_from(["c = ", "c <> ", "'b' = "]), TEXT).map(
        lambda parts: parts[0] + (parts[1] if parts[0].startswith("c") else "c")
    ),
    st.lists(TEXT, min_size=1).map(lambda texts: f"c not in ({', '.join(texts)})"),
    st.tuples(st.sampled_from("ijxycf"), st.sampled_from(["is null", "is not null"])).map(" ".join),
    st.sampled_from(["f", "not f", "f = true", "f <> true", "true", "false"]),
)
RULES = st.recursive(
    CLAUSES,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"({' and '.join(parts)})"),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"({' or '.join(parts)})"),
        inner.map(lambda part: f"not ({part})"),
    ),
    max_leaves=6,
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "i": st.none() | INTS,
            "j": st.none() | INTS,
            "x": st.none() | FLOATS,
            "y": st.none() | FLOATS.map(lambda value: float(np.float32(value))),
            "c": st.none() | st.sampled_from([*TEXTS, "unlisted"]),
            "f": st.none() | st.booleans(),
        }
    ),
    min_size=1,
    max_size=20,
)
_CONNECTION = duckdb.connect()


def by_sql(sql: str, table: pa.Table) -> list[bool]:
    _CONNECTION.register("people", table)
    found = _CONNECTION.execute(f"select coalesce(({sql}), false) from people").fetchall()
    return [row[0] for row in found]


@settings(max_examples=250)
@given(text=RULES, rows=ROWS)
def test_the_four_forms_of_a_rule_agree(text: str, rows: list[dict[str, Any]]) -> None:
    """Mask, closure, explanation and DuckDB give the same answer, NULL included."""
    rule = parse(text, FIELDS)
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    expected = by_sql(rule.sql(), table)
    assert rule.mask(table).tolist() == expected
    assert [rule.passes(row) for row in rows] == expected
    told = [all(part.verdict is Verdict.TRUE for part in rule.explain(row)) for row in rows]
    assert told == expected


@given(text=RULES, rows=ROWS)
def test_arrays_and_arrow_give_the_same_mask(text: str, rows: list[dict[str, Any]]) -> None:
    """NaN, None and an Arrow null are the same NULL, and texts equal their codes."""
    rule = parse(text, FIELDS)
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    arrays = {name: np.array([row[name] for row in rows], dtype=object) for name in "ijxycf"}
    floats = dict(arrays) | {name: arrays[name].astype(float) for name in "ijxyf"}
    code = {None: -1, "unlisted": 99} | {text: index for index, text in enumerate(TEXTS)}
    floats["c"] = np.array([code[row["c"]] for row in rows], dtype=np.int8)
    assert rule.mask(arrays).tolist() == rule.mask(floats).tolist() == rule.mask(table).tolist()


@given(text=RULES, rows=ROWS)
def test_the_normal_form_means_the_same(text: str, rows: list[dict[str, Any]]) -> None:
    """What an explanation quotes parses again, to a rule that lets the same rows pass."""
    rule = parse(text, FIELDS)
    again = parse(rule.normal, FIELDS)
    assert [again.passes(row) for row in rows] == [rule.passes(row) for row in rows]


@given(text=RULES, rows=ROWS)
def test_a_rule_and_its_negation_never_both_pass(text: str, rows: list[dict[str, Any]]) -> None:
    """Nobody passes both a rule and its opposite, and whoever passes neither has a NULL."""
    rule, opposite = parse(text, FIELDS), parse(f"not ({text})", FIELDS)
    for row in rows:
        assert not (rule.passes(row) and opposite.passes(row))
        if None not in row.values() and "/" not in text:
            assert rule.passes(row) or opposite.passes(row)


@given(texts=st.lists(RULES, min_size=1, max_size=5), rows=ROWS)
def test_many_rules_at_once_equal_each_alone(texts: list[str], rows: list[dict[str, Any]]) -> None:
    """Sharing clauses between rules changes no answer."""
    rules = [parse(text, FIELDS) for text in texts]
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    together = masks(rules, table)
    assert together.shape == (len(rows), len(rules))
    for index, rule in enumerate(rules):
        assert (together[:, index] == rule.mask(table)).all()


@given(texts=st.lists(RULES, min_size=1, max_size=6), rows=ROWS, copies=st.integers(1, 30))
def test_the_index_equals_the_vectorised_form(
    texts: list[str], rows: list[dict[str, Any]], copies: int
) -> None:
    """For a row alone and for many, past the end of a word too, NULL included."""
    rules = [parse(text, FIELDS) for text in texts] * copies
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    index = RuleIndex.of(rules)
    matrix = index.matrix({name: table[name] for name in table.column_names})
    expected = np.packbits(masks(rules, table), axis=1)
    assert (index.masks(matrix) == expected).all()
    assert (index.mask(matrix[-1]) == expected[-1]).all()


@given(text=RULES, rows=ROWS)
def test_the_index_tells_what_failed_as_the_rule_does(
    text: str, rows: list[dict[str, Any]]
) -> None:
    """No clause has failed exactly when the row passes; else it is the explanation's own."""
    rule = parse(text, FIELDS)
    index = RuleIndex.of([rule])
    matrix = index.matrix(pa.Table.from_pylist(rows, schema=SCHEMA))
    for values, row in zip(matrix, rows, strict=True):
        failed = index.failed(0, values)
        assert (failed == ()) == rule.passes(row)
        if row["c"] != "unlisted" and row["y"] is None:
            assert failed == tuple(
                part for part in rule.explain(row) if part.verdict is not Verdict.TRUE
            )


@given(text=RULES, rows=ROWS, number=st.integers(0, 10**6))
def test_a_shortfall_is_what_is_missing(text: str, rows: list[dict[str, Any]], number: int) -> None:
    """A clause that is true falls short by nothing, and one that is false never by less."""
    for row in rows:
        for part in parse(text, FIELDS).explain(row):
            if part.shortfall is not None:
                assert part.shortfall >= 0
                assert part.verdict is not Verdict.TRUE or part.shortfall == 0
