"""Whether what was said came true: calibration beside what chance alone would show, open cases in.

Cases are put in bins of equal count by what was said. A bin's share is the likeliest one given who
has been heard and who is still open: an open case counts as a yes with the chance that one of its
age still becomes one, at the bin's own share, so that it is neither a no nor the model's own word.
The expected calibration error is the mean gap of bins. Its noise floor is the error of outcomes
drawn from the very chances said and heard with the same delays: no model can be told better there.

Letters: n cases, b bins.

Source: Bröcker & Smith, "Increasing the reliability of reliability diagrams", Weather and
Forecasting 22 (2007), section 3 (consistency by drawing); Chapelle, KDD 2014, section 4 (a delayed
share by expectation and maximisation); Wilson, JASA 22 (1927) (bins' intervals).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jinqiao.errors import InputError
from jinqiao.insight.interval import wilson

__all__ = ["Bin", "Heard", "Reliability", "reliability"]

Floats = NDArray[np.float64]

_DRAWS = 200
_A_BIN = 20
_AT_ONCE = 1_000_000
_STEPS = 60
_STILL = 1e-6


@dataclass(frozen=True, slots=True)
class Bin:
    """Of ``cases`` said to come with chance ``said`` the share ``came``, with a 95 % interval.

    ``least`` to ``most``: where chance alone puts the share (95 %) when what was said is right.
    """

    said: float
    came: float
    lower: float
    upper: float
    least: float
    most: float
    cases: int


@dataclass(frozen=True, slots=True)
class Reliability:
    """``error`` beside ``noise`` (mean by chance alone) and ``noise_most`` (its 95th percentile).

    ``ratio`` is said ÷ came over all; chance alone puts it from ``ratio_least`` to ``ratio_most``
    (95 %). ``open`` of ``cases`` are not decided. A ratio is None where nothing came.
    """

    cases: int
    open: int
    error: float
    noise: float
    noise_most: float
    ratio: float | None
    ratio_least: float | None
    ratio_most: float | None
    bins: tuple[Bin, ...]

    @property
    def beyond_noise(self) -> bool:
        """Whether the error is more than chance alone explains."""
        return self.error > self.noise_most


@dataclass(frozen=True, eq=False)
class Heard:
    """What is known of n cases: ``label`` 1, 0 or NaN (open); shares heard by their age.

    ``yes_by`` and ``no_by`` (n,): of those that end in a yes (a no), the share heard by then.
    """

    label: Floats
    yes_by: Floats
    no_by: Floats

    @classmethod
    def at_once(cls, happened: ArrayLike) -> Heard:
        """Return outcomes that are all known."""
        label = np.asarray(happened, np.float64)
        return cls(label, np.ones(len(label)), np.ones(len(label)))

    def take(self, rows: NDArray[np.integer]) -> Heard:
        """Return what is known of some cases."""
        return Heard(self.label[rows], self.yes_by[rows], self.no_by[rows])


def reliability(p: ArrayLike, heard: Heard, *, bins: int = 10, seed: int = 0) -> Reliability:
    """Return the calibration of n chances beside its noise floor.

    ``p`` : (n,) what was said, in [0, 1]. ``bins`` : at most so many, of 20 cases at least.

    Raises
    ------
    InputError : no case, lengths that differ, a chance outside [0, 1].

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(4_000)
    >>> reliability(p, Heard.at_once(rng.random(4_000) < p)).beyond_noise
    False
    """
    said = np.asarray(p, np.float64)
    if said.ndim != 1 or not len(said) or len(said) != len(heard.label):
        raise InputError("one chance and one outcome a case are needed", field="p")
    if not ((said >= 0) & (said <= 1)).all():
        raise InputError("a chance is outside [0, 1]", field="p")
    order = np.argsort(said, kind="stable")
    said, heard = said[order], heard.take(order)
    n, rng = len(said), np.random.default_rng([seed, 53])
    b = int(np.clip(n // _A_BIN, 1, bins))
    code = np.arange(n) * b // n
    count = np.bincount(code, minlength=b)
    mean = np.bincount(code, said, b) / count
    came = _shares(heard, code, b)
    drawn = _drawn(said, heard, code, b, rng)
    errors = np.abs(drawn - mean) @ count / n
    totals = np.sort(drawn @ count)
    least, most = totals[int(0.025 * _DRAWS)], totals[int(0.975 * _DRAWS)]
    total = float(said.sum())
    sure = np.bincount(code, ~np.isnan(heard.label), b)
    return Reliability(
        n, int(np.isnan(heard.label).sum()), float(np.abs(came - mean) @ count / n),
        float(errors.mean()), float(np.quantile(errors, 0.95)),
        _ratio(total, float(came @ count)), _ratio(total, most), _ratio(total, least),
        tuple(_bin(*row) for row in zip(mean, came, sure, *_band(drawn), count, strict=True)),
    )  # fmt: skip


def _band(drawn: Floats) -> tuple[Floats, Floats]:
    """Return where 95 % of the drawn shares of each bin lie, (b,) and (b,)."""
    return np.quantile(drawn, 0.025, axis=0), np.quantile(drawn, 0.975, axis=0)


def _ratio(said: float, came: float) -> float | None:
    return float(said / came) if came > 1e-9 else None


def _bin(said: float, came: float, sure: float, least: float, most: float, cases: int) -> Bin:
    """Return a bin; its interval counts decided cases alone, so it errs to the wide side."""
    lower, upper = wilson(came * sure, sure) or (0.0, 1.0)
    return Bin(
        float(said), float(came), float(lower), float(upper), float(least), float(most), int(cases)
    )


def _drawn(
    p: Floats, heard: Heard, code: NDArray[np.integer], b: int, rng: np.random.Generator
) -> Floats:
    """Return the shares of bins if every chance is right and heard as late, (draws, b)."""
    n, out = len(p), []
    late = bool(((heard.yes_by < 1) | (heard.no_by < 1)).any())
    for start in range(0, _DRAWS, max(1, _AT_ONCE // n)):
        d = min(max(1, _AT_ONCE // n), _DRAWS - start)
        yes = rng.random((d, n)) < p
        label = yes.astype(np.float64)
        if late:
            label[rng.random((d, n)) >= np.where(yes, heard.yes_by, heard.no_by)] = np.nan
        cell = (np.arange(d)[:, None] * b + code).ravel()
        by = np.tile(heard.yes_by, d), np.tile(heard.no_by, d)
        out.append(_shares(Heard(label.ravel(), *by), cell, d * b).reshape(d, b))
    return np.concatenate(out)


def _shares(heard: Heard, code: NDArray[np.integer], b: int) -> Floats:
    """Return the likeliest share of each bin, (b,): expectation and maximisation over open ones."""
    count = np.bincount(code, minlength=b)
    known = ~np.isnan(heard.label)
    total = np.bincount(code[known], heard.label[known], b)
    if known.all():
        return np.asarray(total / count)
    sure = np.bincount(code[known], minlength=b)
    share: Floats = (total + 0.5) / (sure + 1.0)
    where, late = code[~known], ~known
    yes, no = 1.0 - heard.yes_by[late], 1.0 - heard.no_by[late]
    for _ in range(_STEPS):
        up, down = share[where] * yes, (1.0 - share[where]) * no
        whole = up + down
        still = np.divide(up, whole, out=np.zeros_like(up), where=whole > 1e-12)
        new = (total + np.bincount(where, still, b)) / count
        step = float(np.abs(new - share).max())
        share = new
        if step < _STILL:
            break
    return share
