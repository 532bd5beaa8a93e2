"""plan fairness and plan steering: who is shown how much, and what payout displaced."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from jinqiao.faces.command import Call
from jinqiao.faces.output import Output, money

__all__ = ["fairness", "steering"]


def fairness(
    call: Call,
    segment: str = typer.Option("file", help="Even out: file, age, income_minor, city_tier…"),
    loss: float = typer.Option(0.01, help="Share of the plan's value that may be given up."),
    steps: int = typer.Option(5, help="Plans between the present one and even shares."),
    svg: Path | None = typer.Option(None, help="Write the frontier as a picture."),
) -> None:
    """Show who is shown how much, by segment, and plans of nearly equal value that are fairer.

    Ratios are of a share to the share of customers, with 90 % intervals. Nothing is changed.
    """
    from jinqiao.flow.fairness import fairness as told
    from jinqiao.flow.fairness import frontier_svg

    with call.engine() as engine:
        found = told(engine, segment=segment, loss_share=loss, steps=steps)
        currency = engine.settings.marketplace.currency
    if svg is not None:
        svg.write_text(frontier_svg(found) + "\n", encoding="utf-8")
    call.out.value(found, lambda: _say_fairness(call.out, found, currency))


def _say_fairness(out: Output, found: dict[str, Any], currency: str) -> None:
    rows = [
        {
            "segment": name, "group": row["group"], "customers": row["customers"],
            "people": _percent(row["customer_share"]), "shown": _percent(row["impression_share"]),
            "value": _percent(row["value_share"]),
            "applications": _between(row["application_ratio"], row["application_between"]),
            "worth": _between(row["value_ratio"], row["value_between"]),
            "approval": _chance(row["approval"], row["approval_between"]),
        }
        for name, groups in found["exposure"].items()
        for row in groups
    ]  # fmt: skip
    columns = (
        ("segment", out.both("分群", "segment")), ("group", out.both("组", "group")),
        ("customers", out.both("客户", "customers")), ("people", out.both("人数占比", "of all")),
        ("shown", out.both("曝光占比", "of impressions")),
        ("value", out.both("价值占比", "of value")),
        ("applications", out.both("进件／人数", "applications ÷ people")),
        ("worth", out.both("价值／人数", "value ÷ people")),
        ("approval", out.both("授信率", "approval")),
    )  # fmt: skip
    out.table(rows, columns)
    _say_frontier(out, found, currency)


def _say_frontier(out: Output, found: dict[str, Any], currency: str) -> None:
    rows = [
        {
            "level": _percent(p["level"]) if p["level"] else "–",
            "value": money(p["value_minor"], currency), "kept": f"{100 * p['value_share']:.2f} %",
            "disparity": _percent(p["disparity"]),
            "ratios": ", ".join(
                f"{group} {ratio:.2f}"
                for group, ratio in zip(found["groups"], p["application_ratios"], strict=True)
            ),
            "met": out.both("是", "yes") if p["floors_met"] else out.both("否", "no"),
            "named": "←" if p["named"] else "",
        }
        for p in found["frontier"]
    ]  # fmt: skip
    columns = (
        ("level", out.both("每组至少", "each group at least")),
        ("value", out.both("价值", "value")),
        ("kept", out.both("保留", "kept")), ("disparity", out.both("差距", "disparity")),
        ("ratios", out.both("进件／人数", "applications ÷ people")),
        ("met", out.both("下限达成", "floors met")), ("named", ""),
    )  # fmt: skip
    out.table(rows, columns)
    best = next(p for p in found["frontier"] if p["named"])
    out.say(
        out.both(
            f"放弃至多 {100 * found['loss_share']:g} % 的价值，差距可由 "
            f"{_percent(found['frontier'][0]['disparity'])} 降至 {_percent(best['disparity'])}",
            f"giving up at most {100 * found['loss_share']:g} % of the value brings disparity from "
            f"{_percent(found['frontier'][0]['disparity'])} to {_percent(best['disparity'])}",
        )
    )


def steering(
    call: Call,
    most: int = typer.Option(10, min=0, help="Customers to tell of, the greatest loss first."),
) -> None:
    """Show what payout displaced: the plan beside the one made with payout set to 0."""
    from jinqiao.flow.fairness import steering as told

    with call.engine() as engine:
        found = told(engine, most=most)
        currency = engine.settings.marketplace.currency
    call.out.value(found, lambda: _say_steering(call.out, found, currency))


def _say_steering(out: Output, found: dict[str, Any], currency: str) -> None:
    people = found["customers"]
    own, without = found["own_value_minor"], found["own_value_without_payout_minor"]
    spread = found["loss_minor_by_quantile"]
    out.say(
        out.both(
            f"客户自身价值 {money(own, currency)}；若无佣金 {money(without, currency)}"
            f"（相差 {100 * found['loss_share']:.3f} %）",
            f"customers' own value {money(own, currency)}; without payout "
            f"{money(without, currency)} ({100 * found['loss_share']:.3f} % less with it)",
        ),
        out.both(
            f"佣金 {money(found['payout_minor'], currency)}；若不计佣金 "
            f"{money(found['payout_without_minor'], currency)}",
            f"payout {money(found['payout_minor'], currency)}; where it does not count "
            f"{money(found['payout_without_minor'], currency)}",
        ),
        out.both(
            f"{people['all']:,} 位客户中 {people['moved']:,} 位报价变动："
            f"{people['losing']:,} 位受损，{people['gaining']:,} 位受益；"
            f"挤出报价 {found['offers_displaced']:,} 个",
            f"offers move for {people['moved']:,} of {people['all']:,} customers: "
            f"{people['losing']:,} lose, {people['gaining']:,} gain; "
            f"{found['offers_displaced']:,} offers displaced",
        ),
        out.both("每位客户损失不超过：", "no customer of so many loses more: ")
        + ", ".join(f"{100 * float(q):g} % {money(x, currency)}" for q, x in spread.items()),
    )
    _say_groups(out, found["segments"], currency)
    _say_customers(out, found["examples"], currency)


def _say_groups(out: Output, segments: Sequence[dict[str, Any]], currency: str) -> None:
    rows = [row | {"loss": money(row["mean_loss_minor"], currency)} for row in segments]
    columns = (
        ("segment", out.both("分群", "segment")), ("group", out.both("组", "group")),
        ("customers", out.both("客户", "customers")), ("loss", out.both("平均损失", "mean loss")),
    )  # fmt: skip
    out.table(rows, columns)


def _say_customers(out: Output, examples: Sequence[dict[str, Any]], currency: str) -> None:
    rows = [
        {
            "customer": row["customer_id"], "loss": money(row["loss_minor"], currency),
            "without": ", ".join(row["without_payout"]), "instead": ", ".join(row["instead"]),
        }
        for row in examples
    ]  # fmt: skip
    columns = (
        ("customer", out.both("客户", "customer")), ("loss", out.both("损失", "loss")),
        ("without", out.both("若无佣金可见", "shown without payout")),
        ("instead", out.both("实际所见", "shown instead")),
    )  # fmt: skip
    if rows:
        out.table(rows, columns)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _between(ratio: float, ends: Sequence[float]) -> str:
    return f"{ratio:.2f} ({ends[0]:.2f}–{ends[1]:.2f})"


def _chance(mean: float | None, ends: Sequence[float | None]) -> str | None:
    if mean is None or ends[0] is None or ends[1] is None:
        return None
    return f"{100 * mean:.1f} % ({100 * ends[0]:.1f}–{100 * ends[1]:.1f})"
