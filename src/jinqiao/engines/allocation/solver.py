"""The solver of pairs in memory: checks, the search, and the plan with its certificate."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation.chunk import Chunk
from jinqiao.engines.allocation.dual import Meter, Progress
from jinqiao.engines.allocation.facts import Facts
from jinqiao.engines.allocation.infeasible import conflict
from jinqiao.engines.allocation.memory import Memory
from jinqiao.engines.allocation.problem import (
    Certificate,
    LimitRow,
    Pairs,
    Plan,
    check_products,
    check_rows,
    check_slots,
)
from jinqiao.engines.allocation.search import Search
from jinqiao.engines.allocation.segments import segments_of
from jinqiao.engines.allocation.terms import Terms, compile_terms
from jinqiao.errors import InputError

__all__ = ["least_relaxation", "prepared", "solve"]

_MANY = 2**31 - 1

Floats = NDArray[np.float64]


def solve(
    pairs: Pairs,
    slots: int | NDArray[np.integer],
    rows: Sequence[LimitRow],
    *,
    n_products: int,
    seed: int = 0,
    gap_target: float = 2e-4,
    warm: Mapping[str, float] | None = None,
    progress: Progress | None = None,
    threads: int | None = None,
    stop: Callable[[], bool] | None = None,
    segment: NDArray[np.integer] | None = None,
    near: bool = False,
    clock: Callable[[], float] | None = None,
) -> Plan:
    """Return an integral plan with a price for every row and its certificate.

    Parameters
    ----------
    pairs : the eligible pairs, at most one of a customer and a product.
    slots : K, one number or (n,) whole numbers ≥ 0.
    rows : the limits. Hard ones hold in the plan.
    n_products : products are numbered 0 … n_products − 1.
    seed : orders the sample and the rounding; the same seed gives the same plan.
    gap_target : stop at this certified gap; a plan that misses it is returned with
        ``certificate.reached`` false, never thrown away.
    warm : duals by row name from an earlier plan; rows it does not name start at 0. A sample says
        how far they are off; where it is bounded better without them they are not used.
    progress : called after every pass with mu, bound, estimate, loss, passes, customers.
    threads : how many read the pairs at once, all processors if None; the plan is the same.
    stop : asked between steps; once it says True the best bound and plan are returned at once.
        An interruption (Ctrl-C) while it works is taken as the same word.
    segment : (n,) numbers ≥ 0 of customers' segments, for rows that speak of ``segments``.
    near : ``warm`` are prices of very nearly this problem, so that no sample is asked.
    clock : seconds from some instant on, such as ``time.perf_counter``, for the certificate.

    Raises
    ------
    InputError : naming the pair, row or customer at fault.
    Infeasible : naming the rows in conflict and the least relaxation.
    NotConverged : rows that a fractional plan meets, and no integral one was found.

    Examples
    --------
    >>> pairs = Pairs([0, 2, 4], [0, 1, 0, 1], [9.0, 2.0, 8.0, 7.0])
    >>> quota = LimitRow("quota", "<=", 1, "count", [0])
    >>> solve(pairs, 1, [quota], n_products=2).chosen
    array([ True, False, False,  True])
    """
    if not gap_target >= 0:
        raise InputError(f"a gap of {gap_target}", field="gap_target", fix="use a share ≥ 0")
    began = clock() if clock else 0.0
    problem = prepared(pairs, slots, rows, n_products, segment)
    problem.source.threads = threads or len(os.sched_getaffinity(0))
    meter = Meter(pairs.n_pairs, progress, stop)
    search = Search(problem.terms, problem.source, meter, seed, gap_target)
    search.run(_start(problem.terms, warm), near)
    plan = _plan(problem, search)
    if clock is None:
        return plan
    return replace(plan, certificate=replace(plan.certificate, seconds=clock() - began))


def least_relaxation(
    pairs: Pairs, slots: int | NDArray[np.integer], rows: Sequence[LimitRow], *, n_products: int
) -> Mapping[str, float]:
    """Return by how much each row in conflict must give way; empty when the rows can hold."""
    problem = prepared(pairs, slots, rows, n_products)
    search = Search(problem.terms, problem.source, Meter(pairs.n_pairs))
    search.scale()
    found = conflict(search.terms, problem.source)
    return {} if found is None else found.relaxation


@dataclass(frozen=True, eq=False)
class _Problem:
    terms: Terms
    source: Memory
    segment: NDArray[np.int32]


def prepared(
    pairs: Pairs,
    slots: object,
    rows: Sequence[LimitRow],
    n_products: int,
    given: NDArray[np.integer] | None = None,
) -> _Problem:
    """Return the terms and the source of a problem whose rows and columns have been looked at."""
    rows = tuple(rows)
    check_rows(pairs, rows, n_products, look=False)
    _look(pairs, n_products)
    number = isinstance(slots, int) and slots >= 0
    whole = min(slots, _MANY) if number else check_slots(pairs, slots)  # type: ignore[call-overload]
    segment, cover = segments_of(pairs.n_customers, rows, given)
    chunk = Chunk(
        pairs.indptr, pairs.product, pairs.value, pairs.use, pairs.cost,
        0.0 if pairs.approval is None else pairs.approval,
        0 if cover.shape[1] == 1 else segment, whole,
    )  # fmt: skip
    facts = Facts.of(chunk, n_products, cover.shape[1])
    terms = compile_terms(
        rows, n_products, cover, whole_use=facts.whole_use, whole_cost=facts.whole_cost
    )
    return _Problem(terms, Memory(chunk, facts), segment)


def _look(pairs: Pairs, n_products: int) -> None:
    """Refuse an unknown or repeated product."""
    from jinqiao.engines.allocation.scan import first_wrong

    if first_wrong(pairs.indptr, pairs.product, n_products, 0, pairs.n_customers) >= 0:
        check_products(pairs, n_products)


def _start(terms: Terms, warm: Mapping[str, float] | None) -> Floats | None:
    if warm is None:
        return None
    duals = np.array([float(warm.get(row.name, 0.0)) for row in terms.rows])
    good = np.isfinite(duals) & (duals >= 0)
    if not good.all():
        name = terms.rows[int(np.argmin(good))].name
        raise InputError("a starting price below 0 or no number", record=name, field="warm")
    return duals


def _plan(problem: _Problem, search: Search) -> Plan:
    best, duals, terms = search.best, search.duals, search.terms
    assert best is not None
    assert duals is not None
    chosen = problem.source.choose(terms, best.at, best.core, best.rounded.chosen)
    used = best.rounded.used
    over = np.maximum(used - terms.limit, 0.0)
    over[over <= 1e-9 * np.maximum(1.0, np.abs(terms.limit))] = 0.0
    names = tuple(row.name for row in terms.rows)
    primal = best.rounded.primal
    certificate = Certificate(
        primal=primal,
        dual_bound=search.bound,
        gap=max(search.bound - primal, 0.0) / max(abs(search.bound), abs(primal), 1e-12),
        violation_max=float(over[terms.hard].max(initial=0.0)),
        violation_by_row=dict(zip(names, over.tolist(), strict=True)),
        passes=search.meter.passes,
        gap_target=search.gap_target,
    )
    sign = np.array([1.0 if row.sense == "<=" else -1.0 for row in terms.rows])
    return Plan(
        chosen=chosen, duals=duals, used=sign * used, row_names=names,
        prices=terms.price_tables(duals, problem.segment), certificate=certificate,
        seed=search.seed, trace=tuple(search.meter.trace),
    )  # fmt: skip
