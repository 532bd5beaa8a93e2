"""The search: prices on growing samples, then on everyone, then an integral plan.

Smoothing is wide at first (prices far off still see which rows matter) and narrowed as the sample
grows; a pass at the prices of one sample decides nearly every customer of the next, and Newton
steps and rounding see the undecided alone. Everyone is read two or three times. The best bound and
the best plan met on the way are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation.chunk import Chunk, Core, Tally, scan_chunk
from jinqiao.engines.allocation.dual import Dual, Leash, Meter, Point, price_moves
from jinqiao.engines.allocation.facts import Facts
from jinqiao.engines.allocation.infeasible import conflict, infeasible
from jinqiao.engines.allocation.rounding import Rounded, margins, round_plan
from jinqiao.engines.allocation.scatter import near_prices, unsettled
from jinqiao.engines.allocation.terms import Reference, Terms
from jinqiao.errors import NotConverged

__all__ = ["Found", "Search", "Source"]

FIRST, GROWTH = 2_000, 8
"""Customers of the first sample, and how much larger each next one is."""

_LAST = 1e-6
"""The narrowest smoothing, in units of a customer's mean best value."""

_SMALL, _NEAR = 20_000, 4_000
"""Up to so many customers nobody is decided ahead; so many at least are left to rounding."""

_LOOSE = 1e-2
"""The gap at which a search told to stop is content with its first plan."""

_WARM = 0.1
"""The share of customers left undecided by prices brought along that are near."""

_SCANS, _TRIES, _SHAKES = 6, 4, 20
"""Passes over everyone for one smoothing; roundings of one pass; shaken ones while none holds."""

_WIDER = 3.2
"""How much wider the smoothing is again after prices left their room."""

_ROUNDS = 4
"""Times everyone is settled, each with more left undecided."""

_SURE, _DRAWS = 1.0, 6
"""Standard errors of a price left as its room; draws they are estimated from."""

_BLUR = 1.2e-2
"""Times rows over customers: the share of the value a sample is not asked to settle."""

_SHARE, _LOSS = 0.1, 0.25
"""The share of the gap asked for that prices may be off, and that smoothing may give away."""

_CLEAR = 0.05
"""The widest smoothing at which a small loss says that prices are found."""

Floats = NDArray[np.float64]
Pass = Callable[[Reference], tuple[Tally, Core]]


class Source(Protocol):
    """Where the pairs live: in memory, in files, in partitions.

    A source may have ``most``, how many customers a sample of it may have, and ``polish``, which
    betters what samples say before everyone is passed over.
    """

    facts: Facts

    def sample(self, terms: Terms, size: int, rng: np.random.Generator) -> Chunk:
        """Return about ``size`` customers with what each stands for."""

    def scan(self, terms: Terms, at: Reference) -> tuple[Tally, Core]:
        """Return one pass over everyone."""


@dataclass(frozen=True, eq=False)
class Found:
    """A plan: choices of ``core`` beside what the pass ``at`` decided (``choose_chunk``)."""

    at: Reference
    core: Core
    rounded: Rounded


@dataclass(frozen=True, eq=False)
class _Spot:
    """Where a descent ended: the pass it stood on, and the smoothing it came to."""

    at: Reference
    dual: Dual
    point: Point
    mu: float


@dataclass(eq=False)
class Search:
    """One run over a source. After ``run``: ``bound`` at ``duals``, and ``best``, if any."""

    terms: Terms
    source: Source
    meter: Meter
    seed: int = 0
    gap_target: float = 2e-4
    bound: float = np.inf
    duals: Floats | None = None
    best: Found | None = None
    rng: np.random.Generator = field(init=False)
    rise: Floats | float = 0.0
    """How far a price may rise, (n_cells,), where that is more than its room."""
    sampler: np.random.Generator = field(init=False)
    """Draws samples and nothing else, so that a source may draw ahead what will be asked for."""
    reached: tuple[Floats, float] = field(init=False)
    """The latest prices and their smoothing."""

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.reached = np.zeros(len(self.terms.rows)), 0.1
        self.sampler = np.random.default_rng([self.seed, 1])

    def run(self, warm: Floats | None = None, near: bool = False) -> None:
        """Find prices and a plan; stop at the gap asked for, or when told to.

        ``warm`` are prices to begin with; where they are ``near`` no sample is asked.

        An interruption (Ctrl-C) is taken as such a word; a second one goes through. Where there is
        no plan yet the search goes on to the first one it finds, at a loose gap.
        """
        first, asked = self.scale(), self.gap_target
        with _one_blas_thread():
            try:
                self._run(first, warm, near)
            except KeyboardInterrupt:
                if self.meter.stopped:
                    raise
                self.meter.stopped = True
            if self.meter.stopped and (self.best is None or self.duals is None):
                self.meter.stop, self.gap_target = None, max(asked, _LOOSE)
                self.meter.stopped = False
                duals = self.reached[0]
                self._run(first, duals if duals.any() else warm, near=True)
                self.gap_target, self.meter.stopped = asked, True
        if self.best is None:
            self._refuse()

    def _run(self, first: Chunk, warm: Floats | None, near: bool = False) -> None:
        n, m = self.source.facts.n_customers, len(self.terms.rows)
        near = near or n <= _SMALL
        if warm is not None and not self._helps(first, warm):
            warm = None
        if warm is None or not near:
            duals, mu, room = self._samples(first, warm)
            polish = getattr(self.source, "polish", None)
            if polish is not None:
                given = room
                duals, mu, room = polish(self.terms, (duals, mu, room), self.meter)
                if room is not given:
                    self.rise = 0.0
        else:
            duals, mu = np.minimum(warm, self.terms.ceiling), _narrowest(m, n)
            at = Reference.of(self.terms, duals, np.inf)
            margin = self._scan_sample(first, at)[1].margin
            room = 0.5 * _quantile(margin, _WARM * len(margin)) if n > _SMALL else np.inf
        self._everyone(duals, (mu, _narrowest(m, n)), room)

    def _helps(self, first: Chunk, warm: Floats) -> bool:
        """Say whether the first sample is better bounded by these prices than by none."""
        free = self._scan_sample(first, Reference.of(self.terms, np.zeros(len(warm)), 0.0))[0]
        prices = np.minimum(warm, self.terms.ceiling)
        tally = self._scan_sample(first, Reference.of(self.terms, prices, 0.0))[0]
        return tally.bound(self.terms, prices) < free.exact

    def scale(self) -> Chunk:
        """Measure values and rows on the first sample, and return it."""
        size = _ladder(self.source, len(self.terms.rows))[0]
        first = self.source.sample(self.terms, size, self.sampler)
        at = Reference.of(self.terms, np.zeros(len(self.terms.rows)), np.inf)
        _, core = self._scan_sample(first, at)
        self.terms = self.terms.scaled(*_scales(core, self.terms, self.source.facts))
        return first

    def _samples(self, first: Chunk, warm: Floats | None) -> tuple[Floats, float, float | Floats]:
        """Return prices, smoothing and the room of prices to begin with for everyone."""
        terms, m, n = self.terms, len(self.terms.rows), self.source.facts.n_customers
        ceiling = np.minimum(terms.ceiling, 30.0 * terms.value_scale / terms.size)
        noise, trust = None, 1.0
        room: float | Floats = np.inf
        sizes = _ladder(self.source, m)
        duals, mu = (np.zeros(m), 1.0) if warm is None else (warm, _narrowest(m, sizes[0]))
        for size in sizes[:-1]:
            chunk = first if noise is None else self.source.sample(terms, size, self.sampler)
            spot = self._settle(
                lambda at, chunk=chunk: self._scan_sample(chunk, at),  # type: ignore[misc]
                duals, (mu, _narrowest(m, size)), room, ceiling, _BLUR * m / size,
            )  # fmt: skip
            change = price_moves(terms, self.source.facts, spot.point.duals - duals)
            if noise is not None:
                trust = _ratio(change, noise)
            duals, mu = self.reached = spot.point.duals, spot.mu
            weight = float(np.mean(chunk.weight))
            noise = self._noise(spot, weight)
            room = _SURE * trust * noise if n > _SMALL else np.inf
            fall, rise = near_prices(terms, self.source.facts, spot.dual, spot.point, weight)
            near = max(_NEAR, 20 * m) / max(n, 1) * chunk.n_customers
            room = np.maximum(room, 0.5 * _quantile(margins(spot.dual, duals), near))
            room, self.rise = np.maximum(room, fall), np.maximum(room, rise)
        return duals, mu, room

    def _noise(self, spot: _Spot, weight: float) -> Floats:
        """Return the standard error of each cell's price from having seen a sample, (n_cells,).

        H⁻¹g for the noise g of the rows' use, over a few draws of g.
        """
        point, size = spot.point, self.terms.size
        spread = np.sqrt(np.abs(point.used) * weight / size)
        free = np.flatnonzero(unsettled(self.terms, point, weight))
        if not len(free):
            return np.zeros(self.terms.n_cells)
        matrix = point.hessian[np.ix_(free, free)]
        matrix += np.diag(np.full(len(free), 1e-3 * np.diag(matrix).mean() + 1e-300))
        draws = self.rng.normal(0.0, 1.0, (len(free), _DRAWS)) * spread[free, None]
        square = np.zeros(self.terms.n_cells)
        for draw in np.linalg.solve(matrix, draws).T:
            change = np.zeros(len(size))
            change[free] = draw / size[free]
            square += price_moves(self.terms, self.source.facts, change) ** 2
        return np.sqrt(square / _DRAWS)

    def _scan_sample(self, chunk: Chunk, at: Reference) -> tuple[Tally, Core]:
        tally = Tally.empty(self.terms)
        core = scan_chunk(self.terms, chunk, at, tally)
        self.meter.read += chunk.n_customers * tally.n_pairs // max(len(chunk.indptr) - 1, 1)
        return tally, core

    def _scan_everyone(self, at: Reference) -> tuple[Tally, Core]:
        tally, core = self.source.scan(self.terms, at)
        self.meter.read += self.source.facts.n_pairs
        self._keep(tally.bound(self.terms, at.duals), at.duals)
        return tally, core

    def _settle(
        self,
        scan: Pass,
        duals: Floats,
        mus: tuple[float, float],
        room: float | Floats,
        ceiling: Floats,
        part: float = 0.0,
    ) -> _Spot:
        """Return where prices come to rest, passing again wherever they moved too far for one."""
        mu, least = mus
        fall = np.maximum(room, least * self.terms.value_scale)
        rise = np.maximum(self.rise, fall)
        duals = np.minimum(duals, ceiling)
        for turn in count():
            at = Reference.of(self.terms, duals, fall, rise)
            tally, core = scan(at)
            dual = Dual.of(self.terms, tally, core, self.meter, ceiling)
            dual.far = self.source.facts.n_customers > FIRST
            del core  # held by the dual alone, so that it goes before the next pass
            leash = Leash(self.terms, self.source.facts, at)
            point, mu = self._narrow(dual, duals, (mu, least), leash, part)
            if leash.safe(point.duals) or self.meter.halted() or turn == _SCANS - 1:
                return _Spot(at, dual, point, mu)
            del dual
            up, down = leash.moved(point.duals)
            moved = np.maximum(up, down)
            # What was decided wrongly moves prices again: narrow smoothing would be slow at it.
            duals, mu = point.duals, min(mus[0], _WIDER * mu)
            # Beyond its room a price moves blindly: it may be as far off as it went.
            lost = (up > rise) | (down > fall)
            wide = np.maximum(0.35 * moved, 0.35 * fall * 2**turn)
            wide = np.maximum(np.where(lost, moved, wide), least * self.terms.value_scale)
            if leash.taut:
                wide = np.maximum(wide, fall)
            fall, rise = wide, np.where(np.isinf(rise), rise, wide)
        raise AssertionError

    def _narrow(
        self,
        dual: Dual,
        duals: Floats,
        mus: tuple[float, float],
        leash: Leash,
        part: float = 0.0,
        share: float = _SHARE,
    ) -> tuple[Point, float]:
        """Return the point at the narrower of two smoothings, by way of those between.

        ``part`` of the value is what a sample cannot tell anyway, ``share`` of the gap what prices
        may be off.
        """
        scale, (mu, least) = self.terms.value_scale, mus
        many = self.source.facts.n_customers > FIRST
        steps, share = (25, share) if many else (200, 0.2 * share)
        while True:
            point = dual.at(duals, mu * scale)
            tolerance = max(share * self.gap_target, part) * max(abs(point.smooth), 1e-9 * mu)
            point = dual.descend(point, mu * scale, steps, tolerance, leash)
            duals = point.duals
            spare = max(_LOSS * self.gap_target, 4.0 * part)
            # At a width near the values themselves, x = r/μ may be whole by chance.
            fine = mu <= _CLEAR and point.loss <= spare * abs(point.smooth)
            if mu <= least or fine or leash.taut or self.meter.halted():
                return point, mu
            mu = max(mu / 3.2, least)

    def _everyone(self, duals: Floats, mus: tuple[float, float], room: float | Floats) -> None:
        mu, least = mus
        for turn in range(_ROUNDS):
            if self.best is None and turn == _ROUNDS - 1:
                room = self._all(room)
            spot = self._settle(self._scan_everyone, duals, (mu, least), room, self.terms.ceiling)
            self._keep_point(spot.at, spot.point)
            if self._finish(spot):
                return
            assert self.duals is not None
            duals, mu = self.duals, least
            room = 3.0 * spot.at.room
            if self.best is None and not hasattr(self.source, "polish"):
                room = np.maximum(room, 0.1 * self.terms.value_scale)
            least = max(least * 0.1, _LAST)

    def _finish(self, spot: _Spot) -> bool:
        """Round; say whether the gap asked for is reached, or nothing more can be done."""
        point, mu = spot.point, spot.mu
        duals = point.duals
        leash = Leash(self.terms, self.source.facts, spot.at)
        finer = 0.3
        for turn in range(_TRIES):
            self._round(spot, duals, mu)
            done = self._gap() <= self.gap_target or self.meter.halted()
            if done and self.best is not None:
                return True
            if self.meter.halted():
                return True
            if self.best is None and np.isfinite(spot.at.room).all():
                return False
            blur = point.loss > 0.1 * self.gap_target * abs(self.bound)
            if (blur or turn == 0) and mu > _LAST and not leash.taut:
                mu = max(mu * finer, _LAST) if blur else mu
                point, _ = self._narrow(spot.dual, duals, (mu, mu), leash, share=0.1 * _SHARE)
                duals = point.duals
                self._keep_point(spot.at, point)
        for shake in range(1, _SHAKES + 1):
            if self.best is None:
                self._round(spot, duals, mu, 0.05 * shake)
        return bool(np.isinf(spot.at.room).all())

    def _all(self, room: Any) -> Any:
        """Return the room that leaves everyone open, or the one given where memory has none."""
        return room if hasattr(self.source, "polish") else np.inf

    def _keep_point(self, at: Reference, point: Point) -> None:
        """Keep the bound of a point; pass once more where decisions may not stand there."""
        if Leash(self.terms, self.source.facts, at).safe(point.duals):
            self._keep(point.bound, point.duals)
        elif point.bound < self.bound:  # the true one is above it
            self._scan_everyone(Reference.of(self.terms, point.duals, 0.0))

    def _keep(self, bound: float, duals: Floats) -> None:
        if bound < self.bound:
            self.bound, self.duals = bound, duals
            self.meter.bound = bound
        if self.bound < self._lowest() and self.best is None:
            found = conflict(self.terms, self.source, self.seed)
            if found is not None:
                raise infeasible(found)

    def _lowest(self) -> float:
        """Return what no plan can be worth less than, −inf when a penalty has no end."""
        if not self.terms.hard.all():
            return -np.inf
        facts = self.source.facts
        return facts.lowest - 1e-6 * self.terms.value_scale * max(facts.n_customers, 1)

    def _refuse(self) -> None:
        """Raise: the rows contradict each other, or no integral plan was found."""
        found = conflict(self.terms, self.source, self.seed)
        if found is not None:
            raise infeasible(found)
        raise NotConverged(
            "a fractional plan meets the rows, no integral one was found",
            record=", ".join(row.name for row in self.terms.rows[:5]),
            field="limit",
            fix="widen the tightest floors and ceilings by one pair, or make one soft",
        )

    def _round(self, spot: _Spot, duals: Floats, mu: float, jitter: float = 0.0) -> None:
        width = mu * self.terms.value_scale
        new = round_plan(spot.dual, duals, width, self.rng, jitter)
        if new.excess > 0:
            return
        if self.best is None or new.primal > self.best.rounded.primal:
            self.best = Found(spot.at, spot.dual.core, new)

    def _gap(self) -> float:
        primal = self.best.rounded.primal if self.best else -np.inf
        return max(self.bound - primal, 0.0) / max(abs(self.bound), abs(primal), 1e-12)


def _one_blas_thread() -> Any:
    """Return a context in which small systems are solved by one thread, always the same way."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped,unused-ignore]

    return threadpool_limits(limits=1, user_api="blas")


def _ladder(source: Source, m: int) -> list[int]:
    """Return the sizes of the samples, the last of them everyone."""
    n, most = source.facts.n_customers, getattr(source, "most", None)
    sizes: list[int] = []
    size = max(FIRST, 10 * m)
    while size * 3 < n and (most is None or size <= most or not sizes):
        sizes.append(size)
        size *= GROWTH
    return [*sizes, n]


def _narrowest(m: int, size: int) -> float:
    """Return the smoothing at which a few customers a row are still between two choices."""
    return float(np.clip(2.0 * max(m, 5) / max(size, 1), 1e-5, 0.1))


def _ratio(change: Floats, noise: Floats) -> float:
    """Return how much wider changes scatter than foretold, by their middle ones."""
    known = noise > 0
    if not known.any():
        return 1.0
    return float(np.clip(np.median(change[known] / noise[known]) / 0.6745, 0.3, 3.0))


def _quantile(margin: Floats, count: float) -> float:
    """Return the width within which so many of these customers are."""
    margin = margin[np.isfinite(margin)]
    place = int(count)
    if place >= len(margin):
        return float(margin.max(initial=0.0)) * 1.01
    return float(np.partition(margin, place)[place])


def _scales(core: Core, terms: Terms, facts: Facts) -> tuple[float, Floats]:
    """Return a customer's mean best value, and each row's mean absolute coefficient."""
    m = len(terms.rows)
    owner = np.repeat(np.arange(core.n_customers), np.diff(core.ptr))
    weight = core.weight[owner]
    best = np.zeros(core.n_customers)
    np.maximum.at(best, owner, core.value)
    total = float(core.weight.sum())
    scale = float(best @ core.weight) / total if total else 0.0
    if scale <= 0.0 and core.n_pairs:
        scale = float(np.abs(core.value).mean())
    per_entry = np.repeat(weight, np.diff(core.entry))
    amount = np.bincount(core.row, np.abs(core.coef) * per_entry, minlength=m)
    members = np.bincount(core.row, per_entry, minlength=m)
    use, cost = float(facts.use_most.mean()), float(facts.cost_most.mean())
    usual = np.array([cost if row.measure == "cost" else use for row in terms.rows])
    size = np.where(members > 0, amount / np.maximum(members, 1.0), usual)
    return scale or 1.0, np.where(size > 0, size, 1.0)
