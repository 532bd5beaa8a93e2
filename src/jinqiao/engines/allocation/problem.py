"""The records of an allocation problem and of its answer, and the checks at the door.

Legend, for every file of this package: n customers, p products, j a pair (customer, product),
m rows, K slots, v value, a coefficient of a pair in a row, b limit, λ dual price of a row,
r = v − Σ λ·a reduced value, μ smoothing width in units of value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from jinqiao.errors import InputError

__all__ = [
    "Certificate",
    "LimitRow",
    "Pairs",
    "Plan",
    "PriceTables",
    "check_products",
    "check_rows",
    "check_slots",
]

Measure = Literal["count", "cost", "approval"]
Sense = Literal["<=", ">="]

_BIGGEST = 1e15
"""Beyond this a sum of a million values loses whole units."""

_BLOCK = 1 << 22
"""Pairs looked at together at the door."""


def _refuse(message: str, record: str, field_name: str, fix: str) -> InputError:
    return InputError(message, record=record, field=field_name, fix=fix)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Every eligible pair, customer by customer (compressed sparse rows).

    Parameters
    ----------
    indptr : (n + 1,) int64; pairs ``indptr[c]:indptr[c + 1]`` belong to customer c.
    product : (nnz,) int32 or uint16; at most once a customer.
    value : (nnz,) float64 or float32, any sign, one unit for all (minor units of money, say).
    use : units of a count limit one pair takes; ≥ 0. A chance is allowed.
    cost : money one pair takes of a budget.
    approval : chance of approval in [0, 1] for approval rows, or None.

    ``use``, ``cost`` and ``approval`` are each a number, a column (nnz,), or one number a product,
    (n_products,); where there are as many pairs as products, (1, n_products) says which is meant.
    Arrays of these types are used as they are, not copied.
    """

    indptr: NDArray[np.int64]
    product: NDArray[np.int32] | NDArray[np.uint16]
    value: NDArray[np.float64] | NDArray[np.float32]
    use: float | NDArray[np.floating] = 1.0
    cost: float | NDArray[np.floating] = 0.0
    approval: float | NDArray[np.floating] | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "indptr", _whole(self.indptr, np.int64, "indptr"))
        short = np.asarray(self.product).dtype in (np.uint8, np.uint16)
        kind = np.uint16 if short else np.int32
        put(self, "product", _whole(self.product, kind, "product"))
        self._check_shape()
        put(self, "value", self._column("value", self.value))
        put(self, "use", self._column("use", self.use, lower=0.0))
        put(self, "cost", self._column("cost", self.cost))
        if self.approval is not None:
            put(self, "approval", self._column("approval", self.approval, 0.0, 1.0))

    @property
    def n_customers(self) -> int:
        return len(self.indptr) - 1

    @property
    def n_pairs(self) -> int:
        return len(self.product)

    @property
    def customer(self) -> NDArray[np.int64]:
        """The customer of each pair: (nnz,)."""
        return np.repeat(np.arange(self.n_customers), np.diff(self.indptr))

    def column(self, name: str) -> NDArray[np.float64]:
        """Return use, cost or approval as (nnz,), one number or one a product spread over pairs."""
        given = getattr(self, name)
        array = np.asarray(0.0 if given is None else given, np.float64)
        if array.ndim == 2:
            spread: NDArray[np.float64] = array[0][self.product]
            return spread
        return np.broadcast_to(array, (self.n_pairs,))

    def at(self, name: str, index: NDArray[np.integer]) -> NDArray[np.float64]:
        """Return use, cost or approval of some pairs."""
        given = getattr(self, name)
        if np.ndim(given) == 1:
            return np.asarray(given[index], np.float64)
        array = np.asarray(0.0 if given is None else given, np.float64)
        if array.ndim == 2:
            spread: NDArray[np.float64] = array[0][self.product[index]]
            return spread
        return np.broadcast_to(array, (len(index),))

    def _check_shape(self) -> None:
        if self.indptr.ndim != 1 or len(self.indptr) == 0 or self.indptr[0] != 0:
            raise _refuse("indptr begins with 0", "pairs", "indptr", "prepend a 0")
        falls = self.indptr[1:] < self.indptr[:-1]
        if falls.any():
            fall = np.flatnonzero(falls)
            raise _refuse(
                f"indptr falls from {self.indptr[fall[0]]} to {self.indptr[fall[0] + 1]}",
                f"customer {fall[0]}",
                "indptr",
                "order the pairs by customer",
            )
        if self.indptr[-1] != len(self.product):
            raise _refuse(
                f"indptr ends at {self.indptr[-1]}, there are {len(self.product)} pairs",
                "pairs",
                "indptr",
                "end indptr with the number of pairs",
            )

    def _column(
        self,
        name: str,
        given: float | NDArray[np.floating],
        lower: float = -_BIGGEST,
        upper: float = _BIGGEST,
    ) -> float | NDArray[np.floating]:
        kind = np.asarray(given).dtype
        array = np.ascontiguousarray(given, kind if kind == np.float32 else np.float64)
        if np.ndim(given) == 0:
            array = array.reshape(1)
        elif array.shape != (self.n_pairs,):
            array = self._per_product(name, array)
        if array.size and not (lower <= array.min() and array.max() <= upper):
            self._refuse_number(name, array, lower, upper)
        return float(array[0]) if np.ndim(given) == 0 else array

    def _per_product(self, name: str, array: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return a column of one number a product as (1, n_products)."""
        column = array.reshape(1, -1) if array.ndim == 1 else array
        known = int(self.product.max(initial=0)) < column.shape[-1] and name != "value"
        if column.ndim != 2 or len(column) != 1 or not known:
            raise _refuse(
                f"{array.shape} values for {self.n_pairs} pairs", "pairs", name,
                "one value a pair" if name == "value" else "one value a pair, or one a product",
            )  # fmt: skip
        return column

    def _refuse_number(
        self, name: str, array: NDArray[np.floating], lower: float, upper: float
    ) -> None:
        bad = int(np.argmin((array >= lower) & (array <= upper)))
        where = f"product {bad}"
        if array.shape == (self.n_pairs,):
            customer = int(np.searchsorted(self.indptr, bad, side="right")) - 1
            where = f"pair {bad} (customer {customer}, product {self.product[bad]})"
        raise _refuse(
            f"{array.ravel()[bad]} is not a number in [{lower:g}, {upper:g}]",
            where if np.size(getattr(self, name)) > 1 or array.size > 1 else "pairs",
            name,
            "drop the pair or give it a finite number",
        )


def _whole(given: object, dtype: type, name: str) -> NDArray[np.int64]:
    array = np.ascontiguousarray(given)
    if array.dtype.kind not in "iu" and array.size:
        raise _refuse(f"{name} holds {array.dtype}, not whole numbers", "pairs", name, "use int")
    limits = np.iinfo(dtype)
    if (
        array.size
        and array.dtype != dtype
        and (array.min() < limits.min or array.max() > limits.max)
    ):
        raise _refuse(f"a number passes {np.dtype(dtype)}", "pairs", name, "number from 0")
    return array.astype(dtype, copy=False)


@dataclass(frozen=True, eq=False)
class LimitRow:
    """One linear row: Σ measure over the chosen pairs of these products and customers.

    ``count`` sums use, ``cost`` sums cost, ``approval`` sums use × (approval − floor), so that
    ``>= 0`` means a mean approval chance of at least ``floor``. ``customers`` is a mask (n,) or
    indices of the segment the row speaks of; None means everyone. With ``soft_penalty`` the row may
    be missed at that price a unit; without, never. ``segments`` speaks of customers by the number
    of their segment, where the problem comes with one (instead of ``customers``).
    """

    name: str
    sense: Sense
    limit: float
    measure: Measure
    products: NDArray[np.int32]
    customers: NDArray[np.bool_] | NDArray[np.int64] | None = None
    soft_penalty: float | None = None
    floor: float = 0.0
    segments: NDArray[np.int32] | None = None

    def __post_init__(self) -> None:
        if self.sense not in ("<=", ">="):
            raise _refuse(f"sense {self.sense!r}", self.name, "sense", "use <= or >=")
        if self.measure not in ("count", "cost", "approval"):
            raise _refuse(
                f"measure {self.measure!r}", self.name, "measure", "use count, cost or approval"
            )
        if not math.isfinite(self.limit) or abs(self.limit) > _BIGGEST:
            raise _refuse(f"limit {self.limit}", self.name, "limit", "give a finite number")
        if self.limit < 0 and self.measure == "count":
            raise _refuse(f"negative quota {self.limit}", self.name, "limit", "0 means none")
        if self.soft_penalty is not None and not 0 <= self.soft_penalty <= _BIGGEST:
            raise _refuse(f"penalty {self.soft_penalty}", self.name, "soft_penalty", "use ≥ 0")
        if not 0 <= self.floor <= 1:
            raise _refuse(f"floor {self.floor}", self.name, "floor", "use a share in [0, 1]")
        products = np.unique(np.atleast_1d(np.asarray(self.products)))
        if products.size and products.dtype.kind not in "iu":
            raise _refuse(f"products of {products.dtype}", self.name, "products", "use int")
        if products.size and products[-1] > np.iinfo(np.int32).max:
            raise _refuse(f"unknown product {products[-1]}", self.name, "products", "from 0")
        object.__setattr__(self, "products", products.astype(np.int32))


@dataclass(frozen=True, eq=False)
class PriceTables:
    """Prices by segment and product, in value a unit of use, of cost, of use × approval.

    ``segment`` (n,) int32 is the segment of each customer; tables are (n_segments, n_products).
    """

    segment: NDArray[np.int32]
    count: NDArray[np.float64]
    cost: NDArray[np.float64]
    approval: NDArray[np.float64]


@dataclass(frozen=True)
class Certificate:
    """What the plan is worth, and how far from the best possible at most.

    ``primal`` : value of the integral plan, soft penalties taken off.
    ``dual_bound`` : no plan, integral or fractional, is worth more.
    ``gap`` : (dual_bound − primal) / max(|dual_bound|, |primal|, 1e-12).
    ``violation_by_row`` : units a hard row is missed by (0 within 1e-9 of its size); soft rows too.
    ``violation_max`` : the worst over the hard rows.
    ``passes`` : passes over the pairs, in units of one full pass. ``slot_excess`` : offers beyond
    any customer's slots, 0 in a valid plan. ``seconds`` : by the caller's clock, 0 without one.
    """

    primal: float
    dual_bound: float
    gap: float
    violation_max: float
    violation_by_row: dict[str, float]
    passes: float = 0.0
    gap_target: float = 1e-3
    slot_excess: int = 0
    seconds: float = 0.0

    @property
    def reached(self) -> bool:
        return self.gap <= self.gap_target and self.violation_max == 0.0


@dataclass(frozen=True, eq=False)
class Plan:
    """Who gets what, and what one more unit of every limit is worth.

    ``chosen`` (nnz,) bool · ``duals`` (m,) ≥ 0 in value a unit of the row · ``used`` (m,) what the
    plan takes of each row · ``row_names`` (m,) · ``seed`` reproduces it.
    """

    chosen: NDArray[np.bool_]
    duals: NDArray[np.float64]
    used: NDArray[np.float64]
    row_names: tuple[str, ...]
    prices: PriceTables
    certificate: Certificate
    seed: int = 0
    trace: tuple[dict[str, float], ...] = field(default=())

    def dual(self, name: str) -> float:
        """Return the price of one more unit of a named limit."""
        if name not in self.row_names:
            raise InputError(f"no row {name!r}", field="name", fix="see plan.row_names")
        return float(self.duals[self.row_names.index(name)])


def check_slots(pairs: Pairs, slots: object) -> NDArray[np.int32]:
    """Return slots as (n,) int32; refuse negative ones and a wrong length."""
    array = np.asarray(slots)
    if array.ndim == 0:
        array = np.full(pairs.n_customers, int(array))
    if array.shape != (pairs.n_customers,):
        raise _refuse(
            f"{array.shape} for {pairs.n_customers} customers", "slots", "slots", "one a customer"
        )
    if array.dtype.kind not in "iu":
        raise _refuse("slots are whole numbers", "slots", "slots", "use int32")
    if array.size and array.min() < 0:
        bad = int(np.argmin(array))
        raise _refuse(f"{array[bad]} slots", f"customer {bad}", "slots", "use 0 or more")
    whole: NDArray[np.int32] = np.minimum(array, np.iinfo(np.int32).max).astype(np.int32)
    return whole


def check_rows(
    pairs: Pairs, rows: tuple[LimitRow, ...], n_products: int, *, look: bool = True
) -> None:
    """Refuse unknown products and customers, repeated names and approval rows without chances.

    ``look`` at the product of every pair too (``check_products``).
    """
    for name in ("use", "cost", "approval"):
        shape = np.shape(getattr(pairs, name))
        if len(shape) == 2 and shape[1] != n_products:
            raise _refuse(f"{shape[1]} values for {n_products} products", "pairs", name, "one each")
    if look:
        check_products(pairs, n_products)
    seen: set[str] = set()
    for row in rows:
        if row.name in seen:
            raise _refuse("two rows of one name", row.name, "name", "give each row its own name")
        seen.add(row.name)
        if row.products.size and not 0 <= row.products[0] <= row.products[-1] < n_products:
            bad = row.products[0] if row.products[0] < 0 else row.products[-1]
            raise _refuse(f"unknown product {bad}", row.name, "products", f"use 0…{n_products - 1}")
        if row.measure == "approval" and pairs.approval is None:
            raise _refuse("no approval chances given", row.name, "measure", "set Pairs.approval")
        _check_segment(row, pairs.n_customers)


def check_products(pairs: Pairs, n_products: int) -> None:
    """Refuse a product that is unknown, or twice a customer's; a block of pairs at a time."""
    for first in range(0, pairs.n_pairs, _BLOCK):
        part = pairs.product[first : first + _BLOCK]
        if not 0 <= part.min() <= part.max() < n_products:
            bad = first + int(np.argmax((part < 0) | (part >= n_products)))
            known = f"use 0…{n_products - 1}"
            raise _refuse(f"unknown product {pairs.product[bad]}", f"pair {bad}", "product", known)
        before = pairs.product[max(first - 1, 0) : first + len(part) - 1]
        low = max(first, 1)
        fall = low + np.flatnonzero(pairs.product[low : first + len(part)] <= before)
        begin = np.searchsorted(pairs.indptr, fall, side="left")
        fall = fall[pairs.indptr[np.minimum(begin, pairs.n_customers)] != fall]
        if len(fall):
            _check_once(pairs, np.unique(np.searchsorted(pairs.indptr, fall, side="right") - 1))


def _check_once(pairs: Pairs, customers: NDArray[np.int64]) -> None:
    """Refuse a product that comes twice among the pairs of these customers."""
    size = pairs.indptr[customers + 1] - pairs.indptr[customers]
    start = np.cumsum(size) - size
    owner = np.repeat(np.arange(len(customers)), size)
    where = np.arange(int(size.sum())) - start[owner] + pairs.indptr[customers][owner]
    order = np.lexsort((where, pairs.product[where], owner))
    owner, where = owner[order], where[order]
    product = pairs.product[where]
    twice = np.flatnonzero((owner[1:] == owner[:-1]) & (product[1:] == product[:-1]))
    if len(twice):
        bad = int(where[twice[0] + 1])
        name = f"pair {bad} (customer {customers[owner[twice[0]]]}, product {pairs.product[bad]})"
        raise _refuse("a product twice", name, "product", "give each pair once")


def _check_segment(row: LimitRow, n_customers: int) -> None:
    if row.customers is None:
        return
    array = np.asarray(row.customers)
    if array.size and array.dtype.kind not in "biu":
        raise _refuse(f"customers of {array.dtype}", row.name, "customers", "use bool or int")
    if array.dtype == bool and array.shape != (n_customers,):
        raise _refuse(
            f"a mask of {array.shape} for {n_customers} customers",
            row.name,
            "customers",
            "use (n,)",
        )
    if array.dtype != bool and array.size and not 0 <= array.min() <= array.max() < n_customers:
        raise _refuse("unknown customer", row.name, "customers", f"use 0…{n_customers - 1}")
