"""Pairs in memory as the solver's source: passes shared out over threads, samples in place."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation.chunk import (
    Chunk,
    Core,
    Tally,
    choose_chunk,
    mark_core,
    scan_chunk,
)
from jinqiao.engines.allocation.facts import Facts
from jinqiao.engines.allocation.terms import Reference, Terms

__all__ = ["Memory"]

_LEAST, _FEWEST = 300, 30
"""Customers of a segment a sample takes at least, where there are so many; small samples fewer, so
that many segments do not make them large."""


@dataclass(eq=False)
class Memory:
    """A ``search.Source`` over one chunk that holds everyone."""

    chunk: Chunk
    facts: Facts
    threads: int = 1
    _decided: tuple[Reference, NDArray[np.bool_]] | None = None

    def sample(self, terms: Terms, size: int, rng: np.random.Generator) -> Chunk:
        """Return about ``size`` customers with what each stands for, small segments in full."""
        n = self.facts.n_customers
        if size >= n:
            return self.chunk
        counts = self.facts.customers_of_segment
        if np.ndim(self.chunk.segment) == 0 or len(counts) == 1:
            who = _spread(n, size, rng)
            return replace(self.chunk, who=who, weight=np.full(len(who), n / len(who)))
        segment = np.asarray(self.chunk.segment)
        least = min(_LEAST, max(_FEWEST, size // len(counts)))
        wanted = np.minimum(np.maximum(counts * (size / n), least), counts).astype(np.int64)
        few = np.flatnonzero((counts * (size / n) < least) & (counts > 0))
        picked = _spread(n, size, rng)
        picked = picked[~np.isin(segment[picked], few)]
        rare = [np.flatnonzero(segment == s) for s in few]
        rare = [
            own[_spread(len(own), int(k), rng)] for own, k in zip(rare, wanted[few], strict=True)
        ]
        who = np.sort(np.concatenate([picked, *rare]))
        taken = np.bincount(segment[who], minlength=len(counts))
        weight = (counts / np.maximum(taken, 1))[segment[who]]
        return replace(self.chunk, who=who, weight=weight)

    def scan(self, terms: Terms, at: Reference) -> tuple[Tally, Core]:
        """Return one pass over everyone."""
        tally = Tally.empty(terms)
        decided = None
        # Where no price has room, only the bound is wanted: what was decided before is kept.
        if not at.valueless and at.room.any():
            decided = self._flags()
            self._decided = (at, decided)
        core = scan_chunk(terms, self.chunk, at, tally, threads=self.threads, chosen=decided)
        return tally, core

    def _flags(self) -> NDArray[np.bool_]:
        """Return a flag a pair, all False: those of the pass before, where there was one."""
        if self._decided is None:
            return np.zeros(len(self.chunk.product), bool)
        flags = self._decided[1]
        flags[:] = False
        return flags

    def choose(
        self, terms: Terms, at: Reference, core: Core, core_chosen: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Return the plan of everyone."""
        if self._decided is not None and self._decided[0] is at:
            chosen, self._decided = self._decided[1], None
            mark_core(self.chunk, core, core_chosen, chosen)
            return chosen
        return choose_chunk(terms, self.chunk, at, core, core_chosen, threads=self.threads)


def _spread(n: int, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return ``size`` ascending numbers below n: one at random of each of so many equal parts."""
    if size >= n:
        return np.arange(n)
    edges = np.arange(size + 1, dtype=np.int64) * n // size
    return edges[:-1] + (rng.random(size) * np.diff(edges)).astype(np.int64)
