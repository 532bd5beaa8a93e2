"""Market scale: who and what is here, and how much moves."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jinqiao.domain.metric import Metric
from jinqiao.insight.facts import Facts
from jinqiao.insight.interval import total
from jinqiao.insight.journeys import Journeys
from jinqiao.insight.measure import Window, count_of, figure, stock_of
from jinqiao.insight.queries import ACTIVE
from jinqiao.store.base import Lake

__all__ = ["scale"]

_MONTH_DAYS = 30


def scale(lake: Lake, facts: Facts, found: Journeys, window: Window) -> tuple[Metric, ...]:
    """Return the six indicators of market scale."""
    live = _live(facts.products, window.as_of_us)
    return (
        stock_of("identified_customers", window, _distinct(facts.customer_map["customer_id"])),
        _actives(lake, facts, window.longer(_MONTH_DAYS)),
        stock_of("institutions_live", window, _distinct(live["institution_id"])),
        stock_of("products_live", window, live.num_rows, _by(live["product_class"].to_pylist())),
        _applications(found, window),
        _funded(found, window),
    )


def _actives(lake: Lake, facts: Facts, window: Window) -> Metric:
    people = facts.customer_map.select(["subject_id", "customer_id"])
    asked = {"as_of_us": window.as_of_us, "from_us": window.from_us}
    row = lake.query(ACTIVE, {"customer_map": people}, **asked)
    return count_of("monthly_actives", window, int(row["customers"][0].as_py()))


def _live(products: pa.Table, as_of_us: int) -> pa.Table:
    """Return the products on sale at an instant."""
    now = pa.scalar(as_of_us, pa.int64()).cast(pa.timestamp("us"))
    begun = pc.fill_null(pc.less_equal(products["launch_at"], now), True)
    open_ = pc.fill_null(pc.greater(products["withdraw_at"], now), True)
    return products.filter(pc.and_(pc.and_(begun, open_), pc.invert(products["stopped"])))


def _applications(found: Journeys, window: Window) -> Metric:
    rows = found.since("application", window.from_us)
    classes = found.product_class[rows]
    return count_of("applications", window, int(rows.sum()), _by(classes))


def _funded(found: Journeys, window: Window) -> Metric:
    moment = np.where(found.credit, found.disbursement, found.reached["activation"])
    rows = (moment > window.from_us) & (found.funded_minor > 0)
    amounts, classes = found.funded_minor[rows], found.product_class[rows]
    split = [(name, amounts[classes == name].sum()) for name in sorted(set(classes))]
    lower, upper = total(amounts.tolist())
    value = float(amounts.sum())
    return figure("funded_minor", window, (value, None), value, (max(lower, 0.0), upper), split)


def _by(texts: Iterable[str]) -> list[tuple[str, float]]:
    listed = list(texts)
    return [(name, listed.count(name)) for name in sorted(set(listed))]


def _distinct(column: pa.ChunkedArray) -> int:
    return int(pc.count_distinct(column).as_py())
