"""Pairs scored: what a side decides is computed once a row of the side, then pairs add up.

n profiles, P products, k moments, m pairs. A scorer keeps the products' part of all four stages
and the profiles' numbers; a call computes the part of the customers and moments it names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jinqiao.errors import InputError
from jinqiao.propensity.columns import (
    ContextColumns,
    Customers,
    class_codes,
    customers,
    product_matrix,
)
from jinqiao.propensity.pairs import family_of, fill_pairs, grouped, pair_places, rowwise

if TYPE_CHECKING:
    from jinqiao.engines.forest import Forest
    from jinqiao.engines.stages import Stages
    from jinqiao.propensity.asked import Asked, Ready
    from jinqiao.propensity.chain import ChainModel
    from jinqiao.propensity.linear import Linear

__all__ = ["Goods", "Scorer", "levels_of"]

_CHUNK = 200_000
_KEPT_BYTES = 1 << 28
_RUN = 8
"""Candidates a request from which on a request's trees are looked at once."""


class _Moments(Protocol):
    @property
    def at_us(self) -> Any: ...
    @property
    def channel(self) -> Any: ...
    @property
    def scene(self) -> Any: ...
    @property
    def source(self) -> Any: ...
    @property
    def city_tier(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Goods:
    """The products' part: columns, classes, effect levels; per stage linear scores and words.

    ``family`` (P,) is which of credit, wealth, insurance a product counts as; ``places`` are the
    columns its pairs need.
    """

    matrix: NDArray[np.float32]
    classes: NDArray[np.int64]
    family: NDArray[np.int64]
    places: NDArray[np.int64]
    levels: tuple[NDArray[np.int64], NDArray[np.int64]]
    linear: tuple[Any, ...]
    words: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class _Side:
    """Of one stage: linear scores of customers (n, g) and moments (k, g), and their words."""

    who: Any
    moments: Any
    words: tuple[Any, Any]


@dataclass(frozen=True, slots=True)
class _Part:
    """Of one stage and some customers: linear scores (n, g) and words (n, t), or None."""

    linear: Any
    words: Any


class _Kept:
    """The customers' parts, kept once computed: a customer who comes back is only looked up.

    Rows are filled before they are called known, so threads may fill one at once: with the same.
    """

    def __init__(self, parts: Sequence[_Part], n: int) -> None:
        self.parts = parts
        self._known = np.zeros(n, np.bool_)

    @classmethod
    def of(cls, model: ChainModel, n: int) -> _Kept | None:
        """Return room for n customers, or None where that is too much to keep."""
        trees = [0 if forest is None else forest.n_words for forest in model.forests]
        groups = [0 if s.linear is None else len(s.linear.slopes) for s in model.stages]
        if 4 * n * (sum(trees) + sum(groups)) > _KEPT_BYTES:
            return None
        made = zip(model.stages, model.forests, trees, groups, strict=True)
        parts = [
            _Part(
                None if stage.linear is None else np.empty((n, g), stage.linear.slopes.dtype),
                None if forest is None else np.empty((n, t), np.uint32),
            )
            for stage, forest, t, g in made
        ]
        return cls(parts, n)

    def learn(
        self, ci: NDArray[np.int32], part: Callable[[int, NDArray[np.float32]], _Part],
        matrix: NDArray[np.float32],
    ) -> None:  # fmt: skip
        """Fill in the rows of these customers that are not there yet."""
        wanted = np.zeros(len(self._known), np.bool_)
        wanted[ci] = True
        rows = np.flatnonzero(wanted & ~self._known)
        if not rows.size:
            return
        some = matrix[rows]
        for place, kept in enumerate(self.parts):
            made = part(place, some)
            if kept.linear is not None:
                kept.linear[rows] = made.linear
            if kept.words is not None:
                kept.words[rows] = made.words
        self._known[rows] = True


class Scorer:
    """Chances of pairs of these profiles and products; a ``shelf`` calls it.

    ``scorer(customers, products, moments, moment, position)`` returns (m, 4) float32: rows of the
    profiles (m,), rows of the products (m,), k moments (any record with ``at_us``, ``channel``,
    ``scene``, ``source``, ``city_tier``), each pair's moment (m,) and the positions (k,), 1 = top.
    """

    def __init__(self, model: ChainModel, profiles: pa.Table, products: pa.Table) -> None:
        self.model = model
        self.people = customers(model.layout, profiles)
        self.goods = _goods(model, products)
        self._kept = _Kept.of(model, len(self.people.matrix))
        self._stages: dict[int, Stages] = {}

    def __call__(
        self,
        customers: NDArray[np.integer],
        products: NDArray[np.integer],
        moments: _Moments,
        moment: NDArray[np.integer] | None = None,
        position: NDArray[np.integer] | int = 1,
    ) -> NDArray[np.float32]:
        """Return (m, 4) float32 chances, each given the stage before."""
        context = ContextColumns(
            np.asarray(moments.at_us, np.int64), moments.channel, moments.scene, moments.source,
            np.asarray(moments.city_tier, np.float32),
        )  # fmt: skip
        return self.score(customers, products, context, moment, position)

    @cached_property
    def _ready(self) -> Ready:
        from jinqiao.propensity.asked import Ready

        return Ready(self.model, self.goods)

    def ask(self, customer: int, moments: _Moments) -> Asked:
        """Return one customer at one moment, whose candidates are scored as a batch would."""
        from jinqiao.propensity.asked import Asked

        moment = (
            int(moments.at_us[0]), moments.channel[0].as_py(), moments.scene[0].as_py(),
            moments.source[0].as_py(), float(moments.city_tier[0]),
        )  # fmt: skip
        people = self.people
        return Asked(self._ready, (people.matrix[customer], people.needs[customer]), moment)

    def score(
        self,
        customers: NDArray[np.integer],
        products: NDArray[np.integer],
        context: ContextColumns,
        moment: NDArray[np.integer] | None = None,
        position: NDArray[np.integer] | int = 1,
    ) -> NDArray[np.float32]:
        """Return the same for a context; without ``moment`` one moment serves all, or one a pair.

        Raises InputError when an index is out of range or the lengths differ.
        """
        ci, pi, ki = self._indices(customers, products, context, moment)
        out = np.empty((len(ci), 4), dtype=np.float32)
        if len(ci) == 0:
            return out
        who, ci, parts = self._people(ci)
        columns = context.matrix(position)
        moments = (context.day_of_month().astype(np.float32), context.city_tier)
        sides = [self._side(place, parts[place], columns) for place in range(4)]
        for start in range(0, len(ci), _CHUNK):
            part = slice(start, start + _CHUNK)
            self._chunk(who, moments, sides, (ci[part], pi[part], ki[part]), out[part])
        return out

    def _people(
        self, ci: NDArray[np.int32]
    ) -> tuple[Customers, NDArray[np.int32], Sequence[_Part]]:
        """Return the customers asked for, each pair's place among them, and their parts."""
        if self._kept is not None:
            self._kept.learn(ci, self._part, self.people.matrix)
            return self.people, ci, self._kept.parts
        who, ci = _only(self.people, ci)
        return who, ci, [self._part(place, who.matrix) for place in range(4)]

    def _part(self, place: int, who: NDArray[np.float32]) -> _Part:
        """Return what a stage needs of customers, computed once a row."""
        stage, forest = self.model.stages[place], self.model.forests[place]
        words = None if forest is None else forest.words(0, who)
        if stage.linear is None:
            return _Part(None, words)
        slopes = stage.linear.slopes[:, : self.model.layout.widths[0]]
        return _Part(rowwise(stage.linear.scaling.apply(who), slopes), words)

    def _side(self, place: int, part: _Part, moments: NDArray[np.float32]) -> _Side:
        """Return what a stage needs of customers and moments."""
        stage, forest = self.model.stages[place], self.model.forests[place]
        words = (part.words, None if forest is None else forest.words(2, moments))
        if stage.linear is None:
            return _Side(None, None, words)
        k1, k2, k3, _ = self.model.layout.widths
        third = slice(k1 + k2, k1 + k2 + k3)
        scaled = stage.linear.scaling.apply(moments, k1 + k2)
        return _Side(part.linear, rowwise(scaled, stage.linear.slopes[:, third]), words)

    def _chunk(
        self,
        who: Customers,
        moments: tuple[NDArray[np.float32], NDArray[np.float32]],
        sides: list[_Side],
        pairs: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]],
        out: NDArray[np.float32],
    ) -> None:
        ci, pi, ki = pairs
        goods, group = self.goods, self.goods.classes[pi]
        own = np.empty((len(ci), self.model.layout.widths[3]), np.float32)
        fill_pairs(who.needs, ci, goods.matrix, goods.family, pi, *moments, ki, goods.places, own)
        first = sum(self.model.layout.widths[:3])
        for place, (stage, side) in enumerate(zip(self.model.stages, sides, strict=True)):
            score = np.full(len(ci), stage.base)
            if stage.linear is not None:
                logit = side.who[ci, group] + goods.linear[place][pi] + side.moments[ki, group]
                z = stage.linear.scaling.apply(own, first)
                logit += grouped(z, stage.linear.slopes[:, first:], group)
                score += stage.shares[0] * logit
            forest = self.model.forests[place]
            if forest is not None:
                score += stage.shares[1] * self._trees(place, forest, side, pairs, own)
            out[:, place] = stage.calibrate(score)

    def _trees(
        self,
        place: int,
        forest: Forest,
        side: _Side,
        pairs: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]],
        own: NDArray[np.float32],
    ) -> NDArray[np.float64]:
        """Return the trees' raw score of each pair: request by request where they stand so."""
        from jinqiao.engines.forest import Pairing

        ci, pi, ki = pairs
        words = (side.words[0], self.goods.words[place], side.words[1])
        runs = 1 + np.count_nonzero((np.diff(ci) != 0) | (np.diff(ki) != 0))
        if runs * _RUN > len(ci):
            return forest.score(words, Pairing(ci, pi, ki), own)
        if place not in self._stages:
            self._stages[place] = _one_stage(forest, words[1], own.shape[1])
        stages = self._stages[place]
        return np.asarray(stages.of_runs((words[0], words[2]), Pairing(ci, pi, ki), own)[:, 0])

    def _indices(
        self,
        customers: NDArray[np.integer],
        products: NDArray[np.integer],
        context: ContextColumns,
        moment: NDArray[np.integer] | None,
    ) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
        """Return checked int32 rows of the three sides."""
        m, k = len(customers), len(context)
        if moment is None:
            if k not in (1, m):
                raise InputError(f"{k} moments for {m} pairs", field="context")
            moment = np.zeros(m, np.int32) if k == 1 else np.arange(m)
        sizes = (("customer", customers, len(self.people.matrix)),
                 ("product", products, len(self.goods.matrix)), ("moment", moment, k))  # fmt: skip
        found = []
        for name, index, size in sizes:
            rows = np.asarray(index, np.int32)
            if rows.shape != (m,):
                raise InputError(f"{rows.shape} rows for {m} pairs", field=f"{name}_index")
            if m and (rows.min() < 0 or rows.max() >= size):
                raise InputError(f"a row outside 0 … {size - 1}", field=f"{name}_index")
            found.append(rows)
        return found[0], found[1], found[2]


def _one_stage(forest: Forest, goods: NDArray[np.uint32], n_own: int) -> Stages:
    from jinqiao.engines.stages import Stages

    return Stages(forest, np.array([0, forest.n_trees]), goods, n_own)


def _only(people: Customers, ci: NDArray[np.int32]) -> tuple[Customers, NDArray[np.int32]]:
    """Return the customers who are asked for and each pair's place among them."""
    n = len(people.matrix)
    if len(ci) >= n:
        return people, ci
    rows, place = np.unique(ci, return_inverse=True)
    return Customers(people.matrix[rows], people.needs[rows]), place.astype(np.int32)


def _goods(model: ChainModel, products: pa.Table) -> Goods:
    matrix = product_matrix(products, model.product_rates(products))
    classes = class_codes(products)
    levels = (
        levels_of(products["product_id"], model.products),
        levels_of(products["institution_id"], model.institutions),
    )
    linear, words = [], []
    for stage, forest in zip(model.stages, model.forests, strict=True):
        own = stage.linear
        linear.append(None if own is None else _linear(own, matrix, classes, levels, model))
        words.append(None if forest is None else forest.words(1, matrix))
    return Goods(
        matrix, classes, family_of(classes), pair_places(), levels, tuple(linear), tuple(words),
    )  # fmt: skip


def _linear(
    linear: Linear,
    matrix: NDArray[np.float32],
    classes: NDArray[np.int64],
    levels: tuple[NDArray[np.int64], NDArray[np.int64]],
    model: ChainModel,
) -> NDArray[np.float64]:
    """Return the products' part of a linear score: slopes, intercept of the class, effects."""
    k1, k2, _, _ = model.layout.widths
    z = linear.scaling.apply(matrix, k1)
    score: NDArray[np.float64] = np.einsum(
        "pk,pk->p", z, linear.slopes[classes, k1 : k1 + k2]
    ).astype(np.float64)
    score += linear.intercepts[classes]
    for values, level in zip(linear.effects, levels, strict=True):
        score += np.where(level >= 0, values[np.maximum(level, 0)], 0.0)
    return score


def levels_of(column: pa.ChunkedArray, known: tuple[str, ...]) -> NDArray[np.int64]:
    """Return each value's place among known ones, −1 for another."""
    found = pc.index_in(column, value_set=pa.array(known, pa.string()))
    return np.asarray(pc.fill_null(found, -1).to_numpy(), dtype=np.int64)
