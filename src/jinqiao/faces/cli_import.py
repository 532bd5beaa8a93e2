"""import: bulk files in, each row accepted, known already, or refused and kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from jinqiao.faces.command import Call, command, group

__all__ = ["add"]

FILE = typer.Argument(..., help="An NDJSON, CSV or Parquet file.")


def add(app: typer.Typer) -> None:
    """Add the ``import`` commands."""
    noun = group(
        "import", "Bulk files: events, transactions, attributes, bills, consents, reports."
    )
    for name, work in (
        ("events", events), ("behaviour", behaviour), ("transactions", transactions),
        ("attributes", attributes), ("bill", bill), ("consents", consents),
        ("postbacks", postbacks), ("berka", berka), ("bank-marketing", bank_marketing),
    ):  # fmt: skip
        command(noun, name)(work)
    app.add_typer(noun)


def events(call: Call, file: Path = FILE) -> int:
    """Take in Segment-style messages (NDJSON), or CloudEvents around them."""
    return _file(call, file, "messages")


def behaviour(call: Call, file: Path = FILE) -> int:
    """Take in a table of behaviour events."""
    return _file(call, file, "behaviour")


def transactions(call: Call, file: Path = FILE) -> int:
    """Take in a table of ledger transactions."""
    return _file(call, file, "transactions")


def attributes(call: Call, file: Path = FILE) -> int:
    """Take in a table of attributes (birth_year, city_tier, occupation, kind …)."""
    return _file(call, file, "attributes")


def bill(
    call: Call,
    file: Path = typer.Argument(..., help="A bill as the bank or wallet exported it."),
    user: str = typer.Option(..., "--user", help="Whose bill it is: the operator's own login."),
    account: str = typer.Option("", "--account", help="The account; else what the bill says."),
    zone: str = typer.Option("", "--zone", help="Where its days are days; else the market's."),
    currency: str = typer.Option("", "--currency", help="Of a QIF file; else the market's."),
    day_first: bool | None = typer.Option(
        None, "--day-first/--month-first", help="How a QIF file writes dates; else told from it."
    ),
) -> int:
    """Take in a bill: Alipay, WeChat, JD, Meituan, nine banks, OFX, QIF, camt, MT940."""
    from jinqiao.flow.bulk import import_bill

    hints = {"zone": zone, "currency": currency, "day_first": day_first}
    with call.engine() as engine:
        got = import_bill(engine, file, user_id=user, account_id=account, hints=hints)
    return _say(call, got)


def consents(call: Call, file: Path = FILE) -> int:
    """Take in grants and withdrawals: user_id, purpose, action, occurred_at …"""
    from jinqiao.flow.bulk import import_consents

    with call.engine() as engine:
        got = import_consents(engine, file)
    return _say(call, got)


def postbacks(call: Call, file: Path = FILE) -> int:
    """Take in institutions' reports: report_id, institution_id, click_id, stage, occurred_at …"""
    from jinqiao.flow.bulk import import_reports

    with call.engine() as engine:
        got = import_reports(engine, file)
    return _say(call, got)


def berka(
    call: Call,
    folder: Path = typer.Argument(..., help="The folder of the .asc files or Parquet tables."),
    seed: int = typer.Option(1, help="The seed of folds and models."),
) -> None:
    """Run the loop on real bank data: Berka's ledger to one customer's shelf.

    In a workspace whose money is CZK, or in berka/ made in the one found, or here.
    """
    import importlib

    bank = importlib.import_module("jinqiao.flow.banks.berka")
    with call.out.progress() as progress:
        figures = bank.run(call.workspace, folder, progress=progress, seed=seed)
    _figures(call, figures)


def bank_marketing(
    call: Call,
    file: Path = typer.Argument(..., help="bank-additional-full, CSV or Parquet."),
    seed: int = typer.Option(1, help="The seed of the models."),
) -> None:
    """Forecast term deposits on the public bank-marketing data, out of time."""
    import importlib

    bank = importlib.import_module("jinqiao.flow.banks.bank_marketing")
    with call.out.progress() as progress:
        figures = bank.run(file, progress=progress, seed=seed)
    _figures(call, figures)


def _figures(call: Call, figures: dict[str, Any]) -> None:
    """Print figures a line each, and a shelf where there is one."""
    out = call.out

    def say() -> None:
        out.pairs(figures)
        for name, value in figures.items():
            if isinstance(value, list | tuple) and len(value) == 2:
                out.say(f"{name}  {value[0]:.4f} – {value[1]:.4f}")
        shelf = figures.get("shelf")
        if shelf:
            _say_shelf(call, shelf)

    out.value(figures, say)


def _say_shelf(call: Call, shelf: dict[str, Any]) -> None:
    out = call.out
    out.say("", f"{shelf['customer_id']}  ({shelf['as_of']})")
    for offer in shelf["offers"]:
        name = offer.get("name", offer["product_id"])
        shown = name.get(out.language) if isinstance(name, dict) else name
        out.say(f"  {offer['position']}. {shown}")
        for reason in offer["reasons"]:
            said = reason.get(out.language) if isinstance(reason, dict) else reason
            out.say(f"     {said}")
    note = shelf.get("note")
    if note:
        out.say(note[out.language])


def _file(call: Call, file: Path, kind: str) -> int:
    from jinqiao.flow.intake import receive_file

    with call.engine() as engine, call.out.progress() as progress:
        progress(file.name, 0.0)
        got = receive_file(engine, file, kind)
        progress(file.name, 1.0)
    faults = [
        {"row": f.row, "field": f.field, "code": f.code, "record": f.record, "numbers": f.numbers}
        for f in got.faults
    ]
    return _say(
        call,
        {
            "received": got.received, "accepted": got.accepted, "rejected": got.rejected,
            "duplicate": got.duplicate, "repeated": got.repeated, "faults": faults,
        },
    )  # fmt: skip


def _say(call: Call, got: dict[str, Any]) -> int:
    """Print the counts and the first refused rows; a refused row is no failure of the command."""
    out = call.out

    def say() -> None:
        if got.get("repeated"):
            out.say(
                out.both(
                    "此文件先前已收过，未作任何改动；首次的结果：",
                    "this very file was taken in before, and nothing was changed now; "
                    "what it was told then:",
                )
            )
        out.say(
            out.both(
                "收到 {received:,} 行：接受 {accepted:,}，重复 {duplicate:,}，拒收 {rejected:,}",
                "{received:,} rows: {accepted:,} accepted, {duplicate:,} known already, "
                "{rejected:,} refused",
            ).format(**got)
        )
        for fault in got.get("faults", ())[:10]:
            out.note(f"  {_row(fault)}: {_why(fault, out.language)}")
        for balance in got.get("balances", ()):
            if balance["agrees"] is False:
                out.note(f"  {_balance(balance, out.language)}")
        if got["rejected"]:
            out.note(out.both("见 jinqiao rejects list", "see jinqiao rejects list"))

    out.value(got, say)
    return 0


def _balance(balance: dict[str, Any], language: str) -> str:
    from jinqiao.domain.messages import render

    numbers = {"difference": balance["difference_minor"], "currency": balance["currency"]}
    said = render("ledger_balance_differs", language, numbers)
    return f"{said} {render('ledger_balance_differs_fix', language)}"


def _row(fault: dict[str, Any]) -> str:
    place = f"row {fault['row']}" if fault.get("row") else str(fault.get("record", ""))
    return f"{place}: {fault['field']}" if fault.get("field") else place


def _why(fault: dict[str, Any], language: str) -> str:
    from jinqiao.domain.messages import codes, render

    known = codes()
    said = [
        render(code, language, fault.get("numbers") or {})
        for code in (fault["code"], f"{fault['code']}_fix")
        if code in known
    ]
    return " ".join(said) or str(fault["code"])
