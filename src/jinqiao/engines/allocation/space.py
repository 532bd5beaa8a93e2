"""Room for large arrays that goes back to the system as soon as it is let go.

An allocator keeps what it is given back, in pieces, for the next one who asks; a pass that sets
aside other customers than the one before would then take as much again.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["joined", "space"]

_LARGE = 1 << 18
"""Bytes from which on an array has pages of its own."""


def space(n: int, kind: Any) -> NDArray[Any]:
    """Return n numbers of a kind, not set to anything."""
    size = n * np.dtype(kind).itemsize
    if size < _LARGE:
        return np.empty(n, kind)
    return np.frombuffer(mmap.mmap(-1, size), kind)


def joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Return arrays one after another, in room of their own."""
    if len(parts) == 1:
        return parts[0]
    whole = space(sum(len(part) for part in parts), parts[0].dtype)
    np.concatenate(parts, out=whole)
    return whole
