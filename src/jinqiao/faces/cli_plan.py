"""plan: its certificate, the prices of limits, what if, and the reach of a product to come."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from jinqiao.faces.cli_fairness import fairness, steering
from jinqiao.faces.command import Call, nouns
from jinqiao.faces.output import Output, money

__all__ = ["add"]


def add(app: typer.Typer) -> None:
    """Add the noun of the plan."""
    nouns(
        app,
        ("plan", "The published plan: certificate, prices of limits, what if, reach, fairness.",
         {"show": show, "prices": prices, "whatif": whatif, "forecast": forecast,
          "fairness": fairness, "steering": steering}),
    )  # fmt: skip


def show(call: Call) -> None:
    """Show the published plan's certificate."""
    from jinqiao.flow.desk import plan_report

    with call.engine() as engine:
        found = plan_report(engine)
        currency = engine.settings.marketplace.currency
    shown = {key: value for key, value in found.items() if key not in ("limits", "notes")}
    for key in ("primal_minor", "dual_bound_minor"):
        shown[key] = money(found[key], currency)

    def say() -> None:
        call.out.pairs(shown)
        call.out.say(*found["notes"])

    call.out.value({k: v for k, v in found.items() if k != "limits"}, say)


def prices(
    call: Call,
    every: bool = typer.Option(False, "--all", help="Those worth nothing too, and every range."),
    tolerance: float = typer.Option(
        0.1, help="A price holds while it changes by at most this share."
    ),
    ranges: int = typer.Option(20, min=0, help="Work out ranges for so many of the dearest."),
) -> None:
    """Show what one more unit of each limit is worth, and between which limits that holds."""
    from jinqiao.errors import Unavailable
    from jinqiao.flow.desk import plan_report
    from jinqiao.flow.whatif import limit_prices

    with call.engine() as engine:
        found = plan_report(engine)
        try:
            if ranges or every:
                most = None if every else ranges
                found = limit_prices(engine, tolerance=tolerance, most=most)
        except Unavailable as missing:
            call.out.note(str(missing))
    rows = sorted(found["limits"], key=lambda row: -abs(row["price_minor"]))
    shown = [row | {"holds": _span(row)} for row in rows if every or row["price_minor"]]
    columns = (
        ("limit", "limit"), ("measure", "measure"), ("limit_units", "at most"), ("used", "used"),
        ("left", "left"), ("price_minor", "worth of one more, minor"), ("holds", "holds within"),
    )  # fmt: skip
    about = {key: found[key] for key in ("snapshot", "days", "tolerance") if key in found}
    call.out.value(about | {"limits": rows}, lambda: call.out.table(shown, columns))


def _span(row: dict[str, Any]) -> str | None:
    low, high = row.get("holds_from"), row.get("holds_to")
    if low is None or high is None:
        return None
    ends = ["…" if abs(end) == float("inf") else f"{end:,.5g}" for end in (low, high)]
    return f"{ends[0]} – {ends[1]}"


def whatif(
    call: Call,
    changes: list[str] = typer.Argument(
        ..., help="quota, budget or floor, then OWNER=CHANGE: +500, -10% or the new value."
    ),
) -> None:
    """Ask what if limits were others: quota cmb-gold=+500 budget tongda=-10% floor qinghe=0.35.

    OWNER is a product or an institution; OWNER:day tells its limits apart (else the tightest).
    Budgets are in the currency's own unit. Nothing is changed.
    """
    from jinqiao.flow.whatif import what_if

    with call.engine() as engine:
        found = what_if(engine, changes)
        currency = engine.settings.marketplace.currency
    call.out.value(found, lambda: _say_answer(call.out, found, currency))


def _say_answer(out: Output, found: dict[str, Any], currency: str) -> None:
    both = out.both
    _say_changes(out, found["changes"], found["days"], currency)
    value, c = found["value_minor"], found["certificate"]
    out.say(
        both(
            f"计划价值 {money(value['before'], currency)} → {money(value['after'], currency)}；"
            f"此变动值 {money(value['worth'], currency)}"
            f"（确定在 {money(value['low'], currency)} 与 {money(value['high'], currency)} 之间）",
            f"plan worth {money(value['before'], currency)} → {money(value['after'], currency)}; "
            f"the change is worth {money(value['worth'], currency)} (certainly between "
            f"{money(value['low'], currency)} and {money(value['high'], currency)})",
        ),
        both(
            f"凭证：差距 {c['gap']:.1e}，最大超限 {c['violation_max']:g}，{c['passes']:.1f} 遍",
            f"certificate: gap {c['gap']:.1e}, worst violation {c['violation_max']:g}, "
            f"{c['passes']:.1f} passes",
        ),
    )
    people = found["customers"]
    out.say(
        both(
            f"{people['moved']:,} 位客户的报价变动：{people['displaced']:,} 位受挤出，"
            f"{people['gaining']:,} 位受益",
            f"offers move for {people['moved']:,} customers: {people['displaced']:,} displaced, "
            f"{people['gaining']:,} better off",
        )
    )
    say_products(out, found["products"])
    say_segments(out, found["segments"])
    _say_examples(out, found["examples"], currency)


def _say_changes(
    out: Output, changes: Sequence[dict[str, Any]], days: float, currency: str
) -> None:
    def said(row: dict[str, Any], key: str) -> str:
        return money(row[key], currency) if row["unit"] == "minor" else f"{row[key]:,g}"

    rows = [
        {
            "asked": row["asked"], "period": row["period"],
            "change": f"{said(row, 'was')} → {said(row, 'now')}",
            "plan": f"{said(row, 'plan_was')} → {said(row, 'plan_now')}",
            "price": f"{row['price_before_minor']:,.1f} → {row['price_after_minor']:,.1f}",
        }
        for row in changes
    ]  # fmt: skip
    plan = out.both(f"计划 {days:g} 天可用", f"in the plan's {days:g} days")
    columns = (
        ("asked", out.both("变动", "change of")), ("period", out.both("周期", "a")),
        ("change", out.both("额度", "limit")), ("plan", plan),
        ("price", out.both("再多一单位之值（分）", "worth of one more, minor")),
    )  # fmt: skip
    out.table(rows, columns)
    for row in changes:
        if row["others"]:
            names = ", ".join(row["others"])
            out.say(
                out.both(
                    f"{row['asked']}：变动的是最紧的一项（每 {row['period']}）；其余不变：{names}",
                    f"{row['asked']}: the tightest one is changed (a {row['period']}); "
                    f"others stay: {names}",
                )
            )


def say_products(out: Output, products: Sequence[dict[str, Any]], most: int = 10) -> None:
    """Print the products that lose most and gain most."""
    rows = products if len(products) <= most else (*products[: most // 2], *products[-most // 2 :])
    columns = (
        ("product_id", out.both("产品", "product")),
        ("offers_before", out.both("原报价", "offers before")),
        ("offers_after", out.both("现报价", "after")), ("entered", out.both("进", "in")),
        ("left", out.both("出", "out")),
        ("applications_change", out.both("预期进件变化", "expected applications")),
    )  # fmt: skip
    out.table(rows, columns)


def say_segments(out: Output, segments: Sequence[dict[str, Any]]) -> None:
    """Print who is displaced by segment."""
    rows = [row for row in segments if row["displaced"] or row["gaining"]]
    columns = (
        ("segment", out.both("分群", "segment")), ("group", out.both("组", "group")),
        ("customers", out.both("客户", "customers")),
        ("displaced", out.both("受挤出", "displaced")), ("gaining", out.both("受益", "better off")),
    )  # fmt: skip
    if rows:
        out.table(rows, columns)


def _say_examples(out: Output, examples: Sequence[dict[str, Any]], currency: str) -> None:
    rows = [
        {
            "customer": row["customer_id"],
            "value": money(row["change_minor"], currency),
            "before": row["before"],
            "after": row["after"],
        }
        for row in examples
    ]
    columns = (
        ("customer", out.both("例：客户", "for example")), ("value", out.both("价值", "value")),
        ("before", out.both("原报价", "before")), ("after", out.both("现报价", "after")),
    )  # fmt: skip
    if rows:
        out.table(rows, columns)


def forecast(
    call: Call,
    product: str = typer.Argument(
        ..., help="A product of institutions/ that is not on sale, or a draft: FILE or FILE#ID."
    ),
    payout: str = typer.Option(
        ..., help="What a paid unit would pay, in the currency's own unit: 100,200,300."
    ),
    quota: str = typer.Option(
        ..., help="Expected applications over the plan's days: 100,500,1000."
    ),
    svg: Path | None = typer.Option(None, help="Write the curve of applications as a picture."),
) -> None:
    """Tell a product's reach before its launch: applications and approvals by payout and quota.

    Counts come with 90 % intervals: the chance of counting, and how far apart products of its class
    are. Nothing is changed.
    """
    from jinqiao.flow.forecast import curve_svg, numbers_of
    from jinqiao.flow.forecast import forecast as reach

    asked = {"payouts": numbers_of(payout, "payout"), "quotas": numbers_of(quota, "quota")}
    with call.engine() as engine:
        found = reach(engine, product, **asked)
    if svg is not None:
        svg.write_text(curve_svg(found, call.out.language), encoding="utf-8")
    call.out.value(found, lambda: _say_reach(call.out, found))


def _say_reach(out: Output, found: dict[str, Any]) -> None:
    currency, days = found["currency"], found["days"]
    spread = found["interval"]
    out.say(
        out.both(
            f"{found['product_id']}：计划 {days:g} 天内，"
            f"{found['eligible_customers']:,} 位客户可见；区间为 90 %，"
            f"同类产品的离散度 {spread['log_spread']:.2f}"
            f"（{spread['products_measured']} 个产品）",
            f"{found['product_id']} over the plan's {days:g} days; {found['eligible_customers']:,} "
            f"customers may be shown it; 90 % intervals, log spread of its class "
            f"{spread['log_spread']:.2f} ({spread['products_measured']} products)",
        )
    )
    rows = [
        {
            "payout": f"{p['payout']:,g}", "quota": f"{p['quota']:,g}",
            "impressions": _interval(p["impressions"]),
            "applications": _interval(p["applications"]), "approvals": _interval(p["approvals"]),
            "price": money(p["price_minor"], currency),
            "value": money(p["value_change_minor"], currency), "displaced": p["displaced_offers"],
            "most": ", ".join(
                f"{row['product_id']} {row['entered'] - row['left']:+d}"
                for row in p["displaced"][:2] if row["left"] > row["entered"]
            ),
        }
        for p in found["points"]
    ]  # fmt: skip
    columns = (
        ("payout", out.both("佣金", "payout")), ("quota", out.both("名额", "quota")),
        ("impressions", out.both("曝光", "impressions")),
        ("applications", out.both("进件", "applications")),
        ("approvals", out.both("授信", "approvals")),
        ("price", out.both("再多一个名额之值", "worth of one more")),
        ("value", out.both("计划价值变化", "plan worth")),
        ("displaced", out.both("挤出报价", "offers displaced")),
        ("most", out.both("主要来自", "mostly of")),
    )  # fmt: skip
    out.table(rows, columns)


def _interval(one: dict[str, float]) -> str:
    def said(number: float) -> str:
        return f"{number:,.1f}" if number < 100 else f"{number:,.0f}"

    return f"{said(one['mean'])} ({said(one['low'])}–{said(one['high'])})"
