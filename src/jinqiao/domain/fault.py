"""A fault in a file people write: where it is, what is wrong, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Fault"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. ``line`` and ``column`` count from 1; 0 where there is no text to point at.

    ``path`` names the field as ``products[0].cost.rate_bps``; "" for the file as a whole.
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    fix: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        text = ": ".join(part for part in (where, self.path, self.message) if part)
        return f"{text} ({self.fix})" if self.fix else text
