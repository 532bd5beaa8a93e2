"""A bill's bytes as rows of texts, and texts as money and instants. Nothing is guessed silently.

A row knows the line of the file (or sheet) it stands on. A stray quote cannot swallow rows: a
record that spans lines and does not have the header's width is read line by line.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO
from zoneinfo import ZoneInfo

from jinqiao.domain.money import CURRENCIES, Money
from jinqiao.domain.time import to_us
from jinqiao.errors import InputError, SchemaError

__all__ = ["Line", "amount_minor", "bare", "currency_code", "instant_us", "read_lines", "rejoined"]

FILE_BYTES = 64 * 1024 * 1024
_DASHES = re.compile(r"^[-—–\s/*]*$")
_NUMBER = re.compile(r"^[+-]?\d+(\.\d+)?$")
_CURRENCIES = {
    "人民币": "CNY", "人民币元": "CNY", "rmb": "CNY", "￥": "CNY", "¥": "CNY", "美元": "USD",
    "欧元": "EUR", "港币": "HKD", "港元": "HKD", "日元": "JPY", "英镑": "GBP",
}  # fmt: skip
_FORMS = (
    "%Y-%m-%d %H:%M:%S", "%Y/%m/%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y/%m/%d %H:%M",
    "%Y%m%d %H:%M:%S", "%Y%m%d %H%M%S", "%Y-%m-%d", "%Y/%m/%d", "%Y%m%d",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a bill: where it stands (from 1), its cells without blanks around, its text."""

    number: int
    cells: tuple[str, ...]
    text: str = ""


def read_lines(data: bytes, name: str) -> list[Line]:
    """Return the rows of a CSV (UTF-8, UTF-16 or GB18030) or XLS/XLSX file.

    Raises SchemaError for a file that is too large or a damaged workbook.
    """
    if len(data) > FILE_BYTES:
        raise SchemaError(f"the file has {len(data)} bytes", record=name, fix="split it")
    if data[:8] == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" or data[:4] == b"PK\x03\x04":
        return _sheet(data, name)
    text = _decoded(data)
    rows = re.split(r"\r\n|\r|\n", text)
    return [Line(n, _cells(row), row) for n, row in enumerate(rows, 1)]


def rejoined(lines: Sequence[Line], width: int) -> Iterator[Line]:
    """Yield lines, joining those of one quoted record when together they have the width."""
    at = 0
    while at < len(lines):
        line = lines[at]
        joined = _joined(lines, at, width) if line.text.count('"') % 2 else None
        if joined is None:
            yield line
            at += 1
        else:
            yield joined[0]
            at = joined[1]


def bare(text: str) -> str:
    """Return a cell's text, or "" when it only says that there is none (``/``, ``--``)."""
    return "" if _DASHES.match(text) else text


def amount_minor(text: str, currency: str) -> int:
    """Return the whole minor units a text like ``¥1,234.50`` or ``CNY13.50`` says.

    What follows in brackets (a refund, a country) is a remark. Raises InputError otherwise.
    """
    plain = re.sub(r"[(（].*$", "", text).replace(",", "").replace("，", "")
    plain = re.sub(r"^([A-Z]{3}|[¥￥$])\s*", "", plain.strip())
    plain = re.sub(r"^([+-])\s*[¥￥$]?\s*", r"\1", plain)
    if not _NUMBER.match(plain):
        raise InputError("not an amount")
    return Money.parse(plain, currency).amount_minor


def currency_code(text: str) -> str:
    """Return the ISO 4217 code a text names ("" is CNY); raise InputError for an unknown one."""
    name = text.strip().lower()
    if not name:
        return "CNY"
    code = _CURRENCIES.get(name, name.upper()[:3])
    if code not in CURRENCIES:
        raise InputError("not a currency we know")
    return code


def instant_us(text: str, zone: ZoneInfo) -> int:
    """Return the instant of a local date, or date and time; raise InputError otherwise."""
    plain = " ".join(text.split())
    for form in _FORMS:
        try:
            at = datetime.strptime(plain, form)  # noqa: DTZ007
        except ValueError:
            continue
        if not 1970 < at.year < 2100:
            break
        return to_us(at.replace(tzinfo=zone))
    raise InputError("not a date")


def _decoded(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("gb18030", "replace")


def _cells(row: str) -> tuple[str, ...]:
    try:
        cells = next(csv.reader([row.replace("\0", "")]), [])
    except csv.Error:
        cells = row.split(",")
    return tuple(cell.strip() for cell in cells)


def _joined(lines: Sequence[Line], start: int, width: int) -> tuple[Line, int] | None:
    text = lines[start].text
    for end in range(start + 1, min(start + 20, len(lines))):
        text += "\n" + lines[end].text
        if text.count('"') % 2 == 0:
            cells = tuple(c.strip() for c in _record(text))
            fits = len(cells) == width
            return (Line(lines[start].number, cells, text), end + 1) if fits else None
    return None


def _record(text: str) -> list[str]:
    try:
        records = list(csv.reader(text.splitlines(keepends=True)))
    except csv.Error:
        return []
    return records[0] if len(records) == 1 else []


def _sheet(data: bytes, name: str) -> list[Line]:
    from python_calamine import CalamineError, CalamineWorkbook

    lines: list[Line] = []
    try:
        book = CalamineWorkbook.from_filelike(BytesIO(data))
        for sheet in book.sheet_names:
            rows = book.get_sheet_by_name(sheet).to_python(skip_empty_area=False)
            start = len(lines)
            for number, row in enumerate(rows, start + 1):
                cells = tuple(_cell_text(cell) for cell in row)
                lines.append(Line(number, cells, ",".join(cells)))
    except (CalamineError, ValueError, OSError) as error:
        raise SchemaError(f"the workbook cannot be read: {error}", record=name) from error
    return lines


def _cell_text(cell: object) -> str:
    if isinstance(cell, bool):
        return str(cell)
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime):
        return cell.isoformat(sep=" ")
    if isinstance(cell, timedelta):
        return str(cell)
    return str(cell).strip()
