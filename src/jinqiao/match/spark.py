"""The same solve on Apache Spark: partitions pass over files, small sums come to the driver.

Every partition works on a span of customers of the same files: it surveys row groups, takes its
part of a sample, passes at the prices it is given, writes its offers. What comes back from a pass
are sums by segment and product, and the few customers near a tie; prices, rounding and certificate
are the driver's, the code is ``solve_files``'s. Executors need this package and pyarrow, and see
the files, ``into`` and ``work`` under the same paths. From: Spark's ``mapInArrow``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation.chunk import Chunk, Core, Tally
from jinqiao.engines.allocation.problem import LimitRow
from jinqiao.engines.allocation.terms import Reference, Terms
from jinqiao.errors import InputError, JinqiaoError
from jinqiao.match.files.journal import (
    Journal,
    packed_scan,
    plain,
    scan_key,
    unpacked_scan,
)
from jinqiao.match.files.layout import PairFiles
from jinqiao.match.files.plan import FilePlan, checked_rows, found_plan
from jinqiao.match.files.solve import (
    FilesRun,
    claim,
    finished,
    plan_spans,
    problem_key,
    searched,
)
from jinqiao.match.files.source import FileSource, Watch
from jinqiao.match.files.spans import (
    core_of,
    joined,
    sample_span,
    scan_span,
    spans_of,
    write_span,
)
from jinqiao.match.files.survey import Index, Survey, packed, survey_group, surveyed, unpacked

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["SparkSource", "pairs_of", "solve_spark"]

_FEW = 50_000
"""So many customers, or one in twenty, come to the driver from a pass at most, about."""

_ANSWER = "number long, executor string, answer binary"

Task = Callable[[int], bytes]


def solve_spark(
    session: Any,
    files: PairFiles,
    rows: Sequence[LimitRow],
    into: Path | str,
    *,
    seed: int = 0,
    gap_target: float = 2e-4,
    warm: Mapping[str, float] | None = None,
    partitions: int | None = None,
    run: FilesRun | None = None,
) -> FilePlan:
    """Return the plan of pairs in files, found by the executors of a Spark session.

    Prices and bound are those of ``solve_files`` within rounding of sums. A run killed between
    two passes goes on with the next; Spark runs a partition again whose executor is lost.

    Parameters
    ----------
    session : a ``pyspark.sql.SparkSession`` with pandas beside it, which ``mapInArrow`` asks for.
    files, rows, into, seed, gap_target, warm : as for ``solve_files``; ``pairs_of`` makes files
        of a data frame.
    partitions : spans of customers that are worked on apart; None: two an executor's core.
    run : work folder, watch, stop; ``threads`` is the executor's, 1.

    Raises
    ------
    InputError, Conflict, Infeasible, NotConverged : as ``solve_files``.
    """
    run, into = run or FilesRun(), Path(into)
    rows = checked_rows(files, rows)
    count = partitions or 2 * session.sparkContext.defaultParallelism
    work = into / "_work" if run.work is None else Path(run.work)
    problem = problem_key(files, rows, seed, gap_target, warm, -count)
    journal = Journal(work, f"{problem}-{run.open_most}")
    claim(into, work)
    journal.begin()
    cluster = _Cluster(session, run.watch)
    index = _survey(cluster, files, journal, run.watch)
    few = max(_FEW, index.n_customers // 20)
    source = SparkSource(
        files, index, journal, run.watch, open=min(run.open_most, few),
        cluster=cluster, partitions=count,
    )  # fmt: skip
    search = searched(source, rows, (seed, gap_target, warm), run)
    offers = _written(source, search, into, work)
    plan = found_plan(search, source.index, *offers)
    finished(plan, into, work if run.work is None else None)
    return plan


def pairs_of(frame: Any, folder: Path | str, files: int) -> Path:
    """Return the folder in which a Spark data frame of pairs now lies as files, in order.

    ``frame`` has the columns of ``PairFiles``; ``files`` is about how many there will be.
    """
    ordered = frame.repartitionByRange(files, "customer")
    ordered.sortWithinPartitions("customer", "product").write.parquet(str(folder))
    return Path(folder)


@dataclass(frozen=True, eq=False)
class _Cluster:
    """Runs numbered tasks on executors, each a partition of its own."""

    session: Any
    watch: Watch

    def run(self, count: int, task: Task) -> list[bytes]:
        """Return the answers of tasks 0 … count − 1. Raises the error a task raised."""
        numbers = self.session.range(0, count, 1, count)
        table: pa.Table = numbers.mapInArrow(_Worked(task), _ANSWER).toArrow()
        self.watch.executors |= set(table["executor"].to_pylist())
        self.watch.received += table.nbytes
        found = dict(zip(table["number"].to_pylist(), table["answer"].to_pylist(), strict=True))
        answers = [found[number] for number in range(count)]
        for answer in answers:
            if answer[:1] == b"!":
                raise _error(answer[1:])
        return [answer[1:] for answer in answers]


@dataclass(frozen=True)
class _Worked:
    """A task as ``mapInArrow`` calls it: record batches of numbers in, answers out."""

    task: Task

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import os

        import pyarrow as pa

        for batch in batches:
            for number in batch.column(0).to_pylist():
                try:
                    answer = b"." + self.task(number)
                except JinqiaoError as error:
                    answer = b"!" + _told(error)
                place = os.environ.get("SPARK_EXECUTOR_DIRS", "")
                yield pa.RecordBatch.from_pydict({
                    "number": [number], "executor": [place], "answer": [answer],
                })  # fmt: skip


def _told(error: JinqiaoError) -> bytes:
    import json

    return json.dumps(
        [type(error).__name__, error.message, error.record, error.field, error.fix]
    ).encode()


def _error(told: bytes) -> JinqiaoError:
    import json

    import jinqiao.errors

    name, message, record, where, fix = json.loads(told)
    kind: type[JinqiaoError] = getattr(jinqiao.errors, name, InputError)
    return kind(message, record=record, field=where, fix=fix)


def _packed(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    import io

    savez: Any = np.savez
    held = io.BytesIO()
    savez(held, **arrays)
    return held.getvalue()


def _unpacked(answer: bytes) -> dict[str, NDArray[Any]]:
    import io

    with np.load(io.BytesIO(answer), allow_pickle=False) as kept:
        return {key: kept[key] for key in kept.files}


@dataclass(eq=False)
class SparkSource(FileSource):
    """A ``search.Source`` whose passes are made by executors."""

    cluster: Any = None
    partitions: int = 2

    def _spans(self, terms: Terms) -> list[tuple[int, int]]:
        return spans_of(self.index, terms.block, self.index.n_pairs + 1, self.partitions)

    def read_samples(self, terms: Terms, whos: list[NDArray[np.int64]]) -> list[Chunk]:
        """Return each list of customers in a chunk of its own, gathered from all partitions."""
        files, index, spans, block = self.files, _bare(self.index), self._spans(terms), terms.block
        self.watch.begin("sample")

        def task(number: int) -> bytes:
            low, high = spans[number]
            own = [who[np.searchsorted(who, low) : np.searchsorted(who, high)] for who in whos]
            return _packed(_columns(sample_span(files, index, block, spans[number], own)))

        answers = [_chunks(_unpacked(a), len(whos)) for a in self.cluster.run(len(spans), task)]
        self.watch.tell("sample", index.n_pairs, index.n_pairs)
        return [joined(list(parts)) for parts in zip(*answers, strict=True)]

    def scan(self, terms: Terms, at: Reference, share: float = 1.0) -> tuple[Tally, Core]:
        """Return one pass over everyone: sums of partitions added in their order."""
        name, total = f"{scan_key(at)}-{share:.9g}", self.index.n_pairs
        kept = self.journal.get_scan(name)
        self.watch.begin("pass")
        if kept is None:
            kept = self._scanned(terms, at, share)
            self.journal.put_scan(name, *kept)
            self.watch.tell("pass", total, total)
        else:
            self.watch.tell("pass", total, total, resumed=True)
        return kept

    def _scanned(self, terms: Terms, at: Reference, share: float) -> tuple[Tally, Core]:
        files, index, spans = self.files, _bare(self.index), self._spans(terms)

        def task(number: int) -> bytes:
            tally = Tally.empty(terms)
            core = scan_span(files, index, terms, at, spans[number], tally, share=share)
            return _packed(packed_scan(tally, core))

        tally, cores = Tally.empty(terms), []
        for answer in self.cluster.run(len(spans), task):
            own, core = unpacked_scan(_unpacked(answer))
            tally.merge(own)
            cores.append(core)
        return tally, Core.joined(cores)


def _bare(index: Index) -> Index:
    """Return an index without every customer's segment, which partitions read for themselves."""
    return Index(
        index.first, index.pairs, index.joined, np.zeros(0, np.int32), index.n_segments,
        index.facts,
    )  # fmt: skip


_OF_CHUNK = ("indptr", "product", "value", "use", "cost", "approval", "segment", "slots")


def _columns(chunks: Sequence[Chunk]) -> dict[str, NDArray[Any]]:
    return {
        f"{number}:{name}": np.asarray(getattr(chunk, name))
        for number, chunk in enumerate(chunks) for name in _OF_CHUNK
    }  # fmt: skip


def _chunks(kept: Mapping[str, NDArray[Any]], count: int) -> list[Chunk]:
    return [
        Chunk(**plain({name: kept[f"{number}:{name}"] for name in _OF_CHUNK}))
        for number in range(count)
    ]


def _survey(cluster: _Cluster, files: PairFiles, journal: Journal, watch: Watch) -> Index:
    """Return the index of files, surveyed row group by row group wherever there is room."""
    kept = journal.get("survey")
    if kept is not None:
        return unpacked(kept)
    watch.begin("survey")
    places = files.places

    def task(number: int) -> bytes:
        import pickle

        mine = [p for p in places if p.file == number]
        file = files.opened(number)
        return pickle.dumps([survey_group(files, place, file, 1) for place in mine])

    found: list[Survey] = []
    for answer in cluster.run(len(files.files), task):
        found += _loaded(answer)
    index = surveyed(files, found, 1)
    journal.put("survey", packed(index))
    watch.tell("survey", index.n_pairs, index.n_pairs)
    return index


def _loaded(answer: bytes) -> list[Survey]:
    import pickle

    found: list[Survey] = pickle.loads(answer)  # noqa: S301  made by our own executors
    return found


def _written(source: SparkSource, search: Any, into: Path, work: Path) -> tuple[list[Path], int]:
    """Let every partition write its offers; return the files in order, and how many offers."""
    best, index, files = search.best, _bare(source.index), source.files
    terms, at = search.terms, best.at
    spans = plan_spans(source._spans(terms), into)
    choices = [core_of(best.core, best.rounded.chosen, span) for span, _ in spans]
    for number, (core, chosen) in enumerate(choices):
        told: dict[str, NDArray[Any]] = {
            "customer": core.customer, "ptr": core.ptr, "place": core.place, "chosen": chosen,
        }  # fmt: skip
        source.journal.put(f"choices/{number}", told)
    journal = Journal(work.resolve(), source.journal.problem)

    def task(number: int) -> bytes:
        span, place = spans[number]
        kept = journal.get(f"choices/{number}")
        assert kept is not None
        chosen = kept.pop("chosen")
        core = replace(Core.nothing(), **kept)
        return str(write_span(files, index, terms, at, span, (core, chosen), place)).encode()

    offers = sum(int(answer) for answer in source.cluster.run(len(spans), task))
    return [place for _, place in spans], offers
