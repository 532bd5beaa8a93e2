"""OFX 1 (SGML) and 2 (XML): the markup is read by bankfile, and what it warns of is refused.

bankfile's tag reader takes whatever a bank sent and warns of what it could not place. A ledger may
not miss a row, so text or tags without a place are an error here, and so is a file cut off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

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
    from bankfile.ofx.sgml import Node

__all__ = ["is_ofx", "read_ofx"]

_MARK = re.compile(rb"OFXHEADER\s*[:=]|<\?OFX\b|<OFX[\s>]", re.IGNORECASE)
_ROOT = re.compile(r"<OFX(?:\s[^<>]*)?>", re.IGNORECASE)
_END = re.compile(r"</OFX\s*>[\s\0\x1a]*$", re.IGNORECASE)
_DECLARES = re.compile(r"<!(?:DOCTYPE|ENTITY)", re.IGNORECASE)
_CHARSET = re.compile(rb"CHARSET:\s*([\w-]{1,20})")
_INSTANT = re.compile(
    r"^(\d{8})(\d{4}|\d{6})?(?:\.\d{1,6})?"
    r"(?:\[([+-]?\d{1,2})(?:\.(\d{1,2}))?(?::[^\]]{0,40})?\])?$",
    re.ASCII,
)
_REPAID = re.compile(r"payment|autopay|还款", re.IGNORECASE)
_KINDS = {
    ("INT", 1): "interest_income", ("DIV", 1): "investment_income", ("FEE", -1): "fee",
    ("SRVCHG", -1): "fee", ("ATM", -1): "cash_out", ("CASH", -1): "cash_out",
    ("ATM", 1): "cash_in", ("CASH", 1): "cash_in", ("XFER", 1): "transfer_in",
    ("XFER", -1): "transfer_out",
}  # fmt: skip
_ACCOUNTS = {"STMTRS": "BANKACCTFROM", "CCSTMTRS": "CCACCTFROM", "INVSTMTRS": "INVACCTFROM"}
_STATEMENTS = frozenset(_ACCOUNTS)
_NO_TRADES = {"DTSTART", "DTEND", "INVBANKTRAN"}
_OTHER_ROWS = frozenset({"STMTTRN", "STMTTRNP"})


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
    tree = _tree(text_of(data, "cp1252" if charset == "1252" else charset), name)
    statements = [one for tag in _ACCOUNTS for one in tree.find_all(tag)]
    order = {id(one): place for place, one in enumerate(_every(tree))}
    statements.sort(key=lambda one: order[id(one)])
    rows = {id(row): place for place, row in enumerate(_rows(*statements), 1)}
    if any(id(row) not in rows for row in tree.find_all("STMTTRN")):
        raise _broken(name, "a transaction stands outside a statement")
    return [_statement(one, rows, hints, name) for one in statements]


def _broken(name: str, why: str) -> SchemaError:
    return SchemaError(f"not OFX we can read: {why}", record=name, fix="export the bill again")


def _tree(text: str, name: str) -> Node:
    from bankfile.ofx.sgml import parse_tags

    root = _ROOT.search(text)
    if root is None or not _END.search(text):
        raise _broken(name, "the file is cut off")
    body = text[root.start() :].rstrip("\0\x1a \t\r\n")
    if _DECLARES.search(body):
        raise _broken(name, "it declares a document type or entities")
    tree, warnings = parse_tags(body)
    if warnings:
        raise _broken(name, "text or a tag has no place in it")
    return tree


def _every(node: Node) -> Iterator[Node]:
    stack = [node]
    while stack:
        one = stack.pop()
        yield one
        stack.extend(reversed(one.children))


def _rows(*statements: Node) -> Iterator[Node]:
    """Yield booked, pending and investment rows, each of one statement only."""
    for statement in statements:
        for tag in ("STMTTRN", "STMTTRNP"):
            yield from statement.find_all(tag, stop_at=_STATEMENTS)
        for listing in statement.find_all("INVTRANLIST", stop_at=_STATEMENTS):
            yield from (child for child in listing.children if child.tag not in _NO_TRADES)


def _statement(element: Node, rows: dict[int, int], hints: BillHints, name: str) -> Statement:
    found = _empty(element)
    amounts: dict[str, int] = {}
    corrections: list[_Correction] = []
    for row in _rows(element):
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


def _empty(element: Node) -> Statement:
    """Return the statement of an account, without its rows. OFX states no opening balance."""
    account = next(iter(element.find_all(_ACCOUNTS[element.tag], stop_at=_STATEMENTS)), None)
    number = "/".join(
        part for tag in ("BROKERID", "BANKID", "ACCTID")
        if account is not None and (part := _text(account, tag))
    )  # fmt: skip
    instrument = "card" if element.tag == "CCSTMTRS" else "bank"
    found = Statement(number, _text(element, "CURDEF").upper(), instrument)
    with suppress(SchemaError):
        found.closing_minor = minor(_text(element, "LEDGERBAL", "BALAMT"), found.currency, "BALAMT")
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


def _posting(row: Node, place: int, statement: Statement, hints: BillHints) -> Posting:
    if row.tag != "STMTTRN":
        pending = row.tag == "STMTTRNP"
        raise SchemaError("ledger_not_settled" if pending else "ledger_investment", field=row.tag)
    stated = _text(row, "CURRENCY", "CURSYM") or statement.currency
    currency = known_currency(stated, "CURDEF")
    amount = minor(_text(row, "TRNAMT"), currency, "TRNAMT")
    at = _instant(_text(row, "DTPOSTED"), hints, "DTPOSTED")
    party = _text(row, "NAME")
    kind, memo = _text(row, "TRNTYPE"), _text(row, "MEMO")
    words = (party, _text(row, "EXTDNAME"), memo, _text(row, "CHECKNUM"))
    if any("\ufffd" in word for word in words):
        raise SchemaError("ledger_not_text", field="NAME")
    category = _category(kind, amount, f"{party} {memo}", statement.instrument)
    return Posting(
        place, at, amount, currency, _text(row, "FITID"), True, party, words,
        _available(row, at, hints), category,
    )  # fmt: skip


def _available(row: Node, at_us: int, hints: BillHints) -> str:
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
    found = _INSTANT.match(text)
    if found is None:
        raise SchemaError("ledger_bad_date", field=field)
    day, clock, hours, parts = found.groups()
    try:
        at = datetime.strptime(day + (clock or "").ljust(6, "0"), "%Y%m%d%H%M%S")  # noqa: DTZ007
        if hours is None and not int(clock or 0):
            return day_us(at, hints.zone, field)
        offset = timezone(_offset(hours or "0", parts or "0"))
        return us_of(at.replace(tzinfo=offset), field)
    except (ValueError, OverflowError) as error:
        raise SchemaError("ledger_bad_date", field=field) from error


def _offset(hours: str, parts: str) -> timedelta:
    """Return the offset of ``-5``, ``5.30`` (minutes) or ``5.5`` (of an hour)."""
    minutes = int(parts) if parts in ("15", "30", "45") else float(f"0.{parts}") * 60
    sign = -1 if hours.startswith("-") else 1
    return timedelta(hours=int(hours), minutes=sign * round(minutes))


def _text(node: Node, *path: str) -> str:
    """Return the first value at a path of tags, not that of a row within the row."""
    for tag in path[:-1]:
        inner = next(iter(node.find_all(tag, stop_at=_OTHER_ROWS)), None)
        if inner is None:
            return ""
        node = inner
    found = next(iter(node.find_all(path[-1], stop_at=_OTHER_ROWS)), None)
    return (found.value or "" if found is not None else "").replace("\xa0", " ").strip()
