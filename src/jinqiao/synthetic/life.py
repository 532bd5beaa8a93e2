"""One history of the market's people under one policy: what wears off, what saturates.

A life learns only what was shown and which clicks got a unit. Asked in any splitting of the same
shown rows it gives the same answers; a fork goes its own way from here.

Letters: n people, p products, k classes, m shown rows, s visits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jinqiao.domain.tables import CLICKS, REPORTS
from jinqiao.domain.time import DAY_US
from jinqiao.domain.worth import BETA, REFUSAL_HARM_MINOR
from jinqiao.engines.tables import arrow_schema
from jinqiao.engines.worth import pair_value
from jinqiao.errors import InputError
from jinqiao.synthetic.chances import BESIDE, EXAMINATION, POSITION, chances_of, state_of
from jinqiao.synthetic.draws import uniform
from jinqiao.synthetic.fate import (
    POLARITIES,
    REFUSALS,
    STAGES,
    Accepted,
    Reports,
    fates_of,
    reports_of,
)
from jinqiao.synthetic.moments import class_pull
from jinqiao.synthetic.rows import digits, joined, words

if TYPE_CHECKING:
    from jinqiao.synthetic.market import Market

__all__ = ["Life", "Tally"]

_STAGE_NAMES = tuple(stage.value for stage in STAGES)
_POLARITY_NAMES = tuple(polarity.value for polarity in POLARITIES)
_schema = cache(arrow_schema)
_NEVER = np.iinfo(np.int64).max // 4
_TIRES = 0.06
_HALF_LIFE_DAYS = 5.0
_SATED, _IN_FLIGHT, _FLIGHT_DAYS = 0.30, 0.55, 10


@dataclass(slots=True)
class Tally:
    """What was truly worth showing, kept for the evaluation alone: one part a call of respond."""

    at_us: list[NDArray[np.int64]] = field(default_factory=list)
    person: list[NDArray[np.int64]] = field(default_factory=list)
    product: list[NDArray[np.int64]] = field(default_factory=list)
    position: list[NDArray[np.int64]] = field(default_factory=list)
    value: list[NDArray[np.float64]] = field(default_factory=list)
    chances: list[NDArray[np.float64]] = field(default_factory=list)

    def copy(self) -> Tally:
        return Tally(*[list(getattr(self, name)) for name in self.__slots__])


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A click that was made: enough to go on from."""

    visit: int
    person: int
    product: int
    at_us: int
    chances: tuple[float, float, float]
    value: float
    shown_us: int


class Life:
    """A mutable history. ``now_us`` is the latest instant it has seen."""

    def __init__(self, market: Market) -> None:
        self.market = market
        people, goods = market.everyone, market.goods
        self._seen = np.zeros((len(people), len(goods)), np.float32)
        self._seen_day = np.zeros(len(people), np.int32)
        self._active = np.full((len(people), 9), _NEVER, np.int64)
        self._applied = np.full((len(people), 9), -_NEVER, np.int64)
        self._drawn: dict[tuple[str, int], _Drawn] = {}
        self._click_ids: list[str] = []
        self._pending: list[Reports] = []
        self._tally = Tally()

    def fork(self) -> Life:
        """Return a copy that goes its own way from here."""
        other = Life.__new__(Life)
        other.market = self.market
        for name in ("_seen", "_seen_day", "_active", "_applied"):
            setattr(other, name, getattr(self, name).copy())
        other._drawn = dict(self._drawn)
        other._click_ids = list(self._click_ids)
        other._pending = list(self._pending)
        other._tally = self._tally.copy()
        return other

    # -- shown → clicked ---

    def respond(self, shown: pa.Table) -> pa.Table:
        """Return CLICKS: which of the shown offers people click, in time order.

        Parameters
        ----------
        shown : trace_id, session_id, user_id, position, product_id, occurred_at; whole shelves,
            in time order. Earlier shelves of the same person must have been handed in before.

        Raises
        ------
        NotFound : a session or product is not of this market.
        InputError : a position is outside 1 to 4, or a product stands twice on a shelf.
        """
        if shown.num_rows == 0:
            return _schema(CLICKS).empty_table()
        m = _Shown(self.market, shown)
        clicked = np.zeros(shown.num_rows, bool)
        for rows in m.rounds():
            clicked[rows] = self._round(m, rows)
        return _clicks(m, np.flatnonzero(clicked))

    def _round(self, m: _Shown, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Show some rows in which each person has one visit at most; return which are clicked."""
        goods, market = self.market.goods, self.market
        person, product = m.person[rows], m.product[rows]
        chances, need = m.chances(rows)
        wear = self.wear(person, product, m.at_us[rows])
        chances[:, 0] *= wear * POSITION[m.position[rows] - 1] * m.beside[rows]
        kind = goods.kind[product]
        worth = market.worth(person, product, need[np.arange(len(rows)), kind])
        value = pair_value(
            chances, worth, goods.payout_minor[product], goods.paid_stage[product],
            REFUSAL_HARM_MINOR, BETA,
        )  # fmt: skip
        np.add.at(
            self._seen, (person, product), EXAMINATION[m.position[rows] - 1].astype(np.float32)
        )
        tally = self._tally
        tally.at_us.append(m.at_us[rows])
        tally.person.append(person)
        tally.product.append(product)
        tally.position.append(m.position[rows])
        tally.value.append(value)
        tally.chances.append(chances)
        luck = uniform(market.seed, "click", m.visit[rows], product)
        hit = luck < chances[:, 0]
        for i in np.flatnonzero(hit):
            r = rows[i]
            self._drawn[(m.trace[r], int(m.position[r]))] = _Drawn(
                int(m.visit[r]), int(person[i]), int(product[i]), int(m.clicked_us[r]),
                (float(chances[i, 1]), float(chances[i, 2]), float(chances[i, 3])),
                float(value[i] / chances[i, 0]),
                int(m.at_us[r]),
            )  # fmt: skip
        return hit

    def wear(
        self, person: NDArray[np.int64], product: NDArray[np.int64], at_us: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Return what fatigue and saturation leave of a chance of a click, (m,) in (0, 1]."""
        self._fade(person, at_us)
        tired = 1.0 / (1.0 + _TIRES * self._seen[person, product].astype(np.float64))
        kind = self.market.goods.kind[product]
        sated = np.where(at_us >= self._active[person, kind], _SATED, 1.0)
        since = at_us - self._applied[person, kind]
        flying = (since >= 0) & (since < _FLIGHT_DAYS * DAY_US) & (sated == 1.0)
        return tired * np.where(flying, _IN_FLIGHT, sated)

    def _fade(self, person: NDArray[np.int64], at_us: NDArray[np.int64]) -> None:
        """Let what people have seen fade to today, person by person."""
        who, first = np.unique(person, return_index=True)
        today = ((at_us[first] - self.market.start_us) // DAY_US).astype(np.int32)
        gone = np.maximum(today - self._seen_day[who], 0)
        stale = gone > 0
        if stale.any():
            rows = who[stale]
            self._seen[rows] *= (0.5 ** (gone[stale] / _HALF_LIFE_DAYS)).astype(np.float32)[:, None]
            self._seen_day[rows] = today[stale]

    # -- clicked → applied, decided, reported ---

    def accept(self, clicks: pa.Table) -> None:
        """Let the clicks that got a unit go on; their reports come in due time.

        ``clicks``: click_id, trace_id, position, product_id, user_id, clicked_at. A click that was
        accepted before is passed over. Raises NotFound for one that was never made.
        """
        found, ids = [], []
        traces, positions = clicks["trace_id"].to_pylist(), clicks["position"].to_pylist()
        for click_id, trace, position in zip(
            clicks["click_id"].to_pylist(), traces, positions, strict=True
        ):
            drawn = self._drawn.pop((trace, position), None)
            if drawn is not None:
                found.append(drawn)
                ids.append(click_id)
        if not found:
            return
        first = len(self._click_ids)
        self._click_ids += ids
        accepted = _accepted(found, first, self.market)
        goods, spec = self.market.goods, self.market.spec
        fates = fates_of(accepted, goods, self.market.seed)
        person = np.array([d.person for d in found])
        kind = goods.kind[accepted.product]
        did = fates.applied < _NEVER
        np.maximum.at(self._applied, (person[did], kind[did]), accepted.at_us[did])
        np.minimum.at(self._active, (person, kind), fates.active)
        self._pending.append(
            reports_of(
                accepted,
                fates,
                goods,
                self.market.seed,
                spec.faulty_report_share,
                spec.silent_share,
            )
        )

    def reports(self, until_us: int) -> pa.Table:
        """Return REPORTS that arrived by an instant and were not handed out yet, as they came."""
        if not self._pending:
            return _schema(REPORTS).empty_table()
        every = Reports.join(self._pending)
        here = every.received <= until_us
        left = every.take(~here)
        self._pending = [left] if len(left) else []
        come = every.take(here)
        step = come.stage * 100 + come.sequence * 10 + come.turn
        return self._table(come.take(np.lexsort((step, come.key, come.received))))

    def _table(self, r: Reports) -> pa.Table:
        goods = self.market.goods
        step = r.stage * 100 + r.sequence * 10 + r.turn
        no_amount = r.amount < 0
        corrects = digits("r", r.key, 18, r.sequence == 0)
        first = digits("", r.stage * 100 + r.turn, 4)
        values = {
            "report_id": joined(digits("r", r.key, 18), digits("", step, 4), "-"),
            "institution_id": words(r.product, goods.institution_id),
            "click_id": pa.array([self._click_ids[i] for i in r.click], pa.string()),
            "stage": words(r.stage, _STAGE_NAMES),
            "polarity": words(r.polarity, _POLARITY_NAMES),
            "occurred_at": pa.array(r.occurred).cast(pa.timestamp("us")),
            "received_at": pa.array(r.received).cast(pa.timestamp("us")),
            "amount_minor": pa.array(r.amount, mask=no_amount),
            "currency": words(np.zeros(len(r), np.int64), ("CNY",), no_amount),
            "corrects": joined(corrects, first, "-"),
            "sequence": pa.array(r.sequence.astype(np.int32)),
            "refusal_code": words(r.refusal, REFUSALS, r.refusal < 0),
        }
        return pa.table(values, schema=_schema(REPORTS))


def _accepted(found: list[_Drawn], first: int, market: Market) -> Accepted:
    person = np.array([d.person for d in found])
    return Accepted(
        np.arange(first, first + len(found)),
        np.array([d.visit for d in found]),
        np.array([d.product for d in found]),
        np.array([d.at_us for d in found]),
        np.array([d.chances for d in found]),
        market.everyone.risk[person],
    )


class _Shown:
    """Shown rows as numbers: m rows, and the state of each visit's person."""

    def __init__(self, market: Market, shown: pa.Table) -> None:
        self.market = market
        self.trace = shown["trace_id"].to_pylist()
        self.table = shown
        self.position = shown["position"].to_numpy().astype(np.int64)
        if len(self.position) and not 1 <= self.position.min() <= self.position.max() <= len(
            POSITION
        ):
            raise InputError("a position is 1 to 4", record="shown", field="position")
        self.product = market.product_rows(shown["product_id"])
        self.visit = market.visit_numbers(shown["session_id"])
        keys, self.session = np.unique(self.visit, return_inverse=True)
        visits = market.find_visits(keys)
        self.person = visits.person[self.session]
        self.at_us = shown["occurred_at"].cast(pa.int64()).to_numpy()
        people = market.everyone.take(visits.person)
        day = ((visits.at_us - market.start_us) // DAY_US).astype(np.float64)
        pull = class_pull(visits, people.payday, people.city_tier, market.spec, market.start_us)
        self.state = state_of(people, day, pull)
        self.start = visits.at_us
        self.beside = self._beside()
        wait = (
            4_000_000 + uniform(market.seed, "click delay", self.visit, self.product) * 50_000_000
        )
        self.clicked_us = self.at_us + wait.astype(np.int64)

    def chances(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the (m, 4) chances of some rows, and the (m, k) needs of their people."""
        session = self.session[rows]
        return chances_of(
            self.state, self.market.goods, session, self.product[rows]
        ), self.state.need[session]

    def rounds(self) -> Iterator[NDArray[np.int64]]:
        """Yield rows in rounds that hold at most one visit of a person, in time order."""
        first = np.full(self.session.max() + 1, np.iinfo(np.int64).max)
        np.minimum.at(first, self.session, self.at_us)
        owner = np.zeros(len(first), np.int64)
        owner[self.session] = self.person
        order = np.lexsort((first, owner))
        begin = np.flatnonzero(np.diff(owner[order], prepend=-1))
        rank = np.empty(len(first), np.int64)
        rank[order] = np.arange(len(first)) - np.repeat(
            begin, np.diff(np.append(begin, len(first)))
        )
        for turn in range(int(rank.max()) + 1):
            yield np.flatnonzero(rank[self.session] == turn)

    def _beside(self) -> NDArray[np.float64]:
        """Return what offers of the same class above leave of each offer's chance of a click."""
        kind = self.market.goods.kind[self.product]
        order = np.lexsort((self.position, kind, self.session))
        key = (self.session * 9 + kind)[order]
        begin = np.flatnonzero(np.diff(key, prepend=-1))
        above = np.empty(len(key))
        above[order] = np.arange(len(key)) - np.repeat(begin, np.diff(np.append(begin, len(key))))
        pairs = self.session * len(self.market.goods) + self.product
        if len(np.unique(pairs)) < len(pairs):
            raise InputError(
                "a product stands twice on a shelf", record="shown", field="product_id"
            )
        return np.asarray(BESIDE**above)


def _clicks(m: _Shown, rows: NDArray[np.int64]) -> pa.Table:
    rows = rows[np.argsort(m.clicked_us[rows], kind="stable")]
    table = m.table.take(pa.array(rows))
    values = {
        "trace_id": table["trace_id"],
        "position": table["position"].cast(pa.int8()),
        "product_id": table["product_id"],
        "clicked_at": pa.array(m.clicked_us[rows]).cast(pa.timestamp("us")),
    }
    return pa.table(values, schema=_schema(CLICKS))
