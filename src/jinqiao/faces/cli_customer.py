"""customer, consent, rejects, application."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer

from jinqiao.domain.consent import Purpose
from jinqiao.errors import InputError, SchemaError
from jinqiao.faces.command import Call, nouns
from jinqiao.faces.output import plain

__all__ = ["add"]

CUSTOMER = typer.Argument(..., help="The operator's login of the customer, or a customer id.")
PURPOSE = typer.Argument(..., help=f"One of {', '.join(Purpose)}.")


def add(app: typer.Typer) -> None:
    """Add the nouns about customers and what they sent."""
    nouns(
        app,
        ("customer", "Customers: shown, exported, erased, merged.",
         {"show": show, "export": export, "erase": erase, "merge": merge, "unmerge": unmerge}),
        ("consent", "What a customer agreed to, in which words.",
         {"grant": grant, "withdraw": withdraw, "show": consent_show, "texts": texts}),
        ("rejects", "Refused rows and reports, to be mended and tried again.",
         {"list": rejects_list, "show": rejects_show, "replay": rejects_replay}),
        ("application", "Applications, folded from institutions' reports.",
         {"list": application_list, "show": application_show}),
    )  # fmt: skip


def show(call: Call, customer: str = CUSTOMER) -> None:
    """Show a customer: subjects, consents, applications, profile."""
    from jinqiao.flow.people import show_customer

    with call.engine() as engine:
        row = show_customer(engine, customer)
    out = call.out

    def say() -> None:
        out.say(row["customer_id"])
        out.table(row["consents"], _CONSENT)
        out.table(row["applications"], _APPLICATION)
        out.pairs(row["profile"])

    out.value(row, say)


_CONSENT = (
    ("purpose", "purpose"), ("granted", "granted"), ("text_version", "text"), ("said_at", "said"),
)  # fmt: skip
_APPLICATION = (
    ("application_id", "application"), ("product_id", "product"), ("state", "state"),
)  # fmt: skip


def export(
    call: Call,
    customer: str = CUSTOMER,
    to: Path | None = typer.Option(None, "--to", help="Write to this file, mode 0600."),
) -> None:
    """Export everything kept of a customer."""
    import os

    from jinqiao.flow.people import export_customer

    with call.engine() as engine:
        found = export_customer(engine, customer)
    if to is None:
        call.out.value(found)
        return
    handle = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(plain(found), file, ensure_ascii=False, indent=1)
    call.out.value({"file": to}, lambda: call.out.say(str(to)))


def erase(
    call: Call,
    customer: str = CUSTOMER,
    yes: bool = typer.Option(False, "--yes", help="Do it without asking; it cannot be undone."),
) -> None:
    """Destroy a customer's keys and mapping; journal amounts and an audit row stay."""
    from jinqiao.flow.people import erase_customer

    if not yes:
        import sys

        if call.out.json or not sys.stdin.isatty():
            raise InputError("erasing cannot be undone", record=customer, fix="say --yes")
        typer.confirm(f"Erase {customer}? It cannot be undone.", abort=True, err=True)
    with call.engine() as engine:
        row = erase_customer(engine, customer, actor=call.actor)
    call.out.value(row, lambda: call.out.pairs(row))


def merge(call: Call, customer: str = CUSTOMER, other: str = CUSTOMER) -> None:
    """Say by hand that two customers are one."""
    from jinqiao.flow.people import merge_customers

    with call.engine() as engine:
        row = {"merge_id": merge_customers(engine, customer, other, actor=call.actor)}
    call.out.value(row, lambda: call.out.pairs(row))


def unmerge(call: Call, merge_id: str = typer.Argument(..., help="The merge to undo.")) -> None:
    """Undo a merge; the map is as it was without it."""
    from jinqiao.flow.people import unmerge_customers

    with call.engine() as engine:
        changed = unmerge_customers(engine, merge_id, actor=call.actor)
    row = {"merge_id": merge_id, "changed": changed}
    call.out.value(row, lambda: call.out.pairs(row))


def grant(call: Call, customer: str = CUSTOMER, purpose: str = PURPOSE) -> None:
    """Record a customer's grant for a purpose, under its newest text."""
    _say_consent(call, customer, purpose, True)


def withdraw(call: Call, customer: str = CUSTOMER, purpose: str = PURPOSE) -> None:
    """Record a customer's withdrawal; the very next shelf follows it."""
    _say_consent(call, customer, purpose, False)


def _say_consent(call: Call, customer: str, purpose: str, granted: bool) -> None:
    from jinqiao.flow.people import find_customer_id, say_consent

    if purpose not in list(Purpose):
        raise InputError(
            f"no such purpose: {purpose!r}", field="purpose", fix=f"one of {', '.join(Purpose)}"
        )
    with call.engine() as engine:
        customer_id = find_customer_id(engine, customer)
        row = say_consent(engine, customer_id, Purpose(purpose), granted=granted, channel="desk")
    call.out.value(row, lambda: call.out.pairs(row))


def consent_show(call: Call, customer: str = CUSTOMER) -> None:
    """Show what a customer agreed to now, purpose by purpose."""
    from jinqiao.flow.people import consent_choices, find_customer_id

    with call.engine() as engine:
        rows = consent_choices(engine, find_customer_id(engine, customer))
    call.out.value({"consents": rows}, lambda: call.out.table(rows, _CONSENT))


def texts(call: Call) -> None:
    """Show the exact words of every purpose."""
    from jinqiao.flow.people import consent_texts

    rows = consent_texts()

    def say() -> None:
        for row in rows:
            call.out.say(f"{row['version']}: {row[call.out.both('zh', 'en')]}", "")

    call.out.value({"texts": rows}, say)


def rejects_list(
    call: Call, institution: str = typer.Option("", help="The reports of this institution alone.")
) -> None:
    """List what waits to be mended."""
    from jinqiao.flow.rejected import reject_list

    with call.engine() as engine:
        rows = reject_list(engine, institution_id=institution or None)
    columns = (
        ("reject_id", "id"), ("kind", "kind"), ("source", "source"), ("row", "row"),
        ("field", "field"), ("code", "why"),
    )  # fmt: skip
    call.out.value({"rejects": rows}, lambda: call.out.table(rows, columns))


def rejects_show(call: Call, reject_id: str = typer.Argument(..., help="The refused row.")) -> None:
    """Show a refused row: its body, why it was refused, and what to do."""
    from jinqiao.flow.rejected import reject_show

    with call.engine() as engine:
        row = reject_show(engine, reject_id)

    def say() -> None:
        call.out.pairs({k: v for k, v in row.items() if k != "numbers"})
        call.out.say(row["why"][call.out.language], json.dumps(row["body"], ensure_ascii=False))

    call.out.value(row, say)


def rejects_replay(
    call: Call,
    fixed: Path | None = typer.Option(
        None, help="A JSON file: refused id to the mended row (of a report: the fields to change)."
    ),
) -> None:
    """Try refused rows and reports again, some of them mended."""
    from jinqiao.flow.rejected import replay

    mended = None if fixed is None else _mended(fixed)
    with call.engine() as engine:
        got = replay(engine, mended)

    def say() -> None:
        for what, counts in got.items():
            call.out.say(f"{what}: " + ", ".join(f"{k} {v:,}" for k, v in counts.items()))

    call.out.value(got, say)


def _mended(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SchemaError(f"not a JSON file: {error}", record=str(path)) from error
    if not isinstance(found, dict) or not all(isinstance(v, dict) for v in found.values()):
        raise SchemaError("an object of objects is needed", record=str(path))
    return found


def application_list(
    call: Call,
    customer: str = typer.Option("", help="Of this customer."),
    institution: str = typer.Option("", help="Of this institution."),
    cursor: str = typer.Option("", help="The next page of an earlier list."),
    limit: int = typer.Option(50, min=1, max=1000, help="How many at once."),
) -> None:
    """List a customer's or an institution's applications, newest first."""
    from jinqiao.flow.desk import applications
    from jinqiao.flow.people import find_customer_id

    with call.engine() as engine:
        page = applications(
            engine, customer_id=find_customer_id(engine, customer) if customer else None,
            institution_id=institution or None, cursor=cursor or None, limit=limit,
        )  # fmt: skip

    def say() -> None:
        call.out.table(page["applications"], _APPLICATION)
        if page["next_cursor"]:
            call.out.note(f"--cursor {page['next_cursor']}")

    call.out.value(page, say)


def application_show(
    call: Call, application_id: str = typer.Argument(..., help="The application's id.")
) -> None:
    """Show an application with every report it was folded from and every transfer it caused."""
    from jinqiao.flow.desk import one_application

    with call.engine() as engine:
        row = one_application(engine, application_id)
    out = call.out

    def say() -> None:
        out.pairs(row)
        out.table(
            row["reports"],
            (("occurred_at", "at"), ("stage", "stage"), ("polarity", "what"),
             ("amount_minor", "amount"), ("report_id", "report")),
        )  # fmt: skip
        out.table(
            row["transfers"],
            (("reason", "reason"), ("debit_account", "debit"), ("credit_account", "credit"),
             ("amount_minor", "minor")),
        )  # fmt: skip

    out.value(row, say)
