"""The bills whose format is a standard: told by their bytes, read by a library each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jinqiao.errors import SchemaError
from jinqiao.ledger.camt import is_camt, read_camt
from jinqiao.ledger.encoding import MOST_BYTES, beginning
from jinqiao.ledger.mt940 import is_mt940, read_mt940
from jinqiao.ledger.ofx import is_ofx, read_ofx
from jinqiao.ledger.postings import BillHints, Statement
from jinqiao.ledger.qif import is_qif, read_qif

__all__ = ["STANDARDS", "Standard", "read_standard", "told_standard"]


@dataclass(frozen=True, slots=True)
class Standard:
    """A standard format: how its bytes are told, and how its statements are read."""

    kind: str
    name_en: str
    told: Callable[[bytes], bool]
    read: Callable[[bytes, BillHints, str], list[Statement]]


STANDARDS: tuple[Standard, ...] = (
    Standard("ofx", "OFX 1 and 2, QFX", is_ofx, read_ofx),
    Standard("camt", "camt.052, camt.053, camt.054", is_camt, read_camt),
    Standard("qif", "QIF", is_qif, read_qif),
    Standard("mt940", "MT940", is_mt940, read_mt940),
)


def told_standard(data: bytes, kind: str | None) -> Standard | None:
    """Return the standard that bytes are in, None for none; ``kind`` leaves no choice."""
    start = beginning(data)
    for standard in STANDARDS:
        if standard.kind == kind or (kind is None and standard.told(start)):
            return standard
    return None


def read_standard(standard: Standard, data: bytes, hints: BillHints, name: str) -> list[Statement]:
    """Return the statements of a file in a standard format.

    Raises SchemaError for a file too large or one that cannot be read whole; a row that cannot is a
    fault of its statement.
    """
    if len(data) > MOST_BYTES:
        raise SchemaError(f"the file has {len(data)} bytes", record=name, fix="split it")
    statements = standard.read(data, hints, name)
    if not statements:
        raise SchemaError("no statement in the file", record=name, fix="export the bill again")
    return statements
