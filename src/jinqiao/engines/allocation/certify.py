"""An independent check of a plan: plain NumPy, none of the solver's code, a block at a time.

Weak duality: for any λ ≥ 0, Σ_c (sum of the K best positive r) + Σ λ·b is at least the value of
every plan (Boyd & Vandenberghe, Convex Optimization, §5.1.3). Soft rows hold it for λ ≤ penalty.
Sums of whole numbers are exact below 2⁵³, beyond which the plan is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation.problem import (
    Certificate,
    LimitRow,
    Pairs,
    Plan,
    check_rows,
    check_slots,
)
from jinqiao.errors import InputError

__all__ = ["certify", "certify_infeasible"]

TOLERANCE = 1e-9
"""Relative to what a real-valued row sums; whole-numbered rows are met exactly."""

BLOCK = 1_000_000
"""Pairs looked at together, about."""

Floats = NDArray[np.float64]
_MEASURES = ("count", "cost", "approval")


def certify(
    pairs: Pairs,
    slots: object,
    rows: Sequence[LimitRow],
    plan: Plan,
    *,
    segment: NDArray[np.integer] | None = None,
) -> Certificate:
    """Return the certificate of a plan, recomputed from the problem and the plan's duals alone.

    ``segment`` (n,) is what rows of ``segments`` speak of, as it was given to the solver.
    Raises InputError when the plan is not one of this problem, or a dual is out of its range.
    """
    slots = check_slots(pairs, slots)
    n_products = plan.prices.count.shape[1]
    check_rows(pairs, tuple(rows), n_products)
    _check(pairs, rows, plan)
    people = _groups(rows, pairs.n_customers, segment)
    for group in people:
        group.price(rows, plan.duals, n_products)
    found = _Found()
    for block in _blocks(pairs, plan.chosen):
        found.add(block, slots, people)
    signs = [1.0 if row.sense == "<=" else -1.0 for row in rows]
    bound = found.best + sum(
        s * d * r.limit for s, d, r in zip(signs, plan.duals.tolist(), rows, strict=True)
    )
    missed: dict[str, float] = {}
    for group in people:
        missed |= {rows[i].name: group.missed(rows[i], found.whole) for i in group.rows}
    missed = {row.name: missed[row.name] for row in rows}
    primal = found.value - sum(missed[row.name] * (row.soft_penalty or 0.0) for row in rows)
    hard = [missed[row.name] for row in rows if row.soft_penalty is None]
    return Certificate(
        primal=primal,
        dual_bound=bound,
        gap=max(bound - primal, 0.0) / max(abs(bound), abs(primal), 1e-12),
        violation_max=max(hard, default=0.0),
        violation_by_row=missed,
        passes=plan.certificate.passes,
        gap_target=plan.certificate.gap_target,
        slot_excess=found.slot_excess,
    )


def certify_infeasible(
    pairs: Pairs,
    slots: object,
    rows: Sequence[LimitRow],
    weights: Mapping[str, float],
    *,
    n_products: int,
    segment: NDArray[np.integer] | None = None,
) -> float:
    """Return what the weights of hard rows come to: below 0 proves that no plan meets the rows.

    Σ_c (sum of the K best positive −Σ w·a) + Σ w·b, rows turned to ``<=``, is ≥ 0 for every w ≥ 0
    where some plan, whole or fractional, meets them (Farkas' lemma). Rounding is added: a number
    below 0 is below 0. ``weights`` by name, as ``Infeasible.weights`` has them; others weigh 0.

    Raises InputError for a weight below 0, of a soft row or of none of the rows.
    """
    slots = check_slots(pairs, slots)
    check_rows(pairs, tuple(rows), n_products)
    hard = {row.name for row in rows if row.soft_penalty is None}
    for name, weight in weights.items():
        if name not in hard or not 0 <= weight < np.inf:
            raise InputError(f"{weight} is no weight of a hard row", record=name, field="weights")
    duals = np.array([weights.get(row.name, 0.0) for row in rows])
    people = _groups(rows, pairs.n_customers, segment)
    for group in people:
        group.price(rows, duals, n_products)
    found = _Found()
    for block in _blocks(pairs, np.zeros(pairs.n_pairs, bool)):
        found.add(replace(block, value=np.zeros(len(block.value))), slots, people)
    terms = [
        (w if row.sense == "<=" else -w) * row.limit
        for row, w in zip(rows, duals.tolist(), strict=True)
    ]
    size = found.best + sum(abs(term) for term in terms)
    return float(found.best + sum(terms) + 1e-12 * size)


def _check(pairs: Pairs, rows: Sequence[LimitRow], plan: Plan) -> None:
    if plan.row_names != tuple(row.name for row in rows):
        raise InputError("the plan was made for other rows", field="rows")
    if plan.chosen.dtype != bool or plan.chosen.shape != (pairs.n_pairs,):
        raise InputError("a plan is one bool a pair", record="plan", field="chosen")
    if len(plan.duals) != len(rows):
        raise InputError("one dual a row", record="plan", field="duals")
    for row, dual in zip(rows, plan.duals, strict=True):
        upper = np.inf if row.soft_penalty is None else row.soft_penalty
        if not (0 <= dual <= upper and np.isfinite(dual)):
            raise InputError(f"dual {dual} outside [0, {upper}]", record=row.name, field="duals")


@dataclass(frozen=True, eq=False)
class _Block:
    """The pairs of some customers, in float64; ``owner`` counts them from 0, ``first`` on."""

    first: int
    n: int
    owner: NDArray[np.int64]
    product: NDArray[np.int64]
    value: Floats
    columns: tuple[Floats, Floats, Floats]
    """use, cost, use × approval."""
    chosen: NDArray[np.bool_]


def _blocks(pairs: Pairs, chosen: NDArray[np.bool_]) -> Iterator[_Block]:
    first = 0
    while first < pairs.n_customers:
        end = int(np.searchsorted(pairs.indptr, pairs.indptr[first] + BLOCK, side="right")) - 1
        last = min(max(end, first + 1), pairs.n_customers)
        at = slice(int(pairs.indptr[first]), int(pairs.indptr[last]))
        product = pairs.product[at].astype(np.int64)
        use, cost, approval = (
            _part(pairs, name, at, product) for name in ("use", "cost", "approval")
        )
        owner = np.repeat(np.arange(last - first), np.diff(pairs.indptr[first : last + 1]))
        yield _Block(
            first, last - first, owner, product, pairs.value[at].astype(np.float64),
            (use, cost, use * approval), chosen[at],
        )  # fmt: skip
        first = last


def _part(pairs: Pairs, name: str, at: slice, product: NDArray[np.int64]) -> Floats:
    """Return a column's part: a number for all, one a pair, or one a product."""
    given = np.asarray(0.0 if getattr(pairs, name) is None else getattr(pairs, name))
    if given.ndim == 0:
        return np.full(len(product), float(given))
    part = given.reshape(-1)[product] if given.ndim == 2 else given[at]
    return part.astype(np.float64)


@dataclass(eq=False)
class _Group:
    """The rows that speak of the same customers; what the plan takes, by product."""

    inside: NDArray[np.bool_] | None
    rows: list[int] = field(default_factory=list)
    tables: Floats = field(default_factory=lambda: np.zeros((3, 0)))
    used: Floats = field(default_factory=lambda: np.zeros((3, 0)))

    def price(self, rows: Sequence[LimitRow], duals: Floats, n_products: int) -> None:
        """Fold the group's duals into prices of use, cost and use × approval by product."""
        self.tables, self.used = np.zeros((3, n_products)), np.zeros((3, n_products))
        for index in self.rows:
            row, dual = rows[index], float(duals[index])
            signed = dual if row.sense == "<=" else -dual
            self.tables[_MEASURES.index(row.measure), row.products] += signed
            if row.measure == "approval":
                self.tables[0, row.products] -= signed * row.floor

    def add(self, block: _Block, reduced: Floats) -> None:
        """Take the group's prices off a block's values, and count what is chosen."""
        inside = None
        if self.inside is not None:
            inside = self.inside[block.first : block.first + block.n][block.owner]
        for table, column in zip(self.tables, block.columns, strict=True):
            if table.any():
                price = table[block.product] * column
                reduced -= price if inside is None else np.where(inside, price, 0.0)
        mine = block.chosen if inside is None else block.chosen & inside
        product, size = block.product[mine], self.used.shape[1]
        for used, column in zip(self.used, block.columns, strict=True):
            used += np.bincount(product, column[mine], minlength=size)

    def missed(self, row: LimitRow, whole: dict[str, bool]) -> float:
        """Return by how much a row is missed, 0 within the tolerance of real numbers."""
        count, cost, approved = (float(used[row.products].sum()) for used in self.used)
        used = {"count": count, "cost": cost, "approval": approved - row.floor * count}[row.measure]
        over = used - row.limit if row.sense == "<=" else row.limit - used
        if row.measure != "approval" and whole[row.measure]:
            if abs(used) >= 2**53:
                raise InputError("a sum passes 2⁵³", record=row.name, field=row.measure)
            return max(over, 0.0)
        size = max(1.0, abs(row.limit), abs(used), count if row.measure == "approval" else 0.0)
        return over if over > TOLERANCE * size else 0.0


def _groups(
    rows: Sequence[LimitRow], n_customers: int, segment: NDArray[np.integer] | None
) -> list[_Group]:
    groups: dict[bytes, _Group] = {}
    for index, row in enumerate(rows):
        inside = _inside(row, n_customers, segment)
        key = b"" if inside is None else b"m" + np.packbits(inside).tobytes()
        groups.setdefault(key, _Group(inside)).rows.append(index)
    return list(groups.values())


def _inside(
    row: LimitRow, n_customers: int, segment: NDArray[np.integer] | None
) -> NDArray[np.bool_] | None:
    """Return which customers a row speaks of, None for all of them."""
    inside = None
    if row.segments is not None:
        if segment is None or np.shape(segment) != (n_customers,):
            raise InputError("one segment a customer", record=row.name, field="segment")
        inside = np.isin(segment, row.segments)
    if row.customers is not None:
        own = np.zeros(n_customers, bool)
        own[row.customers] = True
        inside = own if inside is None else own & inside
    return inside


@dataclass(eq=False)
class _Found:
    """What the blocks add up to."""

    best: float = 0.0
    value: float = 0.0
    slot_excess: int = 0
    whole: dict[str, bool] = field(default_factory=lambda: {"count": True, "cost": True})

    def add(self, block: _Block, slots: NDArray[np.int32], people: list[_Group]) -> None:
        own = slots[block.first : block.first + block.n]
        reduced = block.value.copy()
        for group in people:
            group.add(block, reduced)
        self.best += _best_sum(block, own, reduced)
        self.value += float(block.value[block.chosen].sum())
        taken = np.bincount(block.owner[block.chosen], minlength=block.n)
        self.slot_excess += int(np.maximum(taken - own, 0).sum())
        for name, column in zip(("count", "cost"), block.columns, strict=False):
            self.whole[name] &= bool((column == np.floor(column)).all())


def _best_sum(block: _Block, slots: NDArray[np.int32], reduced: Floats) -> float:
    """Return Σ over customers of the K best positive reduced values."""
    positive = np.flatnonzero(reduced > 0)
    owner, r = block.owner[positive], reduced[positive]
    crowded = np.bincount(owner, minlength=block.n) > slots
    plain = ~crowded[owner]
    total = float(r[plain].sum())
    owner, r = owner[~plain], r[~plain]
    order = np.lexsort((-r, owner))
    owner, r = owner[order], r[order]
    place = np.arange(len(owner)) - np.searchsorted(owner, owner, side="left")
    return total + float(r[place < slots[owner]].sum())
