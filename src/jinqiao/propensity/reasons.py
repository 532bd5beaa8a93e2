"""Why a chance is what it is: exact contributions of columns, told in words people know.

A logit is base + Σ contributions, to rounding: trees by their SHAP values (exact for trees), the
linear part by slope × scaled value. Columns that say one thing (the parts of a category) are added
up under one name; what has no plain name is never a reason. Nor is a contribution that another
value would not take back: before it is told, the thing named is changed to what others have, and
the chance must move the way the reason says (``swapped``).

A reason names its thing by a code that stays (``of``) and the version of the list of names.

Source: Lundberg et al., "From local explanations to global understanding with explainable AI for
trees", Nature Machine Intelligence 2020.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jinqiao.domain.decision import Reason
from jinqiao.domain.feature import FeatureDictionary
from jinqiao.domain.stage import Stage
from jinqiao.propensity.columns import LABELS, ContextColumns
from jinqiao.propensity.outcomes import CHAIN
from jinqiao.propensity.stage import Levels, StageModel
from jinqiao.propensity.swapped import Pair, moved

if TYPE_CHECKING:
    from jinqiao.propensity.chain import ChainModel

__all__ = ["NAMES", "contributions", "reasons", "told"]

_STAGE_NAMES: Mapping[Stage, tuple[str, str]] = {
    Stage.CLICK: ("点击", "a click"),
    Stage.APPLICATION: ("进件", "an application"),
    Stage.APPROVAL: ("通过", "approval"),
    Stage.ACTIVATION: ("激活", "activation"),
}
_FAINT = 0.02
"""A contribution to the logit below this is no reason."""
NAMES = "reasons@1"
"""The version of the plain names; a change of any name or code is another version."""
_LOOK = 4


def contributions(
    model: StageModel, x: NDArray[np.floating], levels: Levels | None = None
) -> NDArray[np.float64]:
    """Return what each column adds to the calibrated logit, (n, k + 1); the last is the base.

    Rows sum to the logit of ``model.predict(x, levels)``. The base holds intercepts and effects.
    """
    x = np.asarray(x, dtype=np.float32)
    levels = levels or Levels()
    out = np.zeros((len(x), len(model.names) + 1))
    out[:, -1] = model.base
    if model.linear is not None:
        groups = levels.groups if levels.groups is not None else np.zeros(len(x), np.int64)
        groups = np.zeros(len(x), np.int64) if len(model.linear.intercepts) == 1 else groups
        own = model.linear.scaling.apply(x).astype(np.float64) * model.linear.slopes[groups]
        score = model.linear.score(x, levels.groups, levels.effects)
        out[:, :-1] += model.shares[0] * own
        out[:, -1] += model.shares[0] * (score - own.sum(axis=1))
    if model.trees is not None:
        import lightgbm

        booster = lightgbm.Booster(model_str=model.trees)
        out += model.shares[1] * np.asarray(booster.predict(x, pred_contrib=True, num_threads=1))
    out *= model.slope
    out[:, -1] += model.shift
    return out


def told(
    added: NDArray[np.floating],
    names: tuple[str, ...],
    words: Mapping[str, tuple[str, str]],
    *,
    stage: tuple[str, str],
    most: int = 3,
) -> tuple[Reason, ...]:
    """Return the ``most`` strongest reasons of one row of contributions, (k,) or (k + 1,).

    ``words`` maps a column (or the part of its name before ``=``) to its Chinese and English name.
    """
    return tuple(_reason(one, stage) for one in _ranked(added, names, words)[:most])


@dataclass(frozen=True, slots=True)
class _Named:
    """One thing people know by a word, the columns that say it, and what they add together."""

    word: tuple[str, str]
    columns: tuple[str, ...]
    value: float

    @property
    def code(self) -> str:
        """The first column, without the text of a category: what stays when words change."""
        return self.columns[0].split("=", 1)[0]


def _ranked(
    added: NDArray[np.floating], names: tuple[str, ...], words: Mapping[str, tuple[str, str]]
) -> list[_Named]:
    """Return the named things that add more than next to nothing, the strongest first."""
    parts: dict[tuple[str, str], list[tuple[str, float]]] = {}
    for name, value in zip(names, added, strict=False):
        word = words.get(name) or words.get(name.split("=", 1)[0])
        if word is not None:
            parts.setdefault(word, []).append((name, float(value)))
    found = [
        _Named(word, tuple(name for name, _ in some), sum(value for _, value in some))
        for word, some in parts.items()
    ]
    kept = [one for one in found if abs(one.value) >= _FAINT]
    return sorted(kept, key=lambda one: -abs(one.value))


def _reason(one: _Named, stage: tuple[str, str]) -> Reason:
    word, value = one.word, one.value
    numbers = {
        "of": one.code,
        "names": NAMES,
        "name": {"zh": word[0], "en": word[1]},
        "stage": {"zh": stage[0], "en": stage[1]},
        "odds": float(np.exp(abs(value))),
        "points": value,
    }
    return Reason("propensity_up" if value > 0 else "propensity_down", MappingProxyType(numbers))


def reasons(
    model: ChainModel,
    profiles: pa.Table,
    products: pa.Table,
    pair: tuple[int, int],
    context: ContextColumns,
    dictionary: FeatureDictionary,
    *,
    stages: tuple[Stage, ...] = (Stage.CLICK, Stage.APPROVAL),
    most: int = 2,
) -> tuple[Reason, ...]:
    """Return the strongest reasons of each stage for one pair (profile row, product row).

    Names come from the dictionary (``zh``, ``en``) and from the product's own columns. One whose
    change would not move the chance the way it says is left out, and the next takes its place.
    """
    words = dict(LABELS) | {feature.name: (feature.zh, feature.en) for feature in dictionary}
    x, levels = model.row(profiles, products, pair, context), model.levels(products, pair[1])
    who, what = profiles.slice(pair[0], 1), products.slice(pair[1], 1)
    whole = Pair.of(model, who, what, x, context)
    found: list[Reason] = []
    for stage in stages:
        place = CHAIN.index(stage)
        part = model.stages[place]
        ranked = _ranked(contributions(part, x, levels)[0], part.names, words)[: _LOOK * most]
        by = moved(model, place, whole, [one.columns for one in ranked], levels)
        true = [one for one, move in zip(ranked, by, strict=True) if _holds(one, move)]
        found += [_reason(one, _STAGE_NAMES[stage]) for one in true[:most]]
    return tuple(found)


def _holds(one: _Named, move: float | None) -> bool:
    """Return whether other values of the thing named would move the chance the other way."""
    return move is None or (move * one.value > 0 and abs(move) >= _FAINT / 4)
