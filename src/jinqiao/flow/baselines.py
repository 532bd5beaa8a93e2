"""What the naive policies and the references share: an exact book of limits, and shelves.

``Units`` keeps the same rules as ``catalog.units`` (reserve at click-out, post on report, void on
refusal, expire after the hold) in dictionaries, because seven histories are played at once; a test
plays both on the same stream and finds them equal.

Letters: s visits, p products, K places.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jinqiao.catalog.limits import LimitTerms, ProductTerms, headroom, terms_of
from jinqiao.catalog.units import OPEN_DAYS, ORDER
from jinqiao.domain.catalog import Catalog, Measure
from jinqiao.domain.stage import Polarity
from jinqiao.domain.time import DAY_US, period_key

__all__ = ["Caps", "Units", "shelves"]

_HOUR_US = 3_600_000_000


@dataclass(slots=True)
class _Unit:
    key: tuple[str, str]
    stage: int
    held: int
    full: int
    rate_bps: int | None
    expires_us: int
    state: str = "reserved"
    posted: int = 0
    over: int = 0


class Units:
    """What is reserved and posted of every limit of a catalog, in one history."""

    def __init__(self, catalog: Catalog) -> None:
        self._terms = terms_of(catalog)
        self._order = [str(p.product_id) for p in catalog.products()]
        self._limits: dict[str, LimitTerms] = {}
        self._taken: dict[tuple[str, str], int] = {}
        self._units: dict[str, list[_Unit]] = {}
        self._due: list[tuple[int, str, int]] = []
        self._keys: dict[tuple[str, str, int], str] = {}
        self._short: dict[tuple[str, str], list[tuple[str, _Unit]]] = {}

    @property
    def over(self) -> int:
        """The units of quotas that were reported without one being free."""
        counts = [key for key in self._short if key[0].split(":")[2] == "count"]
        return sum(unit.over for key in counts for _, unit in self._short[key])

    def _key(self, one: LimitTerms, now_us: int) -> tuple[str, str]:
        """Return limit and period; periods begin on whole hours, so an hour has one."""
        spot = (one.limit.period.value, one.zone, now_us // _HOUR_US)
        if spot not in self._keys:
            self._keys[spot] = period_key(now_us, one.limit.period, one.zone)
        return one.limit_id, self._keys[spot]

    def reserve(self, click_id: str, product_id: str, now_us: int) -> bool:
        """Return whether a click got a unit of every limit of its product: all, or none."""
        terms = self._terms[product_id]
        wanted = []
        for one in terms.limits(None):
            unit = _unit(terms, one, self._key(one, now_us), now_us)
            self._limits[one.limit_id] = one
            at_most = one.limit.limit
            if unit.held > at_most - headroom(at_most) - self._taken.get(unit.key, 0):
                return False
            wanted.append(unit)
        self._units[click_id] = wanted
        for number, unit in enumerate(wanted):
            self._count(unit.key, unit.held)
            heapq.heappush(self._due, (unit.expires_us, click_id, number))
        return True

    def _count(self, key: tuple[str, str], units: int) -> None:
        self._taken[key] = self._taken.get(key, 0) + units

    def expire(self, now_us: int) -> None:
        """Give back what is still reserved and whose hold has passed."""
        while self._due and self._due[0][0] <= now_us:
            _, click_id, number = heapq.heappop(self._due)
            unit = self._units[click_id][number]
            if unit.state != "reserved":
                continue
            if unit.expires_us > now_us:
                heapq.heappush(self._due, (unit.expires_us, click_id, number))
                continue
            unit.state = "expired"
            self._count(unit.key, -unit.held)
            self._cover(unit.key)

    def report(self, reports: pa.Table, now_us: int) -> None:
        """Move units as reports say: post what is reached, void what is refused or taken back."""
        names = ("click_id", "stage", "polarity", "amount_minor")
        columns = [reports[name].to_pylist() for name in names]
        for click_id, stage, polarity, amount in zip(*columns, strict=True):
            place = ORDER[stage]
            for unit in self._units.get(click_id, ()):
                if polarity != Polarity.REACHED.value:
                    self._void(unit, place)
                elif unit.stage <= place:
                    self._post(click_id, unit, unit.stage == place, amount)
                elif unit.state == "reserved":
                    until = now_us + OPEN_DAYS * DAY_US
                    unit.expires_us = max(unit.expires_us, until)

    def _void(self, unit: _Unit, place: int) -> None:
        if unit.stage < place or unit.state not in ("reserved", "posted"):
            return
        self._count(unit.key, -(unit.held if unit.state == "reserved" else unit.posted))
        unit.state, unit.posted, unit.over = "void", 0, 0
        self._cover(unit.key)

    def _cover(self, key: tuple[str, str]) -> None:
        """Let reports that found no free unit have what has come free, the first click first."""
        free = self._limits[key[0]].limit.limit - self._taken.get(key, 0)
        for _, unit in sorted(self._short.get(key, ()), key=lambda each: each[0]):
            taken = min(max(free, 0), unit.over)
            self._count(key, taken)
            unit.posted, unit.over, free = unit.posted + taken, unit.over - taken, free - taken

    def _post(self, click_id: str, unit: _Unit, own: bool, amount: int | None) -> None:
        if unit.state == "posted" and not own:
            return
        wanted = unit.full
        if unit.rate_bps is not None and own and amount is not None:
            wanted = max(_share(amount, unit.rate_bps), 0)
        if unit.state == "posted" and unit.posted + unit.over == wanted:
            return
        own_part = {"reserved": unit.held, "posted": unit.posted}.get(unit.state, 0)
        self._count(unit.key, -own_part)
        free = self._limits[unit.key[0]].limit.limit - self._taken[unit.key]
        unit.posted = min(wanted, max(free, 0))
        unit.state, unit.over = "posted", wanted - unit.posted
        self._count(unit.key, unit.posted)
        short = self._short.setdefault(unit.key, []) if unit.over else []
        if all(unit is not one for _, one in short):
            short.append((click_id, unit))
        self._cover(unit.key)

    def open(self, now_us: int) -> NDArray[np.bool_]:
        """Return which products have a unit left of each of their limits, (p,)."""
        out = np.ones(len(self._order), bool)
        for place, product_id in enumerate(self._order):
            terms = self._terms[product_id]
            for one in terms.limits(None):
                at_most = one.limit.limit
                need = terms.full_minor if one.limit.measure is Measure.MONEY else 1
                taken = self._taken.get(self._key(one, now_us), 0)
                if need > at_most - headroom(at_most) - taken:
                    out[place] = False
                    break
        return out

    def by_state(self) -> tuple[Mapping[tuple[str, str], int], Mapping[tuple[str, str], int]]:
        """Return what is posted, and what is reserved, by limit and period."""
        found: tuple[dict[tuple[str, str], int], dict[tuple[str, str], int]] = ({}, {})
        for units in self._units.values():
            for unit in units:
                if unit.state in ("posted", "reserved"):
                    at, own = (0, unit.posted) if unit.state == "posted" else (1, unit.held)
                    found[at][unit.key] = found[at].get(unit.key, 0) + own
        return found

    def ended(self) -> tuple[int, int]:
        """Return how many units were posted, and how many came back."""
        states = [unit.state for units in self._units.values() for unit in units]
        return states.count("posted"), states.count("expired") + states.count("void")

    def taken(self) -> Mapping[tuple[str, str], int]:
        """Return what is reserved or posted, by limit and period."""
        return {key: units for key, units in self._taken.items() if units}


def _unit(terms: ProductTerms, one: LimitTerms, key: tuple[str, str], now_us: int) -> _Unit:
    money = one.limit.measure is Measure.MONEY
    stage = terms.paid_stage if money else one.limit.stage
    return _Unit(
        key, ORDER[stage.value], max(terms.full_minor, 0) if money else 1,
        terms.full_minor if money else 1, terms.rate_bps if money else None,
        now_us + terms.product.delivery.hold_hours * _HOUR_US,
    )  # fmt: skip


def _share(amount_minor: int, rate_bps: int) -> int:
    quotient, rest = divmod(amount_minor * rate_bps, 10_000)
    return quotient + (rest > 5_000 or (rest == 5_000 and quotient % 2 == 1))


@dataclass(frozen=True, eq=False)
class Caps:
    """Codes of products, (p,) each, and at most how many of one code stand on a shelf (0: any)."""

    codes: tuple[NDArray[np.int64], ...]
    most: tuple[int, ...]


def shelves(
    score: NDArray[np.float64], caps: Caps, slots: int, beside: Iterable[float] = ()
) -> NDArray[np.int64]:
    """Return the products of each visit's shelf, best first, (s, K); −1 where a place stays empty.

    ``score`` (s, p), −inf for what may not be shown. ``beside``: what each earlier offer of the
    same first code leaves of a positive score (the policy that knows it).
    """
    score = score.copy()
    s = len(score)
    rows = np.arange(s)
    out = np.full((s, slots), -1, np.int64)
    factor = next(iter(beside), 1.0)
    for place in range(slots):
        best = np.argmax(score, axis=1)
        good = np.isfinite(score[rows, best])
        out[good, place] = best[good]
        for codes, most in zip(caps.codes, caps.most, strict=True):
            if most:
                _close(score, out[:, : place + 1], codes, most)
        if factor != 1.0:
            same = (caps.codes[0][best][:, None] == caps.codes[0][None, :]) & good[:, None]
            score[same & (score > 0)] *= factor
        score[rows[good], best[good]] = -np.inf
    return out


def _close(
    score: NDArray[np.float64], shown: NDArray[np.int64], codes: NDArray[np.int64], most: int
) -> None:
    """Close the codes of which a shelf has its most."""
    last = shown[:, -1]
    here = np.flatnonzero(last >= 0)
    code = codes[last[here]]
    if (code < 0).all():
        return
    held = np.where(shown[here] >= 0, codes[shown[here]], -2)
    full = ((held == code[:, None]).sum(axis=1) >= most) & (code >= 0)
    rows = here[full]
    score[rows] = np.where(codes[None, :] == code[full][:, None], -np.inf, score[rows])
