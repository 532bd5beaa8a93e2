"""How late institutions report: what is counted, and the chances it is told as."""

from __future__ import annotations

import random
from contextlib import closing
from itertools import pairwise

import pyarrow as pa
import pytest

from conversion.reporting import HOUR_US, T0_US
from jinqiao import conversion
from jinqiao.conversion.late import PRIOR, WINDOW_DAYS
from jinqiao.domain.late import AGE_HOURS
from jinqiao.domain.tables import OUTCOMES
from jinqiao.domain.time import DAY_US
from jinqiao.engines.tables import arrow_schema
from jinqiao.store.base import Records
from jinqiao.store.memory import MemoryRecords
from jinqiao.store.memory_lake import MemoryLake

AS_OF_US = T0_US + 40 * DAY_US


def outcome(number: int, house: str, stage: str, polarity: str, at_us: int) -> dict[str, object]:
    return {
        "outcome_id": f"{number}-{stage}-{polarity}-{at_us}", "trace_id": f"t{number}",
        "position": 1, "click_id": f"c{number}", "application_id": None, "customer_id": "x",
        "product_id": "p", "institution_id": house, "stage": stage, "polarity": polarity,
        "occurred_at": at_us, "received_at": at_us, "amount_minor": None, "corrects": None,
        "sequence": 0,
    }  # fmt: skip


def drawn(seed: int, size: int = 400) -> tuple[list[dict[str, object]], list[tuple[str, int, int]]]:
    """Return outcomes of clicks, and per click its house, instant and first report's (or none)."""
    chance, rows, clicks = random.Random(seed), [], []
    for i in range(size):
        house = chance.choice(["quick", "slow"])
        at = T0_US + chance.randrange(0, 41 * 24) * HOUR_US
        rows.append(outcome(i, house, "click", "reached", at))
        told = 0
        if chance.random() < 0.4:
            told = at + int(chance.expovariate(0.3 if house == "quick" else 0.02) * HOUR_US)
            rows.append(outcome(i, house, "application", "reached", told))
            rows.append(outcome(i, house, "approval", "refused", told + 5 * HOUR_US))
        elif chance.random() < 0.5:
            rows.append(outcome(i, house, "application", "expired", at + 12 * HOUR_US))
        clicks.append((house, at, told))
    return rows, clicks


def lake_of(rows: list[dict[str, object]]) -> MemoryLake:
    lake = MemoryLake()
    table = pa.table(
        {
            c.name: pa.array([r[c.name] for r in rows], _wide(c.type)).cast(
                arrow_schema(OUTCOMES).field(c.name).type
            )
            for c in OUTCOMES.columns
        }
    )
    lake.append(OUTCOMES, table, batch_id="b")
    return lake


def _wide(kind: str) -> pa.DataType:
    return pa.int64() if kind in ("timestamp", "int8", "int32", "int64") else pa.string()


@pytest.mark.parametrize("seed", range(3))
def test_counts_are_those_of_a_plain_loop(any_records: Records, seed: int) -> None:
    """Clicks at risk and reports of each age are what counting one by one gives."""
    rows, clicks = drawn(seed)
    with closing(lake_of(rows)) as lake, any_records.transaction() as tx:
        counted = conversion.learn_late_reports(tx, lake, as_of_us=AS_OF_US)
        found = {row["institution_id"]: row for row in tx.find("late_reports")}
    seen = [one for one in clicks if one[1] <= AS_OF_US]
    assert counted == len(seen) < len(clicks)
    for house in ("quick", "slow", ""):
        for k, (young, old) in enumerate(pairwise(AGE_HOURS)):
            risk = came = 0
            for name, at, told in seen:
                late = (told - at) / HOUR_US if 0 < told <= AS_OF_US else float("inf")
                if house in ("", name) and AS_OF_US - at >= old * HOUR_US and late >= young:
                    risk += 1
                    came += late < old
            assert (found[house]["at_risk"][k], found[house]["reported"][k]) == (risk, came)


def test_chances_fall_with_age_and_tell_institutions_apart() -> None:
    """A silent click's chance falls hour by hour to 0; the slow institution's falls later."""
    rows, _ = drawn(7, 4_000)
    records = MemoryRecords()
    with closing(lake_of(rows)) as lake, records.transaction() as tx:
        before = conversion.late_reports(tx)
        conversion.learn_late_reports(tx, lake, as_of_us=AS_OF_US)
        after = conversion.late_reports(tx)
    for chances in (before.pool, after.of("quick"), after.of("slow"), after.of("unknown")):
        assert len(chances) == AGE_HOURS[-1] + 1
        assert all(a >= b for a, b in pairwise(chances))
        assert 0 <= chances[-1] < 1e-12
        assert chances[0] < 1
    assert before.of("quick") == before.pool
    silent = 1.0
    for share in PRIOR:
        silent *= 1 - share
    assert before.pool[0] == pytest.approx(1 - silent)
    assert after.of("slow")[24] > 2 * after.of("quick")[24]
    assert after.of("unknown") == after.pool


def test_what_is_older_than_the_window_teaches_nothing() -> None:
    """Clicks that lie further back are not counted; nothing to count leaves the last counts."""
    rows, _ = drawn(5, 50)
    records = MemoryRecords()
    with closing(lake_of(rows)) as lake, records.transaction() as tx:
        conversion.learn_late_reports(tx, lake, as_of_us=AS_OF_US)
        kept = tx.find("late_reports")
        later = AS_OF_US + (WINDOW_DAYS + 2) * DAY_US
        assert conversion.learn_late_reports(tx, lake, as_of_us=later) == 0
        assert tx.find("late_reports") == kept
