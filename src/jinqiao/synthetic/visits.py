"""Visits: who comes when, from where, through which door, and what else they look at there."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jinqiao.domain.time import DAY_US
from jinqiao.synthetic.draws import normal_of, uniform
from jinqiao.synthetic.fraud import BOT
from jinqiao.synthetic.goods import Goods
from jinqiao.synthetic.moments import CHANNELS, SCENES, Visits
from jinqiao.synthetic.people import People
from jinqiao.synthetic.rows import digits, joined, words
from jinqiao.synthetic.spec import Spec

__all__ = [
    "MAX_TURNS",
    "behaviour_table",
    "browse",
    "session_ids",
    "session_table",
    "user_ids",
    "visits_of_day",
]

MAX_TURNS = 8
_BURST = 0.10
_SCENE = np.cumsum([0.40, 0.24, 0.18, 0.06, 0.12])
_BEHAVIOUR_NULLS = ("city_tier", "product_id", "amount_minor", "properties")


def visits_of_day(people: People, spec: Spec, seed: int, day: int, start_us: int) -> Visits:
    """Return the visits of some people on one day (negative before day 0), in time order.

    The number of a person's visits is Poisson, cut at ``MAX_TURNS``; every draw is keyed by
    (person, day, turn), so the day is the same whoever else is in the market. Bots come one day
    in ten, at night, some seconds apart, and somebody was paid for each of their visits.
    """
    rate = people.visits * spec.visits_per_week / 7.0 * dict(spec.surge).get(day, 1.0)
    luck = uniform(seed, "visits", people.index, day + 1_000)
    bot = people.fraud == BOT
    count = np.where(bot, MAX_TURNS * (luck < _BURST), _poisson(luck, rate))
    rows = np.repeat(np.arange(len(people)), count)
    turn = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)
    person = people.index[rows]
    key = (person, np.full(len(rows), day + 1_000), turn)
    hour = people.hour[rows] + 3.2 * normal_of(uniform(seed, "visit hour", *key))
    second = np.floor((hour % 24.0) * 3_600.0).astype(np.int64)
    second = np.where(bot[rows], 10_800 + people.index[rows] % 3_600 + 20 * turn, second)
    at = start_us + day * DAY_US + second * 1_000_000 + turn * 1_000 + person % 997
    scene = np.searchsorted(_SCENE, uniform(seed, "visit scene", *key)).astype(np.int8)
    scene = np.minimum(scene, 4).astype(np.int8)
    spot = uniform(seed, "visit channel", *key)
    channel = np.where(spot < 0.7, people.channel[rows], np.floor((spot - 0.7) / 0.075)).astype(
        np.int8
    )
    bought = uniform(seed, "visit source", *key) < np.where(channel == 3, 0.5, 0.15)
    bought |= bot[rows]
    cost = np.where(bought, 60 + np.floor(uniform(seed, "visit cost", *key) * 180), 2).astype(
        np.int64
    )
    away = uniform(seed, "visit place", *key)
    tier = np.where(away < 0.08, 1 + np.floor(away / 0.08 * 5), people.city_tier[rows]).astype(
        np.int8
    )
    order = np.lexsort((person, at))
    visits = Visits(person, turn, at, channel, scene, bought, cost, tier)
    return visits.take(order)


def _poisson(u: NDArray[np.float64], rate: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return Poisson counts by inversion, cut at MAX_TURNS."""
    term = np.exp(-rate)
    below, count = term.copy(), np.zeros(len(u), np.int64)
    for k in range(1, MAX_TURNS + 1):
        count += u > below
        term = term * rate / k
        below = below + term
    return count


def user_ids(person: NDArray[np.int64]) -> pa.Array:
    """Return user ids: u and eight digits."""
    return digits("u", person, 8)


def session_ids(visits: Visits, day: int) -> pa.Array:
    """Return session ids, readable by ``Market.find_visits``: day, person, turn."""
    number = ((day + 1_000) * 100_000_000 + visits.person) * 10 + visits.turn
    return digits("s", number, 13)


def _instants(at_us: NDArray[np.int64]) -> pa.Array:
    return pa.array(at_us).cast(pa.timestamp("us"))


def session_table(visits: Visits, day: int) -> pa.Table:
    """Return SESSIONS rows in time order."""
    return pa.table(
        {
            "session_id": session_ids(visits, day),
            "user_id": user_ids(visits.person),
            "occurred_at": _instants(visits.at_us),
            "channel": words(visits.channel, CHANNELS),
            "scene": words(visits.scene, SCENES),
            "source": words(visits.bought.astype(np.int8), ("own", "bought")),
            "visit_cost_minor": pa.array(visits.cost_minor),
            "city_tier": pa.array(visits.place_tier),
        }
    )


def browse(
    visits: Visits, people: People, goods: Goods, day: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the visits in which a product page is opened unprompted, and which product's.

    Two visits in five, towards the classes a person needs most, hidden part included: a trace of
    it that a learner may find. ``people`` has one row a visit.
    """
    key = (visits.person, np.full(len(visits), day + 1_000), visits.turn)
    rows = np.flatnonzero(uniform(seed, "browse", *key) < 0.4)
    need = people.take(rows).needs(np.full(len(rows), float(day)))
    sold = np.array(
        [[np.any((goods.kind == k) & (goods.merchant == m)) for k in range(9)] for m in (0, 1)]
    )
    weight = np.exp(1.3 * need) * sold[people.merchant[rows].astype(int)]
    share = np.cumsum(weight, axis=1) / weight.sum(axis=1, keepdims=True)
    kind = (uniform(seed, "browse class", *(k[rows] for k in key))[:, None] > share).sum(axis=1)
    spot = uniform(seed, "browse product", *(k[rows] for k in key))
    product = np.empty(len(rows), np.int64)
    for merchant in (False, True):
        for k in range(9):
            here = np.flatnonzero((kind == k) & (people.merchant[rows] == merchant))
            menu = np.flatnonzero((goods.kind == k) & (goods.merchant == merchant))
            if len(here):
                product[here] = menu[(spot[here] * len(menu)).astype(np.int64)]
    return rows, product


_EVENTS = ("page_viewed", "ledger_viewed", "content_read", "product_viewed", "payment_made")


def behaviour_table(
    visits: Visits, day: int, looks: tuple[NDArray[np.int64], NDArray[np.int64]],
    product_ids: pa.Array, seed: int,
) -> pa.Table:  # fmt: skip
    """Return RAW_BEHAVIOUR rows of one day: a page a visit, and what people looked at.

    ``looks``: row of the visit and product number of every product page opened unprompted.
    """
    n = len(visits)
    key = (visits.person, np.full(n, day + 1_000), visits.turn)
    extra = uniform(seed, "other event", *key)
    ledger = np.flatnonzero((extra < 0.35) | (visits.scene == 1))
    read = np.flatnonzero((extra > 0.5) & (extra < 0.68))
    paid = np.flatnonzero(visits.scene == 2)
    rows = np.concatenate((np.arange(n), ledger, read, looks[0], paid))
    kinds = np.repeat(
        np.arange(5), [n, len(ledger), len(read), len(looks[0]), len(paid)]
    ).astype(np.int8)  # fmt: skip
    product = np.full(len(rows), -1, np.int64)
    product[kinds == 3] = looks[1]
    amount = np.floor(2_000 * np.exp(1.1 * normal_of(extra)))
    return _behaviour(
        visits,
        day,
        (rows, kinds, product),
        np.where(kinds == 4, amount[rows], -1),
        product_ids,
        seed,
    )


def _behaviour(
    visits: Visits, day: int, what: tuple[NDArray[np.int64], NDArray[np.int8], NDArray[np.int64]],
    amount: NDArray[np.float64], product_ids: pa.Array, seed: int,
) -> pa.Table:  # fmt: skip
    rows, kinds, product = what
    place = np.arange(len(rows))
    later = kinds.astype(np.int64) * 21_000_000 + (place % 7) * 3_000_000
    at = visits.at_us[rows] + later
    luck = uniform(seed, "event arrival", visits.person[rows], at)
    late = np.where(luck < 0.01, np.floor(luck * 100 * 2 * DAY_US), 900_000 + luck * 4e6)
    number = ((day + 1_000) * 100_000_000 + visits.person[rows]) * 10 + visits.turn[rows]
    step = digits(
        "", kinds.astype(np.int64) * 1_000 + np.where(product >= 0, product % 1_000, 0), 4
    )
    message = joined(digits("m", number, 13), step, "-")
    order = np.lexsort((place, at))
    part = visits.take(rows)
    table = pa.table(
        {
            "message_id": message,
            "type": words((kinds > 0).astype(np.int8), ("page", "track")),
            "event": words(kinds, _EVENTS),
            "user_id": user_ids(part.person),
            "session_id": session_ids(part, day),
            "occurred_at": _instants(at),
            "received_at": _instants(at + late.astype(np.int64)),
            "channel": words(part.channel, CHANNELS),
            "scene": words(part.scene, SCENES),
            "source": words(part.bought.astype(np.int8), ("own", "bought")),
            "city_tier": pa.array(part.place_tier),
            "product_id": product_ids.take(
                pa.array(np.where(product >= 0, product, 0), mask=product < 0)
            ),
            "amount_minor": pa.array(amount.astype(np.int64), mask=amount < 0),
            "properties": pa.nulls(len(rows), pa.string()),
        }
    )
    return table.take(pa.array(order))
