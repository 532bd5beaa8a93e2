"""Ids: opaque strings, so that none can be mistaken for another in a signature.

An id is either random (a subject: nothing can be read out of it) or keyed (a digest of what it
names, so that a retry makes the same id).
"""

from __future__ import annotations

import hashlib
from typing import NewType

__all__ = [
    "ApplicationId",
    "ClickId",
    "CustomerId",
    "InstitutionId",
    "ProductId",
    "SubjectId",
    "TraceId",
    "keyed_id",
]

SubjectId = NewType("SubjectId", str)
"""One identity node, as the lake knows it; random, never derived from an identifier."""
CustomerId = NewType("CustomerId", str)
"""The resolved person or merchant: the oldest subject of a merged group."""
InstitutionId = NewType("InstitutionId", str)
ProductId = NewType("ProductId", str)
TraceId = NewType("TraceId", str)
ClickId = NewType("ClickId", str)
ApplicationId = NewType("ApplicationId", str)


def keyed_id(prefix: str, *parts: object) -> str:
    """Return ``prefix_`` and 24 hex digits that depend on every part and on their order.

    >>> keyed_id("clk", "t1", 2) == keyed_id("clk", "t1", 2)
    True
    >>> keyed_id("clk", "t1", 2) == keyed_id("clk", "t", 12)
    False
    """
    text = "\x1f".join(str(part) for part in parts)
    return f"{prefix}_{hashlib.sha256(text.encode()).hexdigest()[:24]}"
