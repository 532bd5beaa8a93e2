"""Schedules, total cost and the yearly all-in rate of a product's own example, every fee counted.

Time: a term of ``term_days`` days (365 a year) is cut into n equal periods of about a month,
``n = max(1, round(term_days * 12 / 365))``; period k ends after ``k * term_days / n / 365`` years.
Interest of a period is ``balance * rate * length``. Amounts are whole minor units, rounded half to
even; the last instalment takes what rounding left over.

All-in rate: the yearly rate i at which the customer's flows discount to zero,
``sum(C_k * (1 + i) ** -t_k) = 0``: the APRC of Directive 2008/48/EC, Annex I, part I, and the
internal rate of return, compounded, of PBoC Announcement [2021] No. 3. Open-ended credit is drawn
in full on the first day and its capital repaid in equal monthly parts (Annex I, part II).

C: a flow as the customer sees it, + in and − out. k: period. t: years.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from jinqiao.errors import InputError

__all__ = [
    "AllIn",
    "FeeLike",
    "FeeRow",
    "Flow",
    "Instalment",
    "Terms",
    "all_in",
    "annual_rate",
    "instalments",
]

DAYS_A_YEAR = 365
MAX_TERM_DAYS = 50 * DAYS_A_YEAR
MAX_AMOUNT_MINOR = 10**13
_REPAYMENTS = (
    "equal_instalment", "equal_principal", "bullet", "interest_only", "revolving", "none",
)  # fmt: skip
_LOG_CEILING = math.log(1e9)
"""A yearly rate above a hundred thousand million percent is refused as having no answer."""


class FeeLike(Protocol):
    """One fee: ``charged`` is upfront, monthly, yearly, on_exit or per_event; an amount or a share.

    ``rate_bps`` is a share of the amount of the example, at each time the fee falls due.
    """

    @property
    def charged(self) -> str: ...
    @property
    def amount_minor(self) -> int | None: ...
    @property
    def rate_bps(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Terms:
    """One example of a product.

    Attributes
    ----------
    amount_minor : borrowed, or put in, on the first day; > 0.
    term_days : length, 1 to 18,250.
    rate_bps : nominal yearly rate; paid when borrowing, earned when saving.
    repayment : equal_instalment, equal_principal, bullet, interest_only, revolving or none.
    fees : every fee of every party; per_event fees are not counted.
    saving : whether the customer puts money in (deposit, fund) instead of borrowing it.
    """

    amount_minor: int
    term_days: int
    rate_bps: int
    repayment: str
    fees: tuple[FeeLike, ...] = ()
    saving: bool = False


@dataclass(frozen=True, slots=True)
class Instalment:
    """What falls due at the end of a period: ``day`` counts from the first day; minor units."""

    number: int
    day: int
    principal_minor: int
    interest_minor: int
    balance_minor: int

    @property
    def due_minor(self) -> int:
        return self.principal_minor + self.interest_minor


@dataclass(frozen=True, slots=True)
class FeeRow:
    """One fee over the whole term: ``index`` in the fees given, how often, how much in all."""

    index: int
    times: int
    each_minor: int
    total_minor: int
    counted: bool


@dataclass(frozen=True, slots=True)
class Flow:
    """Money to (+) or from (−) the customer at ``years`` from the first day."""

    years: float
    amount_minor: int


@dataclass(frozen=True, slots=True)
class AllIn:
    """What an example costs (or, saving, earns) with everything counted.

    Attributes
    ----------
    cost_minor : what the customer is poorer by at the end; negative when the product earns.
    interest_minor : interest paid (borrowing) or earned (saving), ≥ 0 for rates ≥ 0.
    fees_minor : every counted fee.
    total_minor : everything the customer pays (borrowing) or gets back (saving).
    annual_rate : the yearly all-in rate, 0.24 = 24 %; None where no money is lent or saved.
    annual_bps : the same in basis points, rounded half to even.
    instalments, fees, flows : how it comes about.
    """

    cost_minor: int
    interest_minor: int
    fees_minor: int
    total_minor: int
    annual_rate: float | None
    annual_bps: int | None
    instalments: tuple[Instalment, ...]
    fees: tuple[FeeRow, ...]
    flows: tuple[Flow, ...]


def all_in(terms: Terms) -> AllIn:
    """Return the cost of an example, every counted fee included.

    Raises InputError for terms out of range, or fees that leave nothing of the amount.

    >>> loan = Terms(1_000_000, 365, 1_200, "equal_instalment")
    >>> all_in(loan).annual_bps
    1268
    """
    _check(terms)
    schedule = instalments(terms)
    fees = tuple(_fee_row(terms, index, fee) for index, fee in enumerate(terms.fees))
    flows = _flows(terms, schedule, fees)
    interest = sum(part.interest_minor for part in schedule)
    charged = sum(row.total_minor for row in fees if row.counted)
    priced = terms.repayment != "none" or terms.saving
    rate = annual_rate(flows) if priced else None
    return AllIn(
        cost_minor=charged + (-interest if terms.saving else interest),
        interest_minor=interest,
        fees_minor=charged,
        total_minor=_total(terms, interest, charged, priced),
        annual_rate=rate,
        annual_bps=None if rate is None else round(rate * 10_000),
        instalments=schedule,
        fees=fees,
        flows=flows,
    )


def instalments(terms: Terms) -> tuple[Instalment, ...]:
    """Return what falls due period by period, fees apart; empty where nothing is lent or saved.

    A saving's single row is what comes back at the end: the amount and its interest.
    """
    _check(terms)
    if terms.saving:
        return _bullet(terms)
    match terms.repayment:
        case "none":
            return ()
        case "bullet":
            return _bullet(terms)
        case "interest_only":
            return _amortised(terms, [0] * (_periods(terms) - 1))
        case "equal_instalment":
            return _equal_instalments(terms)
        case _:
            n = _periods(terms)
            return _amortised(terms, [terms.amount_minor // n] * (n - 1))


def annual_rate(flows: Sequence[Flow]) -> float:
    """Return the yearly rate i > −1 at which flows discount to zero.

    The flows change sign once, so the root is unique: it is bracketed, then found by Newton steps
    that fall back to halving whenever they would leave the bracket. Raises InputError when there is
    no sign change (nothing is received, or nothing paid) or no rate below the ceiling.
    """
    if not any(f.amount_minor > 0 for f in flows) or not any(f.amount_minor < 0 for f in flows):
        raise InputError("flows of one sign have no rate", fix="check amount and fees")
    lower, upper = _bracket(flows)
    at_lower = _discounted(flows, lower)[0]
    x = min(max(0.0, lower), upper)
    for _ in range(200):
        value, slope = _discounted(flows, x)
        if value == 0.0 or upper - lower < 1e-15 * max(1.0, abs(x)):
            break
        if (value < 0.0) == (at_lower < 0.0):
            lower = x
        else:
            upper = x
        step = x - value / slope if slope else math.nan
        x = step if lower < step < upper else (lower + upper) / 2
    return math.expm1(x)


def _bracket(flows: Sequence[Flow]) -> tuple[float, float]:
    """Return log-rates on both sides of the root: widened from zero, doubling."""
    width = 0.25
    while width <= _LOG_CEILING:
        below, above = _discounted(flows, -width)[0], _discounted(flows, width)[0]
        if below == 0.0 or above == 0.0 or (below < 0.0) != (above < 0.0):
            return -width, width
        width *= 2
    raise InputError("no yearly rate makes these flows even", fix="check amount and fees")


def _discounted(flows: Sequence[Flow], x: float) -> tuple[float, float]:
    """Return the discounted sum and its slope at log-rate ``x = ln(1 + i)``."""
    value = slope = 0.0
    for flow in flows:
        # exp can only overflow for a rate near −100 %; the bracket never goes that far in years.
        part = flow.amount_minor * math.exp(min(-x * flow.years, 700.0))
        value += part
        slope -= flow.years * part
    return value, slope


def _check(terms: Terms) -> None:
    if not 0 < terms.amount_minor <= MAX_AMOUNT_MINOR:
        raise InputError("an example needs an amount above 0", field="amount_minor")
    if not 0 < terms.term_days <= MAX_TERM_DAYS:
        raise InputError(f"a term is 1 to {MAX_TERM_DAYS} days", field="term_days")
    if not 0 <= terms.rate_bps <= 1_000_000:
        raise InputError("a rate is 0 to 1,000,000 bps", field="rate_bps")
    if terms.repayment not in _REPAYMENTS:
        raise InputError(
            f"no repayment {terms.repayment!r}",
            field="repayment",
            fix=f"use one of {', '.join(_REPAYMENTS)}",
        )


def _periods(terms: Terms) -> int:
    return max(1, round(terms.term_days * 12 / DAYS_A_YEAR))


def _half_even(amount_minor: int, numerator: int, denominator: int) -> int:
    """Return amount × numerator / denominator in whole minor units, rounded half to even."""
    quotient, rest = divmod(amount_minor * numerator, denominator)
    twice = 2 * rest
    return quotient + (twice > denominator or (twice == denominator and quotient % 2 == 1))


def _interest(terms: Terms, balance_minor: int, n_periods: int) -> int:
    """Return the interest of one of n equal periods on a balance."""
    yearly = terms.rate_bps * terms.term_days
    return _half_even(balance_minor, yearly, 10_000 * DAYS_A_YEAR * n_periods)


def _bullet(terms: Terms) -> tuple[Instalment, ...]:
    interest = _interest(terms, terms.amount_minor, 1)
    return (Instalment(1, terms.term_days, terms.amount_minor, interest, 0),)


def _amortised(terms: Terms, principals: Sequence[int]) -> tuple[Instalment, ...]:
    """Return the schedule that repays the given principals, and the rest at the end."""
    n = len(principals) + 1
    balance, rows = terms.amount_minor, []
    for number in range(1, n + 1):
        principal = principals[number - 1] if number < n else balance
        interest = _interest(terms, balance, n)
        balance -= principal
        day = round(terms.term_days * number / n)
        rows.append(Instalment(number, day, principal, interest, balance))
    return tuple(rows)


def _equal_instalments(terms: Terms) -> tuple[Instalment, ...]:
    """Return the annuity: the payment is rounded once, the last instalment takes the residue."""
    n = _periods(terms)
    rate = terms.rate_bps * terms.term_days / (10_000 * DAYS_A_YEAR * n)
    factor = rate / -math.expm1(-n * math.log1p(rate)) if rate else 1 / n
    payment = round(terms.amount_minor * factor)
    balance, principals = terms.amount_minor, []
    for _ in range(n - 1):
        principal = min(balance, max(0, payment - _interest(terms, balance, n)))
        principals.append(principal)
        balance -= principal
    return _amortised(terms, principals)


def _fee_row(terms: Terms, index: int, fee: FeeLike) -> FeeRow:
    if fee.amount_minor is not None:
        each = fee.amount_minor
    else:
        each = _half_even(terms.amount_minor, fee.rate_bps or 0, 10_000)
    times = len(_fee_times(terms, str(fee.charged)))
    return FeeRow(index, times, each, times * each, str(fee.charged) != "per_event")


def _fee_times(terms: Terms, charged: str) -> tuple[float, ...]:
    """Return when a fee falls due, in years; a yearly fee at the start of each year begun."""
    years = terms.term_days / DAYS_A_YEAR
    match charged:
        case "upfront":
            return (0.0,)
        case "monthly":
            n = _periods(terms)
            return tuple(years * number / n for number in range(1, n + 1))
        case "yearly":
            return tuple(float(year) for year in range(math.ceil(years)))
        case "on_exit":
            return (years,)
        case "per_event":
            return ()
    raise InputError(f"no fee is charged {charged!r}", field="charged")


def _flows(
    terms: Terms, schedule: Iterable[Instalment], fees: Iterable[FeeRow]
) -> tuple[Flow, ...]:
    """Return the customer's flows, one a moment, in order of time."""
    sums: dict[float, int] = {}
    rows, sign = tuple(schedule), -1 if terms.saving else 1
    if rows:
        sums[0.0] = sign * terms.amount_minor
    years = terms.term_days / DAYS_A_YEAR
    for part in rows:
        at = years * part.number / len(rows)
        sums[at] = sums.get(at, 0) - sign * part.due_minor
    for row in fees:
        for at in _fee_times(terms, str(terms.fees[row.index].charged)):
            sums[at] = sums.get(at, 0) - row.each_minor
    if rows and not terms.saving and sums[0.0] <= 0:
        raise InputError("fees on the first day leave nothing of the amount", field="fees")
    return tuple(Flow(at, sums[at]) for at in sorted(sums))


def _total(terms: Terms, interest_minor: int, fees_minor: int, priced: bool) -> int:
    if not priced:
        return fees_minor
    if terms.saving:
        return terms.amount_minor + interest_minor - fees_minor
    return terms.amount_minor + interest_minor + fees_minor
