"""camt.052, 053 and 054 (ISO 20022) in any version: reports, statements, notifications.

The XML is read by the standard library's parser behind defusedxml, which refuses a document type,
entities and anything from outside. The few elements of a statement are found by name whatever the
version of their namespace; see docs/decisions for why no camt library is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from jinqiao.domain.row_fault import RowFault
from jinqiao.domain.time import local_date
from jinqiao.errors import SchemaError
from jinqiao.ledger.encoding import xml_text
from jinqiao.ledger.postings import (
    BillHints,
    Posting,
    Statement,
    day_us,
    known_currency,
    minor,
    row_fault,
    us_of,
)

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["is_camt", "read_camt"]

_MARK = re.compile(
    rb"iso:20022:tech:xsd:camt\.05[234]|<(?:\w+:)?BkToCstmr(?:Stmt|AcctRpt|DbtCdtNtfctn)\b"
)
_STATEMENTS = frozenset({"Stmt", "Rpt", "Ntfctn"})
_OPENING = ("OPBD", "PRCD")
_DAY = re.compile(r"^(\d{4}-\d{2}-\d{2})(Z|[+-]\d{2}:\d{2})?$", re.ASCII)
_SIGNS = {"CRDT": 1, "DBIT": -1}
_KINDS = {"SALA": "salary", "PENS": "pension", "INTR": "interest_income", "TAXS": "tax"}
_REVERSED = "冲正"


def is_camt(data: bytes) -> bool:
    """Return whether bytes begin like a camt.052, 053 or 054 message."""
    return bool(_MARK.search(data[:8192]))


def read_camt(data: bytes, hints: BillHints, name: str) -> list[Statement]:
    """Return the statements of a camt message; a row's number is its place among the rows.

    Memory is that of one entry and of the postings: an entry is let go when it is read. Raises
    SchemaError for XML that is not well-formed, or that has a document type or entities.
    """
    reading = _Reading(hints, name)
    for element, path in _ends(xml_text(data, name).encode(), name):
        reading.take(element, path)
    return reading.statements


def _ends(data: bytes, name: str) -> Iterator[tuple[Element, tuple[str, ...]]]:
    """Yield each element when it ends, with the names above it."""
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError, iterparse

    path: list[str] = []
    try:
        for event, element in iterparse(BytesIO(data), ("start", "end"), forbid_dtd=True):
            if event == "start":
                element.tag = element.tag.rpartition("}")[2]
                path.append(element.tag)
                if len(path) > 64:
                    raise SchemaError("the XML is nested too deep", record=name)
            else:
                path.pop()
                yield element, tuple(path)
    except DefusedXmlException as error:
        raise SchemaError(
            "the XML declares a document type or entities", record=name,
            fix="a statement needs none; export it again",
        ) from error  # fmt: skip
    except (ParseError, ValueError) as error:
        where = getattr(error, "position", None)
        raise SchemaError(
            "the XML is not well-formed" + (f" at line {where[0]}" if where else ""),
            record=name, fix="export the bill again; it may be cut off",
        ) from error  # fmt: skip


class _Reading:
    """Statements as their elements end."""

    def __init__(self, hints: BillHints, name: str) -> None:
        self.hints = hints
        self.name = name
        self.rows = 0
        self.statements: list[Statement] = []
        self.current = Statement("", "")

    def take(self, element: Element, path: tuple[str, ...]) -> None:
        """Take what an element says, then let it go."""
        above, within = ("", "", *path)[-2:]
        if element.tag in _STATEMENTS and within.startswith("BkToCstmr"):
            self._close()
        elif within not in _STATEMENTS or not above.startswith("BkToCstmr"):
            return
        elif element.tag == "Acct":
            self._account(element)
        elif element.tag == "Bal":
            self._balance(element)
        elif element.tag == "Ntry":
            self._entry(element)
        element.clear()

    def _close(self) -> None:
        self.statements.append(self.current)
        self.current = Statement("", "")

    def _account(self, element: Element) -> None:
        other = "Id/Othr/Id"
        self.current.account = _text(element, "Id/IBAN") or _text(element, other)
        self.current.currency = _text(element, "Ccy").upper()

    def _balance(self, element: Element) -> None:
        code, amount = _text(element, "Tp/CdOrPrtry/Cd"), element.find("Amt")
        currency = (amount.get("Ccy") or "" if amount is not None else "").upper()
        self.current.currency = self.current.currency or currency
        if currency != self.current.currency:
            return
        try:
            value = _signed(element, currency)
        except SchemaError:
            return
        if code in _OPENING and (code == "OPBD" or self.current.opening_minor is None):
            self.current.opening_minor = value
        elif code == "CLBD":
            self.current.closing_minor = value

    def _entry(self, element: Element) -> None:
        """Take an entry: its details one by one where they add up to it, else as one amount."""
        try:
            whole = self._posting(element, element, self.rows + 1)
        except SchemaError as error:
            self.rows += 1
            self.current.faults.append(row_fault(self.rows, error, self.name))
            return
        postings = self._details(element, whole) or [whole]
        self.rows += len(postings)
        self.current.postings += [one for one in postings if one.amount_minor]
        self.current.faults += [
            RowFault(one.row, "Amt", "ledger_not_settled", {}, self.name)
            for one in postings if not one.amount_minor
        ]  # fmt: skip

    def _details(self, element: Element, whole: Posting) -> list[Posting]:
        details = element.findall("NtryDtls/TxDtls")
        if len(details) < 2:
            return []
        try:
            found = [
                self._posting(element, detail, self.rows + place)
                for place, detail in enumerate(details, 1)
            ]
        except SchemaError:
            return []
        same = all(one.currency == whole.currency for one in found)
        adds_up = sum(one.amount_minor for one in found) == whole.amount_minor
        return found if same and adds_up else []

    def _posting(self, entry: Element, part: Element, row: int) -> Posting:
        """Return a posting of an entry, or of one detail of a batch (``part``)."""
        status = _text(entry, "Sts/Cd") or _text(entry, "Sts")
        if status and status != "BOOK":
            raise SchemaError("ledger_not_settled", field="Sts")
        batch = part is not entry
        amount = _amount(part, batch)
        currency = known_currency(amount.get("Ccy") or self.current.currency, "Ccy")
        self.current.currency = self.current.currency or currency
        sign = _sign(part if batch and part.find("CdtDbtInd") is not None else entry)
        value = sign * minor(amount.text or "", currency, "Amt")
        at = self._instant(entry)
        details = part if batch else _only(entry.findall("NtryDtls/TxDtls"))
        party = _party(details, value)
        reversal = _text(entry, "RvslInd").lower() in ("true", "1")
        return Posting(
            row, at, value, currency, _reference(entry, part, batch), False, party,
            (_REVERSED if reversal else "", party, *_words(entry, details)),
            self._value_day(entry, at), _category(entry, details, value, reversal),
        )  # fmt: skip

    def _instant(self, entry: Element) -> int:
        for tag in ("BookgDt", "ValDt"):
            element = entry.find(tag)
            if element is not None:
                return _instant(element, self.hints.zone, tag)
        raise SchemaError("ledger_bad_date", field="BookgDt")

    def _value_day(self, entry: Element, at_us: int) -> str:
        element = entry.find("ValDt")
        if element is None:
            return ""
        day = local_date(_instant(element, self.hints.zone, "ValDt"), self.hints.zone)
        return "" if day == local_date(at_us, self.hints.zone) else day.isoformat()


def _only(details: list[Element]) -> Element | None:
    return details[0] if len(details) == 1 else None


def _amount(part: Element, batch: bool) -> Element:
    paths = ("Amt", "AmtDtls/TxAmt/Amt") if batch else ("Amt",)
    for path in paths:
        found = part.find(path)
        if found is not None:
            return found
    raise SchemaError("ledger_no_amount", field="Amt")


def _sign(element: Element) -> int:
    sign = _SIGNS.get(_text(element, "CdtDbtInd"))
    if sign is None:
        raise SchemaError("ledger_no_direction", field="CdtDbtInd")
    return sign


def _signed(element: Element, currency: str) -> int:
    amount = element.findtext("Amt") or ""
    return _sign(element) * minor(amount, known_currency(currency, "Ccy"), "Amt")


def _reference(entry: Element, part: Element, batch: bool) -> str:
    """Return the bank's reference of an entry, or of one payment of a batch."""
    whole = _text(entry, "AcctSvcrRef") or _text(entry, "NtryRef")
    if not batch:
        single = _only(entry.findall("NtryDtls/TxDtls"))
        return whole or (_text(single, "Refs/AcctSvcrRef") if single is not None else "")
    for tag in ("AcctSvcrRef", "TxId", "InstrId", "EndToEndId"):
        found = _text(part, f"Refs/{tag}")
        if found and found != "NOTPROVIDED":
            return f"{whole}#{found}"
    return ""


def _party(details: Element | None, value: int) -> str:
    if details is None:
        return ""
    other = "Dbtr" if value > 0 else "Cdtr"
    for path in (f"{other}/Pty/Nm", f"{other}/Nm", f"Ultmt{other}/Pty/Nm", f"Ultmt{other}/Nm"):
        found = _text(details, f"RltdPties/{path}")
        if found:
            return found
    return ""


def _words(entry: Element, details: Element | None) -> Iterator[str]:
    if details is not None:
        for path in ("RmtInf/Ustrd", "RmtInf/Strd/CdtrRefInf/Ref", "AddtlTxInf"):
            yield from (found.text or "" for found in details.findall(path))
    yield _text(entry, "AddtlNtryInf")


def _category(entry: Element, details: Element | None, value: int, reversal: bool) -> str:
    if reversal and value > 0:
        return "refund"
    code = _text(details, "Purp/Cd") if details is not None else ""
    found = _KINDS.get(code, "")
    if (found == "tax") == (value < 0):
        return found
    return ""


def _instant(element: Element, zone: str, field: str) -> int:
    """Return the instant of a Dt (a day, of the bank's zone unless it has an offset) or DtTm."""
    moment, day = _text(element, "DtTm"), _DAY.match(_text(element, "Dt"))
    try:
        if moment:
            at = datetime.fromisoformat(moment)
            return us_of(at if at.tzinfo else at.replace(tzinfo=ZoneInfo(zone)), field)
        if day is None:
            raise SchemaError("ledger_bad_date", field=field)
        if day[2]:
            return us_of(datetime.fromisoformat(f"{day[1]}T00:00:00{day[2]}"), field)
        return day_us(date.fromisoformat(day[1]), zone, field)
    except (ValueError, OverflowError) as error:
        raise SchemaError("ledger_bad_date", field=field) from error


def _text(element: Element | Any, path: str) -> str:
    return (element.findtext(path) or "").strip()
