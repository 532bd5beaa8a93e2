"""Needs per product class: the part that static facts explain, and what a shock does to it.

k product classes in the order of ``ProductClass``; facts as ``FACTS`` names them, standardised.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["FACTS", "needs_seen", "shock_shift"]

FACTS = (
    "income", "age", "burden", "liquidity", "risk", "city", "tolerance",
    "shop", "travel", "health", "education",
)  # fmt: skip

_WEIGHTS = np.array(
    #  income  age   burden liq   risk  city  toler shop travel health educ
    [
        [0.35, -0.35, 0.00, -0.10, 0.15, 0.30, 0.10, 0.45, 0.50, 0.00, 0.00],  # credit_card
        [-0.10, -0.20, 0.45, -0.50, 0.50, -0.15, 0.00, 0.10, 0.00, 0.00, 0.40],  # loan
        [-0.25, -0.55, 0.10, -0.25, 0.25, 0.00, 0.05, 0.60, 0.10, 0.00, 0.00],  # bnpl
        [0.10, 0.50, -0.20, 0.60, -0.30, -0.10, -0.30, 0.00, 0.00, 0.10, 0.00],  # deposit
        [0.45, -0.10, -0.15, 0.45, -0.10, 0.25, 0.55, 0.00, 0.10, 0.00, 0.00],  # fund
        [0.20, 0.25, 0.10, 0.10, -0.10, 0.10, -0.10, 0.00, 0.15, 0.65, 0.15],  # insurance
        [0.25, 0.00, 0.40, -0.55, 0.30, 0.05, 0.00, 0.50, 0.00, 0.00, 0.00],  # supply_chain
        [-0.10, -0.50, 0.00, 0.10, 0.00, -0.20, 0.00, 0.30, 0.20, 0.00, 0.20],  # e_account
        [-0.05, -0.45, 0.00, 0.00, 0.05, 0.10, 0.00, 0.60, 0.30, 0.00, 0.00],  # payment
    ]
)
_BY_TYPE = np.array(
    # young family gig affluent retired student merchant
    [
        [0.3, 0.1, 0.0, 0.3, -0.7, -0.4, 0.0],
        [0.1, 0.2, 0.4, -0.5, -0.7, 0.2, 0.5],
        [0.3, -0.1, 0.2, -0.5, -0.7, 0.5, 0.0],
        [-0.2, 0.1, -0.3, 0.3, 0.6, -0.4, 0.0],
        [0.1, 0.1, -0.3, 0.6, -0.2, -0.3, 0.0],
        [-0.2, 0.7, 0.0, 0.3, -0.1, -0.6, 0.1],
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.4],
        [0.2, -0.1, 0.3, -0.2, -0.3, 0.4, 0.0],
        [0.2, 0.0, 0.2, -0.1, -0.5, 0.4, 0.3],
    ]
)
_SHOCK = np.array(
    [  # job loss, bonus
        [-0.3, 0.2], [0.9, -0.4], [0.3, -0.1], [-0.5, 0.6], [-0.6, 0.7],
        [-0.2, 0.2], [0.5, 0.0], [0.1, 0.1], [0.0, 0.1],
    ]
)  # fmt: skip


def needs_seen(kind: NDArray[np.int8], facts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the explainable part of every need, (n, k), standardised within the block.

    Facts act linearly, by type, and together: debt with little cash, youth with a taste for
    shopping, age with money.
    """
    raw = facts @ _WEIGHTS.T + _BY_TYPE[:, kind].T
    income, age, burden, liquidity, risk = facts[:, :5].T
    raw[:, 1] += 0.25 * np.maximum(burden, 0) * np.maximum(-liquidity, 0) - 0.15 * (age - 0.2) ** 2
    raw[:, 2] += 0.20 * np.maximum(-age, 0) * facts[:, 7]
    raw[:, 3] += 0.20 * np.maximum(age, 0) * np.maximum(liquidity, 0)
    raw[:, 4] += 0.20 * np.maximum(income, 0) * np.maximum(liquidity, 0) - 0.15 * np.maximum(
        risk, 0
    )
    raw[:, 5] -= 0.20 * (age - 0.3) ** 2
    mean, spread = raw.mean(axis=0), raw.std(axis=0)
    out: NDArray[np.float64] = (raw - mean) / spread
    return out


def shock_shift(shock: NDArray[np.int8], since_days: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what a shock adds to needs, (n, k): 60 days whole, then half every 60 days."""
    strength = np.where(since_days < 0, 0.0, 0.5 ** np.maximum((since_days - 60.0) / 60.0, 0.0))
    rows = np.where((shock > 0)[:, None], _SHOCK.T[np.maximum(shock, 1) - 1], 0.0)
    return rows * strength[:, None]
