"""Markets with rows of every kind, in memory and as pair files."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jinqiao.match import LimitRow, Pairs, Plan, solve

__all__ = ["Market", "market", "solved", "written"]


@dataclass(eq=False)
class Market:
    """Pairs as columns, in customer order; ``slots`` and ``segment`` a customer."""

    customer: NDArray[np.int64]
    product: NDArray[np.uint16]
    value: NDArray[np.float32]
    cost: NDArray[np.float32]
    approval: NDArray[np.float32]
    slots: NDArray[np.int32]
    segment: NDArray[np.int32]
    rows: tuple[LimitRow, ...]
    n_products: int

    @property
    def n_pairs(self) -> int:
        return len(self.product)

    @property
    def owner(self) -> NDArray[np.int64]:
        """The number of each pair's customer, from 0."""
        return np.cumsum(np.diff(self.customer, prepend=self.customer[:1]) != 0)


def market(seed: int, n: int, n_products: int = 12, ties: bool = False) -> Market:
    """Return a market whose rows hold: quotas, budgets, approval floors, segment floors."""
    rng = np.random.default_rng(seed)
    allowed = rng.random((n, n_products)) < 0.6
    allowed[:, 0] |= ~allowed.any(axis=1)
    owner, product = np.nonzero(allowed)
    m = len(owner)
    value = rng.integers(1, 9, m) if ties else np.round(64 * rng.lognormal(3.0, 0.6, m)) / 64
    segment = rng.integers(0, 3, n)
    every = np.arange(n_products)
    rows = (
        *(LimitRow(f"quota-{p}", "<=", n // 14, "count", [p]) for p in range(n_products)),
        LimitRow("budget", "<=", 4.0 * n, "cost", every[:6]),
        LimitRow("approval", ">=", 0.0, "approval", every[6:], floor=0.52),
        LimitRow("thin", ">=", n // 5, "count", every, segments=np.array([1])),
        LimitRow("two", "<=", n // 3, "count", every, segments=np.array([0, 2])),
        LimitRow("campaign", ">=", n // 10, "count", [3], soft_penalty=5.0),
    )
    return Market(
        7 + 3 * owner, product.astype(np.uint16), value.astype(np.float32),
        rng.integers(1, 30, m).astype(np.float32), rng.random(m).astype(np.float32),
        rng.integers(1, 3, n).astype(np.int32), segment.astype(np.int32), rows, n_products,
    )  # fmt: skip


def written(found: Market, folder: Path, files: int = 3, group: int = 9_001) -> Path:
    """Write a market as pair files whose row groups end in the middle of customers."""
    folder.mkdir(parents=True, exist_ok=True)
    owner = found.owner
    table = pa.table({
        "customer": found.customer, "product": found.product, "value": found.value,
        "cost": found.cost, "approval": found.approval, "slots": found.slots[owner],
        "segment": found.segment[owner],
    })  # fmt: skip
    edges = np.linspace(0, found.n_pairs, files + 1).astype(int).tolist()
    for number, (low, high) in enumerate(pairwise(edges)):
        place = folder / f"pairs-{number}.parquet"
        pq.write_table(table.slice(low, high - low), place, row_group_size=group)
    return folder


def solved(found: Market, **more: Any) -> Plan:
    """Return the plan of the same market in memory."""
    counts = np.bincount(found.owner, minlength=len(found.slots))
    indptr = np.concatenate(([0], np.cumsum(counts)))
    pairs = Pairs(indptr, found.product, found.value, cost=found.cost, approval=found.approval)
    return solve(
        pairs, found.slots, found.rows, n_products=found.n_products, segment=found.segment, **more
    )
