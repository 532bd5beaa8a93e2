"""Shelves as they were shown, as numbers: who saw what, where, when, beside what.

Letters: m shown rows, s visits, k product classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jinqiao.domain.tables import CLICKS
from jinqiao.domain.time import DAY_US
from jinqiao.engines.tables import arrow_schema
from jinqiao.errors import InputError
from jinqiao.synthetic.chances import BESIDE, POSITION, chances_of, state_of
from jinqiao.synthetic.draws import uniform
from jinqiao.synthetic.moments import class_pull

if TYPE_CHECKING:
    from jinqiao.synthetic.market import Market

__all__ = ["ShownRows", "clicks_of"]

_schema = cache(arrow_schema)


class ShownRows:
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
        people = market.people_of(visits.person)
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


def clicks_of(m: ShownRows, rows: NDArray[np.int64]) -> pa.Table:
    """Return CLICKS of some rows, in the order of the clicks."""
    rows = rows[np.argsort(m.clicked_us[rows], kind="stable")]
    table = m.table.take(pa.array(rows))
    values = {
        "trace_id": table["trace_id"],
        "position": table["position"].cast(pa.int8()),
        "product_id": table["product_id"],
        "clicked_at": pa.array(m.clicked_us[rows]).cast(pa.timestamp("us")),
    }
    return pa.table(values, schema=_schema(CLICKS))
