"""The counters and units one step touches, read once, changed in memory, written once.

Always, for each limit and period: reserved = Σ held of its reserved units, posted = Σ posted of its
posted units, and reserved + posted never grows past the limit. What a report would put past it is
counted in ``over`` and in nothing else, until a unit of that period comes free and covers it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jinqiao.catalog.late import SPANS_KEPT, Waiting, span_of
from jinqiao.store.base import Tx

__all__ = ["Book", "Counter", "Unit"]

Counter = dict[str, Any]
Unit = dict[str, Any]

RESERVED, POSTED, VOID, EXPIRED, REFUSED = "reserved", "posted", "void", "expired", "refused"


class Book:
    """Units by click, counters by limit and period, of the clicks and limits a step needs."""

    def __init__(self, tx: Tx, click_ids: Iterable[str]) -> None:
        self.tx = tx
        self.units: dict[str, list[Unit]] = {}
        self.counters: dict[tuple[str, str], Counter] = {}
        self.new: list[Unit] = []
        self.touched: dict[tuple[str, str], Unit] = {}
        self.moved: set[tuple[str, str]] = set()
        self._waiting: dict[tuple[str, str], dict[int, list[int]]] = {}
        wanted = list(dict.fromkeys(click_ids))
        rows = tx.find("limit_units", {"click_id": wanted}) if wanted else []
        for row in sorted(rows, key=lambda unit: unit["limit_id"]):
            self.units.setdefault(row["click_id"], []).append(row)

    def read(self, keys: Iterable[tuple[str, str]]) -> None:
        """Bring in the counters of these limits and periods, for writing."""
        wanted = [key for key in dict.fromkeys(keys) if key not in self.counters]
        if not wanted:
            return
        where = {
            "limit_id": sorted({limit for limit, _ in wanted}),
            "period_key": sorted({period for _, period in wanted}),
        }
        for row in self.tx.find("limit_counters", where, lock=True):
            self.counters.setdefault((row["limit_id"], row["period_key"]), row)

    def read_counters_of_units(self) -> None:
        self.read((u["limit_id"], u["period_key"]) for us in self.units.values() for u in us)

    def counter(self, limit_id: str, period_key: str, at_most: int | None = None) -> Counter:
        """Return a counter, a fresh one when the period has none; ``at_most`` is its limit now."""
        key = (limit_id, period_key)
        found = self.counters.get(key)
        if found is None:
            found = {"limit_id": limit_id, "period_key": period_key, "at_most": at_most or 0,
                     "reserved": 0, "posted": 0, "over": 0, "waiting": []}  # fmt: skip
            self.counters[key] = found
        if at_most is not None and found["at_most"] != at_most:
            found["at_most"] = at_most
            self.moved.add(key)
        return found

    def add(self, unit: Unit) -> None:
        """Add a new unit; a reserved one is held. Its counter is kept, refused or not.

        A report on a refused click must find what its limit is.
        """
        self.units.setdefault(unit["click_id"], []).append(unit)
        self.new.append(unit)
        self.moved.add((unit["limit_id"], unit["period_key"]))
        self._count(unit, +1)

    def change(self, unit: Unit, now_us: int, **values: Any) -> None:
        """Change a unit's state, amounts or expiry, and its counter with it."""
        self._change(unit, now_us, values)
        self._cover(unit["limit_id"], unit["period_key"], now_us)

    def _change(self, unit: Unit, now_us: int, values: dict[str, Any]) -> None:
        self._count(unit, -1)
        unit.update(values, changed_at=now_us)
        self._count(unit, +1)
        self.touched[unit["click_id"], unit["limit_id"]] = unit

    def _cover(self, limit_id: str, period_key: str, now_us: int) -> None:
        """Let reports that found no free unit have what has come free, the first click first."""
        counter = self.counter(limit_id, period_key)
        free = _free(counter)
        if not counter["over"] or free <= 0:
            return
        for unit in self._over(limit_id, period_key):
            taken = min(free, unit["over"])
            values = {"posted": unit["posted"] + taken, "over": unit["over"] - taken}
            self._change(unit, now_us, values)
            free -= taken
            if free <= 0:
                return

    def _over(self, limit_id: str, period_key: str) -> list[Unit]:
        """Return the units of a limit and period that are not covered, as this step sees them."""
        where = {"limit_id": limit_id, "period_key": period_key}
        for row in self.tx.find("limit_units", where, at_least={"over": 1}):
            known = self.units.setdefault(row["click_id"], [])
            if all(unit["limit_id"] != limit_id for unit in known):
                known.append(row)
        here = [
            unit
            for units in self.units.values()
            for unit in units
            if unit["limit_id"] == limit_id and unit["period_key"] == period_key and unit["over"]
        ]
        return sorted(here, key=lambda unit: unit["click_id"])

    def free(self, unit: Unit) -> int:
        """Return what is left of a unit's limit in its period, the unit's own part not counted."""
        counter = self.counter(unit["limit_id"], unit["period_key"])
        own = unit["held"] if unit["state"] == RESERVED else 0
        own += unit["posted"] if unit["state"] == POSTED else 0
        return max(_free(counter) + own, 0)

    def waiting(self, limit_id: str, period_key: str) -> Waiting:
        """Return the expired holds of a limit and period, as this step leaves them."""
        key = (limit_id, period_key)
        spans = self._waiting.get(key)
        if spans is None:
            found: Waiting = self.counter(*key)["waiting"]
            return found
        return [[span, *spans[span]] for span in sorted(spans)]

    def write(self) -> None:
        """Write what changed."""
        if self.new:
            self.tx.insert("limit_units", self.new)
        new = {(unit["click_id"], unit["limit_id"]) for unit in self.new}
        changed = [unit for key, unit in self.touched.items() if key not in new]
        if changed:
            self.tx.upsert("limit_units", changed)
        for key in self._waiting:
            self.counters[key]["waiting"] = self.waiting(*key)
        if self.moved:
            self.tx.upsert("limit_counters", [self.counters[key] for key in sorted(self.moved)])

    def _count(self, unit: Unit, sign: int) -> None:
        if unit["state"] not in (RESERVED, POSTED, EXPIRED) and not unit["over"]:
            return
        counter = self.counter(unit["limit_id"], unit["period_key"])
        if unit["state"] == RESERVED:
            counter["reserved"] += sign * unit["held"]
        elif unit["state"] == POSTED:
            counter["posted"] += sign * unit["posted"]
        elif unit["reserved_at"] is not None and unit["state"] == EXPIRED:
            self._wait(unit, sign)
        counter["over"] += sign * unit["over"]
        self.moved.add((unit["limit_id"], unit["period_key"]))

    def _wait(self, unit: Unit, sign: int) -> None:
        """Count an expired hold, or the end of its wait, in its stretch of hours."""
        key = (unit["limit_id"], unit["period_key"])
        spans = self._waiting.get(key)
        if spans is None:
            spans = {span: [n, held] for span, n, held in self.counter(*key)["waiting"]}
            self._waiting[key] = spans
        span = span_of(unit["reserved_at"])
        newest = max(spans, default=span)
        if span <= newest - SPANS_KEPT:
            return
        if span > newest:
            for old in [one for one in spans if one <= span - SPANS_KEPT]:
                del spans[old]
        number, held = spans.get(span, (0, 0))
        spans[span] = [number + sign, held + sign * unit["held"]]


def _free(counter: Counter) -> int:
    return int(counter["at_most"] - counter["reserved"] - counter["posted"])
