"""Is everything there that is needed: each finding says what is wrong and how to mend it."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from jinqiao.domain.messages import counted
from jinqiao.errors import JinqiaoError
from jinqiao.flow.wiring import Engine

__all__ = ["Finding", "examine"]

OK, WARNING, FAULT = "ok", "warning", "fault"
_LEAST_FREE = 1 << 30
_OLD_S = 36 * 3600
_LEAST_PYTHON = (3, 11, 0)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: ``state`` is ok, warning or fault; a fault has its fix."""

    name: str
    state: str
    found: str
    fix: str = ""


def examine(root: Path | None, opened: Callable[[], Engine]) -> tuple[Finding, ...]:
    """Return a finding for everything that serving needs, the machine first, then a workspace.

    ``opened`` opens the workspace's engine; ``root`` is where it lies, None when none was found.
    """
    findings = [_python(), _packages(), _numba()]
    if root is None:
        missing = Finding("workspace", WARNING, "none found here or above", "jinqiao init DIR")
        return (*findings, missing)
    findings += [Finding("workspace", OK, str(root)), *_keys(root / "keys"), _disk(root)]
    try:
        with opened() as engine:
            findings += _engine(engine)
    except JinqiaoError as error:
        findings.append(Finding("engine", FAULT, str(error), error.fix or "jinqiao check"))
    return tuple(findings)


def _python() -> Finding:
    version = sys.version_info[:3]
    said = ".".join(map(str, version))
    if version < _LEAST_PYTHON:
        return Finding("python", FAULT, said, "install Python 3.11 or newer")
    return Finding("python", OK, said)


def _packages() -> Finding:
    """Look at what the installed package says it needs."""
    import re

    missing = []
    for line in metadata.requires("jinqiao") or ():
        if "extra ==" in line:
            continue
        name = re.split(r"[\s<>=!~;\[(]", line, maxsplit=1)[0]
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Finding("packages", FAULT, f"missing: {', '.join(missing)}", "pip install jinqiao")
    return Finding("packages", OK, "every dependency is installed")


def _numba() -> Finding:
    """Look for a place where compiled kernels are kept between runs."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    folder = Path(given) if given else Path(__file__).parents[1] / "engines" / "allocation"
    kept = list(folder.rglob("*.nbi"))
    if kept:
        return Finding("numba cache", OK, f"{len(kept)} kernels in {folder}")
    if folder.is_dir() and os.access(folder, os.W_OK):
        fix = "python -m jinqiao.flow.warm compiles them once"
        return Finding(
            "numba cache", WARNING, "nothing is compiled yet: the first run is slow", fix
        )
    return Finding(
        "numba cache", WARNING, f"{folder} cannot be written", "set NUMBA_CACHE_DIR to a folder"
    )


def _keys(folder: Path) -> Iterator[Finding]:
    for name in ("master", "click", "session"):
        path = folder / f"{name}.key"
        if f"JINQIAO_KEY_{name.upper()}" in os.environ:
            yield Finding(f"{name} key", OK, "from the environment")
        elif not path.is_file():
            yield Finding(f"{name} key", FAULT, "is missing", "jinqiao init, or restore it")
        elif stat.S_IMODE(path.stat().st_mode) & 0o077:
            yield Finding(f"{name} key", FAULT, "others may read it", f"chmod 600 {path}")
        else:
            yield Finding(f"{name} key", OK, "mode 0600")


def _disk(root: Path) -> Finding:
    free = shutil.disk_usage(root).free
    said = f"{free / (1 << 30):,.1f} GiB free"
    if free < _LEAST_FREE:
        return Finding("disk", FAULT, said, "make room: the lake and snapshots need it")
    return Finding("disk", OK, said)


def _engine(engine: Engine) -> Iterator[Finding]:
    from jinqiao.domain.time import local_date
    from jinqiao.flow.check import check

    where = "PostgreSQL" if engine.settings.store.records_url else "SQLite"
    yield Finding("records", OK, f"{where}, revision {engine.records.migrate()}")
    rows = engine.lake.query("select count(*) as n from transactions")["n"][0].as_py()
    yield Finding("lake", OK, counted(rows, "transaction"))
    report = check(engine.workspace, on=local_date(engine.clock()))
    if report.faults:
        first = str(report.faults[0])
        yield Finding(
            "files",
            FAULT,
            f"{counted(len(report.faults), 'fault')}; first: {first}",
            "jinqiao check",
        )
    else:
        yield Finding(
            "files",
            OK,
            f"{counted(report.institutions, 'institution')}, {counted(report.products, 'product')}",
        )
    yield _catalog(engine)
    yield _snapshot(engine)
    yield _port(engine)


def _catalog(engine: Engine) -> Finding:
    count = len(engine.catalog().institutions)
    if not count:
        return Finding("catalog", WARNING, "nothing is applied yet", "jinqiao catalog apply")
    return Finding("catalog", OK, f"{counted(count, 'institution')} in force")


def _snapshot(engine: Engine) -> Finding:
    from jinqiao.flow.desk import snapshot_state

    state = snapshot_state(engine)
    if state["snapshot"] is None:
        return Finding("snapshot", WARNING, "nothing is published yet", "jinqiao publish")
    try:
        engine.snapshots.current()
    except JinqiaoError as error:
        return Finding("snapshot", FAULT, str(error), "jinqiao publish")
    hours = (state["age_s"] or 0) / 3600
    said = f"{state['snapshot']}, {hours:,.1f} hours old"
    if (state["age_s"] or 0) > _OLD_S:
        return Finding("snapshot", WARNING, said, "jinqiao publish, once a day")
    return Finding("snapshot", OK, said)


def _port(engine: Engine) -> Finding:
    import socket

    serve = engine.settings.serve
    with socket.socket() as probe:
        try:
            probe.bind((serve.host, serve.port))
        except OSError as error:
            return Finding(
                "port", WARNING, f"{serve.host}:{serve.port}: {error.strerror}",
                "end the other server, or set serve.port",
            )  # fmt: skip
    return Finding("port", OK, f"{serve.host}:{serve.port} is free")
