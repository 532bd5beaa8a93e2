"""Monthly statements: every transfer of an institution's month, version by version.

A month's lines are the transfers whose paid event fell in it (a clawback: whose reversal or default
did), by the institution's clock. A version, once issued, never changes. When a correction to an old
month is posted later, the next version repeats the earlier lines and adds the lines of difference;
what is still to be paid is the new total less the total of the version before.
"""

from __future__ import annotations

import csv
import hashlib
import io
from typing import Any

from jinqiao.domain.ids import ApplicationId, InstitutionId, ProductId, keyed_id
from jinqiao.domain.journal import Statement, StatementLine
from jinqiao.domain.money import CURRENCIES
from jinqiao.domain.time import local_date
from jinqiao.errors import InputError, NotFound
from jinqiao.store.base import Row, Tx

__all__ = ["CSV_COLUMNS", "issue", "statement", "statement_csv", "statements_of"]

CSV_COLUMNS = (
    "statement_id", "institution_id", "month", "version", "line", "application_id", "product_id",
    "product_version", "stage", "occurred_on", "reason", "amount", "amount_minor", "currency",
)  # fmt: skip


def statement(
    tx: Tx,
    institution_id: str,
    month: str,
    *,
    currency: str = "CNY",
    version: int | None = None,
) -> Statement:
    """Return an institution's statement of a month (``2026-11``) in one currency.

    Without ``version``: as the journal stands now, under the number it was or would be issued by.
    With one: exactly as it was issued. Raises NotFound for a version that was not issued.
    """
    _check_month(month)
    issued = _issued(tx, institution_id, month, currency)
    if version is None:
        made = _made(tx, institution_id, month, currency)
        number = len(issued) + 1
        if issued and issued[-1]["digest"] == made.digest:
            number = len(issued)
        return _numbered(made, number)
    if not 1 <= version <= len(issued):
        raise NotFound(
            f"no version {version} was issued", record=f"{institution_id} {month}", field="version"
        )
    row = issued[version - 1]
    made = _made(tx, institution_id, month, currency, last_close=row["last_close"])
    return _numbered(made, version)


def issue(
    tx: Tx,
    institution_id: str,
    month: str,
    *,
    now_us: int,
    currency: str = "CNY",
) -> Statement:
    """Return the statement as it stands, issued: from now on this version never changes.

    Issuing again with nothing new returns the version that was issued.
    """
    made = statement(tx, institution_id, month, currency=currency)
    last = tx.find("closes", order_by=("-close_number",), limit=1)
    row = {
        "statement_id": made.statement_id,
        "institution_id": institution_id,
        "month": month,
        "currency": currency,
        "version": made.version,
        "total_minor": made.total_minor,
        "digest": made.digest,
        "last_close": last[0]["close_number"] if last else 0,
        "issued_at": now_us,
    }
    tx.insert_new("statements", [row])
    return made


def statements_of(tx: Tx, institution_id: str) -> list[dict[str, Any]]:
    """Return what was issued to an institution, newest month first: ids, totals, digests."""
    return tx.find(
        "statements", {"institution_id": institution_id}, order_by=("-month", "currency", "version")
    )


def statement_csv(made: Statement) -> str:
    """Return a statement as CSV text (one line a transfer; amounts decimal and in minor units)."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(CSV_COLUMNS)
    head = (made.statement_id, made.institution_id, made.month, made.version)
    for number, line in enumerate(made.lines, start=1):
        writer.writerow(
            (
                *head, number, line.application_id, line.product_id, line.product_version,
                line.stage, line.occurred_on.isoformat(), line.reason,
                _decimal(line.amount_minor, made.currency), line.amount_minor, made.currency,
            )
        )  # fmt: skip
    return out.getvalue()


def _made(
    tx: Tx,
    institution_id: str,
    month: str,
    currency: str,
    last_close: int | None = None,
) -> Statement:
    where = {"institution_id": institution_id, "month": month, "currency": currency}
    below = None if last_close is None else {"close_number": last_close + 1}
    rows = tx.find("transfers", where, below=below)
    lines = tuple(_line(row) for row in sorted(rows, key=_line_order))
    total = sum(line.amount_minor for line in lines)
    digest = _digest(institution_id, month, currency, lines)
    return Statement("", InstitutionId(institution_id), month, 0, currency, lines, total, digest)


def _numbered(made: Statement, version: int) -> Statement:
    name = keyed_id("stm", made.institution_id, made.month, made.currency, version)
    return Statement(
        name, made.institution_id, made.month, version, made.currency, made.lines,
        made.total_minor, made.digest,
    )  # fmt: skip


def _line(row: Row) -> StatementLine:
    owed = row["debit_account"].startswith("institution:")
    return StatementLine(
        ApplicationId(row["application_id"]),
        ProductId(row["product_id"]),
        row["product_version"],
        row["stage"],
        local_date(row["occurred_at"], row["zone"]),
        row["reason"],
        row["amount_minor"] if owed else -row["amount_minor"],
    )


def _line_order(row: Row) -> tuple[int, str, str]:
    return row["occurred_at"], row["application_id"], row["transfer_id"]


def _digest(
    institution_id: str, month: str, currency: str, lines: tuple[StatementLine, ...]
) -> str:
    digest = hashlib.sha256(f"{institution_id}\x1f{month}\x1f{currency}\n".encode())
    for line in lines:
        parts = (
            line.application_id, line.product_id, line.product_version, line.stage,
            line.occurred_on.isoformat(), line.reason, line.amount_minor,
        )  # fmt: skip
        digest.update(("\x1f".join(map(str, parts)) + "\n").encode())
    return digest.hexdigest()


def _issued(tx: Tx, institution_id: str, month: str, currency: str) -> list[dict[str, Any]]:
    where = {"institution_id": institution_id, "month": month, "currency": currency}
    return tx.find("statements", where, order_by=("version",))


def _check_month(month: str) -> None:
    year, _, number = month.partition("-")
    if not (len(month) == 7 and year.isdigit() and number.isdigit() and 1 <= int(number) <= 12):
        raise InputError(f"{month!r} is not a month", field="month", fix="write it as 2026-11")


def _decimal(amount_minor: int, currency: str) -> str:
    digits = CURRENCIES[currency]
    sign, whole = "-" if amount_minor < 0 else "", abs(amount_minor)
    if digits == 0:
        return f"{sign}{whole}"
    return f"{sign}{whole // 10**digits}.{whole % 10**digits:0{digits}d}"
