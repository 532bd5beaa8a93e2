"""The rows a chain learns from: what was known when each offer was shown, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jinqiao.domain.consent import Purpose
from jinqiao.domain.feature import FeatureDictionary
from jinqiao.domain.time import DAY_US
from jinqiao.errors import InputError, SchemaError
from jinqiao.propensity.columns import (
    ContextColumns,
    Customers,
    Layout,
    class_codes,
    customer_layout,
    customers,
    pair_columns,
    product_matrix,
)
from jinqiao.propensity.delay import Delays, fit_delays
from jinqiao.propensity.outcomes import OUTCOMES_SQL, fold, offers_at, stage_cases
from jinqiao.propensity.rates import LEAN_CASES, Tally, smooth
from jinqiao.store.base import Lake

__all__ = ["StageRows", "TrainingSet", "training_set"]

_CLICK_LAG_US = 3_600_000_000
_DECISIONS_SQL = """
select trace_id, position, customer_id, epoch_us(occurred_at) as shown_us, product_id,
       channel, scene, source, cast(city_tier as float) as city_tier
from decisions
where received_at <= make_timestamp($as_of_us) and customer_id <> ''
"""


@dataclass(frozen=True, slots=True)
class StageRows:
    """The cases of one stage: rows of the training set, and what is known of how each ends."""

    rows: NDArray[np.int64]
    delays: Delays


@dataclass(frozen=True)
class TrainingSet:
    """n shown offers and the cases of the four stages.

    ``shown_us`` (n,), ``product`` (n,) indexes ``products``, ``snapshot`` and ``customer`` (n,) say
    which row of which profile; ``rates`` is (days + 1, P, 8) float32, the last day being now.
    """

    layout: Layout
    products: pa.Table
    as_of_us: int
    purpose: Purpose
    dictionary: FeatureDictionary
    profiles: tuple[Customers, ...]
    snapshot: NDArray[np.int64]
    customer: NDArray[np.int64]
    product: NDArray[np.int64]
    shown_us: NDArray[np.int64]
    context: ContextColumns
    position: NDArray[np.int64]
    rates: NDArray[np.float32]
    first_day: int
    stages: tuple[StageRows, StageRows, StageRows, StageRows]
    left_out: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.shown_us)

    def matrix(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the columns of some rows, (rows, k) float32: customer, product, context, pair."""
        classes = class_codes(self.products)
        product = self.product[rows]
        day = (self.shown_us[rows] // DAY_US - self.first_day).astype(np.int64)
        goods = product_matrix(self.products, self.rates[-1])[product]
        goods[:, -8:] = self.rates[day, product]
        context = self._moments(rows)
        who = np.empty((len(rows), self.layout.widths[0]), np.float32)
        needs = np.empty((len(rows), self.profiles[0].needs.shape[1]), np.float32)
        for number, profile in enumerate(self.profiles):
            here = np.flatnonzero(self.snapshot[rows] == number)
            who[here] = profile.matrix[self.customer[rows[here]]]
            needs[here] = profile.needs[self.customer[rows[here]]]
        moment = (context.day_of_month(), context.city_tier)
        own = pair_columns(needs, (goods, classes[product]), moment)
        return np.hstack((who, goods, context.matrix(self.position[rows]), own))

    def _moments(self, rows: NDArray[np.int64]) -> ContextColumns:
        take = pa.array(rows)
        c = self.context
        return ContextColumns(
            c.at_us[rows], c.channel.take(take), c.scene.take(take), c.source.take(take),
            c.city_tier[rows], c.offset_us,
        )  # fmt: skip


def training_set(
    lake: Lake,
    features: Mapping[int, pa.Table],
    products: pa.Table,
    dictionary: FeatureDictionary,
    *,
    as_of_us: int,
    purpose: Purpose = Purpose.PERSONALISE,
    sold_out: Sequence[tuple[str, int]] = (),
) -> TrainingSet:
    """Return the shown offers known at an instant, joined to features no newer than the showing.

    Parameters
    ----------
    features : profile snapshots by their as-of (µs): ``customer_id`` and feature columns.
    products : the products on sale, in PRODUCTS' columns; others' rows are left out and counted.
    sold_out : trace and position of clicks that found no unit: a yes of the click, no case of what
        follows, because nothing could.

    A customer absent from the newest snapshot (no consent now) is left out of all training.

    Raises
    ------
    ConsentError : a feature the purpose may not use. InputError : no snapshot at or before as-of.
    """
    snapshots = sorted((at, table) for at, table in features.items() if at <= as_of_us)
    if not snapshots:
        raise InputError("no feature snapshot at or before as-of", field="features")
    layout = customer_layout(_same_columns(snapshots), dictionary, purpose)
    shown = lake.query(_DECISIONS_SQL, as_of_us=as_of_us)
    outcomes = lake.query(OUTCOMES_SQL, as_of_us=as_of_us)
    snapshot, customer = _join(shown, snapshots)
    product = _index(shown["product_id"], products["product_id"])
    keep = (customer >= 0) & (product >= 0)
    left_out = {
        "no_profile": int((customer < 0).sum()),
        "unknown_product": int(((customer >= 0) & (product < 0)).sum()),
    }
    shown = shown.filter(pa.array(keep))
    snapshot, customer, product = snapshot[keep], customer[keep], product[keep]
    folded = fold(shown, outcomes)
    shown_us = shown["shown_us"].to_numpy().astype(np.int64)
    house = _codes(products["institution_id"])
    settled = np.flatnonzero(shown_us <= as_of_us - _CLICK_LAG_US)
    clicked = folded.reached[:, 0].copy()
    clicked[offers_at(shown, sold_out)] = True
    label = clicked[settled].astype(np.float64)
    sure = np.ones(len(settled))
    stages = [StageRows(settled, Delays(label, sure, sure, label))]
    for place in (1, 2, 3):
        rows, cases = stage_cases(folded, place, house[product], as_of_us, product)
        stages.append(StageRows(rows, fit_delays(cases)))
    first_day = int(shown_us.min() // DAY_US) if len(shown_us) else as_of_us // DAY_US
    days = as_of_us // DAY_US - first_day + 1
    rates = _rates(stages, (shown_us // DAY_US - first_day, product), products, days)
    return TrainingSet(
        layout, products, as_of_us, purpose, dictionary,
        tuple(customers(layout, table) for _, table in snapshots),
        snapshot, customer, product, shown_us, _context(shown),
        shown["position"].to_numpy().astype(np.int64), rates, first_day,
        (stages[0], stages[1], stages[2], stages[3]), left_out,
    )  # fmt: skip


def _same_columns(snapshots: list[tuple[int, pa.Table]]) -> tuple[str, ...]:
    names = tuple(snapshots[-1][1].column_names)
    for at, table in snapshots:
        if tuple(table.column_names) != names:
            raise SchemaError("columns differ from the newest snapshot's", record=f"as of {at}")
    return names


def _join(
    shown: pa.Table, snapshots: list[tuple[int, pa.Table]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the newest snapshot not after each showing, and the customer's row in it, or −1."""
    at = np.array([at for at, _ in snapshots], dtype=np.int64)
    number = np.searchsorted(at, shown["shown_us"].to_numpy(), side="right") - 1
    here_now = _index(shown["customer_id"], snapshots[-1][1]["customer_id"]) >= 0
    row = np.full(shown.num_rows, -1, dtype=np.int64)
    for place, (_, table) in enumerate(snapshots):
        rows = np.flatnonzero((number == place) & here_now)
        row[rows] = _index(shown["customer_id"].take(pa.array(rows)), table["customer_id"])
    return np.maximum(number, 0).astype(np.int64), row


def _index(column: pa.ChunkedArray, among: pa.ChunkedArray) -> NDArray[np.int64]:
    """Return each value's place among others, or −1."""
    found = pc.index_in(column, value_set=among.combine_chunks())
    return np.asarray(pc.fill_null(found, -1).to_numpy(), dtype=np.int64)


def _codes(column: pa.ChunkedArray) -> NDArray[np.int64]:
    encoded = column.combine_chunks().dictionary_encode()
    return np.asarray(encoded.indices.to_numpy(), dtype=np.int64)


def _context(shown: pa.Table) -> ContextColumns:
    flat = {name: shown[name].combine_chunks() for name in ("channel", "scene", "source")}
    tier = shown["city_tier"].cast(pa.float64()).to_numpy().astype(np.float32)
    at = shown["shown_us"].to_numpy().astype(np.int64)
    return ContextColumns(at, flat["channel"], flat["scene"], flat["source"], tier)


def _rates(
    stages: list[StageRows],
    where: tuple[NDArray[np.int64], NDArray[np.int64]],
    products: pa.Table,
    days: int,
) -> NDArray[np.float32]:
    """Return (days + 1, P, 8): observed rates from cases shown before each day, and before now."""
    classes, house = class_codes(products), _codes(products["institution_id"])
    n = products.num_rows
    found: list[NDArray[np.float64]] = []
    for stage, lean in zip(stages, LEAN_CASES, strict=True):
        spot = where[0][stage.rows] * n + where[1][stage.rows]
        expected = stage.delays.expected(stage.delays.rate)
        cases = np.bincount(spot, minlength=days * n).reshape(days, n).astype(np.float64)
        reached = np.bincount(spot, expected, days * n).astype(np.float64).reshape(days, n)
        found += smooth(Tally(cases, reached).before(), classes, house, lean)
    return np.stack(found, axis=2).astype(np.float32)
