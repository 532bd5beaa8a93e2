"""Everything a shelf is made from, as one immutable snapshot with its arrays ready.

n: customers; P: products; G: product classes; S: price segments.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jinqiao.domain.decision import Decision, Reason
from jinqiao.domain.shelf import Versions
from jinqiao.domain.stage import CREDIT_CLASSES, ProductClass, Stage
from jinqiao.domain.time import from_us
from jinqiao.domain.worth import BETA, CLASS_BENEFIT_MINOR, REFUSAL_HARM_MINOR
from jinqiao.engines.allocation import PriceTables
from jinqiao.engines.worth import ACTIVATION, APPLICATION, APPROVAL
from jinqiao.errors import SchemaError

if TYPE_CHECKING:
    from jinqiao.shelf.kernel import Decider

__all__ = [
    "CLASSES",
    "ZONES",
    "Chances",
    "CustomerIndex",
    "Explainers",
    "Moments",
    "Schedules",
    "Serving",
    "Settings",
    "Worths",
]

CLASSES = tuple(item.value for item in ProductClass)
ZONES = ("everyday", "credit", "steady", "risky")
"""Where on a shelf a product may stand: accounts and cover; credit; R1–R3 and R4–R5 investments."""

_CREDIT = frozenset(item.value for item in CREDIT_CLASSES)
_GROWS = _CREDIT | {ProductClass.DEPOSIT.value, ProductClass.FUND.value}
"""Classes whose cost grows with amount and time."""
_PAID = {Stage.APPLICATION.value: APPLICATION, Stage.APPROVAL.value: APPROVAL}
_INVESTED = frozenset({ProductClass.FUND.value, ProductClass.INSURANCE.value})


class Moments(Protocol):
    """k moments: instants (µs UTC) and where they happen; texts are Arrow arrays."""

    @property
    def at_us(self) -> NDArray[np.int64]: ...
    @property
    def channel(self) -> pa.Array: ...
    @property
    def scene(self) -> pa.Array: ...
    @property
    def source(self) -> pa.Array: ...
    @property
    def city_tier(self) -> NDArray[np.float32]: ...


class Chances(Protocol):
    """Scores pairs: (m, 4) float32 chances of click, application, approval, activation.

    One that also has ``ask(customer, moments)``, what a single request is scored by, returns an
    object whose ``chances(products, position)`` gives the same numbers to the last bit.
    """

    def __call__(
        self,
        customers: NDArray[np.int32],
        products: NDArray[np.int32],
        moments: Moments,
        moment: NDArray[np.int32],
        position: NDArray[np.int8],
        /,
    ) -> NDArray[np.float32]:
        """``moment`` (m,) is the place of a pair's moment; ``position`` (k,) is theirs, 1 = top."""
        ...


@dataclass(frozen=True, slots=True)
class Settings:
    """How a shelf is put together. A cap of 0 is no cap.

    ``exploration_share``: chance that the last slot is drawn evenly among what may be shown.
    ``class_most``, ``institution_most``, ``risky_most``: at most so many on one shelf.
    ``frequency_most``: a product shown so often in the window handed in is left out.
    ``seed``: with the trace id it decides every draw, so a shelf can be made again.
    """

    slots: int = 4
    exploration_share: float = 0.0
    beta: float = BETA
    refusal_harm_minor: float = REFUSAL_HARM_MINOR
    class_most: int = 2
    institution_most: int = 2
    risky_most: int = 1
    frequency_most: int = 0
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Worths:
    """What a fitting activation of a class is worth, minor units (``engines.worth``), (G,)."""

    benefit_minor: NDArray[np.float64]

    @classmethod
    def published(cls) -> Worths:
        """Return the published benefits of the classes of CLASSES."""
        return cls(np.array([CLASS_BENEFIT_MINOR[ProductClass(name)] for name in CLASSES], float))


@dataclass(frozen=True, eq=False)
class Schedules:
    """When and where products are offered, (P,) each.

    ``first_us`` ≤ now < ``last_us``; ``from_hour`` ≤ local hour < ``to_hour`` (wrapping at midnight
    where from > to); ``channels`` and ``regions`` of a product are the only ones, None means all.
    Hours are those of ``zones`` (one a product; none given: ``offset_us`` from UTC for all).
    """

    first_us: NDArray[np.int64]
    last_us: NDArray[np.int64]
    from_hour: NDArray[np.int8]
    to_hour: NDArray[np.int8]
    channels: tuple[tuple[str, ...] | None, ...]
    offset_us: int = 8 * 3_600_000_000
    regions: tuple[tuple[str, ...] | None, ...] = ()
    zones: tuple[str, ...] = ()

    @classmethod
    def of(cls, products: pa.Table, hours: Sequence[tuple[int, int] | None] = (),
           channels: Sequence[tuple[str, ...]] = (), regions: Sequence[tuple[str, ...]] = (),
           zones: Sequence[str] = ()) -> Schedules:  # fmt: skip
        """Return the schedules of a PRODUCTS table, with hours, channels and so on of its rows."""
        n = products.num_rows
        least, most = np.iinfo(np.int64).min, np.iinfo(np.int64).max
        spans = [span or (0, 24) for span in (hours or (None,) * n)]
        return cls(
            _instants(products["launch_at"], least), _instants(products["withdraw_at"], most),
            np.array([a for a, _ in spans], np.int8), np.array([b for _, b in spans], np.int8),
            tuple(tuple(c) or None for c in (channels or ((),) * n)),
            regions=tuple(tuple(r) or None for r in regions), zones=tuple(zones),
        )  # fmt: skip

    def open(
        self,
        at_us: NDArray[np.int64],
        channel: Sequence[str],
        region: Sequence[str | None] | None = None,
    ) -> NDArray[np.bool_]:
        """Return which products are on offer at each moment, (k, P) bool.

        ``region`` None asks for no place in particular; one that is None is not known, and then
        nothing bound to regions is offered.
        """
        at = np.asarray(at_us, np.int64)[:, None]
        within = (self.first_us <= at) & (at < self.last_us)
        if (self.from_hour != 0).any() or (self.to_hour != 24).any():
            hour = self._hours(at)
            day = (self.from_hour <= hour) & (hour < self.to_hour)
            night = (self.from_hour <= hour) | (hour < self.to_hour)
            within &= np.where(self.from_hour < self.to_hour, day, night)
        if any(self.channels) and len(channel):
            within &= _among(channel, self.channels)
        if region is not None and any(self.regions) and len(region):
            within &= _among([name or "" for name in region], self.regions)
        return np.asarray(within)

    def _hours(self, at: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the local hour of each moment and product, (k, P) or (k, 1)."""
        if not self.zones:
            return np.asarray((at + self.offset_us) // _HOUR_US % 24)
        names, code = np.unique(np.asarray(self.zones), return_inverse=True)
        spans, place = np.unique(at[:, 0] // _QUARTER_US, return_inverse=True)
        local = np.array(
            [[_local_hour(int(span) * _QUARTER_US, str(name)) for name in names] for span in spans]
        ).reshape(len(spans), len(names))
        return np.asarray(local[place][:, code])


_HOUR_US = 3_600_000_000
_QUARTER_US = _HOUR_US // 4
"""Offsets from UTC change on whole quarters of an hour."""


def _local_hour(at_us: int, zone: str) -> int:
    return from_us(at_us).astimezone(ZoneInfo(zone)).hour


def _among(named: Sequence[str], allowed: Sequence[tuple[str, ...] | None]) -> NDArray[np.bool_]:
    """Return whether each product (P,) allows each name (k,): (k, P) bool."""
    names, code = np.unique(np.asarray(named, dtype=str), return_inverse=True)
    found = np.array([[some is None or name in some for some in allowed] for name in names])
    return np.asarray(found[code])


def _instants(column: pa.ChunkedArray, missing: int) -> NDArray[np.int64]:
    values = pc.fill_null(pc.cast(column, pa.int64()), missing)
    return np.asarray(values.to_numpy(), dtype=np.int64)


@dataclass(frozen=True, eq=False)
class CustomerIndex:
    """Customer id → row by sorted digests: arrays alone, so that a snapshot can be mapped."""

    ids: pa.Array
    digest: NDArray[np.uint64]
    row: NDArray[np.int32]

    @classmethod
    def of(cls, ids: pa.Array) -> CustomerIndex:
        """Return the index of ids in row order."""
        digest = np.fromiter((_digest(i) for i in ids.to_pylist()), np.uint64, len(ids))
        order = np.argsort(digest, kind="stable")
        return cls(ids, digest[order], order.astype(np.int32))

    def find(self, customer_id: str) -> int:
        """Return the row of an id, or −1."""
        wanted = np.uint64(_digest(customer_id))
        spot = int(np.searchsorted(self.digest, wanted))
        while spot < len(self.digest) and self.digest[spot] == wanted:
            row = int(self.row[spot])
            if self.ids[row].as_py() == customer_id:
                return row
            spot += 1
        return -1

    def rows(self, customer_ids: Sequence[str]) -> NDArray[np.int32]:
        """Return the row of each id, −1 for an unknown one."""
        n = len(customer_ids)
        if n < 8 or not len(self.digest):
            return np.fromiter((self.find(i) for i in customer_ids), np.int32, n)
        wanted = np.fromiter(map(_digest, customer_ids), np.uint64, n)
        spot = np.minimum(np.searchsorted(self.digest, wanted), len(self.digest) - 1)
        rows = np.where(self.digest[spot] == wanted, self.row[spot], -1).astype(np.int32)
        found = self.ids.take(pa.array(np.maximum(rows, 0)))
        same = pc.equal(found, pa.array(customer_ids, pa.string())).to_numpy(zero_copy_only=False)
        for i in np.flatnonzero((rows >= 0) & ~same).tolist():  # two ids of one digest
            rows[i] = self.find(customer_ids[i])
        return rows


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


@dataclass(frozen=True, eq=False)
class Explainers:
    """How a shelf's decisions are told, handed in by whoever knows: row and product index in.

    ``eligibility`` and ``suitability`` return a Decision; ``contributions`` the reasons behind the
    model's chances; ``odds``, of a product and a chance of approval, what may be said of approval
    and why not. One left out is told from the mask alone, or not at all.
    """

    eligibility: Callable[[int, int], Decision] | None = None
    suitability: Callable[[int, int], Decision] | None = None
    contributions: Callable[[int, int], tuple[Reason, ...]] | None = None
    odds: Callable[[int, float], tuple[Reason, ...]] | None = None


@dataclass(frozen=True, eq=False)
class Serving:
    """What serving needs. Every array is read only and may be a memory map.

    Attributes
    ----------
    profiles : n rows, ``customer_id`` first. products : P rows of PRODUCTS, in one order for all.
    allowed : (n, P/8) uint8, packed bits of eligibility ∧ suitability (``np.packbits``, axis 1).
    open_to_all : (P,) bool, may be shown without a profile.
    popularity : (P,) ≥ 0, value of a shown offer to anybody (minor units): orders the rest.
    base_chances : (P, 4) float32, the chances logged where no profile is read.
    prices : dual prices by segment. schedules, worths, settings, versions : see their records.
    feature_as_of_us : the moment the profiles are of. chances : scores pairs; None before there is
        a model, then the base chances stand for everyone.
    """

    profiles: pa.Table
    products: pa.Table
    allowed: NDArray[np.uint8]
    open_to_all: NDArray[np.bool_]
    popularity: NDArray[np.float64]
    base_chances: NDArray[np.float32]
    prices: PriceTables
    worths: Worths
    schedules: Schedules
    settings: Settings
    versions: Versions
    feature_as_of_us: int
    chances: Chances | None
    index: CustomerIndex = field(repr=False)

    def __post_init__(self) -> None:
        n, p = self.profiles.num_rows, self.products.num_rows
        g, s = len(CLASSES), self.prices.count.shape[0]
        shapes: dict[str, tuple[Any, tuple[int, ...]]] = {
            "allowed": (self.allowed, (n, (p + 7) // 8)),
            "open_to_all": (self.open_to_all, (p,)),
            "popularity": (self.popularity, (p,)),
            "base_chances": (self.base_chances, (p, 4)),
            "prices.segment": (self.prices.segment, (n,)),
            "prices.count": (self.prices.count, (s, p)),
            "prices.cost": (self.prices.cost, (s, p)),
            "prices.approval": (self.prices.approval, (s, p)),
            "worths.benefit_minor": (self.worths.benefit_minor, (g,)),
            "schedules.first_us": (self.schedules.first_us, (p,)),
        }
        for name, (array, shape) in shapes.items():
            if array.shape != shape:
                raise SchemaError(f"{array.shape}, not {shape}", record="serving", field=name)

    @classmethod
    def of(cls, *, allowed: NDArray[np.bool_], **parts: Any) -> Serving:
        """Return a serving of an unpacked (n, P) mask; the customer index is made here.

        ``parts`` are the other attributes, but for ``index``.
        """
        bits = np.packbits(np.asarray(allowed, np.bool_), axis=1)
        ids = parts["profiles"]["customer_id"].combine_chunks()
        return cls(allowed=bits, index=CustomerIndex.of(ids), **parts)

    def varied(self, **parts: Any) -> Serving:
        """Return the same with other ``settings``, ``prices``, ``chances`` or ``versions``.

        What was found out about the products is not found out again.
        """
        made = replace(self, **parts)
        made.__dict__.update({k: v for k, v in self.__dict__.items() if k in _OF_PRODUCTS})
        return made

    @property
    def n_products(self) -> int:
        return int(self.products.num_rows)

    @cached_property
    def class_code(self) -> NDArray[np.int64]:
        """Each product's class as its place in CLASSES, (P,)."""
        found = pc.index_in(self.products["product_class"], value_set=pa.array(CLASSES))
        if found.null_count:
            raise SchemaError("a class that is not known", record="products", field="product_class")
        return np.asarray(found.to_numpy(), np.int64)

    @cached_property
    def house_code(self) -> NDArray[np.int64]:
        """Each product's institution as a number, (P,)."""
        column = self.products["institution_id"].combine_chunks().dictionary_encode()
        return np.asarray(column.indices.to_numpy(), np.int64)

    @cached_property
    def zone_code(self) -> NDArray[np.int64]:
        """Each product's zone as its place in ZONES, (P,)."""
        names = self.products["product_class"].to_pylist()
        levels = self.products["risk_level"].to_pylist()
        return np.array([_zone(a, b) for a, b in zip(names, levels, strict=True)], np.int64)

    @cached_property
    def cost_minor(self) -> NDArray[np.float64]:
        """Each product's all-in cost of its reference example, (P,)."""
        return np.asarray(self.products["all_in_cost_minor"].to_numpy(), np.float64)

    @cached_property
    def comparable_cost_minor(self) -> NDArray[np.float64]:
        """Each product's cost as that of its class's middle example, (P,).

        Examples differ: 50,000 at 7 % costs more than 10,000 at 17 %, and is cheaper. Cost of
        credit and of savings grows with amount and time, so it is scaled to one example a class; a
        premium or a fee is what it is.
        """
        amount = np.asarray(self.products["reference_amount_minor"].to_numpy(), np.float64)
        size = amount * np.asarray(self.products["reference_term_days"].to_numpy(), np.float64)
        cost = self.cost_minor.copy()
        for code in np.unique(self.class_code):
            mine = (self.class_code == code) & (size > 0)
            if CLASSES[code] in _GROWS and mine.any():
                cost[mine] *= np.median(size[mine]) / size[mine]
        return cost

    @cached_property
    def payout_minor(self) -> NDArray[np.float64]:
        """What reaching the paid stage pays, (P,)."""
        return np.asarray(self.products["payout_amount_minor"].to_numpy(), np.float64)

    @cached_property
    def paid_stage(self) -> NDArray[np.int8]:
        """The code of each product's paid stage in ``engines.worth``, (P,)."""
        names = self.products["payout_stage"].to_pylist()
        return np.array([_PAID.get(name, ACTIVATION) for name in names], np.int8)

    @cached_property
    def decider(self) -> Decider:
        """What single requests are decided by, made once."""
        from jinqiao.shelf.kernel import Decider

        return Decider(self)

    @cached_property
    def product_ids(self) -> tuple[str, ...]:
        return tuple(self.products["product_id"].to_pylist())

    def may_see(self, rows: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Return what customers (rows) may be shown by rule and suitability, (k, P) bool."""
        bits = np.unpackbits(np.asarray(self.allowed[rows]), axis=1, count=self.n_products)
        return bits.view(np.bool_)


_OF_PRODUCTS = frozenset({
    "class_code", "house_code", "zone_code", "cost_minor", "comparable_cost_minor", "payout_minor",
    "paid_stage", "product_ids",
})  # fmt: skip
"""What depends on the products alone, so that a variant need not find it out again."""


def _zone(name: str, risk_level: int) -> int:
    if name in _CREDIT:
        return ZONES.index("credit")
    if name in _INVESTED and risk_level >= 4:
        return ZONES.index("risky")
    return ZONES.index("steady") if name == ProductClass.FUND.value else 0
