"""Bank and wallet accounts of a block of people, as a bank or wallet shows them.

Everything reconciles: a balance is the opening balance plus the rows so far; a wallet is fed by
equal and opposite rows of the bank account; an instalment is that of a debt, and stops when the
debt is paid. Letters: n people, r rows; instants in microseconds, money in minor units.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from jinqiao.domain.ledger import CATEGORIES
from jinqiao.synthetic.circles import first_days, go_round, made_up, no_history
from jinqiao.synthetic.draws import stream
from jinqiao.synthetic.moments import before_sales
from jinqiao.synthetic.people import (
    AFFLUENT,
    BONUS,
    FAMILY,
    GIG,
    JOB_LOSS,
    MERCHANT,
    RETIRED,
    STUDENT,
    YOUNG,
    People,
)
from jinqiao.synthetic.rows import BANK, WALLET, Calendar, Lines, Rows, finish
from jinqiao.synthetic.spec import Spec

__all__ = ["Debts", "debts_of", "ledger_lines"]

CODE = {name: number for number, name in enumerate(CATEGORIES)}


@dataclass(frozen=True, slots=True)
class _Habit:
    """``share`` of the budget, ``rate`` of payments a month, ``taste`` column and its pull."""

    share: float
    rate: float
    wallet: float
    taste: int = -1
    pull: float = 0.0


_HABITS = {
    "groceries": _Habit(0.26, 2.1, 0.8),
    "dining": _Habit(0.20, 2.2, 0.9),
    "transport": _Habit(0.07, 1.1, 0.9),
    "household": _Habit(0.06, 0.4, 0.6),
    "shopping": _Habit(0.18, 1.4, 0.75, 0, 0.55),
    "entertainment": _Habit(0.05, 0.4, 0.8, 1, 0.35),
    "travel": _Habit(0.06, 0.2, 0.3, 1, 0.60),
    "health": _Habit(0.04, 0.25, 0.5, 2, 0.55),
    "education": _Habit(0.04, 0.2, 0.3, 3, 0.65),
    "gambling": _Habit(0.02, 0.3, 0.9, 4, 0.85),
    "cash_out": _Habit(0.04, 0.25, 0.0),
}


@dataclass(frozen=True, slots=True)
class Debts:
    """What people owed on the first day of the ledger: one row a debt.

    ``person`` (d,) is the row within the block. From then on ``left`` instalments fall due, one a
    month on ``day`` of the month.
    """

    person: NDArray[np.int64]
    category: NDArray[np.int64]
    instalment_minor: NDArray[np.int64]
    left: NDArray[np.int64]
    day: NDArray[np.int64]


def debts_of(people: People, seed: int, block: int) -> Debts:
    """Return the debts behind a block's instalments: a mortgage of owners, one other debt."""
    rng = stream(seed, "debts", block)
    n = len(people)
    draws = rng.random((3, 1_000))[:, :n]
    home = np.where(people.owner, np.minimum(0.15, people.burden), 0.0)
    other = people.burden - home
    parts = []
    for category, share in (("mortgage", home), ("loan_instalment", other)):
        rows = np.flatnonzero(share > 0.01)
        amount = np.round(share[rows] * people.income_minor[rows] / 100).astype(np.int64) * 100
        months = 120 if category == "mortgage" else 3 + np.floor(draws[0, rows] * 33)
        left = np.broadcast_to(months, rows.shape).astype(np.int64)
        if category == "mortgage":
            code, day = np.full(len(rows), CODE["mortgage"]), np.full(len(rows), 20)
        else:
            card = draws[1, rows] < 0.35
            code = np.where(card, CODE["card_repayment"], CODE["loan_instalment"])
            day = 1 + np.floor(draws[2, rows] * 28).astype(np.int64)
        parts.append((rows, code, amount, left, day))
    return Debts(*[np.concatenate(column) for column in zip(*parts, strict=True)])


def ledger_lines(people: People, spec: Spec, seed: int, block: int, start_us: int) -> Lines:
    """Return every ledger row of a whole block of people."""
    calendar = Calendar.of(spec, start_us)
    maker = _Maker(people, spec, calendar, stream(seed, "ledger", block), Rows())
    maker.income()
    maker.commitments(debts_of(people, seed, block))
    maker.spending()
    maker.wealth()
    maker.mishaps()
    maker.sales()
    go_round(people, calendar, stream(seed, "circle", block), maker.rows)
    made_up(people, calendar, maker.rows)
    opening = np.stack(
        (np.round(people.liquidity * people.income_minor / 100) * 100, np.full(len(people), 5_000))
    ).astype(np.int64)
    opening[:, no_history(people)] = 0
    arrivals = stream(seed, "arrival", block)
    return finish(maker.rows, opening, calendar, arrivals, first_days(people, calendar))


@dataclass(slots=True)
class _Maker:
    people: People
    spec: Spec
    calendar: Calendar
    rng: np.random.Generator
    rows: Rows
    budget: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        p = self.people
        rent = np.where(p.renter, 0.22, 0.0)
        save = 0.04 + 0.30 * p.thrift
        living = np.clip(1.0 - p.burden - rent - save, 0.15, 0.8)
        scale = np.where(p.type == MERCHANT, 0.30, 1.0)
        self.budget = living * p.income_minor * scale

    def _monthly(
        self, who: NDArray[np.bool_], day: NDArray[np.int64] | int, amount: NDArray[np.float64],
        category: str, second: int = 36_000,
    ) -> None:  # fmt: skip
        """Add a row a month for each person marked; ``amount`` (n, months) in whole yuan."""
        rows = np.flatnonzero(who)
        days = self.calendar.on_day(np.broadcast_to(day, len(who))[rows])
        money = np.round(amount[rows] / 100).astype(np.int64) * 100
        person = np.repeat(rows, self.calendar.months)
        self.rows.add(
            person, days.ravel(), second + person % 3_600, money.ravel(), CODE[category], BANK
        )

    def income(self) -> None:
        p, months = self.people, self.calendar.months
        noise = 1.0 + 0.5 * p.volatility[:, None] * self.rng.standard_normal((len(p), months))
        pay = p.income_minor[:, None].astype(np.float64) * np.maximum(noise, 0.3)
        employed = np.isin(p.type, (YOUNG, FAMILY, AFFLUENT))
        payday = p.payday.astype(np.int64)
        days = self.calendar.on_day(payday)
        lost = (p.shock == JOB_LOSS)[:, None] & (days >= p.shock_day[:, None])
        self._monthly(employed, payday, np.where(lost, 0.0, pay), "salary")
        self._monthly(p.type == RETIRED, payday, pay, "pension")
        self._monthly(p.type == STUDENT, payday, pay, "transfer_in")
        self._irregular(p.type == GIG, 6.0, "gig_income")
        self._irregular(p.type == MERCHANT, 10.0, "business_income")
        won = np.flatnonzero((p.shock == BONUS) & self.calendar.inside(p.shock_day))
        when, second = p.shock_day[won].astype(np.int64), np.full(len(won), 36_500)
        self.rows.add(won, when, second, p.income_minor[won] * 3, CODE["salary"], BANK)

    def _irregular(self, who: NDArray[np.bool_], rate: float, category: str) -> None:
        p = self.people
        person, day, second = self._events(np.where(who, rate, 0.0))
        factor = np.exp(0.6 * self.rng.standard_normal(len(person)) - 0.18)
        amount = np.round(p.income_minor[person] / rate * factor / 10).astype(np.int64) * 10
        lost = (p.shock[person] == JOB_LOSS) & (day >= p.shock_day[person])
        amount[lost] //= 3
        self.rows.add(person, day, second, amount, CODE[category], BANK, party=900 + person % 97)

    def commitments(self, debts: Debts) -> None:
        p, months = self.people, self.calendar.months
        flat = np.ones((1, months))
        self._monthly(p.renter, 3, -0.22 * p.income_minor[:, None] * flat, "rent", 40_000)
        power = 1.0 + 0.3 * self.rng.standard_normal((len(p), months))
        bill = -0.015 * self.budget[:, None] * np.maximum(power, 0.3) - 3_000
        self._monthly(p.type != STUDENT, 12, bill, "utilities", 50_000)
        days = self.calendar.on_day(debts.day)
        turn = np.cumsum(self.calendar.inside(days), axis=1)
        due = self.calendar.inside(days) & (turn <= debts.left[:, None])
        who, month = np.nonzero(due)
        person = debts.person[who]
        amount = -debts.instalment_minor[who]
        self.rows.add(person, days[who, month], 30_000 + person % 3_600, amount,
                      debts.category[who], BANK, party=800 + who % 89)  # fmt: skip
        insured = self.rng.random(len(p)) < 1 / (
            1 + np.exp(-(-0.9 + 0.8 * p.tastes[:, 2] + (p.type == FAMILY)))
        )
        premium = 0.018 * p.income_minor * np.exp(0.35 * p.tastes[:, 2])
        self._monthly(insured, 8, -premium[:, None] * flat, "insurance_premium", 33_000)

    def _events(
        self, rate: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return person, day and second of Poisson events, ``rate`` (n,) a month."""
        count = self.rng.poisson(rate * self.calendar.days / 30.4)
        person = np.repeat(np.arange(len(rate)), count)
        day = self.calendar.draw(self.rng.random(len(person)))
        hour = np.clip(
            self.people.hour[person] + 3.5 * self.rng.standard_normal(len(person)), 0, 23.99
        )
        return person, day, (hour * 3_600).astype(np.int64)

    def spending(self) -> None:
        p = self.people
        pull = np.column_stack((p.tastes, p.risk_seen / 0.8))
        pulls = {
            name: np.exp(h.pull * pull[:, h.taste]) if h.pull else np.ones(len(p))
            for name, h in _HABITS.items()
        }
        whole = sum(h.share * pulls[name] for name, h in _HABITS.items())
        for name, habit in _HABITS.items():
            often = np.sqrt(pulls[name])
            person, day, second = self._events(habit.rate * often * np.minimum(p.visits**0.2, 1.5))
            mean = self.budget * habit.share * pulls[name] / whole / (habit.rate * often)
            amount = mean[person] * np.exp(0.55 * self.rng.standard_normal(len(person)) - 0.15)
            money = np.maximum(np.round(amount / 10).astype(np.int64) * 10, 100)
            poor = (p.shock[person] == JOB_LOSS) & (day >= p.shock_day[person])
            keep = ~poor | (self.rng.random(len(person)) < 0.65)
            account = np.where(self.rng.random(len(person)) < habit.wallet, WALLET, BANK)
            party = CODE[name] * 40 + self.rng.integers(0, 40, len(person))
            self.rows.add(
                person[keep], day[keep], second[keep], -money[keep], CODE[name], account[keep],
                party=party[keep],
            )  # fmt: skip
            if name == "shopping":
                self._refunds(person[keep], day[keep], money[keep], account[keep], party[keep])

    def _refunds(
        self, person: NDArray[np.int64], day: NDArray[np.int64], money: NDArray[np.int64],
        account: NDArray[np.int64], party: NDArray[np.int64],
    ) -> None:  # fmt: skip
        back = (self.rng.random(len(person)) < 0.05) & self.calendar.inside(day + 4)
        self.rows.add(person[back], day[back] + 4, np.full(back.sum(), 43_000), money[back],
                      CODE["refund"], account[back], party=party[back])  # fmt: skip

    def wealth(self) -> None:
        p = self.people
        keen = np.clip(0.15 + 0.5 * p.thrift + 0.2 * (p.type == AFFLUENT), 0, 0.9)
        keen = np.where(p.type == STUDENT, 0.0, keen)
        for category, rate, share in (("investment_out", 0.4, 0.16), ("deposit_out", 0.12, 0.3),
                                      ("investment_income", 0.15, -0.12)):  # fmt: skip
            person, day, second = self._events(rate * keen)
            amount = (
                share
                * keen[person]
                * p.income_minor[person]
                * np.exp(0.5 * self.rng.standard_normal(len(person)))
            )
            money = np.round(amount / 1_000).astype(np.int64) * 1_000
            self.rows.add(person, day, second, -money, CODE[category], BANK)
        flat = (
            0.0001
            * p.liquidity[:, None]
            * p.income_minor[:, None]
            * np.ones((1, self.calendar.months))
        )
        quarter = self.calendar.month_number % 3 == 0
        self._monthly(
            p.liquidity > 1.0, 21, np.where(quarter, flat * 3, 0.0), "interest_income", 7_200
        )

    def mishaps(self) -> None:
        p = self.people
        person, day, second = self._events(0.05 * np.exp(1.1 * p.risk_seen / 0.8) * (p.burden > 0))
        self.rows.add(person, day, second, np.full(len(person), -3_000), CODE["penalty"], BANK)
        person, day, second = self._events(np.full(len(p), 0.35))
        sent = np.round(
            self.budget[person] * 0.1 * np.exp(0.7 * self.rng.standard_normal(len(person))) / 100
        )
        self.rows.add(person, day, second, -sent.astype(np.int64) * 100, CODE["transfer_out"], BANK)
        person, day, second = self._events(np.where(p.type == MERCHANT, 3.0, 0.0))
        stock = 0.62 * p.income_minor[person] / 3.0 * np.exp(0.35 * p.tastes[person, 0]) * 0.92
        stock = stock * np.exp(0.4 * self.rng.standard_normal(len(person)) - 0.08)
        self.rows.add(person, day, second, -np.round(stock / 100).astype(np.int64) * 100,
                      CODE["supplier_payment"], BANK, party=700 + person % 83)  # fmt: skip

    def sales(self) -> None:
        """Let shops stock up before festivals and surges: a purchase more, paid before a sale."""
        p = self.people
        shop = np.flatnonzero(p.type == MERCHANT)
        for first, lead in before_sales(self.spec):
            day = first - 1 - np.floor(self.rng.random(len(shop)) * lead).astype(np.int64)
            money = p.income_minor[shop] * self.rng.uniform(0.2, 0.6, len(shop))
            second = 32_400 + shop % 3_600
            self.rows.add(shop, day, second, -np.round(money / 100).astype(np.int64) * 100,
                          CODE["supplier_payment"], BANK, party=700 + shop % 83)  # fmt: skip
