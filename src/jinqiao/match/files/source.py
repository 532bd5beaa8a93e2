"""Files as the solver's source: a pass reads them once, and keeps what it found as it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation.chunk import Chunk, Core, Tally
from jinqiao.engines.allocation.dual import Meter
from jinqiao.engines.allocation.facts import Facts
from jinqiao.engines.allocation.memory import Memory
from jinqiao.engines.allocation.search import GROWTH
from jinqiao.engines.allocation.terms import Reference, Terms
from jinqiao.match.files.journal import Journal, key_of, scan_key
from jinqiao.match.files.layout import PairFiles
from jinqiao.match.files.polish import OPEN, polished
from jinqiao.match.files.spans import joined, sample_span, scan_span, spans_of
from jinqiao.match.files.survey import Index, packed, survey_group, surveyed, unpacked

__all__ = ["FileSource", "FilesProgress", "Watch"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Whos = list[Ints]


@dataclass(frozen=True, slots=True)
class FilesProgress:
    """Where a run over files is: ``stage`` is survey, sample, pass or write; ``number`` counts the
    stage's turns from 1; ``pairs_per_s`` is nan without a clock."""

    stage: str
    number: int
    pairs_done: int
    pairs_total: int
    pairs_per_s: float
    resumed: bool = False


@dataclass(eq=False)
class Watch:
    """Whom a run tells, and the clock (seconds, such as ``time.monotonic``) it takes rates from."""

    progress: Callable[[FilesProgress], None] | None = None
    clock: Callable[[], float] | None = None
    numbers: dict[str, int] = field(default_factory=dict)
    began: float = 0.0
    skipped: int = 0
    executors: set[str] = field(default_factory=set)
    """The executors that have worked so far, where the run is on Spark."""
    received: int = 0
    """Bytes that executors have sent."""

    def begin(self, stage: str) -> None:
        """Begin a turn of a stage."""
        self.numbers[stage] = self.numbers.get(stage, 0) + 1
        self.began, self.skipped = self.clock() if self.clock else 0.0, 0

    def tell(self, stage: str, done: int, total: int, *, resumed: bool = False) -> None:
        """Say how far the turn is; what was kept from an earlier run counts for no rate."""
        if resumed:
            self.skipped = done
        if self.progress is None:
            return
        passed = self.clock() - self.began if self.clock else 0.0
        rate = (done - self.skipped) / passed if passed > 0 else float("nan")
        number = self.numbers.get(stage, 1)
        self.progress(FilesProgress(stage, number, done, total, rate, resumed))


@dataclass(eq=False)
class FileSource:
    """A ``search.Source`` over files. ``most`` customers at most are sampled."""

    files: PairFiles
    index: Index
    journal: Journal
    watch: Watch
    threads: int = 1
    most: int = 1_500_000
    stretch: int = 64_000_000
    open: int = OPEN
    latest: Chunk | None = None
    """The latest sample."""
    _read: dict[str, Chunk] = field(default_factory=dict)

    @property
    def facts(self) -> Facts:
        return self.index.facts

    def sample(self, terms: Terms, size: int, rng: np.random.Generator) -> Chunk:
        """Return about ``size`` customers with what each stands for, small segments in full."""
        coming = _sizes(size, self.index.n_customers, self.most)
        ahead_rng = np.random.default_rng()
        ahead_rng.bit_generator.state = rng.bit_generator.state
        who, weight = drawn(self.index, terms, size, rng)
        name = f"sample-{key_of(who)}"
        chunk = self._read.pop(name, None)
        if chunk is None:
            chunk = self.journal.get_chunk(name)
        if chunk is None:
            whos = [drawn(self.index, terms, one, ahead_rng)[0] for one in coming]
            names = [f"sample-{key_of(one)}" for one in whos]
            found = self.read_samples(terms, whos)
            for one, read in zip(names, found, strict=True):
                self.journal.put_chunk(one, read)
            self._read |= dict(zip(names, found, strict=True))
            chunk = self._read.pop(name)
        self.latest = replace(chunk, weight=weight)
        return self.latest

    def polish(
        self, terms: Terms, spot: tuple[Any, float, Any], meter: Meter
    ) -> tuple[Any, float, Any]:
        """Return prices, smoothing and room that leave no more open than memory has room for."""
        found = polished(terms, self, spot, meter)
        self.latest = None
        return found

    def read_samples(self, terms: Terms, whos: Whos) -> list[Chunk]:
        """Return each list of customers in a chunk of its own, all by one pass."""
        self.watch.begin("sample")
        found = []
        for span in spans_of(self.index, terms.block, self.stretch):
            found.append(sample_span(self.files, self.index, terms.block, span, whos))
            self.watch.tell("sample", _pairs(self.index, span[1]), self.index.n_pairs)
        return [joined(list(chunks)) for chunks in zip(*found, strict=True)]

    def scan(self, terms: Terms, at: Reference, share: float = 1.0) -> tuple[Tally, Core]:
        """Return one pass over everyone, block after block; go on where a killed run was.

        A ``share`` below 1 keeps that much of the undecided, each with the weight of the others.
        """
        name, cores = f"{scan_key(at)}-{share:.9g}", []
        tally = Tally.empty(terms)
        self.watch.begin("pass")
        for number, span in enumerate(spans_of(self.index, terms.block, self.stretch)):
            kept = self.journal.get_scan(f"{name}/{number}")
            if kept is not None:
                tally, core = kept
            else:
                core = scan_span(
                    self.files, self.index, terms, at, span, tally, self.threads, share
                )
                self.journal.put_scan(f"{name}/{number}", tally, core)
            cores.append(core)
            done = _pairs(self.index, span[1])
            self.watch.tell("pass", done, self.index.n_pairs, resumed=kept is not None)
        return tally, Core.joined(cores)


def drawn(
    index: Index, terms: Terms, size: int, rng: np.random.Generator
) -> tuple[Ints, float | NDArray[np.float64]]:
    """Return the customers a sample in memory would have, ascending, and their weights."""
    if size >= index.n_customers:
        return np.arange(index.n_customers), 1.0
    none = np.zeros(0)
    segment = index.segments if index.segments.size else 0
    chunk = Chunk(np.zeros(1, np.int64), none, none, segment=segment)
    found = Memory(chunk, index.facts).sample(terms, size, rng)
    assert found.who is not None
    return found.who, found.weight


def survey(files: PairFiles, journal: Journal, watch: Watch) -> Index:
    """Return the index of files, every row of which is checked."""
    kept = journal.get("survey")
    if kept is not None:
        return unpacked(kept)
    watch.begin("survey")
    total, done, found, file, number = _rows(files), 0, [], None, -1
    for place in files.places:
        if place.file != number:
            file, number = files.opened(place.file), place.file
        found.append(survey_group(files, place, file, 1))
        done += found[-1].n_pairs
        watch.tell("survey", done, total)
    index = surveyed(files, found, 1)
    journal.put("survey", packed(index))
    return index


def _rows(files: PairFiles) -> int:
    return sum(files.opened(n).metadata.num_rows for n in range(len(files.files)))


def _sizes(size: int, n: int, most: int) -> list[int]:
    """Return a sample's size and those that will be asked for after it."""
    sizes = [size]
    while sizes[-1] * GROWTH * 3 < n and sizes[-1] * GROWTH <= most:
        sizes.append(sizes[-1] * GROWTH)
    return sizes


def _pairs(index: Index, customer: int) -> int:
    """Return about how many pairs lie before a customer."""
    return index.n_pairs * customer // max(index.n_customers, 1)
