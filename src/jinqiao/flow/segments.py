"""Customers by what an operator tells them apart by: thin files, age, income, city tier, kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["Segments", "segments_of"]

_AGES = (25, 35, 45, 55)
_INCOMES_MINOR = (300_000, 600_000, 1_200_000)
UNKNOWN = "unknown"


@dataclass(frozen=True, eq=False)
class Segments:
    """One way to tell customers apart: ``code`` (n,) is the place of each in ``groups``."""

    name: str
    groups: tuple[str, ...]
    code: NDArray[np.int64]

    def count(self, who: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """Return how many of some customers (None: of all) are in each group."""
        code = self.code if who is None else self.code[who]
        return np.bincount(code, minlength=len(self.groups))


def segments_of(profiles: pa.Table, *, thin_file_months: int = 2) -> tuple[Segments, ...]:
    """Return every segmentation the profiles have the features for."""
    return tuple(_all(profiles, thin_file_months))


def _all(profiles: pa.Table, thin_file_months: int) -> Iterator[Segments]:
    has = set(profiles.column_names)
    if "income_months_seen" in has:
        months = _numbers(profiles, "income_months_seen")
        thin = ~(months >= thin_file_months)
        yield Segments("file", ("thin", "thick"), np.where(thin, 0, 1))
    if "age" in has:
        yield _banded("age", _numbers(profiles, "age"), _AGES)
    if "monthly_income_minor" in has:
        yield _banded("income_minor", _numbers(profiles, "monthly_income_minor"), _INCOMES_MINOR)
    for name in ("city_tier", "customer_kind"):
        if name in has:
            yield _named(name, profiles[name])


def _numbers(profiles: pa.Table, name: str) -> NDArray[np.float64]:
    column = profiles[name].cast(pa.float64())
    return np.asarray(column.to_numpy(zero_copy_only=False), np.float64)


def _banded(name: str, values: NDArray[np.float64], edges: Sequence[int]) -> Segments:
    lows = (f"< {edges[0]}", *(f"{a}–{b - 1}" for a, b in pairwise(edges)))
    groups = (*lows, f"≥ {edges[-1]}", UNKNOWN)
    code = np.searchsorted(np.array(edges), values, side="right")
    return Segments(name, groups, np.where(np.isnan(values), len(groups) - 1, code))


def _named(name: str, column: pa.ChunkedArray) -> Segments:
    texts = column.cast(pa.string()).fill_null(UNKNOWN).to_pylist()
    groups, code = np.unique(np.array(texts, dtype=str), return_inverse=True)
    return Segments(name, tuple(groups.tolist()), code.astype(np.int64))
