"""Experiments: who is in which arm, whether the split is whole, and what the difference is.

Assignment is a hash of experiment and unit, so it is the same everywhere, for ever, without a
table. Intervals may be looked at any day: they hold at all times at once. A covariate known before
the start narrows them without bending them.

Letters: n units, a arms.

Sources: Deng, Xu, Kohavi & Walker, WSDM 2013 (CUPED, eq. 7); Waudby-Smith, Arbour, Sinha, Kennedy &
Ramdas, Annals of Statistics 52 (2024), Theorem 2.2 and eq. 12 (asymptotic confidence sequences);
Fabijan et al., KDD 2019 (sample ratio mismatch).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jinqiao.errors import InputError, SchemaError

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
_POINTS = 2**53
_MISMATCH = 1e-3
_TUNED_AT = 5_000


@dataclass(frozen=True, slots=True)
class Guardrail:
    """A figure that must not get worse: ``worse`` is "up" or "down", by more than ``most``."""

    metric: str
    worse: str
    most: float = 0.0

    def __post_init__(self) -> None:
        if self.worse not in ("up", "down"):
            raise InputError("'up' or 'down'", record=self.metric, field="worse")


@dataclass(frozen=True, slots=True)
class Experiment:
    """``arms`` name → share, the first is the control; ``holdout`` is kept out of every arm.

    Shares are of those not held out and add up to 1.
    """

    experiment_id: str
    arms: Mapping[str, float]
    holdout: float = 0.0
    guardrails: tuple[Guardrail, ...] = ()

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

    ``control`` and ``arm`` are plain means; ``narrowed`` is the share of variance that the
    covariate took away.
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
    """``sample_ratio_p``: how likely so uneven a split is by chance; ``whole`` when not too rare.

    ``broken``: guardrails shown to be passed, with the arm: stop it.
    """

    differences: tuple[ArmDifference, ...]
    sample_ratio_p: float
    broken: tuple[tuple[Guardrail, str], ...]

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
    names, edges = list(experiment.arms), np.cumsum(list(experiment.arms.values()))
    out = []
    for unit in units:
        if _point(f"{experiment.experiment_id}\x1fholdout", unit) < experiment.holdout:
            out.append("")
            continue
        place = int(np.searchsorted(edges, _point(experiment.experiment_id, unit), side="right"))
        out.append(names[min(place, len(names) - 1)])
    return out


def _point(salt: str, unit: str) -> float:
    digest = hashlib.blake2b(unit.encode(), key=salt.encode()[:64], digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / _POINTS


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
    alpha: float = 0.05,
) -> ExperimentResult:
    """Return each metric's difference to the control, one row a unit.

    Parameters
    ----------
    table : the arm's name ("" rows, the holdout, are passed over) and the metrics, numbers; one row
        a unit (customer), however often it came. before : metric → a column known before the start.
    alpha : the chance that any look, ever, shows a difference that is not there.

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
    names = list(experiment.arms)
    rails = [rail.metric for rail in experiment.guardrails]
    wanted = list(dict.fromkeys([*metrics, *rails]))
    for name in (arm, *wanted, *(before or {}).values()):
        if name not in table.column_names:
            raise SchemaError("no such column", record="table", field=name)
    label = np.array(table[arm].cast(pa.string()).to_pylist(), dtype=object)
    inside = label != ""
    counts = {str(k): int((label == k).sum()) for k in dict.fromkeys(label[inside])}
    ratio = sample_ratio(counts, experiment.arms)
    for name in names:
        if counts.get(name, 0) < 2:
            raise InputError("fewer than two units", record=name, field=arm)
    found = []
    for metric in wanted:
        y = _numbers(table, metric)
        plain = y
        if before and metric in before:
            y = _adjusted(y, _numbers(table, before[metric]), inside)
        for other in names[1:]:
            masks = label == names[0], label == other
            found.append(_difference(metric, other, (y, plain), masks, alpha))
    broken = tuple(
        (rail, one.arm_name)
        for rail in experiment.guardrails
        for one in found
        if one.metric == rail.metric
        and (one.lower > rail.most if rail.worse == "up" else one.upper < -rail.most)
    )
    return ExperimentResult(tuple(found), ratio, broken)


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
    metric: str,
    other: str,
    values: tuple[Floats, Floats],
    masks: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    alpha: float,
) -> ArmDifference:
    y, plain = values
    control, arm = masks
    n = int(control.sum() + arm.sum())
    error = math.sqrt(sum(float(y[m].var(ddof=1)) / int(m.sum()) for m in masks))
    raw = math.sqrt(sum(float(plain[m].var(ddof=1)) / int(m.sum()) for m in masks))
    value = float(y[arm].mean() - y[control].mean())
    half = error * anytime_factor(n, alpha)
    return ArmDifference(
        metric, other, float(plain[control].mean()), float(plain[arm].mean()), value,
        value - half, value + half, n, 1 - (error / raw) ** 2 if raw else 0.0,
    )  # fmt: skip


def anytime_factor(n: int, alpha: float) -> float:
    """Return how many standard errors an interval needs to hold at every n at once.

    √(((nρ² + 1) / (nρ²)) · ln((nρ² + 1) / α²)), narrowest near 5,000 units (eq. 12 and 24: ρ).
    """
    rho2 = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / _TUNED_AT
    scale = n * rho2
    return math.sqrt((scale + 1) / scale * math.log((scale + 1) / alpha**2))
