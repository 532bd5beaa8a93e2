"""Laws of the lake: in memory and on disk, rows are kept once, whole batches at a time."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jinqiao.domain.tables import ATTRIBUTES, CUSTOMER_MAP, DECISIONS, LAKE_TABLES
from jinqiao.domain.time import DAY_US
from jinqiao.errors import JinqiaoError, SchemaError, StoreError
from jinqiao.store.arrow import arrow_schema
from jinqiao.store.base import Appended, Lake
from jinqiao.store.lake import open_lake
from jinqiao.store.lake_table import LakeTable
from jinqiao.store.memory import MemoryLake

DAY_0 = 20_000 * DAY_US


NANOSECOND = pa.array([1], pa.timestamp("ns"))


def attributes(*rows: tuple[str, int, float | None]) -> pa.Table:
    """Rows of (id, received day, number)."""
    return pa.table(
        {
            "attribute_id": [row[0] for row in rows],
            "subject_id": ["s"] * len(rows),
            "attribute": ["birth_year"] * len(rows),
            "number": pa.array([row[2] for row in rows], pa.float64()),
            "text": pa.nulls(len(rows), pa.string()),
            "occurred_at": pa.array([DAY_0] * len(rows), pa.timestamp("us")),
            "received_at": pa.array([DAY_0 + row[1] * DAY_US for row in rows], pa.timestamp("us")),
        },
        schema=arrow_schema(ATTRIBUTES),
    )


def decisions(keys: list[tuple[str, int]]) -> pa.Table:
    """Rows under a key of two columns; everything else is a plain value of its type."""
    plain = {"string": "x", "bool": False, "timestamp": DAY_0}
    columns = {c.name: [plain.get(c.type, 0)] * len(keys) for c in DECISIONS.columns}
    columns["trace_id"] = [trace for trace, _ in keys]
    columns["position"] = [position for _, position in keys]
    return pa.table(columns, schema=arrow_schema(DECISIONS))


def kept(lake: Lake) -> list[dict[str, Any]]:
    return lake.query("SELECT * FROM attributes ORDER BY attribute_id").to_pylist()


def shown(lake: Lake) -> list[tuple[str, int]]:
    rows = lake.query("SELECT trace_id, position FROM decisions").to_pylist()
    return sorted((row["trace_id"], row["position"]) for row in rows)


@contextmanager
def fresh(kind: str) -> Iterator[Lake]:
    if kind == "memory":
        with closing(MemoryLake()) as lake:
            yield lake
    else:
        with tempfile.TemporaryDirectory() as root, closing(open_lake(root, threads=1)) as lake:
            yield lake


both = pytest.mark.parametrize("kind", ["memory", "parquet"])
some = settings(max_examples=15, deadline=None)

# A row is a function of its key, as a retried or duplicated event is.
keys = st.integers(0, 11)
splits = st.lists(st.lists(keys, max_size=6), max_size=5)


def row(key: int) -> tuple[str, int, float | None]:
    return (f"k{key:02d}", key % 3, float(key) if key % 4 else None)


@both
@some
@given(splits)
def test_any_order_and_splitting_gives_the_same_rows(kind: str, batches: list[list[int]]) -> None:
    """However rows are repeated, permuted and cut into batches, each key is kept once."""
    with fresh(kind) as lake:
        for number, batch in enumerate(batches):
            new = set(batch) - {key for earlier in batches[:number] for key in earlier}
            appended = lake.append(ATTRIBUTES, attributes(*map(row, batch)), batch_id=f"b{number}")
            assert appended == Appended(len(new), len(batch) - len(new))
        everything = sorted({key for batch in batches for key in batch})
        assert kept(lake) == attributes(*map(row, everything)).to_pylist()


def test_the_same_batch_again_writes_nothing(lake: Lake) -> None:
    """A batch id that was committed writes nothing, even with other rows in it."""
    batch = attributes(row(1), row(2))
    assert lake.append(ATTRIBUTES, batch, batch_id="b") == Appended(2, 0)
    before = kept(lake)
    assert lake.append(ATTRIBUTES, batch, batch_id="b") == Appended(0, 2)
    assert lake.append(ATTRIBUTES, attributes(row(3)), batch_id="b") == Appended(0, 1)
    assert lake.append(ATTRIBUTES, batch, batch_id="another") == Appended(0, 2)
    assert kept(lake) == before


def test_the_first_of_equal_keys_is_kept(lake: Lake) -> None:
    """Within a batch and across batches, the row that came first stays."""
    lake.append(ATTRIBUTES, attributes(("a", 0, 1.0), ("a", 1, 2.0), ("b", 0, 3.0)), batch_id="1")
    lake.append(ATTRIBUTES, attributes(("b", 2, 4.0), ("c", 0, 5.0)), batch_id="2")
    assert [(r["attribute_id"], r["number"]) for r in kept(lake)] == [
        ("a", 1.0), ("b", 3.0), ("c", 5.0),
    ]  # fmt: skip


odd = st.sampled_from(["", "a", "a\x1f1", "1", "é", "\x1f", "a\x1f", "\x00"])


@both
@some
@given(st.lists(st.tuples(odd, st.integers(-2, 2)), max_size=8), st.integers(0, 8))
def test_keys_are_compared_column_by_column(
    kind: str, pairs: list[tuple[str, int]], cut: int
) -> None:
    """A key of two columns is not the text of both joined."""
    with fresh(kind) as lake:
        for number, part in enumerate((pairs[:cut], pairs[cut:])):
            lake.append(DECISIONS, decisions(part), batch_id=str(number))
        assert shown(lake) == sorted(set(pairs))
        asked = [*pairs, ("never", 0)]
        answer = lake.known(DECISIONS, decisions(asked).select(["trace_id", "position"]))
        assert answer.to_pylist() == [pair in pairs for pair in asked]


def test_equal_digests_of_different_keys_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When every digest collides, rows are still new or not by their keys."""
    monkeypatch.setattr(
        LakeTable, "_digests", lambda _self, table: np.zeros(table.num_rows, np.int64)
    )
    with closing(open_lake(tmp_path)) as lake:
        assert lake.append(
            ATTRIBUTES, attributes(row(1), row(2), row(1)), batch_id="1"
        ) == Appended(2, 1)
        assert lake.append(
            ATTRIBUTES, attributes(row(2), row(3), row(4)), batch_id="2"
        ) == Appended(2, 1)
        assert [r["attribute_id"] for r in kept(lake)] == ["k01", "k02", "k03", "k04"]


def test_rows_older_than_a_column_are_read_beside_newer_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lake written before a column was added reads it as null, before and after compaction."""
    older = replace(DECISIONS, columns=DECISIONS.columns[:-1])
    tables = [older if schema is DECISIONS else schema for schema in LAKE_TABLES]
    added = DECISIONS.columns[-1].name
    with monkeypatch.context() as then:
        then.setattr("jinqiao.store.lake.LAKE_TABLES", tables)
        with closing(open_lake(tmp_path)) as lake:
            lake.append(older, decisions([("old", 1)]).drop_columns([added]), batch_id="1")
    asked = f"SELECT trace_id, {added} FROM decisions ORDER BY trace_id"
    with closing(open_lake(tmp_path)) as lake:
        assert lake.query(asked)[added].to_pylist() == [None]
        assert (
            lake.append(DECISIONS, decisions([("old", 1), ("new", 1)]), batch_id="2").accepted == 1
        )
        for _ in range(2):
            found = lake.query(asked)
            assert found["trace_id"].to_pylist() == ["new", "old"]
            assert found[added].to_pylist() == ["x", None]
            assert found.schema.types == [pa.string(), pa.string()]
            lake.compact(DECISIONS)
        assert lake.known(DECISIONS, decisions([("old", 1)])).to_pylist() == [True]


def test_every_table_exists_and_is_typed_when_empty(lake: Lake) -> None:
    """An empty lake answers with the columns and types of each table."""
    for schema in LAKE_TABLES:
        found = lake.query(f"SELECT * FROM {schema.name}")
        assert found.num_rows == 0
        wanted = arrow_schema(schema)
        assert [(f.name, f.type) for f in found.schema] == [(f.name, f.type) for f in wanted]


def test_rows_come_back_with_their_types(lake: Lake) -> None:
    """What was appended is what is read, types and nulls included."""
    batch = attributes(("a", 0, None), ("b", 1, 2.5))
    lake.append(ATTRIBUTES, batch, batch_id="1")
    found = lake.query("SELECT * FROM attributes ORDER BY attribute_id")
    assert found.cast(batch.schema).equals(batch)
    assert [f.type for f in found.schema] == [f.type for f in batch.schema]


def test_queries_take_parameters_and_tables(lake: Lake) -> None:
    """``$name`` parameters and named Arrow inputs join lake tables; batches are bounded."""
    lake.append(ATTRIBUTES, attributes(*map(row, range(10))), batch_id="1")
    wanted = pa.table({"attribute_id": ["k03", "k05", "none"]})
    sql = "SELECT number FROM attributes JOIN wanted USING (attribute_id) WHERE number > $least"
    assert lake.query(sql, {"wanted": wanted}, least=3).to_pylist() == [{"number": 5.0}]
    assert lake.query("SELECT $a AS a", a="x'y").to_pylist() == [{"a": "x'y"}]
    sizes = [batch.num_rows for batch in lake.reader("SELECT * FROM attributes", batch_rows=4)]
    assert sum(sizes) == 10
    assert max(sizes) <= 4


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda t: t.drop_columns(["text"]), "text"),
        (lambda t: t.append_column("colour", pa.array(["red"])), "colour"),
        (lambda t: t.set_column(0, "attribute_id", pa.nulls(1, pa.string())), "attribute_id"),
        (lambda t: t.set_column(3, "number", pa.array(["many"])), "number"),
        (
            lambda t: t.set_column(5, "occurred_at", NANOSECOND),
            "occurred_at",
        ),
    ],
)
def test_a_batch_that_does_not_fit_is_refused(
    lake: Lake, change: Callable[[pa.Table], pa.Table], field: str
) -> None:
    """A missing, unknown, null or mistyped column is named, and nothing is written."""
    with pytest.raises(SchemaError) as caught:
        lake.append(ATTRIBUTES, change(attributes(row(1))), batch_id="1")
    assert (caught.value.record, caught.value.field) == ("attributes", field)
    assert kept(lake) == []
    assert lake.append(ATTRIBUTES, attributes(row(1)), batch_id="1") == Appended(1, 0)


def test_wrong_questions_are_named(lake: Lake) -> None:
    """A table that is not of the lake, broken SQL and a caller's variable are refused."""
    secret = pa.table({"a": [1]})
    for sql in (
        "SELECT * FROM nowhere", "SELEC 1", "SELECT * FROM secret", "SELECT nothing FROM behaviour",
        "CREATE TABLE x AS SELECT 1", "SELECT 1; SELECT 2", "SET threads = 1", "",
    ):  # fmt: skip
        with pytest.raises(SchemaError):
            lake.query(sql)
    assert secret.num_rows == 1
    with pytest.raises(StoreError):
        lake.append(CUSTOMER_MAP, arrow_schema(CUSTOMER_MAP).empty_table(), batch_id="1")


def test_a_query_reads_nothing_outside_the_lake(lake: Lake, tmp_path: Path) -> None:
    """A query opens no file but the lake's own, and writes none."""
    (tmp_path / "other.csv").write_text("a\n1\n")
    for sql in (
        f"SELECT * FROM read_csv('{tmp_path}/other.csv')",
        f"SELECT * FROM read_text('{tmp_path}/lake/../other.csv')",
        f"COPY (SELECT 1) TO '{tmp_path}/lake/out.csv'",
    ):
        with pytest.raises(JinqiaoError):
            lake.query(sql)
    assert not list(tmp_path.glob("**/out.csv"))


def test_what_does_not_fit_the_memory_is_spilled(tmp_path: Path) -> None:
    """A query larger than its memory limit goes through the disk and gives the same answer."""
    sql = "SELECT count(*) AS n FROM (SELECT DISTINCT md5(i::VARCHAR) FROM range(600000) AS t(i))"
    with closing(open_lake(tmp_path / "it's a lake", memory_limit_mb=48, threads=1)) as lake:
        lake.append(ATTRIBUTES, attributes(row(1)), batch_id="1")
        assert lake.query(sql).to_pylist() == [{"n": 600_000}]
        assert len(kept(lake)) == 1


def test_feature_snapshots_are_kept_by_as_of_and_version(lake: Lake) -> None:
    """The same as-of and version again replaces; another version is another snapshot."""
    one, two = pa.table({"x": [1]}), pa.table({"x": [2, 3]})
    assert lake.read_features(5, "v1") is None
    lake.write_features(5, "v1", one)
    lake.write_features(5, "v1", two)
    lake.write_features(-7, "v1", one)
    lake.write_features(9, "v2", one)
    assert lake.feature_as_ofs("v1") == (-7, 5)
    assert lake.feature_as_ofs("v3") == ()
    found = lake.read_features(5, "v1")
    assert found is not None
    assert found.equals(two)


def watch(lake: Lake, work: Callable[[], None], parts: int) -> set[int]:
    """Return how many rows a reader counted, again and again, while ``work`` ran."""
    seen, over = set(), threading.Event()

    def look() -> None:
        while not over.is_set():
            seen.add(lake.query("SELECT count(*) AS n FROM attributes")["n"][0].as_py())

    reader = threading.Thread(target=look)
    reader.start()
    work()
    over.set()
    reader.join()
    assert all(n % parts == 0 for n in seen), seen
    return seen


def fill(lake: Lake, batches: int, parts: int) -> None:
    for number in range(batches):
        rows = [(f"{number}-{part}", part, None) for part in range(parts)]
        lake.append(ATTRIBUTES, attributes(*rows), batch_id=f"b{number}")


def test_a_reader_never_sees_half_a_batch(lake: Lake) -> None:
    """While batches over five days are appended, a thread that reads sees whole ones only."""
    assert watch(lake, lambda: fill(lake, 25, 5), 5)
    assert len(kept(lake)) == 125


def test_another_process_sees_whole_batches_and_merged_files(tmp_path: Path) -> None:
    """A lake opened twice shows the other's commits, and stays whole while files are merged."""
    with closing(open_lake(tmp_path)) as writer, closing(open_lake(tmp_path)) as other:

        def work() -> None:
            fill(writer, 10, 3)
            assert writer.compact(ATTRIBUTES) == 30
            assert writer.compact(ATTRIBUTES) == 0

        watch(other, work, 3)
        assert kept(other) == kept(writer)
        assert len(kept(other)) == 30
        repeated = attributes(("3-1", 1, None), ("new", 9, None))
        assert other.append(ATTRIBUTES, repeated, batch_id="again") == Appended(1, 1)
        assert writer.append(ATTRIBUTES, repeated, batch_id="more") == Appended(0, 2)


@some
@given(splits, st.lists(st.booleans(), min_size=5, max_size=5))
def test_merging_files_changes_no_row(batches: list[list[int]], merges: list[bool]) -> None:
    """Merged between any two batches, the rows, and which keys are known, stay the same."""
    with fresh("parquet") as lake, fresh("memory") as plain:
        for number, batch in enumerate(batches):
            rows = attributes(*map(row, batch))
            results = [lk.append(ATTRIBUTES, rows, batch_id=f"b{number}") for lk in (lake, plain)]
            assert results[0] == results[1]
            if merges[number]:
                lake.compact(ATTRIBUTES)
        assert kept(lake) == kept(plain)


def test_writers_side_by_side_keep_each_key_once(tmp_path: Path) -> None:
    """Threads and lakes that append overlapping rows keep each key exactly once."""
    with closing(open_lake(tmp_path)) as one, closing(open_lake(tmp_path)) as two:
        accepted: list[int] = []

        def work(lake: Lake, start: int) -> None:
            for number in range(start, start + 12):
                batch = attributes(*(row(key) for key in range(number, number + 5)))
                accepted.append(
                    lake.append(ATTRIBUTES, batch, batch_id=f"{start}-{number}").accepted
                )

        threads = [
            threading.Thread(target=work, args=(lake, start))
            for lake, start in ((one, 0), (two, 4), (one, 8), (two, 0))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(accepted) == 24
        assert [r["attribute_id"] for r in kept(one)] == [f"k{key:02d}" for key in range(24)]


def test_partitions_are_utc_days_of_arrival(tmp_path: Path) -> None:
    """Each file lies below the UTC date its rows were received on."""
    with closing(open_lake(tmp_path)) as lake:
        lake.append(ATTRIBUTES, attributes(("a", 0, None), ("b", -20_001, None)), batch_id="1")
    folders = sorted(path.parent.name for path in tmp_path.glob("attributes/*/*.parquet"))
    assert folders == ["date=1969-12-31", "date=2024-10-04"]


def test_only_committed_files_are_read(tmp_path: Path) -> None:
    """A file that no commit names is not read, and is gone when the lake is next opened alone."""
    with closing(open_lake(tmp_path)) as lake:
        lake.append(ATTRIBUTES, attributes(row(1)), batch_id="1")
        file = next(tmp_path.glob("attributes/*/*.parquet"))
        stray = file.with_name("stray.parquet")
        shutil.copy(file, stray)
        assert len(kept(lake)) == 1
        open_lake(tmp_path).close()
        assert stray.exists()
    open_lake(tmp_path).close()
    assert not stray.exists()
    assert file.exists()


def test_files_merged_away_go_when_nobody_reads(tmp_path: Path) -> None:
    """Merged files stay for readers that have the lake open, and go at the next opening."""
    with closing(open_lake(tmp_path)) as lake:
        fill(lake, 4, 1)
        lake.compact(ATTRIBUTES)
        before = kept(lake)
        assert len(list(tmp_path.glob("attributes/*/*.parquet"))) == 5
    with closing(open_lake(tmp_path)) as lake:
        assert len(list(tmp_path.glob("attributes/*/*.parquet"))) == 1
        assert kept(lake) == before


@settings(max_examples=15, deadline=None)
@given(st.floats(0, 1, exclude_max=True))
def test_a_commit_torn_at_any_byte_never_happened(cut: float) -> None:
    """With its line cut anywhere, a batch is absent, and its retry gives what was wanted."""
    with tempfile.TemporaryDirectory() as folder:
        root, log = Path(folder), Path(folder) / "attributes" / "manifest.log"
        with closing(open_lake(root)) as lake:
            fill(lake, 2, 2)
            whole = log.stat().st_size
            fill(lake, 3, 2)
            wanted = kept(lake)
        with log.open("r+b") as file:
            file.truncate(whole + int(cut * (log.stat().st_size - whole)))
        with closing(open_lake(root)) as lake:
            assert len(kept(lake)) == 4
            fill(lake, 3, 2)
            assert kept(lake) == wanted


def test_a_damaged_manifest_is_named(tmp_path: Path) -> None:
    """A wrong byte before the last line is a fault, never an empty lake."""
    with closing(open_lake(tmp_path)) as lake:
        fill(lake, 3, 1)
    log = tmp_path / "attributes" / "manifest.log"
    text = bytearray(log.read_bytes())
    text[20] ^= 1
    log.write_bytes(text)
    with pytest.raises(StoreError, match=r"manifest\.log"):
        open_lake(tmp_path)


WRITER = """
import sys
from test_lake import ATTRIBUTES, fill, open_lake
lake = open_lake(sys.argv[1], threads=1)
print("open", flush=True)
append = lake.append
def told(schema, batch, *, batch_id):
    append(schema, batch, batch_id=batch_id)
    print(batch_id, flush=True)
lake.append = told
fill(lake, 40, 3)
"""


@pytest.mark.parametrize("after", [1, 2, 9, 23])
def test_kill_and_retry_give_the_same_rows(tmp_path: Path, after: int) -> None:
    """Killed between or inside appends, a process leaves whole batches; a retry gives the rest."""
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "lake")],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent,
    )
    assert writer.stdout is not None
    told = [writer.stdout.readline().strip() for _ in range(after)][1:]
    writer.kill()
    told += [line.strip() for line in writer.stdout if line.endswith("\n")]
    writer.wait()
    with closing(open_lake(tmp_path / "lake")) as lake, closing(MemoryLake()) as plain:
        found = {r["attribute_id"].partition("-")[0] for r in kept(lake)}
        assert len(kept(lake)) == 3 * len(found)
        assert {batch_id.removeprefix("b") for batch_id in told} <= found
        fill(lake, 40, 3)
        fill(plain, 40, 3)
        assert kept(lake) == kept(plain)
