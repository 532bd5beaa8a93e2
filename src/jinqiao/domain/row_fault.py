"""Row faults: a row that could not be used, why, and what to do about it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["RowFault"]


@dataclass(frozen=True, slots=True)
class RowFault:
    """One refused row. ``row`` counts from 1 in its file, table or body.

    ``code`` is a message code of ``domain/messages/intake.toml``; ``code + "_fix"`` says what to
    do. ``numbers`` fill its sentence and hold nothing of the row itself.
    """

    row: int
    field: str
    code: str
    numbers: Mapping[str, object] = dataclasses.field(default_factory=lambda: MappingProxyType({}))
    record: str = ""
