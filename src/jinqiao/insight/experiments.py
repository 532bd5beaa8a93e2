"""Experiments: who is in which arm, whether the split is whole, and what the difference is.

Assignment is a hash of experiment and unit, so it is the same everywhere, for ever, without a
table. Intervals may be looked at any day: they hold at all times at once. A covariate known before
the start narrows them without bending them. A metric is a mean a unit, or a ratio of two sums.

Letters: n units, a arms.

Sources: Deng, Xu, Kohavi & Walker, WSDM 2013 (CUPED, eq. 7); Deng, Knoblich & Lu, KDD 2018 (the
delta method for ratios, eq. 3); Fabijan et al., KDD 2019 (sample ratio mismatch); and those of
``sequential``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jinqiao.domain.experiment import Guardrail
from jinqiao.engines.split import HELD_OUT, Split
from jinqiao.errors import InputError, SchemaError
from jinqiao.insight.sequential import anytime_factor, sample_ratio_anytime

__all__ = [
    "ArmDifference",
    "Experiment",
    "ExperimentResult",
    "Guardrail",
    "assign",
    "experiment_result",
    "sample_ratio",
]

Floats = NDArray[np.float64]
_MISMATCH = 1e-3


@dataclass(frozen=True, slots=True)
class Experiment:
    """``arms`` name → share, the first is the control; ``holdout`` is kept out of every arm.

    Shares are of those not held out and add up to 1. ``salt`` decides who goes where; "" is the id.
    """

    experiment_id: str
    arms: Mapping[str, float]
    holdout: float = 0.0
    guardrails: tuple[Guardrail, ...] = ()
    salt: str = ""

    def __post_init__(self) -> None:
        shares = list(self.arms.values())
        if len(shares) < 2 or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-9:
            raise InputError(
                "two arms or more, each with a share above 0, adding up to 1",
                record=self.experiment_id, field="arms",
            )  # fmt: skip
        if not 0 <= self.holdout < 1:
            raise InputError(
                "a share from 0 to below 1", record=self.experiment_id, field="holdout"
            )


@dataclass(frozen=True, slots=True)
class ArmDifference:
    """One metric of one arm less the control's, with an interval that holds at every look.

    ``control`` and ``arm`` are plain means, or ratios; ``narrowed`` is the share of variance that
    the covariate took away. Before there is enough to say (too few, or nothing ever happened), the
    interval is everything.
    """

    metric: str
    arm_name: str
    control: float
    arm: float
    difference: float
    lower: float
    upper: float
    units: int
    narrowed: float

    @property
    def decided(self) -> bool:
        """Whether 0 is outside of the interval."""
        return not self.lower <= 0 <= self.upper


@dataclass(frozen=True, slots=True)
class ExperimentResult:
    """``sample_ratio_p``: how likely so uneven a split is by chance, ever (``sequential``).

    ``whole`` when that is not too rare. ``broken``: guardrails shown to be passed, with the arm:
    stop it. ``counts`` are the units by arm.
    """

    differences: tuple[ArmDifference, ...]
    sample_ratio_p: float
    broken: tuple[tuple[Guardrail, str], ...]
    counts: Mapping[str, int]

    @property
    def whole(self) -> bool:
        """False when the split itself is broken: then no difference means anything."""
        return self.sample_ratio_p >= _MISMATCH


def assign(experiment: Experiment, units: Sequence[str]) -> list[str]:
    """Return the arm of each unit, "" where held out: a hash, so sticky and without a table.

    The holdout and the arms are two draws: a larger holdout later moves nobody between arms.

    Examples
    --------
    >>> assign(Experiment("cards-first", {"as is": 0.5, "cards": 0.5}), ["ann", "cy", "ann"])
    ['cards', 'as is', 'cards']
    """
    names, shares = list(experiment.arms), list(experiment.arms.values())
    split = Split.of(experiment.salt or experiment.experiment_id, shares, out=experiment.holdout)
    places = (split.place(unit) for unit in units)
    return ["" if place == HELD_OUT else names[place] for place in places]


def sample_ratio(counts: Mapping[str, int], shares: Mapping[str, float]) -> float:
    """Return how likely a split at least so uneven is by chance (χ² with a − 1 degrees).

    Raises InputError for an arm that has no share.
    """
    unknown = sorted(set(counts) - set(shares))
    if unknown:
        raise InputError("an arm that the experiment does not have", record=unknown[0], field="arm")
    n = sum(counts.values())
    if not n:
        return 1.0
    chi = sum((counts.get(arm, 0) - n * s) ** 2 / (n * s) for arm, s in shares.items())
    from scipy.special import gammaincc  # loads where used

    return float(gammaincc((len(shares) - 1) / 2, chi / 2))


def experiment_result(
    table: pa.Table,
    experiment: Experiment,
    metrics: Sequence[str],
    *,
    arm: str = "arm",
    before: Mapping[str, str] | None = None,
    ratios: Mapping[str, tuple[str, str]] | None = None,
    information: str | None = None,
    least: int = 2,
    alpha: float = 0.05,
) -> ExperimentResult:
    """Return each metric's difference to the control, one row a unit.

    Parameters
    ----------
    table : the arm's name ("" rows, the holdout, are passed over) and the metrics, numbers; one row
        a unit (customer), however often it came. before : metric → a column known before the start.
    ratios : metric → the columns of its numerator and denominator: Σ over Σ by arm, the spread
        between units (delta method). information : a column of how often each unit was looked at,
        where units go on coming; without it a unit is one observation.
    least : an arm with fewer units says nothing yet.
    alpha : the chance that any look, ever, shows a difference that is not there; and, of all
        guardrails and arms together, that any is called broken that is not.

    Raises
    ------
    SchemaError : a column is missing. InputError : an unknown arm, a value that is no number, an
        arm with fewer than two units.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> arms = rng.integers(0, 2, 4_000)
    >>> table = pa.table({"arm": np.where(arms, "new", "old"), "clicks": rng.poisson(1 + arms)})
    >>> trial = Experiment("trial", {"old": 0.5, "new": 0.5})
    >>> found = experiment_result(table, trial, ["clicks"])
    >>> found.whole, found.differences[0].lower > 0.8
    (True, True)
    """
    if not 0 < alpha < 1:
        raise InputError("a chance between 0 and 1", field="alpha")
    rails, sums = experiment.guardrails, dict(ratios or {})
    wanted = list(dict.fromkeys([*metrics, *(rail.metric for rail in rails)]))
    parts = [part for name in wanted for part in sums.get(name, (name,))]
    more = [] if information is None else [information]
    for name in (arm, *parts, *(before or {}).values(), *more):
        if name not in table.column_names:
            raise SchemaError("no such column", record="table", field=name)
    label = np.array(table[arm].cast(pa.string()).to_pylist(), dtype=object)
    inside = label != ""
    names = list(experiment.arms)
    counts = {str(k): int((label == k).sum()) for k in dict.fromkeys([*names, *label[inside]])}
    split = sample_ratio_anytime(counts, experiment.arms)
    for name in names:
        if counts[name] < 2:
            raise InputError("fewer than two units", record=name, field=arm)
    seen = np.ones(len(label)) if information is None else _numbers(table, information)
    pairs = len(names[1:]) * max(len(rails), 1)
    found, broken = [], []
    for metric in wanted:
        y, plain = _values(table, metric, sums.get(metric), label)
        if before and metric in before and metric not in sums:
            y = _adjusted(y, _numbers(table, before[metric]), inside)
        for other in names[1:]:
            masks = label == names[0], label == other
            few = min(int(mask.sum()) for mask in masks) < least
            one = _difference((metric, other), (y, plain), masks, (seen, few), alpha)
            found.append(one)
            strict = _difference((metric, other), (y, plain), masks, (seen, few), alpha / pairs)
            broken += [(r, other) for r in rails if r.metric == metric and _passed(r, strict)]
    return ExperimentResult(tuple(found), split, tuple(broken), counts)


def _passed(rail: Guardrail, one: ArmDifference) -> bool:
    return one.lower > rail.most if rail.worse == "up" else one.upper < -rail.most


def _values(
    table: pa.Table, metric: str, parts: tuple[str, str] | None, label: NDArray[np.object_]
) -> tuple[Floats, Floats]:
    """Return a value a unit whose mean by arm is the metric's, (n,); and the same again.

    Of a ratio R = Σa/Σb of an arm it is R + (aᵢ − R·bᵢ) / mean(b), which has the delta method's
    variance; NaN in an arm where Σb is 0.
    """
    if parts is None:
        y = _numbers(table, metric)
        return y, y
    top, under = _numbers(table, parts[0]), _numbers(table, parts[1])
    y = np.full(len(top), np.nan)
    for name in set(label.tolist()):
        rows = label == name
        if under[rows].sum() > 0:
            ratio = top[rows].sum() / under[rows].sum()
            y[rows] = ratio + (top[rows] - ratio * under[rows]) / under[rows].mean()
    return y, y


def _numbers(table: pa.Table, name: str) -> Floats:
    y = np.asarray(table[name].cast(pa.float64()).to_numpy(), np.float64)
    if not np.isfinite(y).all():
        row = int(np.argmin(np.isfinite(y)))
        raise InputError("a value is missing or no number", record=f"row {row}", field=name)
    return y


def _adjusted(y: Floats, x: Floats, inside: NDArray[np.bool_]) -> Floats:
    """Return y − θ·(x − mean): θ is one for all arms, so that no arm is favoured."""
    away = x - x[inside].mean()
    square = float((away[inside] ** 2).sum())
    theta = float((away[inside] * (y - y[inside].mean())[inside]).sum() / square) if square else 0.0
    out: Floats = y - theta * away
    return out


def _difference(
    names: tuple[str, str],
    values: tuple[Floats, Floats],
    masks: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    seen: tuple[Floats, bool],
    alpha: float,
) -> ArmDifference:
    """Return one difference; ``seen``: each unit's looks, and whether they are too few to say."""
    y, plain = values
    control, arm = masks
    n = int(control.sum() + arm.sum())
    error = math.sqrt(sum(float(y[m].var(ddof=1)) / int(m.sum()) for m in masks))
    raw = math.sqrt(sum(float(plain[m].var(ddof=1)) / int(m.sum()) for m in masks))
    value = float(y[arm].mean() - y[control].mean())
    looks = max(float(seen[0][control | arm].sum()), 1.0)
    silent = seen[1] or not error > 0 or not math.isfinite(error)
    half = math.inf if silent else error * anytime_factor(looks, alpha)
    middle = value if math.isfinite(value) else 0.0
    return ArmDifference(
        *names, float(plain[control].mean()), float(plain[arm].mean()), value,
        middle - half, middle + half, n, 1 - (error / raw) ** 2 if raw else 0.0,
    )  # fmt: skip
