"""Prices through the day: dearer where a limit goes too fast, cheaper where it goes too slowly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jinqiao import match
from jinqiao.domain.time import DAY_US
from jinqiao.flow.plan import Planned
from jinqiao.shelf import Serving

if TYPE_CHECKING:
    from jinqiao.flow.live import Live

__all__ = ["Pacer"]

_DEMAND = np.array([
    1, 1, 0.6, 0.4, 0.4, 0.6, 1.5, 3, 4.5, 5, 5, 5.5, 6.5, 6, 5, 5, 5, 5.5, 6, 7, 8, 8, 6.5, 3,
], float)  # fmt: skip
"""Visits by local hour where nothing better was measured: late evening and noon are high."""


@dataclass(eq=False)
class Pacer:
    """Corrects a plan's prices towards what is left (``match.pace``).

    ``base`` is what was used of each limit when the plan was made.
    """

    planned: Planned
    begin_us: int
    base: dict[str, int]
    demand: NDArray[np.float64]
    strength: float = 4.0

    @classmethod
    def of(cls, live: Live, planned: Planned, demand: NDArray[np.float64] | None = None) -> Pacer:
        """Return the pacer of a plan that begins now."""
        now = live.engine.clock()
        by_hour = _DEMAND if demand is None else demand
        return cls(planned, now, live.used(now), by_hour / by_hour.sum())

    def elapsed_share(self, now_us: int) -> float:
        """Return the share of the plan's expected demand that has passed, in [0, 1]."""
        days = max(self.planned.horizon_days, 1e-9)
        passed = (now_us - self.begin_us) / DAY_US
        whole, part = divmod(passed, 1.0)
        hours = part * 24
        done = self.demand[: int(hours)].sum() + self.demand[int(hours) % 24] * (hours % 1)
        return float(np.clip((whole + done) / days, 0.0, 1.0))

    def serving(self, serving: Serving, used: dict[str, int], now_us: int) -> Serving:
        """Return the serving at the paced prices of now."""
        plan, rows = self.planned.plan, self.planned.rows
        share = np.zeros(len(rows))
        paced = np.zeros(len(rows), bool)
        for i, row in enumerate(rows):
            name = row.name.rsplit("@", 1)[0]
            if name in used and row.limit > 0:
                spent = used[name] - self.base.get(name, 0)
                share[i], paced[i] = max(spent, 0) / row.limit, True
        elapsed = self.elapsed_share(now_us)
        duals = match.pace(plan.duals, np.minimum(share, 0.999), elapsed, strength=self.strength)
        duals = np.where(paced, duals, plan.duals)
        return replace(serving, prices=match.reprice(plan, rows, duals))


def used_units(limits: pa.Table) -> dict[str, int]:
    """Return what is posted or reserved of each limit in its present period."""
    totals = np.add(limits["posted"].to_numpy(), limits["reserved"].to_numpy()).tolist()
    return dict(zip(limits["limit_id"].to_pylist(), totals, strict=True))
