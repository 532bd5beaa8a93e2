"""One history of the market's people under one policy: what wears off, what saturates.

A life learns only what was shown and which clicks got a unit. Asked in any splitting of the same
shown rows it gives the same answers; a fork goes its own way from here.

Letters: n people, p products, k classes, m shown rows, s visits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jinqiao.domain.stage import Stage
from jinqiao.domain.tables import CLICKS, REPORTS
from jinqiao.domain.time import DAY_US
from jinqiao.domain.worth import BETA, REFUSAL_HARM_MINOR
from jinqiao.engines.tables import arrow_schema
from jinqiao.engines.worth import pair_value
from jinqiao.synthetic.chances import EXAMINATION, POSITION
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
from jinqiao.synthetic.recall import Marks, Sights
from jinqiao.synthetic.rows import digits, joined, words
from jinqiao.synthetic.showing import ShownRows, clicks_of

if TYPE_CHECKING:
    from jinqiao.synthetic.market import Market

__all__ = ["WAIT_DAYS", "Life", "Tally"]

WAIT_DAYS = 7
"""A click that has no unit by then is forgotten."""
_MANY = 4_096

_STAGE_NAMES = tuple(stage.value for stage in STAGES)
_POLARITY_NAMES = tuple(polarity.value for polarity in POLARITIES)
_schema = cache(arrow_schema)
_NEVER = np.iinfo(np.int64).max // 4
_TIRES = 0.06
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
    lost: list[tuple[int, float]] = field(default_factory=list)  # unanswered: shown at, value
    fates: list[NDArray[np.int64]] = field(default_factory=list)  # (c, 3) a call of accept

    def add(
        self, at_us: NDArray[np.int64], person: NDArray[np.int64], product: NDArray[np.int64],
        position: NDArray[np.int64], value: NDArray[np.float64], chances: NDArray[np.float64],
    ) -> None:  # fmt: skip
        """Add what one round showed."""
        for name, part in zip(
            ("at_us", "person", "product", "position", "value", "chances"),
            (at_us, person, product, position, value, chances), strict=True,
        ):  # fmt: skip
            getattr(self, name).append(part)

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
    """A mutable history. Without ``tally`` nothing is kept for an evaluation, and memory follows
    what was lately shown and what is still to be reported."""

    def __init__(self, market: Market, *, tally: bool = True) -> None:
        self.market = market
        self._seen = Sights()
        self._active, self._applied = Marks(_NEVER), Marks(-_NEVER)
        self._drawn: dict[tuple[str, int], _Drawn] = {}
        self._drawn_until_us = -_NEVER
        self._click_ids: dict[int, str] = {}
        self._clicks = 0
        self._pending: list[Reports] = []
        self._tally = Tally() if tally else None

    def fork(self) -> Life:
        """Return a copy that goes its own way from here."""
        other = Life.__new__(Life)
        other.market = self.market
        for name in ("_seen", "_active", "_applied", "_drawn", "_click_ids", "_pending"):
            setattr(other, name, getattr(self, name).copy())
        other._drawn_until_us, other._clicks = self._drawn_until_us, self._clicks
        other._tally = None if self._tally is None else self._tally.copy()
        return other

    @property
    def bytes(self) -> int:
        """What is remembered of people: it follows what was lately shown, not their number."""
        return self._seen.bytes + self._active.bytes + self._applied.bytes

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
        m = ShownRows(self.market, shown)
        self._forget_clicks(int(m.at_us.max()))
        clicked = np.zeros(shown.num_rows, bool)
        for rows in m.rounds():
            clicked[rows] = self._round(m, rows)
        return clicks_of(m, np.flatnonzero(clicked))

    def _round(self, m: ShownRows, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Show some rows in which each person has one visit at most; return which are clicked."""
        goods, market = self.market.goods, self.market
        person, product = m.person[rows], m.product[rows]
        chances, need = m.chances(rows)
        wear = self.wear(person, product, m.at_us[rows])
        chances[:, 0] *= wear * POSITION[m.position[rows] - 1] * m.beside[rows]
        kind = goods.kind[product]
        fraud = m.state.fraud[m.session[rows]]
        worth = market.worth(person, product, need[np.arange(len(rows)), kind], fraud)
        value = pair_value(
            chances, worth, goods.payout_minor[product], goods.paid_stage[product],
            REFUSAL_HARM_MINOR, BETA,
        )  # fmt: skip
        more = EXAMINATION[m.position[rows] - 1].astype(np.float32)
        self._seen.add(*self._sight(person, product, m.at_us[rows]), more, len(goods))
        if self._tally is not None:
            self._tally.add(m.at_us[rows], person, product, m.position[rows], value, chances)
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

    def _forget_clicks(self, now_us: int) -> None:
        """Let go of clicks that found no unit: nobody will accept them any more."""
        if now_us < self._drawn_until_us + DAY_US:
            return
        self._drawn_until_us = now_us
        old = now_us - WAIT_DAYS * DAY_US
        gone = [key for key, drawn in self._drawn.items() if drawn.shown_us < old]
        for key in gone:
            drawn = self._drawn.pop(key)
            if self._tally is not None:
                self._tally.lost.append((drawn.shown_us, drawn.value))

    def _sight(
        self, person: NDArray[np.int64], product: NDArray[np.int64], at_us: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return the key and the day under which what people see of products is remembered."""
        day = ((at_us - self.market.start_us) // DAY_US).astype(np.int32)
        return person * len(self.market.goods) + product, day

    def wear(
        self, person: NDArray[np.int64], product: NDArray[np.int64], at_us: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Return what fatigue and saturation leave of a chance of a click, (m,) in (0, 1]."""
        tired = 1.0 / (1.0 + _TIRES * self._seen.strength(*self._sight(person, product, at_us)))
        held = person * 9 + self.market.goods.kind[product]
        sated = np.where(at_us >= self._active.of(held), _SATED, 1.0)
        since = at_us - self._applied.of(held)
        flying = (since >= 0) & (since < _FLIGHT_DAYS * DAY_US) & (sated == 1.0)
        return tired * np.where(flying, _IN_FLIGHT, sated)

    # -- clicked → applied, decided, reported ---

    def accept(self, clicks: pa.Table) -> None:
        """Let the clicks that got a unit go on; their reports come in due time.

        ``clicks``: click_id, trace_id, position, product_id, user_id, clicked_at. A click that was
        accepted before, that was never made, or that waited for ``WAIT_DAYS`` is passed over.
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
        first = self._clicks
        self._clicks += len(ids)
        self._click_ids |= dict(zip(range(first, self._clicks), ids, strict=True))
        accepted = _accepted(found, first, self.market)
        goods, spec = self.market.goods, self.market.spec
        fates = fates_of(accepted, goods, self.market.seed)
        person = np.array([d.person for d in found])
        held = person * 9 + goods.kind[accepted.product]
        did, takes = fates.applied < _NEVER, fates.active < _NEVER
        self._applied.keep(held[did], accepted.at_us[did], latest=True)
        self._active.keep(held[takes], fates.active[takes], latest=False)
        reports = reports_of(
            accepted, fates, goods, self.market.seed, spec.faulty_report_share, spec.silent_share
        )
        self._pending.append(reports)
        if self._tally is not None:
            self._tally.fates.append(_first_told(reports, first, len(ids)))

    def reports(self, until_us: int) -> pa.Table:
        """Return REPORTS that arrived by an instant and were not handed out yet, as they came."""
        if not self._pending:
            return _schema(REPORTS).empty_table()
        every = Reports.join(self._pending)
        here = every.received <= until_us
        left = every.take(~here)
        self._pending = [left] if len(left) else []
        if len(self._click_ids) > _MANY + 2 * len(left):
            told = self._click_ids
            wanted = (np.unique(part.click).tolist() for part in (left, every.take(here)))
            self._click_ids = {i: told[i] for some in wanted for i in some}
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


def _first_told(reports: Reports, first: int, clicks: int) -> NDArray[np.int64]:
    """Return when each click's application, approval and activation is first heard of, (c, 3)."""
    out = np.full((clicks, 3), _NEVER)
    for column, stage in enumerate((Stage.APPLICATION, Stage.APPROVAL, Stage.ACTIVATION)):
        rows = (reports.stage == STAGES.index(stage)) & (reports.polarity == 0)
        np.minimum.at(out[:, column], reports.click[rows] - first, reports.received[rows])
    return out


def _day(market: Market, at_us: list[int]) -> NDArray[np.float64]:
    return ((np.array(at_us) - market.start_us) // DAY_US).astype(np.float64)


def _accepted(found: list[_Drawn], first: int, market: Market) -> Accepted:
    person = np.array([d.person for d in found])
    return Accepted(
        np.arange(first, first + len(found)),
        np.array([d.visit for d in found]),
        np.array([d.product for d in found]),
        np.array([d.at_us for d in found]),
        np.array([d.chances for d in found]),
        market.people_of(person).risk_on(_day(market, [d.at_us for d in found])),
    )
