"""The market's truth: chances, worth and value as they are, and what a life has captured.

Only ``flow.evaluate`` may read this. Letters: n people, p products, s visits, m pairs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jinqiao.domain.time import DAY_US
from jinqiao.domain.worth import BETA, REFUSAL_HARM_MINOR
from jinqiao.engines.worth import expected_payout, pair_value
from jinqiao.errors import InputError
from jinqiao.synthetic.chances import BESIDE, POSITION, State, chances_of, state_of
from jinqiao.synthetic.draws import stream
from jinqiao.synthetic.fraud import FRAUDS, HONEST
from jinqiao.synthetic.life import Life
from jinqiao.synthetic.market import Market
from jinqiao.synthetic.moments import Visits, class_pull
from jinqiao.synthetic.people import TYPES, People

__all__ = ["BESIDE", "POSITION", "ClickedPairs", "Shown", "Truth"]


@dataclass(frozen=True, slots=True)
class ClickedPairs:
    """m pairs of visits and products, visit by visit (compressed rows ``start`` (s + 1,)).

    ``value`` is v at the top place; ``use`` the chance of an application there, ``spend`` the
    expected payout. All scale with the place by ``POSITION``.
    """

    start: NDArray[np.int64]
    product: NDArray[np.int64]
    chances: NDArray[np.float64]
    value: NDArray[np.float64]
    use: NDArray[np.float64]
    spend: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Shown:
    """What was shown in a stretch of a life, row by row, with true chances and value as shown."""

    at_us: NDArray[np.int64]
    person: NDArray[np.int64]
    product: NDArray[np.int64]
    position: NDArray[np.int64]
    chances: NDArray[np.float64]
    value: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.at_us)


class Truth:
    """The truth of one market. One formula values everything (DECISIONS, "Value")."""

    def __init__(self, market: Market) -> None:
        self.market = market

    @property
    def goods_payout(self) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
        """The payout of a paid unit and its stage, (p,) each."""
        return self.market.goods.payout_minor, self.market.goods.paid_stage

    @property
    def eligible(self) -> NDArray[np.bool_]:
        """Who may take what by the true facts, (n, p)."""
        return self.market._eligible

    def open_at(self, at_us: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which products are on sale at some instants, (len, p)."""
        goods = self.market.goods
        at = at_us[:, None]
        return np.asarray((goods.launch_us[None, :] <= at) & (at < goods.withdraw_us[None, :]))

    def state(self, visits: Visits) -> State:
        """Return what each visit's person is like then."""
        market = self.market
        people = market.everyone.take(visits.person)
        pull = class_pull(visits, people.payday, people.city_tier, market.spec, market.start_us)
        return state_of(people, self._day(visits), pull)

    def _day(self, visits: Visits) -> NDArray[np.float64]:
        return ((visits.at_us - self.market.start_us) // DAY_US).astype(np.float64)

    def pairs(
        self, visits: Visits, allowed: NDArray[np.bool_], life: Life | None = None
    ) -> ClickedPairs:
        """Return every allowed pair of some visits with its true chances, value and use.

        ``allowed`` (s, p). With a life, its wear (fatigue, saturation) is counted.
        """
        row, product = np.nonzero(allowed)
        state = self.state(visits)
        chances = chances_of(state, self.market.goods, row, product)
        if life is not None:
            chances[:, 0] *= life.wear(visits.person[row], product, visits.at_us[row])
        need = state.need[row, self.market.goods.kind[product]]
        return self._valued(visits.person, row, product, (chances, need), state.fraud[row])

    def _valued(
        self, person: NDArray[np.int64], row: NDArray[np.int64], product: NDArray[np.int64],
        what: tuple[NDArray[np.float64], NDArray[np.float64]],
        fraud: NDArray[np.int8] | None = None,
    ) -> ClickedPairs:  # fmt: skip
        chances, need = what
        payout, stage = self.goods_payout
        worth = self.market.worth(person[row], product, need, fraud)
        value = pair_value(
            chances, worth, payout[product], stage[product], REFUSAL_HARM_MINOR, BETA
        )
        start = np.concatenate(([0], np.cumsum(np.bincount(row, minlength=len(person)))))
        return ClickedPairs(
            start, product, chances, value, chances[:, 0] * chances[:, 1],
            expected_payout(chances, payout[product], stage[product]),
        )  # fmt: skip

    # -- the best that static facts allow ---

    def static_pairs(self, allowed: NDArray[np.bool_], day: float, draws: int = 12) -> ClickedPairs:
        """Return every allowed pair of a person and a product, valued by static facts alone.

        What static facts leave open (the private part of needs, risk and score) is drawn anew
        ``draws`` times from its law and averaged over: each number is an expectation given the
        facts, and a chance is weighted by the true chance of reaching its step, because sums of
        whole chains are averaged. ``allowed`` is (n, p); the moment is an average one.
        """
        row, product = np.nonzero(allowed)
        people = self.market.everyone
        sums = np.zeros((5, len(row)))
        for number in range(draws):
            found = self._draw(people, row, product, (day, number))
            c = found.chances
            reached = np.cumprod(c, axis=1)
            sums += np.stack((found.value, *reached.T))
        mean = sums / draws
        given = np.empty((len(row), 4))
        given[:, 0] = mean[1]
        for step in (1, 2, 3):
            given[:, step] = mean[step + 1] / np.maximum(mean[step], 1e-12)
        start = np.concatenate(([0], np.cumsum(np.bincount(row, minlength=len(people)))))
        payout, stage = self.goods_payout
        spend = expected_payout(given, payout[product], stage[product])
        return ClickedPairs(start, product, given, mean[0], mean[2], spend)

    def _draw(
        self, people: People, row: NDArray[np.int64], product: NDArray[np.int64],
        which: tuple[float, int],
    ) -> ClickedPairs:  # fmt: skip
        """Return the pairs with all that is private drawn anew; 2k and 2k + 1 are opposites."""
        day, number = which
        rng = stream(self.market.seed, "redraw", number // 2)
        sign = -1.0 if number % 2 else 1.0
        spec = self.market.spec
        shape = people.private.shape
        private = np.sqrt(1 - spec.knowable) * sign * rng.standard_normal(shape)
        noise = sign * rng.standard_normal(len(people)) * 0.5
        spread = sign * rng.standard_normal(len(people)) * 0.38
        file = np.clip((people.age - 22) / 12, 0, 1) - 0.6
        score = -0.80 * (0.86 * people.risk_seen + noise) + 0.30 * file
        score = score - 0.5 * (people.burden - 0.2) + spread
        honest = np.full(len(people), HONEST, np.int8)  # no static fact tells a fraud
        drawn = replace(people, private=private, score=score, fraud=honest)
        state = state_of(drawn, np.full(len(people), day), np.zeros(shape))
        chances = chances_of(state, self.market.goods, row, product)
        need = state.need[row, self.market.goods.kind[product]]
        return self._valued(np.arange(len(people)), row, product, (chances, need))

    # -- what a life has captured ---

    def shown(self, life: Life, from_us: int, until_us: int) -> Shown:
        """Return what a life showed in [from_us, until_us), with true chances and values."""
        tally = life._tally
        if tally is None:
            raise InputError("this life keeps no tally", fix="market.life(tally=True)")
        if not tally.at_us:
            none = np.zeros(0, np.int64)
            return Shown(none, none, none, none, np.zeros((0, 4)), np.zeros(0))
        at = np.concatenate(tally.at_us)
        rows = np.flatnonzero((at >= from_us) & (at < until_us))
        who, what, place = (
            np.concatenate(part)[rows] for part in (tally.person, tally.product, tally.position)
        )
        chances, value = np.concatenate(tally.chances)[rows], np.concatenate(tally.value)[rows]
        return Shown(at[rows], who, what, place, chances, value)

    def captured(self, life: Life, from_us: int, until_us: int) -> float:
        """Return the true value, minor units, of what a life showed in [from_us, until_us).

        Sums of expectations, not of outcomes. A click that found no unit left is taken off with
        all that would have followed, so showing what is sold out earns nothing in the mean.
        """
        whole = float(self.shown(life, from_us, until_us).value.sum())
        waiting = [(d.shown_us, d.value) for d in life._drawn.values()]
        lost = life._tally.lost if life._tally is not None else []
        return whole - sum(v for at, v in (*lost, *waiting) if from_us <= at < until_us)

    def fraud(self) -> dict[str, NDArray[np.bool_]]:
        """Return masks of people, (n,) each, by what they mean: the labels no learner sees."""
        kind = self.market.everyone.fraud
        return {name: np.asarray(kind == code) for code, name in enumerate(FRAUDS)}

    def segments(self) -> dict[str, NDArray[np.bool_]]:
        """Return masks of people, (n,) each: types and city tiers."""
        people = self.market.everyone
        found = {f"type:{name}": people.type == code for code, name in enumerate(TYPES)}
        return found | {f"city_tier:{tier}": people.city_tier == tier for tier in range(1, 6)}
