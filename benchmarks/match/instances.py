"""Problems by law: the same name, size and seed give the same arrays, whatever the chunking.

The law of every instance. A customer c has taste t_c ~ N(0, 1)⁴ and size s_c ~ N(0, 0.4²); a
product p has appeal α_p ~ N(0, 0.3²), pull π_p ~ N(0, 0.25²)⁴ and price g_p, log-uniform on
20 … 400:

    value    = 100 · exp(s_c + α_p + t_c·π_p + ε),   ε ~ N(0, 0.4²), rounded to 1/64
    cost     = ⌈g_p · u⌉, u ~ U(0.5, 1.5), whole;  per product: ⌈g_p⌉
    approval = clip(h_c + k_p + N(0, 0.1²), 0.02, 0.98), h_c ~ N(0.5, 0.15²), k_p ~ U(−0.15, 0.15)

Each pair is allowed with probability ``degree / n_products`` (``even``: exactly ``degree`` pairs,
one in each block of products). Customers come in chunks with a generator each, so that any chunk
can be made alone.

Limits are what one hidden plan takes, widened. The hidden plan gives customers their K best
products by log value + θ_p, θ_p ~ N(0, 0.5²), and leaves a customer out with probability 0.15 (0.05
of thin files). Two rows of five are tight (widened by 1 … 1.05), others loose (1.5 … 3), so that
about half bind. The hidden plan keeps every row: the problem is feasible, and integrally so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jinqiao.match import LimitRow, Pairs

__all__ = [
    "CHUNK", "DAYS", "LAWS", "Instance", "Law", "chunks", "market", "next_day", "pairs_of",
    "problem", "rows_of",
]  # fmt: skip

CHUNK = 20_000
"""Customers made by one generator."""

_SEEN = 100_000
"""Where only ceilings are set, so many customers of the hidden plan are looked at, scaled up."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Law:
    """What an instance is made of. ``kind`` is ``limits`` (quotas, budgets) or ``every``."""

    n_products: int = 100
    n_institutions: int = 20
    degree: int = 20
    slots: int = 1
    kind: str = "limits"
    levels: int = 0
    """> 0: values are coarse scores 1 … levels, so that thousands are equal."""
    even: bool = False
    per_product: bool = False
    """Cost is a number per product."""


LAWS = {
    "base": Law(),
    "every-1": Law(kind="every"),
    "every-3": Law(kind="every", slots=3),
    "ties": Law(levels=10),
    "floors": Law(kind="every", levels=10, slots=3),
    "wide": Law(n_products=1_000, n_institutions=200),
    "billion": Law(even=True, per_product=True),
}


@dataclass(frozen=True, eq=False)
class Instance:
    """A problem as arrays: float32 values, 16-bit products, rows."""

    law: Law
    indptr: NDArray[np.int64]
    product: NDArray[np.uint16]
    value: Floats
    cost: Floats
    approval: Floats | None
    rows: tuple[LimitRow, ...]
    seed: int

    @property
    def n(self) -> int:
        return len(self.indptr) - 1

    @property
    def n_bytes(self) -> int:
        """Bytes of the input arrays."""
        columns = (self.indptr, self.product, self.value, self.cost, self.approval)
        return sum(column.nbytes for column in columns if column is not None)


@dataclass(frozen=True, eq=False)
class _Chunk:
    count: NDArray[np.int64]
    product: NDArray[np.uint16]
    value: Floats
    cost: Floats
    approval: Floats | None
    segment: dict[str, NDArray[Any]]
    hidden: NDArray[np.bool_]


class _Market:
    """The products of a seed."""

    def __init__(self, law: Law, seed: int) -> None:
        rng = np.random.default_rng([seed, 1, law.n_products])
        p = law.n_products
        self.law, self.seed = law, seed
        self.appeal = rng.normal(0, 0.3, p).astype(np.float32)
        self.pull = rng.normal(0, 0.25, (4, p)).astype(np.float32)
        self.price = np.exp(rng.uniform(np.log(20), np.log(400), p)).astype(np.float32)
        self.approval = rng.uniform(-0.15, 0.15, p).astype(np.float32)
        self.theta = rng.normal(0, 0.5, p).astype(np.float32)
        self.institution = rng.permutation(np.arange(p) % law.n_institutions)
        self.tight = rng.permutation(np.arange(4 * p) % 5 < 2)
        self.width = np.where(
            self.tight, rng.uniform(1.0, 1.05, 4 * p), rng.uniform(1.5, 3.0, 4 * p)
        )

    def chunk(self, index: int, n: int, plan: bool = True) -> _Chunk:
        """Return n ≤ CHUNK customers, the first of the chunk's own; with the hidden plan or not."""
        law = self.law
        rng = np.random.default_rng([self.seed, 2, law.n_products, index])
        size = rng.normal(0, 0.4, CHUNK).astype(np.float32)
        taste = rng.standard_normal((CHUNK, 4), np.float32)
        thin, branch = rng.random(CHUNK) < 0.1, _branches(rng)
        tier = rng.integers(1, 4, CHUNK).astype(np.int8)
        served = rng.random(CHUNK) > np.where(thin, 0.05, 0.15)
        score = rng.normal(0.5, 0.15, CHUNK).astype(np.float32)
        if law.kind == "every":
            size = size - np.float32(0.5) * thin
        allowed = self._allowed(rng)
        allowed[n:] = False
        customer, product = np.nonzero(allowed)
        m = len(product)
        log = (taste @ self.pull + self.appeal)[allowed] + size[customer]
        log += np.float32(0.4) * rng.standard_normal(m, np.float32)
        value, cost, approval = self._columns(rng, log, product, score[customer])
        weight = np.full(allowed.shape, -np.inf, np.float32)
        weight[allowed] = log + self.theta[product]
        if approval is not None:
            weight[allowed] += approval
        hidden = _best(weight, law.slots) & served[:, None] if plan else np.zeros_like(allowed)
        people = {"thin": thin[:n], "branch": branch[:n], "tier": tier[:n]}
        return _Chunk(
            allowed[:n].sum(axis=1), product.astype(np.uint16), value, cost, approval, people,
            hidden[allowed],
        )  # fmt: skip

    def _columns(
        self, rng: np.random.Generator, log: Floats, product: NDArray[np.int64], score: Floats
    ) -> tuple[Floats, Floats, Floats | None]:
        law, m = self.law, len(product)
        value = np.round(6400 * np.exp(log)) / np.float32(64)
        if law.levels:
            value = np.clip(np.round(value / 60), 1, law.levels)
        cost = np.ceil(self.price)
        if not law.per_product:
            cost = np.ceil(self.price[product] * rng.uniform(0.5, 1.5, m))
        approval = None
        if law.kind == "every":
            chance = score + self.approval[product] + rng.normal(0, 0.1, m)
            approval = np.clip(chance, 0.02, 0.98).astype(np.float32)
        return value.astype(np.float32), cost.astype(np.float32), approval

    def _allowed(self, rng: np.random.Generator) -> NDArray[np.bool_]:
        law = self.law
        if not law.even:
            chance = law.degree / law.n_products
            return rng.random((CHUNK, law.n_products), np.float32) < chance
        block = law.n_products // law.degree
        place = rng.integers(0, block, (CHUNK, law.degree), np.uint16)
        allowed = np.zeros((CHUNK, law.n_products), bool)
        at = place + np.arange(0, law.n_products, block, dtype=np.int64)
        allowed[np.arange(CHUNK)[:, None], at] = True
        return allowed


def _branches(rng: np.random.Generator) -> NDArray[np.int8]:
    """Return the branch 0 … 7 of each customer: of 40 % down to 0.3 % of them."""
    share = 0.5 ** np.arange(8)
    share[7] = 0.006
    return rng.choice(8, CHUNK, p=share / share.sum()).astype(np.int8)


def _best(weight: Floats, k: int) -> NDArray[np.bool_]:
    """Return the k best finite places of each row."""
    best = np.zeros(weight.shape, bool)
    row = np.arange(len(weight))
    weight = weight.copy()
    for _ in range(k):
        place = weight.argmax(axis=1)
        best[row, place] |= weight[row, place] > -np.inf
        weight[row, place] = -np.inf
    return best


def market(law: Law, seed: int) -> _Market:
    """Return the products of a seed."""
    return _Market(law, seed)


def chunks(law: Law, n: int, seed: int, start: int = 0) -> Iterator[_Chunk]:
    """Yield n customers, chunk by chunk, from chunk ``start`` on."""
    goods = market(law, seed)
    for index in range(start, -(-n // CHUNK)):
        yield goods.chunk(index, min(CHUNK, n - index * CHUNK))


def problem(name: str, n: int, seed: int) -> Instance:
    """Return n customers of a named law."""
    law = LAWS[name]
    parts = list(chunks(law, n, seed))
    indptr = np.zeros(n + 1, np.int64)
    np.cumsum(np.concatenate([part.count for part in parts]), out=indptr[1:])
    columns = {
        key: np.concatenate([getattr(part, key) for part in parts])
        for key in ("product", "value", "approval", *(() if law.per_product else ("cost",)))
        if getattr(parts[0], key) is not None
    }
    cost = columns.get("cost", parts[0].cost)
    rows = rows_of(law, n, seed, parts)
    return Instance(
        law, indptr, columns["product"], columns["value"], cost, columns.get("approval"), rows, seed
    )


def rows_of(law: Law, n: int, seed: int, parts: list[_Chunk] | None = None) -> tuple[LimitRow, ...]:
    """Return the rows of n customers of a law."""
    goods = market(law, seed)
    if law.kind == "limits":
        few = min(n, _SEEN)
        parts = list(chunks(law, few, seed)) if parts is None else parts[: -(-few // CHUNK)]
        seen = sum(len(part.count) for part in parts)
        return tuple(_ceilings(goods, parts, n / seen))
    assert parts is not None
    return (*_ceilings(goods, parts, 1.0), *_floors(goods, parts), *_segments(goods, parts))


def _taken(law: Law, parts: list[_Chunk], what: str) -> NDArray[np.float64]:
    """Return what the hidden plan takes of each product: count, cost or approval."""
    total = np.zeros(law.n_products)
    for part in parts:
        product = part.product[part.hidden]
        amount = None
        if what == "cost":
            amount = part.cost[product] if law.per_product else part.cost[part.hidden]
        elif what == "approval":
            assert part.approval is not None
            amount = part.approval[part.hidden]
        total += np.bincount(product, amount, minlength=law.n_products)
    return total


def _ceilings(goods: _Market, parts: list[_Chunk], scale: float) -> Iterator[LimitRow]:
    """Yield a quota a product and a budget an institution, in whole units."""
    law = goods.law
    count, cost = (scale * _taken(law, parts, what) for what in ("count", "cost"))
    for p in range(law.n_products):
        limit = float(np.ceil(count[p] * goods.width[p]))
        yield LimitRow(f"quota-{p}", "<=", limit, "count", np.array([p]))
    for i in range(law.n_institutions):
        own = np.flatnonzero(goods.institution == i)
        limit = float(np.ceil(cost[own].sum() * goods.width[law.n_products + i]))
        yield LimitRow(f"budget-{i}", "<=", limit, "cost", own)


def _floors(goods: _Market, parts: list[_Chunk]) -> Iterator[LimitRow]:
    """Yield an approval floor an institution, funder shares and soft campaigns."""
    law = goods.law
    count, approval = (_taken(law, parts, what) for what in ("count", "approval"))
    width = goods.width[2 * law.n_products :]
    for i in range(law.n_institutions):
        own = np.flatnonzero(goods.institution == i)
        floor = approval[own].sum() / max(count[own].sum(), 1.0) / width[i] ** 0.5
        yield LimitRow(f"approval-{i}", ">=", 0.0, "approval", own, floor=float(floor))
    for f in range(4):
        own = np.flatnonzero(goods.institution % 4 == f)
        if f % 2:
            yield LimitRow(f"funder-{f}", ">=", np.floor(0.98 * count[own].sum()), "count", own)
        else:
            yield LimitRow(f"funder-{f}", "<=", np.ceil(1.02 * count[own].sum()), "count", own)
    for f in range(4):
        own = np.arange(f, law.n_products, 7)
        wanted = np.floor(1.1 * count[own].sum())
        yield LimitRow(f"campaign-{f}", ">=", wanted, "count", own, soft_penalty=20.0)


def _segments(goods: _Market, parts: list[_Chunk]) -> Iterator[LimitRow]:
    """Yield floors and ceilings of thin files, city tiers and branches, and branch budgets."""
    law, everything = goods.law, np.arange(goods.law.n_products)
    people = {
        key: np.concatenate([part.segment[key] for part in parts])
        for key in ("thin", "branch", "tier")
    }
    owner = np.repeat(
        np.arange(len(people["thin"])), np.concatenate([part.count for part in parts])
    )
    hidden = np.concatenate([part.hidden for part in parts])
    got = np.bincount(owner[hidden], minlength=len(people["thin"]))
    cost = np.concatenate([part.cost for part in parts])[hidden]
    spent = np.bincount(owner[hidden], cost, minlength=len(got))
    tier = people["tier"]
    for name, who, factor in (("thin-file", people["thin"], 0.99), ("tier-3", tier == 3, 0.98)):
        yield LimitRow(name, ">=", np.floor(factor * got[who].sum()), "count", everything, who)
    first = np.ceil(1.02 * got[tier == 1].sum())
    yield LimitRow("tier-1", "<=", float(first), "count", everything, tier == 1)
    width = goods.width[3 * law.n_products :]
    for b in range(8):
        who = people["branch"] == b
        floor = np.floor(got[who].sum() / width[b])
        yield LimitRow(f"branch-{b}", ">=", float(floor), "count", everything, who)
        budget = np.ceil(spent[who].sum() * width[b + 8])
        yield LimitRow(f"branch-budget-{b}", "<=", float(budget), "cost", everything, who)


DAYS = {
    "all at once": (0.1, 0.05, 1.0), "values drift": (0.03, 0.0, 0.0),
    "new customers": (0.0, 0.1, 0.0), "limits moved": (0.0, 0.0, 0.2),
}  # fmt: skip
"""Days after: the drift of log values, the share of customers replaced, of limits moved."""


def next_day(today: Instance, seed: int, kind: str = "all at once") -> Instance:
    """Return tomorrow: values × exp N(0, drift²), other customers, limits × U(0.9, 1.1)."""
    drift, new, moved = DAYS[kind]
    rng = np.random.default_rng([seed, 3])
    n, m = today.n, len(today.value)
    value = today.value * np.exp(np.float32(drift) * rng.standard_normal(m, np.float32))
    other = np.repeat(rng.random(n) < new, np.diff(today.indptr))
    value[other] = rng.permutation(value[other])
    factor = rng.uniform(0.9, 1.1, len(today.rows))
    factor[rng.random(len(factor)) >= moved] = 1.0
    rows = tuple(
        replace(row, limit=float(np.ceil(row.limit * by)))
        for row, by in zip(today.rows, factor.tolist(), strict=True)
    )
    return replace(today, value=np.round(64 * value) / np.float32(64), rows=rows)


def pairs_of(instance: Instance) -> Pairs:
    """Return the instance at the solver's door, columns as they are."""
    return Pairs(
        instance.indptr, instance.product, instance.value, cost=instance.cost,
        approval=instance.approval,
    )  # fmt: skip
