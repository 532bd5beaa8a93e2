"""What a rule may name: fields with a type and a unit."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Protocol

from jinqiao.errors import SchemaError

__all__ = ["FieldLike", "combine_units", "fault", "nearest", "same_unit"]

_PLAIN = frozenset({"", "ratio", "count"})


class FieldLike(Protocol):
    """One field. ``type`` is int, float, bool or category (then ``values`` lists its texts).

    ``lower`` and ``upper`` are the smallest and largest value the field can have, or None.
    """

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def values(self) -> tuple[str, ...]: ...
    @property
    def lower(self) -> float | None: ...
    @property
    def upper(self) -> float | None: ...


def fault(
    message: str, *, column: int | None = None, field: str | None = None, fix: str = ""
) -> SchemaError:
    """Return the SchemaError of a rule, naming the 1-based column where it went wrong."""
    record = "rule" if column is None else f"rule, column {column}"
    return SchemaError(message, record=record, field=field, fix=fix or None)


def nearest(word: str, known: tuple[str, ...]) -> str:
    """Return "did you mean …?" for a word close to a known one, or the first few known ones."""
    close = get_close_matches(word, known, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]}?"
    shown = ", ".join(known[:8]) + (" …" if len(known) > 8 else "")
    return f"use one of {shown}" if known else ""


def same_unit(left: str | None, right: str | None) -> bool:
    """Return whether two sides may be compared or added; None is a bare literal and fits all."""
    if left is None or right is None:
        return True
    return left == right or {left, right} <= {"", "ratio"}


def combine_units(operator: str, left: str | None, right: str | None) -> str | None:
    """Return the unit of a product or quotient; plain numbers keep the other side's unit."""
    if operator == "/" and left is not None and left == right:
        return "ratio"
    if right is None or right in _PLAIN:
        return left
    if operator == "*" and (left is None or left in _PLAIN):
        return right
    return f"{left or '1'}{'·' if operator == '*' else '/'}{right}"
