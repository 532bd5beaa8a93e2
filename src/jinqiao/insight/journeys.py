"""Every click and what became of it, as columns. Instants in µs, NaN where a stage is not reached.

A later stage that stands implies the ones before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from jinqiao.domain.stage import CREDIT_CLASSES
from jinqiao.domain.time import DAY_US
from jinqiao.insight.facts import Facts
from jinqiao.insight.queries import CLICKS
from jinqiao.store.base import Lake

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CHAIN", "Journeys", "journeys"]

Floats = NDArray[np.float64]
CHAIN = ("click", "application", "approval", "activation")
_CREDIT = [item.value for item in CREDIT_CLASSES]


@dataclass(frozen=True)
class Journeys:
    """n clicks. ``reached`` maps a stage to its instants (n,); ``ended`` is a refusal's or another
    end's; ``product_class`` (n,) texts, "" where unknown; ``funded_minor`` what money it moved.
    """

    as_of_us: int
    product_class: NDArray[np.object_]
    reached: dict[str, Floats]
    ended: Floats
    default: Floats
    disbursement: Floats
    funded_minor: Floats

    @property
    def credit(self) -> NDArray[np.bool_]:
        return np.isin(self.product_class, _CREDIT)

    def since(self, stage: str, from_us: int) -> NDArray[np.bool_]:
        """Return which reached a stage after an instant."""
        return np.asarray(self.reached[stage] > from_us)

    def toward(
        self, stage: str, start: str, rows: NDArray[np.bool_]
    ) -> tuple[Floats, NDArray[np.int8]]:
        """Return, for some rows, the days from one stage and how it ended.

        0 is open at the as-of, 1 reached ``stage``, 2 ended without it. A stage reported with an
        instant before the one it follows counts as 0 days.
        """
        began, hit, end = self.reached[start][rows], self.reached[stage][rows], self.ended[rows]
        how = np.where(~np.isnan(hit), 1, np.where(~np.isnan(end), 2, 0)).astype(np.int8)
        until = np.where(how == 1, hit, np.where(how == 2, end, float(self.as_of_us)))
        return np.maximum(until - began, 0.0) / DAY_US, how


def journeys(lake: Lake, facts: Facts, as_of_us: int) -> Journeys:
    """Return every click known at an instant."""
    products = facts.products.select(["product_id", "product_class"])
    found = lake.query(CLICKS, {"products": products}, as_of_us=as_of_us)
    stages = {name: _floats(found, f"{name}_us") for name in CHAIN}
    disbursement = _floats(found, "disbursement_us")
    later = disbursement
    for name in reversed(CHAIN):
        stages[name] = np.where(np.isnan(stages[name]), later, stages[name])
        later = stages[name]
    ended = _floats(found, "ended_us")
    stages["click"] = np.where(np.isnan(stages["click"]), ended, stages["click"])
    texts = found["product_class"].to_pylist()
    classes = np.array([text or "" for text in texts], dtype=object)
    paid = np.where(
        np.isin(classes, _CREDIT), _floats(found, "disbursed_minor"),
        _floats(found, "activated_minor"),
    )  # fmt: skip
    return Journeys(
        as_of_us, classes, stages, ended, _floats(found, "default_us"), disbursement,
        np.nan_to_num(paid),
    )  # fmt: skip


def _floats(table: pa.Table, name: str) -> Floats:
    import pyarrow as pa

    return np.asarray(table[name].cast(pa.float64()).to_numpy(), dtype=np.float64)
