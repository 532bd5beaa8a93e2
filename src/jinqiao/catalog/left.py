"""What is left of every limit, what was delivered past one, and whether the counters are true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jinqiao.catalog.book import EXPIRED, POSTED, RESERVED
from jinqiao.catalog.late import claims_of, free_units, span_of
from jinqiao.catalog.limits import LimitTerms, headroom, limit_terms
from jinqiao.domain.catalog import Catalog, Measure
from jinqiao.domain.late import LateReports
from jinqiao.domain.tables import LIMITS
from jinqiao.domain.time import period_key
from jinqiao.store.base import Row, Tx

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["OverDelivered", "exceptions", "limit_rows", "over_delivered_units", "unequal"]


@dataclass(frozen=True, slots=True)
class OverDelivered:
    """A report that found no free unit: ``over`` units, or minor units of payout."""

    click_id: str
    limit_id: str
    period_key: str
    institution_id: str
    product_id: str
    measure: str
    stage: str
    over: int
    reported_us: int


def limit_rows(tx: Tx, catalog: Catalog, now_us: int, late: LateReports | None = None) -> pa.Table:
    """Return every limit in the period ``now_us`` falls in, as LIMITS, in catalog order.

    ``left`` is what a click-out may still reserve: the limit less what is posted, reserved and
    kept back for late reports. ``late``: how late they come; None keeps the flat ``headroom``.
    """
    import pyarrow as pa

    from jinqiao.engines.tables import arrow_schema

    terms = limit_terms(catalog)
    spans = {(one.limit.period, one.zone) for one in terms}
    key_of = {span: period_key(now_us, *span) for span in spans}
    keys = [key_of[one.limit.period, one.zone] for one in terms]
    counters = _counters(tx, terms, keys)
    rows = [
        _row(one, key, counters.get((one.limit_id, key)), now_us, late)
        for one, key in zip(terms, keys, strict=True)
    ]
    columns = {name: [row[name] for row in rows] for name in LIMITS.names}
    return pa.Table.from_pydict(columns, schema=arrow_schema(LIMITS))


def exceptions(tx: Tx, *, institution_id: str | None = None) -> tuple[OverDelivered, ...]:
    """Return every report that found no free unit, by limit, period and click."""
    counters = tx.find("limit_counters", at_least={"over": 1})
    if not counters:
        return ()
    where: dict[str, Any] = {"limit_id": sorted({row["limit_id"] for row in counters})}
    if institution_id is not None:
        where["institution_id"] = institution_id
    order = ("limit_id", "period_key", "click_id")
    rows = tx.find("limit_units", where, at_least={"over": 1}, order_by=order)
    return tuple(_over_delivered(row) for row in rows)


def over_delivered_units(tx: Tx) -> int:
    """Return how many units of quotas were reported without one being free."""
    return sum(one.over for one in exceptions(tx) if one.measure == Measure.COUNT)


def unequal(tx: Tx) -> tuple[tuple[str, str], ...]:
    """Return the limits and periods whose counter is not the sum of its units: none, always."""
    counters = tx.find("limit_counters")
    since = {
        (row["limit_id"], row["period_key"]): row["waiting"][0][0] if row["waiting"] else 0
        for row in counters
    }
    sums: dict[tuple[str, str], list[int]] = {}
    for unit in tx.find("limit_units"):
        key = (unit["limit_id"], unit["period_key"])
        total = sums.setdefault(key, [0, 0, 0, 0])
        total[0] += unit["held"] if unit["state"] == RESERVED else 0
        total[1] += unit["posted"] if unit["state"] == POSTED else 0
        total[2] += unit["over"]
        waits = unit["state"] == EXPIRED and unit["reserved_at"] is not None
        total[3] += waits and span_of(unit["reserved_at"]) >= since.get(key, 0)
    kept = {
        (row["limit_id"], row["period_key"]): [
            row["reserved"], row["posted"], row["over"], sum(one[1] for one in row["waiting"])
        ]
        for row in counters
    }  # fmt: skip
    keys = sorted(sums.keys() | kept.keys())
    zero = [0, 0, 0, 0]
    return tuple(key for key in keys if sums.get(key, zero) != kept.get(key, zero))


def _counters(tx: Tx, terms: tuple[LimitTerms, ...], keys: list[str]) -> dict[tuple[str, str], Row]:
    if not terms:
        return {}
    where = {"limit_id": [one.limit_id for one in terms], "period_key": sorted(set(keys))}
    found = tx.find("limit_counters", where)
    return {(row["limit_id"], row["period_key"]): row for row in found}


def _left(
    one: LimitTerms, counter: Row | None, now_us: int, late: LateReports | None
) -> tuple[int, int]:
    """Return what a click-out may still reserve, and what is kept back beside it."""
    posted, reserved = (counter["posted"], counter["reserved"]) if counter else (0, 0)
    unposted = one.limit.limit - posted
    free = max(unposted - reserved, 0)
    if late is None:
        left = max(free - headroom(one.limit.limit), 0)
    elif counter is None or not counter["waiting"]:
        left = free
    else:
        claims = claims_of(late, one.institution_id, one.limit, counter["waiting"], now_us)
        left = free_units(unposted, reserved, claims)
    return left, free - left


def _row(
    one: LimitTerms, key: str, counter: Row | None, now_us: int, late: LateReports | None
) -> dict[str, Any]:
    posted, reserved = (counter["posted"], counter["reserved"]) if counter else (0, 0)
    left, kept = _left(one, counter, now_us, late)
    return {
        "limit_id": one.limit_id,
        "scope": one.scope,
        "institution_id": one.institution_id,
        "product_id": one.product_id,
        "branch_id": one.branch_id,
        "measure": one.limit.measure.value,
        "stage": one.limit.stage.value,
        "period": one.limit.period.value,
        "period_key": key,
        "limit": one.limit.limit,
        "posted": posted,
        "reserved": reserved,
        "kept": kept,
        "left": left,
    }


def _over_delivered(row: Row) -> OverDelivered:
    return OverDelivered(
        row["click_id"], row["limit_id"], row["period_key"], row["institution_id"],
        row["product_id"], row["measure"], row["stage"], row["over"], row["changed_at"],
    )  # fmt: skip
