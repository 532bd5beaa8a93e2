"""What showing a pair is worth: one vectorised formula for plans, shelves and markets alike.

Letters: m pairs, n rows of the first side, p columns of the second, w benefit of an activation, r
harm of a refusal, β share of one's own value that a payout may add. All money in minor units.

``chances`` is (m, 4): click given shown, application given click, approval given application,
activation given approval. ``paid_stage`` says which stage the payout waits for: APPLICATION,
APPROVAL or ACTIVATION (a disbursement is paid as an activation).

    a = P(activation | shown)·w − P(refused after applying | shown)·r
    v = a + min(E[payout | shown], β·max(a, 0))

``fit`` in [0, 1] is how well a pair suits: the share of a class's benefit this activation brings.
It is not observed. What is observed of it is a choice: the engine takes the chance that this
customer, once approved, goes on to use the product, ``chances[:, 3]``. Of all steps it is the one
that is the customer's own with nothing left to find out or to be refused. A market knows the fit.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from jinqiao.errors import InputError

__all__ = [
    "ACTIVATION",
    "APPLICATION",
    "APPROVAL",
    "cheapest",
    "estimate_worth",
    "expected_applications",
    "expected_payout",
    "pair_value",
    "payout_of",
    "value_of",
]

APPLICATION, APPROVAL, ACTIVATION = 1, 2, 3
"""Codes of ``paid_stage``: the column of ``chances`` that completes the paid stage."""

Floats = NDArray[np.float64]


def pair_value(
    chances: NDArray[np.floating],
    worth_minor: ArrayLike,
    payout_minor: ArrayLike,
    paid_stage: ArrayLike,
    refusal_harm_minor: float,
    beta: float,
) -> Floats:
    """Return v of every pair, (m,) float64, in minor units.

    Parameters
    ----------
    chances : (m, 4) float32 or float64, each in [0, 1].
    worth_minor : w, a number or (m,), ≥ 0.
    payout_minor : payout if the paid stage is reached, a number or (m,).
    paid_stage : APPLICATION, APPROVAL or ACTIVATION, a number or (m,).

    Examples
    --------
    >>> pair_value(np.array([[0.1, 0.5, 0.5, 0.8]]), 10_000, 5_000, ACTIVATION, 3_000, 1.0)
    array([225.])
    """
    chances, (worth, payout) = _checked(chances, worth_minor, payout_minor)
    out = np.empty(len(chances))
    _value(chances, worth, payout, _stages(paid_stage, len(chances)),
           float(refusal_harm_minor), float(beta), out)  # fmt: skip
    return out


def expected_payout(
    chances: NDArray[np.floating], payout_minor: ArrayLike, paid_stage: ArrayLike
) -> Floats:
    """Return the payout each pair brings in the mean when shown, (m,) float64, minor units."""
    chances, (payout,) = _checked(chances, payout_minor)
    out = np.empty(len(chances))
    _payout(chances, payout, _stages(paid_stage, len(chances)), out)
    return out


def expected_applications(chances: NDArray[np.floating]) -> Floats:
    """Return P(application | shown) of each pair, (m,) float64: its use of a count limit."""
    chances, _ = _checked(chances)
    return chances[:, 0].astype(np.float64) * chances[:, 1]


def cheapest(
    allowed: NDArray[np.bool_], cost: ArrayLike, class_code: NDArray[np.integer]
) -> Floats:
    """Return the least cost allowed to each row in each class, (n, n_classes); inf where none.

    ``allowed`` is (n, p), ``cost`` (p,), ``class_code`` (p,) numbered from 0.
    ``cheapest(...)[:, class_code]`` spreads it back to (n, p).
    """
    cost = np.asarray(cost, np.float64)
    n_classes = int(class_code.max()) + 1 if len(class_code) else 0
    out = np.full((allowed.shape[0], n_classes), np.inf)
    for column in np.argsort(-cost, kind="stable"):
        out[allowed[:, column], class_code[column]] = cost[column]
    return out


def estimate_worth(
    class_benefit_minor: ArrayLike, fit: ArrayLike, all_in_cost_minor: ArrayLike,
    cheapest_minor: ArrayLike,
) -> Floats:  # fmt: skip
    """Return w = max(0, benefit × fit − (cost − cheapest eligible of its class)), minor units.

    The arguments broadcast: (p,) beside (n, p), or all (m,). An infinite ``cheapest_minor`` (no
    eligible product in the class) means no excess.
    """
    cost = np.asarray(all_in_cost_minor, np.float64)
    excess = np.maximum(cost - np.asarray(cheapest_minor, np.float64), 0.0)
    gain = np.asarray(class_benefit_minor, np.float64) * np.asarray(fit, np.float64)
    worth: Floats = np.maximum(gain - excess, 0.0)
    return worth


def _checked(
    chances: NDArray[np.floating], *columns: ArrayLike
) -> tuple[NDArray[np.floating], tuple[Floats, ...]]:
    if chances.ndim != 2 or chances.shape[1] != 4:
        raise InputError(f"chances are {chances.shape}, not (m, 4)", field="chances")
    kind = np.float32 if chances.dtype == np.float32 else np.float64
    spread = (_spread(column, len(chances), np.float64) for column in columns)
    return np.ascontiguousarray(chances, kind), tuple(spread)


def _spread(column: ArrayLike, length: int, kind: type) -> NDArray[Any]:
    array: NDArray[Any] = np.asarray(column, kind)
    if array.ndim and array.shape != (length,):
        raise InputError(f"{array.shape} for {length} pairs", record="pairs", fix="one a pair")
    return np.ascontiguousarray(np.broadcast_to(array, (length,)))


def _stages(paid_stage: ArrayLike, length: int) -> NDArray[np.int8]:
    array = _spread(paid_stage, length, np.int8)
    if array.size and not APPLICATION <= array.min() <= array.max() <= ACTIVATION:
        raise InputError("a code outside 1, 2, 3", field="paid_stage", fix="see engines.worth")
    return array


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def value_of(chances, worth, payout, stage, harm, beta):  # type: ignore[no-untyped-def]
    """Return v of one pair; for compiled loops."""
    applied = np.float64(chances[0]) * np.float64(chances[1])
    approved = applied * np.float64(chances[2])
    active = approved * np.float64(chances[3])
    paid = applied if stage == 1 else (approved if stage == 2 else active)
    own = active * worth - (applied - approved) * harm
    return own + min(paid * payout, beta * max(own, 0.0))


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def payout_of(chances, payout, stage):  # type: ignore[no-untyped-def]
    """Return the payout one pair brings in the mean when shown; for compiled loops."""
    reached = np.float64(chances[0])
    for step in range(1, stage + 1):
        reached *= np.float64(chances[step])
    return reached * payout


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _value(chances, worth, payout, stage, harm, beta, out):  # type: ignore[no-untyped-def]
    for j in range(out.size):
        out[j] = value_of(chances[j], worth[j], payout[j], stage[j], harm, beta)


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _payout(chances, payout, stage, out):  # type: ignore[no-untyped-def]
    for j in range(out.size):
        out[j] = payout_of(chances[j], payout[j], stage[j])
