"""One request's shelf by one short path: bit for bit the shelf that the batch would make.

P products, m candidates, K slots. What a snapshot decides is laid out once; of a request are left
its customer's bits, the moment's schedule, one call for the chances at the top, the money, the
places, and one call for the chances where offers stand. Nothing here is a second rule: money and
places are the batch's own loops, the schedule is asked of ``Schedules``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.worth import payout_of, value_of
from jinqiao.shelf.choose import Caps, Placed, choose_one, draws
from jinqiao.shelf.scoring import Scores
from jinqiao.shelf.serving import CLASSES, ZONES, Schedules, Serving
from jinqiao.shelf.shelves import Shelves

if TYPE_CHECKING:
    from jinqiao.shelf.requests import Requests

__all__ = ["Decider", "caps_of"]

_QUARTER_US = 900_000_000
_KEPT_MOMENTS = 1_024
_NO_CAP = np.iinfo(np.int64).max


class Decider:
    """A serving laid out for single requests. Verbs may be called from several threads."""

    def __init__(self, serving: Serving) -> None:
        self.serving = serving
        self._asks = getattr(serving.chances, "ask", None)
        self._caps = {own: caps_of(serving, personal=own) for own in (True, False)}
        always = np.full(serving.n_products, np.iinfo(np.int64).max)
        self._hours: Schedules = replace(
            serving.schedules, first_us=np.full_like(always, np.iinfo(np.int64).min),
            last_us=always,
        )  # fmt: skip
        self._open: dict[tuple[int, str, str | None, bool], NDArray[np.bool_]] = {}
        off = serving.products["stopped"].to_numpy(zero_copy_only=False)
        self._on = ~np.asarray(off, np.bool_)
        self._all = np.packbits(serving.open_to_all)
        rule, prices, worths = serving.settings, serving.prices, serving.worths
        self._goods = (
            serving.class_code, serving.comparable_cost_minor, serving.payout_minor,
            serving.paid_stage, worths.benefit_minor, prices.count,
            prices.cost, prices.approval, float(rule.refusal_harm_minor), float(rule.beta),
        )  # fmt: skip

    def decide(
        self,
        requests: Requests,
        left: NDArray[np.generic] | None,
        stopped: NDArray[np.bool_] | None,
    ) -> Shelves:
        """Return the shelf of one request under the policy ``plan``; see ``shelf.rank``."""
        serving, rule = self.serving, self.serving.settings
        row = int(requests.customer[0])
        own = row >= 0 and bool(requests.consent_version[0].is_valid)
        bits = serving.allowed[row] if own else self._all
        goods, may, closed = self._candidates(bits, requests, left, stopped)
        word = draws([requests.trace_id[0].as_py()], rule.seed)[0]
        asked = self._asks(row, requests) if own and self._asks is not None else None
        scores = self._scores(requests, goods, (row, may) if own else None, asked)
        placed = choose_one(
            goods, scores.score_minor, word, self._caps[own], slots=rule.slots,
            exploration_share=rule.exploration_share, least=0.0 if own else -np.inf,
        )  # fmt: skip
        top = scores.take(placed.candidate)
        product = goods[placed.candidate]
        there = self._there(requests, product, placed, top, asked) if own else top
        count = np.array([len(goods)], np.int32)
        return Shelves(serving, requests, "plan", placed, product, top, there, count, closed)

    def _candidates(
        self,
        bits: NDArray[np.uint8],
        requests: Requests,
        left: NDArray[np.generic] | None,
        stopped: NDArray[np.bool_] | None,
    ) -> tuple[NDArray[np.int32], NDArray[np.bool_], NDArray[np.uint8]]:
        """Return the candidates, what the customer may see, and the bits of what is closed."""
        schedules, at = self.serving.schedules, int(requests.at_us[0])
        on = self._open_at(at, requests) & self._on
        if left is not None:
            on &= np.asarray(left).reshape(-1) > 0
        if stopped is not None:
            on &= ~np.asarray(stopped, np.bool_)
        most = self.serving.settings.frequency_most
        if most and requests.shown_before is not None:
            on &= requests.shown_before[0] < most
        goods, may = np.empty(len(on), np.int32), np.empty(len(on), np.bool_)
        n = _found(bits, on, schedules.first_us, schedules.last_us, at, may, goods)
        return goods[:n], may, np.packbits(~on)[None]

    def _open_at(self, at: int, requests: Requests) -> NDArray[np.bool_]:
        """Return what hours, channel and region leave on offer, (P,); kept by the quarter."""
        channel = requests.channel[0].as_py()
        region = None if requests.region is None else requests.region[0].as_py()
        key = (at // _QUARTER_US, channel, region, requests.region is None)
        found = self._open.get(key)
        if found is None:
            if len(self._open) >= _KEPT_MOMENTS:
                self._open.clear()
            place = None if requests.region is None else [region]
            found = self._hours.open(np.array([at]), [channel], place)[0]
            self._open[key] = found
        return found

    def _scores(
        self,
        requests: Requests,
        goods: NDArray[np.int32],
        known: tuple[int, NDArray[np.bool_]] | None,
        asked: Any,
    ) -> Scores:
        """Return the scores of candidates at the top; ``known``: the row and what it may see."""
        serving, m = self.serving, len(goods)
        chances = serving.base_chances[goods]
        if known is None:
            value = serving.popularity[goods]
            return Scores(chances, np.zeros(m), value, np.zeros(m))
        row, may = known
        if asked is not None:
            chances = asked.chances(goods)
        elif serving.chances is not None and m:
            zero, at_top = np.zeros(m, np.int32), np.ones(1, np.int8)
            chances = serving.chances(zero + requests.customer[0], goods, requests, zero, at_top)
        money = np.empty((3, m))
        least = _least(may, self._goods[0], self._goods[1], len(CLASSES))
        _money(chances, goods, least, serving.prices.segment[row], *self._goods, money)
        return Scores(chances, money[0], money[1], money[2])

    def _there(
        self, requests: Requests, product: NDArray[np.int32], placed: Placed, top: Scores,
        asked: Any,
    ) -> Scores:  # fmt: skip
        """Return the scores of offers where they stand."""
        serving = self.serving
        if len(product) < 2 or serving.chances is None:
            return top
        moved, position = product[1:], placed.position[1:]
        if asked is not None:
            found = asked.chances(moved, position)
        else:
            each = np.arange(len(moved), dtype=np.int32)
            found = serving.chances(
                each * 0 + requests.customer[0], moved, requests.take(each * 0), each, position
            )
        chances, money = top.chances.copy(), np.empty((3, len(product)))
        chances[1:] = found
        money[0], money[1, 0], money[2, 0] = (
            top.worth_minor, top.value_minor[0], top.price_minor[0],
        )  # fmt: skip
        row = serving.prices.segment[requests.customer[0]]
        _money(found, moved, _NONE, row, *self._goods, money[:, 1:])
        return Scores(chances, top.worth_minor, money[1], money[2])


_NONE = np.empty(0)


def caps_of(serving: Serving, *, personal: bool) -> Caps:
    """Return how many of a class, an institution and a zone may stand on one shelf."""
    rule = serving.settings
    codes = np.stack((serving.class_code, serving.house_code, serving.zone_code))
    sizes = codes.max(axis=1, initial=0) + 1
    zones = np.full(len(ZONES), _NO_CAP)
    zones[ZONES.index("risky")] = (rule.risky_most or _NO_CAP) if personal else 0
    class_most = rule.class_most if personal else 1
    return Caps(
        codes,
        (
            np.full(sizes[0], class_most or _NO_CAP),
            np.full(sizes[1], rule.institution_most or _NO_CAP),
            zones,
        ),
    )


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _found(bits, on, first_us, last_us, at, may, goods):  # type: ignore[no-untyped-def]
    """Fill in what the bits allow and, of it, what is on offer now; close what is not."""
    n = 0
    for p in range(on.size):
        may[p] = (bits[p >> 3] >> (7 - (p & 7))) & 1 == 1
        on[p] &= first_us[p] <= at < last_us[p]
        if may[p] and on[p]:
            goods[n] = p
            n += 1
    return n


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _least(may, class_code, cost, n_classes):  # type: ignore[no-untyped-def]
    """Return the least cost of each class the customer may have; inf where none."""
    least = np.full(n_classes, np.inf)
    for p in range(may.size):
        if may[p] and cost[p] < least[class_code[p]]:
            least[class_code[p]] = cost[p]
    return least


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _money(  # type: ignore[no-untyped-def]
    chances, goods, least, segment, class_code, cost, payout, stage, benefit, count, spend,
    approval, harm, beta, out,
):  # fmt: skip
    """Fill in worth, value and price, (3, m); without ``least`` the worth is there already."""
    for i in range(goods.size):
        p = goods[i]
        g = class_code[p]
        c = chances[i]
        if least.size:
            out[0, i] = max(benefit[g] * np.float64(c[3]) - max(cost[p] - least[g], 0.0), 0.0)
        out[1, i] = value_of(c, out[0, i], payout[p], stage[p], harm, beta)
        use = np.float64(c[0]) * np.float64(c[1])
        price = count[segment, p] * use
        price += spend[segment, p] * payout_of(c, payout[p], stage[p])
        price += approval[segment, p] * use * np.float64(c[2])
        out[2, i] = price
