"""Customers numbered by segment: those under the same set of rows share their prices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation.problem import LimitRow

__all__ = ["segments_of"]


def segments_of(
    n_customers: int, rows: Sequence[LimitRow], given: NDArray[np.integer] | None = None
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Return each customer's segment, (n,) int32, and which each row speaks of, (m, n_segments).

    Distinct combinations of the rows' masks, and of a numbering ``given``, are numbered from 0.
    Where no row speaks of some customers only, the array is one number seen n times.
    """
    masks, keys = _masks(n_customers, rows)
    if not masks and given is None:
        return np.broadcast_to(np.int32(0), n_customers), np.ones((len(rows), 1), bool)
    segment = np.zeros(n_customers, np.int32) if given is None else np.asarray(given, np.int32)
    old = np.arange(int(segment.max(initial=0)) + 1)
    cover: dict[bytes, NDArray[np.bool_]] = {}
    for key, mask in masks.items():
        code = segment * 2 + mask
        present = np.bincount(code, minlength=2 * len(old)) > 0
        kept = np.flatnonzero(present)
        segment = (np.cumsum(present) - 1).astype(np.int32)[code]
        cover = {known: line[kept // 2] for known, line in cover.items()}
        cover[key] = kept % 2 == 1
        old = old[kept // 2]
    lines = [_line(row, key, cover, old) for row, key in zip(rows, keys, strict=True)]
    return segment, np.stack(lines) if lines else np.ones((0, len(old)), bool)


def _masks(
    n_customers: int, rows: Sequence[LimitRow]
) -> tuple[dict[bytes, NDArray[np.bool_]], list[bytes | None]]:
    masks: dict[bytes, NDArray[np.bool_]] = {}
    seen: dict[int, bytes] = {}
    keys: list[bytes | None] = []
    for row in rows:
        if row.customers is None:
            keys.append(None)
            continue
        place = id(row.customers)
        if place not in seen:
            mask = np.zeros(n_customers, bool)
            mask[row.customers] = True
            seen[place] = np.packbits(mask).tobytes()
            masks.setdefault(seen[place], mask)
        keys.append(seen[place])
    return masks, keys


def _line(
    row: LimitRow, key: bytes | None, cover: dict[bytes, NDArray[np.bool_]], old: NDArray[np.int64]
) -> NDArray[np.bool_]:
    line = np.ones(len(old), bool) if key is None else cover[key].copy()
    if row.segments is not None:
        line &= np.isin(old, row.segments)
    return line
