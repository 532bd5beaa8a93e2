"""Profiles of every consenting customer, as of one moment, or each as of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from jinqiao.domain.consent import Purpose
from jinqiao.domain.feature import Feature
from jinqiao.domain.time import from_us
from jinqiao.engines.sql import CheckedQuery, check
from jinqiao.errors import InputError
from jinqiao.policy import check_features
from jinqiao.profile.definition import Definition, definitions, dictionary
from jinqiao.profile.statement import statement
from jinqiao.store.base import Lake

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Place", "build", "build_at", "parameters", "plan"]


@dataclass(frozen=True, slots=True)
class Place:
    """Which money and whose clock: rows of another currency are left out of every sum.

    ``offset_us``: how far local hours and days lie east of UTC.
    """

    currency: str = "CNY"
    offset_us: int = 8 * 3_600_000_000


CHINA = Place()


def build(
    lake: Lake,
    customer_map: pa.Table,
    consent_state: pa.Table,
    *,
    as_of_us: int,
    purpose: Purpose,
    names: Sequence[str] | None = None,
    products: pa.Table | None = None,
    place: Place = CHINA,
) -> pa.Table:
    """Return one row a customer with a standing consent: ``customer_id``, then the features.

    Only rows that had arrived and happened by the as-of count. Columns are int64, float64 or text;
    what is not known is null, never NaN.

    Parameters
    ----------
    customer_map, consent_state : tables of CUSTOMER_MAP and CONSENT_STATE.
    names : the features wanted, in order; None is every feature the purpose may use.
    products : ``product_id`` and ``product_class`` of every product ever on sale (PRODUCTS will
        do); without it features that tell classes apart are null.

    Raises
    ------
    ConsentError : a feature the purpose may not use was asked for; nothing has been read.
    NotFound : there is no such feature.
    """
    features = _wanted(names, purpose)
    query, chosen = plan(tuple(f.name for f in features))
    inputs = {"customer_map": customer_map, "consent_state": consent_state}
    inputs["products"] = _classes(products)
    wanted = parameters(as_of_us, purpose, place)
    return _found(lake, query, inputs, wanted, (features, _unknown(chosen, products)))


def build_at(
    lake: Lake,
    customer_map: pa.Table,
    consent_state: pa.Table,
    moments: pa.Table,
    *,
    purpose: Purpose,
    names: Sequence[str] | None = None,
    products: pa.Table | None = None,
    place: Place = CHINA,
) -> pa.Table:
    """Return the same with an as-of of each customer's own; customers without one have no row.

    The query is ``build``'s with a join in place of constants, so one moment for all gives what
    ``build`` gives.

    Parameters
    ----------
    moments : ``customer_id``, ``as_of_us`` (int64, µs), one row a customer.

    Raises
    ------
    InputError : a customer has two moments, or one has none at all (null).
    """
    features = _wanted(names, purpose)
    query, chosen = _plan_at(tuple(f.name for f in features))
    inputs = {"customer_map": customer_map, "consent_state": consent_state}
    inputs |= {"products": _classes(products), "moments": _moments(moments, place)}
    wanted = parameters(0, purpose, place)
    return _found(lake, query, inputs, wanted, (features, _unknown(chosen, products)))


def _wanted(names: Sequence[str] | None, purpose: Purpose) -> tuple[Feature, ...]:
    whole = dictionary()
    chosen = whole.allowed(purpose).names if names is None else tuple(names)
    return tuple(check_features(whole, chosen, purpose))


def _unknown(chosen: Sequence[Definition], products: pa.Table | None) -> set[str]:
    return {d.feature.name for d in chosen if d.needs_class} if products is None else set()


def _found(
    lake: Lake,
    query: CheckedQuery,
    inputs: Mapping[str, pa.Table],
    wanted: Mapping[str, object],
    shape: tuple[Sequence[Feature], set[str]],
) -> pa.Table:
    given = {name: wanted[name] for name in query.parameters}
    tables = {n: t for n, t in inputs.items() if n in query.tables}
    return _typed(lake.query(query.text, tables, **given), *shape)


def _moments(moments: pa.Table, place: Place) -> pa.Table:
    """Return the moments with the parts of the local calendar that features read."""
    import pyarrow as pa

    at = moments["as_of_us"].cast(pa.int64())
    customers = moments["customer_id"].cast(pa.string())
    if at.null_count or customers.null_count:
        raise InputError("a moment is missing", record="moments", field="as_of_us")
    if len(customers.unique()) != len(customers):
        raise InputError("a customer has two moments", record="moments", field="customer_id")
    parts = [parameters(one, Purpose.MEASURE, place) for one in at.to_pylist()]
    calendar = {
        name: pa.array([part[name] for part in parts], pa.int64())
        for name in ("as_of_us", "as_of_year", "as_of_month", "as_of_day")
    }
    return pa.table({"customer_id": customers, **calendar})


@cache
def plan(names: tuple[str, ...]) -> tuple[CheckedQuery, tuple[Definition, ...]]:
    """Return the checked query that computes some features, and the definitions it takes."""
    chosen = definitions().closure(names)
    return check(statement(chosen, names)), chosen


@cache
def _plan_at(names: tuple[str, ...]) -> tuple[CheckedQuery, tuple[Definition, ...]]:
    chosen = definitions().closure(names)
    return check(statement(chosen, names, own_moments=True)), chosen


def parameters(as_of_us: int, purpose: Purpose, place: Place = CHINA) -> Mapping[str, object]:
    """Return the value of every parameter a profile's query may have."""
    local = from_us(as_of_us + place.offset_us)
    return {
        "as_of_us": as_of_us,
        "as_of_year": local.year,
        "as_of_month": local.year * 12 + local.month,
        "as_of_day": local.day,
        "offset_us": place.offset_us,
        "currency": place.currency,
        "purpose": purpose.value,
    }


def _classes(products: pa.Table | None) -> pa.Table:
    import pyarrow as pa

    if products is not None:
        return products.select(["product_id", "product_class"])
    texts = pa.array([], pa.string())
    return pa.table({"product_id": texts, "product_class": texts})


def _typed(found: pa.Table, features: Sequence[Feature], unknown: set[str]) -> pa.Table:
    """Return the columns as their features declare them."""
    import pyarrow as pa

    columns = {"customer_id": found["customer_id"].cast(pa.string())}
    for feature in features:
        column = found[feature.name]
        if feature.name in unknown:
            column = pa.nulls(found.num_rows, column.type)
        columns[feature.name] = _column(column, feature)
    return pa.table(columns)


def _column(column: Any, feature: Feature) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if feature.type == "category":
        known = pc.is_in(column, value_set=pa.array(feature.values, pa.string()))
        other = pa.scalar("other" if "other" in feature.values else None, pa.string())
        given = pc.if_else(known, column.cast(pa.string()), other)
        return pc.if_else(pc.is_valid(column), given, pa.scalar(None, pa.string()))
    if feature.type == "int":
        return column.cast(pa.int64())
    number = column.cast(pa.float64())
    return pc.if_else(pc.is_finite(number), number, pa.scalar(None, pa.float64()))
