"""What must be known of files before the first pass: checks, sums, where customers lie."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation.chunk import Chunk
from jinqiao.engines.allocation.facts import Facts
from jinqiao.errors import InputError
from jinqiao.match.files.decode import Group, checked, decoded
from jinqiao.match.files.journal import plain
from jinqiao.match.files.layout import PairFiles, Place

__all__ = [
    "Index",
    "Survey",
    "chunk_of",
    "packed",
    "survey_group",
    "surveyed",
    "unpacked",
]

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Survey:
    """One row group as seen alone: ``ends`` are its first and last customer, ``segments`` (k,) the
    segment of each of its customers (nothing where files have none)."""

    place: Place
    n_pairs: int
    n_customers: int
    ends: tuple[int, int]
    first: tuple[int, int]
    """Slots and segment of the first customer."""
    last: tuple[int, int]
    head: NDArray[Any]
    """Products of the first customer; ``tail``: of the last."""
    tail: NDArray[Any]
    segments: NDArray[np.int32]
    facts: Facts


@dataclass(frozen=True, eq=False)
class Index:
    """Where customers lie: they are numbered from 0 through all files.

    ``first`` (g + 1,) is the number of the customer a row group begins with, ``pairs`` (g + 1,)
    the pairs before it; ``joined`` (g,) whether that customer began in the one before.
    ``segments`` (n,) or nothing.
    """

    first: Ints
    pairs: Ints
    joined: NDArray[np.bool_]
    segments: NDArray[np.int32]
    n_segments: int
    facts: Facts

    @property
    def n_customers(self) -> int:
        return self.facts.n_customers

    @property
    def n_pairs(self) -> int:
        return self.facts.n_pairs

    def groups(self, start: int, stop: int) -> range:
        """Return the row groups that hold customers ``start … stop − 1``."""
        last = self.first[1:] - 1 + np.append(self.joined[1:], False)
        low = int(np.searchsorted(last, start, side="left"))
        high = int(np.searchsorted(self.first[:-1], stop, side="left"))
        return range(low, high)


def survey_group(files: PairFiles, place: Place, file: Any, n_segments: int) -> Survey:
    """Return what one row group holds. Raises InputError naming the row at fault."""
    group = decoded(files, place, file)
    checked(files, place, group)
    own = group.columns.get("segment")
    segments = np.zeros(0, np.int32) if own is None else own[group.starts].astype(np.int32)
    if segments.size and int(segments.max()) >= n_segments:
        n_segments = int(segments.max()) + 1
    facts = Facts.of(chunk_of(files, group, 0), files.n_products, n_segments)
    customer = group.columns["customer"]
    empty = not group.n_pairs
    slots = group.columns.get("slots")

    def about(at: int) -> tuple[int, int]:
        if empty:
            return 0, 0
        return (0 if slots is None else int(slots[at])), (0 if own is None else int(own[at]))

    ends = (0, -1) if empty else (int(customer[0]), int(customer[-1]))
    product, starts = group.columns["product"], group.starts
    head = product[: int(starts[1]) if len(starts) > 1 else None].copy()
    tail = product[int(starts[-1]) if len(starts) else 0 :].copy()
    return Survey(
        place, group.n_pairs, len(starts), ends, about(0), about(-1), head, tail, segments, facts
    )


def chunk_of(files: PairFiles, group: Group, first: int) -> Chunk:
    """Return the customers of a group as the solver reads them."""
    columns, n = group.columns, group.n_pairs

    def per_customer(name: str, other: int) -> Any:
        column = columns.get(name)
        return other if column is None else np.ascontiguousarray(column[group.starts])

    return Chunk(
        np.append(group.starts, n), columns["product"], columns["value"],
        columns.get("use", files.use), columns.get("cost", files.cost),
        columns.get("approval", files.approval), per_customer("segment", 0),
        per_customer("slots", files.slots), first,
    )  # fmt: skip


def surveyed(files: PairFiles, parts: Iterable[Survey], n_segments: int) -> Index:
    """Return the index of row groups surveyed one by one, handed in in order.

    Raises InputError where a row group begins below the customer the one before ended with.
    """
    first, pairs, joined, segments = [0], [0], [], []
    facts: Facts | None = None
    before: Survey | None = None
    for part in parts:
        same = _goes_on(files, before, part)
        joined.append(same)
        first[-1] -= same
        first.append(first[-1] + part.n_customers)
        pairs.append(pairs[-1] + part.n_pairs)
        segments.append(part.segments[int(same) :] if part.segments.size else part.segments)
        facts = _added(facts, part, same)
        if same and part.n_customers == 1 and before is not None:
            part = replace(part, tail=np.concatenate((before.tail, part.head)))
        before = part if part.n_pairs else before
    if facts is None or not facts.n_pairs:
        raise InputError("no pairs in the files", record=str(files.path), field="path")
    most = max(n_segments, len(facts.customers_of_segment))
    facts.customers_of_segment = _padded(facts.customers_of_segment, most)
    whole = np.concatenate(segments) if segments else np.zeros(0, np.int32)
    return Index(np.array(first), np.array(pairs), np.array(joined), whole, most, facts)


def _goes_on(files: PairFiles, before: Survey | None, part: Survey) -> bool:
    if before is None or not part.n_pairs:
        return False
    last, now = before.ends[1], part.ends[0]
    if now < last:
        raise InputError(
            f"customer {now} after {last}", field="customer", fix="sort the files by customer",
            record=f"{files.name(part.place)}, row 0 (customer {now})",
        )  # fmt: skip
    if now == last and before.last != part.first:
        field = "slots" if before.last[0] != part.first[0] else "segment"
        raise InputError(
            "another than in the row group before", field=field, fix="one a customer",
            record=f"{files.name(part.place)}, row 0 (customer {now})",
        )  # fmt: skip
    if now == last:
        _refuse_twice(files, before, part)
    return now == last


def _refuse_twice(files: PairFiles, before: Survey, part: Survey) -> None:
    both = np.flatnonzero(np.isin(part.head, before.tail))
    if len(both):
        raise InputError(
            f"product {part.head[both[0]]} twice for one customer", field="product",
            record=f"{files.name(part.place)}, row {both[0]} (customer {part.ends[0]})",
            fix="keep one pair of the two",
        )  # fmt: skip


def _added(facts: Facts | None, part: Survey, same: bool) -> Facts:
    own = part.facts
    if same:  # counted in the row group before
        own.n_customers -= 1
        own.customers_of_segment = own.customers_of_segment.copy()
        own.customers_of_segment[part.first[1]] -= 1
    if facts is None:
        return own
    most = max(len(facts.customers_of_segment), len(own.customers_of_segment))
    facts.customers_of_segment = _padded(facts.customers_of_segment, most)
    own.customers_of_segment = _padded(own.customers_of_segment, most)
    facts.merge(own)
    return facts


def _padded(counts: Ints, length: int) -> Ints:
    return np.pad(counts, (0, length - len(counts)))


def packed(index: Index) -> dict[str, NDArray[Any]]:
    """Return an index as arrays, to be kept in a file."""
    kept = {f"facts_{f.name}": np.asarray(getattr(index.facts, f.name)) for f in fields(Facts)}
    plain = {
        name: np.asarray(getattr(index, name))
        for name in ("first", "pairs", "joined", "segments", "n_segments")
    }
    return kept | plain


def unpacked(kept: dict[str, NDArray[Any]]) -> Index:
    """Return the index that ``packed`` made arrays of."""
    facts = Facts(**plain({f.name: kept[f"facts_{f.name}"] for f in fields(Facts)}))
    return Index(
        kept["first"], kept["pairs"], kept["joined"], kept["segments"],
        int(kept["n_segments"]), facts,
    )  # fmt: skip
