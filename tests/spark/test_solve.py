"""The solve on a Spark cluster: the same prices, a plan that holds, two executors at work."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest

from jinqiao import match
from jinqiao.errors import InputError
from match.market_files import Market, market, written

pytestmark = pytest.mark.spark


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Market, Path]:
    """Return a market of every kind of row, and its pairs in four files."""
    found = market(seed=3, n=30_000)
    return found, written(found, tmp_path_factory.mktemp("pairs"), files=4)


def test_spark_finds_the_embedded_prices(
    spark: Any, made: tuple[Market, Path], tmp_path: Path
) -> None:
    """Two executors find the duals and the bound of one machine; the plan holds, certified."""
    found, folder = made
    files = match.PairFiles(folder, found.n_products)
    alone = match.solve_files(files, found.rows, tmp_path / "alone", seed=1)
    watch = match.Watch()
    plan = match.solve_spark(
        spark, files, found.rows, tmp_path / "plan", seed=1, partitions=4,
        run=match.FilesRun(watch=watch),
    )  # fmt: skip
    assert len(watch.executors) == 2
    assert plan.duals == pytest.approx(alone.duals, rel=1e-6, abs=1e-9)
    assert plan.certificate.dual_bound == pytest.approx(alone.certificate.dual_bound, rel=1e-9)
    checked = match.certify_files(files, found.rows, plan)
    assert checked.violation_max == 0.0
    assert checked.slot_excess == 0
    assert checked.primal == pytest.approx(plan.certificate.primal, rel=1e-12)
    assert checked.gap <= 1e-3
    assert len(plan.offers) == 4
    assert not (tmp_path / "plan" / "_work").exists()


def test_a_data_frame_becomes_files(spark: Any, made: tuple[Market, Path], tmp_path: Path) -> None:
    """Rows in any order come out sorted by customer, and are solved to the same value."""
    found, folder = made
    frame = spark.read.parquet(str(folder)).orderBy("value")
    ordered = match.pairs_of(frame, tmp_path / "pairs", 3)
    customers = np.concatenate([
        pq.read_table(path, columns=["customer"])["customer"].to_numpy()
        for path in sorted(ordered.glob("*.parquet"))
    ])  # fmt: skip
    assert (np.diff(customers) >= 0).all()
    plan = match.solve_files(match.PairFiles(ordered, found.n_products), found.rows, tmp_path / "p")
    assert plan.n_pairs == found.n_pairs


def test_an_executors_refusal_comes_back_whole(spark: Any, tmp_path: Path) -> None:
    """A fault found in a partition is the error that names file, row and field."""
    found = market(seed=4, n=500)
    found.value[77] = np.nan
    folder = written(found, tmp_path / "pairs", files=2)
    files = match.PairFiles(folder, found.n_products)
    with pytest.raises(InputError, match=r"pairs-0.parquet, row group 0, row 77 .*value"):
        match.solve_spark(spark, files, found.rows, tmp_path / "plan")


def test_the_page_runs(spark: Any, tmp_path: Path) -> None:
    """The example of ``docs/how-to/solve-on-spark.md`` solves and certifies."""
    found = market(seed=6, n=1_000, n_products=6)
    frame = spark.read.parquet(str(written(found, tmp_path / "raw", files=1)))
    page = Path(__file__).parents[2] / "docs" / "how-to" / "solve-on-spark.md"
    code = page.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    frame = frame.select("customer", "product", "value")
    exec(compile(code, page.name, "exec"), {"spark": spark, "frame": frame, "folder": tmp_path})


def test_an_executor_may_die(spark: Any, made: tuple[Market, Path], tmp_path: Path) -> None:
    """Killed -9 between two passes, an executor is replaced and its partitions run again; sums of
    the smoothed dual, made where few may be left open, are the driver's too."""
    found, folder = made
    killed: list[int] = []

    def told(event: match.FilesProgress) -> None:
        if event.stage == "sample" and not killed:
            killed.append(_kill_one_executor())

    plan = match.solve_spark(
        spark, match.PairFiles(folder, found.n_products), found.rows, tmp_path, partitions=4,
        run=match.FilesRun(watch=match.Watch(told), open_most=2_000),
    )  # fmt: skip
    assert len(killed) == 1
    checked = match.certify_files(match.PairFiles(folder, found.n_products), found.rows, plan)
    assert checked.violation_max == 0.0
    assert checked.dual_bound == pytest.approx(plan.certificate.dual_bound, rel=1e-9)


def _kill_one_executor() -> int:
    """Kill an executor of this test process's cluster; return its process id."""
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # one that has ended says nothing of itself
            if any("CoarseGrainedExecutorBackend" in word for word in process.cmdline()):
                process.kill()
                return process.pid
    raise AssertionError("no executor is running")
