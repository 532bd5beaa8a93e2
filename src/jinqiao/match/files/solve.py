"""The solve from files: survey, search, offers; killed at any moment, it goes on where it was."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation.dual import Meter
from jinqiao.engines.allocation.problem import LimitRow
from jinqiao.engines.allocation.search import Search
from jinqiao.errors import Conflict, InputError
from jinqiao.match.files.journal import Journal, key_of
from jinqiao.match.files.layout import PairFiles
from jinqiao.match.files.plan import FilePlan, checked_rows, found_plan, terms_of
from jinqiao.match.files.polish import OPEN
from jinqiao.match.files.source import FileSource, Watch, survey
from jinqiao.match.files.spans import STRETCH, Span, core_of, spans_of, write_span

__all__ = [
    "FilesRun",
    "claim",
    "finished",
    "plan_spans",
    "problem_key",
    "searched",
    "solve_files",
]


@dataclass(frozen=True, eq=False)
class FilesRun:
    """How a solve from files runs.

    Parameters
    ----------
    work : the folder its unfinished work is kept in, so that it goes on after a kill; None:
        ``_work`` below the plan's folder, removed at the end.
    watch : whom it tells, and by what clock.
    threads : how many read and pass at once, all processors if None; the plan is the same.
    stretch : pairs between two checkpoints, about; also the pairs behind one file of offers.
    open_most : customers a pass may leave open, held in memory (about 150 bytes each). Prices of a
        sample that would leave more are bettered first, a pass a step.
    stop : asked between steps; once it says True the best plan so far is written.
    """

    work: Path | str | None = None
    watch: Watch = field(default_factory=Watch)
    threads: int | None = None
    stretch: int = STRETCH
    open_most: int = OPEN
    stop: Callable[[], bool] | None = None


def solve_files(
    files: PairFiles,
    rows: Sequence[LimitRow],
    into: Path | str,
    *,
    seed: int = 0,
    gap_target: float = 2e-4,
    warm: Mapping[str, float] | None = None,
    run: FilesRun | None = None,
) -> FilePlan:
    """Return an integral plan of pairs in files, never all in memory; write its offers.

    The plan is bit for bit the one ``solve`` finds for the same pairs in memory, up to where memory
    would take a larger sample or leave more customers open; and the same after any kill.

    Parameters
    ----------
    files : where the pairs lie.
    rows : the limits; a row of some customers names ``segments`` of the files' column.
    into : the folder of the plan: ``offers-*.parquet``, then ``_plan.json``. It must hold nothing
        but an unfinished run of this problem.
    seed, gap_target, warm : as for ``solve``.

    Raises
    ------
    InputError : naming file, row group, row and field, or the row of limits at fault.
    Conflict : ``into`` or ``work`` holds something else.
    Infeasible, NotConverged : as ``solve``.
    """
    run = run or FilesRun()
    into = Path(into)
    rows = checked_rows(files, rows)
    work = into / "_work" if run.work is None else Path(run.work)
    problem = problem_key(files, rows, seed, gap_target, warm, run.stretch)
    journal = Journal(work, f"{problem}-{run.open_most}")
    claim(into, work)
    journal.begin()
    index = survey(files, journal, run.watch)
    threads = run.threads or len(os.sched_getaffinity(0))
    source = FileSource(
        files, index, journal, run.watch, threads, stretch=run.stretch, open=run.open_most
    )
    search = searched(source, rows, (seed, gap_target, warm), run)
    offers = _written(source, search, into, run)
    plan = found_plan(search, index, *offers)
    finished(plan, into, work if run.work is None else None)
    return plan


def problem_key(
    files: PairFiles,
    rows: Sequence[LimitRow],
    seed: int,
    gap_target: float,
    warm: Mapping[str, float] | None,
    stretch: int,
) -> str:
    """Return what tells this solve from any other: files, rows and settings."""
    told: list[object] = [
        files.fingerprint,
        seed,
        gap_target,
        sorted((warm or {}).items()),
        stretch,
    ]
    for row in rows:
        told += [row.name, row.sense, row.limit, row.measure, row.products, row.soft_penalty]
        told += [row.floor, None if row.segments is None else np.asarray(row.segments)]
    return key_of(*told)


def searched(
    source: Any,
    rows: Sequence[LimitRow],
    wanted: tuple[int, float, Mapping[str, float] | None],
    run: FilesRun,
) -> Search:
    """Return the search over a source of files, at its end."""
    seed, gap_target, warm = wanted
    terms = terms_of(source.files, source.index, rows)
    meter = Meter(source.index.n_pairs, None, run.stop)
    search = Search(terms, source, meter, seed, gap_target)
    search.run(_start(rows, warm))
    return search


def _start(
    rows: Sequence[LimitRow], warm: Mapping[str, float] | None
) -> NDArray[np.float64] | None:
    if warm is None:
        return None
    duals = np.array([float(warm.get(row.name, 0.0)) for row in rows])
    good = np.isfinite(duals) & (duals >= 0)
    if not good.all():
        name = rows[int(np.argmin(good))].name
        raise InputError("a starting price below 0 or no number", record=name, field="warm")
    return duals


def claim(into: Path, work: Path) -> None:
    """Refuse a folder that holds a finished plan, or offers that no unfinished work speaks of."""
    into.mkdir(parents=True, exist_ok=True)
    for torn in into.glob("offers-*.part"):
        torn.unlink(missing_ok=True)
    done = (into / "_plan.json").exists()
    strange = any(into.glob("*.parquet")) and not (work / "problem.json").exists()
    if done or strange:
        raise Conflict(
            "a plan lies there already", record=str(into), field="into",
            fix="name an empty folder",
        )  # fmt: skip


def plan_spans(spans: Sequence[Span], into: Path) -> list[tuple[Span, Path]]:
    """Return the spans of the plan's files, each with its place."""
    into = into.resolve()
    return [(span, into / f"offers-{number:05d}.parquet") for number, span in enumerate(spans)]


def _written(
    source: FileSource, search: Search, into: Path, run: FilesRun
) -> tuple[list[Path], int]:
    """Write what is not written yet; return the files in order, and how many offers they hold."""
    best, index = search.best, source.index
    assert best is not None
    spans = plan_spans(spans_of(index, search.terms.block, run.stretch), into)
    run.watch.begin("write")
    offers = 0
    for span, place in spans:
        done = source.index.n_pairs * span[1] // max(index.n_customers, 1)
        kept = place.exists()
        if kept:
            offers += _offers(place)
        else:
            choices = core_of(best.core, best.rounded.chosen, span)
            offers += write_span(source.files, index, search.terms, best.at, span, choices, place)
        run.watch.tell("write", done, index.n_pairs, resumed=kept)
    return [place for _, place in spans], offers


def _offers(place: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(place).num_rows)


def finished(plan: FilePlan, into: Path, work: Path | None) -> None:
    """Write the plan's numbers; remove the work that made it."""
    beside = into / "_plan.part"
    beside.write_text(plan.told(), encoding="utf-8")
    os.replace(beside, into / "_plan.json")
    if work is not None:
        shutil.rmtree(work, ignore_errors=True)
