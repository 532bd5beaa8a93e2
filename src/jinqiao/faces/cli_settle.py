"""settlement, statement, postback."""

from __future__ import annotations

from pathlib import Path

import typer

from jinqiao.errors import InputError, JinqiaoError, Unavailable
from jinqiao.faces.command import Call, nouns
from jinqiao.faces.output import money

__all__ = ["add"]

INSTITUTION = typer.Argument(..., help="The institution's id.")
MONTH = typer.Argument(..., help="The month, as 2026-11.")
CURRENCY = typer.Option("", help="The currency; else the institution's own.")
VERSION = typer.Option(0, "--version", min=0, help="As it was issued under this number.")


def add(app: typer.Typer) -> None:
    """Add the nouns about money owed and reports."""
    nouns(
        app,
        ("settlement", "The daily close and the journal.", {"close": close, "show": show}),
        ("statement", "What an institution owes for a month.",
         {"show": statement_show, "export": export, "issue": issue, "list": statement_list,
          "reconcile": reconcile}),
        ("postback", "Reports of institutions.", {"send": send}),
    )  # fmt: skip


def close(call: Call) -> None:
    """Expire holds that have passed and post what changed; closing twice changes nothing."""
    from jinqiao.domain.messages import sentence
    from jinqiao.flow.books import close_books

    with call.engine() as engine:
        settled = close_books(engine)
    row = {
        "close_number": settled.close_number,
        "transfers": len(settled.transfers),
        "settled": len(settled.settled),
        "exceptions": [
            {"application_id": name, "code": why.code, "numbers": why.numbers}
            for name, why in settled.exceptions
        ],
    }

    def say() -> None:
        call.out.pairs(row)
        for name, why in settled.exceptions:
            call.out.note(f"{name}: {sentence(why, call.out.language)}")

    call.out.value(row, say)


def show(call: Call) -> None:
    """Show the sum of the journal (0) and what each institution owes."""
    from jinqiao.flow.books import journal_state

    with call.engine() as engine:
        state = journal_state(engine)
    rows = [row | {"owed": money(row["owed_minor"], row["currency"])} for row in state["owed"]]

    def say() -> None:
        call.out.table(rows, (("institution_id", "institution"), ("owed", "owed")))
        call.out.say(f"journal_sum_minor  {state['journal_sum_minor']}")

    call.out.value(state, say)


def statement_show(
    call: Call, institution: str = INSTITUTION, month: str = MONTH, currency: str = CURRENCY,
    version: int = VERSION,
) -> None:  # fmt: skip
    """Show a statement: as the journal stands now, or as it was issued."""
    from jinqiao.flow.books import statement_of

    with call.engine() as engine:
        made = statement_of(
            engine, institution, month, currency=currency or None, version=version or None
        )

    def say() -> None:
        rows = [
            {
                "application_id": line.application_id, "product_id": line.product_id,
                "stage": line.stage, "occurred_on": line.occurred_on, "reason": line.reason,
                "amount": money(line.amount_minor, made.currency),
            }
            for line in made.lines
        ]  # fmt: skip
        columns = (
            ("occurred_on", "on"), ("application_id", "application"), ("product_id", "product"),
            ("stage", "stage"), ("reason", "reason"), ("amount", "amount"),
        )  # fmt: skip
        call.out.table(rows, columns)
        call.out.say(f"{made.statement_id}  {money(made.total_minor, made.currency)}")

    call.out.value(made, say)


def export(
    call: Call, institution: str = INSTITUTION, month: str = MONTH, currency: str = CURRENCY,
    version: int = VERSION,
    to: Path | None = typer.Option(None, "--to", help="Write to this file; else to stdout."),
) -> None:  # fmt: skip
    """Export a statement as CSV."""
    from jinqiao.flow.books import statement_of, statement_text

    with call.engine() as engine:
        made = statement_of(
            engine, institution, month, currency=currency or None, version=version or None
        )
    text = statement_text(made)
    row = {"statement_id": made.statement_id, "lines": len(made.lines), "file": to,
           "total_minor": made.total_minor, "currency": made.currency}  # fmt: skip
    if to is None:
        call.out.value(row | {"csv": text}, lambda: call.out.write(text))
        return
    to.write_text(text, encoding="utf-8", newline="")
    call.out.value(row, lambda: call.out.say(str(to)))


def issue(
    call: Call, institution: str = INSTITUTION, month: str = MONTH, currency: str = CURRENCY
) -> None:
    """Issue a statement: from now on this version never changes."""
    from jinqiao.flow.books import statement_of

    with call.engine() as engine:
        made = statement_of(engine, institution, month, currency=currency or None, issue=True)
    row = {"statement_id": made.statement_id, "version": made.version, "month": made.month,
           "total_minor": made.total_minor, "currency": made.currency,
           "digest": made.digest}  # fmt: skip
    call.out.value(row, lambda: call.out.pairs(row))


def statement_list(call: Call, institution: str = INSTITUTION) -> None:
    """List the statements issued to an institution."""
    from jinqiao.flow.books import statements_issued

    with call.engine() as engine:
        rows = statements_issued(engine, institution)
    columns = (
        ("month", "month"), ("version", "version"), ("total_minor", "minor"),
        ("currency", "currency"), ("issued_at", "issued"),
    )  # fmt: skip
    call.out.value({"statements": rows}, lambda: call.out.table(rows, columns))


def reconcile(
    call: Call, institution: str = INSTITUTION, month: str = MONTH,
    theirs: Path = typer.Argument(..., help="Their own list: CSV or Parquet."),
    currency: str = CURRENCY,
) -> int:  # fmt: skip
    """Compare a statement with an institution's own list, to the cent; 8 when they differ."""
    from jinqiao.domain.messages import render, sentence
    from jinqiao.errors import StatementMismatch
    from jinqiao.faces.status import STATUS
    from jinqiao.flow.books import reconcile_statement

    with call.engine() as engine:
        found = reconcile_statement(engine, institution, month, theirs, currency=currency or None)
    out = call.out

    def say() -> None:
        for one in found.differences:
            numbers = {
                "application_id": one.application_id, "ours_minor": one.ours_minor,
                "theirs_minor": one.theirs_minor, "currency": found.currency,
                "month": one.month or "", "rows": ", ".join(map(str, one.row_numbers)),
            }  # fmt: skip
            out.say(render(f"reconcile_{one.kind}", out.language, numbers))
        for bad in found.bad_rows:
            out.say(f"row {bad.row_number}: {sentence(bad.reason, out.language)}")
        out.say(
            f"{found.matched} = , {len(found.differences)} ≠ ; "
            f"{money(found.ours_minor, found.currency)} / "
            f"{money(found.theirs_minor, found.currency)}"
        )

    out.value(found, say)
    return 0 if found.agrees else STATUS[StatementMismatch].exit_code


def send(
    call: Call,
    file: Path = typer.Argument(..., help='A JSON file: one report, or {"reports": [...]}.'),
    url: str = typer.Option("http://127.0.0.1:8765", help="The server."),
    institution: str = typer.Option(..., help="Whose reports they are."),
    secret: str = typer.Option(..., envvar="JINQIAO_WEBHOOK_SECRET", help="whsec_…"),
) -> int:
    """Sign a file by Standard Webhooks and post it to a server, to test an integration."""
    import json
    import urllib.error
    import urllib.request

    from jinqiao.flow.keys import signed_headers

    try:
        body = file.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", record=str(file)) from error
    if not url.startswith(("http://", "https://")):
        raise InputError("not an http address", record=url, field="url")
    headers = signed_headers(secret, body) | {
        "content-type": "application/json", "jinqiao-institution": institution,
    }  # fmt: skip
    request = urllib.request.Request(  # noqa: S310  (checked above)
        url.rstrip("/") + "/v1/postbacks", body, headers, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            got = json.loads(answer.read())
    except urllib.error.HTTPError as error:
        raise _refused(error.code, error.read()) from None
    except (OSError, ValueError) as error:
        raise Unavailable(f"no answer: {error}", record=url) from error
    call.out.value(got, lambda: call.out.pairs(got))
    return 0


def _refused(status: int, body: bytes) -> JinqiaoError:
    import json

    try:
        said = json.loads(body)
        return InputError(
            f"{status}: {said['detail']}", field=said.get("field"), fix=said.get("fix")
        )
    except (ValueError, KeyError, TypeError):
        return Unavailable(f"the server answered {status}")
