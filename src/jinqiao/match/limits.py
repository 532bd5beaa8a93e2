"""Rows from the catalog's limits: what a plan over some days may take of each quota and budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jinqiao.domain.catalog import Measure, Period
from jinqiao.domain.stage import Stage
from jinqiao.domain.tables import LIMITS, PRODUCTS
from jinqiao.engines.allocation import LimitRow
from jinqiao.errors import SchemaError

__all__ = ["Horizon", "approval_row", "limit_rows", "segment_row"]

_LENGTH_DAYS = {Period.DAY: 1.0, Period.WEEK: 7.0}
Customers = NDArray[np.bool_] | NDArray[np.int64]


def _one_period() -> Mapping[Period, float]:
    return {Period.DAY: 1.0, Period.WEEK: 7.0, Period.TOTAL: 28.0}


@dataclass(frozen=True, slots=True)
class Horizon:
    """The days a plan is made for, and how many are left of each period when it starts.

    What is left of the current period is spread over its days; a day and a week renew after it, a
    total does not.
    """

    days: float = 7.0
    left_days: Mapping[Period, float] = field(default_factory=_one_period)

    def units(self, period: Period, limit: float, left: float) -> float:
        """Return how much of a limit a plan of so many days may take, ≥ 0."""
        rest = max(self.left_days.get(period, self.days), 1e-9)
        now = left * min(1.0, self.days / rest)
        if period not in _LENGTH_DAYS:
            return now
        return now + limit * max(self.days - rest, 0.0) / _LENGTH_DAYS[period]


def limit_rows(
    limits: pa.Table,
    products: pa.Table,
    *,
    horizon: Horizon | None = None,
    approval_floors: Mapping[str, float] | None = None,
    branches: Mapping[str, Customers] | None = None,
) -> tuple[LimitRow, ...]:
    """Return one hard row a limit, then one a floor on an institution's approval rate.

    Parameters
    ----------
    limits : rows of ``domain.tables.LIMITS``. products : rows of ``PRODUCTS``, in plan order.
    horizon : the plan's days (default 7).
    approval_floors : least mean approval chance by institution id, in [0, 1].
    branches : the customers of each branch, a mask or indices, by branch id; a limit of a branch
        not named here is left to the reservation at click-out.

    A count limit on applications sums expected applications; on a later stage, expected approvals
    (never fewer than the activations it asks for). A money limit sums the expected payout.

    Raises
    ------
    SchemaError : a column is missing, or a limit names a product that is not in ``products``.
    """
    _check(limits, LIMITS.names, "limits")
    _check(products, PRODUCTS.names, "products")
    horizon = horizon or Horizon()
    place = _Places(products)
    rows = [_limit(line, place, horizon, branches or {}) for line in limits.to_pylist()]
    floors = (
        approval_row(f"approval:{name}", place.of_institution(name), floor)
        for name, floor in (approval_floors or {}).items()
    )
    return (*(row for row in rows if row is not None), *floors)


def approval_row(name: str, products: NDArray[np.int32] | Sequence[int], floor: float) -> LimitRow:
    """Return the row: mean approval chance over expected applications ≥ floor, in [0, 1]."""
    if not 0 <= floor <= 1:
        raise SchemaError(f"{floor} is no share", record=name, field="floor", fix="use 0 … 1")
    return LimitRow(name, ">=", 0.0, "approval", np.asarray(products, np.int32), floor=floor)


def segment_row(
    name: str,
    customers: Customers,
    units: float,
    products: NDArray[np.int32] | Sequence[int],
    *,
    soft_penalty: float | None = None,
) -> LimitRow:
    """Return the row: these customers get at least so many expected applications."""
    return LimitRow(
        name, ">=", units, "count", np.asarray(products, np.int32), customers, soft_penalty
    )


class _Places:
    """Where the products of an id, or of an institution, stand."""

    def __init__(self, products: pa.Table) -> None:
        self._product = {p: i for i, p in enumerate(products["product_id"].to_pylist())}
        self._institution: dict[str, list[int]] = {}
        for index, name in enumerate(products["institution_id"].to_pylist()):
            self._institution.setdefault(name, []).append(index)

    def of_institution(self, name: str) -> NDArray[np.int32]:
        return np.array(self._institution.get(name, ()), np.int32)

    def of(self, line: Mapping[str, Any]) -> NDArray[np.int32]:
        name = line["product_id"]
        if name is None:
            return self.of_institution(line["institution_id"])
        if name not in self._product:
            raise SchemaError(
                f"unknown product {name}", record=line["limit_id"], field="product_id"
            )
        return np.array([self._product[name]], np.int32)


def _limit(
    line: Mapping[str, Any], place: _Places, horizon: Horizon, branches: Mapping[str, Customers]
) -> LimitRow | None:
    branch = line["branch_id"]
    if branch is not None and branch not in branches:
        return None
    units = horizon.units(Period(line["period"]), float(line["limit"]), float(line["left"]))
    return LimitRow(
        f"{line['limit_id']}@{line['period_key']}",
        "<=",
        units,
        _measure(line),
        place.of(line),
        None if branch is None else branches[branch],
    )


def _measure(line: Mapping[str, Any]) -> Any:
    if line["measure"] == Measure.MONEY:
        return "cost"
    return "count" if line["stage"] == Stage.APPLICATION else "approval"


def _check(table: pa.Table, names: Sequence[str], record: str) -> None:
    missing = [name for name in names if name not in table.column_names]
    if missing:
        raise SchemaError(f"no column {missing[0]}", record=record, field=missing[0])
