"""A day replayed: visits in order, each ranked by value − price, hard limits never passed.

Every offer shown has a whole unit of each of its limits reserved until its visitor has clicked or
not; a click-out keeps it until its report, or its hold, has come. Prices are set at the beginning
of each tick, from what is posted and what open click-outs are expected to become.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation import LimitRow, Plan, solve
from jinqiao.match.policies import Policy, Seen
from jinqiao.match.stream import Feedback, Stream, arrays_of, open_chance

__all__ = ["Clicks", "Replayed", "hindsight", "replay"]

Floats = NDArray[np.float64]

_DEBT_SHARE = 0.02
"""A hard approval floor may owe so much of what it is still to see, so nothing at the day's end."""


@dataclass(frozen=True, eq=False)
class Clicks:
    """Every click-out in order of its taking, (k,) each.

    ``pair`` · ``taken_tick`` when its units were reserved · ``told_tick`` when its report or its
    hold's end came (the number of ticks: not today) · ``kept`` whether it counts in the end, so
    that its units stay taken · ``approved`` whether it also counts for limits on approvals. What
    came after its hold and found units again is a click-out of its own.
    """

    pair: NDArray[np.int64]
    taken_tick: NDArray[np.int64]
    told_tick: NDArray[np.int64]
    kept: NDArray[np.bool_]
    approved: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Replayed:
    """What a day came to under one policy.

    ``value`` : expected value of everything shown. ``used`` (m,) : of hard ceilings what is posted
    or reserved at the end, of other rows what was shown for, in expectation. ``over`` (m,) : the
    most a hard ceiling was ever passed by, as a share of it. ``missed`` (m,) : what a floor lacks,
    as a share of it (of a rate: of all that was weighed for it). ``late`` : reports that found no
    free unit. ``duals_by_tick``, ``used_by_tick`` (ticks, m). ``shown`` (n, K) : pairs, or −1.
    """

    value: float
    used: Floats
    over: Floats
    missed: Floats
    late: int
    duals_by_tick: Floats
    used_by_tick: Floats
    elapsed: Floats
    shown: NDArray[np.int64]
    clicks: Clicks

    def share_of(self, bound: float) -> float:
        """Return the value as a share of a bound, such as the hindsight optimum's."""
        return self.value / bound if bound else 1.0


def hindsight(
    stream: Stream, rows: Sequence[LimitRow], *, n_products: int, seed: int = 0
) -> Plan:  # fmt: skip
    """Return the plan of who knew every visit: no policy passes its certificate's ``dual_bound``.

    With feedback the bound holds in expectation: limits are charged expected use.
    """
    plan: Plan = solve(stream.pairs, stream.slots, rows, n_products=n_products, seed=seed)
    return plan


def replay(
    stream: Stream,
    rows: Sequence[LimitRow],
    policy: Policy,
    *,
    n_products: int,
    ticks: int = 480,
    seed: int = 0,
) -> Replayed:
    """Return what a day comes to when a policy sets the prices.

    Parameters
    ----------
    stream : the visits, in order. rows : limits; hard ``<=`` rows are never passed, by what is
        posted and reserved together. A hard approval floor is guarded: an offer below it is shown
        only while the floor owes at most a share of what it is still to see.
    policy : prices by what is seen, called at the beginning of every tick (``policies``).
    ticks : parts of the day; reports are taken in and prices set once in each.
    seed : of clicks and reports. The same seed gives every policy the same luck.

    Raises
    ------
    InputError : rows or pairs that ``solve`` would refuse too.

    Examples
    --------
    >>> from jinqiao.match import LimitRow, Pairs, Stream
    >>> from jinqiao.match.policies import fixed
    >>> pairs = Pairs([0, 1, 2], [0, 0], [1.0, 5.0])
    >>> quota = LimitRow("quota", "<=", 1, "count", [0])
    >>> day = Stream(pairs, 1, [0.2, 0.7])
    >>> [replay(day, [quota], fixed([price]), n_products=1).value for price in (0.0, 2.0)]
    [1.0, 5.0]
    """
    day = _Day(stream, tuple(rows), n_products, ticks, seed)
    for tick in range(ticks):
        day.step(tick, policy)
    return day.result()


class _Day:
    """One replay under way."""

    def __init__(
        self, stream: Stream, rows: tuple[LimitRow, ...], n_products: int, ticks: int, seed: int
    ) -> None:
        self.stream, self.rows, self.ticks = stream, rows, ticks
        self.a = arrays_of(stream, rows, n_products)
        self.fold = _Fold(self.a)
        n, m = stream.pairs.n_customers, len(rows)
        degree = int(np.diff(stream.pairs.indptr).max(initial=0))
        places = min(int(self.a.slots.max(initial=0)), degree)
        self.limit = np.array([row.limit for row in rows], np.float64)
        self.left, self.spent, self.gross = self.limit.copy(), np.zeros(m), np.zeros(m)
        self.rng = np.random.default_rng([seed, 1])
        self.luck = np.random.default_rng([seed, 0]).random((n, places))
        self.shown = np.full((n, places), -1, np.int64)
        self.clicked = np.empty(n * places, np.int64)
        self.n_clicked = 0
        self.open = _Open(stream, self.a, ticks)
        self.units = _conversions(self.a, self.rows, self.limit)
        edges = np.searchsorted(stream.at, np.arange(ticks + 1) / ticks)
        edges[-1] = n
        self.edges = edges
        self.value, self.over = 0.0, np.zeros(m)
        self.duals, self.used = np.zeros((ticks, m)), np.zeros((ticks, m))
        self.elapsed = np.array([stream.elapsed(k / ticks) for k in range(ticks)])

    def step(self, tick: int, policy: Policy) -> None:
        from jinqiao.match.visits import serve

        at, elapsed = tick / self.ticks, float(self.elapsed[tick])
        self.open.report(tick, at, self.left)
        used = np.where(
            self.a.hard, self.limit - self.left - self.open.unlikely(at, len(self.rows)), self.spent
        )
        share = self._share(used, elapsed)
        span = (int(self.edges[tick]), int(self.edges[tick + 1]))
        seen = Seen(self.stream, self.rows, elapsed, used, share, span[0], self.units)
        duals = np.asarray(policy(seen), np.float64)
        self.duals[tick], self.used[tick] = duals, used
        rate = self.gross / max(elapsed, 1.0 / self.ticks)
        least = self.limit - _DEBT_SHARE * rate * (1.0 - elapsed)
        before = self.n_clicked
        total, self.n_clicked = serve(
            self.a, span, self.fold.tables(duals), self.left, np.abs(self.limit), least,
            (self.spent, self.gross), self.luck, self.shown, self.clicked, self.n_clicked,
        )  # fmt: skip
        self.value += float(total)
        self.open.click(self.clicked[before : self.n_clicked], tick, self.rng)
        self._watch()

    def _watch(self) -> None:
        passed = np.where(self.a.hard, -self.left, 0.0) / np.maximum(np.abs(self.limit), 1.0)
        self.over = np.maximum(self.over, passed)

    def _share(self, used: Floats, elapsed: float) -> Floats:
        """Return the shares ``pace`` reads; a row without a positive limit owes by its rate."""
        sized = (self.limit > 0) & ((self.a.kind != 2) | (self.a.sign > 0))
        owed = (used - self.limit * elapsed) / np.maximum(self.gross, 1e-12)
        by_rate = np.where(self.gross > 0, elapsed * (1.0 + owed), elapsed)
        share = np.where(sized, used / np.maximum(self.limit, 1e-12), by_rate)
        return np.asarray(np.maximum(share, -1.0), np.float64)

    def result(self) -> Replayed:
        self.open.report(self.ticks, 1.0, self.left)
        used = np.where(self.a.hard, self.limit - self.left, self.spent)
        lacking = np.where(self.a.sign < 0, np.maximum(self.limit - self.spent, 0.0), 0.0)
        size = np.where(self.limit > 0, self.limit, np.maximum(self.gross, 1e-12))
        lacking = np.where(lacking <= 1e-9 * np.maximum(size, 1.0), 0.0, lacking)
        return Replayed(
            self.value, used, np.where(self.over > 1e-9, self.over, 0.0), lacking / size,
            self.open.late, self.duals, self.used, self.elapsed, self.shown, self.open.clicks(),
        )  # fmt: skip


class _Fold:
    """Row prices as tables by cell: (3, n_cells) of use, cost, use × approval."""

    def __init__(self, a: Any) -> None:
        n_cells = len(a.cell_ptr) - 1
        cell = np.repeat(np.arange(n_cells), np.diff(a.cell_ptr))
        row, kind = a.cell_row, a.kind[a.cell_row]
        self.parts = [(cell[kind == k], row[kind == k]) for k in range(3)]
        self.sign, self.floor, self.n_cells = a.sign, a.floor, n_cells

    def tables(self, duals: Floats) -> Floats:
        signed = duals * self.sign
        out = np.zeros((3, self.n_cells))
        for k, (cell, row) in enumerate(self.parts):
            out[k] = np.bincount(cell, signed[row], minlength=self.n_cells)
        cell, row = self.parts[2]
        out[0] -= np.bincount(cell, signed[row] * self.floor[row], minlength=self.n_cells)
        return out


class _Open:
    """Every click-out, and which of them still wait for their report."""

    def __init__(self, stream: Stream, a: Any, ticks: int) -> None:
        self.stream, self.a, self.ticks = stream, a, ticks
        self.owner = stream.pairs.customer
        self.late = 0
        self.parts: list[tuple[Any, ...]] = []
        self.size = 0
        self.waiting = _Waiting.none()
        self.overdue = _Waiting.none()
        self.ends: list[tuple[NDArray[np.int64], int, NDArray[np.bool_]]] = []
        self.heard = np.zeros(a.n_products)

    def click(self, pairs: NDArray[np.int64], tick: int, rng: np.random.Generator) -> None:
        """Draw what becomes of new click-outs; without feedback they are used at once."""
        k, back = len(pairs), self.stream.feedback
        kept = np.ones(k, bool)
        self.parts.append((pairs.copy(), np.full(k, tick), kept, kept))
        number = self.size + np.arange(k)
        self.size += k
        if back is None or k == 0:
            return
        at = self.stream.at[self.owner[pairs]]
        yes = rng.random(k) < _of(self.a.keep, pairs)
        good = rng.random(k) < _of(self.a.approval, pairs)
        self.parts[-1] = (*self.parts[-1][:2], yes, good)
        wait = rng.exponential(size=k) * np.where(yes, back.yes_wait, back.no_wait)
        due = _spoken(back, self.stream.pairs.product[pairs], at + wait)
        new = _Waiting(number, pairs, at, due, at + back.hold, yes, good)
        self.waiting = self.waiting.with_(new)

    def report(self, tick: int, at: float, left: Floats) -> None:
        """Take in reports that have come, and give back holds that have passed."""
        w = self.waiting
        if len(w.pair):
            told = (w.due <= at) & (w.due <= w.until)
            gone = (w.until <= at) & (w.until < w.due)
            if told.any() or gone.any():
                self._settle(w.some(told), tick, left, w.yes[told])
                np.maximum.at(self.heard, self.stream.pairs.product[w.pair[told]], at)
                self._settle(w.some(gone), tick, left, np.zeros(int(gone.sum()), bool))
                self.overdue = self.overdue.with_(w.some(gone & w.yes))
                self.waiting = w.some(~told & ~gone)
        late = self.overdue.due <= at
        if late.any():
            came, self.overdue = self.overdue.some(late), self.overdue.some(~late)
            for i in range(len(came.pair)):
                self._late(int(came.pair[i]), bool(came.approved[i]), tick, left)

    def _settle(self, who: _Waiting, tick: int, left: Floats, kept: NDArray[np.bool_]) -> None:
        from jinqiao.match.visits import settle

        settle(self.a, self.owner[who.pair], who.pair, kept, who.approved, left)
        self.ends.append((who.number, tick, kept))

    def _late(self, pair: int, approved: bool, tick: int, left: Floats) -> None:
        from jinqiao.match.visits import take_late

        if not take_late(self.a, int(self.owner[pair]), pair, approved, left):
            self.late += 1
            return
        one = np.ones(1, bool)
        self.parts.append((np.array([pair]), np.array([tick]), one, one & approved))
        self.ends.append((np.array([self.size]), tick, one))
        self.size += 1

    def unlikely(self, at: float, m: int) -> Floats:
        """Return what open click-outs hold beyond what they are expected to use, (m,).

        Waiting counts as evidence only up to when the product was last heard of: silence of
        everybody says nothing of one.
        """
        from jinqiao.match.visits import unlikely

        out, back, w = np.zeros(m), self.stream.feedback, self.waiting
        if back is None or not len(w.pair):
            return out
        heard = np.minimum(self.heard[self.stream.pairs.product[w.pair]], at)
        age = np.maximum(heard - w.at, 0.0)
        chance = open_chance(_of(self.a.keep, w.pair), age, back.yes_wait, back.no_wait)
        unlikely(self.a, self.owner[w.pair], w.pair, chance, out)
        return out

    def clicks(self) -> Clicks:
        if not self.parts:
            none = np.zeros(0, np.int64)
            return Clicks(none, none, none, none.astype(bool), none.astype(bool))
        pair, taken, kept, good = (np.concatenate(p) for p in zip(*self.parts, strict=True))
        told = np.full(self.size, self.ticks) if self.stream.feedback else taken.copy()
        for number, tick, stays in self.ends:
            told[number], kept[number] = tick, stays
        return Clicks(pair, taken, told, kept, good)


@dataclass(frozen=True, eq=False, slots=True)
class _Waiting:
    """Click-outs that wait: number in order, pair, when clicked, due, given back, what comes."""

    number: NDArray[np.int64]
    pair: NDArray[np.int64]
    at: Floats
    due: Floats
    until: Floats
    yes: NDArray[np.bool_]
    approved: NDArray[np.bool_]

    @classmethod
    def none(cls) -> _Waiting:
        whole, real, truth = np.zeros(0, np.int64), np.zeros(0), np.zeros(0, bool)
        return cls(whole, whole, real, real, real, truth, truth)

    def some(self, which: NDArray[np.bool_]) -> _Waiting:
        return _Waiting(*(getattr(self, name)[which] for name in self.__slots__))

    def with_(self, other: _Waiting) -> _Waiting:
        both = ((getattr(self, name), getattr(other, name)) for name in self.__slots__)
        return _Waiting(*(np.concatenate(pair) for pair in both))


def _conversions(a: Any, rows: Sequence[LimitRow], limit: Floats) -> Floats:
    """Return about how many conversions fill each limit, (m,): money by its mean amount."""
    one = np.ones(len(a.product))
    cost, chance = a.cost * one, a.click * a.keep * one
    total = np.bincount(a.product, np.abs(cost), minlength=a.n_products)
    weighed = np.bincount(a.product, cost**2 / chance, minlength=a.n_products)
    out = np.abs(limit)
    for i, row in enumerate(rows):
        if row.measure == "cost":
            size = weighed[row.products].sum() / max(total[row.products].sum(), 1e-12)
            out[i] = out[i] / size if size > 0 else out[i]
    return np.maximum(out, 1.0)


def _of(column: Floats, pairs: NDArray[np.int64]) -> Floats:
    return column[pairs] if len(column) > 1 else np.full(len(pairs), column[0])


def _spoken(back: Feedback, product: NDArray[np.integer], due: Floats) -> Floats:
    for silence in back.silences:
        held = np.isin(product, silence.products) & (due >= silence.begin) & (due < silence.end)
        due = np.where(held, silence.end, due)
    return due
