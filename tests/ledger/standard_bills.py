"""Ledgers written as OFX, QIF, camt and MT940, so that readers are held to what was written."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from xml.sax.saxutils import escape

from jinqiao.domain.money import CURRENCIES


@dataclass(frozen=True)
class Written:
    """One booked amount as it was written."""

    day: date
    amount_minor: int
    party: str = ""
    memo: str = ""
    reference: str = ""
    value_day: date | None = None
    reversal: bool = False


@dataclass(frozen=True)
class Ledger:
    """An account's opening balance and its rows."""

    rows: tuple[Written, ...]
    currency: str = "CNY"
    opening_minor: int = 100_000
    account: str = "6222000011112222"
    closing_minor: int | None = field(default=None)

    @property
    def closing(self) -> int:
        if self.closing_minor is not None:
            return self.closing_minor
        return self.opening_minor + sum(row.amount_minor for row in self.rows)


def decimal(amount_minor: int, currency: str, mark: str = ".") -> str:
    text = f"{Decimal(amount_minor).scaleb(-CURRENCIES[currency]):f}"
    return text.replace(".", mark)


def ofx(ledger: Ledger, version: int = 1) -> bytes:
    """Return the ledger as OFX 1 (SGML, tags left open) or OFX 2 (XML)."""

    def leaf(tag: str, text: str) -> str:
        text = escape(text)
        return f"<{tag}>{text}" if version == 1 else f"<{tag}>{text}</{tag}>"

    rows = []
    for number, row in enumerate(ledger.rows):
        parts = [
            leaf("TRNTYPE", "CREDIT" if row.amount_minor > 0 else "DEBIT"),
            leaf("DTPOSTED", row.day.strftime("%Y%m%d")),
            leaf("DTAVAIL", row.value_day.strftime("%Y%m%d")) if row.value_day else "",
            leaf("TRNAMT", decimal(row.amount_minor, ledger.currency)),
            leaf("FITID", row.reference or f"F{number}"),
            leaf("NAME", row.party) if row.party else "",
            leaf("MEMO", row.memo) if row.memo else "",
        ]
        rows.append("<STMTTRN>\n" + "\n".join(part for part in parts if part) + "\n</STMTTRN>")
    body = "\n".join(
        [
            "<OFX><BANKMSGSRSV1><STMTTRNRS>", leaf("TRNUID", "1"), "<STMTRS>",
            leaf("CURDEF", ledger.currency), "<BANKACCTFROM>", leaf("BANKID", "1"),
            leaf("ACCTID", ledger.account), leaf("ACCTTYPE", "CHECKING"), "</BANKACCTFROM>",
            "<BANKTRANLIST>", leaf("DTSTART", "20260101"), leaf("DTEND", "20261231"), *rows,
            "</BANKTRANLIST>", "<LEDGERBAL>",
            leaf("BALAMT", decimal(ledger.closing, ledger.currency)), leaf("DTASOF", "20261231"),
            "</LEDGERBAL>", "</STMTRS></STMTTRNRS></BANKMSGSRSV1></OFX>",
        ]
    )  # fmt: skip
    if version == 1:
        head = (
            "OFXHEADER:100\r\nDATA:OFXSGML\r\nVERSION:102\r\nSECURITY:NONE\r\nENCODING:UNICODE\r\n"
            "CHARSET:NONE\r\nCOMPRESSION:NONE\r\nOLDFILEUID:NONE\r\nNEWFILEUID:NONE\r\n\r\n"
        )
    else:
        head = (
            '<?xml version="1.0" encoding="UTF-8"?>\n<?OFX OFXHEADER="200" VERSION="211" '
            'SECURITY="NONE" OLDFILEUID="NONE" NEWFILEUID="NONE"?>\n'
        )
    return (head + body).encode()


def qif(ledger: Ledger) -> bytes:
    """Return the ledger as QIF, dates as 2026-02-03."""
    lines = ["!Account", f"N{ledger.account}", "TBank", "^", "!Type:Bank"]
    for row in ledger.rows:
        lines += [f"D{row.day.isoformat()}", f"T{decimal(row.amount_minor, ledger.currency)}"]
        lines += [f"P{row.party}"] if row.party else []
        lines += [f"M{row.memo}"] if row.memo else []
        lines.append("^")
    return ("\n".join(lines) + "\n").encode()


def camt(ledger: Ledger, kind: str = "053", version: str = "08") -> bytes:
    """Return the ledger as a camt statement, report or notification."""
    group, one = {
        "052": ("BkToCstmrAcctRpt", "Rpt"), "053": ("BkToCstmrStmt", "Stmt"),
        "054": ("BkToCstmrDbtCdtNtfctn", "Ntfctn"),
    }[kind]  # fmt: skip
    entries = "".join(_entry(row, ledger.currency) for row in ledger.rows)
    balances = (
        ""
        if kind == "054"
        else _bal("OPBD", ledger.opening_minor, ledger) + _bal("CLBD", ledger.closing, ledger)
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Document xmlns="urn:iso:std:iso:20022:tech:xsd:'
        f'camt.{kind}.001.{version}"><{group}><GrpHdr><MsgId>1</MsgId></GrpHdr><{one}><Id>1</Id>'
        f"<Acct><Id><Othr><Id>{ledger.account}</Id></Othr></Id><Ccy>{ledger.currency}</Ccy></Acct>"
        f"{balances}{entries}</{one}></{group}></Document>"
    ).encode()


def _bal(code: str, amount: int, ledger: Ledger) -> str:
    sign = "CRDT" if amount >= 0 else "DBIT"
    text = decimal(abs(amount), ledger.currency)
    return (
        f'<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy="{ledger.currency}">{text}'
        f"</Amt><CdtDbtInd>{sign}</CdtDbtInd><Dt><Dt>2026-01-01</Dt></Dt></Bal>"
    )


def _entry(row: Written, currency: str) -> str:
    sign = "CRDT" if row.amount_minor >= 0 else "DBIT"
    other = "Dbtr" if row.amount_minor >= 0 else "Cdtr"
    party = f"<{other}><Pty><Nm>{escape(row.party)}</Nm></Pty></{other}>" if row.party else ""
    memo = f"<RmtInf><Ustrd>{escape(row.memo)}</Ustrd></RmtInf>" if row.memo else ""
    value = row.value_day or row.day
    return (
        f'<Ntry><Amt Ccy="{currency}">{decimal(abs(row.amount_minor), currency)}</Amt>'
        f"<CdtDbtInd>{sign}</CdtDbtInd><RvslInd>{str(row.reversal).lower()}</RvslInd>"
        f"<Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>{row.day}</Dt></BookgDt><ValDt><Dt>{value}</Dt>"
        f"</ValDt><AcctSvcrRef>{escape(row.reference)}</AcctSvcrRef><NtryDtls><TxDtls>"
        f"<RltdPties>{party}</RltdPties>{memo}</TxDtls></NtryDtls></Ntry>"
    )


def mt940(ledger: Ledger) -> bytes:
    """Return the ledger as MT940 with structured :86: lines."""
    currency = ledger.currency
    lines = [":20:STARTUMS", f":25:{ledger.account}", ":28C:1/1"]
    lines.append(f":60F:{_mt_balance(ledger.opening_minor, currency)}")
    for row in ledger.rows:
        mark = "C" if row.amount_minor > 0 else "D"
        if row.reversal:
            mark = "RD" if mark == "C" else "RC"
        value = row.value_day or row.day
        amount = _mt_amount(abs(row.amount_minor), currency)
        lines.append(
            f":61:{value:%y%m%d}{row.day:%m%d}{mark}{amount}NTRFNONREF//{row.reference or 'NONREF'}"
        )
        if row.party or row.memo:
            lines.append(f":86:166?00TEXT?20{row.memo}?32{row.party}")
    lines += [f":62F:{_mt_balance(ledger.closing, currency)}", "-"]
    return ("\r\n".join(lines) + "\r\n").encode()


def _mt_balance(amount: int, currency: str) -> str:
    return f"{'C' if amount >= 0 else 'D'}260101{currency}{_mt_amount(abs(amount), currency)}"


def _mt_amount(amount: int, currency: str) -> str:
    text = decimal(amount, currency, ",")
    return text if "," in text else f"{text},"


WRITERS = {
    "ofx1": lambda ledger: ofx(ledger, 1), "ofx2": lambda ledger: ofx(ledger, 2), "qif": qif,
    "camt.052": lambda ledger: camt(ledger, "052", "02"),
    "camt.053": camt, "camt.054": lambda ledger: camt(ledger, "054"), "mt940": mt940,
}  # fmt: skip
