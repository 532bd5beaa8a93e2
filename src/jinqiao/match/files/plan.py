"""The plan of files: prices and certificate in memory, offers in files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation.problem import Certificate, LimitRow, PriceTables
from jinqiao.engines.allocation.search import Search
from jinqiao.engines.allocation.terms import Terms, compile_terms
from jinqiao.errors import InputError
from jinqiao.match.files.layout import PairFiles
from jinqiao.match.files.survey import Index

__all__ = ["FilePlan", "checked_rows", "found_plan", "terms_of"]


@dataclass(frozen=True, eq=False)
class FilePlan:
    """Who gets what, in files, and what one more unit of every limit is worth.

    ``offers``: Parquet files in order, one row an offer: ``customer``, ``product``, ``value``, in
    the order of the pairs · ``duals``, ``used`` (m,) and ``row_names`` as in ``Plan`` ·
    ``prices``: tables (n_segments, n_products); their ``segment`` is empty, it lies in the files ·
    ``n_customers``, ``n_pairs``, ``n_offers`` · ``seed`` reproduces it.
    """

    offers: tuple[Path, ...]
    duals: NDArray[np.float64]
    used: NDArray[np.float64]
    row_names: tuple[str, ...]
    prices: PriceTables
    certificate: Certificate
    n_customers: int
    n_pairs: int
    n_offers: int
    seed: int = 0
    trace: tuple[dict[str, float], ...] = ()

    def dual(self, name: str) -> float:
        """Return the price of one more unit of a named limit."""
        if name not in self.row_names:
            raise InputError(f"no row {name!r}", field="name", fix="see plan.row_names")
        return float(self.duals[self.row_names.index(name)])

    def told(self) -> str:
        """Return the plan's numbers as JSON."""
        found = self.certificate
        return json.dumps({
            "duals": dict(zip(self.row_names, self.duals.tolist(), strict=True)),
            "used": dict(zip(self.row_names, self.used.tolist(), strict=True)),
            "primal": found.primal, "dual_bound": found.dual_bound, "gap": found.gap,
            "violation_max": found.violation_max, "passes": found.passes,
            "n_customers": self.n_customers, "n_pairs": self.n_pairs, "n_offers": self.n_offers,
            "seed": self.seed, "offers": [path.name for path in self.offers],
        }, ensure_ascii=False, indent=1)  # fmt: skip


def checked_rows(files: PairFiles, rows: Sequence[LimitRow]) -> tuple[LimitRow, ...]:
    """Return the rows. Raises InputError for one that files cannot keep, named."""
    seen: set[str] = set()
    has_approval = "approval" in files.columns or bool(np.any(files.approval))

    def refuse(row: LimitRow, told: str, field: str, fix: str) -> InputError:
        return InputError(told, record=row.name, field=field, fix=fix)

    for row in rows:
        if row.name in seen:
            raise refuse(row, "two rows of one name", "name", "give each row its own name")
        seen.add(row.name)
        if row.products.size and not 0 <= row.products[0] <= row.products[-1] < files.n_products:
            bad = row.products[0] if row.products[0] < 0 else row.products[-1]
            raise refuse(row, f"unknown product {bad}", "products", f"use 0…{files.n_products - 1}")
        if row.measure == "approval" and not has_approval:
            raise refuse(row, "no approval chances given", "measure", "add a column approval")
        if row.customers is not None:
            raise refuse(
                row, "customers of files are not listed", "customers",
                "number them in the column segment, and name segments",
            )  # fmt: skip
    return tuple(rows)


def terms_of(files: PairFiles, index: Index, rows: Sequence[LimitRow]) -> Terms:
    """Return the rows compiled for the segments that the files have."""
    rows = checked_rows(files, rows)
    numbers = np.arange(index.n_segments)
    cover = np.ones((len(rows), index.n_segments), bool)
    for line, row in zip(cover, rows, strict=True):
        if row.segments is not None:
            line[:] = np.isin(numbers, row.segments)
    facts = index.facts
    return compile_terms(
        rows, files.n_products, cover, whole_use=facts.whole_use, whole_cost=facts.whole_cost
    )


def found_plan(search: Search, index: Index, offers: Sequence[Path], n_offers: int) -> FilePlan:
    """Return the plan of a search that has come to its end."""
    best, duals, terms = search.best, search.duals, search.terms
    assert best is not None
    assert duals is not None
    used = best.rounded.used
    over = np.maximum(used - terms.limit, 0.0)
    over[over <= 1e-9 * np.maximum(1.0, np.abs(terms.limit))] = 0.0
    names = tuple(row.name for row in terms.rows)
    primal, bound = best.rounded.primal, search.bound
    certificate = Certificate(
        primal=primal, dual_bound=bound,
        gap=max(bound - primal, 0.0) / max(abs(bound), abs(primal), 1e-12),
        violation_max=float(over[terms.hard].max(initial=0.0)),
        violation_by_row=dict(zip(names, over.tolist(), strict=True)),
        passes=search.meter.passes, gap_target=search.gap_target,
    )  # fmt: skip
    sign = np.array([1.0 if row.sense == "<=" else -1.0 for row in terms.rows])
    prices = terms.price_tables(duals, np.zeros(0, np.int32))
    return FilePlan(
        tuple(offers), duals, sign * used, names, prices, certificate,
        index.n_customers, index.n_pairs, n_offers, search.seed, tuple(search.meter.trace),
    )  # fmt: skip
