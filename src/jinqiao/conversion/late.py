"""How late institutions report: counted from the outcomes, kept in records, told as chances.

Of the clicks of some age that nobody had reported on, a share is reported before the next age. An
institution's shares are drawn towards all institutions' and these towards a prior, each by a weight
of so many clicks; from an age on, the chance of any report at all is what these shares leave.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from jinqiao.domain.late import AGE_HOURS, LateReports
from jinqiao.domain.time import DAY_US
from jinqiao.store.base import Lake, Tx

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["late_reports", "learn_late_reports"]

_HOUR_US = 3_600_000_000
_BINS = len(AGE_HOURS) - 1
_EVERYBODY = ""
WINDOW_DAYS = 56
"""Clicks older than this teach nothing any more."""
POOL_WEIGHT, OWN_WEIGHT = 500.0, 1000.0
"""So many clicks at risk count as much as what the shares are drawn towards."""
PRIOR = (
    0.08, 0.03, 0.03, 0.025, 0.012, 0.006, 0.004, 0.002,
    0.001, 0.001, 0.001, 0.001, 0.0005, 0.0005, 0.0002,
)  # fmt: skip
"""Shares reported between the ages, before anything was counted."""


def learn_late_reports(tx: Tx, lake: Lake, *, as_of_us: int) -> int:
    """Count how late reports came, as of an instant; return how many clicks were counted.

    Only what the lake had received by then is looked at: clicks of the last ``WINDOW_DAYS``.
    """
    found = lake.query(
        "with outs as (select click_id, institution_id, min(epoch_us(occurred_at)) as clicked"
        " from outcomes where stage = 'click' and polarity = 'reached'"
        " and received_at <= make_timestamp($as_of_us)"
        " and occurred_at > make_timestamp($since_us) group by click_id, institution_id),"
        " told as (select click_id, min(epoch_us(received_at)) as told"
        " from outcomes where stage <> 'click' and polarity <> 'expired'"
        " and received_at <= make_timestamp($as_of_us) group by click_id)"
        " select outs.institution_id, clicked, told from outs left join told using (click_id)",
        as_of_us=as_of_us,
        since_us=as_of_us - WINDOW_DAYS * DAY_US,
    )
    if found.num_rows == 0:
        return 0
    names, at_risk, reported = _counts(found, as_of_us)
    counts = {_EVERYBODY: (at_risk.sum(axis=0), reported.sum(axis=0))}
    counts |= {name: (at_risk[i], reported[i]) for i, name in enumerate(names)}
    rows = [
        {"institution_id": name, "at_risk": risk.tolist(), "reported": came.tolist(),
         "as_of_at": as_of_us}
        for name, (risk, came) in sorted(counts.items())
    ]  # fmt: skip
    tx.upsert("late_reports", rows)
    return int(found.num_rows)


def late_reports(tx: Tx) -> LateReports:
    """Return what was counted last, as chances; before anything was counted, the prior's."""
    rows = {row["institution_id"]: row for row in tx.find("late_reports")}
    pool = np.array(PRIOR)
    everybody = rows.pop(_EVERYBODY, None)
    if everybody is not None:
        pool = _drawn(everybody["at_risk"], everybody["reported"], pool, POOL_WEIGHT)
    own = {
        name: _chances(_drawn(row["at_risk"], row["reported"], pool, OWN_WEIGHT))
        for name, row in rows.items()
    }
    return LateReports(_chances(pool), MappingProxyType(own))


def _counts(
    found: pa.Table, as_of_us: int
) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
    """Return the institutions, and (i, bins) clicks at risk and reports of each age.

    An age counts for a click once it lies wholly behind it.
    """
    houses = found["institution_id"].combine_chunks().dictionary_encode()
    place = houses.indices.to_numpy(zero_copy_only=False)
    clicked = found["clicked"].to_numpy()
    told = found["told"].fill_null(np.iinfo(np.int64).max).to_numpy()
    edges = np.array(AGE_HOURS) * _HOUR_US
    age, delay = as_of_us - clicked, np.maximum(told - clicked, 0)
    at_risk = np.zeros((len(houses.dictionary), _BINS), np.int64)
    reported = np.zeros_like(at_risk)
    for k in range(_BINS):
        waits = (age >= edges[k + 1]) & (delay >= edges[k])
        came = waits & (delay < edges[k + 1])
        at_risk[:, k] = np.bincount(place[waits], minlength=len(at_risk))
        reported[:, k] = np.bincount(place[came], minlength=len(at_risk))
    return houses.dictionary.to_pylist(), at_risk, reported


def _drawn(
    at_risk: list[int], reported: list[int], towards: NDArray[np.float64], weight: float
) -> NDArray[np.float64]:
    share = (np.array(reported) + weight * towards) / (np.array(at_risk) + weight)
    return np.asarray(np.clip(share, 0.0, 1.0 - 1e-9))


def _chances(shares: NDArray[np.float64]) -> tuple[float, ...]:
    """Return the chance of a report from each whole hour of age on."""
    silent = np.concatenate([[0.0], np.cumsum(np.log1p(-shares))])  # log of staying silent so far
    by_hour = np.interp(np.arange(AGE_HOURS[-1] + 1), AGE_HOURS, silent)
    chances: list[float] = (-np.expm1(silent[-1] - by_hour)).tolist()
    return tuple(chances)
