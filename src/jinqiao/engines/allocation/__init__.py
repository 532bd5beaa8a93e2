"""Allocation: sparse pairs with values, slots and any number of linear rows, solved by prices.

In: pairs in compressed rows, slots, rows of limits. Out: an integral plan, a price a row, and a
certificate. Always: hard rows hold, the bound is valid, the same seed gives the same plan. From:
Lagrangian decomposition with a ridge-smoothed dual (docs/explanation/matching.md).

``problem`` and ``certify`` need NumPy only; ``solve`` loads the compiled kernels when first used.
"""

from __future__ import annotations

from typing import Any

from jinqiao.engines.allocation.certify import certify, certify_infeasible
from jinqiao.engines.allocation.problem import (
    Certificate,
    LimitRow,
    Pairs,
    Plan,
    PriceTables,
)

__all__ = [
    "Certificate",
    "LimitRow",
    "Pairs",
    "Plan",
    "PriceTables",
    "certify",
    "certify_infeasible",
    "least_relaxation",
    "solve",
]


def __getattr__(name: str) -> Any:
    if name in ("least_relaxation", "solve"):
        from jinqiao.engines.allocation import solver

        return getattr(solver, name)
    raise AttributeError(name)
