"""What is done to a span of customers, in this process or in a partition's."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation.chunk import Chunk, Core, Tally, choose_chunk, scan_chunk
from jinqiao.engines.allocation.terms import Reference, Terms
from jinqiao.match.files.layout import PairFiles
from jinqiao.match.files.polish import thinned
from jinqiao.match.files.reader import Part, ahead, parts, step_of
from jinqiao.match.files.survey import Index

__all__ = ["core_of", "gathered", "joined", "sample_span", "scan_span", "spans_of", "write_span"]

STRETCH = 64_000_000
"""Pairs between two checkpoints of a pass, about; also a partition's share and a plan file's."""

Span = tuple[int, int]


def spans_of(index: Index, block: int, pairs: int = STRETCH, least: int = 1) -> list[Span]:
    """Return spans of customers of about so many pairs, ``least`` of them if there are customers
    enough; each begins at a multiple of the block, so that sums of blocks stay the same."""
    n = index.n_customers
    wanted = max(index.n_pairs // pairs, least, 1)
    step = block * max(-(-n // (wanted * block)), 1)
    return [(low, min(low + step, n)) for low in range(0, n, step)]


def scan_span(
    files: PairFiles, index: Index, terms: Terms, at: Reference, span: Span, tally: Tally,
    threads: int = 1, share: float = 1.0,
) -> Core:  # fmt: skip
    """Return a share of the undecided customers of a span; add the others to the tally."""
    step = step_of(index, terms.block)
    return Core.joined([
        thinned(scan_chunk(terms, part.chunk, at, tally, threads=threads), share)
        for part in ahead(parts(files, index, span, step, threads=threads > 1))
    ])  # fmt: skip


def sample_span(
    files: PairFiles, index: Index, block: int, span: Span, whos: Sequence[NDArray[np.int64]]
) -> list[Chunk]:
    """Return, for each list of customers, ascending, those of a span in a chunk of their own."""
    found: list[list[Chunk]] = [[] for _ in whos]
    for part in ahead(parts(files, index, span, step_of(index, block))):
        first, n = part.chunk.first, len(part.customer)
        for who, kept in zip(whos, found, strict=True):
            low, high = np.searchsorted(who, (first, first + n))
            kept.append(gathered(part.chunk, who[low:high] - first))
    return [joined(kept) for kept in found]


def gathered(chunk: Chunk, who: NDArray[np.int64]) -> Chunk:
    """Return some customers of a chunk, numbered from 0."""
    counts = np.diff(chunk.indptr)[who]
    indptr = np.concatenate(([0], np.cumsum(counts)))
    place = np.repeat(chunk.indptr[who] - indptr[:-1], counts) + np.arange(int(indptr[-1]))
    columns = {
        name: column[place if name in _OF_PAIRS else who]
        for name in (*_OF_PAIRS, "segment", "slots")
        if np.ndim(column := getattr(chunk, name)) == 1
    }
    return replace(chunk, indptr=indptr, first=0, **columns)


_OF_PAIRS = ("product", "value", "use", "cost", "approval")


def joined(chunks: Sequence[Chunk]) -> Chunk:
    """Return chunks one after another as one, numbered from 0."""
    indptr, total = [np.zeros(1, np.int64)], 0
    for chunk in chunks:
        indptr.append(chunk.indptr[1:] - chunk.indptr[0] + total)
        total += int(chunk.indptr[-1] - chunk.indptr[0])
    columns = {
        name: np.concatenate([getattr(chunk, name) for chunk in chunks])
        for name in (*_OF_PAIRS, "segment", "slots")
        if np.ndim(getattr(chunks[0], name)) == 1
    }
    return replace(chunks[0], indptr=np.concatenate(indptr), first=0, **columns)


def core_of(core: Core, chosen: NDArray[np.bool_], span: Span) -> tuple[Core, NDArray[np.bool_]]:
    """Return the customers of a span in a core, with their choices."""
    low, high = (int(i) for i in np.searchsorted(core.customer, span))
    start, stop = int(core.ptr[low]), int(core.ptr[high])
    none = np.zeros(0)
    own = replace(
        Core.nothing(), customer=core.customer[low:high], ptr=core.ptr[low : high + 1] - start,
        place=core.place[start:stop], value=none,
    )  # fmt: skip
    return own, chosen[start:stop]


def write_span(
    files: PairFiles, index: Index, terms: Terms, at: Reference, span: Span,
    choices: tuple[Core, NDArray[np.bool_]], place: Path,
) -> int:  # fmt: skip
    """Write the plan of a span as one Parquet file, all or nothing; return its offers."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kind = pa.uint16() if files.n_products <= 2**16 else pa.int32()
    schema = pa.schema([("customer", pa.int64()), ("product", kind), ("value", pa.float64())])
    beside, offers = place.with_suffix(f".{os.getpid()}.part"), 0
    core, chosen = choices
    with pq.ParquetWriter(beside, schema, compression="zstd", use_dictionary=["product"]) as out:
        for part in _parts(files, index, terms, span):
            mine = choose_chunk(terms, part.chunk, at, core, chosen)
            table = _offers(part, mine, schema)
            out.write_table(table)
            offers += table.num_rows
    os.replace(beside, place)
    return offers


def _parts(files: PairFiles, index: Index, terms: Terms, span: Span) -> Iterator[Part]:
    return ahead(parts(files, index, span, step_of(index, terms.block)))


def _offers(part: Part, chosen: NDArray[np.bool_], schema: Any) -> Any:
    import pyarrow as pa

    where = np.flatnonzero(chosen)
    owner = np.searchsorted(part.chunk.indptr, where, side="right") - 1
    columns = [
        part.customer[owner], part.chunk.product[where],
        part.chunk.value[where].astype(np.float64),
    ]  # fmt: skip
    return pa.table(columns, schema=schema)
