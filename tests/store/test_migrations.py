"""Migrations make the schema that the metadata describe, and nothing else does."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from jinqiao.store.migrations import HEAD, revision_of, upgrade
from jinqiao.store.records import SqlRecords, open_records
from jinqiao.store.schema import metadata
from jinqiao.store.shape import shape_of

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlRecords]:
    """Records of each kind of database, before any migration."""
    if request.param == "postgres":
        url = str(request.getfixturevalue("postgres_url"))
    else:
        url = f"sqlite:///{tmp_path}/records.db"
    records = open_records(url)
    yield records
    records.close()


def test_migrations_make_what_the_metadata_describe(empty: SqlRecords) -> None:
    """A migrated database differs in nothing from the metadata (run scripts/make_migration.py)."""
    assert empty.migrate() == HEAD
    with empty.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_migrate_may_run_again(empty: SqlRecords) -> None:
    """Migrating what is at the newest revision changes nothing."""
    assert revision_of(empty.engine) is None
    assert [empty.migrate(), empty.migrate()] == [HEAD, HEAD]
    assert revision_of(empty.engine) == HEAD


def test_two_processes_may_migrate_at_once(tmp_path: Path) -> None:
    """Of several processes that find an empty database, one makes it and all go on."""
    code = (
        "import sys; from jinqiao.store.records import open_records; "
        "records = open_records(sys.argv[1]); records.migrate()\n"
        "with records.reading() as tx: tx.count('audit')"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code, f"sqlite:///{tmp_path}/records.db"])
        for _ in range(3)
    ]
    assert [process.wait() for process in started] == [0, 0, 0]


def test_the_newest_revision_is_what_the_script_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script's output depends on the metadata and the revisions before it alone."""
    script = ROOT / "scripts" / "make_migration.py"
    spec = importlib.util.spec_from_file_location("make_migration", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "VERSIONS", tmp_path)
    kept = module.KEPT / f"{HEAD}.py"
    module.main(HEAD, kept.read_text().split('"""')[1])
    assert (tmp_path / f"{HEAD}.py").read_text() == kept.read_text()


def test_records_of_an_older_release_are_brought_up_to_date(empty: SqlRecords) -> None:
    """A database of the first revision keeps its rows, and gets what came since."""
    upgrade(empty.engine, "0001")
    with empty.engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO subjects VALUES ('s1', 1, NULL)")
    assert empty.migrate() == HEAD
    with empty.reading() as tx:
        assert [row["subject_id"] for row in tx.find("subjects")] == ["s1"]
        assert tx.find("experiments") == []


@pytest.mark.parametrize("table", sorted(metadata.tables))
def test_every_table_has_a_key_and_kept_types(table: str) -> None:
    """Each table has a primary key and columns of the kinds that every database keeps alike."""
    shape = shape_of(table)
    assert shape.key
    assert all(len(name) <= 63 for name in shape.fields)
