"""A challenger against the champion, on the same latest rows that neither was fitted on.

Per stage the rows are the latest 15 % of the challenger's cases, of which its trial fit knew
nothing, and of those only what was shown after the champion was trained. The champion says its
chances as it would serve them. What is compared is log-loss, paired row by row, with a bootstrap
over customers, whose rows hang together. The trial fit knew 70 % of what the challenger itself
learns from, so the comparison leans towards the champion.

A stage is ``worse`` when its loss is higher by more than the margin, a share of the champion's
loss, and the whole interval says so; ``better`` when the whole interval is below nothing; else
``alike``. ``too_few``: not enough rows to say.

Source: Efron & Tibshirani, "An introduction to the bootstrap", 1993, chapter 8 (paired, clustered).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from jinqiao.propensity.columns import CLASSES, PRODUCT_COLUMNS, class_codes
from jinqiao.propensity.scorer import levels_of
from jinqiao.propensity.stage import Levels

if TYPE_CHECKING:
    from jinqiao.propensity.chain import ChainModel
    from jinqiao.propensity.training import TrainingSet

__all__ = ["MARGIN", "StageContest", "contest", "faults_of", "serving_chances"]

MARGIN = 0.02
"""So much of the champion's log-loss a stage may lose before it counts as worse."""
_RESAMPLES = 400
_MOST = 20_000
_FEW = 20.0
_RATES = 8


@dataclass(frozen=True, slots=True)
class StageContest:
    """One stage of a contest: log-losses in nats a case; ``difference`` = challenger − champion.

    ``lower`` and ``upper`` bound the difference with 95 %; ``margin`` is in nats too.
    """

    stage: str
    rows: int
    yes: float
    champion: float
    challenger: float
    difference: float
    lower: float
    upper: float
    margin: float
    verdict: str


def contest(
    champion: ChainModel,
    challenger: ChainModel,
    rows: TrainingSet,
    *,
    champion_as_of_us: int,
    seed: int,
    margin: float = MARGIN,
) -> tuple[StageContest, ...]:
    """Return how a freshly trained challenger does beside the champion, stage by stage."""
    found = []
    for place, stage in enumerate(challenger.stages):
        judged = stage.judged
        if judged is None:
            found.append(_nothing(stage.stage))
            continue
        late = np.flatnonzero(rows.shown_us[judged.rows] > champion_as_of_us)
        rng = np.random.default_rng([seed, 53, place])
        late = late if len(late) <= _MOST else rng.choice(late, _MOST, replace=False)
        y, w = judged.y[late], judged.w[late]
        if min(w @ y, w @ (1 - y)) < _FEW:
            found.append(_nothing(stage.stage, len(late), float(w @ y)))
            continue
        theirs = _losses(serving_chances(champion, rows, judged.rows[late], place), y)
        ours = _losses(judged.p[late], y)
        cluster = rows.snapshot[judged.rows[late]] * 2**32 + rows.customer[judged.rows[late]]
        ends = _ends(ours - theirs, w, cluster, rng)
        mean = (float(np.average(theirs, weights=w)), float(np.average(ours, weights=w)))
        told = (*mean, mean[1] - mean[0], *ends, margin * mean[0])
        verdict = "worse" if ends[0] > told[-1] else "better" if ends[1] < 0 else "alike"
        found.append(StageContest(stage.stage, len(late), float(w @ y), *told, verdict))
    return tuple(found)


def serving_chances(
    model: ChainModel, rows: TrainingSet, at: NDArray[np.int64], place: int
) -> NDArray[np.float64]:
    """Return the chance a model says of rows of a training set, (n,), as it would serve them.

    With its own observed rates and not those of each day; a column it knows and the rows do not
    have is missing.
    """
    x = rows.matrix(at)
    product = rows.product[at]
    rates = rows.layout.widths[0] + len(PRODUCT_COLUMNS) - _RATES
    x[:, rates : rates + _RATES] = model.product_rates(rows.products)[product]
    if model.layout.names != rows.layout.names:
        own = {name: column for column, name in enumerate(rows.layout.names)}
        both = np.full((len(x), len(model.layout.names)), np.nan, np.float32)
        for column, name in enumerate(model.layout.names):
            if name in own:
                both[:, column] = x[:, own[name]]
        x = both
    effects = (
        levels_of(rows.products["product_id"], model.products)[product],
        levels_of(rows.products["institution_id"], model.institutions)[product],
    )
    groups = class_codes(rows.products)[product]
    return model.stages[place].predict(x, Levels(groups, len(CLASSES), effects))


def faults_of(model: ChainModel, rows: TrainingSet, *, seed: int) -> tuple[str, ...]:
    """Return what is wrong with a model as it was read back: chances that are none, a stage."""
    rng = np.random.default_rng([seed, 59])
    at = np.sort(rng.choice(len(rows), min(len(rows), 500), replace=False))
    found = []
    for place, stage in enumerate(model.stages):
        p = serving_chances(model, rows, at, place)
        if not (np.isfinite(p).all() and (p >= 0).all() and (p <= 1).all()):
            found.append(f"{stage.stage}: a chance is not between 0 and 1")
    return tuple(found)


def _nothing(stage: str, rows: int = 0, yes: float = 0.0) -> StageContest:
    return StageContest(stage, rows, yes, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, "too_few")


def _losses(p: NDArray[np.floating], y: NDArray[np.floating]) -> NDArray[np.float64]:
    p = np.clip(p, 1e-7, 1 - 1e-7)
    return np.asarray(-(y * np.log(p) + (1 - y) * np.log1p(-p)))


def _ends(
    each: NDArray[np.float64], w: NDArray[np.float64], cluster: NDArray[np.int64],
    rng: np.random.Generator,
) -> tuple[float, float]:  # fmt: skip
    """Return the 95 % interval of a weighted mean over customers drawn again."""
    _, code = np.unique(cluster, return_inverse=True)
    total, mass = np.bincount(code, w * each), np.bincount(code, w)
    draws = rng.poisson(1.0, size=(_RESAMPLES, len(total))).astype(np.float64)
    means = (draws @ total) / np.maximum(draws @ mass, 1e-9)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)
