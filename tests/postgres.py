"""A private PostgreSQL cluster for one test process: a Unix socket in a temporary folder, no port.

Each test that asks for ``postgres_url`` gets a database of its own, empty.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from left_out import leave_out

__all__ = ["PostgresServer", "postgres_server", "postgres_template", "postgres_url"]

_OPTIONS = {
    "listen_addresses": "",
    "fsync": "off",  # a process is killed in tests, never the machine
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "40",
}


class PostgresServer:
    """A running cluster; ``new_database`` returns the URL of an empty one."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.folder = folder
        self.process = process
        self._numbers = count()

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@/{database}?host={self.folder}"

    def new_database(self, template: str = "template1") -> str:
        name = f"test_{next(self._numbers)}"
        self.run(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name)

    def run(self, statement: str) -> None:
        import psycopg

        address = f"host={self.folder} user=postgres dbname=postgres"
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(statement)

    def wait(self, seconds: float = 30.0) -> None:
        import psycopg

        end = time.monotonic() + seconds
        while True:
            try:
                return self.run("SELECT 1")
            except psycopg.OperationalError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise
                time.sleep(0.05)


def _program(name: str) -> str | None:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else shutil.which(name)


def _account() -> str | None:
    """Return the account the server runs as: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        leave_out("PostgreSQL: running as root and there is no account 'postgres'")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """Start a cluster for this test process, or leave the test out with the reason."""
    initdb, postgres = _program("initdb"), _program("postgres")
    if initdb is None or postgres is None:
        leave_out("PostgreSQL: initdb is not installed (scripts/system-packages.sh)")
    account = _account()
    folder = Path(tempfile.mkdtemp(prefix="jq-pg-"))
    try:
        if account:
            shutil.chown(folder, account)
        data = folder / "data"
        create = [initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run(
            [*create, "--locale=C"], user=account, cwd=folder, check=True, capture_output=True
        )
        options = [part for name, value in _OPTIONS.items() for part in ("-c", f"{name}={value}")]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [postgres, "-D", data, "-k", folder, *options],
                user=account, cwd=folder, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            server = PostgresServer(folder, process)
            server.wait()
            yield server
        finally:
            process.send_signal(2)  # fast shutdown
            process.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    """Return the name of a database that has been migrated."""
    from jinqiao.store.records import open_records

    postgres_server.run('CREATE DATABASE "migrated"')
    records = open_records(postgres_server.url("migrated"))
    records.migrate()
    records.close()
    return "migrated"


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> str:
    """Return the URL of an empty database."""
    return postgres_server.new_database()
