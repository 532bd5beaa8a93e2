"""The cluster of these tests is one: two executors, each a process of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

pytestmark = pytest.mark.spark


def test_two_executors_work(spark: Any) -> None:
    """Partitions are worked on by two executors, neither of them this process."""

    def who(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:
            yield pa.RecordBatch.from_pydict({"executor": [os.environ["SPARK_EXECUTOR_DIRS"]]})

    found = spark.range(0, 8, 1, 8).mapInArrow(who, "executor string").toArrow()
    assert len(set(found["executor"].to_pylist())) == 2
    assert spark.sparkContext.master.startswith("spark://")
