"""The bare verbs: init, check, publish, report, serve, demo, doctor."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from jinqiao.domain.messages import counted
from jinqiao.faces.command import Call, command
from jinqiao.faces.output import Output, money

if TYPE_CHECKING:
    from jinqiao.domain.shelf import Shelf
    from jinqiao.flow.demo import FirstShelf
    from jinqiao.flow.wiring import Engine

__all__ = ["add"]


def add(app: typer.Typer) -> None:
    """Add the bare verbs."""
    for name, work in (
        ("init", init), ("check", check), ("publish", publish), ("report", report),
        ("serve", serve), ("demo", demo), ("doctor", doctor),
    ):  # fmt: skip
        command(app, name)(work)


def init(
    call: Call,
    folder: Path = typer.Argument(Path("."), help="The folder to make it in."),
    samples: bool = typer.Option(True, help="Write a few invented institutions to start from."),
    jurisdiction: str = typer.Option("CN", help="The rule pack to run under."),
) -> None:
    """Make a workspace: settings, rule packs, sample institutions, keys."""
    from jinqiao.flow.workspace import init_workspace

    made = init_workspace(folder, samples=samples, jurisdiction=jurisdiction)
    files = sorted(path.name for path in made.institutions.glob("*.yaml"))
    call.out.value(
        {"workspace": made.root, "institutions": files},
        lambda: call.out.say(
            f"{made.root}",
            call.out.both(
                f"已建立工作区，含 {len(files)} 家示例机构。"
                "接着：jinqiao check，jinqiao catalog apply",
                f"A workspace with {len(files)} sample institutions. "
                "Next: jinqiao check, jinqiao catalog apply",
            ),
        ),
    )


def check(call: Call) -> int:
    """Check every file of the workspace; name file, line, field and fix of each fault."""
    from jinqiao.domain.time import local_date
    from jinqiao.flow.check import check as check_files
    from jinqiao.flow.wiring import system_clock
    from jinqiao.flow.workspace import find_workspace

    found = check_files(find_workspace(call.workspace), on=local_date(system_clock()))

    def say() -> None:
        for fault in found.faults:
            call.out.say(str(fault))
        counts = (found.institutions, found.products, found.jurisdictions, len(found.faults))
        words = ("institution", "product", "jurisdiction", "fault")
        call.out.say(
            call.out.both(
                "{} 家机构，{} 个产品，{} 个法域：{} 处错误".format(*counts),
                "{}, {}, {}: {}".format(*map(counted, counts, words)),
            )
        )

    call.out.value(found, say)
    return 3 if found.faults else 0


def publish(
    call: Call,
    seed: int = typer.Option(0, help="The same inputs and seed give the same snapshot."),
    train: bool = typer.Option(True, help="Learn from what was shown, where there is enough."),
) -> None:
    """Build profiles, learn, solve the plan, and put the new snapshot to work; close the books."""
    from jinqiao.flow import daily

    with call.engine() as engine, call.out.progress() as progress:
        day = daily.daily(engine, seed=seed, train=train, progress=progress)
        assert day.snapshot is not None
        report = day.planned.report()
    plan = {k: v for k, v in report.items() if k not in ("limits", "notes")}
    made = {
        "snapshot": day.snapshot.name,
        "customers": day.customers,
        "products": day.serving.n_products,
        "model": day.serving.versions.model,
        "plan": plan,
        "transfers": len(day.settled.transfers) if day.settled else 0,
        "notes": day.notes,
    }

    def say() -> None:
        out = call.out
        out.say(f"{made['snapshot']}")
        out.say(
            out.both(
                f"{day.customers:,} 位客户 × {made['products']} 个产品；"
                f"计划价值 {money(plan['primal_minor'])}，差距 {plan['gap']:.2e}，"
                f"最大超限 {plan['violation_max']:g}",
                f"{counted(day.customers, 'customer')} × "
                f"{counted(day.serving.n_products, 'product')}; plan worth "
                f"{money(plan['primal_minor'])}, gap {plan['gap']:.2e}, "
                f"worst violation {plan['violation_max']:g}",
            )
        )
        for note in day.notes:
            out.note(note)

    call.out.value(made, say)


def report(
    call: Call,
    days: int = typer.Option(28, min=1, max=3650, help="The window, in days."),
    calibration: bool = typer.Option(
        False, "--calibration", help="What was said beside what came, instead."
    ),
) -> None:
    """Show the three families of indicators: market scale, traffic operation, conversion effect.

    With --calibration: by stage, set, institution and segment the calibration error beside its
    noise floor, and what was said ÷ what came of the offers that rank put on shelves.
    """
    if calibration:
        from jinqiao.faces.cli_calibration import show

        show(call, days)
        return
    from jinqiao.flow.indicators import indicators_of, report_page

    with call.engine() as engine:
        found = indicators_of(engine, window_days=days)
        page = report_page(engine, found, call.out.language)
    call.out.value({"indicators": found}, lambda: call.out.say(page.rstrip("\n")))


def serve(
    call: Call,
    host: str = typer.Option("", help="Where to listen; else serve.host."),
    port: int = typer.Option(0, min=0, max=65535, help="The port; else serve.port."),
) -> None:
    """Serve the pages and the HTTP API until interrupted."""
    with call.engine() as engine:
        _serve(call.out, engine, host, port)


def _serve(out: Output, engine: Engine, host: str, port: int) -> None:
    import uvicorn

    from jinqiao.faces.api import app
    from jinqiao.flow.serve import open_service

    place = engine.settings.serve
    where, at = host or place.host, port or place.port
    made = app(open_service(engine))
    out.value(
        {"url": f"http://{where}:{at}/"},
        lambda: out.say(f"http://{where}:{at}/   API: http://{where}:{at}/openapi.json"),
    )
    sys.stdout.flush()
    uvicorn.run(
        made, host=where, port=at, log_config=None, access_log=False, server_header=False,
        date_header=True, timeout_graceful_shutdown=10,
    )  # fmt: skip


def demo(
    call: Call,
    folder: Path = typer.Argument(Path("demo"), help="The workspace to make."),
    seed: int = typer.Option(1, help="The market's seed."),
    customers: int = typer.Option(20_000, min=100, help="How many people."),
    days: int = typer.Option(28, min=1, help="Days under the plan."),
    tail_days: int = typer.Option(120, min=0, help="Days of outcomes after them."),
    serve: bool = typer.Option(True, help="Serve the pages at the end."),
    quick: bool = typer.Option(
        False, "--quick", help="1,000 people, 7 days and 14 days of outcomes; nothing served."
    ),
    afresh: bool = typer.Option(
        False, "--afresh", help="Play again what this very code played here before."
    ),
    host: str = typer.Option("", help="Where to listen; else serve.host."),
    port: int = typer.Option(0, min=0, max=65535, help="The port; else serve.port."),
) -> None:
    """Play a generated market through the whole product, compare with the truth, and serve it."""
    from jinqiao.flow.demo import demo_clock, run_demo
    from jinqiao.flow.wiring import open_engine

    out = call.out
    if quick:
        customers, days, tail_days, serve = 1_000, 7, 14, False
    with out.progress() as progress:
        made = run_demo(
            folder, seed=seed, customers=customers, days=days, tail_days=tail_days,
            started=_process_started(), progress=progress,
            first_shelf=lambda first: _say_first(out, first), afresh=afresh,
        )  # fmt: skip
    with open_engine(folder, clock=demo_clock(folder) or _no_clock) as engine:
        from jinqiao.flow.indicators import indicators_of, report_page

        page = "" if quick else report_page(engine, indicators_of(engine), out.language)
        figures = made.figures
        out.value(figures, lambda: _say_figures(out, figures, page))
        if serve:
            _serve(out, engine, host, port)


def _no_clock() -> int:
    return time.time_ns() // 1000


def _say_first(out: Output, first: FirstShelf) -> None:
    out.say(
        out.both(
            f"{first.seconds:.1f} 秒后的第一个货架（客户 {first.user_id}）：",
            f"The first shelf, after {first.seconds:.1f} s (customer {first.user_id}):",
        )
    )
    say_shelf(out, first.shelf, first.names)
    c = first.certificate
    out.say(
        out.both(
            f"计划凭证：价值 {money(c['primal_minor'])}，上界 {money(c['dual_bound_minor'])}，"
            f"差距 {c['gap']:.2e}，最大超限 {c['violation_max']:g}",
            f"Certificate of the plan: worth {money(c['primal_minor'])}, bound "
            f"{money(c['dual_bound_minor'])}, gap {c['gap']:.2e}, worst violation "
            f"{c['violation_max']:g}",
        )
    )


def say_shelf(
    out: Output, shelf: Shelf, names: Mapping[str, tuple[str, str]] | None = None
) -> None:
    """Print a shelf: each offer with its reasons; ``names`` of products are zh and en."""
    from jinqiao.domain.messages import sentence

    for offer in shelf.offers:
        known = (names or {}).get(str(offer.product_id))
        told = f"{out.both(*known)} ({offer.product_id})" if known else str(offer.product_id)
        out.say(f"  {offer.position}. {told}")
        for reason in offer.reasons:
            out.say(f"     {sentence(reason, out.language)}")


def _say_figures(out: Output, figures: dict[str, Any], page: str) -> None:
    out.say("", *([page.rstrip("\n"), ""] if page else []))
    out.say(
        out.both(
            f"计划获得神谕价值的 {figures['value_of_oracle_pct']:.2f}%；对照策略：",
            f"The plan captured {figures['value_of_oracle_pct']:.2f} % of the oracle's value:",
        )
    )
    rows = [{"policy": k, "pct": v} for k, v in figures["baselines_pct"].items()]
    rows.append({"policy": "jinqiao", "pct": figures["value_of_oracle_pct"]})
    out.table(rows, [("policy", out.both("策略", "policy")), ("pct", "% ")])
    lift = figures["value_of_oracle_pct"] / max(figures["baselines_pct"]["highest_payout"], 0.01)
    out.say(
        out.both(
            f"是“给每个人展示佣金最高者”的 {lift:.2f} 倍。",
            f"That is {lift:.2f} times the value of showing everyone the best payer.",
        )
    )
    out.say(
        out.both(
            f"超发 {figures['over_delivered_units']} 个名额；日记账合计 "
            f"{figures['journal_sum_minor']}；用时 {figures['total_s']} 秒",
            f"{counted(figures['over_delivered_units'], 'unit')} over-delivered; "
            f"the journal sums to {figures['journal_sum_minor']}; {figures['total_s']} s in all",
        )
    )


def _process_started() -> float:
    """Return ``time.perf_counter()`` as it was when this process began."""
    import os

    try:
        with open("/proc/self/stat", encoding="ascii") as file:
            ticks = int(file.read().rsplit(")", 1)[1].split()[19])
        boot = time.clock_gettime(time.CLOCK_BOOTTIME)
        return time.perf_counter() - (boot - ticks / os.sysconf("SC_CLK_TCK"))
    except (OSError, AttributeError, ValueError, IndexError):
        return time.perf_counter() - time.process_time()


def doctor(call: Call) -> int:
    """Look whether everything is there, and say the cause and the fix of what is not."""
    from jinqiao.errors import NotFound
    from jinqiao.flow.doctor import examine
    from jinqiao.flow.workspace import find_workspace

    try:
        root = find_workspace(call.workspace).root
    except NotFound:
        if call.workspace is not None:
            raise
        root = None
    found = examine(root, call.engine)
    rows = [
        {"name": one.name, "state": one.state, "found": one.found, "fix": one.fix} for one in found
    ]
    columns = (("name", "what"), ("state", "state"), ("found", "found"), ("fix", "fix"))
    call.out.value({"findings": rows}, lambda: call.out.table(rows, columns))
    return 1 if any(one.state == "fault" for one in found) else 0
