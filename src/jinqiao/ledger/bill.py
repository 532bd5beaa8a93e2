"""A bill read whole: every row is a transaction or a fault, and the counts say so."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from jinqiao.domain.ids import keyed_id
from jinqiao.domain.row_fault import RowFault
from jinqiao.domain.tables import RAW_TRANSACTIONS, TableSchema
from jinqiao.engines import tables
from jinqiao.errors import InputError, NotFound, SchemaError
from jinqiao.ledger.categories import categorise
from jinqiao.ledger.cells import Line, amount_minor, bare, instant_us, read_lines, rejoined
from jinqiao.ledger.formats import FORMATS, Entry, Format, Source
from jinqiao.ledger.postings import BillHints, StatementBalance, balance_of, posting_rows
from jinqiao.ledger.standards import STANDARDS, Standard, read_standard, told_standard

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["BILL_ROWS", "VIA", "Bill", "read_bill"]

BILL_ROWS = TableSchema(
    "bill_rows",
    tuple(column for column in RAW_TRANSACTIONS.columns if column.name != "user_id"),
    RAW_TRANSACTIONS.key,
)
"""RAW_TRANSACTIONS before anybody owns the rows."""

VIA = "付款方式："
"""Stands before the account a wallet payment drew on, at the end of its memo."""

_CHINA = ZoneInfo("Asia/Shanghai")
_HEADER_WITHIN = 80
_MEMO = 1_000
_FOOTER = re.compile(r"^(合计|总计|小计|人民币合计|美元合计|以上数据|注[:：]|说明[:：]|共\d+)")
_MASKED = re.compile(r"[xyz*]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Bill:
    """A bill's rows (BILL_ROWS) and faults; ``read`` = transactions + faults, always.

    ``notes`` counts the lines that are no rows: above the header, blank, or totals below.
    ``balances`` says of each statement in it whether opening balance + rows = closing balance;
    empty where the format states neither.
    """

    kind: str
    rows: pa.Table
    faults: tuple[RowFault, ...]
    read: int
    notes: int
    balances: tuple[StatementBalance, ...] = ()

    def of(self, user_id: str, digest: Callable[[str], str]) -> pa.Table:
        """Return RAW_TRANSACTIONS rows of one customer; ids are the customer's own.

        ``digest`` is keyed, so that neither a transaction nor an account id leads to the customer.
        """
        import pyarrow as pa

        owner = digest(f"bill owner {user_id}")
        renamed = {
            name: pa.array(
                [keyed_id(prefix, owner, one) for one in self.rows[name].to_pylist()], pa.string()
            )
            for name, prefix in (("transaction_id", "txn"), ("account_id", "acc"))
        }
        renamed["user_id"] = pa.array([user_id] * self.rows.num_rows, pa.string())
        columns = [
            renamed[name] if name in renamed else self.rows.column(name)
            for name in RAW_TRANSACTIONS.names
        ]
        return pa.Table.from_arrays(columns, schema=tables.arrow_schema(RAW_TRANSACTIONS))


def read_bill(
    source: Path | bytes,
    *,
    digest: Callable[[str], str],
    kind: str | None = None,
    name: str = "",
    hints: BillHints | None = None,
) -> Bill:
    """Return a wallet's or bank's bill read whole, rows categorised, in the file's order.

    Parameters
    ----------
    source : the file, or its bytes (CSV in UTF-8, UTF-16 or GB18030; XLS or XLSX; OFX, QIF, camt,
        MT940 of at most 64 MiB).
    digest : keyed digest of a counterparty's name; the name itself stays in the memo only.
    kind : one of the kinds of ``FORMATS`` or ``STANDARDS``; told from the content when absent.
    name : what to call the bytes in faults.
    hints : what OFX, QIF, camt and MT940 may leave out.

    Raises
    ------
    NotFound for no file, SchemaError when no known header is found or the file is damaged; a row
    that cannot be read is a fault of the bill, not an error.
    """
    data, name = _data(source, name)
    standard = told_standard(data, kind)
    if standard is not None:
        return _standard_bill(standard, data, (hints or BillHints(), name), digest)
    lines = read_lines(data, name)
    format_, at = _told(lines, kind, name)
    header = [_plain(cell) for cell in lines[at].cells]
    above = _above(lines[:at])
    notes = at + 1
    entries: list[tuple[Line, Entry, int, int | None]] = []
    faults: list[RowFault] = []
    for line in rejoined(lines[at + 1 :], len(header)):
        if not any(bare(cell) for cell in line.cells) or _FOOTER.match(line.cells[0]):
            notes += 1
            continue
        entry = _entry(line, header, (format_, above), name)
        if isinstance(entry, RowFault):
            faults.append(entry)
        else:
            entries.append(entry)
    rows = _rows(entries, format_, digest)
    return Bill(format_.kind, categorise(rows), tuple(faults), len(entries) + len(faults), notes)


def _standard_bill(
    standard: Standard, data: bytes, how: tuple[BillHints, str], digest: Callable[[str], str]
) -> Bill:
    import pyarrow as pa

    hints, name = how
    statements = read_standard(standard, data, hints, name)
    found = posting_rows(statements, hints.zone, digest)
    rows = pa.Table.from_pylist(found, schema=tables.arrow_schema(BILL_ROWS))
    faults = tuple(fault for one in statements for fault in one.faults)
    balances = [balance_of(one) for one in statements]
    stated = tuple(b for b in balances if (b.opening_minor, b.closing_minor) != (None, None))
    notes = sum(one.notes for one in statements)
    read = len(found) + len(faults)
    return Bill(standard.kind, categorise(rows), faults, read, notes, stated)


def _data(source: Path | bytes, name: str) -> tuple[bytes, str]:
    if isinstance(source, bytes):
        return source, name or "bill"
    try:
        return source.read_bytes(), name or str(source)
    except OSError as error:
        raise NotFound(f"the bill cannot be opened: {error}", record=str(source)) from error


def _plain(cell: str) -> str:
    return re.sub(r"[\s\u3000\ufeff]+", "", cell)


def _told(lines: Sequence[Line], kind: str | None, name: str) -> tuple[Format, int]:
    """Return the format and the header's place: the line that has every column of one format."""
    formats = [f for f in FORMATS if kind is None or f.kind == kind]
    if not formats:
        known = ", ".join([f.kind for f in FORMATS] + [s.kind for s in STANDARDS])
        raise InputError(f"no kind of bill {kind!r}", field="kind", fix=f"use one of {known}")
    for at, line in enumerate(lines[:_HEADER_WITHIN]):
        cells = {_plain(cell) for cell in line.cells}
        for format_ in formats:
            if format_.header <= cells:
                return format_, at
    raise SchemaError(
        "no line is the header of a bill we know",
        record=name,
        fix="hand in the file as it was exported; known: "
        + ", ".join([*(f.kind for f in formats), *(s.kind for s in STANDARDS)]),
    )


def _above(lines: Sequence[Line]) -> Source:
    text = " ".join(cell for line in lines for cell in line.cells)
    account = re.search(r"[账卡][\s\u3000]*号[:：\s]*[\d*x]*?(\d{4})(?![\d*])", text)
    month = re.search(r"(20\d\d)\s*年\s*(\d{1,2})\s*月", text)
    return Source(
        tail=account[1] if account else "",
        month=(int(month[1]), int(month[2])) if month else None,
    )


def _entry(
    line: Line, header: Sequence[str], how: tuple[Format, Source], name: str
) -> tuple[Line, Entry, int, int | None] | RowFault:
    """Return (line, entry, instant, balance) of a row, or its fault."""
    format_, above = how
    cells = [*line.cells, *([""] * (len(header) - len(line.cells)))]
    if any(bare(cell) for cell in cells[len(header) :]):
        return RowFault(line.number, "row", "ledger_wrong_width", {"columns": len(header)}, name)
    row = dict(zip(header, cells, strict=False))
    if "\ufffd" in line.text:
        return RowFault(line.number, "row", "ledger_not_text", {}, name)
    try:
        entry = format_.read(row, above)
    except SchemaError as error:
        return RowFault(line.number, error.field or "row", error.message, {}, name)
    try:
        at_us = instant_us(entry.at, _CHINA)
    except InputError:
        return RowFault(line.number, format_.date, "ledger_bad_date", {}, name)
    if abs(entry.amount_minor) > 10**15:
        return RowFault(line.number, "row", "ledger_bad_amount", {}, name)
    try:
        balance = _balance(entry)
    except InputError:
        return RowFault(line.number, "余额", "ledger_bad_balance", {}, name)
    return line, entry, at_us, balance


def _balance(entry: Entry) -> int | None:
    """Return the balance after the row, None where the bank leaves it out or masks it."""
    text = bare(entry.balance)
    if not text or _MASKED.search(text):
        return None
    return amount_minor(text, entry.currency)


def _rows(
    entries: Sequence[tuple[Line, Entry, int, int | None]],
    format_: Format,
    digest: Callable[[str], str],
) -> pa.Table:
    import pyarrow as pa

    seen: Counter[str] = Counter()
    rows: list[dict[str, Any]] = []
    for _, entry, at_us, balance in entries:
        account = f"{format_.kind}:{entry.tail}:{entry.currency}"
        memo = _memo(entry)
        base = keyed_id("txn", account, at_us, entry.amount_minor, balance, entry.order, memo)
        seen[base] += 1
        name = bare(entry.counterparty)
        rows.append(
            {
                "transaction_id": keyed_id("txn", base, seen[base]),
                "account_id": account,
                "occurred_at": at_us,
                "received_at": None,
                "amount_minor": entry.amount_minor,
                "currency": entry.currency,
                "balance_minor": balance,
                "category": entry.category or _unsorted(entry.amount_minor),
                "instrument": format_.instrument,
                "counterparty_key": digest(name) if name else None,
                "memo": memo,
            }
        )
    schema = tables.arrow_schema(BILL_ROWS)
    return pa.Table.from_pylist(rows, schema=schema)


def _unsorted(amount: int) -> str:
    return "other_in" if amount > 0 else "other_out"


def _memo(entry: Entry) -> str | None:
    parts = [bare(part) for part in entry.memo]
    text = " · ".join(dict.fromkeys(part for part in parts if part))
    via = bare(entry.via)
    room = _MEMO - len(VIA) - len(via) - 3
    text = text[: max(room, 0)] if via else text[:_MEMO]
    return f"{text} · {VIA}{via}" if via else text or None
