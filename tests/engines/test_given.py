"""Anyone's table as it is handed in: read, or refused by column and row."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jinqiao.engines.given import instants_of, labels_of, table_of
from jinqiao.errors import InputError, NotFound, SchemaError

ROWS = {"sum": [1.5, None, 3.0], "job": ["甲", None, "乙"], "y": [0, 1, 0]}
DAYS = [date(2026, 1, 31), date(2025, 12, 1), date(1999, 2, 3)]


def us(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000


def instants(texts: list[str | None]) -> list[int | None]:
    return instants_of(pa.chunked_array([pa.array(texts, pa.string())]), "at").to_pylist()


def test_one_table_in_every_form_is_the_same(tmp_path: Path) -> None:
    """Arrow, a mapping, Parquet, CSV with any mark or in GB18030, and a category column."""
    table = pa.table(ROWS)
    pq.write_table(table, tmp_path / "t.parquet")
    lines = ["sum,job,y", "1.5,甲,0", "NA,?,1", "3.0,乙,0"]
    (tmp_path / "comma.csv").write_text("\n".join(lines), "utf-8")
    (tmp_path / "semi.csv").write_text("\n".join(lines).replace(",", ";"), "utf-8")
    (tmp_path / "gb.csv").write_text("\n".join(lines), "gb18030")
    coded = table.set_column(1, "job", table["job"].dictionary_encode())
    files = [tmp_path / name for name in ("t.parquet", "comma.csv", "semi.csv", "gb.csv")]
    for handed in (table, ROWS, coded, str(files[0]), table.to_batches()[0], *files[1:]):
        assert table_of(handed).to_pydict() == ROWS


def test_what_is_no_table_is_refused_by_name(tmp_path: Path) -> None:
    """Unequal columns, mixed kinds, no rows, no file, a broken file, a number, twice a name."""
    with pytest.raises(SchemaError, match="b: 1 values where other columns have 2"):
        table_of({"a": [1, 2], "b": [1], "c": [1, 2]})
    with pytest.raises(SchemaError, match="mixed"):
        table_of({"mixed": [1, "a"]})
    with pytest.raises(SchemaError, match="no rows"):
        table_of({"a": []})
    with pytest.raises(NotFound, match=r"none\.csv"):
        table_of(tmp_path / "none.csv")
    (tmp_path / "bad.csv").write_text("a,b\n1,2,3\n", "utf-8")
    with pytest.raises(SchemaError, match="Expected 2 columns, got 3"):
        table_of(tmp_path / "bad.csv")
    with pytest.raises(SchemaError, match="float is no table"):
        table_of(1.0)
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(SchemaError, match="a: the column is there twice"):
        table_of(twice)


FORMS = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%d.%m.%Y", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ",
    "%Y年%m月%d日", "%Y-%m-%d %H:%M:%S.000000", "%m/%d/%Y",
)  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_texts_of_instants_are_read(form: str) -> None:
    """Days written in the usual ways are the same instants; a gap stays one."""
    texts = [day.strftime(form) for day in DAYS]
    assert instants([*texts, None, ""]) == [*(us(day) for day in DAYS), None, None]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 20_000), min_size=1, max_size=20), st.sampled_from(FORMS[:8]))
def test_any_days_written_alike_are_read_back(days: list[int], form: str) -> None:
    """Whatever the days, what was written is what is read."""
    given_days = [date(1970, 1, 1) + timedelta(days=d) for d in days]
    assert instants([day.strftime(form) for day in given_days]) == [us(d) for d in given_days]


def test_days_that_may_be_months_and_odd_texts_are_refused() -> None:
    """1/2/2026 may be two days; the first text written otherwise is named by its row."""
    with pytest.raises(SchemaError, match="day first or month first"):
        instants(["1/2/2026", "3/4/2026"])
    assert instants(["1/2/2026", "31/1/2026"]) == [us(date(2026, 2, 1)), us(date(2026, 1, 31))]
    with pytest.raises(SchemaError, match="row 1: at: 'soon' is no instant"):
        instants(["2026-01-01", "soon"])
    with pytest.raises(SchemaError, match="int64 is no instant"):
        instants_of(pa.chunked_array([[1_700_000_000]]), "at")


def test_labels_are_read_or_refused_by_row() -> None:
    """0/1, booleans, yes/no; with ``yes=`` any value; else the row and the values are named."""
    one = np.array([0.0, 1.0, 1.0])
    for values in ([0, 1, 1], [False, True, True], ["no", "Yes", "YES"], ["否", "是", "是"]):
        np.testing.assert_array_equal(labels_of(pa.table({"y": values}), "y"), one)
    texts = pa.table({"y": ["good", "bad", "bad"]})
    np.testing.assert_array_equal(labels_of(texts, "y", yes="bad"), one)
    with pytest.raises(InputError, match=r"row 0: y: .*'good'.*'bad', 'good'"):
        labels_of(texts, "y")
    with pytest.raises(InputError, match="no row has 1"):
        labels_of(texts, "y", yes=1)
    with pytest.raises(InputError, match=r"row 1: y: .*2 are"):
        labels_of(pa.table({"y": [1, None, None]}), "y")
    with pytest.raises(SchemaError, match=r"z: no such column .*columns are y"):
        labels_of(texts, "z")
