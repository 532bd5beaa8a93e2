"""What a contact changes, learnt from a randomised campaign: who buys because of it, not who buys.

Each row's effect is told twice without its own outcome: by a doubly robust learner (a regression on
φ = μ₁ − μ₀ + (t − e)/(e(1 − e))·(y − μ_t)) and by an X-learner (outcomes less what the other arm
would have done). Their mean ranks people. How much of it is real is measured on φ of rows neither
has seen: uplift is a + b·(score − mean), fitted there, so its interval is one of people scored
alike. If ranking by it does not beat ranking by plain response beyond its interval, response is
served, and the card says so.

Letters: n rows, k columns, t treated or not, e chance to be treated, y outcome, μ mean outcome.

Sources: Kennedy, "Towards optimal doubly robust estimation of heterogeneous causal effects", EJS
2023, eq. 2 (φ); Künzel et al., PNAS 116 (2019), eqs. 5–9 (X-learner); Chernozhukov et al., "Generic
machine learning inference on heterogeneous treatment effects", 2018, eq. 2.2 (best linear
predictor); Yadlowsky et al., "Evaluating treatment prioritization rules", JASA 2025 (ranks).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jinqiao.engines.given import column_of, is_text, labels_of, table_of
from jinqiao.errors import InputError
from jinqiao.propensity.linear import one_thread
from jinqiao.propensity.tables import Columns, choose, matrix_of

__all__ = ["Uplift", "UpliftModel", "fit_uplift"]

Floats = NDArray[np.float64]
Matrix = NDArray[np.float32]
_FOLDS = 5
_DRAWS = 300
_Z = 1.959963984540054
_LEAST = 100
_BOUND = 0.01
_LOT = 6.0


@dataclass(frozen=True, slots=True)
class Uplift:
    """(n,) expected change of the outcome by the contact, with the 95 % interval of rows alike."""

    value: Floats
    lower: Floats
    upper: Floats


@dataclass(frozen=True)
class UpliftModel:
    """``effect`` and ``response`` score rows; ``line`` is (a, b, mean score); ``spread`` (2, 2).

    ``without`` are the learners that saw all folds but one: how far they part is the learning's own
    error (delete-a-group jackknife), which the interval holds beside the line's.
    ``ranks_by``: "uplift", or "response" where uplift is not shown to rank better. ``card``: plain
    numbers: rows, the mean effect, the slope, what each ranking is worth, intervals.
    """

    columns: Columns
    effect: _Regression
    without: tuple[_Regression, ...]
    response: _Regression
    line: tuple[float, float, float]
    spread: Floats
    ranks_by: str
    card: Mapping[str, Any]

    def uplift(self, table: Any) -> Uplift:
        """Return what the contact changes for every row; SchemaError for a missing column."""
        x = matrix_of(self.columns, table_of(table))
        score, (a, b, middle) = self.effect(x), self.line
        away = np.column_stack((np.ones(len(score)), score - middle))
        of_line = np.maximum(((away @ self.spread) * away).sum(axis=1), 0.0)
        half = _Z * np.sqrt(of_line + max(b, 1.0) ** 2 * self._parting(x))
        value = away @ np.array([a, b])
        return Uplift(value, value - half, value + half)

    def _parting(self, x: Matrix) -> Floats:
        """Return the jackknife variance of the score, (n,): half each row's own, half all rows'."""
        said = np.stack([one(x) for one in self.without])
        said -= said.mean(axis=1, keepdims=True)
        own: Floats = (len(said) - 1) * said.var(axis=0)
        return 0.5 * (own + own.mean()) if own.size else own

    def rank(self, table: Any) -> Floats:
        """Return whom to contact first, (n,), higher first: by uplift, or by response."""
        x = matrix_of(self.columns, table_of(table))
        return self.effect(x) if self.ranks_by == "uplift" else self.response(x)


@dataclass(frozen=True)
class _Regression:
    """The mean of a ridge regression and small trees, each of the same columns."""

    middle: Floats
    width: Floats
    slopes: Floats
    base: float
    trees: Any

    def __call__(self, x: Matrix) -> Floats:
        z = _scaled(x, self.middle, self.width)
        line: Floats = self.base + z @ self.slopes
        if self.trees is None:
            return line
        return 0.5 * (line + np.asarray(self.trees.predict(x), np.float64))


@dataclass(frozen=True, slots=True)
class _Campaign:
    x: Matrix
    treated: NDArray[np.bool_]
    y: Floats
    chance: Floats

    def take(self, rows: NDArray[np.int64]) -> _Campaign:
        return _Campaign(self.x[rows], self.treated[rows], self.y[rows], self.chance[rows])

    def __len__(self) -> int:
        return len(self.y)


def fit_uplift(
    table: Any,
    *,
    treatment: str,
    outcome: str,
    treated: Any = None,
    control: Any = None,
    chance: float | str | None = None,
    leave_out: tuple[str, ...] = (),
    seed: int = 0,
) -> UpliftModel:
    """Return what a contact changes, learnt from a campaign whose contacts were drawn by lot.

    A column that differs between contacted and held out by more than a lot can (six standard
    errors) became known after the contact: it is left out and warned of.

    Parameters
    ----------
    table : an Arrow table, a mapping of arrays, or the path of a CSV or Parquet file.
    treatment : 0/1, boolean or yes/no: contacted or held out. Of a campaign of several arms,
        ``control`` names the one held out and ``treated`` the one contacted (all others, if None);
        rows of no named arm are not learnt from.
    outcome : any number (0/1, money), or yes/no.
    chance : the chance to be contacted: a number, a column, or None for the share contacted.
    leave_out : columns not to learn from; ids and texts of many values are left out anyway.

    Raises
    ------
    SchemaError : no such column. InputError : a treatment that is not 0/1 and no ``control``, fewer
        than 100 rows of an arm, an outcome that is missing or never varies, a chance outside
        (0.01, 0.99), contacts that were not drawn by lot.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> young, called = rng.random(2_000) < 0.5, rng.random(2_000) < 0.5
    >>> bought = rng.random(2_000) < 0.1 + 0.3 * (young & called)
    >>> table = {"young": young, "called": called, "bought": bought}
    >>> model = fit_uplift(table, treatment="called", outcome="bought")
    >>> told = model.uplift(table).value
    >>> bool(told[young].mean() > told[~young].mean() + 0.2)
    True
    """
    table = table_of(table)
    left = {treatment, outcome, *leave_out, *((chance,) if isinstance(chance, str) else ())}
    for name in left:
        column_of(table, name)
    table, arm = _arms_of(table, treatment, treated, control)
    columns, left_out = choose(table, [name for name in table.column_names if name not in left])
    made = _campaign(table, columns, (arm, treatment, outcome), chance)
    after = _after_contact(made, columns)
    for name, why in after.items():
        warnings.warn(f"{name}: {why}", UserWarning, stacklevel=2)
    columns = tuple(column for column in columns if column[0] not in after)
    made = replace(made, x=matrix_of(columns, table))
    with one_thread():
        phi, effect, response, without = _crossed(made, seed)
        full_effect = _effect(made, seed)
        full_response = _regress(made.x, made.y, None, seed)
    line, spread = _calibrated(phi, effect)
    gains = _gains(phi, {"uplift": effect, "response": response}, seed)
    better = gains["uplift_over_response"]["lower"] > 0
    card = {
        "rows": len(made), "treated": int(made.treated.sum()), "columns": [c[0] for c in columns],
        "left_out": left_out | after,
        "seed": seed, "mean_effect": _interval(float(phi.mean()), _error(phi)),
        "slope": _interval(line[1], float(np.sqrt(spread[1, 1]))), "gain": gains,
        "ranks_by": "uplift" if better else "response", "by_fifth": _fifths(phi, effect),
    }  # fmt: skip
    return UpliftModel(
        columns, full_effect, without, full_response, line, spread, str(card["ranks_by"]), card
    )


def _arms_of(
    table: pa.Table, name: str, treated: Any, control: Any
) -> tuple[pa.Table, NDArray[np.bool_]]:
    """Return the rows of the two arms that are asked about, and which were contacted."""
    values = table[name].unique().to_pylist()
    if treated is None and control is None:
        if len(values) > 2:
            counts = ", ".join(f"{v!r}" for v in sorted(values, key=str)[:8])
            raise InputError(
                f"there are {len(values)} arms: {counts}", record="table", field=name,
                fix="say control=, the arm held out, and treated=, the arm contacted",
            )  # fmt: skip
        return table, labels_of(table, name) == 1
    held = None if control is None else labels_of(table, name, yes=control) == 1
    if treated is None:
        assert held is not None
        return table, ~held
    contacted = labels_of(table, name, yes=treated) == 1
    if held is None:
        return table, contacted
    kept = contacted | held
    return table.filter(pa.array(kept)), contacted[kept]


def _campaign(
    table: pa.Table,
    columns: Columns,
    told: tuple[NDArray[np.bool_], str, str],
    chance: float | str | None,
) -> _Campaign:
    contacted, treatment, outcome = told
    y = _number(table, outcome)
    if not np.ptp(y):
        raise InputError(f"it is {y[0]:g} in every row", record="table", field=outcome,
                         fix="name an outcome that differs between rows")  # fmt: skip
    for arm in (True, False):
        if (contacted == arm).sum() < _LEAST:
            raise InputError(
                f"{int((contacted == arm).sum())} rows are {'treated' if arm else 'held out'}, "
                f"{_LEAST} are needed", record="table", field=treatment,
                fix="uplift needs both arms of a randomised campaign",
            )  # fmt: skip
    if isinstance(chance, str):
        e = _number(table, chance)
    else:
        e = np.full(len(y), float(contacted.mean()) if chance is None else float(chance))
    bad = ~((e > _BOUND) & (e < 1 - _BOUND))
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            f"{e[row]} as the chance to be contacted", record=f"row {row}", field="chance",
            fix="above 0.01 and below 0.99: who is always or never contacted teaches nothing",
        )  # fmt: skip
    return _Campaign(matrix_of(columns, table), contacted, y, e)


def _after_contact(made: _Campaign, columns: Columns) -> dict[str, str]:
    """Return the columns that differ between the arms by more than a lot can, in words.

    Raises InputError where most do: the contacts were not drawn by lot.
    """
    owner = np.repeat(np.arange(len(columns)), [max(len(vs), 1) for _, vs in columns])
    weight = np.where(made.treated, 1 / made.chance, -1 / (1 - made.chance))
    found: dict[str, str] = {}
    for place, x in zip(owner, np.asarray(made.x, np.float64).T, strict=True):
        for part in (x, np.isnan(x).astype(np.float64)):
            known = np.isfinite(part)
            away = weight[known] * (part[known] - part[known].mean())
            error = _error(away)
            if known.sum() > 1 and error > 0 and abs(away.mean()) > _LOT * error:
                found[columns[place][0]] = (
                    f"contacted and held out differ by {abs(away.mean()) / error:.0f} standard "
                    "errors: it is known only after the contact, and left out"
                )
    if len(found) >= 3 and 2 * len(found) > len(columns):
        raise InputError(
            f"contacts were not drawn by lot: {len(found)} of {len(columns)} columns differ between"
            f" the arms, as {next(iter(found))!r}", record="table", field="treatment",
            fix="hand in a randomised campaign, or chance=, the chance of each to be contacted",
        )  # fmt: skip
    return found


def _number(table: pa.Table, name: str) -> Floats:
    column = table[name]
    if is_text(column.type):
        return labels_of(table, name)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise InputError(f"{column.type} is no number", record="table", field=name,
                         fix="an outcome is 0/1, yes/no, or an amount")  # fmt: skip
    y = np.asarray(column.cast(pa.float64()).to_numpy(), np.float64)
    if not np.isfinite(y).all():
        row = int(np.argmin(np.isfinite(y)))
        raise InputError("a value is missing or no number", record=f"row {row}", field=name,
                         fix="leave the row out, or wait until it is known")  # fmt: skip
    return y


def _crossed(made: _Campaign, seed: int) -> tuple[Floats, Floats, Floats, tuple[_Regression, ...]]:
    """Return φ, effect and response of each row, told by other folds; and the effects' learners."""
    fold = _folds(made, seed, _FOLDS)
    phi, effect, response = np.zeros(len(made)), np.zeros(len(made)), np.zeros(len(made))
    without: list[_Regression] = []
    for one in range(_FOLDS):
        here, rest = np.flatnonzero(fold == one), np.flatnonzero(fold != one)
        train, test = made.take(rest), made.take(here)
        means = _arms(train, seed)
        phi[here] = _phi(test, means[0](test.x), means[1](test.x))
        without.append(_effect(train, seed))
        effect[here] = without[-1](test.x)
        response[here] = _regress(train.x, train.y, None, seed)(test.x)
    return phi, effect, response, tuple(without)


def _folds(made: _Campaign, seed: int, folds: int) -> NDArray[np.int64]:
    """Return a fold a row, both arms spread evenly."""
    rng = np.random.default_rng([seed, 41])
    fold = np.zeros(len(made), np.int64)
    for arm in (True, False):
        rows = np.flatnonzero(made.treated == arm)
        fold[rng.permutation(rows)] = np.arange(len(rows)) % folds
    return fold


def _arms(made: _Campaign, seed: int) -> tuple[_Regression, _Regression]:
    """Return the mean outcome of the held out and of the contacted."""
    return (
        _regress(made.x[~made.treated], made.y[~made.treated], None, seed),
        _regress(made.x[made.treated], made.y[made.treated], None, seed),
    )


def _phi(made: _Campaign, held: Floats, contacted: Floats) -> Floats:
    own = np.where(made.treated, contacted, held)
    weight = (made.treated - made.chance) / (made.chance * (1 - made.chance))
    out: Floats = contacted - held + weight * (made.y - own)
    return out


def _effect(made: _Campaign, seed: int) -> _Regression:
    """Return one regression on the mean of what both learners say of each row's effect."""
    fold = _folds(made, seed + 1, 2)
    said = np.zeros(len(made))
    for one in range(2):
        here, rest = np.flatnonzero(fold == one), np.flatnonzero(fold != one)
        means = _arms(made.take(rest), seed)
        test = made.take(here)
        held, contacted = means[0](test.x), means[1](test.x)
        robust = _phi(test, held, contacted)
        crossed = np.where(test.treated, test.y - held, contacted - test.y)
        # in expectation both are the effect; the second is not blown up where e is far from ½
        said[here] = 0.5 * (robust + crossed)
    return _regress(made.x, said, None, seed)


def _regress(x: Matrix, y: Floats, weight: Floats | None, seed: int) -> _Regression:
    """Return ridge (penalty by generalised cross-validation) and trees, averaged."""
    import lightgbm

    middle, width = np.zeros(x.shape[1]), np.ones(x.shape[1])
    if x.size:
        middle[:] = np.nan_to_num(np.nanmean(x, axis=0, dtype=np.float64))
        spread = np.nan_to_num(np.nanstd(x, axis=0, dtype=np.float64))
        width[:] = np.where(spread > 0, spread, 1.0)
    z, base = _scaled(x, middle, width), float(y.mean())
    slopes = _ridge(z, y - base)
    settings = {
        "objective": "regression", "num_leaves": 6, "learning_rate": 0.05, "lambda_l2": 5.0,
        "min_data_in_leaf": max(20, len(y) // 60), "feature_fraction": 0.7, "verbose": -1,
        "num_threads": 1, "deterministic": True, "force_col_wise": True, "seed": seed % 2**31,
    }  # fmt: skip
    trees = None
    if x.shape[1] and len(y) >= _LEAST:
        trees = lightgbm.train(settings, lightgbm.Dataset(x, y, weight=weight), 40)
    return _Regression(middle, width, slopes, base, trees)


def _scaled(x: Matrix, middle: Floats, width: Floats) -> Floats:
    z: Floats = (np.asarray(x, np.float64) - middle) / width
    return np.clip(np.nan_to_num(z), -5.0, 5.0)


def _ridge(z: Floats, y: Floats) -> Floats:
    """Return the slopes whose penalty is best by generalised cross-validation (Golub 1979)."""
    if not z.shape[1]:
        return np.zeros(0)
    u, s, vt = np.linalg.svd(z, full_matrices=False)
    uy, n = u.T @ y, len(y)
    best, least = np.zeros(z.shape[1]), np.inf
    for penalty in n * np.logspace(-3, 2, 16):
        shrink = s**2 / (s**2 + penalty)
        left = y - u @ (shrink * uy)
        score = float(left @ left) / (1 - min(shrink.sum() / n, 0.99)) ** 2
        if score < least:
            best, least = vt.T @ (s / (s**2 + penalty) * uy), score
    return best


def _calibrated(phi: Floats, effect: Floats) -> tuple[tuple[float, float, float], Floats]:
    """Return (a, b, mean score) of φ on the score, and the covariance of (a, b)."""
    middle = float(effect.mean())
    z = np.column_stack((np.ones(len(phi)), effect - middle))
    inverse = np.linalg.pinv(z.T @ z)
    beta = inverse @ (z.T @ phi)
    left = phi - z @ beta
    spread = inverse @ ((z * left[:, None] ** 2).T @ z) @ inverse
    slope = float(np.clip(beta[1], 0.0, None))  # who scores higher is never told to gain less
    return (float(beta[0]), slope, middle), spread


def _worth(phi: Floats, score: Floats, weight: Floats) -> float:
    """Return the Qini-weighted effect of a ranking: mean of φ·(2u − 1), u the rank in [0, 1]."""
    order = np.argsort(score, kind="stable")
    w = weight[order]
    place = (np.cumsum(w) - 0.5 * w) / w.sum()
    return float((w * phi[order] * (2 * place - 1)).sum() / w.sum())


def _gains(phi: Floats, scores: Mapping[str, Floats], seed: int) -> dict[str, dict[str, float]]:
    """Return what each ranking is worth over contacting by lot, and the difference."""
    rng = np.random.default_rng([seed, 43])
    ones = np.ones(len(phi))
    made = {name: [_worth(phi, score, ones)] for name, score in scores.items()}
    for _ in range(_DRAWS):
        weight = rng.exponential(size=len(phi))
        for name, score in scores.items():
            made[name].append(_worth(phi, score, weight))
    arrays = {name: np.array(values) for name, values in made.items()}
    arrays["uplift_over_response"] = arrays["uplift"] - arrays["response"]
    return {
        name: _interval(float(values[0]), float(values[1:].std()))
        for name, values in arrays.items()
    }


def _fifths(phi: Floats, effect: Floats) -> list[dict[str, float]]:
    """Return the mean effect of each fifth of people by score, lowest first."""
    parts = np.array_split(np.argsort(effect, kind="stable"), 5)
    return [_interval(float(phi[part].mean()), _error(phi[part])) for part in parts]


def _error(x: Floats) -> float:
    return float(x.std(ddof=1) / np.sqrt(len(x))) if len(x) > 1 else float("inf")


def _interval(value: float, error: float) -> dict[str, float]:
    return {"value": value, "lower": value - _Z * error, "upper": value + _Z * error}
