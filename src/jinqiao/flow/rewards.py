"""What became of logged offers, late answers expected: clicks, applications, approvals, value.

Letters: n rows.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jinqiao.flow.wiring import Engine
from jinqiao.shelf import Serving

__all__ = ["REWARDS", "became", "rewards_of"]

REWARDS = ("value", "clicks", "applications", "approvals", "activations")
"""What may be asked for: value in minor units, the rest as the chance of the stage, an offer."""

Floats = NDArray[np.float64]


def became(engine: Engine, rows: pa.Table) -> Floats:
    """Return the expected reaching of click, application, approval, activation, (n, 4).

    1 or 0 where it is known; an open case by its institution's delays and eventual rate
    (``propensity.delay``), what comes after an open case by that times the eventual rate.
    ``rows`` of the decision log with ``at_us``. A click that found no unit left is a click, and
    nothing came of it: the outcomes leave it out, since nobody left for an institution.
    """
    from jinqiao.propensity.delay import fit_delays
    from jinqiao.propensity.outcomes import OUTCOMES_SQL, fold, stage_cases

    now = engine.clock()
    shown = rows.append_column("shown_us", rows["at_us"])
    folded = fold(shown, engine.lake.query(OUTCOMES_SQL, as_of_us=now))
    names = rows["institution_id"].combine_chunks().dictionary_encode()
    house = names.indices.to_numpy().astype(np.int64)
    out = np.zeros((rows.num_rows, 4))
    out[:, 0] = folded.reached[:, 0]
    for place in (1, 2, 3):
        at, cases = stage_cases(folded, place, house, now)
        delays = fit_delays(cases)
        n = len(names.dictionary)
        count = np.bincount(cases.institution, minlength=n)
        total = np.bincount(cases.institution, delays.rate, minlength=n)
        pool = float(delays.rate.mean()) if len(at) else 0.0
        rate = np.where(count > 0, total / np.maximum(count, 1), pool)
        out[:, place] = out[:, place - 1] * rate[house]
        decided = folded.reached[:, place - 1]
        out[decided, place] = 0.0
        out[at, place] = delays.expected(delays.rate)
    out[_found_no_unit(engine, rows), 0] = 1.0
    return out


def _found_no_unit(engine: Engine, rows: pa.Table) -> NDArray[np.int64]:
    """Return the rows whose offer was clicked when no unit was left."""
    with engine.records.reading() as tx:
        turned = tx.find("clicks", {"reserved": False})
    away = {(row["trace_id"], row["position"]) for row in turned}
    keys = zip(rows["trace_id"].to_pylist(), rows["position"].to_pylist(), strict=True)
    return np.array([i for i, key in enumerate(keys) if key in away], np.int64)


def rewards_of(serving: Serving, rows: pa.Table, known: Floats, reward: str) -> Floats:
    """Return the reward of each row, (n,): ``known`` is (n, 6), stages, worth, payout's share.

    Value is activation × worth − refused applications × harm + what of the payout counts
    (DECISIONS: at most β of the customer's own gain). Where no profile was read, worth and share
    are the product's mean over those of whom one was.
    """
    if reward != "value":
        return np.asarray(known[:, REWARDS.index(reward) - 1])
    reached = known[:, :4]
    code = pc.fill_null(pc.index_in(rows["product_id"], pa.array(serving.product_ids)), -1)
    product = code.to_numpy().astype(np.int64)
    worth, share = (_filled(known[:, column], product) for column in (4, 5))
    at = np.maximum(product, 0)
    payout = np.where(product >= 0, serving.payout_minor[at], 0.0)
    paid = reached[np.arange(len(reached)), serving.paid_stage[at]] * payout
    refused = (reached[:, 1] - reached[:, 2]) * serving.settings.refusal_harm_minor
    value: Floats = reached[:, 3] * worth - refused + share * paid
    return value


def _filled(values: Floats, product: NDArray[np.int64]) -> Floats:
    """Return values with what is not known by its product's mean, else by all's, else 0."""
    missing = np.isnan(values)
    if not missing.any():
        return values
    n = int(product.max(initial=0)) + 2
    count = np.bincount(product[~missing] + 1, minlength=n)
    total = np.bincount(product[~missing] + 1, values[~missing], minlength=n)
    whole = float(total.sum() / max(count.sum(), 1))
    mean = np.where(count > 0, total / np.maximum(count, 1), whole)
    return np.where(missing, mean[product + 1], values)
