"""Approval odds that may be promised, and calibration beside its own noise.

A badge says "at least 7 in 10 people like you were approved" only where that was measured: among
decided cases that no model learnt from, of one institution, at or above a score, the share approved
has a lower bound of 7 in 10. Thresholds are tried from the highest score down, and the search ends
at the first that fails, so trying many does not spend the confidence (fixed-sequence testing).
Below 200 cases there is no badge.

Letters: n decided cases, g institutions.

Sources: Clopper & Pearson, Biometrika 26 (1934) (exact bound); Angelopoulos, Bates, Candès, Jordan
& Lei, "Learn then test", 2021, section 4.2 (fixed sequence); Bröcker & Smith, Weather and
Forecasting 22 (2007) (calibration beside what chance alone would show).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jinqiao.errors import InputError
from jinqiao.propensity.calibration import calibration_error

__all__ = ["ApprovalOdds", "Calibration", "OddsBound", "approval_odds", "calibration_by_group"]

LEVELS = (0.9, 0.8, 0.7, 0.6, 0.5)
LEAST = 200
_STEP = 25
_DRAWS = 200

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class OddsBound:
    """``lower`` ≥ ``level`` bounds the approved share of ``cases`` at or above ``threshold``."""

    group: str
    level: float
    threshold: float
    cases: int
    share: float
    lower: float


@dataclass(frozen=True)
class ApprovalOdds:
    """What may be promised by group; ``cases_by_group`` tells how many cases there were of each."""

    bounds: tuple[OddsBound, ...]
    cases_by_group: dict[str, int]
    confidence: float

    def badge(self, group: str, p: float) -> OddsBound | None:
        """Return the strongest promise a score of this group may carry, or None: no badge."""
        held = [b for b in self.bounds if b.group == group and p >= b.threshold]
        return max(held, key=lambda bound: bound.level) if held else None


def approval_odds(
    p: ArrayLike,
    approved: ArrayLike,
    group: Sequence[str],
    *,
    levels: Sequence[float] = LEVELS,
    least: int = LEAST,
    confidence: float = 0.95,
) -> ApprovalOdds:
    """Return the promises that hold, from decided cases that no model learnt from.

    Parameters
    ----------
    p : (n,) predicted chances in [0, 1]. approved : (n,) 0/1. group : (n,) institutions.
    levels : shares a badge may promise. least : cases at or above a threshold that are needed.
    confidence : of each promise of each group.

    Raises
    ------
    InputError : shapes that differ, a chance outside [0, 1], an outcome that is not 0/1, a level or
        confidence outside (0, 1).

    Examples
    --------
    >>> p = np.repeat([0.3, 0.9], 500)
    >>> odds = approval_odds(p, np.arange(1_000) >= 550, ["bank"] * 1_000)
    >>> odds.badge("bank", 0.95).level, odds.badge("bank", 0.4)
    (0.8, None)
    """
    chance, yes, names = _checked(p, approved, group)
    for value in (*levels, confidence):
        if not 0 < value < 1:
            raise InputError(f"{value} is not between 0 and 1", field="levels or confidence")
    bounds, cases = [], {}
    for name in sorted(set(names.tolist())):
        rows = np.flatnonzero(names == name)
        cases[str(name)] = len(rows)
        order = rows[np.argsort(-chance[rows], kind="stable")]
        bounds += _promises(str(name), chance[order], yes[order], levels, (least, confidence))
    return ApprovalOdds(tuple(bounds), cases, confidence)


def _promises(
    name: str, p: Floats, yes: Floats, levels: Sequence[float], rule: tuple[int, float]
) -> list[OddsBound]:
    least, confidence = rule
    ends = np.flatnonzero(np.diff(p, append=-1.0) < 0) + 1  # whole groups of equal scores
    ends = ends[ends >= least]
    if not len(ends):
        return []
    tried = [ends[0], *(e for a, e in pairwise(ends) if e // _STEP > a // _STEP)]
    total = np.cumsum(yes)
    found = []
    for level in levels:
        last = None
        for n in tried:
            k = int(total[n - 1])
            lower = _lower(k, int(n), 1 - confidence)
            if lower < level:
                break
            last = OddsBound(name, level, float(p[n - 1]), int(n), k / int(n), lower)
        if last is not None:
            found.append(last)
    return found


def _lower(k: int, n: int, alpha: float) -> float:
    """Return the exact one-sided lower bound of a share: P(X ≥ k | bound) = α."""
    from scipy.special import betaincinv

    return float(betaincinv(k, n - k + 1, alpha)) if k else 0.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """Expected calibration error beside what a perfectly calibrated model would show by chance.

    ``noise`` is the mean of that, ``noise_most`` its 95th percentile; ``ratio`` is Σp / Σy.
    """

    group: str
    cases: int
    error: float
    noise: float
    noise_most: float
    ratio: float

    @property
    def beyond_noise(self) -> bool:
        """Whether the error is more than chance alone explains."""
        return self.error > self.noise_most


def calibration_by_group(
    p: ArrayLike,
    happened: ArrayLike,
    group: Sequence[str] | None = None,
    *,
    bins: int = 10,
    least: int = 50,
    seed: int = 0,
) -> tuple[Calibration, ...]:
    """Return calibration in all ("") and of each group of at least ``least`` cases.

    Outcomes are drawn 200 times from the very chances said, and their error is the noise floor: an
    error below it is no error, and one above it no chance.

    Raises
    ------
    InputError : as ``approval_odds``.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(2_000)
    >>> calibration_by_group(p, rng.random(2_000) < p)[0].beyond_noise
    False
    """
    names_given = [""] * len(np.atleast_1d(np.asarray(p))) if group is None else group
    chance, yes, names = _checked(p, happened, names_given)
    rng = np.random.default_rng([seed, 47])
    parts = [("", np.arange(len(chance)))]
    if group is not None:
        parts += [(str(n), np.flatnonzero(names == n)) for n in sorted(set(names.tolist()))]
    return tuple(
        _calibrated(name, chance[rows], yes[rows], bins, rng)
        for name, rows in parts
        if len(rows) >= least or name == ""
    )


def _calibrated(
    name: str, p: Floats, yes: Floats, bins: int, rng: np.random.Generator
) -> Calibration:
    one = np.ones(len(p))
    drawn = [
        calibration_error(p, (rng.random(len(p)) < p).astype(np.float64), one, bins=bins)
        for _ in range(_DRAWS)
    ]
    total = float(yes.sum())
    return Calibration(
        name, len(p), calibration_error(p, yes, one, bins=bins), float(np.mean(drawn)),
        float(np.quantile(drawn, 0.95)), float(p.sum()) / total if total else float("inf"),
    )  # fmt: skip


def _checked(
    p: ArrayLike, happened: ArrayLike, group: Sequence[str]
) -> tuple[Floats, Floats, NDArray[np.object_]]:
    chance, yes = np.asarray(p, np.float64), np.asarray(happened, np.float64)
    names = np.array([str(g) for g in group], dtype=object)
    if chance.ndim != 1 or not chance.shape == yes.shape == names.shape or not len(chance):
        raise InputError("one chance, one outcome and one group a case are needed", field="p")
    bad = ~((chance >= 0) & (chance <= 1))
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(f"{chance[row]} is not a chance", record=f"row {row}", field="p")
    if not np.isin(yes, (0.0, 1.0)).all():
        row = int(np.argmin(np.isin(yes, (0.0, 1.0))))
        raise InputError(f"{yes[row]} is not 0 or 1", record=f"row {row}", field="happened")
    return chance, yes, names
