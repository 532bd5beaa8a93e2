"""The door check of a bulk table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa
import pytest

from jinqiao.domain.tables import LAKE_TABLES, RAW_TRANSACTIONS, Column, TableSchema
from jinqiao.engines.tables import arrow_schema, arrow_type, check, empty
from jinqiao.errors import SchemaError

SCHEMA = TableSchema(
    "things",
    (
        Column("name", "string"),
        Column("count", "int32"),
        Column("share", "float64", nullable=True),
        Column("at", "timestamp"),
    ),
    key=("name",),
)
AT = datetime(2026, 1, 1, tzinfo=UTC)


def things(**changes: object) -> pa.Table:
    plain: dict[str, object] = {
        "name": pa.array(["a", "b"]), "count": pa.array([1, 2], pa.int32()),
        "share": pa.array([0.5, None]), "at": pa.array([AT, AT], pa.timestamp("us", "UTC")),
    }  # fmt: skip
    return pa.table({name: value for name, value in (plain | changes).items() if value is not None})


def test_what_fits_comes_back_in_order_and_type() -> None:
    """Columns are put in the schema's order; lossless casts are made."""
    china = timezone(timedelta(hours=8))
    given = things(
        name=pa.array(["a", "b"]).dictionary_encode(),
        count=pa.array([1.0, 2.0]),
        at=pa.array([AT.astimezone(china)] * 2, pa.timestamp("ms", "Asia/Shanghai")),
    ).select(["at", "share", "count", "name"])
    found = check(given, SCHEMA)
    assert found.schema == arrow_schema(SCHEMA)
    assert found["at"][0].as_py() == AT.replace(tzinfo=None)
    assert check(found, SCHEMA) is found


def test_a_missing_nullable_column_is_nulls() -> None:
    """A column that may be null may be absent."""
    assert check(things(share=None), SCHEMA)["share"].null_count == 2


@pytest.mark.parametrize(
    ("table", "field", "record"),
    [
        (things(name=None), "name", "things"),
        (things(more=pa.array([1, 2])), "more", "things"),
        (things(name=pa.array(["a", None])), "name", "things: row 2"),
        (things(count=pa.array([1.0, 1.5])), "count", "things: row 2"),
        (things(count=pa.array([1, 2**40])), "count", "things: row 2"),
        (things(count=pa.array(["1", "2"])), "count", "things"),
        (things(at=pa.array(["2026-01-01", "2026-01-01"])), "at", "things"),
        (things(share=pa.array([True, False])), "share", "things"),
    ],
)
def test_what_does_not_fit_is_named(table: pa.Table, field: str, record: str) -> None:
    """The error names the column and, where one row is at fault, the first such row."""
    with pytest.raises(SchemaError) as caught:
        check(table, SCHEMA)
    assert (caught.value.field, caught.value.record) == (field, record)
    assert caught.value.fix or "type" in str(caught.value)


def test_the_first_bad_row_of_many_is_found() -> None:
    """Halving finds the first of several bad rows."""
    values = [1.0] * 1_000
    values[613], values[800] = 0.5, 0.5
    table = pa.table({"name": ["x"] * 1_000, "count": values, "at": pa.array([AT] * 1_000)})
    with pytest.raises(SchemaError) as caught:
        check(table, SCHEMA, record="batch 7")
    assert caught.value.record == "batch 7: row 614"


def test_every_table_of_the_lake_has_an_empty_one() -> None:
    """Each schema record has Arrow types, and its empty table passes its own check."""
    for schema in (*LAKE_TABLES, RAW_TRANSACTIONS):
        assert check(empty(schema), schema).num_rows == 0
    with pytest.raises(SchemaError):
        arrow_type("money")
