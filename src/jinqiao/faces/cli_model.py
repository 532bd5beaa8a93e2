"""model: trained chains on record, which one serves, and how far the days drift from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from jinqiao.faces.command import Call, nouns
from jinqiao.faces.output import Output, plain

if TYPE_CHECKING:
    from jinqiao.flow.model_drift import ModelDrift
    from jinqiao.flow.models import Trained

__all__ = ["add"]


def add(app: typer.Typer) -> None:
    """Add the noun of models."""
    verbs = {
        "list": listed, "show": show, "train": train, "promote": promote, "rollback": rollback,
        "drift": drift,
    }  # fmt: skip
    nouns(app, ("model", "Trained chains: on record, compared, promoted, rolled back.", verbs))


def listed(call: Call) -> None:
    """List every model on record, newest first, with its status; the champion is published."""
    from jinqiao.flow.model_record import model_list

    with call.engine() as engine:
        found = model_list(engine)

    def say() -> None:
        out = call.out
        rows = [
            row
            | {"at": row["trained_as_of"][:16]}
            | {name: _figure(stage) for name, stage in row["metrics"].items()}
            for row in found["models"]
        ]
        columns = (
            ("model_id", out.both("模型", "model")), ("status", out.both("状态", "status")),
            ("at", out.both("训练截至", "trained as of")),
            ("shown_offers", out.both("曝光", "shown offers")),
            ("click", out.both("点击", "click")),
            ("application", out.both("进件", "application")),
            ("approval", out.both("授信", "approval")),
            ("activation", out.both("激活", "activation")),
        )  # fmt: skip
        out.table(
            rows, columns, out.both("各阶段：样本外对数损失", "a stage: log-loss out of time")
        )
        if found["held"]:
            out.say(_held(out))

    call.out.value(found, say)


def show(
    call: Call, model: str = typer.Argument("", help="The model's id; else the champion.")
) -> None:
    """Show the model card: data, figures out of time beside baselines, features, decisions."""
    from jinqiao.flow.model_record import model_page, model_show

    with call.engine() as engine:
        found = model_show(engine, model)
    call.out.value(found, lambda: call.out.say(model_page(found).rstrip("\n")))


def train(
    call: Call,
    seed: int = typer.Option(0, help="The same inputs and seed give the same model."),
    margin: float = typer.Option(
        0.02, min=0.0, max=1.0, help="Share of the champion's log-loss a stage may lose."
    ),
    afresh: bool = typer.Option(False, "--afresh", help="Do not go on with a stopped run."),
) -> None:
    """Learn a challenger from everything known now; it serves from the next publish if no worse.

    A run that was stopped goes on: finished stages are not trained again, and the model is the one
    it would have been.
    """
    from jinqiao.flow.daily import drain_outcomes, training_rows
    from jinqiao.flow.models import finish_run, train_challenger, unfinished_as_of

    found = None
    with call.engine() as engine, call.out.progress() as progress:
        drain_outcomes(engine)
        as_of_us = unfinished_as_of(engine, seed, afresh=afresh)
        progress("rows", 0.02)
        rows = training_rows(engine, as_of_us)
        if rows is not None:
            found = train_challenger(
                engine, rows, seed=seed, actor=call.actor, margin=margin, progress=progress
            )
        finish_run(engine)
    if found is None:
        said = call.out.both(
            "数据太少，暂不学习", "too little was seen to learn from; the base chances stand"
        )
        call.out.value({"model": None}, lambda: call.out.say(said))
    else:
        call.out.value({"model": found.model_id} | plain(found), lambda: _trained(call.out, found))


def promote(
    call: Call,
    model: str = typer.Argument(..., help="The model's id, as `jinqiao model list` shows it."),
    force: bool = typer.Option(False, "--force", help="Even one that was not found no worse."),
    reason: str = typer.Option("", help="Why; it is recorded. Needed with --force."),
) -> None:
    """Make a model the champion: the next publish serves it."""
    from jinqiao.flow.model_record import promote_model

    with call.engine() as engine:
        row = promote_model(engine, model, actor=call.actor, reason=reason, force=force)
    call.out.value(row, lambda: call.out.say(f"{row['model_id']}  {row['status']}"))


def rollback(call: Call, reason: str = typer.Option("", help="Why; it is recorded.")) -> None:
    """Put the former champion back: the next publish serves it, until one is promoted by name."""
    from jinqiao.flow.model_record import roll_back_model

    with call.engine() as engine:
        found = roll_back_model(engine, actor=call.actor, reason=reason)
    gone, back = found["gone"], found["champion"]
    call.out.value(
        found,
        lambda: call.out.say(
            f"{gone['model_id']}  {gone['status']}", f"{back['model_id']}  {back['status']}",
            _held(call.out),
        ),
    )  # fmt: skip


def drift(
    call: Call,
    model: str = typer.Argument("", help="The model's id; else the champion."),
    days: int = typer.Option(28, min=1, max=366, help="The last so many days that were logged."),
) -> None:
    """Show how far each day's features and chances lie from the training rows: PSI beside chance.

    An index 0.1 above its floor is a moderate shift, 0.25 a major one; a day of too few customers
    to tell says so and is no alarm.
    """
    from jinqiao.flow.model_drift import model_drift
    from jinqiao.flow.model_drift import plain as drift_rows

    with call.engine() as engine:
        found = model_drift(engine, model, days=days)
    call.out.value(drift_rows(found), lambda: _say_drift(call.out, found))


def _trained(out: Output, found: Trained) -> None:
    out.say(f"{found.model_id}  {found.action}", found.reason)
    if found.known:
        out.say(out.both("已在册，未再训练", "on record already: nothing was trained"))
    if found.resumed:
        said = ", ".join(found.resumed)
        out.say(out.both(f"接续上次已完成的阶段：{said}", f"went on from finished stages: {said}"))
    if found.contest:
        rows = [plain(one) for one in found.contest]
        columns = (
            ("stage", out.both("阶段", "stage")), ("rows", out.both("行", "rows")),
            ("champion", out.both("现任", "champion")),
            ("challenger", out.both("新", "challenger")),
            ("difference", out.both("差", "difference")), ("lower", out.both("下限", "from")),
            ("upper", out.both("上限", "to")), ("margin", out.both("容差", "margin")),
            ("verdict", out.both("结论", "verdict")),
        )  # fmt: skip
        title = out.both("同一批最新样本上的对数损失", "log-loss on the same latest rows")
        out.table(rows, columns, title)


def _say_drift(out: Output, found: ModelDrift) -> None:
    names = found.worst(5)
    rows = []
    for one in found.days:
        row: dict[str, Any] = {"day": one.day, "customers": one.customers}
        row["of"] = out.both("训练期", "learnt from") if one.learnt else ""
        row |= {name: _shift(shift) for name, shift in one.scores.items()}
        row |= {name: _shift(one.features[name]) for name in names if name in one.features}
        rows.append(row)
    stages = list(dict.fromkeys(name for one in found.days for name in one.scores))
    columns = [("day", out.both("日", "day")), ("of", ""),
               ("customers", out.both("客户", "customers"))]  # fmt: skip
    columns += [(name, name) for name in (*stages, *names)]
    out.say(found.model_id)
    out.table(rows, columns, out.both("PSI（偶然水平）", "PSI (by chance)"))
    out.say(out.both(
        f"≥ {found.moderate} 中度（*），≥ {found.major} 重度（**），均为扣除偶然水平后；"
        f"? 为样本太少。共 {len(found.alarms)} 处。",
        f"{found.moderate} above chance is moderate (*), {found.major} major (**); ? is too few "
        f"to tell. {len(found.alarms)} in all. Source: {found.source}.",
    ))  # fmt: skip


def _shift(shift: Any) -> str:
    mark = {"moderate": " *", "major": " **", "too_few": " ?"}.get(shift.verdict, "")
    return f"{shift.psi:.3f} ({shift.floor:.3f}){mark}"


def _figure(stage: Mapping[str, Any]) -> str:
    if stage["log_loss"] is None:
        return "–"
    low, high = stage["log_loss_ci"]
    return f"{stage['log_loss']:.4f} ({low:.4f}–{high:.4f})"


def _held(out: Output) -> str:
    return out.both(
        "自动晋升已暂停：请用 jinqiao model promote 指定模型",
        "nothing is promoted by itself now: name one by `jinqiao model promote`",
    )
