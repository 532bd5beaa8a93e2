"""policy: what another policy would have earned, told from the decision log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from jinqiao.faces.command import Call, nouns
from jinqiao.faces.output import Output

if TYPE_CHECKING:
    from jinqiao.flow.policies import Evaluated

__all__ = ["add"]


def add(app: typer.Typer) -> None:
    """Add the noun of policies."""
    nouns(app, ("policy", "Other policies, evaluated from the log.", {"evaluate": evaluate}))


def evaluate(
    call: Call,
    policy: str = typer.Argument(
        ...,
        help="plan, random_eligible, popularity, highest_payout, expected_payout, chain_greedy.",
    ),
    days: int = typer.Option(28, min=1, help="The last so many days that were logged."),
    reward: str = typer.Option(
        "value", help="value (minor units), clicks, applications, approvals or activations."
    ),
    logged: str = typer.Option("", help="Only what this policy showed: random, plan."),
    snapshot: str = typer.Option("", help="Whose model, prices and rules; else the current one's."),
    method: str = typer.Option("auto", help="ips, snips, dr, switch, dros or dm; else by itself."),
    seed: int = typer.Option(0, help="The same log and seed give the same answer."),
) -> None:
    """Tell what a policy would have earned from what another showed, or why the log cannot say.

    Shelves are made again with the profiles and products of then; those that do not come out as
    they were logged are left out and counted.
    """
    from jinqiao.flow.policies import Question, evaluate_policy

    question = Question(policy, days, reward, logged, snapshot, seed)
    with call.engine() as engine:
        found = evaluate_policy(engine, question, method=method)
    call.out.value(_plain(found), lambda: _say(call.out, found))


def _plain(found: Evaluated) -> dict[str, Any]:
    from jinqiao.domain.time import from_us
    from jinqiao.faces.output import plain

    asked, told = found.question, found.found
    return {
        "policy": asked.policy,
        "reward": asked.reward,
        "unit": "minor" if asked.reward == "value" else "share of offers",
        "snapshot": found.snapshot,
        "logged": asked.logged or "all",
        "from": from_us(found.from_us).isoformat(),
        "until": from_us(found.until_us).isoformat(),
        "shelves": found.shelves,
        "rows": told.rows,
        "rows_a_shelf": found.rows_a_shelf,
        "left_out": dict(found.left_out),
        "effective_rows": told.effective_rows,
        "overlap": told.overlap,
        "chosen": told.chosen,
        "value": plain(told.value),
        "logged_value": plain(told.logged),
        "by_estimator": plain(told.by_estimator),
        "may_have_learnt_from_it": found.own_log,
    }


def _say(out: Output, found: Evaluated) -> None:
    row, told = _plain(found), found.found
    names = ("policy", "reward", "unit", "snapshot", "logged", "from", "until", "shelves", "rows",
             "effective_rows", "overlap")  # fmt: skip
    out.pairs({name: row[name] for name in names})
    for why, shelves in found.left_out.items():
        out.say(f"{out.both('略去的货架', 'shelves left out')}: {shelves:,} ({why})")
    lines = [
        {"name": name, **row["by_estimator"][name], "mark": "←" if name == told.chosen else ""}
        for name in told.by_estimator
    ]
    ran = {"name": out.both("实际展示的", "what was shown"), **row["logged_value"]}
    columns = (
        ("name", "estimator"), ("value", "an offer"), ("lower", "from"), ("upper", "to"),
        ("setting", "setting"), ("mark", ""),
    )  # fmt: skip
    out.table([*lines, ran], columns)
    out.say(_why(out, found))
    if found.own_log:
        out.say(out.both(
            "该快照的模型可能就是从这些行学到的：其数值可能偏高。",
            "The snapshot's model may have learnt from these very rows: its value may read high.",
        ))  # fmt: skip


def _why(out: Output, found: Evaluated) -> str:
    name = found.found.chosen
    return out.both(
        f"采用 {name}：在与所有更宽区间都一致的估计中，它的区间最窄。",
        f"{name} is taken: the narrowest interval that agrees with every wider one.",
    )
