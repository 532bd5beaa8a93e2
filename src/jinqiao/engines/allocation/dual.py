"""Prices by projected Newton steps on the smoothed dual of a core.

Minimise D_μ(λ) = Σ_c smoothed part + λ·b over 0 ≤ λ ≤ ceiling. D_μ is convex, once
differentiable and piecewise quadratic; its generalised Hessian is a sum over marginal customers, so
a semi-smooth Newton step (Qi & Sun 1993) costs the pass that is made anyway. A step stays within a
box of trust, which grows and shrinks as it keeps its promise (``box``). Rows are scaled by their
typical coefficient: y = λ · size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation.box import Box
from jinqiao.engines.allocation.chunk import Core, Tally
from jinqiao.engines.allocation.facts import Facts
from jinqiao.engines.allocation.sweep import CoreArrays, sweep
from jinqiao.engines.allocation.terms import Reference, Terms

__all__ = ["Dual", "Leash", "Meter", "Point", "core_arrays", "price_moves"]

Floats = NDArray[np.float64]
Progress = Callable[[dict[str, float]], None]


@dataclass(frozen=True, eq=False)
class Point:
    """The dual at one price vector; ``marginal`` customers are between two choices there."""

    duals: Floats
    bound: float
    smooth: float
    loss: float
    """exact − fractional part: what smoothing gives away."""
    used: Floats
    gradient: Floats
    hessian: Floats
    marginal: int


@dataclass(eq=False)
class Meter:
    """What the search has read so far, in pairs, and whom it tells; ``stop`` ends it early."""

    n_pairs: int
    progress: Progress | None = None
    stop: Callable[[], bool] | None = None
    read: int = 0
    bound: float = np.inf
    """The best bound so far."""
    stopped: bool = False
    trace: list[dict[str, float]] = field(default_factory=list)

    @property
    def passes(self) -> float:
        return self.read / max(self.n_pairs, 1)

    def tell(self, **event: float) -> None:
        """Note what a pass found and hand it to the caller."""
        event["passes"], event["bound"] = self.passes, self.bound
        self.trace.append(event)
        if self.progress is not None:
            self.progress(event)

    def halted(self) -> bool:
        """Say whether to come to an end; once true it stays so."""
        self.stopped = self.stopped or (self.stop is not None and self.stop())
        return self.stopped


def core_arrays(core: Core) -> CoreArrays:
    """Return a core as the kernels read it."""
    return CoreArrays(
        core.slots, core.weight, core.ptr, core.value, core.entry, core.row, core.coef
    )


@dataclass(eq=False)
class Leash:
    """How far prices may move from those of a pass.

    Within the room of each cell what the pass decided stays decided (``safe``). A descent may go
    some way beyond, where nearly all of it still does, before it is ``taut`` and the pass is made
    again.
    """

    terms: Terms
    facts: Facts
    at: Reference
    taut: bool = False

    @property
    def reach(self) -> tuple[Floats, Floats]:
        """How far prices may rise and fall before the pass is made again, (n_cells,) each."""
        room = self.at.room
        finite = room[np.isfinite(room)]
        usual = float(np.sqrt(np.mean(finite**2))) if len(finite) else 0.0
        return 3.0 * self.at.rise + 2.0 * usual, 3.0 * room + 2.0 * usual

    def safe(self, duals: Floats) -> bool:
        """Say whether every decision of the pass stands at these prices."""
        up, down = self.moved(duals)
        return bool((up <= self.at.rise).all() and (down <= self.at.room).all())

    def moved(self, duals: Floats) -> tuple[Floats, Floats]:
        """Return by how much the price of a pair of each cell has risen and fallen at most."""
        return price_ways(self.terms, self.facts, duals - self.at.duals)

    def passed(self, duals: Floats) -> bool:
        """Say whether the price of a cell is out of reach."""
        (up, down), (rise, fall) = self.moved(duals), self.reach
        return bool((up > rise).any() or (down > fall).any())

    def held(self, start: Floats, end: Floats) -> Floats:
        """Return the prices on the way from start to end where the leash is taut."""
        low, high = 0.0, 1.0
        for _ in range(8):
            middle = 0.5 * (low + high)
            if self.passed(start + middle * (end - start)):
                high = middle
            else:
                low = middle
        return start + low * (end - start)


def price_moves(terms: Terms, facts: Facts, change: Floats) -> Floats:
    """Return the most the price of a pair of each cell moves by a change of duals, (n_cells,)."""
    most: Floats = np.maximum(*price_ways(terms, facts, change))
    return most


def price_ways(terms: Terms, facts: Facts, change: Floats) -> tuple[Floats, Floats]:
    """Return the most the price of a pair of each cell rises and falls, (n_cells,) each.

    A pair's price moves by use·(count + chance·approval) + cost·money, bilinear, so that it moves
    most where use, chance and cost are at an end of their range: exactly that where a product has
    one use and one cost, and what a quota and a budget move against each other is taken off.
    """
    count, cost, approval = terms.tables(change)
    use_range, cost_range = (np.tile(one, terms.n_segments) for one in facts.ranges())
    by_use = np.concatenate((use_range * count, use_range * (count + approval)))
    by_cost = cost_range * cost
    up = by_use.max(axis=0) + by_cost.max(axis=0)
    down = by_use.min(axis=0) + by_cost.min(axis=0)
    return up, -down


@dataclass(eq=False)
class Dual:
    """The dual of a core beside what is decided: D(λ) = decided(λ) + core(λ) + λ·b.

    ``decided`` is linear in λ: value − λ·used, true while no decision changes.
    """

    terms: Terms
    core: Core
    value: float
    used: Floats
    ceiling: Floats
    meter: Meter
    everyone: float
    box: Box = field(default_factory=Box)
    patience: int = 4
    """So many steps in a row may bring nothing, each tried within a narrower box."""
    far: bool = False
    """Whether prices may be far off: then steps that widen the box are not such."""

    @classmethod
    def of(cls, terms: Terms, tally: Tally, core: Core, meter: Meter, ceiling: Floats) -> Dual:
        used = terms.row_sums(tally.usage)
        return cls(terms, core, tally.value, used, ceiling, meter, float(tally.n_customers))

    def at(self, duals: Floats, mu: float) -> Point:
        """Return the dual at prices with smoothing of width mu, in units of value."""
        terms, m = self.terms, len(self.terms.rows)
        used, hessian = self.used.copy(), np.zeros((m, m))
        exact, smooth, fractional, marginal = sweep(
            core_arrays(self.core), duals, mu, used, hessian
        )
        self.meter.read += self.core.n_pairs
        decided = self.value + float(duals @ (terms.limit - self.used))
        size = terms.size
        hessian = hessian + hessian.T - np.diag(np.diag(hessian))
        hessian /= mu * size
        hessian /= size[:, None]
        return Point(
            duals, decided + exact, decided + smooth, exact - fractional, used,
            (terms.limit - used) / size, hessian, marginal,
        )  # fmt: skip

    def descend(
        self, point: Point, mu: float, steps: int, tolerance: float, leash: Leash | None = None
    ) -> Point:
        """Return the point after Newton steps; stop when a step promises less than tolerance.

        A step that would pull the leash taut ends there.
        """
        size = self.terms.size
        upper = self.ceiling * size
        reach, box = 4.0 * mu, self.box
        recent: list[float] = []
        for _ in range(steps):
            # Steps that promise much and bring nothing: kinks narrower than mu.
            stuck = len(recent) >= self.patience and sum(recent[-self.patience :]) < tolerance
            if self.meter.halted() or stuck:
                break
            y = point.duals * size
            step = box.step(
                point.hessian, point.gradient, np.maximum(-y, -reach), np.minimum(upper - y, reach)
            )
            promise = -float(point.gradient @ step + 0.5 * step @ point.hessian @ step)
            longest = float(np.abs(step).max(initial=0.0))
            boxed = longest >= reach * (1 - 1e-9)
            # A small promise says nothing where a narrow box is what keeps it small.
            if promise <= 0.0 or (promise <= tolerance and not (boxed and reach > 1e-4 * mu)):
                break
            moved = np.minimum(np.clip(y + step, 0.0, upper) / size, self.ceiling)
            taut = leash is not None and leash.passed(moved)
            if taut:
                assert leash is not None
                moved = leash.held(point.duals, moved)
            new = self.at(moved, mu)
            ratio = (point.smooth - new.smooth) / promise
            self.meter.tell(mu=mu, estimate=new.bound, loss=new.loss, customers=self.everyone)
            if taut:
                assert leash is not None
                leash.taut = True
                return new if ratio > 0.0 else point
            growing = ratio > 0.5 and boxed
            # A price far off, of a limit of 0 perhaps, brings little until the box is wide enough.
            if not (growing and self.far):
                recent.append(max(point.smooth - new.smooth, 0.0))
            if ratio > 1e-4:
                point = new
            if ratio < 0.2:
                reach = longest * 0.3
            elif growing:
                reach *= 4.0
        return point
