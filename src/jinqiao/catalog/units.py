"""Units of limits: reserved at click-out, posted by a report, voided by a refusal, or expired.

Each verb has one form for one click and one for many. All are harmless when tried again: the caller
chooses the click's id, and what is done already is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from jinqiao.catalog.book import EXPIRED, POSTED, REFUSED, RESERVED, VOID, Book, Unit
from jinqiao.catalog.late import Claims, claims_of, free_units
from jinqiao.catalog.limits import LimitTerms, ProductTerms, headroom, terms_of
from jinqiao.domain.application import LimitMove
from jinqiao.domain.catalog import Catalog, Measure
from jinqiao.domain.decision import Decision, Reason
from jinqiao.domain.ids import ClickId
from jinqiao.domain.late import LateReports
from jinqiao.domain.stage import Stage
from jinqiao.domain.time import from_us, period_key
from jinqiao.errors import InputError
from jinqiao.store.base import Tx

__all__ = ["ORDER", "Reservation", "expire", "move", "post", "reserve", "reserve_many", "void"]

_HOUR_US = 3_600_000_000
OPEN_DAYS = 60
"""Once an application is reported, the units of its later stages are held so much longer."""
ORDER = {
    stage.value: place
    for place, stage in enumerate(
        (Stage.CLICK, Stage.PRE_APPROVAL, Stage.APPLICATION, Stage.APPROVAL, Stage.ACTIVATION,
         Stage.DISBURSEMENT, Stage.REPAYMENT, Stage.DEFAULT)
    )
}  # fmt: skip
"""Stages as they follow each other: a report of one implies those before it."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """A customer about to leave for an institution.

    ``payout_minor``: what to hold of money limits; None holds the most one paid unit can pay.
    """

    click_id: str
    product_id: str
    now_us: int
    branch_id: str | None = None
    payout_minor: int | None = None


def reserve(
    tx: Tx, catalog: Catalog, wanted: Reservation, late: LateReports | None = None
) -> Decision:
    """Return whether a click-out got one unit of every limit it counts against: all, or none.

    Not allowed: a limit has none left, or the product is unknown, stopped, not launched yet or
    withdrawn. The same click again gets the same answer. ``late``: how late reports come; so much
    is kept back for them (None: the flat ``headroom``).
    """
    return reserve_many(tx, catalog, [wanted], late)[0]


def reserve_many(
    tx: Tx, catalog: Catalog, wanted: Sequence[Reservation], late: LateReports | None = None
) -> list[Decision]:
    """Return the decision of each click-out, served in the order given, in one transaction."""
    terms = terms_of(catalog)
    book = Book(tx, (one.click_id for one in wanted))
    plans = [_plan(one, terms, catalog) for one in wanted]
    book.read((t.limit_id, key) for plan in plans for t, key in plan.limits)
    book.read_counters_of_units()
    kept = _Kept(book, late)
    decisions = [_reserved(book, plan, kept) for plan in plans]
    book.write()
    return decisions


def post(tx: Tx, click_id: str, stage: Stage, now_us: int, amount_minor: int | None = None) -> None:
    """Count a click's units as used, because ``stage`` was reported (and so those before it).

    ``amount_minor``: the money reported with it. A unit that has expired takes what is free in the
    period of its reservation; what is not free is listed by ``exceptions``.
    """
    move(tx, [LimitMove(ClickId(click_id), stage, "post", from_us(now_us), amount_minor)], now_us)


def void(tx: Tx, click_id: str, now_us: int, stage: Stage | None = None) -> None:
    """Give back a click's units of ``stage`` and later, posted ones too: it did not happen.

    ``stage`` None gives back only what is still reserved: the institution said no.
    """
    if stage is not None:
        move(tx, [LimitMove(ClickId(click_id), stage, "void", from_us(now_us))], now_us)
        return
    book = Book(tx, [click_id])
    book.read_counters_of_units()
    for unit in book.units.get(click_id, []):
        if unit["state"] == RESERVED:
            book.change(unit, now_us, state=VOID)
    book.write()


def move(tx: Tx, moves: Sequence[LimitMove], now_us: int) -> None:
    """Post, void and hold again many units in the order given, in one transaction.

    Clicks without units (products without limits) are passed over.
    """
    book = Book(tx, (one.click_id for one in moves))
    book.read_counters_of_units()
    for one in moves:
        if one.verb not in ("post", "void", "hold"):
            raise InputError(f"a unit is posted, voided or held, not {one.verb!r}", field="verb")
        place = ORDER[one.stage.value]
        for unit in book.units.get(one.click_id, []):
            if one.verb == "void":
                _void(book, unit, place, now_us)
            elif one.verb == "hold":
                _hold_again(book, unit, place, now_us)
            elif ORDER[unit["stage"]] <= place:
                _report(book, unit, one, now_us)
            else:
                _hold_longer(book, unit, now_us)
    book.write()


def expire(tx: Tx, now_us: int, *, limit: int = 100_000) -> int:
    """Give back every reserved unit whose hold has passed; return how many."""
    due = tx.find(
        "limit_units", {"state": RESERVED}, below={"expires_at": now_us + 1},
        order_by=("expires_at", "click_id", "limit_id"), limit=limit,
    )  # fmt: skip
    book = Book(tx, ())
    for unit in due:
        book.units.setdefault(unit["click_id"], []).append(unit)
    book.read_counters_of_units()
    for unit in due:
        book.change(unit, now_us, state=EXPIRED)
    book.write()
    return len(due)


@dataclass(frozen=True, slots=True)
class _Plan:
    wanted: Reservation
    terms: ProductTerms | None
    limits: tuple[tuple[LimitTerms, str], ...]
    refusal: Reason | None = None


def _plan(wanted: Reservation, terms: dict[str, ProductTerms], catalog: Catalog) -> _Plan:
    product = terms.get(wanted.product_id)
    refusal = _refusal(wanted, product, catalog)
    if product is None or refusal is not None:
        return _Plan(wanted, product, (), refusal)
    keyed = tuple(
        (one, period_key(wanted.now_us, one.limit.period, one.zone))
        for one in product.limits(wanted.branch_id)
    )
    return _Plan(wanted, product, keyed)


def _refusal(wanted: Reservation, terms: ProductTerms | None, catalog: Catalog) -> Reason | None:
    """Return why a product sells nothing now, limits aside."""
    if terms is None:
        code = "product_unknown"
    elif wanted.product_id in catalog.stopped:
        code = "product_stopped"
    elif not terms.on_sale(wanted.now_us):
        code = "product_not_offered"
    else:
        return None
    return Reason(code, MappingProxyType({"product_id": wanted.product_id}))


class _Kept:
    """What is kept back of limits for late reports; expired holds are looked at once an hour.

    A step of reservations leaves expired holds as they are.
    """

    def __init__(self, book: Book, late: LateReports | None) -> None:
        self.book, self.late = book, late
        self._known: dict[tuple[str, str, int], Claims] = {}

    def free(self, one: LimitTerms, key: str, now_us: int) -> int:
        """Return how much of a limit may still be reserved, units or minor units."""
        counter = self.book.counter(one.limit_id, key, one.limit.limit)
        unposted = one.limit.limit - counter["posted"]
        if self.late is None:
            return max(int(unposted - counter["reserved"]) - headroom(one.limit.limit), 0)
        return free_units(unposted, counter["reserved"], self._claims(self.late, one, key, now_us))

    def _claims(self, late: LateReports, one: LimitTerms, key: str, now_us: int) -> Claims:
        spot = (one.limit_id, key, now_us // _HOUR_US)
        if spot not in self._known:
            waiting = self.book.waiting(one.limit_id, key)
            hour = spot[2] * _HOUR_US
            self._known[spot] = claims_of(late, one.institution_id, one.limit, waiting, hour)
        return self._known[spot]


def _reserved(book: Book, plan: _Plan, kept: _Kept) -> Decision:
    earlier = book.units.get(plan.wanted.click_id)
    if earlier:
        return _told_before(earlier)
    if plan.refusal is not None or plan.terms is None:
        return Decision(False, "quota", (plan.refusal,) if plan.refusal else ())
    units = [_unit(plan.wanted, plan.terms, one, key) for one, key in plan.limits]
    reasons = []
    for unit, (one, key) in zip(units, plan.limits, strict=True):
        left = kept.free(one, key, plan.wanted.now_us)
        if unit["held"] > left:
            reasons.append(_none_left(unit, left))
    for unit in units:
        book.add(unit if not reasons else unit | {"state": REFUSED, "reserved_at": None})
    if not reasons:
        _post_clicks(book, units, plan.wanted.now_us)
    return Decision(not reasons, "quota", tuple(reasons))


def _told_before(units: Iterable[Unit]) -> Decision:
    """Return the answer of the first try; a unit refused then is refused now."""
    refused = [unit for unit in units if unit["reserved_at"] is None]
    reasons = tuple(_none_left(unit, 0) for unit in refused)
    return Decision(not refused, "quota", reasons)


def _unit(wanted: Reservation, terms: ProductTerms, one: LimitTerms, key: str) -> Unit:
    money = one.limit.measure is Measure.MONEY
    hold = terms.full_minor if wanted.payout_minor is None else wanted.payout_minor
    hold_us = terms.product.delivery.hold_hours * _HOUR_US
    return {
        "click_id": wanted.click_id,
        "limit_id": one.limit_id,
        "period_key": key,
        "institution_id": one.institution_id,
        "product_id": wanted.product_id,
        "measure": one.limit.measure.value,
        "stage": (terms.paid_stage if money else one.limit.stage).value,
        "state": RESERVED,
        "held": max(hold, 0) if money else 1,
        "posted": 0,
        "over": 0,
        "full": terms.full_minor if money else 1,
        "rate_bps": terms.rate_bps if money else None,
        "reserved_at": wanted.now_us,
        "expires_at": wanted.now_us + hold_us,
        "changed_at": wanted.now_us,
    }


def _none_left(unit: Unit, left: int) -> Reason:
    kind = "budget" if unit["measure"] == Measure.MONEY else "quota"
    numbers: dict[str, Any] = {
        "limit_id": unit["limit_id"], "period_key": unit["period_key"],
        "wanted": unit["held"], "left": left,
    }  # fmt: skip
    return Reason(f"{kind}_{unit['limit_id'].rsplit(':', 1)[1]}", MappingProxyType(numbers))


def _post_clicks(book: Book, units: Iterable[Unit], now_us: int) -> None:
    """Post at once what counts clicks: the customer has left."""
    for unit in units:
        if unit["stage"] == Stage.CLICK:
            _post(book, unit, unit["full"], now_us)


def _report(book: Book, unit: Unit, report: LimitMove, now_us: int) -> None:
    """Post a unit: 1, or the payout at the dearest tier of the money its own stage reports.

    A later stage implies this one but names other money, so it never restates what is posted.
    """
    own = unit["stage"] == report.stage.value
    if unit["state"] == POSTED and not own:
        return
    wanted = int(unit["full"])
    if unit["rate_bps"] is not None and own and report.amount_minor is not None:
        wanted = max(_share(report.amount_minor, unit["rate_bps"]), 0)
    _post(book, unit, wanted, now_us)


def _share(amount_minor: int, rate_bps: int) -> int:
    """Return amount × rate / 10,000, rounded half to even."""
    quotient, rest = divmod(amount_minor * rate_bps, 10_000)
    return quotient + (rest > 5_000 or (rest == 5_000 and quotient % 2 == 1))


def _post(book: Book, unit: Unit, wanted: int, now_us: int) -> None:
    if unit["state"] == POSTED and unit["posted"] + unit["over"] == wanted:
        return
    fits = min(wanted, book.free(unit))
    book.change(unit, now_us, state=POSTED, posted=fits, over=wanted - fits)


def _void(book: Book, unit: Unit, place: int, now_us: int) -> None:
    if ORDER[unit["stage"]] >= place and unit["state"] in (RESERVED, POSTED):
        book.change(unit, now_us, state=VOID, posted=0, over=0)


def _hold_again(book: Book, unit: Unit, place: int, now_us: int) -> None:
    """Hold a unit as before its report, which never happened; void where its place was taken."""
    if ORDER[unit["stage"]] != place or unit["state"] not in (POSTED, VOID):
        return
    state = RESERVED if book.free(unit) >= unit["held"] else VOID
    if unit["expires_at"] <= now_us:
        state = EXPIRED
    book.change(unit, now_us, state=state, posted=0, over=0)


def _hold_longer(book: Book, unit: Unit, now_us: int) -> None:
    until = now_us + OPEN_DAYS * 24 * _HOUR_US
    if unit["state"] == RESERVED and unit["expires_at"] < until:
        book.change(unit, now_us, expires_at=until)
