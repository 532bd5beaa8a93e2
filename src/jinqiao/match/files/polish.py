"""Prices of a sample made right for everyone, by passes that keep few of those they leave open.

A pass decides a customer only where the prices of a sample are sure enough; for tens of millions of
customers those of a million are not, and too many would be kept open at once. So the first passes
keep some of the open ones, drawn by their numbers, each with the weight of those it stands for:
what is decided is summed over everyone, and only what is open is a sample. Its scatter is a small
part of the scatter of a sample of everyone, and one pass or two bring prices to where the next one
leaves as few open as memory allows. No bound is taken from them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation.chunk import Chunk, Core, Tally, scan_chunk
from jinqiao.engines.allocation.dual import Dual, Leash, Meter
from jinqiao.engines.allocation.terms import Reference, Terms

__all__ = ["OPEN", "polished", "thinned"]

OPEN = 1_000_000
"""Customers a pass may leave open."""

_TURNS, _NARROWER = 3, 3.2
"""Passes that keep some, at most; how much narrower each smoothing is than the one before."""

_SPARE, _LATE = 0.5, 0.1
"""The share of ``OPEN`` that is aimed at; of what a price moved, the share it may still move."""

_SEEN = 40_000
"""Customers of a sample that margins are taken from."""

Floats = NDArray[np.float64]
Spot = tuple[Floats, float, Any]


def thinned(core: Core, share: float) -> Core:
    """Return about a share of a core's customers, each standing for 1/share; the same ones always.

    Who is kept depends on a customer's number alone (Knuth's multiplicative hash), so that chunks
    and partitions do not matter.
    """
    if share >= 1.0:
        return core
    mixed = (core.customer.astype(np.uint64) * np.uint64(2_654_435_761)) & np.uint64(0xFFFFFFFF)
    kept = core.taken(np.flatnonzero(mixed < np.uint64(share * 2**32)))
    return replace(kept, weight=kept.weight / share)


def polished(terms: Terms, source: Any, spot: Spot, meter: Meter) -> Spot:
    """Return prices, smoothing and room to begin a pass with, that leaves few enough open.

    ``spot`` is the same from the samples; it is returned as it is where it leaves few open.
    """
    duals, mu, room = spot
    n, most = source.index.n_customers, source.open
    sample = None if source.latest is None else _thinner(source.latest)
    if sample is None or _share(terms, sample, duals, room) * n <= _SPARE * most:
        return spot
    weight = n / max(source.latest.n_customers, 1)
    for _ in range(_TURNS):
        share = _share(terms, sample, duals, room)
        if share * n <= _SPARE * most or meter.halted():
            break
        kept = min(1.0, _SPARE * most / (share * n))
        at = Reference.of(terms, duals, room)
        tally, core = source.scan(terms, at, kept)
        meter.read += source.index.n_pairs
        leash = Leash(terms, source.facts, at)
        duals, mu = _narrowed(Dual.of(terms, tally, core, meter, terms.ceiling), at, mu, leash)
        moved = np.maximum(*leash.moved(duals))
        # What scatters now is who was kept of the open ones.
        scatter = tally.n_undecided * (1.0 / kept - 1.0) / (n * max(weight - 1.0, 1e-9))
        narrower = room * float(np.clip(np.sqrt(scatter), 0.1, 1.0))
        room = np.maximum(room, moved) if leash.taut else np.maximum(narrower, _LATE * moved)
    while _share(terms, sample, duals, room) * n > most:
        room = 0.8 * room
    return duals, mu, room


def _narrowed(dual: Dual, at: Reference, mu: float, leash: Leash) -> tuple[Floats, float]:
    """Return prices at rest at ever narrower smoothings, down to what the customers kept tell."""
    terms, duals = dual.terms, at.duals
    # So narrow that some twenty of the customers kept are between two choices for each row.
    usual = float(np.median(np.minimum(at.room, terms.value_scale))) / terms.value_scale
    least = min(mu, max(40.0 * len(terms.rows) * usual / max(dual.core.n_customers, 1), 1e-5))
    while True:
        width = mu * terms.value_scale
        point = dual.at(duals, width)
        duals = dual.descend(point, width, 25, 2e-6 * abs(point.smooth), leash).duals
        if mu <= least or leash.taut or dual.meter.halted():
            return duals, mu
        mu = max(mu / _NARROWER, least)


def _thinner(sample: Chunk) -> Chunk:
    """Return a sample of which few enough are looked at that all of them may be left open."""
    who = np.arange(0, sample.n_customers, -(-sample.n_customers // _SEEN))
    return replace(sample, who=who, weight=1.0)


def _scanned(terms: Terms, sample: Chunk, duals: Floats, room: Any) -> Core:
    return scan_chunk(terms, sample, Reference.of(terms, duals, room), Tally.empty(terms))


def _share(terms: Terms, sample: Chunk, duals: Floats, room: Any) -> float:
    core = _scanned(terms, sample, duals, room)
    return core.n_customers / max(sample.n_customers, 1)
