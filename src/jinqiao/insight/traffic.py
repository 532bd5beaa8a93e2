"""Traffic operation: what was shown, what it cost, who came back, who agreed, who tired."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from jinqiao.domain.consent import Purpose
from jinqiao.domain.metric import Metric
from jinqiao.domain.time import DAY_US
from jinqiao.insight.facts import Facts
from jinqiao.insight.interval import mean, ratio_of_ratios
from jinqiao.insight.measure import Window, count_of, figure, share_of
from jinqiao.insight.queries import CONTEXT, FATIGUE, RETURNS
from jinqiao.store.base import Lake

__all__ = ["traffic"]

_HORIZONS_DAYS = (7, 30)


def traffic(lake: Lake, facts: Facts, window: Window, visits: pa.Table) -> tuple[Metric, ...]:
    """Return the six indicators of traffic operation; ``visits`` is the answer of VISITS."""
    asked = {"as_of_us": window.as_of_us, "from_us": window.from_us}
    context = lake.query(CONTEXT, **asked).to_pylist()
    return (
        _impressions(context, window),
        _click_rate(context, window),
        _cost(visits.to_pylist(), window),
        _returns(lake, facts, window),
        _consent(facts, window),
        _fatigue(lake.query(FATIGUE, **asked).to_pylist(), window),
    )


Rows = list[dict[str, int]]


def _impressions(context: Rows, window: Window) -> Metric:
    split: Counter[str] = Counter()
    for row in context:
        split[f"channel:{row['channel']}"] += row["impressions"]
        split[f"scene:{row['scene']}"] += row["impressions"]
    number = sum(row["impressions"] for row in context)
    return count_of("impressions", window, number, sorted(split.items()))


def _click_rate(context: Rows, window: Window) -> Metric:
    shown: Counter[str] = Counter()
    clicked: Counter[str] = Counter()
    for row in context:
        for label in (f"channel:{row['channel']}", f"scene:{row['scene']}"):
            shown[label] += int(row["impressions"])
            clicked[label] += int(row["clicks"])
    parts = (sum(int(r["clicks"]) for r in context), sum(r["impressions"] for r in context))
    split = [(label, clicked[label] / shown[label]) for label in sorted(shown)]
    return share_of("click_rate", window, parts, split)


def _cost(visits: Rows, window: Window) -> Metric:
    number = sum(row["visits"] for row in visits)
    cost = float(sum(row["cost"] for row in visits))
    squares = float(sum(row["cost_squared"] for row in visits))
    value = cost / number if number else None
    split = [(str(row["source"]), float(row["cost"]) / row["visits"]) for row in visits]
    interval = mean(cost, squares, number)
    return figure("cost_per_visit_minor", window, (cost, number), value, interval, split)


def _returns(lake: Lake, facts: Facts, window: Window) -> Metric:
    people = {"customer_map": facts.customer_map.select(["subject_id", "customer_id"])}
    split, first = [], (0, 0)
    for days in _HORIZONS_DAYS:
        row = lake.query(
            RETURNS, people, as_of_us=window.as_of_us, horizon_us=days * DAY_US,
            from_us=window.from_us - days * DAY_US,
        ).to_pylist()[0]  # fmt: skip
        came, back = int(row["visitors"]), int(row["returned"] or 0)
        first = (back, came) if days == _HORIZONS_DAYS[0] else first
        if came:
            split.append((f"{days}_days", back / came))
    return share_of("return_rate", window, first, split)


def _consent(facts: Facts, window: Window) -> Metric:
    state = facts.consent_state
    split, own = [], (0, 0)
    for purpose in Purpose:
        asked = state.filter(pc.equal(state["purpose"], purpose.value))
        granted = int(pc.sum(asked["granted"]).as_py() or 0)
        if purpose is Purpose.PERSONALISE:
            own = (granted, asked.num_rows)
        if asked.num_rows:
            split.append((f"granted:{purpose.value}", granted / asked.num_rows))
            split.append((f"refused:{purpose.value}", 1 - granted / asked.num_rows))
    return share_of("consent_rate", window, own, split)


def _fatigue(turns: Rows, window: Window) -> Metric:
    """Return the click rate from the fourth showing on beside the first showing's."""
    found = {int(r["turn"]): (int(r["clicks"]), int(r["impressions"])) for r in turns}
    names = {1: "1", 2: "2", 3: "3", 4: "4_and_more"}
    split = [(names[turn], k / n) for turn, (k, n) in sorted(found.items())]
    (k1, n1), (k0, n0) = found.get(4, (0, 0)), found.get(1, (0, 0))
    late, early = (k1 / n1 if n1 else None), (k0 / n0 if n0 else None)
    value = late / early if late is not None and early else None
    interval = ratio_of_ratios(k1, n1, k0, n0)
    return figure("frequency_fatigue", window, (late or 0.0, early), value, interval, split)
