"""Other policies told from a generated market's random log, beside what they truly are there.

A market lives its 28-day random log and learns from it; then evenly drawn shelves go on for some
days, from which nothing is learnt. From these rows every policy of the ladder and the plan is told
by ``flow.policies``; the truth is the same sessions with that policy's whole shelves in place, to
people as the log had left them that morning. Limits do not keep products off these shelves, so that
what a policy would show is not cut by what had run out. A click that finds no unit is a click all
the same, in the truth and in what is told.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jinqiao import synthetic
from jinqiao.domain.time import DAY_US
from jinqiao.errors import InputError
from jinqiao.flow import evaluate
from jinqiao.flow.live import Live
from jinqiao.flow.policies import Question, evaluate_policy, policy_as_asked, rows_of
from jinqiao.flow.rehearse import Rehearsal, SimulatedClock, open_market
from jinqiao.flow.targets import TARGETS
from jinqiao.flow.wiring import Engine, open_engine
from jinqiao.flow.workspace import init_workspace

SUBJECTS = 103


class Unlimited(Live):
    """Shelves that never run out."""

    def refresh(self, now_us: int | None = None) -> None:
        """Keep what is stopped alone."""
        super().refresh(now_us)
        self.left = None


def told_and_true(
    played: Rehearsal, name: str, days: int, lives: dict[int, synthetic.Life]
) -> dict[str, Any]:
    """Return what a policy's offers are clicked at: told from the log, and truly."""
    question = Question(name, days=days, reward="clicks", logged="random")
    out: dict[str, Any] = {"true": true_clicks(played, question, lives)}
    try:
        found = evaluate_policy(played.engine, question)
    except InputError as refused:
        return out | {"refused": str(refused)}
    value = found.found.value
    return out | {
        "ours": value.value, "interval": [value.lower, value.upper], "chosen": found.found.chosen,
        "ips": found.found.by_estimator["ips"].value, "overlap": found.found.overlap,
        "effective_rows": found.found.effective_rows, "rows": found.found.rows,
        "left_out": dict(found.left_out), "shown": found.found.logged.value,
    }  # fmt: skip


def true_clicks(
    played: Rehearsal, question: Question, lives: dict[int, synthetic.Life]
) -> float:  # fmt: skip
    """Return a policy's true chance of a click, a logged place, on the logged sessions."""
    of = rows_of(played.engine, policy_as_asked(played.engine, question), question)
    if question.policy == "random_eligible":
        there, chosen = np.ones(len(of.action), bool), of.action
    else:
        there, chosen = of.target.max(axis=1) > 0.5, of.target.argmax(axis=1)
    users = {
        row["session_id"]: row["user_id"]
        for day in lives
        for row in played.market.sessions(day).select(["session_id", "user_id"]).to_pylist()
    }
    names = ["trace_id", "session_id", "position", "occurred_at"]
    shown = of.rows.select(names).append_column(
        "product_id", pa.array(of.product_ids).take(pa.array(chosen))
    )
    who = pa.array([users[name] for name in shown["session_id"].to_pylist()])
    shown = shown.append_column("user_id", who).filter(pa.array(there))
    order = [(name, "ascending") for name in ("occurred_at", "trace_id", "position")]
    shown = shown.sort_by(order)
    day = (shown["occurred_at"].cast(pa.int64()).to_numpy() - played.market.start_us) // DAY_US
    clicks = 0.0
    for number, life in lives.items():
        part = shown.filter(pa.array(day == number))
        if part.num_rows:
            clicks += evaluate.true_of(played.market, life, part).chances[:, 0].sum()
    return float(clicks / len(of.action))


def played_on(engine: Engine, played: Rehearsal, days: int) -> dict[int, synthetic.Life]:
    """Play log, plan and the days after it; return the lives as those mornings found them."""
    played.arrive()
    played.log()
    first = played.market.log_days
    played.plan(first)
    even = played._unplanned(first)
    shelf = Unlimited(engine, even.serving, even.catalog)
    lives = {}
    for day in range(first, first + days):
        lives[day] = played.life.fork()
        played.play_day(shelf, day, policy="random", ticks=4)
    shelf.flush()
    return lives


def records(quick: bool, seed: int) -> list[dict[str, Any]]:
    """Return, policy by policy, its clicks an offer as told and as they truly are."""
    size, days = (2_000, 14) if quick else (6_000, 28)
    market = synthetic.market(size, seed)
    clock, chance = SimulatedClock(market.start_us), np.random.default_rng([seed, SUBJECTS])
    out = []
    with tempfile.TemporaryDirectory() as folder:
        workspace = init_workspace(Path(folder) / "market", samples=False)
        with open_engine(workspace=workspace, clock=clock, chance=lambda: chance) as engine:
            played = open_market(engine, market, clock, seed=seed)
            lives = played_on(engine, played, days)
            for name in TARGETS:
                begun = time.process_time()
                found = told_and_true(played, name, days, lives)
                true, ours = found.pop("true"), found.pop("ours", None)
                out.append({
                    "figure": f"market_policy_{name}", "unit": "clicks an offer", "ours": ours,
                    "peer": true, "peer_name": "the market's truth",
                    "ratio": None if ours is None else ours / true,
                    "size": {"people": size, "days": days}, "seed": seed, **found,
                    "cpu_s": time.process_time() - begun,
                })  # fmt: skip
    return out


if __name__ == "__main__":
    for record in records(quick=True, seed=1):
        print(record)
