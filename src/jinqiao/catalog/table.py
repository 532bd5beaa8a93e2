"""The catalog as one table, and which of its products are offered at an instant."""

from __future__ import annotations

from datetime import date, datetime, time
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from jinqiao.catalog.costs import all_in_of, payout_minor
from jinqiao.domain.catalog import Catalog, Institution, Product, Schedule
from jinqiao.domain.tables import PRODUCTS
from jinqiao.domain.time import from_us, to_us

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["midnight_us", "offered", "product_table", "schedule_mask"]

_INT32 = 2**31 - 1


def product_table(catalog: Catalog, now_us: int) -> pa.Table:
    """Return every product as a row of PRODUCTS, in catalog order.

    ``stopped``: taken off by hand, or past its day of withdrawal at ``now_us``; a product that is
    launched later is not stopped, see ``launch_at``.
    """
    import pyarrow as pa

    from jinqiao.engines.tables import arrow_schema

    versions = dict(catalog.versions)
    rows = [
        _row(institution, product, versions.get(institution.institution_id, 1))
        for institution in catalog.institutions
        for product in institution.products
    ]
    for row in rows:
        over = row["withdraw_at"] is not None and row["withdraw_at"] <= now_us
        row["stopped"] = over or row["product_id"] in catalog.stopped
    columns = {name: [row[name] for row in rows] for name in PRODUCTS.names}
    return pa.Table.from_pydict(columns, schema=arrow_schema(PRODUCTS))


def schedule_mask(
    catalog: Catalog, now_us: int, *, region: str | None = None, channel: str | None = None
) -> NDArray[np.bool_]:
    """Return which products are offered at an instant, place and channel, bool ``(P,)``.

    A product bound to regions or channels is not offered where these are unknown (None).
    """
    return np.array(
        [
            product.product_id not in catalog.stopped
            and offered(product.schedule, institution.zone, now_us, region, channel)
            for institution in catalog.institutions
            for product in institution.products
        ],
        dtype=bool,
    )


def offered(
    schedule: Schedule, zone: str, now_us: int, region: str | None, channel: str | None
) -> bool:
    """Return whether a schedule offers at an instant, place and channel."""
    if schedule.regions and region not in schedule.regions:
        return False
    if schedule.channels and channel not in schedule.channels:
        return False
    if schedule == Schedule():
        return True
    local = _local(now_us, zone)
    if schedule.launch_on is not None and local.date() < schedule.launch_on:
        return False
    if schedule.withdraw_on is not None and local.date() >= schedule.withdraw_on:
        return False
    return schedule.hours is None or _open(schedule.hours, local.hour)


def _open(hours: tuple[int, int], hour: int) -> bool:
    begin, end = hours
    return begin <= hour < end if begin < end else hour >= begin or hour < end


@lru_cache(maxsize=256)
def _local(us: int, zone: str) -> datetime:
    return from_us(us).astimezone(ZoneInfo(zone))


def _row(institution: Institution, product: Product, version: int) -> dict[str, Any]:
    cost, payout = product.cost, product.payout
    found = all_in_of(product.product_class, cost)
    return {
        "product_id": product.product_id,
        "institution_id": institution.institution_id,
        "product_version": version,
        "product_class": product.product_class.value,
        "licence": institution.licence.value,
        "customer_kind": product.customer_kind,
        "risk_level": product.risk_level,
        "rate_bps": cost.rate_bps,
        "all_in_bps": None if found.annual_bps is None else min(found.annual_bps, _INT32),
        "all_in_cost_minor": found.cost_minor,
        "reference_amount_minor": cost.reference_amount_minor,
        "reference_term_days": cost.reference_term_days,
        "amount_max_minor": cost.amount_max_minor,
        "payout_basis": payout.basis.value,
        "payout_stage": payout.stage.value,
        "payout_amount_minor": payout_minor(product),
        "hold_hours": product.delivery.hold_hours,
        "launch_at": midnight_us(product.schedule.launch_on, institution.zone),
        "withdraw_at": midnight_us(product.schedule.withdraw_on, institution.zone),
    }


def midnight_us(day: date | None, zone: str) -> int | None:
    """Return the instant (µs) a day begins in a zone."""
    return None if day is None else to_us(datetime.combine(day, time(), ZoneInfo(zone)))
