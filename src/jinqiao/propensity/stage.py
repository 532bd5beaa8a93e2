"""One stage's model: candidates compared out of time, one chosen, calibrated on the latest slice.

Usable alone with anyone's arrays: ``fit_stage(x, y, names=..., times=..., seed=...)``.

The candidates are our ridge logistic with group deviations (``linear``), LightGBM (``trees``) and
the mean of their logits (``blend``); beside them stand two baselines, a constant and a plain
logistic regression (scikit-learn). Rows are cut by time: the earliest 70 % fit, the next 15 %
calibrate (and stop the trees), the latest 15 % judge. The chosen one is then fitted on all rows;
its slope is that of its early fit on rows it did not see, its level that of all rows (``levels``).

Source: Ke et al., "LightGBM", NeurIPS 2017; Niculescu-Mizil & Caruana, ICML 2005 (calibration).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jinqiao.domain.time import DAY_US
from jinqiao.errors import InputError, SchemaError
from jinqiao.propensity.boosting import Binned
from jinqiao.propensity.calibration import fit_platt, sigmoid
from jinqiao.propensity.levels import fit_shifts, recency
from jinqiao.propensity.linear import Linear, fit_linear, one_thread
from jinqiao.propensity.measure import compare

__all__ = ["KINDS", "Judged", "Levels", "StageModel", "StageSpec", "fit_stage"]

KINDS = ("constant", "logistic", "linear", "trees", "blend")
_FEW = 40
_LEVEL_ROWS = 20_000
_FILTERS = threading.Lock()
"""Held while warnings are silenced: the filters are everybody's, and stages fit side by side."""


@dataclass(frozen=True, slots=True)
class StageSpec:
    """How a stage is fitted. ``choice`` is ``best`` or one of ``linear``, ``trees``, ``blend``.

    ``best`` is the blend, unless another kind is better out of time beyond doubt. The baselines are
    never served but for the constant, when nothing beats it; the card says how they compare.
    ``monotone`` maps a column to +1 or −1. ``strength`` multiplies the ridge penalties. ``exact``
    names columns of 0 and 1 whose level is set right at the end, whatever the ridge made of it; in
    that step rows count half for every ``half_life_days`` before the newest (times in µs).
    """

    rounds: int = 100
    learning_rate: float = 0.1
    leaves: int = 15
    min_leaf: int = 60
    feature_fraction: float = 0.5
    l2: float = 10.0
    max_bin: int = 63
    threads: int = 1
    choice: str = "best"
    strength: float = 4.0
    monotone: Mapping[str, int] = field(default_factory=dict)
    exact: tuple[str, ...] = ()
    half_life_days: float | None = None


@dataclass(frozen=True, slots=True)
class Levels:
    """Per row its group (n,) and its levels of each effect, each (n,); −1 is an unknown level."""

    groups: NDArray[np.int64] | None = None
    n_groups: int = 1
    effects: tuple[NDArray[np.int64], ...] = ()
    sizes: tuple[int, ...] = ()

    def rows(self, keep: NDArray[Any]) -> Levels:
        """Return the levels of some rows."""
        groups = None if self.groups is None else self.groups[keep]
        return replace(self, groups=groups, effects=tuple(e[keep] for e in self.effects))


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What the chosen kind said of the latest rows before it was fitted on them.

    ``rows`` (n,) places among the rows handed in (one with an expected label stands twice, as a
    weighted yes and a weighted no); ``p``, ``y``, ``w`` (n,) chance, label 0 or 1, weight.
    """

    rows: NDArray[np.int64]
    p: NDArray[np.float64]
    y: NDArray[np.float64]
    w: NDArray[np.float64]


@dataclass(frozen=True)
class StageModel:
    """A fitted stage: p = sigmoid(slope · score + shift).

    score = base + shares[0] · linear + shares[1] · trees. ``judged`` is kept until the model is
    registered, not in its files.
    """

    stage: str
    kind: str
    names: tuple[str, ...]
    slope: float
    shift: float
    base: float
    linear: Linear | None
    trees: str | None
    card: Mapping[str, Any]
    shares: tuple[float, float] = (1.0, 1.0)
    judged: Judged | None = field(default=None, compare=False, repr=False)

    def score(self, x: NDArray[np.float32], levels: Levels | None = None) -> NDArray[np.float64]:
        """Return the uncalibrated logit of every row, (n,) float64."""
        levels = levels or Levels()
        out = np.full(len(x), self.base)
        if self.linear is not None:
            out += self.shares[0] * self.linear.score(x, levels.groups, levels.effects)
        if self.trees is not None:
            import lightgbm

            booster = lightgbm.Booster(model_str=self.trees)
            out += self.shares[1] * booster.predict(x, raw_score=True, num_threads=1)
        return out

    def calibrate(self, score: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the chance of each uncalibrated logit."""
        return sigmoid(self.slope * np.asarray(score) + self.shift)

    def predict(self, x: NDArray[np.float32], levels: Levels | None = None) -> NDArray[np.float64]:
        """Return the chance of the stage for every row of (n, k) columns, NaN for missing.

        Raises SchemaError when the number of columns is not the trained one.
        """
        x = np.asarray(x, dtype=np.float32)
        if x.ndim != 2 or x.shape[1] != len(self.names):
            raise SchemaError(
                f"{x.shape} columns where {len(self.names)} are expected", record=self.stage
            )
        return self.calibrate(self.score(x, levels))


@dataclass(frozen=True, slots=True)
class _Rows:
    x: NDArray[np.float32]
    y: NDArray[np.float64]
    w: NDArray[np.float64]
    levels: Levels

    def part(self, keep: NDArray[Any]) -> _Rows:
        return _Rows(self.x[keep], self.y[keep], self.w[keep], self.levels.rows(keep))


_Setup = tuple[tuple[str, ...], StageSpec, int, str]
_Cut = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


def fit_stage(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    *,
    names: tuple[str, ...] | list[str],
    weights: NDArray[np.floating] | None = None,
    times: NDArray[np.integer] | None = None,
    levels: Levels | None = None,
    seed: int = 0,
    spec: StageSpec | None = None,
    stage: str = "stage",
) -> StageModel:
    """Return the chosen, calibrated model of one yes-or-no stage.

    Parameters
    ----------
    x : (n, k) numbers, NaN for missing. y : (n,) labels in [0, 1] (an expected label is allowed).
    names : k column names. weights : (n,) ≥ 0. times : (n,) instants; without them the row order.
    levels : groups (such as product classes) and random effects of each row.

    Raises
    ------
    InputError : shapes differ, a label is outside [0, 1] or a weight is negative.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> x = rng.normal(size=(2000, 3)).astype("float32")
    >>> y = (rng.random(2000) < 1 / (1 + np.exp(-x[:, 0]))).astype(float)
    >>> model = fit_stage(x, y, names=("a", "b", "c"), seed=1)
    >>> model.predict(x).shape
    (2000,)
    """
    with one_thread():
        rows = _checked(x, y, weights, levels or Levels(), tuple(names))
        return _best(rows, times, (tuple(names), spec or StageSpec(), seed, stage))


def _best(rows: _Rows, times: NDArray[np.integer] | None, setup: _Setup) -> StageModel:
    """Return the kind with the least out-of-time log-loss, fitted on all rows."""
    names, spec, seed, stage = setup
    when = np.arange(len(rows.y)) if times is None else np.asarray(times)
    yes = float(rows.w @ rows.y)
    if min(yes, float(rows.w.sum()) - yes) < _FEW:
        return _constant(rows, names, stage)
    origin = _origin(rows)
    rows, when = _harden(rows, when)
    kinds = _kinds(spec)
    cut = _slices(when)
    binned = None
    if set(kinds) != {"linear"}:
        binned = Binned((rows.x, names), (rows.y, rows.w), spec, seed)
    trained, rounds = _candidates(rows, cut, kinds, setup, binned)
    metrics, told = _judge(rows, cut, trained, seed)
    last = rows.part(cut[2])

    def judged(kind: str) -> Judged:
        return Judged(origin[cut[2]], np.asarray(told[kind], np.float64), last.y, last.w)

    chosen = _chosen(metrics, tuple(trained))
    if metrics["constant"]["log_loss"] < metrics[chosen]["log_loss"] and spec.choice == "best":
        return replace(_constant(rows, names, stage, metrics), judged=judged("constant"))
    final = _fit_kind(rows, chosen, setup, rounds, binned)
    card = _card(metrics, chosen, 0 if chosen == "linear" else rounds, rows, trained[chosen])
    final = _levelled(replace(final, slope=_slope(rows, cut, trained[chosen])), rows, when, spec)
    return replace(final, card=card, judged=judged(chosen))


def _slope(rows: _Rows, cut: _Cut, early: StageModel) -> float:
    """Return the slope of a kind's logit on all rows it was not fitted on."""
    rest = rows.part(np.concatenate(cut[1:]))
    return fit_platt(early.score(rest.x, rest.levels), rest.y, rest.w)[0]


def _levelled(model: StageModel, rows: _Rows, when: NDArray[Any], spec: StageSpec) -> StageModel:
    """Return a model whose level is right on its rows, overall and for the named columns."""
    part = np.arange(0, len(rows.y), max(1, len(rows.y) // _LEVEL_ROWS))
    some = rows.part(part)
    half = None if spec.half_life_days is None else spec.half_life_days * DAY_US
    weights = some.w * recency(when[part], half)
    exact = [model.names.index(name) for name in spec.exact] if model.linear is not None else []
    score = model.slope * model.score(some.x, some.levels)
    shift, columns = fit_shifts(score, some.y, weights, some.x[:, exact])
    if model.linear is None or not exact:
        return replace(model, shift=shift)
    own = columns / (model.slope * model.shares[0])
    linear = model.linear.shifted(dict(zip(exact, own.tolist(), strict=True)))
    return replace(model, shift=shift, linear=linear)


def _chosen(metrics: Mapping[str, Any], kinds: tuple[str, ...]) -> str:
    """Return the kind to serve: the blend, unless another is better beyond doubt out of time.

    A blend that even a constant beats gives way to the best kind.
    """
    best = min(kinds, key=lambda kind: metrics[kind]["log_loss"])
    if "blend" not in kinds or best == "blend":
        return best
    if metrics["constant"]["log_loss"] < metrics["blend"]["log_loss"]:
        return best
    return best if metrics[best]["gain"]["blend"][1] > 0 else "blend"


def _checked(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    weights: NDArray[np.floating] | None,
    levels: Levels,
    names: tuple[str, ...],
) -> _Rows:
    x = np.ascontiguousarray(x, dtype=np.float32)
    label = np.asarray(y, dtype=np.float64)
    w = np.ones(len(label)) if weights is None else np.asarray(weights, dtype=np.float64)
    if x.ndim != 2 or len(x) != len(label) or len(w) != len(label):
        raise InputError(f"x is {x.shape}, y {label.shape}, weights {w.shape}", field="x")
    if x.shape[1] != len(names):
        raise InputError(f"{x.shape[1]} columns and {len(names)} names", field="names")
    if len(label) and not (np.isfinite(label).all() and label.min() >= 0 and label.max() <= 1):
        raise InputError("a label is outside [0, 1]", field="y")
    if len(w) and not (np.isfinite(w).all() and w.min() >= 0):
        raise InputError("a weight is negative or not finite", field="weights")
    return _Rows(x, label, w, levels)


def _slices(when: NDArray[Any]) -> _Cut:
    """Return the rows of the earliest 70 %, the next 15 % and the latest 15 % of time."""
    order = np.argsort(when, kind="stable")
    first, second = int(0.7 * len(order)), int(0.85 * len(order))
    return order[:first], order[first:second], order[second:]


def _constant(
    rows: _Rows,
    names: tuple[str, ...],
    stage: str,
    metrics: Mapping[str, Any] | None = None,
) -> StageModel:
    """Return the model that says the observed rate, leaning on one half by one case."""
    rate = float((rows.w @ rows.y + 0.5) / (rows.w.sum() + 1.0))
    card = {
        "chosen": "constant",
        "rows": len(rows.y),
        "yes": float(rows.w @ rows.y),
        "metrics": dict(metrics or {}),
        "note": "no candidate beat a constant" if metrics else f"fewer than {_FEW} yes or no",
        "beats_constant": False,
        "beats_logistic": False,
        "calibration": {"slope": 1.0, "shift": 0.0},
        "rounds": 0,
    }
    base = float(np.log(rate / (1 - rate)))
    return StageModel(stage, "constant", names, 1.0, 0.0, base, None, None, card)


def _origin(rows: _Rows) -> NDArray[np.int64]:
    """Return which row each row of ``_harden`` comes from."""
    soft = np.flatnonzero((rows.y > 0) & (rows.y < 1))
    return np.concatenate((np.arange(len(rows.y)), soft))


def _harden(rows: _Rows, when: NDArray[Any]) -> tuple[_Rows, NDArray[Any]]:
    """Return labels 0 or 1: an expected label becomes a weighted yes and a weighted no."""
    soft = np.flatnonzero((rows.y > 0) & (rows.y < 1))
    if soft.size == 0:
        return rows, when
    twice = rows.part(np.concatenate((np.arange(len(rows.y)), soft)))
    w = twice.w.copy()
    w[soft] *= rows.y[soft]
    w[len(rows.y) :] *= 1.0 - rows.y[soft]
    y = (twice.y > 0).astype(np.float64)
    y[len(rows.y) :] = 0.0
    return _Rows(twice.x, y, w, twice.levels), np.concatenate((when, when[soft]))


def _linear(rows: _Rows, spec: StageSpec) -> Linear:
    lv = rows.levels
    return fit_linear(
        rows.x, rows.y, rows.w, groups=lv.groups, n_groups=lv.n_groups,
        effects=lv.effects, sizes=lv.sizes, strength=spec.strength,
    )  # fmt: skip


def _kinds(spec: StageSpec) -> tuple[str, ...]:
    """Return the candidates a choice asks for; raise InputError for an unknown one."""
    if spec.choice == "best":
        return KINDS[2:]
    if spec.choice not in KINDS[2:]:
        raise InputError(
            f"no such choice: {spec.choice!r}", field="choice", fix=f"best or one of {KINDS[2:]}"
        )
    return (spec.choice,)


def _candidates(
    rows: _Rows, cut: _Cut, kinds: tuple[str, ...], setup: _Setup, binned: Binned | None
) -> tuple[dict[str, StageModel], int]:
    """Return each kind fitted on the early rows and calibrated on the late ones, and the rounds."""
    spec = setup[1]
    early, late = rows.part(cut[0]), rows.part(cut[1])
    linear = _linear(early, spec) if {"linear", "blend"} & set(kinds) else None
    start, text, rounds = _log_odds(early), None, 0
    if binned is not None:
        text, rounds = binned.grow(start, spec.rounds, cut[0], cut[1])
    models: dict[str, StageModel] = {}
    for kind in kinds:
        model = _made(kind, setup, linear, text, start)
        slope, shift = fit_platt(model.score(late.x, late.levels), late.y, late.w)
        models[kind] = replace(model, slope=slope, shift=shift)
    return models, rounds


def _made(
    kind: str, setup: _Setup, linear: Linear | None, trees: str | None, start: float
) -> StageModel:
    """Return one kind of its parts: the linear logit, the trees' logit, or half of each."""
    names, _, _, stage = setup
    shares = {"linear": (1.0, 0.0), "trees": (0.0, 1.0), "blend": (0.5, 0.5)}[kind]
    return StageModel(
        stage, kind, names, 1.0, 0.0, shares[1] * start, linear if shares[0] else None,
        trees if shares[1] else None, {}, shares,
    )  # fmt: skip


def _log_odds(rows: _Rows) -> float:
    rate = float(np.clip(np.average(rows.y, weights=rows.w), 1e-5, 1 - 1e-5))
    return float(np.log(rate / (1 - rate)))


def _judge(
    rows: _Rows, cut: _Cut, trained: Mapping[str, StageModel], seed: int
) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]]:
    """Return every candidate's and both baselines' figures on the latest rows, and chances."""
    early, late, last = (rows.part(part) for part in cut)
    told = {kind: model.predict(last.x, last.levels) for kind, model in trained.items()}
    before = np.concatenate((early.y, late.y)), np.concatenate((early.w, late.w))
    told["constant"] = np.full(len(last.y), float(np.average(before[0], weights=before[1])))
    told["logistic"] = _logistic(early, last)
    return compare(told, last.y, last.w, seed=seed), told


def _fit_kind(
    rows: _Rows, kind: str, setup: _Setup, rounds: int, binned: Binned | None
) -> StageModel:
    """Return one kind fitted on all rows, with as many rounds as the stopped one kept."""
    start, text = _log_odds(rows), None
    linear = _linear(rows, setup[1]) if kind in ("linear", "blend") else None
    if kind in ("trees", "blend") and binned is not None and rounds:
        text, _ = binned.grow(start, rounds)
    return _made(kind, setup, linear, text, start)


def _logistic(early: _Rows, last: _Rows) -> NDArray[np.float64]:
    """Return the plain logistic baseline's chances: median fill, standardised, scikit-learn."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    part = early.part(np.arange(0, len(early.y), max(1, len(early.y) // 20_000)))
    x, y, w = part.x, part.y, part.w
    if len(np.unique(y)) < 2:
        return np.full(len(last.y), float(np.average(early.y, weights=early.w)))
    impute = SimpleImputer(strategy="median", keep_empty_features=True)
    pipe = make_pipeline(impute, StandardScaler(), LogisticRegression(C=1.0, max_iter=60, tol=1e-3))
    import warnings

    with _FILTERS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipe.fit(x, y, logisticregression__sample_weight=w)
    return np.asarray(pipe.predict_proba(last.x)[:, 1])


def _card(
    metrics: Mapping[str, Any], chosen: str, rounds: int, rows: _Rows, trained: StageModel
) -> dict[str, Any]:
    best = min(metrics, key=lambda kind: metrics[kind]["log_loss"])
    return {
        "chosen": chosen,
        "least_log_loss": best,
        "note": ""
        if best == chosen
        else f"{best} has the least out-of-time log-loss; {chosen} is the best that is served",
        "rows": len(rows.y),
        "yes": float(rows.w @ rows.y),
        "rounds": rounds,
        "beats_constant": bool(metrics[chosen]["gain"]["constant"][1] > 0),
        "beats_logistic": bool(metrics[chosen]["gain"]["logistic"][1] > 0),
        "calibration": {"slope": trained.slope, "shift": trained.shift},
        "metrics": dict(metrics),
    }
