"""The counters and units one step touches, read once, changed in memory, written once.

Always, for each limit and period: reserved = Σ held of its reserved units, posted = Σ posted of its
posted units, and reserved + posted never grows past the limit. What a report would put past it is
counted in ``over`` and in nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

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
                     "reserved": 0, "posted": 0, "over": 0}  # fmt: skip
            self.counters[key] = found
        if at_most is not None and found["at_most"] != at_most:
            found["at_most"] = at_most
            self.moved.add(key)
        return found

    def add(self, unit: Unit) -> None:
        """Add a new unit; a reserved one is held."""
        self.units.setdefault(unit["click_id"], []).append(unit)
        self.new.append(unit)
        self._count(unit, +1)

    def change(self, unit: Unit, now_us: int, **values: Any) -> None:
        """Change a unit's state, amounts or expiry, and its counter with it."""
        self._count(unit, -1)
        unit.update(values, changed_at=now_us)
        self._count(unit, +1)
        self.touched[unit["click_id"], unit["limit_id"]] = unit

    def free(self, unit: Unit) -> int:
        """Return what is left of a unit's limit in its period, the unit's own part not counted."""
        counter = self.counter(unit["limit_id"], unit["period_key"])
        own = unit["held"] if unit["state"] == RESERVED else 0
        own += unit["posted"] if unit["state"] == POSTED else 0
        return max(int(counter["at_most"] - counter["reserved"] - counter["posted"] + own), 0)

    def write(self) -> None:
        """Write what changed."""
        if self.new:
            self.tx.insert("limit_units", self.new)
        new = {(unit["click_id"], unit["limit_id"]) for unit in self.new}
        changed = [unit for key, unit in self.touched.items() if key not in new]
        if changed:
            self.tx.upsert("limit_units", changed)
        if self.moved:
            self.tx.upsert("limit_counters", [self.counters[key] for key in sorted(self.moved)])

    def _count(self, unit: Unit, sign: int) -> None:
        if unit["state"] not in (RESERVED, POSTED) and not unit["over"]:
            return
        counter = self.counter(unit["limit_id"], unit["period_key"])
        if unit["state"] == RESERVED:
            counter["reserved"] += sign * unit["held"]
        elif unit["state"] == POSTED:
            counter["posted"] += sign * unit["posted"]
        counter["over"] += sign * unit["over"]
        self.moved.add((unit["limit_id"], unit["period_key"]))
