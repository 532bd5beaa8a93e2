"""Four stage models as one chain: trained together, predicted for pairs at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jinqiao.domain.consent import Purpose
from jinqiao.domain.stage import Stage
from jinqiao.propensity.calibration import sigmoid
from jinqiao.propensity.columns import (
    CLASSES,
    ContextColumns,
    Layout,
    class_codes,
    customers,
    pair_columns,
    product_matrix,
)
from jinqiao.propensity.linear import fit_linear, one_thread
from jinqiao.propensity.outcomes import CHAIN
from jinqiao.propensity.scorer import Scorer, levels_of
from jinqiao.propensity.stage import Levels, StageModel, StageSpec, fit_stage
from jinqiao.propensity.training import TrainingSet

if TYPE_CHECKING:
    from jinqiao.engines.forest import Forest

__all__ = ["ChainModel", "ChainSpec", "StagesKept", "train"]

_START_STRENGTH, _FEW_CASES, _FEW_OPEN = 32.0, 200, 0.1
_MANY_CASES = 1_000
_AT_ONCE = 2
"""So many stages are fitted at once; each on one thread, so that the same seed gives the same."""


def _default_stages() -> Mapping[Stage, StageSpec]:
    small = StageSpec(leaves=8, min_leaf=40, strength=16.0)
    return {
        Stage.CLICK: StageSpec(exact=("position_2", "position_3", "position_4")),
        Stage.APPLICATION: small,
        Stage.APPROVAL: small,
        Stage.ACTIVATION: small,
    }


@dataclass(frozen=True, slots=True)
class ChainSpec:
    """How a chain is trained: at most ``click_rows`` shown offers (every click is kept)."""

    click_rows: int = 60_000
    stages: Mapping[Stage, StageSpec] = field(default_factory=_default_stages)


@dataclass(frozen=True)
class ChainModel:
    """Chances of click given shown, application given click, approval and activation.

    ``rates`` maps a product to its eight observed rates now; ``class_rates`` and ``house_rates``
    serve products and institutions unknown at training; ``card`` is plain JSON.
    """

    layout: Layout
    stages: tuple[StageModel, StageModel, StageModel, StageModel]
    products: tuple[str, ...]
    institutions: tuple[str, ...]
    rates: NDArray[np.float32]
    class_rates: NDArray[np.float32]
    house_rates: NDArray[np.float32]
    purpose: Purpose
    card: Mapping[str, Any]

    @property
    def version(self) -> str:
        return str(self.card["version"])

    @cached_property
    def forests(self) -> tuple[Forest | None, ...]:
        """The trees of each stage cut by its sides, None where a stage has none."""
        from jinqiao.engines.forest import read_forest

        widths = self.layout.widths
        return tuple(read_forest(s.trees, widths) if s.trees else None for s in self.stages)

    def product_rates(self, products: pa.Table) -> NDArray[np.float32]:
        """Return each product's observed rates, (P, 8); an unknown one has those of its class."""
        known = levels_of(products["product_id"], self.products)
        house = levels_of(products["institution_id"], self.institutions)
        out = self.class_rates[class_codes(products)].copy()
        out[known >= 0] = self.rates[known[known >= 0]]
        fresh = (known < 0) & (house >= 0)
        out[fresh, 1::2] = self.house_rates[house[fresh], 1::2]
        return out

    def predict(
        self,
        profiles: pa.Table,
        products: pa.Table,
        customer_index: NDArray[np.int32],
        product_index: NDArray[np.int32],
        context: ContextColumns,
        *,
        position: int = 1,
    ) -> NDArray[np.float32]:
        """Return (m, 4) float32 chances, each given the stage before, of m pairs.

        Parameters
        ----------
        profiles, products : feature rows and PRODUCTS rows. customer_index, product_index : (m,)
            rows of each. context : one moment for all pairs, or one a pair. position : 1 = top.

        Raises
        ------
        SchemaError : a feature is missing. InputError : an index is out of range, or the context
            has neither one row nor one a pair.

        Examples
        --------
        >>> chances = model.predict(profiles, products, rows, columns, context)  # doctest: +SKIP
        """
        return self.scorer(profiles, products).score(
            customer_index, product_index, context, None, position
        )

    def scorer(self, profiles: pa.Table, products: pa.Table) -> Scorer:
        """Return the chances of pairs of fixed profiles and products as something to call."""
        return Scorer(self, profiles, products)

    def row(
        self,
        profiles: pa.Table,
        products: pa.Table,
        pair: tuple[int, int],
        context: ContextColumns,
        position: int = 1,
    ) -> NDArray[np.float32]:
        """Return one pair's columns, (1, k) float32, in the order of ``layout.names``."""
        who = customers(self.layout, profiles.slice(pair[0], 1))
        one = slice(pair[1], pair[1] + 1)
        goods = product_matrix(products, self.product_rates(products))[one]
        moment = (context.day_of_month()[:1].astype(np.float32), context.city_tier[:1])
        own = pair_columns(who.needs, (goods, class_codes(products)[one]), moment)
        return np.hstack((who.matrix, goods, context.matrix(position)[:1], own))

    def levels(self, products: pa.Table, product: int) -> Levels:
        """Return one product's group and effect levels, as ``StageModel.score`` takes them."""
        one = products.slice(product, 1)
        effects = (
            levels_of(one["product_id"], self.products),
            levels_of(one["institution_id"], self.institutions),
        )
        return Levels(class_codes(one), len(CLASSES), effects)


class StagesKept(Protocol):
    """Where finished stages wait for the others, so that none is trained again after a stop."""

    def find(self, stage: str) -> StageModel | None:
        """Return a stage that was finished for the same rows, seed and settings, or None."""
        ...

    def keep(self, model: StageModel) -> None:
        """Keep a finished stage; called from the thread that fitted it."""
        ...


def train(
    training_set: TrainingSet,
    *,
    seed: int,
    spec: ChainSpec | None = None,
    kept: StagesKept | None = None,
) -> ChainModel:
    """Return the chain learnt from shown offers; the same seed gives the same chain.

    A stage with too few cases is a constant and its card says so. ``kept``: stages finished before.
    """
    from jinqiao.propensity.card import chain_card

    spec = spec or ChainSpec()
    products, classes = training_set.products, class_codes(training_set.products)
    houses = sorted(set(products["institution_id"].to_pylist()))
    house = levels_of(products["institution_id"], tuple(houses))

    def fitted(place: int) -> StageModel:
        found = kept.find(CHAIN[place].value) if kept is not None else None
        if found is None:
            found = _fit(training_set, place, spec, seed, (classes, house))
            if kept is not None:
                kept.keep(found)
        return found

    with one_thread(), ThreadPoolExecutor(_AT_ONCE) as pool:  # stages do not know of each other
        models = list(pool.map(fitted, range(4)))
    rates = training_set.rates[-1]
    model = ChainModel(
        training_set.layout,
        (models[0], models[1], models[2], models[3]),
        tuple(products["product_id"].to_pylist()),
        tuple(houses),
        rates,
        _class_rates(training_set, classes),
        _first_of(rates, house, len(houses)),
        training_set.purpose,
        {},
    )
    card = chain_card(model, training_set, spec, seed)
    return ChainModel(**{**_fields(model), "card": card})


def _fields(model: ChainModel) -> dict[str, Any]:
    return {name: getattr(model, name) for name in ChainModel.__dataclass_fields__}


def _class_rates(rows: TrainingSet, classes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return (classes, 8): the mean of the class's products, or of all for an unseen class."""
    rates = rows.rates[-1]
    everyone = rates.mean(axis=0)
    out = np.tile(everyone, (len(CLASSES), 1))
    for group in np.unique(classes):
        out[group] = rates[classes == group].mean(axis=0)
    return out.astype(np.float32)


def _first_of(
    rates: NDArray[np.float32], house: NDArray[np.int64], size: int
) -> NDArray[np.float32]:
    out = np.zeros((size, rates.shape[1]), np.float32)
    out[house] = rates
    return out


def _fit(
    rows: TrainingSet,
    place: int,
    spec: ChainSpec,
    seed: int,
    codes: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> StageModel:
    """Return one stage's model; open cases count by their expected label."""
    stage = rows.stages[place]
    name = CHAIN[place]
    at, label, weight = _sample(stage.rows, stage.delays.label, place, spec.click_rows, seed)
    x = rows.matrix(stage.rows[at])
    product = rows.product[stage.rows[at]]
    levels = Levels(
        codes[0][product], len(CLASSES), (product, codes[1][product]),
        (rows.products.num_rows, int(codes[1].max(initial=0)) + 1),
    )  # fmt: skip
    if place:
        label, weight = _expected(stage.delays, x, levels)
    keep = weight > 0
    model = fit_stage(
        x[keep], label[keep], names=rows.layout.names, weights=weight[keep],
        times=rows.shown_us[stage.rows[at]][keep], levels=levels.rows(keep),
        seed=seed + place, spec=spec.stages.get(name, StageSpec()), stage=name.value,
    )  # fmt: skip
    if model.judged is None:
        return model
    own = stage.rows[at][keep][model.judged.rows]
    return replace(model, judged=replace(model.judged, rows=own))


def _sample(
    rows: NDArray[np.int64], label: NDArray[np.float64], place: int, most: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return which cases are used: all, or every click and a weighted share of the rest."""
    everything = np.arange(len(rows))
    if place or len(rows) <= most:
        return everything, label, np.ones(len(rows))
    yes = int((label == 1).sum())
    share = min(1.0, max((most - yes) / max(len(rows) - yes, 1), 0.02))
    rng = np.random.default_rng([seed, 11])
    at = np.flatnonzero((label == 1) | (rng.random(len(rows)) < share))
    return at, label[at], np.where(label[at] == 1, 1.0, 1.0 / share)


def _expected(
    delays: Any, x: NDArray[np.float32], levels: Levels
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return expected labels and weights of cases, open ones by one step of expectation.

    A case too young to say anything (less than a tenth of either end shows by its age) only repeats
    the model's own belief, so it is left out, open or decided: the fast ones alone would mislead.
    Each half of the rest is told by a model of the other half: told by one that has seen them, open
    cases would prove it right whatever it says. Where few are open their product's rate will do.
    """
    open_ = np.isnan(delays.label)
    young = open_.any() & (np.maximum(delays.yes_by, delays.no_by) < 0.1)
    weight = np.where(young, 0.0, 1.0)
    p = np.clip(delays.rate, 0.01, 0.99)
    label = delays.expected(p)
    if len(p) < _FEW_CASES or open_.mean() < _FEW_OPEN:
        return label, weight
    for here, rest in _told_by(len(p), weight > 0):
        other = levels.rows(rest)
        start = fit_linear(
            x[rest], label[rest], weight[rest], groups=other.groups, n_groups=levels.n_groups,
            effects=other.effects, sizes=levels.sizes,
            strength=_START_STRENGTH if len(p) >= _MANY_CASES else 1.0,
        )  # fmt: skip
        mine = levels.rows(here)
        p[here] = sigmoid(start.score(x[here], mine.groups, mine.effects))
    return delays.expected(p), weight


def _told_by(n: int, kept: NDArray[np.bool_]) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Yield which cases are told and by which: halves by each other, few by all of them.

    A half of few cases says next to nothing of anybody.
    """
    if n < _MANY_CASES:
        yield np.ones(n, np.bool_), kept
        return
    half = np.arange(n) % 2
    for own in (0, 1):
        yield half == own, (half != own) & kept
