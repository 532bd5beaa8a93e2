"""What time, place, channel and scene add: the click stage with them and without, out of time.

Both models are fitted on the earlier 80 % of shown offers and judged on the rest; position stays in
both, since it is no choice of the customer. Beside the log-loss stands a replay: on shelves drawn
evenly each model would have put one of the offers shown first, and how often that one was clicked
is what its choice is worth, without a bias of the log.

Letters: n shown offers, v shelves judged.

Source: Li, Chu, Langford & Wang, "Unbiased offline evaluation of contextual-bandit-based news
article recommendation algorithms", WSDM 2011 (replay).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from jinqiao.errors import InputError
from jinqiao.propensity.calibration import sigmoid, weighted_auc
from jinqiao.propensity.columns import CLASSES, CONTEXT_COLUMNS, class_codes
from jinqiao.propensity.linear import fit_linear, one_thread
from jinqiao.propensity.stage import Levels, StageSpec, fit_stage

if TYPE_CHECKING:
    from jinqiao.propensity.chain import ChainModel
    from jinqiao.propensity.training import TrainingSet

__all__ = ["ContextGain", "context_gain", "of_context", "with_context"]

_SHARE = 0.8
_DRAWS = 300
_LEAST = 200
_CARD_ROWS = 20_000
_MADE_OF = ("days_from_payday", "city_tier_shift")
_POSITION = "position"


@dataclass(frozen=True, slots=True)
class ContextGain:
    """Judged out of time on ``rows`` offers of ``shelves`` shelves; each gain has a 95 % interval.

    ``nats`` : log-loss saved a shown offer. ``auc`` and ``auc_without``. ``picked`` and
    ``picked_without`` : clicks of the offer that each model puts first among those of a shelf that
    was drawn evenly; ``lift`` their ratio − 1. ``differ`` : share of shelves where they pick apart.
    """

    rows: int
    nats: tuple[float, float, float]
    auc: float
    auc_without: float
    shelves: int
    picked: float
    picked_without: float
    lift: tuple[float, float, float] | None
    differ: float


def of_context(names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Return which columns say when and where, (k,): also those made of it with the pair."""
    said = {n for n in CONTEXT_COLUMNS if not n.startswith(_POSITION)} | set(_MADE_OF)
    return np.array([name in said for name in names])


def context_gain(
    rows: TrainingSet, *, seed: int, most: int = 60_000, spec: StageSpec | None = None,
    truth: NDArray[np.float64] | None = None,
) -> ContextGain:  # fmt: skip
    """Return what the context adds to the click stage.

    ``most`` : so many offers at most, whole shelves from the newest back. ``spec`` : how both are
    fitted, None for the linear part alone; the same for both, so that only the columns differ.
    ``truth`` : (n,) each row's true chance of a click at the top where that is known, as in a
    generated market: picks are then told by it in place of clicks.

    Raises InputError where there are fewer than 200 shelves, or no click in either part.
    """
    some, shelf = _newest(rows, most)
    y = rows.stages[0].delays.label[np.searchsorted(rows.stages[0].rows, some)]
    early = shelf < _SHARE * (shelf.max(initial=-1) + 1)
    if shelf.max(initial=0) < _LEAST or not (y[early].any() and y[~early].any()):
        raise InputError("too few shelves to judge context by", record="rows", field="most")
    x = rows.matrix(some)
    bare = x.copy()
    bare[:, of_context(rows.layout.names)] = 0.0
    levels = Levels(class_codes(rows.products)[rows.product[some]], len(CLASSES))
    when = (y, early, rows.shown_us[some])
    both = [_fitted(part, when, levels, rows.layout.names, (seed, spec)) for part in (x, bare)]
    return _compared(both, (y if truth is None else truth[some])[~early], y[~early], shelf[~early],
                     np.random.default_rng([seed, 61]))  # fmt: skip


def _fitted(
    x: NDArray[np.float32],
    cases: tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]],
    levels: Levels,
    names: tuple[str, ...],
    how: tuple[int, StageSpec | None],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the chances that a model of the early rows gives the late ones: there, and on top."""
    y, early, at = cases
    part, rest = levels.rows(early), levels.rows(~early)
    late = x[~early]
    top = late.copy()
    for j, name in enumerate(names):
        if name.startswith(_POSITION):
            top[:, j] = 1.0 if name == _POSITION else 0.0
    if how[1] is not None:
        model = fit_stage(
            x[early], y[early], names=names, times=at[early], levels=part, seed=how[0],
            spec=how[1], stage="click",
        )  # fmt: skip
        return model.predict(late, rest), model.predict(top, rest)
    with one_thread():
        linear = fit_linear(
            x[early], y[early], np.ones(int(early.sum())), groups=part.groups,
            n_groups=part.n_groups, strength=StageSpec().strength,
        )  # fmt: skip
    there, above = (sigmoid(linear.score(rows, rest.groups, ())) for rows in (late, top))
    return there, above


def with_context(model: ChainModel, rows: TrainingSet, *, seed: int) -> ChainModel:
    """Return the model with its card saying what the context adds, by the linear part alone.

    None in the card where there is too little to tell.
    """
    try:
        found = asdict(context_gain(rows, seed=seed, most=_CARD_ROWS))
    except InputError:
        found = None
    return replace(model, card={**model.card, "context": found})


def _newest(rows: TrainingSet, most: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the newest rows whose click is known, oldest first, and the shelf each is of."""
    known = rows.stages[0].rows
    order = known[np.lexsort((rows.position[known], _whose(rows)[known], rows.shown_us[known]))]
    order = order[-most:]
    whose, at = _whose(rows)[order], rows.shown_us[order]
    fresh = np.concatenate(([True], (np.diff(at) != 0) | (np.diff(whose) != 0)))
    return order, np.cumsum(fresh) - 1


def _whose(rows: TrainingSet) -> NDArray[np.int64]:
    return rows.snapshot * 1_000_003 + rows.customer


def _compared(
    both: list[tuple[NDArray[np.float64], NDArray[np.float64]]], worth: NDArray[np.float64],
    y: NDArray[np.float64], shelf: NDArray[np.int64], rng: np.random.Generator,
) -> ContextGain:  # fmt: skip
    """Return the comparison; ``worth`` is what picking each row is told by."""
    told = [there for there, _ in both]
    said = [np.clip(p, 1e-7, 1 - 1e-7) for p in told]
    loss = [-(y * np.log(p) + (1 - y) * np.log1p(-p)) for p in said]
    gain = loss[1] - loss[0]
    first = np.flatnonzero(np.concatenate(([True], np.diff(shelf) != 0)))
    size = np.diff(np.append(first, len(shelf)))
    some = np.flatnonzero(size > 1)
    picks = np.array([
        [first[s] + int(np.argmax(p[first[s] : first[s] + size[s]])) for s in some]
        for _, p in both
    ], np.int64).reshape(2, -1)  # fmt: skip
    hits = worth[picks]
    by_shelf = np.add.reduceat(gain, first), size.astype(np.float64)
    weight = rng.multinomial(len(first), np.full(len(first), 1 / len(first)), size=_DRAWS)
    nats = (weight @ by_shelf[0]) / (weight @ by_shelf[1])
    low, high = np.quantile(nats, (0.025, 0.975))
    one = np.ones(len(y))
    return ContextGain(
        len(y), (float(gain.mean()), float(low), float(high)),
        weighted_auc(told[0], y, one), weighted_auc(told[1], y, one),
        len(some), float(hits[0].mean()), float(hits[1].mean()), _lift(hits, rng),
        float((picks[0] != picks[1]).mean()),
    )  # fmt: skip


def _lift(hits: NDArray[np.float64], rng: np.random.Generator) -> tuple[float, float, float] | None:
    n = hits.shape[1]
    if not n or hits[1].sum() <= 0:
        return None
    weight = rng.multinomial(n, np.full(n, 1 / n), size=_DRAWS)
    below = weight @ hits[1]
    ratios = (weight @ hits[0])[below > 0] / below[below > 0] - 1
    low, high = np.quantile(ratios, (0.025, 0.975))
    return float(hits[0].sum() / hits[1].sum() - 1), float(low), float(high)
