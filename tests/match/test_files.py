"""The solve from files: the plan of memory, bit for bit; kills, faults and folders."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jinqiao import match
from jinqiao.engines.allocation.chunk import Core
from jinqiao.errors import Conflict, Infeasible, InputError, SchemaError
from jinqiao.match.files.polish import thinned
from match.market_files import Market, market, solved, written


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Market, Path]:
    found = market(seed=1, n=20_000)
    return found, written(found, tmp_path_factory.mktemp("pairs"))


def offers_of(plan: match.FilePlan) -> pa.Table:
    return pa.concat_tables([pq.read_table(path) for path in plan.offers])


@pytest.mark.parametrize("ties", [False, True])
def test_files_give_the_plan_of_memory(tmp_path: Path, ties: bool) -> None:
    """Duals, bound, value and every offer are those of ``solve``, bit for bit, whatever the row
    groups, the stretches and the threads."""
    found = market(seed=2, n=20_000, ties=ties)
    whole = solved(found, seed=3)
    for number, (stretch, threads, group) in enumerate([(50_000, 1, 9_001), (10**9, 2, 70_000)]):
        folder = written(found, tmp_path / f"pairs{number}", group=group)
        plan = match.solve_files(
            match.PairFiles(folder, found.n_products), found.rows, tmp_path / f"plan{number}",
            seed=3, run=match.FilesRun(stretch=stretch, threads=threads),
        )  # fmt: skip
        assert plan.duals.tolist() == whole.duals.tolist()
        assert plan.certificate.dual_bound == whole.certificate.dual_bound
        assert plan.certificate.primal == whole.certificate.primal
        offers = offers_of(plan)
        assert offers["customer"].to_pylist() == found.customer[whole.chosen].tolist()
        assert offers["product"].to_pylist() == found.product[whole.chosen].tolist()
        assert plan.n_offers == offers.num_rows


def test_the_checker_agrees(made: tuple[Market, Path], tmp_path: Path) -> None:
    """Recomputed from pairs, offers and duals alone: value, bound, no row missed, no slot too
    many."""
    found, folder = made
    files = match.PairFiles(folder, found.n_products)
    plan = match.solve_files(files, found.rows, tmp_path, seed=1)
    checked = match.certify_files(files, found.rows, plan)
    assert checked.primal == pytest.approx(plan.certificate.primal, rel=1e-12)
    assert checked.dual_bound == pytest.approx(plan.certificate.dual_bound, rel=1e-9)
    assert checked.violation_max == 0.0
    assert checked.slot_excess == 0


def test_the_checker_notices_offers_that_are_not_the_plans(
    made: tuple[Market, Path], tmp_path: Path
) -> None:
    """An offer that is no pair is refused; one left out is missed in the value."""
    found, folder = made
    files = match.PairFiles(folder, found.n_products)
    plan = match.solve_files(files, found.rows, tmp_path / "plan", seed=1)
    offers = offers_of(plan)
    fewer, strange = tmp_path / "fewer.parquet", tmp_path / "strange.parquet"
    pq.write_table(offers.slice(1), fewer)
    less = match.certify_files(files, found.rows, replace(plan, offers=(fewer,)))
    assert less.primal < plan.certificate.primal
    other = offers.set_column(0, "customer", pa.array(offers["customer"].to_numpy() + 1))
    pq.write_table(other, strange)
    with pytest.raises(InputError, match="offer"):
        match.certify_files(files, found.rows, replace(plan, offers=(strange,)))


_RUN = """
import sys
from jinqiao import match
from match.market_files import market
found = market(seed=1, n=20_000)
def told(event):
    print(event.stage, event.pairs_done == event.pairs_total, flush=True)
match.solve_files(
    match.PairFiles(sys.argv[1], found.n_products), found.rows, sys.argv[2], seed=1,
    run=match.FilesRun(stretch=20_000, watch=match.Watch(told)),
)
"""


@pytest.mark.parametrize("stage", ["survey", "sample", "pass", "write"])
def test_a_killed_run_goes_on_bit_for_bit(
    made: tuple[Market, Path], tmp_path: Path, stage: str
) -> None:
    """Killed -9 in the middle of any stage and begun again, the plan is the undisturbed one's."""
    found, folder = made
    files = match.PairFiles(folder, found.n_products)
    whole = match.solve_files(files, found.rows, tmp_path / "whole", seed=1)
    _kill_in(stage, folder, tmp_path / "plan")
    resumed: list[match.FilesProgress] = []
    plan = match.solve_files(
        files, found.rows, tmp_path / "plan", seed=1,
        run=match.FilesRun(stretch=20_000, watch=match.Watch(resumed.append)),
    )  # fmt: skip
    assert plan.duals.tolist() == whole.duals.tolist()
    assert plan.certificate == whole.certificate
    assert offers_of(plan).equals(offers_of(whole))
    if stage in ("pass", "write"):
        assert any(event.resumed for event in resumed)
        assert "survey" not in {event.stage for event in resumed}


def _kill_in(stage: str, folder: Path, into: Path) -> None:
    """Run the solve in a process of its own, and kill it in the middle of a stage."""
    tests = str(Path(__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-c", _RUN, str(folder), str(into)], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": tests},
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        name, is_end = line.split()
        if name == stage and (is_end == "False" or stage == "sample"):
            process.send_signal(signal.SIGKILL)
            break
    process.wait(60)
    process.stdout.close()
    assert process.returncode == -signal.SIGKILL
    assert not (into / "_plan.json").exists()


def test_progress_has_stages_and_rates(made: tuple[Market, Path], tmp_path: Path) -> None:
    """Each stage tells how many pairs it has done, and with a clock how many a second."""
    found, folder = made
    told: list[match.FilesProgress] = []
    match.solve_files(
        match.PairFiles(folder, found.n_products), found.rows, tmp_path,
        run=match.FilesRun(watch=match.Watch(told.append, time.perf_counter), stretch=50_000),
    )  # fmt: skip
    assert {event.stage for event in told} == {"survey", "sample", "pass", "write"}
    assert all(event.pairs_per_s > 0 for event in told)
    ends = {(e.stage, e.number): e for e in told}
    assert all(e.pairs_done == e.pairs_total == found.n_pairs for e in ends.values())


def test_what_lies_in_the_folders_is_kept(made: tuple[Market, Path], tmp_path: Path) -> None:
    """A finished plan is not overwritten; the work of another problem is not gone on with."""
    found, folder = made
    files = match.PairFiles(folder, found.n_products)
    match.solve_files(files, found.rows, tmp_path / "plan", run=match.FilesRun(tmp_path / "work"))
    with pytest.raises(Conflict, match="a plan lies there"):
        match.solve_files(files, found.rows, tmp_path / "plan")
    with pytest.raises(Conflict, match="another problem"):
        match.solve_files(
            files, found.rows, tmp_path / "other", seed=9, run=match.FilesRun(tmp_path / "work")
        )


def test_an_early_stop_leaves_a_plan_that_holds(made: tuple[Market, Path], tmp_path: Path) -> None:
    """Told to stop at once, the plan keeps every hard row and its bound is valid."""
    found, folder = made
    files = match.PairFiles(folder, found.n_products)
    plan = match.solve_files(files, found.rows, tmp_path, run=match.FilesRun(stop=lambda: True))
    checked = match.certify_files(files, found.rows, plan)
    assert checked.violation_max == 0.0
    assert checked.dual_bound >= checked.primal


def _pairs(tmp_path: Path, **columns: object) -> match.PairFiles:
    plain = {"customer": [1, 1, 2, 5], "product": [0, 1, 1, 0], "value": [1.0, 2.0, 3.0, 4.0]}
    table = pa.table(plain | columns)
    tmp_path.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=2)
    return match.PairFiles(tmp_path, 2)


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"value": [1.0, 2.0, float("nan"), 4.0]}, r"group 1, row 0 .customer 2.: value: nan"),
        ({"value": [1.0, None, 3.0, 4.0]}, r"group 0, row 1: value: a null"),
        ({"product": [0, 1, 7, 0]}, r"group 1, row 0 .*product: unknown product 7"),
        ({"product": [0, -1, 1, 0]}, r"group 0, row 1 .*product: unknown product -1"),
        ({"product": [0, 1, 2**33, 0]}, r"row 0 .*product: unknown product 8589934592"),
        ({"product": [0, 0, 1, 0]}, r"group 0, row 1 .*product: product 0 twice"),
        (
            {"customer": [1, 1, 1, 5], "product": [0, 1, 0, 0]},
            r"group 1, row 0 .customer 1.: product: product 0 twice",
        ),
        ({"customer": [2, 1, 3, 4]}, r"group 0, row 1 .*customer: customer 1 after a higher"),
        ({"customer": [1, 4, 2, 5]}, r"group 1, row 0 .*customer: customer 2 after 4"),
        ({"use": [1.0, -1.0, 1.0, 1.0]}, r"group 0, row 1 .*use: -1"),
        ({"approval": [0.1, 0.2, 1.5, 0.1]}, r"group 1, row 0 .*approval: 1.5"),
        ({"slots": [1, 2, 1, 1]}, r"group 0, row 1 .*slots: 2 beside another"),
        ({"slots": [1, 1, 1, -1]}, r"group 1, row 1 .*slots: -1"),
        ({"customer": [1, 1, 1, 5], "segment": [0, 0, 2, 0]}, r"group 1, row 0 .*segment: another"),
    ],
)  # fmt: skip
def test_a_fault_is_named(tmp_path: Path, columns: dict[str, object], told: str) -> None:
    """File, row group, row, field and fix of what is wrong."""
    files = _pairs(tmp_path / "pairs", **columns)
    with pytest.raises(InputError, match=told) as caught:
        match.solve_files(files, [], tmp_path / "plan")
    assert "a.parquet" in str(caught.value)
    assert caught.value.fix


def files_schema() -> pa.Schema:
    return pa.schema([("customer", pa.int64()), ("product", pa.uint16()), ("value", pa.float32())])


def test_wrong_columns_files_and_rows_are_named(tmp_path: Path) -> None:
    """A missing column, texts for numbers, no file, a torn file, rows that files cannot keep."""
    files = _pairs(tmp_path / "a", product=["x", "y", "z", "x"])
    with pytest.raises(SchemaError, match="product"):
        match.solve_files(files, [], tmp_path / "plan")
    files = _pairs(tmp_path / "b")
    pq.write_table(pa.table({"customer": [9], "product": [0]}), tmp_path / "b" / "b.parquet")
    with pytest.raises(SchemaError, match=r"b.parquet.*value"):
        match.solve_files(files, [], tmp_path / "plan2")
    with pytest.raises(InputError, match="no Parquet file"):
        match.solve_files(match.PairFiles(tmp_path / "none", 2), [], tmp_path / "plan3")
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(InputError, match=r"torn.parquet"):
        match.solve_files(match.PairFiles(tmp_path / "torn.parquet", 2), [], tmp_path / "plan4")
    empty = pa.table({"customer": pa.array([], pa.int64()), "product": [], "value": []})
    pq.write_table(empty.cast(files_schema()), tmp_path / "empty.parquet")
    with pytest.raises(InputError, match="no pairs"):
        match.solve_files(match.PairFiles(tmp_path / "empty.parquet", 2), [], tmp_path / "plan6")
    with pytest.raises(InputError, match="negative quota"):
        match.LimitRow("q", "<=", -1, "count", [0])
    files = _pairs(tmp_path / "c")
    for row, told in (
        (match.LimitRow("q", "<=", 1, "count", [2]), "unknown product 2"),
        (match.LimitRow("q", ">=", 0, "approval", [0], floor=0.5), "approval"),
        (match.LimitRow("q", "<=", 1, "count", [0], customers=np.array([1])), "segment"),
    ):
        with pytest.raises(InputError, match=told):
            match.solve_files(files, [row], tmp_path / "plan5")
    with pytest.raises(InputError, match="use"):
        match.PairFiles(tmp_path, 2, use=np.array([1.0, -1.0]))


def test_rows_in_conflict_are_named_from_files(tmp_path: Path) -> None:
    """Floors that the files cannot meet raise Infeasible with the least relaxation."""
    files = _pairs(tmp_path / "pairs")
    rows = [match.LimitRow("floor", ">=", 3, "count", [0])]
    with pytest.raises(Infeasible, match="floor"):
        match.solve_files(files, rows, tmp_path / "plan")


def test_columns_that_files_lack_come_from_the_record(tmp_path: Path) -> None:
    """Use, cost and slots as numbers, or one a product, are those of columns that say the same."""
    found = market(seed=5, n=3_000)
    price = np.arange(1.0, found.n_products + 1)
    columns = {"customer": found.customer, "product": found.product, "value": found.value}
    for name, more in (("bare", {}), ("full", {"cost": price[found.product]})):
        (tmp_path / name).mkdir()
        pq.write_table(pa.table(columns | more), tmp_path / name / "a.parquet")
    rows = [row for row in found.rows if row.measure == "cost"]
    one = match.solve_files(
        match.PairFiles(tmp_path / "bare", found.n_products, cost=price, slots=2), rows,
        tmp_path / "one",
    )  # fmt: skip
    two = match.solve_files(
        match.PairFiles(tmp_path / "full", found.n_products, slots=2), rows, tmp_path / "two"
    )
    assert one.certificate.dual_bound == pytest.approx(two.certificate.dual_bound, rel=1e-9)
    assert one.certificate.violation_max == two.certificate.violation_max == 0.0


def test_little_memory_makes_more_passes_and_as_good_a_plan(tmp_path: Path) -> None:
    """Where a pass may leave few customers open, prices are bettered on everyone first; the bound
    is valid and the plan holds, whatever the stretch."""
    found = market(seed=8, n=60_000)
    files = match.PairFiles(written(found, tmp_path / "pairs"), found.n_products)
    plans = [
        match.solve_files(
            files, found.rows, tmp_path / f"plan{stretch}", seed=1,
            run=match.FilesRun(open_most=2_000, stretch=stretch),
        )
        for stretch in (100_000, 10**9)
    ]  # fmt: skip
    checked = match.certify_files(files, found.rows, plans[0])
    assert checked.violation_max == 0.0
    assert checked.dual_bound == pytest.approx(plans[0].certificate.dual_bound, rel=1e-9)
    assert checked.gap <= 1e-3
    assert plans[0].duals == pytest.approx(plans[1].duals, rel=1e-6, abs=1e-9)
    assert plans[0].certificate.passes > 3


def test_who_is_kept_of_a_pass_stands_for_the_others_whatever_the_chunks() -> None:
    """A share of a core: the same customers from parts as from the whole, with their pairs."""
    rng, n = np.random.default_rng(3), 20_000
    pairs, rows = rng.integers(1, 4, n), rng.integers(0, 3, 60_000)
    ptr = np.concatenate(([0], np.cumsum(pairs)))
    entry = np.concatenate(([0], np.cumsum(rows[: ptr[-1]])))
    core = Core(
        np.sort(rng.choice(10**6, n, replace=False)), np.ones(n, np.int32), rng.random(n),
        np.ones(n), ptr, np.arange(ptr[-1], dtype=np.int32), rng.random(ptr[-1]), entry,
        rng.integers(0, 9, entry[-1]).astype(np.int32), rng.random(entry[-1]),
    )  # fmt: skip
    whole = thinned(core, 0.2)
    halves = Core.joined([thinned(core.taken(who), 0.2) for who in np.split(np.arange(n), 2)])
    for name in ("customer", "weight", "ptr", "place", "value", "entry", "row", "coef"):
        assert (getattr(whole, name) == getattr(halves, name)).all()
    assert whole.weight.sum() == pytest.approx(n, rel=0.05)
    at = np.searchsorted(core.customer, whole.customer[7])
    mine, own = (slice(c.ptr[i], c.ptr[i + 1]) for c, i in ((whole, 7), (core, at)))
    assert (whole.value[mine] == core.value[own]).all()
    mine, own = (slice(c.entry[s.start], c.entry[s.stop]) for c, s in ((whole, mine), (core, own)))
    assert (whole.coef[mine] == core.coef[own]).all()
