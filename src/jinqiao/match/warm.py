"""Compile the solver's kernels once, into Numba's cache on disk."""

from __future__ import annotations

import numpy as np

from jinqiao.engines.allocation import LimitRow, Pairs, solve
from jinqiao.engines.worth import expected_payout, pair_value
from jinqiao.match.ranges import price_ranges
from jinqiao.match.standing import Problem, stand

__all__ = ["warm_up"]


def warm_up() -> None:
    """Run a tiny problem of every kind of row, so that the first real one is as fast as the next.

    Compiling takes seconds on a fresh machine; later calls load the result from the cache.
    """
    for kind in (np.float32, np.float64):
        chances = np.full((2, 4), 0.5, kind)
        pair_value(chances, 1.0, 1.0, 3, 1.0, 1.0)
        expected_payout(chances, 1.0, 3)
    pairs = Pairs(
        np.array([0, 2, 4]), np.array([0, 1, 0, 1]), np.array([4.0, 2.0, 3.0, 3.0]),
        use=np.ones(4), cost=np.ones(4), approval=np.full(4, 0.5),
    )  # fmt: skip
    both = np.array([0, 1])
    rows = (
        LimitRow("quota", "<=", 1, "count", np.array([0])),
        LimitRow("budget", "<=", 2, "cost", both, soft_penalty=5.0),
        LimitRow("rate", ">=", 0, "approval", both, customers=np.array([0]), floor=0.4),
    )
    plan = solve(pairs, 1, rows, n_products=2)
    price_ranges(stand(Problem(pairs, 1, rows, 2), plan))
    _short_types(pairs, rows)
    _left_over()


def _left_over() -> None:
    """Compile for moves two at a time, which are tried where a budget's last part is left."""
    one, half = np.zeros(3, np.int32), LimitRow("half", "<=", 3, "cost", np.array([0]))
    solve(Pairs(np.arange(4), one, np.array([3.0, 2.0, 1.0]), cost=2.0), 1, (half,), n_products=1)


def _short_types(pairs: Pairs, rows: tuple[LimitRow, ...]) -> None:
    """Compile for float32 and uint16 too, and for arrays that may not be written to."""
    product, value = pairs.product.astype(np.uint16), pairs.value.astype(np.float32)
    for writeable in (True, False):
        indptr = pairs.indptr.copy()
        for column in (indptr, product, value):
            column.flags.writeable = writeable
        solve(Pairs(indptr, product, value, approval=0.5), 1, rows, n_products=2)
