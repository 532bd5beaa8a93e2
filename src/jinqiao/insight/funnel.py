"""What a funnel that answers late will come to: anyone's table of timestamped stages.

A case starts, passes stages, and ends in yes, in no, or is open at the as-of. An open case of age
a counts as a yes with the chance (F(∞) − F(a)) / S(a), F the cumulative incidence of yes among
competing ends and S what is open (Aalen & Johansen 1978). Two readings are averaged, which err
differently: one from the start, and one from the latest stage passed (the same in each stage, from
the last to the first). Old cases fade by half in ``half_life_days``, chosen, unless given, by how
well past dates were told by what was known then.

Letters: n cases, s stages that are passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jinqiao.domain.time import DAY_US
from jinqiao.engines.given import instants_of
from jinqiao.engines.hazards import Incidence, incidence
from jinqiao.errors import InputError
from jinqiao.insight.interval import Z
from jinqiao.insight.stages import Reached, Stages, read_stages

__all__ = ["Cohort", "LateFunnel", "late_funnel"]

Floats = NDArray[np.float64]
_FADES: tuple[float | None, ...] = (None, 90.0, 60.0, 45.0, 30.0, 21.0, 14.0)
_BACK_DAYS = (14, 21, 28, 35)
_WINDOW_DAYS = (28, 14, 7)
_HISTORY_DAYS = 14
_FEW = 50
_DRAWS = 200


@dataclass(frozen=True, slots=True)
class Cohort:
    """Cases that started in the last ``days``: what has shown, and what it will come to.

    ``rate`` is the expected final share of yes with a 95 % interval (``lower``, ``upper``) of the
    final share of these very cases; ``counted`` is the share that is a yes already.
    """

    days: float
    cases: int
    open: int
    counted: float
    rate: float
    lower: float
    upper: float


@dataclass(frozen=True)
class LateFunnel:
    """``case_id`` of every case started by the as-of, its ``age_days`` and ``p_yes`` (n,).

    ``p_yes`` is 1 or 0 where decided. ``from_start`` is the incidence of yes (row 0) and no (row 1)
    by days since the start; ``half_life_days`` None means that old cases count in full.
    """

    case_id: pa.Array
    age_days: Floats
    p_yes: Floats
    decided: NDArray[np.bool_]
    from_start: Incidence
    half_life_days: float | None
    _spread: Floats

    def cohort(self, days: float) -> Cohort:
        """Return the estimate for the cases that started within the last ``days``.

        Raises
        ------
        InputError : no case started in that time.

        Examples
        --------
        >>> found.cohort(28).rate  # doctest: +SKIP
        """
        rows = self.age_days < days
        if not rows.any():
            raise InputError(
                f"no case started in the last {days:g} days", field="days", fix="ask for more days"
            )
        p, n, open_ = self.p_yes[rows], int(rows.sum()), ~self.decided[rows]
        # few cases that have ended, all alike, are no certainty about the open ones
        ended = int(self.decided.sum())
        seen = (float(self.p_yes[self.decided].sum()) + 1) / (ended + 2)
        drawn = (p[open_] * ended + 2 * seen) / (ended + 2)
        luck = float((drawn * (1 - drawn)).sum()) / n**2
        method = float(np.var(self._spread[:, rows].mean(axis=1))) if len(self._spread) else 0.0
        method = max(method, float(open_.mean()) ** 2 * seen * (1 - seen) / (ended + 3))
        rate, half = float(p.mean()), Z * np.sqrt(luck + method)
        return Cohort(
            float(days), n, int((~self.decided[rows]).sum()),
            float((p[self.decided[rows]] == 1).sum()) / n,
            rate, max(float(rate - half), 0.0), min(float(rate + half), 1.0),
        )  # fmt: skip


def late_funnel(
    events: Any,
    *,
    stages: Sequence[str],
    yes: str,
    no: Sequence[str] = (),
    as_of_us: int | None = None,
    as_of: datetime | str | None = None,
    columns: tuple[str, str, str] = ("case_id", "stage", "occurred_at"),
    half_life_days: float | str | None = "auto",
    seed: int = 0,
) -> LateFunnel:
    """Return what is known, and what is to be expected, of a funnel's cases as of an instant.

    Parameters
    ----------
    events : a table in any form ``fit_score`` takes. Long: case_id (any type), stage (text),
        occurred_at (instant or text of one, when it was *learnt*), one row a stage reached, in any
        order; repeated stages count once, at the earliest. Wide: one row a case, its case_id, and
        a column of instants for every stage named, empty where it was not reached.
    stages : the stages a case passes, first the one it starts with. yes, no : how it ends; of both
        the earlier counts. Other stages in the table are passed over.
    as_of, as_of_us : rows after this instant are not read; without either, the newest row's.
    columns : what the three columns are called. half_life_days : "auto", None, or days.
    seed : of the interval's 200 resamples.

    Raises
    ------
    SchemaError : a column is missing or has another type, by row. InputError : no case has started;
        a stage is named twice or in no row; a half-life is not above 0; both instants.

    Examples
    --------
    >>> events = {"case_id": [1, 1, 2], "stage": ["apply", "paid", "apply"],
    ...           "occurred_at": ["2026-01-01", "2026-01-03", "2026-01-02"]}
    >>> found = late_funnel(events, stages=["apply"], yes="paid", as_of="2026-01-10")
    >>> found.cohort(30).counted
    0.5
    """
    named = Stages(tuple(stages), yes, tuple(no), columns)
    table = read_stages(events, named)
    now = _now(as_of, as_of_us, table.newest)
    table = table.take(np.flatnonzero(table.at[:, 0] <= now))
    if not len(table.at):
        raise InputError(
            f"no case has started with {stages[0]!r} by the as-of", field="stages",
            fix="name the stage that every case begins with first",
        )  # fmt: skip
    if not (table.at[:, -2:] <= now).any():
        raise InputError(
            f"none of {len(table.at)} cases has ended by the as-of: nothing tells how they end",
            field="yes", fix="wait for the first answers, or name the stages that end a case",
        )  # fmt: skip
    fade = _checked_fade(table, now, half_life_days)
    p, first = _expected(table, now, fade)
    known = table.known(now)
    decided = np.isfinite(np.minimum(known[:, -2], known[:, -1]))
    draws = _resampled(table, now, fade, np.random.default_rng(seed))
    return LateFunnel(table.case_id, now - table.at[:, 0], p, decided, first, fade, draws)


def _now(as_of: datetime | str | None, as_of_us: int | None, newest: float) -> float:
    """Return the instant of the estimate, in days since 1970."""
    if as_of is not None and as_of_us is not None:
        raise InputError("one instant is asked for, not two", field="as_of",
                         fix="give as_of or as_of_us")  # fmt: skip
    if as_of_us is not None:
        return as_of_us / DAY_US
    if as_of is None:
        return newest
    told = instants_of(pa.chunked_array([pa.array([as_of])]), "as_of", record="argument")
    return float(told[0].as_py()) / DAY_US


def _checked_fade(table: Reached, now: float, given: float | str | None) -> float | None:
    if given is None:
        return None
    if isinstance(given, str):
        if given != "auto":
            raise InputError("a half-life is 'auto', none, or days", field="half_life_days")
        return _best_fade(table, now)
    if not given > 0:
        raise InputError("a half-life is above 0", field="half_life_days")
    return float(given)


def _expected(
    table: Reached, now: float, fade: float | None, weight: Floats | None = None
) -> tuple[Floats, Incidence]:
    """Return each case's chance of a yes, (n,), and the incidence from the start."""
    known = table.known(now)
    started = np.isfinite(known[:, 0])
    w = np.ones(len(known)) if weight is None else weight
    if fade is not None:
        w = w * 0.5 ** ((now - np.where(started, known[:, 0], now)) / fade)
    first = np.minimum(known[:, -2], known[:, -1])
    ended = np.isfinite(first)
    end = np.where(ended, (known[:, -1] < known[:, -2]).astype(np.int64), -1)
    age = np.where(ended, first, now) - np.where(started, known[:, 0], now)
    whole = incidence(np.maximum(age, 0)[started], end[started], 2, w[started])
    p = np.where(end == 0, 1.0, 0.0)
    open_ = started & ~ended
    plain = whole.still(now - known[open_, 0])[0]
    p[open_] = (plain + _by_stage(known, now, w)[open_]) / 2
    return p, whole


def _by_stage(known: Floats, now: float, w: Floats) -> Floats:
    """Return the chance of a yes of open cases from the latest stage they passed, (n,)."""
    n, width = known.shape
    last = width - 2
    chance = np.zeros(width)
    chance[last] = 1.0
    p = np.zeros(n)
    for stage in range(last - 1, -1, -1):
        here = np.flatnonzero(np.isfinite(known[:, stage]))
        after = known[here, stage + 1 :]
        step = np.argmin(after, axis=1)
        at = after[np.arange(len(here)), step]
        moved = np.isfinite(at)
        spent = np.maximum(np.where(moved, at, now) - known[here, stage], 0.0)
        end = np.where(moved, step, -1)
        found = incidence(spent, end, width - stage - 1, w[here])
        ahead = chance[stage + 1 :]
        chance[stage] = float(found.final @ ahead) if len(here) else 0.0
        waiting = here[~moved]
        p[waiting] = ahead @ found.still(now - known[waiting, stage])
    return np.clip(p, 0.0, 1.0)


def _best_fade(table: Reached, now: float) -> float | None:
    """Return the half-life by which past dates were told best by what was known on them."""
    start = table.at[:, 0].min()
    told = {fade: _expected(table, now, fade)[0] for fade in _FADES}
    middle = (told[None] + told[30.0]) / 2
    errors: dict[float | None, list[float]] = {fade: [] for fade in _FADES}
    for then in (now - back for back in _BACK_DAYS):
        if then - start < _HISTORY_DAYS:
            continue
        cohorts = [
            rows
            for days in _WINDOW_DAYS
            if (rows := (table.at[:, 0] > then - days) & (table.at[:, 0] <= then)).sum() >= _FEW
            and middle[rows].mean() > 0
        ]
        for fade in _FADES:
            p = _expected(table, then, fade)[0] if cohorts else middle
            errors[fade] += [
                abs(float(np.log(max(p[rows].mean(), 1e-9) / middle[rows].mean())))
                for rows in cohorts
            ]
    if not errors[None]:
        return None
    return min(_FADES, key=lambda fade: float(np.mean(errors[fade])))


def _resampled(table: Reached, now: float, fade: float | None, rng: np.random.Generator) -> Floats:
    """Return the chances told by resampled cases (Bayesian bootstrap), (draws, n)."""
    n = len(table.at)
    draws = max(20, min(_DRAWS, 4_000_000 // max(n, 1)))
    return np.stack(
        [_expected(table, now, fade, rng.exponential(size=n))[0] for _ in range(draws)]
    ).astype(np.float32)
