"""Another policy's value from the log of the one that ran, refused where the log cannot say.

Letters: n logged rows, a actions, k features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jinqiao.engines.offpolicy import Estimate, Rows, effective_rows, estimates, pick
from jinqiao.errors import InputError
from jinqiao.insight.interval import Z

__all__ = [
    "ESTIMATORS",
    "PolicyLog",
    "PolicyValue",
    "ValueEstimate",
    "policy_value",
    "reward_model",
]

ESTIMATORS = ("ips", "snips", "dr", "switch", "dros", "dm")
EFFECTIVE_LEAST = 100.0
_FOLDS = 3
_OVERLAP_LEAST = 0.9

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PolicyLog:
    """n rows of what was shown and what came of it.

    ``reward`` (n,), any unit; ``display_probability`` (n,) in (0, 1], by which the row stood where
    it stood; ``cluster`` (n,) what rows belong together (the visit, or the customer), or None.
    """

    reward: Floats
    display_probability: Floats
    cluster: NDArray[np.generic] | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        reward = np.asarray(self.reward, np.float64)
        put(self, "reward", _finite("reward", reward, reward.shape))
        p = _finite("display_probability", self.display_probability, reward.shape)
        if not ((p > 0) & (p <= 1)).all():
            row = int(np.argmin((p > 0) & (p <= 1)))
            raise InputError(
                f"{p[row]} is not a chance above 0", record=f"row {row}",
                field="display_probability", fix="log the exact chance by which a row was shown",
            )  # fmt: skip
        put(self, "display_probability", p)
        if self.cluster is not None and np.shape(self.cluster) != reward.shape:
            raise InputError("one cluster a row is needed", field="cluster")

    def __len__(self) -> int:
        return len(self.reward)

    @property
    def clusters(self) -> NDArray[np.int64]:
        """Codes of the clusters, (n,): each row its own where none are given."""
        if self.cluster is None:
            return np.arange(len(self))
        codes: NDArray[np.int64] = np.unique(self.cluster, return_inverse=True)[1].astype(np.int64)
        return codes


@dataclass(frozen=True, slots=True)
class ValueEstimate:
    """One estimator's value a row with its 95 % interval; ``setting`` is what it tuned."""

    value: float
    lower: float
    upper: float
    setting: float | None = None


@dataclass(frozen=True, slots=True)
class PolicyValue:
    """``value``: the chosen estimator's; ``logged``: what the policy that ran earned a row.

    ``effective_rows``: how many equal rows the weighted ones are worth. ``overlap``: the mean
    weight, 1 where the log covers all that the target does.
    """

    chosen: str
    value: ValueEstimate
    logged: ValueEstimate
    by_estimator: Mapping[str, ValueEstimate]
    rows: int
    effective_rows: float
    overlap: float

    @property
    def lift(self) -> float:
        """Value of the target over what ran, minus 1; NaN where what ran earned nothing."""
        return self.value.value / self.logged.value - 1 if self.logged.value else float("nan")


def policy_value(
    log: PolicyLog,
    target: ArrayLike,
    *,
    model: tuple[ArrayLike, ArrayLike] | None = None,
    method: str = "auto",
    effective_least: float = EFFECTIVE_LEAST,
) -> PolicyValue:
    """Return what a target policy would earn a row, told from another policy's log.

    Parameters
    ----------
    target : (n,) chance in [0, 1] by which the target shows each logged row in its place.
    model : (q, v) from ``reward_model``, for the estimators that lean on one.
    method : one of ``ESTIMATORS``, or "auto": the narrowest that agrees with the wider ones.
    effective_least : refuse below so many effective rows.

    Raises
    ------
    InputError : too few effective rows; the target does what the log never did (mean weight clearly
        below 0.9); a chance outside [0, 1]; shapes that differ; an estimator without its model.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> shown = rng.integers(0, 2, 4_000)                      # evenly, one of two
    >>> log = PolicyLog(rng.random(4_000) < 0.1 + 0.2 * shown, np.full(4_000, 0.5))
    >>> found = policy_value(log, shown == 1)                  # always the second
    >>> found.value.lower < 0.3 < found.value.upper
    True
    """
    e = _chances(target, log.reward.shape)
    weight = e / log.display_probability
    effective = effective_rows(weight)
    if effective < effective_least:
        raise InputError(
            f"{effective:.0f} effective rows of {len(log)}, {effective_least:.0f} are needed",
            record="log", field="display_probability",
            fix="log for longer, explore more, or ask about a policy nearer to the one that ran",
        )  # fmt: skip
    clusters = log.clusters
    _covered(weight, clusters)
    said = None if model is None else (
        _finite("model", model[0], e.shape), _finite("model", model[1], e.shape)
    )  # fmt: skip
    found = estimates(Rows(log.reward, weight, clusters, said))
    if method != "auto" and method not in found:
        known = method in ESTIMATORS
        raise InputError(
            f"{method!r} needs a model" if known else f"no estimator {method!r}", field="method",
            fix="give model=reward_model(...)" if known else f"one of {', '.join(ESTIMATORS)}",
        )  # fmt: skip
    chosen = pick(found) if method == "auto" else method
    ran = estimates(Rows(log.reward, np.ones(len(log)), clusters))["ips"]
    told = {name: _told(one) for name, one in found.items()}
    return PolicyValue(
        chosen, told[chosen], _told(ran), told, len(log), effective, float(weight.mean())
    )


def reward_model(
    log: PolicyLog,
    features: ArrayLike,
    action: ArrayLike,
    target_by_action: ArrayLike,
    *,
    seed: int = 0,
) -> tuple[Floats, Floats]:
    """Return (q, v): a reward model's say of each row and of the target there, cross-fitted.

    A row is told by boosted trees fitted on the other folds, and rows of one cluster are in one
    fold, so no row's reward speaks for itself.

    Parameters
    ----------
    features : (n, k) what was known. action : (n,) 0 … a − 1, what was shown.
    target_by_action : (n, a) chances of the target for every action; rows add up to 1.

    Raises
    ------
    InputError : shapes that differ, or an action outside the columns.
    """
    x = np.asarray(features, np.float64).reshape(len(log), -1)
    shown = np.asarray(action, np.int64)
    chance = np.asarray(target_by_action, np.float64)
    if shown.shape != (len(log),) or chance.ndim != 2 or len(chance) != len(log):
        raise InputError("(n,) actions and (n, a) chances are needed", field="action")
    if len(shown) and (shown.min() < 0 or shown.max() >= chance.shape[1]):
        raise InputError("an action outside the columns", field="action")
    rng = np.random.default_rng([seed, 29])
    clusters = log.clusters
    fold = rng.integers(0, _FOLDS, int(clusters.max(initial=0)) + 1)[clusters]
    q, v = np.zeros(len(log)), np.zeros(len(log))
    for one in range(_FOLDS):
        here = np.flatnonzero(fold == one)
        trees = _fitted(x[fold != one], shown[fold != one], log.reward[fold != one], seed)
        for some in np.array_split(here, max(1, len(here) * chance.shape[1] // 2_000_000)):
            said = _said(trees, x[some], chance.shape[1])
            q[some] = said[np.arange(len(some)), shown[some]]
            v[some] = (said * chance[some]).sum(axis=1)
    return q, v


def _fitted(x: Floats, action: NDArray[np.int64], reward: Floats, seed: int) -> object:
    import lightgbm

    table = np.column_stack((action.astype(np.float64), x))
    settings = {
        "objective": "regression", "num_leaves": 8, "learning_rate": 0.05, "verbose": -1,
        "min_data_in_leaf": max(30, len(x) // 200), "min_data_per_group": 30, "cat_smooth": 50.0,
        "max_cat_to_onehot": 1, "deterministic": True, "force_row_wise": True, "num_threads": 1,
        "seed": seed,
    }  # fmt: skip
    data = lightgbm.Dataset(table, reward, categorical_feature=[0], free_raw_data=True)
    return lightgbm.train(settings, data, num_boost_round=60)


def _said(trees: object, x: Floats, n_actions: int) -> Floats:
    """Return the model's reward of every action for some rows, (rows, a)."""
    every = np.column_stack(
        (np.tile(np.arange(n_actions, dtype=np.float64), len(x)), np.repeat(x, n_actions, axis=0))
    )
    said = trees.predict(every)  # type: ignore[attr-defined]
    return np.asarray(said, np.float64).reshape(len(x), n_actions)


def _covered(weight: Floats, clusters: NDArray[np.int64]) -> None:
    """Refuse a target that is often where the log never was: its mean weight is not near 1."""
    mean = estimates(Rows(np.ones(len(weight)), weight, clusters))["ips"]
    if mean.value + 3 * mean.error < _OVERLAP_LEAST:
        raise InputError(
            f"the log covers {mean.value:.0%} of what the target would show", record="log",
            field="target", fix="explore what the target shows, or ask about one that is covered",
        )  # fmt: skip


def _told(one: Estimate) -> ValueEstimate:
    half = Z * one.error
    return ValueEstimate(one.value, one.value - half, one.value + half, one.setting)


def _chances(given: ArrayLike, shape: tuple[int, ...]) -> Floats:
    p = _finite("target", given, shape)
    if not ((p >= 0) & (p <= 1 + 1e-9)).all():
        row = int(np.argmin((p >= 0) & (p <= 1 + 1e-9)))
        raise InputError(f"{p[row]} is not a chance", record=f"row {row}", field="target")
    return p


def _finite(name: str, given: ArrayLike, shape: tuple[int, ...]) -> Floats:
    out = np.asarray(given, np.float64)
    if out.ndim != 1 or out.shape != shape or not len(out):
        raise InputError(f"one number a row is needed, not {out.shape}", field=name)
    if not np.isfinite(out).all():
        row = int(np.argmin(np.isfinite(out)))
        raise InputError(f"{out[row]} is no number", record=f"row {row}", field=name)
    return out
