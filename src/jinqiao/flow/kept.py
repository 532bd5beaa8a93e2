"""The problem a plan was made from, kept beside its snapshot so that it can be asked again.

Columns of pairs as float32, compressed; customers are rows of the snapshot's profiles, so that no
id is kept twice. A problem of more pairs than ``PAIRS_MOST`` is not kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jinqiao import match
from jinqiao.domain.time import from_us
from jinqiao.errors import Unavailable
from jinqiao.flow.pacing import read_pacer
from jinqiao.flow.plan import Planned, PlanPairs, horizon_of, over_days
from jinqiao.shelf import Serving

if TYPE_CHECKING:
    from jinqiao.flow.wiring import Engine

__all__ = ["PAIRS_MOST", "Kept", "keep_problem", "keep_start", "read_problem",
           "starting_prices"]  # fmt: skip

PAIRS_MOST = 25_000_000
"""About 400 MB on disk; beyond it the what-if is asked of the library on the pairs themselves."""
_FOLDER, _START = "problem", "start.json"


@dataclass(frozen=True, eq=False)
class Kept:
    """A published plan with its problem. ``limits`` are LIMITS rows as the plan found them.

    ``visits`` (n,) a day of each customer; ``folder`` the snapshot's; ``serving`` has no chances.
    """

    folder: Path
    serving: Serving
    planned: Planned
    problem: match.Problem
    limits: pa.Table
    visits: NDArray[np.float64]
    examination: float
    zone: str

    @cached_property
    def standing(self) -> match.Standing:
        """The plan made ready for questions; solved on near ties once."""
        return match.stand(self.problem, self.planned.plan)

    @property
    def horizon(self) -> match.Horizon:
        return horizon_of(self.planned.at_us, self.planned.horizon_days, self.zone)

    @property
    def products(self) -> list[str]:
        """Product ids in the plan's order."""
        return list(self.serving.products["product_id"].to_pylist())

    def about(self) -> dict[str, Any]:
        """Return which plan is spoken of."""
        return {
            "snapshot": self.folder.name,
            "plan": self.planned.version,
            "begins_at": from_us(self.planned.at_us).isoformat(),
            "days": self.planned.horizon_days,
        }


def keep_problem(folder: Path, planned: Planned, scored: PlanPairs, zone: str) -> None:
    """Write the problem of a plan into its snapshot's folder; nothing if it is too large."""
    import pyarrow.parquet as pq

    if scored.pairs.n_pairs > PAIRS_MOST or planned.limits is None:
        return
    home = folder / _FOLDER
    home.mkdir()
    pairs = over_days(scored.pairs, planned.horizon_days)
    columns: dict[str, Any] = {
        name: np.asarray(pairs.column(name), np.float32) for name in ("use", "cost", "approval")
    }
    table = pa.table({
        "product": np.asarray(pairs.product, np.uint16),
        "value": np.asarray(pairs.value, np.float32), **columns, "chosen": planned.plan.chosen,
    })  # fmt: skip
    people = pa.table({
        "pairs": np.diff(pairs.indptr).astype(np.int32),
        "visits": np.asarray(scored.visits, np.float32),
    })  # fmt: skip
    for name, one in (("pairs", table), ("people", people), ("limits", planned.limits)):
        pq.write_table(one, home / f"{name}.parquet", compression="zstd")
    facts = {"examination": scored.examination, "zone": zone}
    (home / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


def read_problem(engine: Engine) -> Kept:
    """Return the published plan with its problem.

    Raises Unavailable before anything was published, or where the problem was not kept.
    """
    import pyarrow.parquet as pq

    from jinqiao import shelf

    folder = engine.snapshots.current()
    if folder is None:
        raise Unavailable("no plan is published yet", fix="run `jinqiao publish`")
    home = folder / _FOLDER
    if not (home / "facts.json").is_file():
        raise Unavailable(
            "the published plan was kept without its pairs", record=folder.name, field=_FOLDER,
            fix=f"run `jinqiao publish` again (kept up to {PAIRS_MOST:,} pairs)",
        )  # fmt: skip
    serving = shelf.read(folder / "serving")
    pacer = read_pacer(folder / "pacing", serving)
    assert pacer is not None
    facts = json.loads((home / "facts.json").read_text(encoding="utf-8"))
    table, people, limits = (
        pq.read_table(home / f"{name}.parquet") for name in ("pairs", "people", "limits")
    )
    column = {name: table[name].to_numpy() for name in table.column_names}
    indptr = np.concatenate(([0], np.cumsum(people["pairs"].to_numpy(), dtype=np.int64)))
    pairs = match.Pairs(
        indptr, column["product"].astype(np.int32), column["value"].astype(np.float64),
        *(column[name].astype(np.float64) for name in ("use", "cost", "approval")),
    )  # fmt: skip
    planned = pacer.planned
    plan = replace(planned.plan, chosen=column["chosen"].astype(bool), prices=serving.prices)
    problem = match.Problem(pairs, serving.settings.slots, planned.rows, serving.n_products)
    return Kept(
        folder, serving, replace(planned, plan=plan, limits=limits), problem, limits,
        people["visits"].to_numpy().astype(np.float64), facts["examination"], facts["zone"],
    )  # fmt: skip


def keep_start(folder: Path, planned: Planned) -> None:
    """Write the prices a plan began with, so that making it again begins with them again."""
    if planned.start is not None:
        (folder / _START).write_text(json.dumps(dict(planned.start)), encoding="utf-8")


def starting_prices(engine: Engine, version: str) -> Mapping[str, float] | None:
    """Return prices for a plan to begin with: the published plan's, or what that one began with.

    The latter where it is the very plan that is made again. None before the first.
    """
    folder = engine.snapshots.current()
    if folder is None or not (folder / "plan.json").is_file():
        return None
    report = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    if report["version"] == version:
        start = folder / _START
        return json.loads(start.read_text(encoding="utf-8")) if start.is_file() else None
    return {row["limit"]: row["price_minor"] for row in report["limits"]}
