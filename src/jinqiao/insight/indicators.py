"""The eighteen indicators, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jinqiao.domain.metric import Metric
from jinqiao.insight.facts import Facts
from jinqiao.insight.measure import Window
from jinqiao.insight.queries import DAYS, VISITS
from jinqiao.store.base import Lake

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["daily", "indicators"]

CHINA_US = 8 * 3_600_000_000


def indicators(
    lake: Lake, facts: Facts, *, as_of_us: int, window_days: int = 28
) -> tuple[Metric, ...]:
    """Return market scale, traffic operation and conversion effect: six indicators each.

    Only rows that had arrived by the as-of count, and of an outcome only its last word. A ratio
    without a denominator is None. docs/reference/kpis.md says what each one is.
    """
    from jinqiao.insight.effect import effect
    from jinqiao.insight.journeys import journeys
    from jinqiao.insight.scale import scale
    from jinqiao.insight.traffic import traffic

    window = Window(as_of_us, window_days)
    found = journeys(lake, facts, as_of_us)
    visits = lake.query(VISITS, as_of_us=as_of_us, from_us=window.from_us)
    return (
        *scale(lake, facts, found, window),
        *traffic(lake, facts, window, visits),
        *effect(facts, found, window, visits),
    )


def daily(
    lake: Lake, *, as_of_us: int, window_days: int = 28, offset_us: int = CHINA_US
) -> pa.Table:
    """Return visits, impressions, clicks and applications of each local day of the window, int64.

    ``day`` counts days since 1970-01-01, ascending; days without any are left out.
    """
    import pyarrow as pa

    window = Window(as_of_us, window_days)
    found = lake.query(DAYS, as_of_us=as_of_us, from_us=window.from_us, offset_us=offset_us)
    return found.cast(pa.schema([(name, pa.int64()) for name in found.column_names]))
