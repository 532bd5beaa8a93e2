"""A table of few rows in, a calibrated score with reasons out, judged in repeated folds.

For some hundred to a few thousand rows without an order in time; for more, or with dates, use
``fit_table``, which judges by time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jinqiao.errors import SchemaError
from jinqiao.propensity.calibration import calibration_error, log_loss, sigmoid
from jinqiao.propensity.committee import (
    Committee,
    CommitteeSpec,
    fit_committee,
    fit_members,
    fit_weak_platt,
    plain_logistic,
)
from jinqiao.propensity.folds import CrossFit, area_figures, cross_fit
from jinqiao.propensity.reasons import told
from jinqiao.propensity.tables import columns_of, labels_of, matrix_of

if TYPE_CHECKING:
    from jinqiao.domain.decision import Reason

__all__ = ["Judging", "ScoreModel", "fit_score"]


@dataclass(frozen=True, slots=True)
class Judging:
    """How a score is judged: repeats of stratified folds; 0 repeats does not judge."""

    folds: int = 10
    repeats: int = 5
    progress: Callable[[float], None] | None = None


@dataclass(frozen=True)
class ScoreModel:
    """A committee and how a table's columns become its numbers; ``outside`` (n,) are the scores
    of the first repeat's left-out rows as calibrated chances, None where it was not judged.
    """

    committee: Committee
    columns: tuple[tuple[str, tuple[str, ...]], ...]
    card: Mapping[str, Any]
    outside: NDArray[np.float64] | None = None

    def predict(self, table: pa.Table) -> NDArray[np.float64]:
        """Return the chance of a yes for every row; raise SchemaError for a missing column."""
        return self.committee.predict(matrix_of(self.columns, table))

    def contributions(self, table: pa.Table) -> NDArray[np.float64]:
        """Return what each column adds to the logit, (n, k + 1), base last; rows sum to it."""
        return self.committee.contributions(matrix_of(self.columns, table))

    def reasons(
        self,
        table: pa.Table,
        row: int,
        *,
        words: Mapping[str, tuple[str, str]] | None = None,
        about: tuple[str, str] = ("是", "a yes"),
        most: int = 3,
    ) -> tuple[Reason, ...]:
        """Return the strongest reasons of one row.

        ``words`` maps a column to its Chinese and English name; ``about`` is what is scored.
        """
        named = words or {name: (name, name) for name, _ in self.columns}
        added = self.contributions(table.slice(row, 1))[0]
        return told(added[:-1], self.committee.names, named, stage=about, most=most)


def fit_score(
    table: pa.Table,
    target: str,
    *,
    leave_out: tuple[str, ...] = (),
    seed: int = 0,
    spec: CommitteeSpec | None = None,
    judging: Judging | None = None,
) -> ScoreModel:
    """Return a committee's calibrated score of ``target`` (0/1) from the other columns.

    The card holds ``auc``, its 95 % interval, the same of a plain logistic regression
    (scikit-learn's defaults on standardised columns) in the same folds, and the paired gain; see
    ``folds`` for the formula. ``log_loss`` and ``ece`` are of the first repeat's
    chances, each calibrated on the other folds.

    Raises
    ------
    SchemaError : no such column. InputError : the target is not 0/1, or too few of either.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> income = rng.normal(size=200)
    >>> table = pa.table({"income": income, "late": (income < -0.5).astype(int)})
    >>> model = fit_score(table, "late", seed=1, judging=Judging(folds=5, repeats=1))
    >>> model.card["auc"] > 0.95
    True
    """
    for name in leave_out:
        if name not in table.column_names:
            raise SchemaError("no such column", record="table", field=name)
    spec, judging = spec or CommitteeSpec(), judging or Judging()
    y = labels_of(table, target)
    left = {target, *leave_out}
    columns = tuple(columns_of(table, [n for n in table.column_names if n not in left]))
    names = tuple(f"{name}={v}" if v else name for name, vs in columns for v in (vs or ("",)))
    x = matrix_of(columns, table).astype(np.float64)
    card: dict[str, Any] = {"rows": len(y), "yes": int(y.sum()), "columns": list(names)}
    outside = None
    if judging.repeats:
        fitted = _judged(x, y, (names, seed, spec), judging)
        figures = area_figures(fitted, ("committee", "logistic"), seed=seed)
        card |= figures["committee"] | {"logistic": figures["logistic"]}
        outside = _calibrated(fitted)
        ones = np.ones(len(y))
        card["log_loss"] = log_loss(outside, y, ones)
        card["ece"] = calibration_error(outside, y, ones)
    committee = fit_committee(x, y, names=names, seed=seed, spec=spec)
    card["calibration"] = {"slope": committee.slope, "shift": committee.shift}
    return ScoreModel(committee, columns, card, outside)


_Setup = tuple[tuple[str, ...], int, CommitteeSpec]


def _judged(
    x: NDArray[np.float64], y: NDArray[np.float64], setup: _Setup, judging: Judging
) -> CrossFit:
    def committee(
        known: NDArray[np.float64], label: NDArray[np.float64], asked: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        return fit_members(known, label, *setup).score(asked)

    return cross_fit(
        x, y, {"committee": committee, "logistic": plain_logistic},
        folds=judging.folds, repeats=judging.repeats, seed=setup[1], progress=judging.progress,
    )  # fmt: skip


def _calibrated(fitted: CrossFit) -> NDArray[np.float64]:
    """Return each row's chance in the first repeat: its score by the model of the other folds, put
    through a calibration fitted on the scores of the other folds' rows alone.
    """
    score, fold = fitted.scores["committee"][0], fitted.folds[0]
    chance = np.empty(len(score))
    for one in np.unique(fold):
        part = fold == one
        slope, shift = fit_weak_platt(score[~part], fitted.y[~part])
        chance[part] = sigmoid(slope * score[part] + shift)
    return chance
