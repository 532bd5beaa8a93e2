"""OFX 1 (SGML) and 2 (XML): the markup is read by ofxtools, strictly, so that no row slips through.

ofxtools reads tags by a pattern: what the pattern skips it says nothing of, and it closes whatever
is open. Here, text that is no markup and tags that do not nest are refused.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from jinqiao.domain.row_fault import RowFault
from jinqiao.domain.time import local_date
from jinqiao.errors import SchemaError
from jinqiao.ledger.encoding import text_of
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

__all__ = ["is_ofx", "read_ofx"]

_MARK = re.compile(rb"OFXHEADER\s*[:=]|<\?OFX\b|<OFX[\s>]")
_ROOT = re.compile(r"<OFX(?:\s[^<>]*)?>")
_CDATA = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_EMPTY = re.compile(r"<[A-Z0-9._]+\s*/>")
_CHARSET = re.compile(rb"CHARSET:\s*([\w-]{1,20})")
_REPAID = re.compile(r"payment|autopay|还款", re.IGNORECASE)
_KINDS = {
    ("INT", 1): "interest_income", ("DIV", 1): "investment_income", ("FEE", -1): "fee",
    ("SRVCHG", -1): "fee", ("ATM", -1): "cash_out", ("CASH", -1): "cash_out",
    ("ATM", 1): "cash_in", ("CASH", 1): "cash_in", ("XFER", 1): "transfer_in",
    ("XFER", -1): "transfer_out",
}  # fmt: skip
_ACCOUNTS = {"STMTRS": "BANKACCTFROM", "CCSTMTRS": "CCACCTFROM", "INVSTMTRS": "INVACCTFROM"}
_NO_TRADES = {"DTSTART", "DTEND", "INVBANKTRAN"}


@dataclass(frozen=True, slots=True)
class _Correction:
    """A row that replaces or deletes the row of another FITID."""

    target: str
    action: str
    posting: Posting


def is_ofx(data: bytes) -> bool:
    """Return whether bytes begin like OFX."""
    return bool(_MARK.search(data[:4096]))


def read_ofx(data: bytes, hints: BillHints, name: str) -> list[Statement]:
    """Return the statements of an OFX file; a row's number is its place among the rows.

    Raises SchemaError where the markup is broken or cut off.
    """
    declared = _CHARSET.search(data[:1000])
    charset = declared[1].decode("ascii") if declared else ""
    body = _body(text_of(data, "cp1252" if charset == "1252" else charset), name)
    tree = _tree(body, name)
    statements = [one for one in tree.iter() if one.tag in _ACCOUNTS]
    rows = {id(row): place for place, row in enumerate(_all_rows(statements), 1)}
    if sum(row.tag == "STMTTRN" for row in _all_rows(statements)) != body.count("<STMTTRN>"):
        raise _broken(name, "a transaction stands outside a statement")
    return [_statement(one, rows, hints, name) for one in statements]


def _body(text: str, name: str) -> str:
    root = _ROOT.search(text)
    if root is None or not text.rstrip(" \t\r\n\0\x1a").endswith("</OFX>"):
        raise _broken(name, "the file is cut off")
    body = _CDATA.sub(lambda found: html.escape(found[1], quote=False), text[root.end() :])
    return f"<OFX>{_EMPTY.sub('', _COMMENT.sub('', body))}".rstrip("\0\x1a")


def _broken(name: str, why: str) -> SchemaError:
    return SchemaError(f"not OFX we can read: {why}", record=name, fix="export the bill again")


@cache
def _reader() -> Any:
    """Return ofxtools' reader, made to refuse what does not nest."""
    from ofxtools.models import STMTTRN
    from ofxtools.Parser import ParseError, TreeBuilder

    leaves = {key.upper() for key in STMTTRN.elements}

    class Strict(TreeBuilder):
        def __init__(self) -> None:
            super().__init__()
            self.opened: list[str] = []

        def start(self, tag: Any, attrs: Any, /) -> Any:
            while self.opened and self.opened[-1] in leaves:
                self.end(self.opened[-1])  # SGML: an empty field that is not closed
            self.opened.append(tag)
            return super().start(tag, attrs)

        def end(self, tag: Any, /) -> Any:
            while self.opened and self.opened[-1] != tag and self.opened[-1] in leaves:
                super().end(self.opened.pop())
            if not self.opened or self.opened.pop() != tag:
                raise ParseError(tag)
            return super().end(tag)

    return Strict


def _tree(body: str, name: str) -> Element:
    builder = _reader()()
    if builder.regex.sub("", body).strip():
        raise _broken(name, "there is text that is no markup")
    try:
        builder.feed(body)
        tree: Element = builder.close()
    except (SyntaxError, AssertionError, ValueError, TypeError, IndexError) as error:
        raise _broken(name, "tags do not nest") from error
    if builder.opened:
        raise _broken(name, "the file is cut off")
    return tree


def _all_rows(statements: list[Element]) -> Iterator[Element]:
    for statement in statements:
        yield from (one for one in statement.iter() if one.tag in ("STMTTRN", "STMTTRNP"))
        for listing in statement.iter("INVTRANLIST"):
            yield from (child for child in listing if child.tag not in _NO_TRADES)


def _statement(element: Element, rows: dict[int, int], hints: BillHints, name: str) -> Statement:
    found = _empty(element)
    amounts: dict[str, int] = {}
    corrections: list[_Correction] = []
    for row in _all_rows([element]):
        place = rows[id(row)]
        try:
            posting = _posting(row, place, found, hints)
        except SchemaError as error:
            found.faults.append(row_fault(place, error, name))
            continue
        target = _text(row, "CORRECTFITID")
        if target:
            corrections.append(_Correction(target, _text(row, "CORRECTACTION"), posting))
        elif posting.amount_minor:
            amounts.setdefault(posting.reference, posting.amount_minor)
            found.postings.append(posting)
        else:
            found.faults.append(RowFault(place, "TRNAMT", "ledger_not_settled", {}, name))
    _correct(found, corrections, amounts, name)
    found.postings.sort(key=lambda one: one.row)
    found.faults.sort(key=lambda one: one.row)
    return found


def _empty(element: Element) -> Statement:
    """Return the statement of an account, without its rows. OFX states no opening balance."""
    account = element.find(_ACCOUNTS[element.tag])
    number = "/".join(
        part for tag in ("BROKERID", "BANKID", "ACCTID")
        if account is not None and (part := _text(account, tag))
    )  # fmt: skip
    instrument = "card" if element.tag == "CCSTMTRS" else "bank"
    found = Statement(number, _text(element, "CURDEF").upper(), instrument)
    with suppress(SchemaError):
        found.closing_minor = minor(_text(element, "LEDGERBAL/BALAMT"), found.currency, "BALAMT")
    return found


def _correct(
    found: Statement, corrections: list[_Correction], amounts: dict[str, int], name: str
) -> None:
    """Add the difference that each correcting row makes to the row it corrects.

    The row corrected may be in the lake already, where nothing is taken out: it stays, and the row
    that replaces or deletes it is what is missing to the amount it should have been.
    """
    stated = {one.reference: one for one in found.postings}
    stands = dict(amounts)
    roots: dict[str, str] = {}
    for one in corrections:
        root = roots.setdefault(one.posting.reference, roots.get(one.target, one.target))
        becomes = 0 if one.action == "DELETE" else one.posting.amount_minor
        difference = becomes - stands.get(root, 0)
        if root not in stands or not difference:
            code = "ledger_not_settled" if root in stands else "ledger_corrects_another"
            found.faults.append(RowFault(one.posting.row, "CORRECTFITID", code, {}, name))
            continue
        stands[root] = becomes
        found.postings.append(_difference(one.posting, stated.get(root), difference))


def _difference(posting: Posting, first: Posting | None, amount: int) -> Posting:
    """Return a correcting row as the amount by which it changes the first."""
    first = first or posting
    return replace(
        posting,
        amount_minor=amount,
        counterparty=posting.counterparty or first.counterparty,
        memo=(*first.memo, *posting.memo),
        category="refund" if amount > 0 > first.amount_minor else "",
    )


def _posting(row: Element, place: int, statement: Statement, hints: BillHints) -> Posting:
    if row.tag != "STMTTRN":
        pending = row.tag == "STMTTRNP"
        raise SchemaError("ledger_not_settled" if pending else "ledger_investment", field=row.tag)
    stated = _text(row, "CURRENCY/CURSYM") or statement.currency
    currency = known_currency(stated, "CURDEF")
    amount = minor(_text(row, "TRNAMT"), currency, "TRNAMT")
    at = _instant(_text(row, "DTPOSTED"), hints, "DTPOSTED")
    party = _text(row, "NAME") or _text(row, "PAYEE/NAME")
    kind, memo = _text(row, "TRNTYPE"), _text(row, "MEMO")
    words = (party, _text(row, "EXTDNAME"), memo, _text(row, "CHECKNUM"))
    if any("\ufffd" in word for word in words):
        raise SchemaError("ledger_not_text", field="NAME")
    category = _category(kind, amount, f"{party} {memo}", statement.instrument)
    return Posting(
        place, at, amount, currency, _text(row, "FITID"), True, party, words,
        _available(row, at, hints), category,
    )  # fmt: skip


def _available(row: Element, at_us: int, hints: BillHints) -> str:
    """Return the day the money counts from, "" where it is the day of booking or not said."""
    text = _text(row, "DTAVAIL")
    if not text:
        return ""
    day = local_date(_instant(text, hints, "DTAVAIL"), hints.zone)
    return "" if day == local_date(at_us, hints.zone) else day.isoformat()


def _category(kind: str, amount: int, words: str, instrument: str) -> str:
    if instrument == "card" and amount > 0:
        repaid = kind in ("PAYMENT", "XFER") or _REPAID.search(words)
        return "own_transfer" if repaid else "refund"
    return _KINDS.get((kind, 1 if amount > 0 else -1), "")


def _instant(text: str, hints: BillHints, field: str) -> int:
    """Return the instant of an OFX date. Midnight without an offset is a day of the bank's zone."""
    from ofxtools.Types import DateTime

    try:
        if re.fullmatch(r"\d{8}(0000(00)?(\.000)?)?", text, re.ASCII):
            day = datetime.strptime(text[:8], "%Y%m%d")  # noqa: DTZ007
            return day_us(day, hints.zone, field)
        at: datetime = DateTime().convert(text)
    except (ValueError, TypeError, OverflowError, KeyError) as error:
        raise SchemaError("ledger_bad_date", field=field) from error
    return us_of(at, field)


def _text(element: Element, path: str) -> str:
    return html.unescape(element.findtext(path) or "").strip()
