"""One pass over a chunk of customers: what is decided is added up, what is not is set aside.

This is the interface between the solver and wherever the pairs live (memory, files, partitions).
A pass at prices λ, with a room for the price of each cell (segment, product) to move in, reads a
chunk once and yields

* a ``Tally``: sums of the customers who choose the same however prices move within the room (and
  of everyone's exact dual part). Tallies add: the small aggregate a partition sends to the driver.
* a ``Core``: the undecided customers with the pairs still open to them, as rows and coefficients;
  a few per cent of the input at a good λ and the room it needs.

While prices stay within the room the decided stay as they are, so that the solver works on the
core alone (``search.Search``): smoothed dual, its second derivative, rounding, local swaps. Then
``choose_chunk`` writes the plan of a chunk: what the pass decided, and the core's choices. ::

    terms = compile_terms(rows, n_products, cover, whole_use=…, whole_cost=…)
    at = Reference.of(terms, duals, room)
    tally, core = Tally.empty(terms), []
    for chunk in chunks:                               # each begins at a multiple of terms.block
        core.append(scan_chunk(terms, chunk, at, tally))
    core = Core.joined(core)
    bound = tally.bound(terms, at.duals)               # valid for these duals, whatever the room
    ...                                                # search on (tally, core) → core_chosen
    for chunk in chunks:
        chosen = choose_chunk(terms, chunk, at, core, core_chosen)

Sums are made over fixed blocks of ``terms.block`` customers, then block after block in order, so
that a tally is bit for bit the same for any number of threads and any chunking at multiples of the
block. ``Tally.merge`` adds tallies of partitions (equal within rounding).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation.arrays import (
    Rows,
    arrays_of,
    tables_of,
    usage_of_picks,
)
from jinqiao.engines.allocation.space import joined, space
from jinqiao.engines.allocation.terms import Reference, Terms

__all__ = ["Chunk", "Core", "Tally", "choose_chunk", "mark_core", "scan_chunk"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_RUN = 8
"""Blocks of one task: few enough to share out, many enough that Python costs nothing."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """Arrays of customers ``first … first + n − 1``, used as they are, without copies.

    Parameters
    ----------
    indptr : (n + 1,) int64; customer i of the chunk has pairs ``indptr[i]:indptr[i + 1]`` of the
        columns (it need not begin at 0).
    product : (nnz,) uint16 or int32. value : (nnz,) float32 or float64.
    use, cost, approval : a number, (nnz,) per pair, or (1, n_products) per product.
    segment, slots : a number, or (n,) int32.
    first : number of the first customer, a multiple of ``terms.block``.
    who : positions in the chunk to look at, ascending, (s,) int64; None: everyone.
    weight : how many customers one stands for: a number, or (s,) for a sample.
    """

    indptr: Ints
    product: NDArray[Any]
    value: NDArray[Any]
    use: float | NDArray[Any] = 1.0
    cost: float | NDArray[Any] = 0.0
    approval: float | NDArray[Any] = 0.0
    segment: int | NDArray[np.int32] = 0
    slots: int | NDArray[np.int32] = 1
    first: int = 0
    who: Ints | None = None
    weight: float | Floats = 1.0

    @property
    def n_customers(self) -> int:
        """How many customers a pass looks at."""
        return len(self.indptr) - 1 if self.who is None else len(self.who)

    @property
    def flat(self) -> bool:
        """Whether no column but value is per pair, so that a price is one look-up."""
        return all(np.ndim(c) != 1 for c in (self.use, self.cost, self.approval))


@dataclass(eq=False)
class Tally:
    """Sums of a pass: ``exact`` Σ of K best reduced values over everyone; ``value``, ``offers``
    and ``usage`` (3, n_cells: use, cost, use × approval) of what is decided; counts.
    """

    exact: float
    value: float
    offers: float
    usage: Floats
    n_customers: int = 0
    n_pairs: int = 0
    n_undecided: int = 0

    @classmethod
    def empty(cls, terms: Terms) -> Tally:
        return cls(0.0, 0.0, 0.0, np.zeros((3, terms.n_cells)))

    def bound(self, terms: Terms, duals: Floats) -> float:
        """Return the dual at the prices of the pass: no plan is worth more."""
        return self.exact + float(duals @ terms.limit)

    def merge(self, other: Tally) -> None:
        """Add the tally of other customers at the same reference."""
        self.exact += other.exact
        self.value += other.value
        self.offers += other.offers
        self.usage += other.usage
        self.n_customers += other.n_customers
        self.n_pairs += other.n_pairs
        self.n_undecided += other.n_undecided


@dataclass(frozen=True, eq=False)
class Core:
    """The undecided customers and their open pairs; plain arrays, picklable.

    ``customer`` (k,) int64 number in the whole · ``slots`` (k,) left · ``margin`` (k,) the least
    loss of another choice · ``weight`` (k,) · ``ptr`` (k + 1,) · ``place`` (nnz,) int32, which of
    the customer's pairs · ``value`` (nnz,) · ``entry`` (nnz + 1,) · ``row``, ``coef``: rows of each
    pair, turned to ``<=``, with coefficients.
    """

    customer: Ints
    slots: NDArray[np.int32]
    margin: Floats
    weight: Floats
    ptr: Ints
    place: NDArray[np.int32]
    value: Floats
    entry: Ints
    row: NDArray[np.int32]
    coef: Floats

    @property
    def n_customers(self) -> int:
        return len(self.customer)

    @property
    def n_pairs(self) -> int:
        return len(self.value)

    @property
    def n_bytes(self) -> int:
        return sum(int(getattr(self, name).nbytes) for name in self.__dataclass_fields__)

    @classmethod
    def joined(cls, parts: list[Core]) -> Core:
        """Return the cores of consecutive chunks as one; empty the list.

        Column by column, so that never more than one column is there twice.
        """
        kept = [part for part in parts if part.n_customers]
        parts.clear()
        if len(kept) <= 1:
            return kept[0] if kept else cls.nothing()
        pieces = {f.name: [getattr(part, f.name) for part in kept] for f in fields(cls)}
        kept.clear()
        columns: dict[str, Any] = {
            name: (_chained if name in ("ptr", "entry") else joined)(pieces.pop(name))
            for name in list(pieces)
        }
        return cls(**columns)

    def taken(self, who: Ints) -> Core:
        """Return some of the customers, ascending places in this core."""
        ptr, pair = _gathered(self.ptr, who)
        entry, spot = _gathered(self.entry, pair)
        return Core(
            self.customer[who], self.slots[who], self.margin[who], self.weight[who], ptr,
            self.place[pair], self.value[pair], entry, self.row[spot], self.coef[spot],
        )  # fmt: skip

    @classmethod
    def nothing(cls) -> Core:
        none, ints = np.zeros(0), np.zeros(0, np.int64)
        zero = np.zeros(1, np.int64)
        return cls(ints, np.zeros(0, np.int32), none, none, zero, np.zeros(0, np.int32), none,
                   zero, np.zeros(0, np.int32), none)  # fmt: skip


class _Found(NamedTuple):
    """What one task brings back, before it is added in order: see ``scan.scan``."""

    sums: Floats
    picks: Floats
    who: NDArray[np.int32]
    slots: NDArray[np.int32]
    pairs: NDArray[np.int32]
    margin: Floats
    places: NDArray[np.int32]


def scan_chunk(
    terms: Terms,
    chunk: Chunk,
    at: Reference,
    tally: Tally,
    *,
    threads: int = 1,
    chosen: NDArray[np.bool_] | None = None,
) -> Core:
    """Return the undecided customers of a chunk; add the others to the tally, block by block.

    ``chosen`` (nnz,), where given, is marked True at what is decided.
    """
    if at.valueless:
        chunk = replace(chunk, value=np.zeros_like(chunk.value))
    task = _Task(terms, chunk, at, chosen)
    usage = usage_of_picks(terms, chunk)
    open_ones: list[list[NDArray[Any]]] = [[], [], [], [], []]
    for found in _mapped(task.scan, list(_spans(chunk.n_customers, terms.block)), threads):
        for sums, picks in zip(found.sums.tolist(), found.picks, strict=True):
            tally.exact += sums[0]
            tally.value += sums[1]
            tally.offers += sums[2]
            tally.usage += picks * usage
        for held, part in zip(open_ones, found[2:], strict=True):
            held.append(part)
    core = _core(task, open_ones, threads)
    tally.n_customers += chunk.n_customers
    tally.n_undecided += core.n_customers
    tally.n_pairs += int(chunk.indptr[-1] - chunk.indptr[0])
    return core


def choose_chunk(
    terms: Terms,
    chunk: Chunk,
    at: Reference,
    core: Core,
    core_chosen: NDArray[np.bool_],
    *,
    threads: int = 1,
) -> NDArray[np.bool_]:
    """Return the plan of a chunk, (nnz,) bool in the order of its columns.

    ``at`` is the reference of the pass that made ``core``; ``core_chosen`` (core.n_pairs,) bool.
    ``core`` may hold customers of other chunks too.
    """
    chosen = np.zeros(len(chunk.product), bool)
    task = _Task(terms, chunk, at, chosen)
    for _ in _mapped(task.mark, list(_spans(chunk.n_customers, terms.block)), threads):
        pass
    mark_core(chunk, core, core_chosen, chosen)
    return chosen


def mark_core(
    chunk: Chunk, core: Core, core_chosen: NDArray[np.bool_], chosen: NDArray[np.bool_]
) -> None:
    """Mark what was chosen of the undecided customers of a chunk."""
    first, last = np.searchsorted(core.customer, (chunk.first, chunk.first + len(chunk.indptr) - 1))
    start, stop = core.ptr[first], core.ptr[last]
    owner = np.repeat(core.customer[first:last] - chunk.first, np.diff(core.ptr[first : last + 1]))
    mine = core_chosen[start:stop]
    chosen[chunk.indptr[owner[mine]] + core.place[start:stop][mine]] = True


def _spans(n: int, block: int) -> Iterator[tuple[int, int]]:
    run = _RUN * block
    for lo in range(0, n, run):
        yield lo, min(lo + run, n)


def _mapped(task: Any, spans: list[tuple[int, int]], threads: int) -> Iterator[Any]:
    """Yield the answers of tasks in order, however many threads make them."""
    if threads <= 1 or len(spans) <= 1:
        yield from map(task, spans)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(task, spans)


class _Task:
    """A pass over spans of one chunk, by any thread."""

    def __init__(
        self, terms: Terms, chunk: Chunk, at: Reference, chosen: NDArray[np.bool_] | None
    ) -> None:
        self.terms, self.chunk = terms, chunk
        self.arrays, self.tables = arrays_of(terms, chunk), tables_of(terms, chunk, at)
        self.chosen = np.zeros(0, bool) if chosen is None else chosen

    def scan(self, span: tuple[int, int]) -> _Found:
        """Return the sums and the undecided of a span."""
        found = self._pass(span)
        own: list[Any] = [part.copy() for part in found[2:]]
        return _Found(found.sums, found.picks, *own)

    def mark(self, span: tuple[int, int]) -> None:
        """Mark what a pass decides of a span."""
        self._pass(span)

    def _pass(self, span: tuple[int, int]) -> _Found:
        from jinqiao.engines.allocation.scan import scan

        (lo, hi), chunk, terms = span, self.chunk, self.terms
        blocks = -(-(hi - lo) // terms.block)
        sums = np.zeros((blocks, 3))
        picks = np.zeros((blocks, 1 if chunk.flat else 3, terms.n_cells))
        if chunk.who is None:
            most = int(chunk.indptr[hi] - chunk.indptr[lo])
        else:
            few = chunk.who[lo:hi]
            most = int((chunk.indptr[few + 1] - chunk.indptr[few]).sum())
        who, slots, count = (np.empty(hi - lo, np.int32) for _ in range(3))
        margin, places = np.empty(hi - lo), np.empty(most, np.int32)
        n, n_places = scan(
            self.arrays, self.tables, lo, hi, terms.block, sums, picks, who, slots, count, margin,
            places, self.chosen,
        )  # fmt: skip
        return _Found(sums, picks, who[:n], slots[:n], count[:n], margin[:n], places[:n_places])


def _core(task: _Task, open_ones: list[list[NDArray[Any]]], threads: int) -> Core:
    """Return the undecided of all spans as a core; empty the lists."""
    from jinqiao.engines.allocation.scan import counts, entries

    who, slots, count, margin, place = (_emptied(held) for held in open_ones)
    if not len(who):
        return Core.nothing()
    terms, chunk, arrays, ptr = task.terms, task.chunk, task.arrays, _pointer(count)
    spans = list(_spans(len(who), terms.block))
    rows = Rows(terms.cell_ptr, terms.cell_row, terms.cell_kind, terms.cell_sign, terms.cell_floor)
    entry = space(len(place) + 1, np.int64)
    entry[0] = 0
    for _ in _mapped(
        lambda s: counts(arrays, rows, *s, who, ptr, place, entry[1:]), spans, threads
    ):
        pass
    np.cumsum(entry, out=entry)
    value = space(len(place), np.float64)
    row, coef = (space(int(entry[-1]), kind) for kind in (np.int32, np.float64))
    fill = (who, ptr, place, entry, value, row, coef)
    for _ in _mapped(lambda s: entries(arrays, rows, *s, *fill), spans, threads):
        pass
    customer = (who if chunk.who is None else chunk.who[who]) + np.int64(chunk.first)
    weight = arrays.weight[who.astype(np.int64) * arrays.weight_step]
    return Core(customer, slots, margin, weight, ptr, place, value, entry, row, coef)


def _emptied(held: list[NDArray[Any]]) -> NDArray[Any]:
    found = joined(held) if held else np.zeros(0)
    held.clear()
    return found


def _pointer(count: NDArray[np.int32]) -> Ints:
    pointer = np.zeros(len(count) + 1, np.int64)
    np.cumsum(count, out=pointer[1:])
    return pointer


def _gathered(pointer: Ints, who: Ints) -> tuple[Ints, Ints]:
    """Return the pointer of some of its owners alone, and where what they own lies."""
    count = np.diff(pointer)[who]
    own = np.concatenate(([0], np.cumsum(count)))
    return own, np.repeat(pointer[who] - own[:-1], count) + np.arange(int(own[-1]))


def _chained(pointers: Sequence[Ints]) -> Ints:
    """Return one pointer of several joined ones."""
    parts, total = [pointers[0]], int(pointers[0][-1])
    for pointer in pointers[1:]:
        parts.append(pointer[1:] + total)
        total += int(pointer[-1])
    return joined(parts)
