"""Passes over chunks: what is decided ahead, threads, chunks, types, and interruptions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from jinqiao.engines.allocation import LimitRow, Pairs, certify, certify_infeasible, solve
from jinqiao.engines.allocation.chunk import Chunk, Core, Tally, choose_chunk, scan_chunk
from jinqiao.engines.allocation.dual import price_moves
from jinqiao.engines.allocation.facts import Facts
from jinqiao.engines.allocation.terms import Reference, Terms, compile_terms, cover_of
from jinqiao.errors import Infeasible, InputError
from match.problems import coefficients

P = 12


def shop(n: int = 30_000, seed: int = 0, **columns: Any) -> tuple[Pairs, list[LimitRow]]:
    """Return n customers with four to eleven of twelve products, under rows of every kind."""
    rng = np.random.default_rng(seed)
    degree = rng.integers(4, P, n)
    indptr = np.concatenate(([0], np.cumsum(degree)))
    place = np.arange(indptr[-1]) - np.repeat(indptr[:-1], degree)
    product = (np.repeat(rng.integers(0, P, n), degree) + 5 * place) % P
    value = rng.lognormal(0.0, 0.5, len(product)).astype(np.float32)
    given: dict[str, Any] = {
        "approval": rng.random(P)[None, :],
        "cost": np.arange(1.0, P + 1)[None],
    }
    pairs = Pairs(indptr, product.astype(np.uint16), value, 1.0, **(given | columns))
    rows = [LimitRow(f"q{i}", "<=", n // 20 + 3 * i, "count", [i]) for i in range(P)]
    thin = rng.random(n) < 0.1
    rows += [
        LimitRow("budget", "<=", n, "cost", [0, 1, 2, 3]),
        LimitRow("thin", ">=", 0.07 * n, "count", np.arange(P), customers=thin),
        LimitRow("rate", ">=", 0.0, "approval", [4, 5, 6], floor=float(given["approval"].mean())),
        LimitRow("soft", ">=", n, "count", [7], soft_penalty=0.1),
    ]
    return pairs, rows


def compiled(pairs: Pairs, rows: list[LimitRow]) -> tuple[Terms, Chunk]:
    plain = [replace(row, customers=None) for row in rows]
    terms = compile_terms(plain, P, cover_of(plain, 1), whole_use=True, whole_cost=True)
    return terms, Chunk(
        pairs.indptr, pairs.product, pairs.value, pairs.use, pairs.cost, pairs.approval, slots=2
    )


def parts(chunk: Chunk, size: int) -> list[Chunk]:
    n = len(chunk.indptr) - 1
    return [
        replace(chunk, indptr=chunk.indptr[a : min(a + size, n) + 1], first=a)
        for a in range(0, n, size)
    ]


@pytest.mark.parametrize("room", [np.inf, 0.1, 0.0])
def test_any_chunking_and_threads_give_the_same_tally(room: float) -> None:
    """Chunks of one block or many, one thread or three: bit for bit the same sums and core."""
    pairs, rows = shop()
    terms, chunk = compiled(pairs, rows)
    duals = np.random.default_rng(1).uniform(0.0, 0.3, len(rows))
    at = Reference.of(terms, duals, room)
    found = []
    for size, threads in ((terms.block, 1), (3 * terms.block, 3), (10**6, 2)):
        tally = Tally.empty(terms)
        pieces = parts(chunk, size)
        core = Core.joined([scan_chunk(terms, c, at, tally, threads=threads) for c in pieces])
        found.append((tally, core))
    first, core = found[0]
    for tally, other in found[1:]:
        assert (tally.exact, tally.value, tally.offers) == (first.exact, first.value, first.offers)
        assert (tally.usage == first.usage).all()
        assert (other.customer == core.customer).all()
        assert (other.value == core.value).all()
        assert (other.coef == core.coef).all()


def test_what_is_decided_stands_within_the_room() -> None:
    """Decided sums plus the core's best are the dual anywhere prices go within their room."""
    from jinqiao.engines.allocation.dual import Dual, Leash, Meter

    pairs, rows = shop()
    terms, chunk = compiled(pairs, rows)
    rng = np.random.default_rng(2)
    duals = rng.uniform(0.0, 0.2, len(rows)) * (np.arange(len(rows)) < P)
    at, tally = Reference.of(terms, duals, 0.05), Tally.empty(terms)
    core = scan_chunk(terms, chunk, at, tally)
    assert 0 < core.n_customers < 0.8 * pairs.n_customers
    facts = Facts.of(chunk, P, 1)
    dual = Dual.of(terms, tally, core, Meter(1), terms.ceiling)
    for _ in range(5):
        moved = np.maximum(duals + rng.uniform(-0.05, 0.05, len(rows)) * (duals > 0), 0.0)
        assert Leash(terms, facts, at).safe(moved)
        whole = Tally.empty(terms)
        scan_chunk(terms, chunk, Reference.of(terms, moved, 0.0), whole)
        assert dual.at(moved, 1e-9).bound == pytest.approx(whole.bound(terms, moved), rel=1e-12)


def test_a_rise_of_prices_concerns_only_those_who_take_what_becomes_dearer() -> None:
    """With room to rise and none to fall, decided sums are right wherever prices rise within it."""
    from jinqiao.engines.allocation.dual import Dual, Leash, Meter

    pairs, rows = shop()
    terms, chunk = compiled(pairs, rows)
    rng = np.random.default_rng(4)
    duals = rng.uniform(0.0, 0.2, len(rows)) * (np.arange(len(rows)) < P)
    cores = []
    for fall, rise in ((0.3, 0.3), (0.0, 0.3), (0.0, np.inf)):
        at, tally = Reference.of(terms, duals, fall, rise), Tally.empty(terms)
        core = scan_chunk(terms, chunk, at, tally)
        cores.append(core.n_pairs)
        dual = Dual.of(terms, tally, core, Meter(1), terms.ceiling)
        moved = duals + rng.uniform(0.0, 0.3, len(rows)) * (duals > 0)
        leash = Leash(terms, Facts.of(chunk, P, 1), at)
        assert leash.safe(moved)
        assert leash.safe(np.maximum(duals - 0.01, 0.0)) == (fall > 0)
        whole = Tally.empty(terms)
        scan_chunk(terms, chunk, Reference.of(terms, moved, 0.0), whole)
        assert dual.at(moved, 1e-9).bound == pytest.approx(whole.bound(terms, moved), rel=1e-12)
    assert cores[1] < cores[0]


@pytest.mark.parametrize("off", [0.0, 0.1, 3.0])
def test_prices_however_far_off_still_lead_to_the_gap(off: float) -> None:
    """Yesterday's prices, some a little off, and those of quite another problem all lead there."""
    pairs, rows = shop(40_000)
    cold = solve(pairs, 2, rows, n_products=P)
    rng = np.random.default_rng(5)
    names, duals = cold.row_names, cold.duals + 0.3 * (off > 1) * rng.random(len(rows))
    prices = dict(
        zip(names, (duals * np.exp(off * rng.standard_normal(len(rows)))).tolist(), strict=True)
    )
    warm = solve(pairs, 2, rows, n_products=P, warm=prices)
    found = certify(pairs, 2, rows, warm)
    assert found.gap <= 2e-4
    assert found.violation_max == 0.0
    assert warm.certificate.passes <= cold.certificate.passes + 4.0


def test_choices_of_chunks_are_the_choices_of_the_whole() -> None:
    """Written chunk by chunk or at once, with the core's choices, a plan is the same."""
    pairs, rows = shop()
    terms, chunk = compiled(pairs, rows)
    at, tally = Reference.of(terms, np.full(len(rows), 0.05), 0.1), Tally.empty(terms)
    core = scan_chunk(terms, chunk, at, tally)
    mine = np.zeros(core.n_pairs, bool)
    mine[core.ptr[:-1]] = True
    whole = choose_chunk(terms, chunk, at, core, mine)
    assert whole.sum() == tally.offers + core.n_customers
    pieces = np.zeros_like(whole)
    for part in parts(chunk, terms.block):
        pieces |= choose_chunk(terms, part, at, core, mine)
    assert (pieces == whole).all()


def test_any_number_of_threads_gives_the_same_plan() -> None:
    """One, two or five threads: bit for bit the same plan, prices and bound."""
    pairs, rows = shop(60_000)
    one, *others = (solve(pairs, 2, rows, n_products=P, threads=k, seed=3) for k in (1, 2, 5))
    assert one.certificate.reached
    for plan in others:
        assert (plan.chosen == one.chosen).all()
        assert (plan.duals == one.duals).all()
        assert plan.certificate.dual_bound == one.certificate.dual_bound


def test_short_types_and_columns_per_product_are_the_same_problem() -> None:
    """float32, uint16 and columns per product give the plan of the same numbers spread out."""
    pairs, rows = shop(25_000)
    wide = Pairs(
        pairs.indptr, pairs.product.astype(np.int32), pairs.value.astype(np.float64),
        np.ones(pairs.n_pairs), pairs.column("cost"), pairs.column("approval"),
    )  # fmt: skip
    one, two = (solve(p, 2, rows, n_products=P) for p in (pairs, wide))
    assert (one.chosen == two.chosen).mean() > 0.999
    assert one.certificate.dual_bound == pytest.approx(two.certificate.dual_bound, rel=2e-4)
    for problem, plan in ((pairs, two), (wide, one)):
        found = certify(problem, 2, rows, plan)
        assert found.violation_max == 0.0
        assert found.dual_bound == pytest.approx(plan.certificate.dual_bound, rel=1e-9)


def test_columns_are_used_without_a_copy() -> None:
    """Pairs keep the arrays they were given where the types are theirs."""
    pairs, _ = shop(100)
    again = Pairs(pairs.indptr, pairs.product, pairs.value, 1.0, pairs.cost, pairs.approval)
    assert again.value is pairs.value
    assert again.product is pairs.product
    assert again.cost is pairs.cost


@pytest.mark.parametrize(
    ("cost", "words"), [(np.ones(P - 5), "one a product"), (np.ones((1, P + 1)), "values for")]
)
def test_a_column_of_another_length_is_refused(cost: np.ndarray, words: str) -> None:
    """A column neither as long as the pairs nor as the products is refused by name."""
    pairs, rows = shop(100)
    with pytest.raises(InputError, match=words):
        solve(replace(pairs, cost=cost), 1, rows, n_products=P)


def told(after: int, interrupted: bool) -> dict[str, Any]:
    """Return what makes a solve stop, or be interrupted, after so many steps."""
    steps: list[dict[str, float]] = []

    def note(event: dict[str, float]) -> None:
        steps.append(event)
        if len(steps) == after + 1:
            raise KeyboardInterrupt

    if interrupted:
        return {"progress": note}
    return {"progress": steps.append, "stop": lambda: len(steps) >= after}


@pytest.mark.parametrize("after", [0, 1, 5, 12])
def test_a_word_to_stop_ends_in_a_valid_bound_and_a_feasible_plan(after: int) -> None:
    """Stopped at any step, or interrupted there: rows hold and the bound is the checker's."""
    pairs, rows = shop(40_000)
    for interrupted in (False, True):
        steps: list[dict[str, float]] = []

        def note(
            event: dict[str, float], steps: list[Any] = steps, raising: bool = interrupted
        ) -> None:
            steps.append(event)
            if raising and len(steps) == after + 1:
                raise KeyboardInterrupt

        stop = None if interrupted else lambda steps=steps: len(steps) >= after
        plan = solve(pairs, 2, rows, n_products=P, gap_target=0.0, progress=note, stop=stop)
        found = certify(pairs, 2, rows, plan)
        assert found.violation_max == 0.0
        assert found.slot_excess == 0
        assert found.dual_bound == pytest.approx(plan.certificate.dual_bound, rel=1e-9)
        assert found.primal <= found.dual_bound


def test_contradicting_rows_are_proven_with_many_customers() -> None:
    """Rows that contradict each other among many carry weights the checker accepts."""
    pairs, rows = shop(40_000)
    rows += [LimitRow("more", ">=", 40_000 // 20 + 50, "count", [0])]
    with pytest.raises(Infeasible) as caught:
        solve(pairs, 1, rows, n_products=P)
    assert {"q0", "more"} <= set(caught.value.relaxation)
    proof = certify_infeasible(pairs, 1, rows, caught.value.weights, n_products=P)
    assert proof < 0


def test_rows_of_segments_are_rows_of_their_customers() -> None:
    """A row of segments is the row of the customers in them."""
    pairs, rows = shop(5_000)
    segment = np.random.default_rng(5).integers(0, 4, 5_000)
    by_number = LimitRow("s", "<=", 300, "count", np.arange(P), segments=np.array([1, 3]))
    by_mask = LimitRow("s", "<=", 300, "count", np.arange(P), customers=np.isin(segment, [1, 3]))
    one = solve(pairs, 1, [*rows, by_number], n_products=P, segment=segment)
    two = solve(pairs, 1, [*rows, by_mask], n_products=P)
    assert one.certificate.dual_bound == pytest.approx(two.certificate.dual_bound, rel=2e-4)
    taken = one.chosen & np.isin(segment, [1, 3])[pairs.customer]
    assert taken.sum() <= 300


@pytest.mark.parametrize("per_pair", [False, True])
def test_no_pairs_price_moves_more_than_its_cell_is_told_to(per_pair: bool) -> None:
    """|Σ Δλ·a| of every pair is at most what its cell moves; just that where columns are flat."""
    pairs, rows = shop(3_000)
    rng = np.random.default_rng(5)
    if per_pair:
        columns = {"use": rng.random, "cost": rng.normal, "approval": rng.random}
        more = {name: draw(size=len(pairs.value)) for name, draw in columns.items()}
        pairs = replace(pairs, **more)
    terms, chunk = compiled(pairs, rows)
    facts = Facts.of(chunk, P, 1)
    for _ in range(20):
        change = rng.normal(0.0, 0.1, len(rows))
        signed = [d if row.sense == "<=" else -d for row, d in zip(rows, change, strict=True)]
        plain = [replace(row, customers=None) for row in rows]
        moved = sum(d * coefficients(pairs, row) for row, d in zip(plain, signed, strict=True))
        told = price_moves(terms, facts, change)
        assert (np.abs(moved) <= told[pairs.product] + 1e-12).all()
        if not per_pair:
            most = np.zeros(P)
            np.maximum.at(most, pairs.product, np.abs(moved))
            free = ~np.isin(np.arange(P), [4, 5, 6])  # a chance may be any in [0, 1]
            assert most[free] == pytest.approx(told[free])
