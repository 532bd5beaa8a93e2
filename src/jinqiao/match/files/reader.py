"""Chunks of customers out of row groups, whatever the row groups' ends."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation.chunk import Chunk
from jinqiao.match.files.decode import Group, decoded
from jinqiao.match.files.layout import PairFiles
from jinqiao.match.files.survey import Index, chunk_of

__all__ = ["Part", "ahead", "parts"]

T = TypeVar("T")

PAIRS = 4_000_000
"""Pairs of a chunk, about."""


@dataclass(frozen=True, eq=False)
class Part:
    """Some customers: their chunk, and ``customer`` (n,) as the files name them."""

    chunk: Chunk
    customer: NDArray[np.int64]


def step_of(index: Index, block: int, pairs: int = PAIRS) -> int:
    """Return how many customers make a chunk of about so many pairs: a multiple of the block."""
    a_customer = index.n_pairs / max(index.n_customers, 1)
    return block * max(int(pairs / max(a_customer, 1e-9) / block), 1)


def parts(
    files: PairFiles, index: Index, span: tuple[int, int], step: int, *, threads: bool = True
) -> Iterator[Part]:
    """Yield customers ``span[0] … span[1] − 1`` in order, ``step`` at a time."""
    held, first = _Held(), span[0]
    for group, numbers in _groups(files, index, span, threads):
        held.add(group, numbers)
        while held.n_customers > step:
            yield held.taken(files, step, first)
            first += step
    if held.n_customers:
        yield held.taken(files, held.n_customers, first)


def _groups(
    files: PairFiles, index: Index, span: tuple[int, int], threads: bool
) -> Iterator[tuple[Group, bool]]:
    """Yield row groups cut to a span, and whether each goes on with the customer before."""
    file, number = None, -1
    for place_number in index.groups(*span):
        place = files.places[place_number]
        if place.file != number:
            file, number = files.opened(place.file), place.file
        group = decoded(files, place, file, threads)
        first = int(index.first[place_number])
        low, high = max(span[0] - first, 0), min(span[1] - first, len(group.starts))
        goes_on = bool(index.joined[place_number]) and low == 0 and first >= span[0]
        yield _cut(group, low, high), goes_on and place_number > index.groups(*span).start


def _cut(group: Group, low: int, high: int) -> Group:
    """Return customers ``low … high − 1`` of a group."""
    if low == 0 and high == len(group.starts):
        return group
    start = int(group.starts[low]) if low < len(group.starts) else group.n_pairs
    stop = int(group.starts[high]) if high < len(group.starts) else group.n_pairs
    columns = {name: column[start:stop] for name, column in group.columns.items()}
    return Group(columns, group.starts[low:high] - start)


@dataclass(eq=False)
class _Held:
    """Row groups read and not handed on yet."""

    columns: list[dict[str, NDArray[Any]]] = field(default_factory=list)
    starts: list[NDArray[np.int64]] = field(default_factory=list)
    n_pairs: int = 0
    n_customers: int = 0

    def add(self, group: Group, goes_on: bool) -> None:
        starts = group.starts[1:] if goes_on else group.starts
        self.columns.append(group.columns)
        self.starts.append(starts + self.n_pairs)
        self.n_pairs += group.n_pairs
        self.n_customers += len(starts)

    def taken(self, files: PairFiles, n: int, first: int) -> Part:
        """Return the first n customers held; keep the rest."""
        starts = self.starts[0] if len(self.starts) == 1 else np.concatenate(self.starts)
        cut = int(starts[n]) if n < len(starts) else self.n_pairs
        mine, rest, seen = [], [], 0
        for columns in self.columns:
            here = min(max(cut - seen, 0), len(columns["product"]))
            seen += len(columns["product"])
            if here:
                mine.append({k: c[:here] for k, c in columns.items()})
            if here < len(columns["product"]):
                rest.append({k: c[here:] for k, c in columns.items()})
        joined = {k: _joined([c[k] for c in mine]) for k in self.columns[0]}
        group = Group(joined, starts[:n])
        self.columns, self.starts = rest, [starts[n:] - cut]
        self.n_pairs, self.n_customers = self.n_pairs - cut, len(starts) - n
        return Part(chunk_of(files, group, first), joined["customer"][group.starts])


def _joined(pieces: list[NDArray[Any]]) -> NDArray[Any]:
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield the same, the next one being made by a thread while the caller works on one."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = pool.submit(next, items, None)
            yield item
