"""catalog, product, limit, content, feature, tag, audience."""

from __future__ import annotations

import typer

from jinqiao.domain.messages import counted
from jinqiao.faces.command import Call, nouns
from jinqiao.faces.output import money

__all__ = ["add"]

PRODUCT = typer.Argument(..., help="The product's id.")


def add(app: typer.Typer) -> None:
    """Add the nouns of the catalog and of features."""
    nouns(
        app,
        ("catalog", "Institution files as immutable versions.",
         {"apply": apply, "history": history, "list": catalog_list}),
        ("product", "Products on sale.",
         {"list": product_list, "show": show, "stop": stop, "resume": resume}),
        ("limit", "Quotas and budgets, and what is left of them.", {"list": limit_list}),
        ("content", "Topics and materials beside offers.",
         {"list": content_list, "approve": approve}),
        ("feature", "The dictionary of features.",
         {"list": feature_list, "show": feature_show}),
        ("tag", "Saved rules that describe customers.",
         {"list": tag_list, "add": tag_add, "count": count}),
        ("audience", "Saved rules that pick whom to address.",
         {"list": audience_list, "add": audience_add, "count": count}),
    )  # fmt: skip


def apply(
    call: Call,
    author: str = typer.Option("", help="Who is recorded; else your login."),
    withdraw_missing: bool = typer.Option(False, help="Withdraw institutions without a file."),
) -> None:
    """Write each changed institution file to records as a new version."""
    from jinqiao.flow.intake import apply_catalog, publish_consent_texts

    with call.engine() as engine:
        made = apply_catalog(engine, author=author or call.actor, withdraw_missing=withdraw_missing)
        publish_consent_texts(engine)
    rows = [
        {"institution_id": v.institution_id, "version": v.version, "valid_from": v.valid_from}
        for v in made
    ]

    def say() -> None:
        for row in rows:
            call.out.say(f"{row['institution_id']}  version {row['version']}")
        call.out.say(
            call.out.both(
                f"{len(rows)} 家机构有变更", f"{counted(len(rows), 'institution')} changed"
            )
        )

    call.out.value({"changed": rows}, say)


def history(
    call: Call,
    institution: str = typer.Argument(..., help="The institution's id."),
    diff: bool = typer.Option(False, help="Show what each version changed."),
) -> None:
    """Show every version of an institution's file."""
    from jinqiao.flow.desk import catalog_history

    with call.engine() as engine:
        rows = catalog_history(engine, institution)

    def say() -> None:
        for row in rows:
            call.out.say(f"{row['version']}  {row['valid_from']}  {row['author']}")
            if diff:
                call.out.say(row["diff"])

    call.out.value({"versions": rows}, say)


def catalog_list(call: Call) -> None:
    """List the institutions in force."""
    from jinqiao.flow.desk import catalog_list as listed

    with call.engine() as engine:
        rows = listed(engine)
    name = call.out.both("name_zh", "name_en")
    columns = (
        ("institution_id", "institution"), (name, "name"), ("licence", "licence"),
        ("version", "version"), ("products", "products"), ("currency", "currency"),
    )  # fmt: skip
    call.out.value({"institutions": rows}, lambda: call.out.table(rows, columns))


def product_list(
    call: Call, institution: str = typer.Option("", help="Of this institution alone.")
) -> None:
    """List the products on sale."""
    from jinqiao.flow.desk import product_list as listed

    with call.engine() as engine:
        rows = listed(engine, institution_id=institution or None)
    name = call.out.both("name_zh", "name_en")
    shown = [
        row
        | {
            "all_in": None if row["all_in_bps"] is None else f"{row['all_in_bps'] / 100:.2f}%",
            "payout": f"{money(row['payout_amount_minor'], row['currency'])}"
            f" / {row['payout_stage']}",
        }
        for row in rows
    ]
    columns = (
        ("product_id", "product"), (name, "name"), ("product_class", "class"),
        ("all_in", "all-in a year"), ("payout", "payout"), ("stopped", "stopped"),
    )  # fmt: skip
    call.out.value({"products": rows}, lambda: call.out.table(shown, columns))


def show(call: Call, product: str = PRODUCT) -> None:
    """Show a product in full: conditions, every cost, what is left of its limits."""
    from jinqiao.domain.messages import render
    from jinqiao.flow.desk import product_show

    with call.engine() as engine:
        row = product_show(engine, product)
    out, cost = call.out, row["cost"]

    def say() -> None:
        out.pairs(row)
        fees = [
            {
                "fee": fee[out.both("name_zh", "name_en")],
                "when": render(f"charged_{fee['charged']}", out.language),
                "each": money(fee["each_minor"], cost["currency"]),
                "times": fee["times"],
                "total": money(fee["total_minor"], cost["currency"]),
            }
            for fee in cost["fees"]
        ]
        out.say(
            "",
            f"{money(cost['amount_minor'], cost['currency'])}, "
            f"{counted(cost['term_days'], 'day')}:",
        )
        out.table(
            fees,
            (("fee", "fee"), ("when", "when"), ("each", "each"), ("times", "times"),
             ("total", "total")),
        )  # fmt: skip
        out.table(row["limits"], _LIMIT)

    out.value(row, say)


_LIMIT = (
    ("limit_id", "limit"), ("period_key", "period"), ("limit", "at most"), ("posted", "posted"),
    ("reserved", "reserved"), ("kept", "kept back for late reports"), ("left", "left"),
)  # fmt: skip


def stop(call: Call, product: str = PRODUCT) -> None:
    """Take a product off every shelf within a second."""
    from jinqiao.flow.desk import stop_product

    with call.engine() as engine:
        changed = stop_product(engine, product, actor=call.actor)
    said = call.out.both(
        "已下架" if changed else "原本已下架", "stopped" if changed else "it was stopped already"
    )
    call.out.value(
        {"product_id": product, "stopped": True, "changed": changed}, lambda: call.out.say(said)
    )


def resume(call: Call, product: str = PRODUCT) -> None:
    """Put a stopped product back on the shelves."""
    from jinqiao.flow.desk import resume_product

    with call.engine() as engine:
        changed = resume_product(engine, product, actor=call.actor)
    said = call.out.both(
        "已恢复" if changed else "原本未下架", "resumed" if changed else "it was not stopped"
    )
    call.out.value(
        {"product_id": product, "stopped": False, "changed": changed}, lambda: call.out.say(said)
    )


def limit_list(
    call: Call,
    institution: str = typer.Option("", help="Of this institution alone."),
    over: bool = typer.Option(False, help="The reports that found no free unit instead."),
) -> None:
    """List every limit in its present period, and what is left of it."""
    from jinqiao.flow import desk

    with call.engine() as engine:
        if over:
            rows = desk.over_delivered(engine, institution_id=institution or None)
        else:
            rows = desk.limit_list(engine, institution_id=institution or None)
    late = (("limit_id", "limit"), ("click_id", "click"), ("over", "over"), ("stage", "stage"))
    call.out.value({"limits": rows}, lambda: call.out.table(rows, late if over else _LIMIT))


def content_list(call: Call) -> None:
    """List every piece and who approved its exact words."""
    from jinqiao.flow.pieces import content_list as listed

    with call.engine() as engine:
        rows = listed(engine)
    title = call.out.both("title_zh", "title_en")
    columns = (
        ("content_id", "piece"), ("product_class", "class"), (title, "title"),
        ("approved_by", "approved by"),
    )  # fmt: skip
    call.out.value({"pieces": rows}, lambda: call.out.table(rows, columns))


def approve(
    call: Call,
    piece: str = typer.Argument(..., help="The piece's id."),
    institution: str = typer.Option(..., help="The institution that approves it."),
    withdraw: bool = typer.Option(False, help="Withdraw the approval instead."),
) -> None:
    """Record that an institution approves a piece's exact words."""
    from jinqiao.flow.pieces import approve_piece

    with call.engine() as engine:
        changed = approve_piece(
            engine, piece, institution_id=institution, actor=call.actor, withdraw=withdraw
        )
    row = {"content_id": piece, "institution_id": institution, "approved": not withdraw,
           "changed": changed}  # fmt: skip
    call.out.value(row, lambda: call.out.pairs(row))


def feature_list(call: Call) -> None:
    """List every feature with its unit and meaning."""
    from jinqiao.flow.desk import feature_rows

    with call.engine() as engine:
        rows = feature_rows(engine)
    meaning = call.out.both("zh", "en")
    columns = (("name", "feature"), ("type", "type"), ("unit", "unit"), (meaning, "meaning"))
    call.out.value({"features": rows}, lambda: call.out.table(rows, columns))


def feature_show(call: Call, name: str = typer.Argument(..., help="The feature's name.")) -> None:
    """Show what a feature is: meaning, window, sources, purposes, definition."""
    from jinqiao.flow.desk import feature_rows, feature_sentences

    with call.engine() as engine:
        row = feature_rows(engine, [name])[0]
        said = feature_sentences(engine, name, call.out.language)
    call.out.value(row, lambda: call.out.say(*said))


def tag_list(call: Call) -> None:
    """List the tags in use with their live counts."""
    _tags(call, "tag")


def audience_list(call: Call) -> None:
    """List the audiences in use with their live counts."""
    _tags(call, "audience")


def _tags(call: Call, kind: str) -> None:
    from jinqiao.flow.tagging import tag_list as listed

    with call.engine() as engine:
        rows = listed(engine, kind)
    label = call.out.both("zh", "en")
    columns = (("name", "name"), (label, "label"), ("rule", "rule"), ("count", "customers"))
    call.out.value({f"{kind}s": rows}, lambda: call.out.table(rows, columns))


NAME = typer.Argument(..., help="Small letters, digits and _.")
RULE = typer.Argument(..., help='A rule over features, for example "age >= 30".')
ZH = typer.Option("", help="Its name in Chinese.")
EN = typer.Option("", help="Its name in English.")


def tag_add(call: Call, name: str = NAME, rule: str = RULE, zh: str = ZH, en: str = EN) -> None:
    """Save a tag, or a new version of it."""
    _add_tag(call, "tag", name, rule, (zh, en))


def audience_add(
    call: Call, name: str = NAME, rule: str = RULE, zh: str = ZH, en: str = EN
) -> None:
    """Save an audience, or a new version of it."""
    _add_tag(call, "audience", name, rule, (zh, en))


def _add_tag(call: Call, kind: str, name: str, rule: str, labels: tuple[str, str]) -> None:
    from jinqiao.flow.tagging import tag_add as added

    with call.engine() as engine:
        row = added(engine, name, rule, kind=kind, zh=labels[0], en=labels[1], author=call.actor)
    call.out.value(row, lambda: call.out.pairs(row))


def count(
    call: Call, rule: str = typer.Argument(..., help="A rule, or the name of a saved one.")
) -> None:
    """Count the customers a rule holds for now."""
    from jinqiao.flow.tagging import count_rule

    with call.engine() as engine:
        row = count_rule(engine, rule)
    call.out.value(row, lambda: call.out.say(f"{row['count']:,} / {row['customers']:,}"))
