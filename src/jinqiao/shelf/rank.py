"""One verb: shelves for one request or ten thousand, by the same code."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jinqiao.errors import InputError
from jinqiao.shelf.choose import Candidates, Placed, choose, choose_evenly, draws
from jinqiao.shelf.kernel import caps_of
from jinqiao.shelf.requests import Requests
from jinqiao.shelf.scoring import Scores, candidates, placed_scores, score
from jinqiao.shelf.serving import Serving
from jinqiao.shelf.shelves import Shelves

__all__ = ["POLICIES", "caps_of", "rank"]

POLICIES = ("plan", "random")


def rank(
    serving: Serving,
    requests: Requests,
    *,
    left: NDArray[np.generic] | None = None,
    stopped: NDArray[np.bool_] | None = None,
    policy: str = "plan",
) -> Shelves:
    """Return a shelf for every request.

    Parameters
    ----------
    left : (P,) units left of each product's tightest limit, or (r, P) where requests differ in it
        (branches); None means no limit.
    stopped : (P,) bool, products taken off since the snapshot was made.
    policy : ``plan`` ranks by value − price, with a learning slot; ``random`` draws evenly among
        what may be shown.

    A request without a profile or without consent is ranked by popularity, one product a class, and
    no profile is read. Draws depend on the settings' seed and the trace id alone, so a request gets
    the same shelf alone or among ten thousand.

    Raises
    ------
    InputError : an unknown policy, ``left`` or ``stopped`` not (P,), or a row outside the profiles.
    """
    _check(serving, requests, left, stopped, policy)
    if len(requests) == 1 and policy == "plan" and serving.settings.slots > 0:
        return serving.decider.decide(requests, left, stopped)
    return _many(serving, requests, left, stopped, policy)


def _many(
    serving: Serving,
    requests: Requests,
    left: NDArray[np.generic] | None,
    stopped: NDArray[np.bool_] | None,
    policy: str,
) -> Shelves:
    """Return the same for any number of requests, by the vectorised path."""
    found = candidates(serving, requests, left, stopped)
    words = draws(requests.trace_id.to_pylist(), serving.settings.seed)
    if policy == "random":
        placed = choose_evenly(found, words, slots=serving.settings.slots)
        top = score(serving, requests, placed.request, found.product[placed.candidate])
    else:
        scores = score(serving, requests, found.request, found.product)
        placed = _by_score(serving, requests, found, scores, words)
        top = scores.take(placed.candidate)
    product = found.product[placed.candidate]
    there = placed_scores(serving, requests, (placed.request, product, placed.position), top)
    n_candidates = np.diff(found.start).astype(np.int32)
    return Shelves(
        serving, requests, policy, placed, product, top, there, n_candidates, found.closed
    )


def _check(
    serving: Serving,
    requests: Requests,
    left: NDArray[np.generic] | None,
    stopped: NDArray[np.bool_] | None,
    policy: str,
) -> None:
    if policy not in POLICIES:
        raise InputError(f"no policy {policy!r}", field="policy", fix=f"one of {POLICIES}")
    for name, array in (("left", left), ("stopped", stopped)):
        shapes: list[tuple[int, ...]] = [(serving.n_products,)]
        if name == "left":
            shapes.append((len(requests), serving.n_products))
        if array is not None and np.shape(array) not in shapes:
            raise InputError(f"{np.shape(array)} for {serving.n_products} products", field=name)
    rows = requests.customer
    if len(rows) and (rows.min() < -1 or rows.max() >= serving.profiles.num_rows):
        raise InputError("a row outside the profiles", field="customer", fix="−1 for nobody known")


def _by_score(
    serving: Serving,
    requests: Requests,
    found: Candidates,
    scores: Scores,
    words: NDArray[np.uint64],
) -> Placed:
    """Return the plan's shelves: two sets of caps, one for those whose profile is read."""
    known = requests.personalised
    if known.all() or not known.any():
        return _chosen(serving, found, scores.score_minor, words, personal=bool(known.all()))
    parts = []
    for personal in (True, False):
        rows = np.flatnonzero(known == personal)
        pairs = np.flatnonzero(known[found.request] == personal)
        start = np.concatenate(([0], np.cumsum(np.diff(found.start)[rows])))
        part = Candidates(start.astype(np.int64), found.product[pairs])
        one = _chosen(serving, part, scores.score_minor[pairs], words[rows], personal=personal)
        parts.append((rows[one.request], pairs[one.candidate], one))
    order = np.argsort(np.concatenate([part[0] for part in parts]), kind="stable")

    def joined(arrays: list[NDArray[Any]]) -> Any:
        return np.concatenate(arrays)[order]

    return Placed(
        joined([p[0] for p in parts]), joined([p[1] for p in parts]),
        joined([p[2].position for p in parts]), joined([p[2].display_probability for p in parts]),
        joined([p[2].drawn for p in parts]),
    )  # fmt: skip


def _chosen(
    serving: Serving,
    found: Candidates,
    score_minor: NDArray[np.float64],
    words: NDArray[np.uint64],
    *,
    personal: bool,
) -> Placed:
    """Return shelves of one kind: a profile's score must be above 0, popularity need not."""
    rule = serving.settings
    return choose(
        found, score_minor, words, caps_of(serving, personal=personal), slots=rule.slots,
        exploration_share=rule.exploration_share, least=0.0 if personal else -np.inf,
    )  # fmt: skip
