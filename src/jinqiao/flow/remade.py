"""Logged shelves made again as they could have been, beside what another policy does there.

The profiles of then, the catalog of then, what was eligible then: the code that serves says so. A
shelf of which the candidates do not come out as many as were logged is left out and counted, as is
one whose snapshot is gone or whose consent was withdrawn. What was closed at the moment is
logged; of rows older than that it shows where shelves were drawn evenly (``soldout``).

Letters: n rows, r shelves, K places, P products.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jinqiao import shelf
from jinqiao.domain.consent import Purpose
from jinqiao.domain.time import DAY_US
from jinqiao.errors import InputError, NotFound
from jinqiao.flow.pages.shelves import need_of, rule_of
from jinqiao.flow.soldout import sold_out
from jinqiao.flow.targets import Asked, chances
from jinqiao.flow.wiring import Engine
from jinqiao.shelf import Requests, Serving
from jinqiao.shelf.scoring import candidates

__all__ = ["Matched", "made_again"]

_FEATURES = (
    "age", "monthly_income_minor", "debt_service_ratio", "savings_rate", "liquidity_months",
    "balance_mean_90d_minor", "overdrafts_90d", "credit_products_held", "wealth_products_held",
    "credit_views_30d", "wealth_views_30d", "click_rate_90d",
)  # fmt: skip
_HOUR_US = DAY_US // 24


@dataclass(frozen=True, eq=False)
class Matched:
    """n logged rows that could be made again, and what the policy asked about does there.

    ``rows`` : the logged rows. ``target`` (n, P) chance of each of
    ``product_ids`` in the row's place. ``action`` (n,) the product shown. ``known`` (n, 6) what
    became of it, its worth and the share of its payout that counts. ``features`` (n, k) what was
    known before. ``left_out`` counts shelves.
    """

    rows: pa.Table
    target: NDArray[np.float32]
    action: NDArray[np.int64]
    known: NDArray[np.float64]
    features: NDArray[np.float64]
    product_ids: tuple[str, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)


def made_again(engine: Engine, asked: Asked, rows: pa.Table, fates: NDArray[np.float64]) -> Matched:
    """Return logged rows beside what the policy asked about does there.

    ``rows`` of the decision log with ``at_us`` and ``as_of_us``, shelf by shelf; ``fates`` (n, 4)
    of ``rewards.became``. Raises InputError when no shelf can be made again.
    """
    left_out: dict[str, int] = {}
    parts: list[Matched] = []
    product_ids = tuple(sorted({*asked.serving.product_ids, *rows["product_id"].to_pylist()}))
    allowed = _consenting(engine)
    version = rows["snapshot_version"].combine_chunks().dictionary_encode()
    code = version.indices.to_numpy()
    for number, name in enumerate(version.dictionary.to_pylist()):
        here = np.flatnonzero(code == number)
        part = rows.take(pa.array(here))
        then = _serving_then(engine, name, part)
        if then is None:
            _count(left_out, "snapshot_gone", part)
            continue
        made = _of_one(then, part, fates[here], (asked, product_ids, allowed), left_out)
        if made is not None:
            parts.append(made)
    if not parts:
        raise InputError(
            "no logged shelf can be made again", record="decisions", field="snapshot_version",
            fix=f"left out: {left_out}",
        )  # fmt: skip
    return _joined(parts, left_out)


def _consenting(engine: Engine) -> pa.Array:
    from jinqiao import customer

    with engine.records.reading() as tx:
        state = customer.consent_state(tx, engine.clock(), purpose=Purpose.PERSONALISE)
    return state.filter(state["granted"])["customer_id"].combine_chunks()


def _serving_then(engine: Engine, version: str, rows: pa.Table) -> Serving | None:
    """Return what shelves were made from: the kept snapshot, or made anew of kept profiles."""
    from jinqiao.flow import daily

    folder = engine.snapshots.version(version)
    if folder is not None:
        return shelf.read(folder / "serving")
    as_of = pc.max(rows["as_of_us"]).as_py()
    kept = None if as_of is None else engine.lake.read_features(as_of, engine.dictionary.version)
    if kept is None:
        return None
    try:
        then = daily.make_serving(engine, kept, None, as_of_us=as_of, seed=0)[0]
    except NotFound:
        return None
    same = then.versions.catalog == rows["catalog_version"][0].as_py()
    return then if same else None


def _of_one(
    then: Serving,
    rows: pa.Table,
    fates: NDArray[np.float64],
    asked: tuple[Asked, tuple[str, ...], pa.Array],
    left_out: dict[str, int],
) -> Matched | None:
    """Return the rows of one snapshot whose shelves came out as they were logged."""
    policy, product_ids, allowed = asked
    own = rows["personalised"].combine_chunks()
    known = pc.or_(pc.invert(own), pc.is_in(rows["customer_id"].combine_chunks(), allowed))
    _count(left_out, "consent_withdrawn", rows.filter(pc.invert(known)))
    rows, fates = rows.filter(known), fates[known.to_numpy(zero_copy_only=False)]
    if not rows.num_rows:
        return None
    first, of = _shelves(rows)
    requests = _requests(then, rows.take(pa.array(first)))
    found = candidates(then, requests, None, None)
    may = np.zeros((len(requests), then.n_products), bool)
    may[found.request, found.product] = True
    product = pc.fill_null(pc.index_in(rows["product_id"], pa.array(then.product_ids)), -1)
    place = product.to_numpy().astype(np.int64)
    shown = np.zeros_like(may)
    shown[of[place >= 0], place[place >= 0]] = True
    count = rows["n_candidates"].to_numpy()[first]
    evenly = pc.equal(rows["policy"].combine_chunks(), "random").to_numpy(zero_copy_only=False)
    gone_then, told = _logged_closed(rows["closed"].take(pa.array(first)), then.n_products)
    ran_out = _ran_out(requests, (may, shown), count, evenly[first] & ~told)
    gone_then[~told] = ran_out[~told]
    wrong = (may & ~gone_then).sum(axis=1) != count
    np.logical_or.at(wrong, of, (place < 0) | ~may[of, np.maximum(place, 0)])
    _count(left_out, "candidates_differ", rows.filter(pa.array(wrong[of])))
    keep = ~wrong[of]
    if not keep.any():
        return None
    good = np.flatnonzero(~wrong)
    target, gone = policy.as_of(then)
    every = _by_need(target, requests.take(good), gone | gone_then[good])
    where = np.cumsum(~wrong) - 1
    rows, fates, of, place = rows.filter(pa.array(keep)), fates[keep], of[keep], place[keep]
    position = rows["position"].to_numpy().astype(np.int64) - 1
    there = np.zeros((len(of), then.n_products), np.float32)
    within = position < every.shape[1]
    there[within] = every[where[of[within]], position[within]]
    columns = np.array([product_ids.index(name) for name in then.product_ids])
    spread = np.zeros((len(of), len(product_ids)), np.float32)
    spread[:, columns] = there
    worth = _worths(target.serving, requests, of, place)
    features = _known(then, requests, of, position)
    return Matched(rows, spread, columns[place], np.column_stack((fates, worth)), features,
                   product_ids)  # fmt: skip


def _logged_closed(
    column: pa.ChunkedArray, n_products: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return what each shelf's row says was closed, (r, P), and whether it says so, (r,)."""
    texts = column.combine_chunks().dictionary_encode()
    width = (n_products + 7) // 8
    bits = np.zeros((len(texts.dictionary) + 1, n_products), bool)
    for number, text in enumerate(texts.dictionary.to_pylist()):
        if len(text) == 2 * width:
            packed = np.frombuffer(bytes.fromhex(text), np.uint8)
            bits[number] = np.unpackbits(packed, count=n_products).astype(bool)
    code = pc.fill_null(texts.indices, len(texts.dictionary)).to_numpy()
    return bits[code], code < len(texts.dictionary)


def _by_need(target: Asked, requests: Requests, stopped: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the policy's chances where a shelf was asked for one need, by that shelf's rule."""
    needs = np.array([need_of(trace) for trace in requests.trace_id.to_pylist()], dtype=object)
    parts = []
    for need in sorted(set(needs.tolist())):
        rows = np.flatnonzero(needs == need)
        rule = rule_of(need, target.serving.settings)
        asked = Asked(target.name, replace(target.serving, settings=rule))
        parts.append((rows, chances(asked, requests.take(rows), stopped=stopped[rows])))
    slots = max((part.shape[1] for _, part in parts), default=0)
    out = np.zeros((len(requests), slots, target.serving.n_products), np.float32)
    for rows, part in parts:
        out[rows, : part.shape[1]] = part
    return out


def _ran_out(
    requests: Requests,
    seen: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    count: NDArray[np.integer],
    evenly: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Return which products had run out when each shelf was made, as far as it is plain, (r, P)."""
    may, shown = seen
    out = np.zeros_like(may)
    drawn = np.flatnonzero(evenly)
    if len(drawn):
        drawn = drawn[np.argsort(requests.at_us[drawn], kind="stable")]
        slots = int(shown[drawn].sum(axis=1).max())
        out[drawn], _ = sold_out(may[drawn], shown[drawn], count[drawn], slots)
    return out


def _shelves(rows: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first row of each shelf, and each row's shelf; rows lie shelf by shelf."""
    code = rows["trace_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    fresh = np.concatenate(([True], np.diff(code) != 0))
    return np.flatnonzero(fresh), np.cumsum(fresh) - 1


def _requests(then: Serving, rows: pa.Table) -> Requests:
    """Return the very requests behind logged shelves."""
    flat = {name: rows[name].combine_chunks() for name in rows.column_names}
    own = flat["personalised"].to_numpy(zero_copy_only=False)
    customer = np.where(own, then.index.rows(rows["customer_id"].to_pylist()), -1)
    tier = flat["city_tier"].cast(pa.float32()).to_numpy(zero_copy_only=False)
    return Requests(
        customer.astype(np.int32), flat["customer_id"], flat["consent_version"],
        flat["session_id"], flat["trace_id"], flat["at_us"].to_numpy(), flat["channel"],
        flat["scene"], flat["source"], flat["visit_cost_minor"].to_numpy(), tier,
        region=flat["region"], branch_id=flat["branch_id"],
    )  # fmt: skip


def _worths(
    serving: Serving, requests: Requests, of: NDArray[np.int64], product: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return what the value of each row needs: worth, share of the payout that counts; NaN unknown.

    The share is min(E[payout], β·max(a, 0)) ÷ E[payout], by the model asked about.
    """
    from jinqiao.engines.worth import expected_payout, pair_value
    from jinqiao.shelf.scoring import score

    goods, rule = product.astype(np.int32), serving.settings
    told = score(serving, requests, of, goods)
    payout, stage = serving.payout_minor[product], serving.paid_stage[product]
    paid = expected_payout(told.chances, payout, stage)
    both = (
        pair_value(told.chances, told.worth_minor, payout, stage, rule.refusal_harm_minor, beta)
        for beta in (rule.beta, 0.0)
    )  # fmt: skip
    counted = np.subtract(*both)
    share = np.divide(counted, paid, out=np.zeros_like(paid), where=paid > 0)
    own = requests.personalised[of]
    return np.column_stack((np.where(own, told.worth_minor, np.nan), np.where(own, share, np.nan)))


def _known(
    then: Serving, requests: Requests, of: NDArray[np.int64], position: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return what was known of each row, (n, k): place, moment, profile; NaN where unknown."""
    own, customer = requests.personalised, np.maximum(requests.customer, 0)
    columns = [requests.at_us // _HOUR_US % 24, own, requests.city_tier]
    for texts in (requests.channel, requests.scene, requests.source):
        columns.append(np.array([sum(t.encode()) % 997 for t in texts.to_pylist()]))
    for name in _FEATURES:
        if name in then.profiles.column_names and then.profiles.num_rows:
            values = then.profiles[name].cast(pa.float64()).to_numpy(zero_copy_only=False)
            columns.append(np.where(own, np.asarray(values, np.float64)[customer], np.nan))
    known = np.column_stack([np.asarray(column, np.float64) for column in columns])
    return np.column_stack((position, known[of]))


def _joined(parts: list[Matched], left_out: Mapping[str, int]) -> Matched:
    arrays = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("target", "action", "known", "features")
    }
    rows = pa.concat_tables([part.rows for part in parts])
    return Matched(
        rows, arrays["target"], arrays["action"], arrays["known"], arrays["features"],
        parts[0].product_ids, dict(left_out),
    )  # fmt: skip


def _count(left_out: dict[str, int], why: str, rows: pa.Table) -> None:
    shelves = pc.count_distinct(rows["trace_id"]).as_py()
    if shelves:
        left_out[why] = left_out.get(why, 0) + shelves
