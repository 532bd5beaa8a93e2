"""Shelves as arrays, as DECISIONS rows, and one of them as a record with reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jinqiao.domain.ids import CustomerId, InstitutionId, ProductId, TraceId
from jinqiao.domain.shelf import Offer, Shelf, Versions
from jinqiao.shelf.choose import Placed
from jinqiao.shelf.requests import Requests
from jinqiao.shelf.scoring import Scores
from jinqiao.shelf.serving import Serving

if TYPE_CHECKING:
    from jinqiao.domain.decision import Reason

__all__ = ["Shelves"]


@dataclass(frozen=True, eq=False)
class Shelves:
    """k offers on r shelves. ``placed``, ``product``, ``top``, ``there`` are in one order.

    ``top`` holds the numbers offers were ranked by, ``there`` those at the position they stand at.
    ``n_candidates`` (r,) counts what could have been shown; ``closed`` (r, ⌈P/8⌉) are packed bits
    of what was closed to everybody asking so: by time, place, stop, units left or frequency.
    """

    serving: Serving
    requests: Requests
    policy: str
    placed: Placed
    product: NDArray[np.int32]
    top: Scores
    there: Scores
    n_candidates: NDArray[np.int32]
    closed: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.requests)

    def offers_of(self, i: int) -> NDArray[np.int64]:
        """Return the offers of request i, top first."""
        request = self.placed.request
        return np.arange(*np.searchsorted(request, [i, i + 1]))

    def rows(self, *, received_us: int | None = None) -> pa.Table:
        """Return the decision log: one row an offer, in the columns of DECISIONS.

        ``received_us``: when the rows reached us; None means at the instant of each shelf.
        """
        at, asked = self.placed.request, self.requests
        where = pa.array(at)
        goods = self.serving.products.take(pa.array(self.product))
        known = asked.personalised[at]
        versions = self.serving.versions
        when = asked.at_us[at]
        arrived = when if received_us is None else np.full(len(at), received_us, np.int64)
        score = self.there.score_minor
        tier = asked.city_tier[at]
        as_of = np.full(len(at), self.serving.feature_as_of_us, np.int64)
        consent = asked.consent_version.take(where)

        def same(text: str) -> pa.Array:
            return pa.array([text], pa.string()).take(pa.array(np.zeros(len(at), np.int64)))

        chances = self.there.chances
        hidden = pa.array(~known)
        return pa.table({
            "trace_id": asked.trace_id.take(where),
            "position": pa.array(self.placed.position, pa.int8()),
            "customer_id": asked.customer_id.take(where),
            "session_id": asked.session_id.take(where),
            "occurred_at": _instant(when),
            "received_at": _instant(arrived),
            "product_id": goods["product_id"].combine_chunks(),
            "product_version": goods["product_version"].combine_chunks().cast(pa.int32()),
            "institution_id": goods["institution_id"].combine_chunks(),
            "policy": same(self.policy),
            "personalised": pa.array(known),
            "channel": asked.channel.take(where),
            "scene": asked.scene.take(where),
            "source": asked.source.take(where),
            "visit_cost_minor": pa.array(asked.visit_cost_minor[at], pa.int64()),
            "city_tier": pa.array(np.nan_to_num(tier), mask=np.isnan(tier)).cast(pa.int8()),
            "p_click": pa.array(chances[:, 0]),
            "p_application": pa.array(chances[:, 1]),
            "p_approval": pa.array(chances[:, 2]),
            "p_activation": pa.array(chances[:, 3]),
            "value_minor": pa.array(self.there.value_minor),
            "price_minor": pa.array(self.there.price_minor),
            "score_minor": pa.array(score),
            "display_probability": pa.array(self.placed.display_probability),
            "n_candidates": pa.array(self.n_candidates[at], pa.int32()),
            "feature_as_of": pa.array(as_of, mask=~known).cast(pa.timestamp("us")),
            "snapshot_version": same(versions.snapshot),
            "model_version": same(versions.model),
            "plan_version": same(versions.plan),
            "catalog_version": same(versions.catalog),
            "consent_version": _blank(consent, hidden),
            "region": _known(asked.region, where),
            "branch_id": _known(asked.branch_id, where),
            "closed": _closed(self.closed, at),
            "arms": _known(asked.arms, where),
        })  # fmt: skip

    def empty_rows(self, *, received_us: int | None = None) -> pa.Table:
        """Return the shelves that hold no offer, in the columns of EMPTY_SHELVES, with the reason.

        ``received_us`` as for ``rows``.
        """
        asked, versions = self.requests, self.serving.versions
        at = np.setdiff1d(np.arange(len(asked)), self.placed.request)
        where, when = pa.array(at), asked.at_us[at]
        arrived = when if received_us is None else np.full(len(at), received_us, np.int64)
        tier, known = asked.city_tier[at], asked.personalised[at]
        reason = np.where(self.n_candidates[at] > 0, "shelf_empty_no_gain", "shelf_empty_closed")

        def same(text: str) -> pa.Array:
            return pa.array([text] * len(at), pa.string())

        return pa.table({
            "trace_id": asked.trace_id.take(where),
            "customer_id": asked.customer_id.take(where),
            "session_id": asked.session_id.take(where),
            "occurred_at": _instant(when),
            "received_at": _instant(arrived),
            "policy": same(self.policy),
            "personalised": pa.array(known),
            "channel": asked.channel.take(where),
            "scene": asked.scene.take(where),
            "source": asked.source.take(where),
            "visit_cost_minor": pa.array(asked.visit_cost_minor[at], pa.int64()),
            "city_tier": pa.array(np.nan_to_num(tier), mask=np.isnan(tier)).cast(pa.int8()),
            "n_candidates": pa.array(self.n_candidates[at], pa.int32()),
            "reason": pa.array(reason.tolist(), pa.string()),
            "snapshot_version": same(versions.snapshot),
            "model_version": same(versions.model),
            "plan_version": same(versions.plan),
            "catalog_version": same(versions.catalog),
            "consent_version": _blank(asked.consent_version.take(where), pa.array(~known)),
            "region": _known(asked.region, where),
            "branch_id": _known(asked.branch_id, where),
            "arms": _known(asked.arms, where),
        })  # fmt: skip

    def record(self, i: int) -> Shelf:
        """Return one shelf as a record, every offer with its reasons."""
        from jinqiao.shelf.reasons import offer_reasons

        asked, own = self.requests, bool(self.requests.personalised[i])
        customer = asked.customer_id[i].as_py()
        consent = asked.consent_version[i].as_py() if own else None
        v = self.serving.versions
        return Shelf(
            TraceId(asked.trace_id[i].as_py()),
            CustomerId(customer) if customer else None,
            own,
            asked.context(i),
            Versions(v.snapshot, v.model, v.plan, v.catalog, consent),
            tuple(self._offer(int(k), offer_reasons(self, i, int(k))) for k in self.offers_of(i)),
            self.policy,
            arms=None if asked.arms is None else asked.arms[i].as_py(),
        )

    def _offer(self, k: int, reasons: tuple[Reason, ...]) -> Offer:
        p, chances = int(self.product[k]), self.there.chances[k]
        goods = self.serving.products
        return Offer(
            ProductId(goods["product_id"][p].as_py()),
            InstitutionId(goods["institution_id"][p].as_py()),
            int(goods["product_version"][p].as_py()), int(self.placed.position[k]),
            float(chances[0]), float(chances[1]), float(chances[2]), float(chances[3]),
            float(self.there.value_minor[k]), float(self.there.price_minor[k]),
            float(self.there.score_minor[k]), float(self.placed.display_probability[k]), reasons,
        )  # fmt: skip


def _instant(us: NDArray[np.int64]) -> pa.Array:
    return pa.array(us, pa.int64()).cast(pa.timestamp("us"))


def _closed(bits: NDArray[np.uint8] | None, rows: NDArray[np.int64]) -> pa.Array:
    """Return each row's bits as hex: requests of one moment share them, so a text a pattern."""
    if bits is None or not bits.shape[1]:
        return pa.nulls(len(rows), pa.string())
    if len(bits) == 1:
        return pa.array([bits.tobytes().hex()]).take(pa.array(np.zeros(len(rows), np.int64)))
    whole = np.ascontiguousarray(bits).view(f"V{bits.shape[1]}").ravel()
    patterns, code = np.unique(whole, return_inverse=True)
    texts = pa.array([pattern.tobytes().hex() for pattern in patterns], pa.string())
    return texts.take(pa.array(code.ravel()[rows]))


def _known(column: pa.Array | None, rows: pa.Array) -> pa.Array:
    return pa.nulls(len(rows), pa.string()) if column is None else column.take(rows)


def _blank(column: pa.Array, hidden: pa.Array) -> pa.Array:
    import pyarrow.compute as pc

    return pc.if_else(hidden, pa.scalar(None, column.type), column)
