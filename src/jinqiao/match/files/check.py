"""An independent check of a plan in files: plain NumPy over pairs and offers, part by part.

Weak duality, as ``engines.allocation.certify`` has it: for any λ ≥ 0, Σ_c (sum of the K best
positive r) + Σ λ·b is at least the value of every plan.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation.problem import Certificate, LimitRow
from jinqiao.errors import InputError
from jinqiao.match.files.journal import Journal
from jinqiao.match.files.layout import PairFiles
from jinqiao.match.files.plan import FilePlan, checked_rows
from jinqiao.match.files.reader import Part, ahead, parts
from jinqiao.match.files.source import Watch, survey

__all__ = ["certify_files"]

CUSTOMERS = 1 << 16
"""Customers looked at together."""

Floats = NDArray[np.float64]
_MEASURES = ("count", "cost", "approval")


def certify_files(
    files: PairFiles, rows: Sequence[LimitRow], plan: FilePlan, *, watch: Watch | None = None
) -> Certificate:
    """Return the certificate of a plan in files, recomputed from pairs, offers and duals alone.

    Raises InputError when the plan was made for other rows, a dual is out of its range, or an
    offer is no pair of the files.
    """
    rows = checked_rows(files, rows)
    _check(rows, plan)
    index = survey(files, Journal(None, ""), watch or Watch())
    sums = _Sums(files.n_products, index.n_segments)
    tables = _tables(rows, plan.duals, sums)
    offers = _Offers(plan.offers)
    for part in ahead(parts(files, index, (0, index.n_customers), CUSTOMERS)):
        sums.add(part, tables, offers.of(part))
    offers.end()
    return _certificate(rows, plan, sums, (index.facts.whole_use, index.facts.whole_cost))


def _check(rows: Sequence[LimitRow], plan: FilePlan) -> None:
    if plan.row_names != tuple(row.name for row in rows):
        raise InputError("the plan was made for other rows", field="rows")
    for row, dual in zip(rows, plan.duals.tolist(), strict=True):
        upper = np.inf if row.soft_penalty is None else row.soft_penalty
        if not (0 <= dual <= upper and np.isfinite(dual)):
            raise InputError(f"dual {dual} outside [0, {upper}]", record=row.name, field="duals")


@dataclass(eq=False)
class _Sums:
    """What the parts add up to; ``used`` (3, n_segments, n_products): use, cost, use × approval."""

    n_products: int
    n_segments: int
    best: float = 0.0
    value: float = 0.0
    slot_excess: int = 0
    used: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.used = np.zeros((3, self.n_segments, self.n_products))

    def add(self, part: Part, tables: Floats, chosen: NDArray[np.bool_]) -> None:
        chunk = part.chunk
        n = len(part.customer)
        owner = np.repeat(np.arange(n), np.diff(chunk.indptr))
        slots = np.broadcast_to(np.asarray(chunk.slots), (n,))
        segment = np.broadcast_to(np.asarray(chunk.segment), (n,))
        cell = segment[owner].astype(np.int64) * self.n_products + chunk.product
        use, cost, approval = (
            _column(given, chunk.product) for given in (chunk.use, chunk.cost, chunk.approval)
        )
        columns = (use, cost, use * approval)
        value = chunk.value.astype(np.float64)
        reduced = value.copy()
        for table, column in zip(tables, columns, strict=True):
            if table.any():
                reduced -= table.reshape(-1)[cell] * column
        self.best += _best(chunk.indptr, owner, reduced, slots)
        self.value += float(value[chosen].sum())
        taken = np.bincount(owner[chosen], minlength=n)
        self.slot_excess += int(np.maximum(taken - slots, 0).sum())
        for used, column in zip(self.used, columns, strict=True):
            own = np.bincount(cell[chosen], column[chosen], minlength=used.size)
            used += own.reshape(used.shape)


def _column(given: object, product: NDArray[np.integer]) -> Floats:
    array: Floats = np.asarray(given, np.float64)
    if array.ndim == 2:
        found: Floats = array.reshape(-1)[product]
        return found
    return np.broadcast_to(array, product.shape)


def _best(
    indptr: NDArray[np.int64], owner: NDArray[np.int64], reduced: Floats,
    slots: NDArray[np.integer],
) -> float:  # fmt: skip
    """Return Σ over customers of the K best positive reduced values."""
    if slots.max(initial=0) <= 1:
        some = np.flatnonzero(np.diff(indptr) > 0)
        best = np.maximum.reduceat(reduced, indptr[some]) if len(some) else np.zeros(0)
        return float(np.maximum(best, 0.0)[slots[some] > 0].sum())
    positive = np.flatnonzero(reduced > 0)
    owner, r = owner[positive], reduced[positive]
    order = np.lexsort((-r, owner))
    owner, r = owner[order], r[order]
    place = np.arange(len(owner)) - np.searchsorted(owner, owner, side="left")
    return float(r[place < slots[owner]].sum())


def _cover(row: LimitRow, sums: _Sums) -> NDArray[np.bool_]:
    inside = np.ones(sums.n_segments, bool)
    if row.segments is not None:
        inside = np.isin(np.arange(sums.n_segments), row.segments)
    found = np.zeros((sums.n_segments, sums.n_products), bool)
    found[np.ix_(inside, row.products)] = True
    return found


def _tables(rows: Sequence[LimitRow], duals: Floats, sums: _Sums) -> Floats:
    tables = np.zeros_like(sums.used)
    for row, dual in zip(rows, duals.tolist(), strict=True):
        signed, cover = (dual if row.sense == "<=" else -dual), _cover(row, sums)
        tables[_MEASURES.index(row.measure)][cover] += signed
        if row.measure == "approval":
            tables[0][cover] -= signed * row.floor
    return tables


class _Offers:
    """The offers of a plan, handed out beside the parts of its pairs."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._batches = self._read(paths)
        self._held = (np.zeros(0, np.int64), np.zeros(0, np.int64))

    def _read(self, paths: Sequence[Path]) -> Iterator[tuple[NDArray[np.int64], ...]]:
        import pyarrow.parquet as pq

        for path in paths:
            for batch in pq.ParquetFile(path).iter_batches(columns=["customer", "product"]):
                yield tuple(c.to_numpy(zero_copy_only=False).astype(np.int64) for c in batch)

    def of(self, part: Part) -> NDArray[np.bool_]:
        """Return which pairs of a part are offered."""
        last = part.customer[-1]
        who, what = self._held
        while not len(who) or who[-1] <= last:
            more = next(self._batches, None)
            if more is None:
                break
            who, what = np.concatenate((who, more[0])), np.concatenate((what, more[1]))
        cut = int(np.searchsorted(who, last, side="right"))
        self._held = (who[cut:], what[cut:])
        return _marked(part, who[:cut], what[:cut])

    def end(self) -> None:
        """Refuse offers of customers that the files do not have."""
        if len(self._held[0]) or next(self._batches, None) is not None:
            raise InputError("an offer of no customer of the files", record="plan", field="offers")


def _marked(part: Part, who: NDArray[np.int64], what: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return a flag a pair, the offers of a customer one after another."""
    chunk = part.chunk
    chosen = np.zeros(len(chunk.product), bool)
    local = np.searchsorted(part.customer, who)
    if (part.customer[np.minimum(local, len(part.customer) - 1)] != who).any():
        raise InputError("an offer of no customer of the files", record="plan", field="offers")
    turn = np.arange(len(local)) - np.searchsorted(local, local, side="left")
    for k in range(int(turn.max(initial=-1)) + 1):
        mine = turn == k
        start, count = chunk.indptr[local[mine]], np.diff(chunk.indptr)[local[mine]]
        before = np.cumsum(count) - count
        place = np.repeat(start - before, count) + np.arange(int(count.sum()))
        hit = place[chunk.product[place] == np.repeat(what[mine], count)]
        fresh = ~chosen[hit]
        chosen[hit] = True
        if int(fresh.sum()) != int(mine.sum()):
            raise InputError("an offer that is no pair, or is made twice", field="offers")
    return chosen


def _certificate(
    rows: Sequence[LimitRow], plan: FilePlan, sums: _Sums, whole: tuple[bool, bool]
) -> Certificate:
    missed, bound = {}, sums.best
    for row, dual in zip(rows, plan.duals.tolist(), strict=True):
        count, cost, approved = (float(used[_cover(row, sums)].sum()) for used in sums.used)
        used = {"count": count, "cost": cost, "approval": approved - row.floor * count}[row.measure]
        over = used - row.limit if row.sense == "<=" else row.limit - used
        exact = row.measure != "approval" and whole[_MEASURES.index(row.measure)]
        size = max(1.0, abs(row.limit), abs(used), count if row.measure == "approval" else 0.0)
        missed[row.name] = max(over, 0.0) if exact or over > 1e-9 * size else 0.0
        bound += (dual if row.sense == "<=" else -dual) * row.limit
    primal = sums.value - sum(missed[row.name] * (row.soft_penalty or 0.0) for row in rows)
    hard = [missed[row.name] for row in rows if row.soft_penalty is None]
    return Certificate(
        primal=primal, dual_bound=bound,
        gap=max(bound - primal, 0.0) / max(abs(bound), abs(primal), 1e-12),
        violation_max=max(hard, default=0.0), violation_by_row=missed,
        passes=plan.certificate.passes, gap_target=plan.certificate.gap_target,
        slot_excess=sums.slot_excess,
    )  # fmt: skip
