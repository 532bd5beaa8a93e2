"""What each unit of an experiment was shown and what became of it: one row a unit.

Everything is of the decision log, which carries the arms, the outcomes beside it and complaints
among the events. A case that is still open counts by what is to be expected of it
(``flow.rewards.became``: its institution's own delays, the same for every arm), so that an arm
whose answers are younger is not taken for a worse one.

Letters: n units, m offers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jinqiao.domain.experiment import CUSTOMER, Trial, arms_in
from jinqiao.domain.stage import CREDIT_CLASSES
from jinqiao.domain.time import DAY_US, to_us
from jinqiao.flow.rewards import became

if TYPE_CHECKING:
    from jinqiao.flow.wiring import Engine

__all__ = ["BETTER", "COMPLAINT", "MEANS", "RATIOS", "Units", "units_of"]

MEANS = (
    "clicks", "applications", "approvals", "activations", "payout_minor", "complaints", "shelves",
)  # fmt: skip
"""Metrics that are a mean a unit."""

RATIOS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "click_rate": ("clicks", "offers"),
        "application_rate": ("applications", "clicks"),
        "approval_rate": ("approvals", "applications"),
        "activation_rate": ("activations", "approvals"),
        "refusal_rate": ("refusals", "applications"),
        "refusal_rate_badged": ("badged_refusals", "badged_applications"),
        "cost_bps": ("credit_bps", "credit_clicks"),
        "empty_rate": ("empty", "shelves"),
    }
)
"""Metrics that are one sum over another. ``refusal_rate_badged`` is of offers that carried an
approval badge; ``cost_bps`` is the all-in yearly cost of the credit that customers left for."""

BETTER: Mapping[str, str] = MappingProxyType(
    dict.fromkeys((*MEANS, *RATIOS), "up")
    | dict.fromkeys(
        ("complaints", "refusal_rate", "refusal_rate_badged", "cost_bps", "empty_rate"), "down"
    )
)
COMPLAINT = "complaint_made"
"""The event that counts as a complaint."""

BEFORE_DAYS = 28
_SUMS = (
    "offers", "clicks", "applications", "approvals", "activations", "refusals", "payout_minor",
    "credit_clicks", "credit_bps", "badged_applications", "badged_refusals",
)  # fmt: skip
_ROWS = """
select trace_id, position, customer_id, session_id, epoch_us(occurred_at) as at_us, product_id,
  institution_id, p_approval, personalised, snapshot_version, arms
from decisions where epoch_us(occurred_at) >= $since and epoch_us(occurred_at) <= $until
  and (arms is not null or epoch_us(occurred_at) < $begin)
order by trace_id, position"""
_EMPTY = """
select customer_id, session_id, arms from empty_shelves
where arms is not null and epoch_us(occurred_at) >= $begin and epoch_us(occurred_at) <= $until"""
_COMPLAINTS = """
select m.customer_id, b.session_id from behaviour b
join customer_map m on b.subject_id = m.subject_id
where b.event = $event
  and epoch_us(b.occurred_at) >= $begin and epoch_us(b.occurred_at) <= $until"""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Units:
    """``table``: arm ("" held out), the sums, and ``before_…`` of the four weeks before the start.

    ``crossed`` units were seen in two arms (a merged customer) and are left out; ``open_offers``
    are those whose answer is still expected.
    """

    table: pa.Table
    crossed: int
    open_offers: int


def units_of(engine: Engine, trial: Trial, now_us: int) -> Units:
    """Return what became of every unit of an experiment, as known at an instant."""
    assert trial.started_at is not None
    begin = to_us(trial.started_at)
    until = min(now_us, to_us(trial.stopped_at)) if trial.stopped_at else now_us
    span = {"begin": begin, "until": until}
    rows = engine.lake.query(_ROWS, since=begin - BEFORE_DAYS * DAY_US, **span)
    empty = engine.lake.query(_EMPTY, **span)
    sums, open_ = _sums(engine, rows)
    mine, theirs = (_arms(table["arms"], trial) for table in (rows, empty))
    taking = mine != None  # noqa: E711  (element by element)
    unit = "customer_id" if trial.unit == CUSTOMER else "session_id"
    some = [rows.filter(pa.array(taking))[unit], empty.filter(pa.array(theirs != None))[unit]]  # noqa: E711
    ids = pc.unique(pa.chunked_array([c for one in some for c in one.chunks], pa.string()))
    place = _places(rows[unit], ids)
    arm, crossed = _one_arm(
        np.concatenate((place[taking], _places(some[1], ids))),
        np.concatenate((mine[taking], theirs[theirs != None])), len(ids),  # noqa: E711
    )  # fmt: skip
    found: dict[str, Floats] = {
        name: _by_unit(place[taking], values[taking], len(ids)) for name, values in sums.items()
    }
    shelves = _first_rows(rows) & taking
    found["empty"] = _by_unit(_places(some[1], ids), None, len(ids))
    found["shelves"] = _by_unit(place[shelves], None, len(ids)) + found["empty"]
    found["complaints"] = _complaints(engine, unit, ids, span)
    if trial.unit == CUSTOMER:
        was = (rows["at_us"].to_numpy() < begin) & (place >= 0)
        for name in ("clicks", "applications", "approvals", "activations", "payout_minor"):
            found[f"before_{name}"] = _by_unit(place[was], sums[name][was], len(ids))
        first = _first_rows(rows) & was
        found["before_shelves"] = _by_unit(place[first], None, len(ids))
    table = pa.table({"unit": ids, "arm": pa.array(arm.tolist(), pa.string()), **found})
    return Units(table.filter(pa.array(~crossed)), int(crossed.sum()), int((open_ & taking).sum()))


def _arms(column: pa.ChunkedArray, trial: Trial) -> NDArray[np.object_]:
    """Return each row's arm in one experiment, None where it is in none."""
    texts = column.combine_chunks().dictionary_encode()
    known = [arms_in(text).get(trial.experiment_id) for text in texts.dictionary.to_pylist()]
    code = pc.fill_null(texts.indices, len(known)).to_numpy(zero_copy_only=False)
    named: NDArray[np.object_] = np.array([*known, None], dtype=object)[code]
    return named


def _places(column: pa.ChunkedArray, ids: pa.Array) -> NDArray[np.int64]:
    found = pc.fill_null(pc.index_in(column, value_set=ids), -1)
    return np.asarray(found.to_numpy(), np.int64)


def _by_unit(place: NDArray[np.int64], values: Floats | None, n: int) -> Floats:
    good = place >= 0
    weights = None if values is None else values[good]
    return np.bincount(place[good], weights, minlength=n).astype(np.float64)


def _one_arm(
    place: NDArray[np.int64], arm: NDArray[np.object_], n: int
) -> tuple[NDArray[np.object_], NDArray[np.bool_]]:
    """Return the arm of each unit, and whether it was seen in more than one, (n,)."""
    names, code = np.unique(arm.astype(str), return_inverse=True)
    least, most = np.full(n, len(names)), np.full(n, -1)
    np.minimum.at(least, place, code)
    np.maximum.at(most, place, code)
    return np.array([*names, ""], dtype=object)[least], least != most


def _first_rows(rows: pa.Table) -> NDArray[np.bool_]:
    """Return which rows begin a shelf; rows lie shelf by shelf."""
    code = rows["trace_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    return np.concatenate((np.ones(min(len(code), 1), bool), np.diff(code) != 0))


def _sums(engine: Engine, rows: pa.Table) -> tuple[dict[str, Floats], NDArray[np.bool_]]:
    """Return what each offer adds to its unit's sums, (m,) each, and which are still open."""
    reach = became(engine, rows) if rows.num_rows else np.zeros((0, 4))
    goods = _products(engine, rows["product_id"])
    paid = np.zeros(rows.num_rows)
    for stage, column in (("click", 0), ("application", 1), ("approval", 2), ("activation", 3)):
        here = goods["payout_stage"] == stage
        paid[here] = reach[here, column] * goods["payout_minor"][here]
    credit = reach[:, 0] * goods["credit"]
    refused = reach[:, 1] - reach[:, 2]
    badged = _badged(engine, rows, goods["class"], reach[:, 1])
    told = (
        np.ones(rows.num_rows), *reach.T, refused, paid, credit, credit * goods["bps"],
        badged * reach[:, 1], badged * refused,
    )  # fmt: skip
    open_ = np.asarray(((reach > 0) & (reach < 1)).any(axis=1))
    return dict(zip(_SUMS, (np.asarray(one, np.float64) for one in told), strict=True)), open_


def _products(engine: Engine, column: pa.ChunkedArray) -> dict[str, NDArray[Any]]:
    """Return terms of the product of each offer, as now on sale; nothing of one that is not."""
    from jinqiao import catalog

    now = engine.clock()
    table = catalog.product_table(engine.catalog(now), now)
    at = _places(column, table["product_id"].combine_chunks())
    credit = np.isin(table["product_class"].to_pylist(), [one.value for one in CREDIT_CLASSES])
    bps = pc.fill_null(table["all_in_bps"].cast(pa.float64()), 0.0).to_numpy()
    known = {
        "payout_stage": np.array([*table["payout_stage"].to_pylist(), ""], dtype=object),
        "payout_minor": np.append(table["payout_amount_minor"].to_numpy(), 0).astype(np.float64),
        "credit": np.append(credit & (bps > 0), False).astype(np.float64),
        "bps": np.append(bps, 0.0),
        "class": np.array([*table["product_class"].to_pylist(), ""], dtype=object),
    }
    return {name: values[at] for name, values in known.items()}


def _complaints(engine: Engine, unit: str, ids: pa.Array, span: Mapping[str, int]) -> Floats:
    from jinqiao import customer

    with engine.records.reading() as tx:
        mapped = customer.customer_map(tx)
    found = engine.lake.query(_COMPLAINTS, {"customer_map": mapped}, event=COMPLAINT, **span)
    return _by_unit(_places(found[unit], ids), None, len(ids))


def _badged(engine: Engine, rows: pa.Table, kinds: NDArray[Any], applied: Floats) -> Floats:
    """Return which offers that were applied for may carry an approval badge, by the odds of then.

    An offer of a snapshot that is not kept any more is not known to.
    """
    from jinqiao.flow import odds

    out, known = np.zeros(rows.num_rows), {}
    own = rows["personalised"].to_numpy(zero_copy_only=False)
    for i in np.flatnonzero((applied > 0) & own).tolist():
        version = rows["snapshot_version"][i].as_py()
        if version not in known:
            folder = engine.snapshots.version(version)
            known[version] = None if folder is None else odds.read_odds(folder / "odds.json")
        if known[version] is not None:
            house, chance = rows["institution_id"][i].as_py(), rows["p_approval"][i].as_py()
            out[i] = odds.badge(known[version], house, str(kinds[i]), chance) is not None
    return out
