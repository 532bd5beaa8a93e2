"""One named thing changed, and all that is derived from it: what the model would have said then.

A contribution says what a value added beside the average; that is a reason only if another value
would have moved the chance that way. Values to try are the middles of five equal parts: of the
newest profiles for what is of a customer (a category: its texts by how often they came), of what
training saw for the rest. They are kept in the model's card.

Letters: k columns, m tries, q inputs.

Source: Janzing, Minorics & Blöbaum, "Feature relevance quantification in explainable AI: a causal
problem", AISTATS 2020 (change the input itself, not its conditional mean).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jinqiao.propensity.columns import (
    PAIR_NEEDS,
    ContextColumns,
    class_codes,
    customers,
    pair_columns,
)
from jinqiao.propensity.stage import Levels

if TYPE_CHECKING:
    from jinqiao.propensity.chain import ChainModel
    from jinqiao.propensity.training import TrainingSet

__all__ = ["Pair", "background", "moved", "swapped"]

_PARTS = (0.1, 0.3, 0.5, 0.7, 0.9)
_ROWS = 4_000
_CLOCK = ("hour", "hour_sin", "hour_cos")


@dataclass(frozen=True, eq=False)
class Pair:
    """One customer and one product at a moment: the row of columns, and what its pair part is of.

    ``x`` (1, k); ``needs`` (1, q) the profile's inputs to the pair columns; ``goods`` the product's
    columns and class code; ``moment`` the day of the month and the city's tier.
    """

    x: NDArray[np.float32]
    needs: NDArray[np.float32]
    goods: tuple[NDArray[np.float32], NDArray[np.int64]]
    moment: tuple[NDArray[np.float32], NDArray[np.float32]]

    @classmethod
    def of(
        cls, model: ChainModel, profile: pa.Table, product: pa.Table, x: NDArray[np.float32],
        context: ContextColumns,
    ) -> Pair:  # fmt: skip
        """Return the pair of one profile's and one product's row whose columns are ``x``."""
        first = model.layout.widths[0]
        goods = x[:, first : first + model.layout.widths[1]]
        day = context.day_of_month()[:1].astype(np.float32)
        return cls(
            x, customers(model.layout, profile).needs, (goods, class_codes(product)),
            (day, context.city_tier[:1]),
        )  # fmt: skip


def background(rows: TrainingSet) -> dict[str, list[Any]]:
    """Return by column the values to try, from some thousand rows evenly spread over training.

    A category's column (``name=value``) has the share of profiles that say so.
    """
    some = np.unique(np.linspace(0, max(len(rows) - 1, 0), _ROWS).astype(np.int64))
    if not len(rows):
        return {}
    x, newest = rows.matrix(some), rows.profiles[-1].matrix
    out: dict[str, list[Any]] = {}
    for j, name in enumerate(rows.layout.names):
        column = newest[:, j] if j < newest.shape[1] else x[:, j]
        seen = column[np.isfinite(column)].astype(np.float64)
        if not seen.size:
            continue
        if "=" in name:
            out[name] = [float(seen.mean())]
        else:
            out[name] = np.quantile(seen, _PARTS, method="inverted_cdf").tolist()
    return out


def swapped(model: ChainModel, pair: Pair, names: tuple[str, ...]) -> NDArray[np.float32]:
    """Return the pair's columns with a named thing put to each value to try, (m, k).

    ``names`` : the columns that say it. What is made of a profile's feature together with the
    product changes with it. (0, k) where the card keeps no values.
    """
    kept: Mapping[str, list[Any]] = model.card.get("background", {})
    place = {name: i for i, name in enumerate(model.layout.names)}
    if not any(name in kept for name in names):
        return pair.x[:0]
    out = np.repeat(pair.x, len(_PARTS), axis=0)
    for name, values in _values(names, kept).items():
        out[:, place[name]] = values
    if set(_CLOCK) <= set(names):
        angle = out[:, place["hour"]] * np.pi / 12
        out[:, place["hour_sin"]], out[:, place["hour_cos"]] = np.sin(angle), np.cos(angle)
    if names[0] in PAIR_NEEDS:
        _derive(model, pair, PAIR_NEEDS.index(names[0]), out)
    return out


def _values(names: tuple[str, ...], kept: Mapping[str, list[Any]]) -> dict[str, NDArray[Any]]:
    """Return by column the value of each try; a category says one of its texts a try."""
    texts = [name for name in names if "=" in name]
    if not texts:
        return {name: np.array(kept[name]) for name in names if name in kept}
    share = np.cumsum([kept.get(name, [0.0])[0] for name in texts])
    said = np.searchsorted(share / max(share[-1], 1e-9), np.array(_PARTS))
    return {name: (said == i).astype(np.float64) for i, name in enumerate(texts)}


def _derive(model: ChainModel, pair: Pair, need: int, out: NDArray[np.float32]) -> None:
    """Make the pair columns of each try anew from its own value of an input, in place."""
    m, last = len(out), model.layout.widths[3]
    needs = np.repeat(pair.needs, m, axis=0)
    needs[:, need] = out[:, model.layout.names.index(PAIR_NEEDS[need])]
    goods = np.repeat(pair.goods[0], m, axis=0), np.repeat(pair.goods[1], m)
    out[:, -last:] = pair_columns(needs, goods, pair.moment)


def moved(
    model: ChainModel, stage: int, pair: Pair, things: Sequence[tuple[str, ...]], levels: Levels
) -> list[float | None]:
    """Return how much more the pair's own value of each thing brings a stage's logit than others'.

    ``things`` : the columns of each. The mean over the values tried; None where none are kept.
    """
    tried = [swapped(model, pair, names) for names in things]
    every = np.concatenate((pair.x, *tried))
    part = model.stages[stage]
    score = part.slope * part.score(every, levels.rows(np.zeros(len(every), np.int64)))
    ends = np.cumsum([1, *map(len, tried)])
    return [
        float(score[0] - score[a:b].mean()) if b > a else None for a, b in pairwise(ends.tolist())
    ]
