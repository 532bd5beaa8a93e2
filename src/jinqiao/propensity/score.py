"""Anyone's table in, a calibrated score with reasons out, judged in repeated folds.

For rows without an order in time; with dates use ``fit_table``, which judges by time. Everything
that learns from labels, the committee's weights among it, learns inside a fold: nothing of the
part that judges is known to what it judges.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jinqiao.engines.given import column_of, labels_of, table_of
from jinqiao.errors import InputError
from jinqiao.propensity.calibration import calibration_error, log_loss, sigmoid
from jinqiao.propensity.committee import (
    RARE,
    Committee,
    CommitteeSpec,
    enough,
    fit_committee,
)
from jinqiao.propensity.folds import CrossFit, area_figures, copies, cross_fit
from jinqiao.propensity.leaks import leaks_of
from jinqiao.propensity.members import fit_members, plain_logistic
from jinqiao.propensity.reasons import told
from jinqiao.propensity.tables import Columns, choose, matrix_of, one_row
from jinqiao.propensity.weighing import fit_weak_platt

if TYPE_CHECKING:
    from jinqiao.domain.decision import Reason

__all__ = ["Judging", "ScoreModel", "fit_score"]

Floats = NDArray[np.float64]
_SMALL, _MIDDLE = 500, 2_000
_COPIES = 0.01


@dataclass(frozen=True, slots=True)
class Judging:
    """How a score is judged: repeats of stratified folds; 0 repeats does not judge.

    None is by the number of rows: ten folds five times up to 500, five folds twice up to 2,000,
    five folds once beyond.
    """

    folds: int | None = None
    repeats: int | None = None
    progress: Callable[[float], None] | None = None

    def of(self, rows: int, fewer: int) -> tuple[int, int]:
        """Return (folds, repeats) for so many rows, of which so many have the rarer label."""
        usual = (10, 5) if rows <= _SMALL else (5, 2) if rows <= _MIDDLE else (5, 1)
        folds = usual[0] if self.folds is None else self.folds
        return min(folds, fewer), usual[1] if self.repeats is None else self.repeats


@dataclass(frozen=True)
class ScoreModel:
    """A committee and how a table's columns become its numbers; ``outside`` (n,) are the scores
    of the first repeat's left-out rows as calibrated chances, None where it was not judged.
    """

    committee: Committee
    columns: Columns
    card: Mapping[str, Any]
    outside: NDArray[np.float64] | None = None

    def predict(self, table: Any) -> NDArray[np.float64]:
        """Return the chance of a yes for every row; raise SchemaError for a missing column."""
        return self.committee.predict(matrix_of(self.columns, table_of(table)))

    def contributions(self, table: Any) -> NDArray[np.float64]:
        """Return what each column adds to the logit, (n, k + 1), base last; rows sum to it."""
        return self.committee.contributions(matrix_of(self.columns, table_of(table)))

    def reasons(
        self,
        table: Any,
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
        added = self.contributions(one_row(table_of(table), row))[0]
        return told(added[:-1], self.committee.names, named, stage=about, most=most)


def fit_score(
    table: Any,
    target: str,
    *,
    yes: Any = None,
    group: str | None = None,
    leave_out: tuple[str, ...] = (),
    seed: int = 0,
    spec: CommitteeSpec | None = None,
    judging: Judging | None = None,
) -> ScoreModel:
    """Return a committee's calibrated score of ``target`` from the other columns.

    The card holds ``auc``, its 95 % interval, the same of a plain logistic regression
    (scikit-learn's defaults on standardised columns) in the same folds, and the paired gain; see
    ``folds`` for the formula. ``log_loss`` and ``ece`` are of the first repeat's
    chances, each calibrated on the other folds. ``left_out`` says of each column not learnt from
    why; ``warnings`` are also warned of: a column that is likely known only after the outcome
    (leave it out), rows that are copies.

    Parameters
    ----------
    table : an Arrow table, a mapping of arrays, or the path of a CSV or Parquet file.
    target : 0/1, boolean or yes/no; of any other column ``yes`` is the value that counts as 1.
    group : a column (a customer's id) whose rows are judged together; it is not learnt from.

    Raises
    ------
    SchemaError : no such column. InputError : the target is not 0/1, or too few of either.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> income = rng.normal(size=200)
    >>> table = {"income": income, "late": (income + rng.normal(0, 0.3, 200) < -0.5).astype(int)}
    >>> model = fit_score(table, "late", seed=1, judging=Judging(folds=5, repeats=1))
    >>> model.card["auc"] > 0.9
    True
    """
    table = table_of(table)
    left = {target, *leave_out, *((group,) if group else ())}
    for name in left:
        column_of(table, name)
    y = labels_of(table, target, yes=yes)
    asked = [name for name in table.column_names if name not in left]
    columns, left_out = choose(table, asked)
    names = tuple(f"{name}={v}" if v else name for name, vs in columns for v in (vs or ("",)))
    x = matrix_of(columns, table).astype(np.float64)
    enough(x, y, target)
    together = copies(x, y) if group is None else _codes(table[group])
    findings = _findings(table, columns, y, together if group is None else None)
    card: dict[str, Any] = {
        "rows": len(y), "yes": int(y.sum()), "columns": list(names), "left_out": left_out,
        "warnings": findings,
    }  # fmt: skip
    setup, outside = (names, seed, spec or CommitteeSpec()), None
    fitted = _judged(x, y, together, setup, judging or Judging())
    if fitted is not None:
        outside = _calibrated(fitted)
        card |= _figures(fitted, outside, seed)
    committee = fit_committee(x, y, names=names, seed=seed, spec=setup[2])
    card["calibration"] = {"slope": committee.slope, "shift": committee.shift}
    card["weights"] = committee.weights.tolist()
    for finding in findings:
        warnings.warn(finding, UserWarning, stacklevel=2)
    return ScoreModel(committee, columns, card, outside)


def _codes(column: pa.ChunkedArray) -> NDArray[np.int64]:
    flat = column.combine_chunks().dictionary_encode(null_encoding="encode")
    return np.asarray(flat.indices.to_numpy(), np.int64)


def _findings(
    table: pa.Table, columns: Columns, y: Floats, copied: NDArray[np.int64] | None
) -> list[str]:
    found = [
        f"{name}: {why}; if it is known only after the outcome, leave_out=({name!r},)"
        for name, why in leaks_of(table, [name for name, _ in columns], y).items()
    ]
    again = 0 if copied is None else len(copied) - int(copied.max()) - 1
    if again > _COPIES * len(y):
        found.append(f"{again} of {len(y)} rows are copies of others; copies are judged together")
    return found


def _figures(fitted: CrossFit, outside: Floats, seed: int) -> dict[str, Any]:
    figures, ones = (
        area_figures(fitted, ("committee", "logistic"), seed=seed),
        np.ones(len(outside)),
    )
    return figures["committee"] | {
        "logistic": figures["logistic"],
        "log_loss": log_loss(outside, fitted.y, ones),
        "ece": calibration_error(outside, fitted.y, ones),
    }


_Setup = tuple[tuple[str, ...], int, CommitteeSpec]


def _judged(
    x: Floats, y: Floats, together: NDArray[np.int64], setup: _Setup, judging: Judging
) -> CrossFit | None:
    _, first = np.unique(together, return_index=True)
    fewer = int(min(y[first].sum(), len(first) - y[first].sum()))
    folds, repeats = judging.of(len(y), fewer)
    if not repeats:
        return None
    if folds < 2:
        raise InputError(
            f"{fewer} groups of rows have the rarer label", field="group",
            fix="two are needed to judge; judging=Judging(repeats=0) does not",
        )  # fmt: skip

    def committee(known: Floats, label: Floats, asked: Floats) -> Floats:
        names, seed, spec = setup
        if (
            min(label.sum(), len(label) - label.sum()) < RARE
        ):  # weighed alike: nothing inside is to be learnt
            return fit_members(known, label, *setup).score(asked)
        return fit_committee(known, label, names=names, seed=seed, spec=spec).score(asked)

    return cross_fit(
        x, y, {"committee": committee, "logistic": plain_logistic}, folds=folds, repeats=repeats,
        seed=setup[1], groups=together, progress=judging.progress,
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
