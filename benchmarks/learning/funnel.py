"""A real loan funnel as its youngest cohorts were known: estimated against final approval rates."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jinqiao import insight
from jinqiao.insight.metrics import cohort_error

STAGES = ("A_SUBMITTED", "A_PREACCEPTED", "A_ACCEPTED", "A_FINALIZED")
YES, NO = "A_APPROVED", ("A_DECLINED", "A_CANCELLED")
FIRST, WEEKS, END = datetime(2011, 11, 15, tzinfo=UTC), 9, datetime(2012, 3, 14, tzinfo=UTC)
DAYS = (28, 14, 7)


def events(folder: Path) -> pa.Table:
    """Return case_id, stage, occurred_at of the BPI Challenge 2012 applications."""
    table = pq.read_table(folder / "loan_funnel_bpi12" / "applications_to_2012-01-15.parquet")
    return table.rename_columns(["case_id", "stage", "occurred_at"])


def found_at(table: pa.Table, at: datetime) -> insight.LateFunnel:
    """Return the funnel as it was known at an instant."""
    at_us = int(at.timestamp() * 1_000_000)
    return insight.late_funnel(table, stages=STAGES, yes=YES, no=NO, as_of_us=at_us)


def errors(table: pa.Table) -> dict[int, tuple[float, float]]:
    """Return by cohort days the mean error of ours, and of counting what is open as a no."""
    last = insight.late_funnel(
        table, stages=STAGES, yes=YES, no=NO, as_of_us=int(END.timestamp() * 1_000_000),
        half_life_days=None,
    )  # fmt: skip
    final = dict(zip(last.case_id.to_pylist(), last.p_yes == 1, strict=True))
    rows: dict[int, list[tuple[float, float, float]]] = {days: [] for days in DAYS}
    for week in range(WEEKS):
        found = found_at(table, FIRST + timedelta(days=7 * week))
        truth = np.array([final[case] for case in found.case_id.to_pylist()])
        for days in DAYS:
            cohort = found.cohort(days)
            share = float(truth[found.age_days < days].mean())
            rows[days].append((cohort.rate, cohort.counted, share))
    out = {}
    for days, told in rows.items():
        ours, counted, share = (np.array(column) for column in zip(*told, strict=True))
        out[days] = cohort_error(ours, share), cohort_error(counted, share)
    return out


def records(quick: bool, seed: int) -> list[dict[str, Any]]:
    """Return the three figures, beside counting every open case as a no."""
    del quick, seed  # 9 dates of real data: seconds, and nothing is drawn but intervals
    folder = os.environ.get("JINQIAO_DATA_DIR")
    base = {"unit": "relative error", "peer_name": "open counted as no", "seed": 0}
    if not folder:
        return [
            {**base, "figure": f"youngest_cohort_error_{days}", "ours": None, "peer": None,
             "ratio": None, "size": None, "cpu_s": None,
             "peer_reason": "JINQIAO_DATA_DIR is not set"}
            for days in DAYS
        ]  # fmt: skip
    table, started = events(Path(folder)), time.process_time()
    found = errors(table)
    cpu_s = time.process_time() - started
    size = {"rows": table.num_rows, "dates": WEEKS}
    return [
        {**base, "figure": f"youngest_cohort_error_{days}", "ours": ours, "peer": peer,
         "ratio": peer / ours, "size": size, "cpu_s": cpu_s}
        for days, (ours, peer) in found.items()
    ]  # fmt: skip


if __name__ == "__main__":
    for record in records(quick=False, seed=0):
        print(record)
