"""Prices through the day: dearer where a limit goes too fast, cheaper where it goes too slowly.

A day's limit is held against the day, every other one against the plan's own days. The verb is
that of ``match.paced``; what is reserved counts as used, as it does for the limit itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jinqiao import match
from jinqiao.domain.catalog import Period
from jinqiao.domain.time import DAY_US, from_us
from jinqiao.flow.plan import Planned
from jinqiao.shelf import Serving

__all__ = ["Pacer", "read_pacer", "write_pacer"]

_DEMAND = np.array([
    1, 1, 0.6, 0.4, 0.4, 0.6, 1.5, 3, 4.5, 5, 5, 5.5, 6.5, 6, 5, 5, 5, 5.5, 6, 7, 8, 8, 6.5, 3,
], float)  # fmt: skip
"""Visits by local hour where nothing better was measured: late evening and noon are high."""


_PACING = match.Pacing(least_share=0.0)
"""A limit the plan left free keeps its price of 0: many are of less than a unit a day, where one
held click-out says nothing of a surge."""


@dataclass(eq=False)
class Pacer:
    """Corrects a plan's prices towards what is left (``match.pace``).

    ``demand`` (24,) is the share of a day's visits in each local hour.
    """

    planned: Planned
    demand: NDArray[np.float64]
    offset_us: int = 8 * 3_600_000_000
    pacing: match.Pacing = _PACING

    @classmethod
    def of(cls, planned: Planned, zone: str = "Asia/Shanghai") -> Pacer:
        """Return the pacer of a plan."""
        return cls(planned, _DEMAND / _DEMAND.sum(), _offset_us(planned.at_us, zone))

    def serving(self, serving: Serving, limits: pa.Table, now_us: int) -> Serving:
        """Return the serving at the prices of now; ``limits`` are rows of LIMITS as of now."""
        plan, rows = self.planned.plan, self.planned.rows
        now = {line["limit_id"]: line for line in limits.to_pylist()}
        duals = plan.duals.copy()
        day, whole = self.elapsed_shares(now_us)
        for elapsed, today in ((day, True), (whole, False)):
            places, shares, units = [], [], []
            for i, row in enumerate(rows):
                line = now.get(row.name.rsplit("@", 1)[0])
                if line is None or row.limit <= 0 or (line["period"] == Period.DAY) != today:
                    continue
                places.append(i)
                shares.append(self._share(line, row.limit, today))
                units.append(self._units(row, serving))
            if places:
                duals[places] = self.pacing.prices(
                    plan.duals[places], [rows[i] for i in places], shares, elapsed, units
                )
        return replace(serving, prices=match.reprice(plan, rows, duals))

    def elapsed_shares(self, now_us: int) -> tuple[float, float]:
        """Return the share of today's and of the plan's expected visits that have passed."""
        today = self._passed((now_us + self.offset_us) % DAY_US)
        days, part = divmod(max(now_us - self.planned.at_us, 0), DAY_US)
        begin = self._passed((self.planned.at_us + self.offset_us) % DAY_US)
        since = days + (today - begin) % 1.0 if part else days
        whole = since / max(self.planned.horizon_days, 1e-9)
        return float(np.clip(today, 0.0, 1.0)), float(np.clip(whole, 0.0, 1.0))

    def _passed(self, us_of_day: int) -> float:
        hours = us_of_day / 3_600_000_000
        return float(self.demand[: int(hours)].sum() + self.demand[int(hours) % 24] * (hours % 1))

    @staticmethod
    def _units(row: match.LimitRow, serving: Serving) -> float:
        """Return about how many conversions fill a limit: money by the mean payout."""
        if row.measure != "cost" or not len(row.products):
            return float(row.limit)
        payout = float(serving.payout_minor[row.products].mean())
        return float(row.limit / max(payout, 1.0))

    def _share(self, line: Mapping[str, Any], limit: float, today: bool) -> float:
        used = line["posted"] + line["reserved"]
        if today:
            return float(used / max(line["limit"], 1))
        return float(max(used - self.planned.base.get(line["limit_id"], 0), 0) / limit)


def write_pacer(folder: Path, pacer: Pacer) -> None:
    """Keep what paces a plan beside its snapshot."""
    folder.mkdir(parents=True, exist_ok=True)
    plan, rows = pacer.planned.plan, pacer.planned.rows
    kept: dict[str, Any] = {
        str(i): np.asarray(row.customers) for i, row in enumerate(rows) if row.customers is not None
    }
    kept |= {"duals": plan.duals, "used": plan.used}
    np.savez(folder / "pacing.npz", **kept)
    facts = {
        "version": pacer.planned.version,
        "horizon_days": pacer.planned.horizon_days,
        "at_us": pacer.planned.at_us,
        "offset_us": pacer.offset_us,
        "base": dict(pacer.planned.base),
        "rows": [
            {
                "name": r.name, "sense": r.sense, "limit": r.limit, "measure": r.measure,
                "products": r.products.tolist(), "soft_penalty": r.soft_penalty, "floor": r.floor,
            }
            for r in rows
        ],
        "certificate": {
            "primal": plan.certificate.primal, "dual_bound": plan.certificate.dual_bound,
            "gap": plan.certificate.gap, "violation_max": plan.certificate.violation_max,
        },
    }  # fmt: skip
    (folder / "pacing.json").write_text(json.dumps(facts), encoding="utf-8")


def read_pacer(folder: Path, serving: Serving) -> Pacer | None:
    """Return the pacer kept beside a snapshot, or None where there is none."""
    if not (folder / "pacing.json").is_file():
        return None
    facts = json.loads((folder / "pacing.json").read_text(encoding="utf-8"))
    with np.load(folder / "pacing.npz", allow_pickle=False) as arrays:
        kept = {name: arrays[name] for name in arrays.files}
    rows = tuple(
        match.LimitRow(
            r["name"], r["sense"], r["limit"], r["measure"], np.array(r["products"], np.int32),
            kept.get(str(i)), r["soft_penalty"], r["floor"],
        )
        for i, r in enumerate(facts["rows"])
    )  # fmt: skip
    certificate = match.Certificate(violation_by_row={}, **facts["certificate"])
    plan = match.Plan(
        np.zeros(0, bool), kept["duals"], kept["used"], tuple(r.name for r in rows),
        serving.prices, certificate,
    )  # fmt: skip
    planned = Planned(
        plan, rows, facts["version"], facts["horizon_days"], facts["at_us"], facts["base"]
    )
    return Pacer(planned, _DEMAND / _DEMAND.sum(), facts["offset_us"])


def _offset_us(at_us: int, zone: str) -> int:
    from zoneinfo import ZoneInfo

    offset = from_us(at_us).astimezone(ZoneInfo(zone)).utcoffset()
    return 0 if offset is None else int(offset.total_seconds() * 1_000_000)
