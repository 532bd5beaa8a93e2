"""By which chance another policy shows each product in each place: plan, ladder, random.

Letters: r requests, K places, P products, m candidates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jinqiao.errors import InputError
from jinqiao.match import PriceTables
from jinqiao.shelf import Requests, Serving
from jinqiao.shelf.choose import Candidates, Caps, choose
from jinqiao.shelf.rank import caps_of
from jinqiao.shelf.scoring import candidates, score

__all__ = ["LADDER", "TARGETS", "Asked", "chances"]

LADDER = (
    "random_eligible", "popularity", "highest_payout", "expected_payout", "chain_greedy",
)  # fmt: skip
TARGETS = (*LADDER, "plan")

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Asked:
    """A policy by name, and the snapshot it is of: model, prices, rules. ``name`` is of TARGETS."""

    name: str
    serving: Serving

    def __post_init__(self) -> None:
        if self.name not in TARGETS:
            raise InputError(
                f"no policy {self.name!r}", field="policy", fix=f"one of {', '.join(TARGETS)}"
            )

    def as_of(self, then: Serving) -> tuple[Asked, NDArray[np.bool_]]:
        """Return the policy over the profiles and products of then, and what it does not know.

        The mask, (P,), marks products of then that the snapshot lacks: it cannot show them. A
        customer who is new to it pays the prices of the first segment.
        """
        from jinqiao.propensity import Scorer

        own = self.serving
        places = {name: i for i, name in enumerate(own.product_ids)}
        place = np.array([places.get(name, -1) for name in then.product_ids], np.int64)
        at = np.maximum(place, 0)
        rows = own.index.rows(then.profiles["customer_id"].to_pylist())
        segment = np.where(rows >= 0, own.prices.segment[np.maximum(rows, 0)], 0).astype(np.int32)
        tables = (own.prices.count, own.prices.cost, own.prices.approval)
        model = own.chances.model if isinstance(own.chances, Scorer) else None
        return Asked(self.name, replace(
            then, popularity=own.popularity[at], base_chances=own.base_chances[at],
            prices=PriceTables(segment, *(table[:, at] for table in tables)),
            worths=own.worths, settings=own.settings, versions=own.versions,
            chances=Scorer(model, then.profiles, then.products) if model else None,
        )), place < 0  # fmt: skip


def chances(
    asked: Asked, requests: Requests, *, stopped: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Return the exact chance of every product in every place, (r, K, P); 0 where a place is empty.

    ``stopped`` (P,) or (r, P): what may not be shown at all. The ladder keeps the rules of a shelf
    and fills every place it can; the plan leaves out what gains nothing and has its learning slot.
    """
    serving = asked.serving
    out = np.zeros(
        (len(requests), serving.settings.slots, serving.n_products), np.float32
    )  # fmt: skip
    for personal in (True, False):
        rows = np.flatnonzero(requests.personalised == personal)
        if len(rows):
            off = stopped[rows] if stopped is not None and stopped.ndim == 2 else stopped
            out[rows] = _of_kind(asked, requests.take(rows), off, personal)
    return out


def _of_kind(
    asked: Asked, requests: Requests, stopped: NDArray[np.bool_] | None, personal: bool
) -> NDArray[np.float32]:
    serving = asked.serving
    found = candidates(serving, requests, None, stopped)
    slots, caps = serving.settings.slots, caps_of(serving, personal=personal)
    if asked.name == "random_eligible":
        return _evenly(found, len(requests), slots, serving.n_products)
    plan = asked.name == "plan"
    placed = choose(
        found, _scores(asked, requests, found), np.zeros(len(requests), np.uint64), caps,
        slots=slots, exploration_share=0.0, least=0.0 if plan and personal else -np.inf,
    )  # fmt: skip
    shown = np.full((len(requests), slots), -1, np.int64)
    shown[placed.request, placed.position - 1] = found.product[placed.candidate]
    out = np.zeros((len(requests), slots, serving.n_products), np.float32)
    row, place = np.nonzero(shown >= 0)
    out[row, place, shown[row, place]] = 1.0
    share = serving.settings.exploration_share
    if plan and share > 0:
        _learning_slot(out, shown, _mask(found, out.shape), caps, share)
    return out


def _scores(asked: Asked, requests: Requests, found: Candidates) -> Floats:
    """Return what a deterministic policy ranks its candidates by, (m,)."""
    serving, product = asked.serving, found.product
    if asked.name == "popularity":
        return np.asarray(serving.base_chances[product, 0], np.float64)
    if asked.name == "highest_payout":
        return np.asarray(serving.payout_minor[product], np.float64)
    told = score(serving, requests, found.request, product)
    if asked.name == "expected_payout":
        return np.asarray(told.chances[:, 0] * serving.payout_minor[product], np.float64)
    return told.value_minor if asked.name == "chain_greedy" else told.score_minor


def _mask(found: Candidates, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return what each request may be shown, (r, P)."""
    out = np.zeros((shape[0], shape[2]), bool)
    out[found.request, found.product] = True
    return out


def _evenly(found: Candidates, r: int, slots: int, n_products: int) -> NDArray[np.float32]:
    """Return the chances of shelves drawn evenly without replacement: 1/n in every place filled."""
    shape = (r, slots, n_products)
    may = _mask(found, shape)
    n = may.sum(axis=1)
    even = np.where(may, 1.0 / np.maximum(n, 1)[:, None], 0.0).astype(np.float32)
    filled = np.arange(slots)[None, :] < n[:, None]
    return np.asarray(even[:, None, :] * filled[:, :, None], np.float32)


def _learning_slot(
    out: NDArray[np.float32], shown: NDArray[np.int64], may: NDArray[np.bool_], caps: Caps,
    share: float,
) -> None:  # fmt: skip
    """Spread ``share`` of the last place a shelf reaches over all that has room there, in place."""
    r, slots = shown.shape
    rows = np.arange(r)
    last = np.minimum((shown >= 0).sum(axis=1), slots - 1)
    room = may.copy()
    for place in range(slots - 1):
        above = np.flatnonzero((place < last) & (shown[:, place] >= 0))
        room[above, shown[above, place]] = False
    for codes, most in zip(caps.codes, caps.most, strict=True):
        taken = np.zeros((r, len(most)), np.int64)
        for place in range(slots - 1):
            above = np.flatnonzero((place < last) & (shown[:, place] >= 0))
            np.add.at(taken, (above, codes[shown[above, place]]), 1)
        room &= taken[:, codes] < most[codes]
    drawable = room.sum(axis=1)
    good = drawable > 0
    evenly = room[good] * (share / drawable[good])[:, None]
    out[rows[good], last[good]] = (1.0 - share) * out[rows[good], last[good]] + evenly
