"""The stores every law is held against."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from jinqiao.store.base import Lake, Records
from jinqiao.store.lake import open_lake
from jinqiao.store.memory import MemoryLake, MemoryRecords
from jinqiao.store.records import open_records
from postgres import postgres_server, postgres_template, postgres_url

__all__ = ["postgres_server", "postgres_template", "postgres_url"]

POSTGRES = pytest.param("postgres", marks=pytest.mark.postgres)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a SQLite file that has been migrated."""
    path = tmp_path_factory.mktemp("template") / "records.db"
    records = open_records(f"sqlite:///{path}")
    records.migrate()
    records.close()
    return path


def database(request: pytest.FixtureRequest, kind: str) -> str:
    """Return the URL of a new database, migrated and empty."""
    if kind == "postgres":
        template = request.getfixturevalue("postgres_template")
        return str(request.getfixturevalue("postgres_server").new_database(template))
    path = request.getfixturevalue("tmp_path") / "records.db"
    shutil.copy(request.getfixturevalue("sqlite_template"), path)
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", POSTGRES])
def records_url(request: pytest.FixtureRequest) -> str:
    """Return the URL of each kind of database."""
    return database(request, request.param)


@pytest.fixture(params=["memory", "sqlite", POSTGRES])
def records(request: pytest.FixtureRequest) -> Iterator[Records]:
    """Each kind of records, migrated and empty."""
    if request.param == "memory":
        yield MemoryRecords()
        return
    found = open_records(database(request, request.param))
    yield found
    found.close()


@pytest.fixture(params=["memory", "parquet"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lake]:
    """Each kind of lake, empty."""
    found = MemoryLake() if request.param == "memory" else open_lake(tmp_path / "lake", threads=2)
    yield found
    found.close()
