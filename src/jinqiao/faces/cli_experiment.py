"""experiment: started, looked at any day, stopped, kept for ever."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from jinqiao.domain.decision import Reason
from jinqiao.domain.experiment import Arm, Guardrail, Trial
from jinqiao.domain.messages import codes, render, sentence
from jinqiao.errors import InputError
from jinqiao.faces.command import Call, nouns
from jinqiao.faces.output import Output

__all__ = ["add", "metric_name", "metric_text", "trial_of"]

EXPERIMENT = typer.Argument(..., help="The experiment's id.")


def add(app: typer.Typer) -> None:
    """Add the noun of experiments."""
    verbs = {"start": start, "list": listed, "show": show, "stop": stop}
    text = "Arms that differ in what the shelf does: who is in which, what it shows, when to stop."
    nouns(app, ("experiment", text, verbs))


def start(
    call: Call,
    experiment: str = typer.Argument(..., help="Its id: a-z, 0-9, - and _; used once."),
    arm: list[str] = typer.Option(
        ..., help="NAME=SHARE[:setting=value,…], the control first; twice or more."
    ),
    metric: list[str] = typer.Option(
        ..., help="clicks, activations, refusal_rate, …; the first decides."
    ),
    hypothesis: str = typer.Option(..., help="What is expected; it is recorded."),
    name: str = typer.Option("", help="A name for people; else the id."),
    guardrail: list[str] = typer.Option(
        [], help="METRIC:up|down:MOST, what must not get worse by more."
    ),
    holdout: float = typer.Option(0.0, help="Share kept out of every arm."),
    unit: str = typer.Option("customer", help="customer, or session."),
    layer: str = typer.Option("", help="Experiments of one layer share nobody; else its own."),
    traffic: float = typer.Option(1.0, help="Share of the layer that it takes."),
    salt: str = typer.Option("", help="Another's, to keep its split; else the id."),
) -> None:
    """Start an experiment: it is split, served and logged everywhere within a second.

    Settings an arm may change: slots, exploration_share, max_per_class, max_per_institution, beta,
    refusal_harm_minor, pricing, badge, policy, model.
    """
    from jinqiao.flow.experiments import start_experiment

    trial = trial_of(
        experiment, name=name, hypothesis=hypothesis, metrics=metric,
        arms=[_arm(text) for text in arm], guardrails=[_rail(text) for text in guardrail],
        holdout=holdout, unit=unit, layer=layer, traffic=traffic, salt=salt,
    )  # fmt: skip
    with call.engine() as engine:
        row = start_experiment(engine, trial, actor=call.actor)
    call.out.value(row, lambda: _say_trial(call.out, row))


def trial_of(
    experiment_id: str, *, name: str, hypothesis: str, metrics: Sequence[str], arms: Sequence[Arm],
    guardrails: Sequence[Guardrail], holdout: float, unit: str, layer: str, traffic: float,
    salt: str,
) -> Trial:  # fmt: skip
    """Return the experiment that is asked for; raise InputError naming what it cannot be."""
    return Trial(
        experiment_id, name or experiment_id, hypothesis, tuple(metrics), tuple(arms), holdout,
        unit, salt, layer, (0.0, traffic), tuple(guardrails),
    )  # fmt: skip


def _arm(text: str) -> Arm:
    """Return an arm of its text.

    >>> _arm("more=0.5:exploration_share=0.08,pricing=false").changes["pricing"]
    False
    """
    head, _, rest = text.partition(":")
    name, _, share = head.partition("=")
    changes = dict(part.partition("=")[::2] for part in rest.split(",") if part)
    return Arm(name, _number(share, "arm", text), {k: _plain(v) for k, v in changes.items()})


def _rail(text: str) -> Guardrail:
    parts = text.split(":")
    if len(parts) not in (2, 3):
        raise InputError(f"{text!r} is no guardrail", field="guardrail", fix="METRIC:up:0.02")
    return Guardrail(parts[0], parts[1], _number([*parts, "0"][2], "guardrail", text))


def _number(text: str, field: str, whole: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"no number in {whole!r}", field=field, fix="as in NAME=0.5") from error


def _plain(text: str) -> object:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def listed(call: Call) -> None:
    """List everything ever run, newest first, with what was found of it last."""
    from jinqiao.flow.experiments import experiment_list

    with call.engine() as engine:
        rows = experiment_list(engine)

    def say() -> None:
        out = call.out
        shown = [
            {
                "id": row["experiment_id"], "name": row["name"],
                "arms": ", ".join(arm["name"] for arm in row["arms"]),
                "since": row["started_at"][:16],
                "until": row["stopped_at"][:16] if row["stopped_at"] else out.both("在跑", "runs"),
                "last": _verdict(out, row["last"]["verdict"]) if row["last"] else None,
            }
            for row in rows
        ]  # fmt: skip
        columns = (
            ("id", out.both("实验", "experiment")), ("name", out.both("名称", "name")),
            ("arms", out.both("组", "arms")), ("since", out.both("开始", "started")),
            ("until", out.both("结束", "stopped")), ("last", out.both("最近结论", "found last")),
        )  # fmt: skip
        out.table(shown, columns)

    call.out.value({"experiments": rows}, say)


def show(
    call: Call,
    experiment: str = EXPERIMENT,
    svg: Path | None = typer.Option(None, help="Write the intervals as a picture."),
) -> None:
    """Show what an experiment finds as of now: it may be asked any day, and stopped any day.

    Intervals hold at every look at once. An open case counts by what is to be expected of it.
    """
    from jinqiao.flow.experiments import experiment_show

    with call.engine() as engine:
        row = experiment_show(engine, experiment)
        currency = engine.settings.marketplace.currency
    if svg is not None:
        from jinqiao.flow.experiment_found import intervals_svg

        told = row["found"]["metrics"] + row["found"]["stages"]
        names = [metric_name(one["metric"], call.out.language) for one in told]
        drawn = intervals_svg(row["name"], told, names, arms=len(row["arms"]) > 2)
        svg.write_text(drawn + "\n", encoding="utf-8")
    call.out.value(row, lambda: _say_found(call.out, row, currency))


def stop(
    call: Call,
    experiment: str = EXPERIMENT,
    why: str = typer.Option(..., help="Why; it is recorded."),
) -> None:
    """Stop an experiment for everybody within a second; what it found is kept."""
    from jinqiao.flow.experiments import stop_experiment

    with call.engine() as engine:
        row = stop_experiment(engine, experiment, actor=call.actor, why=why)
        currency = engine.settings.marketplace.currency
    call.out.value(row, lambda: _say_found(call.out, row, currency))


def metric_name(metric: str, language: str) -> str:
    """Return a metric's name for people."""
    code = f"experiment_metric_{metric}"
    return render(code, language) if code in codes() else metric


def metric_text(metric: str, value: float | None, currency: str, *, change: str = "") -> str:
    """Return a metric's value as people write it.

    ``change``: it is a difference, written with its sign ("+") or without ("size"); one of shares
    is in percentage points.
    """
    from jinqiao.domain.money import Money

    if value is None:
        return "–"
    sign = "+" if change == "+" and value > 0 else ""
    unit = " pp" if change else "%"
    if metric.endswith(("_rate", "_rate_badged")):
        return f"{sign}{100 * value:.2f}{unit}"
    if metric == "cost_bps":
        return f"{sign}{value / 100:.2f}{unit}"
    if metric.endswith("_minor"):
        return f"{sign}{Money(round(value), currency)}"
    return f"{sign}{value:.4f}"


def _verdict(out: Output, told: dict[str, Any]) -> str:
    numbers = dict(told["numbers"])
    for name in ("metric", "metrics"):
        if name in numbers:
            names = str(numbers[name]).split(", ")
            numbers[name] = ", ".join(metric_name(one, out.language) for one in names)
    return sentence(Reason(told["code"], numbers), out.language)


def _say_trial(out: Output, row: dict[str, Any]) -> None:
    out.pairs({name: row[name] for name in
               ("experiment_id", "name", "hypothesis", "unit", "holdout", "layer", "traffic",
                "started_at", "started_by", "stopped_at", "stopped_by", "stopped_why")
               if row[name]})  # fmt: skip
    for arm in row["arms"]:
        changes = ", ".join(f"{k} = {v}" for k, v in arm["changes"].items())
        out.say(
            f"{arm['name']}  {100 * arm['share']:g}%  {changes or out.both('不变', 'as it is')}"
        )


def _say_found(out: Output, row: dict[str, Any], currency: str) -> None:
    found = row["found"]
    _say_trial(out, row)
    counts = ", ".join(f"{name} {count:,}" for name, count in found["units"].items())
    out.say(
        "",
        out.both(
            f"截至 {found['as_of'][:16]}：{counts}；留出 {found['held_out']:,}；"
            f"仍未回传 {found['open_offers']:,}",
            f"as of {found['as_of'][:16]}: {counts}; held out {found['held_out']:,}; "
            f"still open {found['open_offers']:,}",
        ),
    )
    columns = (
        ("name", out.both("指标", "metric")), ("arm", out.both("组", "arm")),
        ("control", out.both("对照", "control")), ("value", out.both("该组", "arm's")),
        ("change", out.both("差异", "difference")), ("from", out.both("从", "from")),
        ("to", out.both("到", "to")), ("mark", ""),
    )  # fmt: skip
    for title, rows in (
        (out.both("指标", "metrics"), found["metrics"]),
        (out.both("各环节", "stages"), found["stages"]),
        (out.both("护栏", "guardrails"), found["guardrails"]),
    ):
        if rows:
            out.table([_line(out, one, currency) for one in rows], columns, title)
    out.say(_verdict(out, found["verdict"]))


def _line(out: Output, one: dict[str, Any], currency: str) -> dict[str, Any]:
    def text(field: str, change: str = "+") -> str:
        return metric_text(one["metric"], one[field], currency, change=change)

    mark = {True: out.both("更好", "better"), False: out.both("更差", "worse"), None: ""}
    broken = one.get("broken")
    return {
        "name": metric_name(one["metric"], out.language), "arm": one["arm"],
        "control": text("control_value", ""), "value": text("arm_value", ""),
        "change": text("difference"), "from": text("lower"), "to": text("upper"),
        "mark": out.both("越过", "passed") if broken else mark[one["better"]],
    }  # fmt: skip
