"""What became of each shown offer, folded from every report that had arrived.

Per shown offer and stage the report with the highest sequence (then id) stands. A later stage that
stands implies the earlier ones; a reversal takes a stage back and counts as not reached.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jinqiao.domain.stage import Polarity, Stage
from jinqiao.propensity.delay import Cases

__all__ = ["CHAIN", "OUTCOMES_SQL", "Folded", "fold", "offers_at", "stage_cases"]

CHAIN = (Stage.CLICK, Stage.APPLICATION, Stage.APPROVAL, Stage.ACTIVATION)
"""The stages that have a model, in order."""

_AFTER = (Stage.DISBURSEMENT, Stage.REPAYMENT, Stage.DEFAULT)

OUTCOMES_SQL = """
select trace_id, position, stage, polarity, epoch_us(received_at) as received_us
from (
  select *, row_number() over (
    partition by trace_id, position, stage order by sequence desc, outcome_id desc
  ) as place
  from outcomes
  where received_at <= make_timestamp($as_of_us)
)
where place = 1
"""


@dataclass(frozen=True, slots=True)
class Folded:
    """Per shown offer (n) and stage of CHAIN: reached, ended without it, and when we learnt it.

    ``reached`` and ``ended`` are (n, 4) bool, ``learnt_us`` (n, 4) int64.
    """

    reached: NDArray[np.bool_]
    ended: NDArray[np.bool_]
    learnt_us: NDArray[np.int64]


def fold(decisions: pa.Table, outcomes: pa.Table) -> Folded:
    """Return what became of each decision row; ``outcomes`` are the rows of OUTCOMES_SQL."""
    n = decisions.num_rows
    reached, ended = np.zeros((n, 4), np.bool_), np.zeros((n, 4), np.bool_)
    learnt = np.zeros((n, 4), np.int64)
    row, known = _match(decisions, outcomes)
    names = [stage.value for stage in (*CHAIN, *_AFTER)]
    stage = pc.fill_null(pc.index_in(outcomes["stage"], value_set=pa.array(names)), -1).to_numpy()
    yes = pc.equal(outcomes["polarity"], Polarity.REACHED.value).to_numpy()
    at = outcomes["received_us"].to_numpy()
    for place in range(len(names)):
        here = known & (stage == place)
        for mark, hit in ((reached, here & yes), (ended, here & ~yes)):
            column = min(place, 3)
            if mark is ended and place > 3:
                continue
            rows = row[hit]
            first = ~(reached[rows, column] | ended[rows, column])
            mark[rows, column] = True
            learnt[rows[first], column] = at[hit][first]
    return _implied(reached, ended, learnt, decisions["shown_us"].to_numpy())


def offers_at(decisions: pa.Table, places: Sequence[tuple[str, int]]) -> NDArray[np.int64]:
    """Return the decision rows of some traces and positions; one that is not there is left out."""
    traces, positions = zip(*places, strict=True) if places else ((), ())
    table = pa.table(
        {"trace_id": pa.array(traces, pa.string()), "position": pa.array(positions, pa.int64())}
    )
    row, known = _match(decisions, table)
    return row[known]


def _match(decisions: pa.Table, outcomes: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return, per outcome, the decision row of its trace and position, and whether there is one."""
    traces = decisions["trace_id"].combine_chunks().dictionary_encode()
    code = traces.indices.to_numpy().astype(np.int64)
    key = code * 128 + decisions["position"].to_numpy().astype(np.int64)
    order = np.argsort(key, kind="stable")
    wanted = pc.fill_null(pc.index_in(outcomes["trace_id"], value_set=traces.dictionary), -1)
    seek = wanted.to_numpy().astype(np.int64) * 128 + outcomes["position"].to_numpy()
    if len(key) == 0:
        return np.zeros(len(seek), np.int64), np.zeros(len(seek), np.bool_)
    spot = np.minimum(np.searchsorted(key, seek, sorter=order), len(key) - 1)
    return order[spot], key[order[spot]] == seek


def _implied(
    reached: NDArray[np.bool_],
    ended: NDArray[np.bool_],
    learnt: NDArray[np.int64],
    shown: NDArray[np.int64],
) -> Folded:
    """Let a standing stage, or a refusal at it, stand for the stages before it."""
    for place in (2, 1, 0):
        later = (reached[:, place + 1] | ended[:, place + 1]) & ~reached[:, place]
        reached[later, place], ended[later, place] = True, False
        learnt[later, place] = learnt[later, place + 1]
    ended &= ~reached
    return Folded(reached, ended, np.maximum(learnt, shown[:, None]))


def stage_cases(
    folded: Folded,
    place: int,
    institution: NDArray[np.int64],
    as_of_us: int,
    product: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.int64], Cases]:
    """Return the rows that reached the stage before, and how each case stands at the instant."""
    rows = np.flatnonzero(folded.reached[:, place - 1])
    began = folded.learnt_us[rows, place - 1]
    end = np.full(len(rows), -1, np.int8)
    end[folded.ended[rows, place]] = 0
    end[folded.reached[rows, place]] = 1
    after = np.maximum(folded.learnt_us[rows, place] - began, 0)
    own = None if product is None else product[rows]
    return rows, Cases(institution[rows], np.maximum(as_of_us - began, 0), end, after, own)
