"""A private Spark cluster for one test process: a standalone master and two workers of one core.

Each is a process of its own on the loopback address, with its files in a temporary folder.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from left_out import leave_out

__all__ = ["NotHereError", "cluster", "spark"]

_JAVA_MIN = 17
_QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto"
"""Java options of a process that lives for seconds."""

_SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.adaptive.enabled": "false",
    "spark.executor.memory": "512m",
    "spark.executor.cores": "1",
    "spark.driver.memory": "512m",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.extraJavaOptions": _QUICK,
    "spark.executor.extraJavaOptions": _QUICK,
    "spark.scheduler.minRegisteredResourcesRatio": "1.0",
    "spark.scheduler.maxRegisteredResourcesWaitingTime": "60s",
    "spark.locality.wait": "0s",
    "spark.task.maxFailures": "2",
}


class NotHereError(RuntimeError):
    """Something that Spark needs is not on this machine; the message says what."""


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    """Return a session on a cluster of two executors, or leave the test out with the reason."""
    try:
        with cluster() as session:
            yield session
    except NotHereError as missing:
        leave_out(str(missing))


@contextmanager
def cluster() -> Iterator[Any]:
    """Start a master and two workers; yield a session on them. Raises NotHereError."""
    java = _java()
    if java is None:
        raise NotHereError(f"Spark: no Java {_JAVA_MIN} or newer (scripts/system-packages.sh)")
    if importlib.util.find_spec("pyspark") is None:
        raise NotHereError("Spark: pyspark is not installed (pip install 'jinqiao[spark]')")
    folder = Path(tempfile.mkdtemp(prefix="jq-spark-"))
    started: list[subprocess.Popen[bytes]] = []
    try:
        master = _master(java, folder, started)
        for number in (1, 2):
            _worker(java, folder, started, master, number)
        session = _session(master, folder)
        yield session
        session.stop()
        _end_driver()
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def _java() -> str | None:
    """Return the newest Java program that Spark can run on."""
    home = os.environ.get("JAVA_HOME")
    found = [f"{home}/bin/java"] if home else []
    found += [name for name in [shutil.which("java")] if name]
    found += [str(path) for path in sorted(Path("/usr/lib/jvm").glob("*/bin/java"))]
    return next((name for name in found if _version(name) >= _JAVA_MIN), None)


def _version(java: str) -> int:
    try:
        told = subprocess.run([java, "-version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return 0
    number = re.search(r'version "(\d+)', told.stderr)
    return int(number[1]) if number else 0


def _daemon(
    java: str, folder: Path, started: list[subprocess.Popen[bytes]], name: str, *words: str
) -> Path:
    """Start one of Spark's own programs; return the file it logs to."""
    import pyspark

    home = Path(pyspark.__file__).parent
    log = folder / f"{name}.log"
    core = next(home.glob("jars/spark-core_*.jar")).name
    environment = {
        "SPARK_SCALA_VERSION": core.removeprefix("spark-core_").split("-")[0],
        **os.environ, "SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1",
        "JAVA_HOME": str(Path(java).resolve().parents[1]), "SPARK_LOCAL_DIRS": str(folder),
    }  # fmt: skip
    command = [java, "-cp", f"{home}/jars/*", "-Xmx256m", *_QUICK.split()]
    with log.open("wb") as out:
        started.append(
            subprocess.Popen(
                [*command, *words], env=environment, cwd=folder, stdout=out, stderr=out
            )
        )
    return log


def _told(log: Path, process: subprocess.Popen[bytes], pattern: str) -> str:
    """Return the first match of a pattern in a log, once it is there."""
    end = time.monotonic() + 60.0
    while time.monotonic() < end and process.poll() is None:
        found = re.search(pattern, log.read_text(errors="replace"))
        if found:
            return found[0]
        time.sleep(0.05)
    raise RuntimeError(f"Spark did not start:\n{log.read_text(errors='replace')[-4000:]}")


def _master(java: str, folder: Path, started: list[subprocess.Popen[bytes]]) -> str:
    log = _daemon(
        java, folder, started, "master", "org.apache.spark.deploy.master.Master",
        "--host", "127.0.0.1", "--port", "0", "--webui-port", "0",
    )  # fmt: skip
    return _told(log, started[-1], r"spark://127\.0\.0\.1:\d+")


def _worker(
    java: str, folder: Path, started: list[subprocess.Popen[bytes]], master: str, number: int
) -> None:
    _daemon(
        java, folder, started, f"worker{number}", "org.apache.spark.deploy.worker.Worker",
        "--host", "127.0.0.1", "--port", "0", "--webui-port", "0", "--cores", "1",
        "--memory", "1g", "--work-dir", str(folder / f"work{number}"), master,
    )  # fmt: skip


def _session(master: str, folder: Path) -> Any:
    from pyspark.sql import SparkSession

    os.environ.update(
        PYSPARK_PYTHON=sys.executable, PYSPARK_DRIVER_PYTHON=sys.executable,
        SPARK_LOCAL_IP="127.0.0.1", SPARK_LOCAL_DIRS=str(folder),
    )  # fmt: skip
    builder = SparkSession.builder.master(master).appName("jinqiao tests")
    builder = builder.config("spark.sql.warehouse.dir", str(folder / "warehouse"))
    for name, value in _SETTINGS.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def _end_driver() -> None:
    """End the Java process behind the session, which otherwise lives as long as this one."""
    from pyspark import SparkContext

    gateway = SparkContext._gateway
    if gateway is None:
        return
    gateway.shutdown()
    process = getattr(gateway, "proc", None)
    if process is not None:
        process.stdin.close()
        process.wait(30)
    SparkContext._gateway = SparkContext._jvm = None
