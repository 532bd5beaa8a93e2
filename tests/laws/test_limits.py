"""Laws of limits: no order of clicks, reports, refusals, expiries and retries passes one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from jinqiao import catalog
from jinqiao.catalog.late import RARELY, Claims, free_units
from jinqiao.catalog.limits import headroom, limit_terms
from jinqiao.domain.application import LimitMove
from jinqiao.domain.catalog import Catalog
from jinqiao.domain.ids import ClickId
from jinqiao.domain.late import AGE_HOURS, LateReports
from jinqiao.domain.stage import Stage
from jinqiao.domain.time import from_us
from jinqiao.store.base import Records, Tx, run_again
from jinqiao.store.memory import MemoryRecords
from jinqiao.store.records import open_records

DAY_US = 86_400_000_000
T0 = 1_772_323_200_000_000  # a Sunday, 8:00 in Shanghai
STAGES = (Stage.APPLICATION, Stage.APPROVAL, Stage.ACTIVATION)


def product(name: str, limits: list[dict[str, Any]], payout: dict[str, Any]) -> dict[str, Any]:
    return {
        "product_id": name, "class": "deposit", "name": {"zh": name, "en": name}, "risk": "R1",
        "cost": {"rate_bps": 150, "amount_minor": {"min": 1, "max": 10_000},
                 "term_days": {"min": 1, "max": 365}, "repayment": "bullet",
                 "example": {"amount_minor": 1_000, "term_days": 365}},
        "payout": payout, "limits": limits,
        "delivery": {"route": "file", "hold_hours": 48},
    }  # fmt: skip


CPA = {"basis": "CPA", "stage": "activation", "tiers": [{"from_count": 1, "amount_minor": 30}]}
CPS = {"basis": "CPS", "stage": "activation", "tiers": [{"from_count": 1, "rate_bps": 500}]}
FILE = {
    "institution_id": "house", "name": {"zh": "甲", "en": "House"}, "licence": "bank",
    "jurisdiction": "CN", "currency": "CNY",
    "limits": [{"count": 5, "period": "day"}, {"money_minor": 200, "period": "week"}],
    "branches": [{"branch_id": "east", "name": {"zh": "东", "en": "East"}, "region": "east",
                  "limits": [{"count": 2, "period": "day"}]}],
    "products": [
        product("a", [{"count": 3, "period": "day"},
                      {"count": 2, "period": "day", "stage": "approval"}], CPA),
        product("b", [{"count": 6, "period": "total"}, {"money_minor": 90, "period": "day"}], CPS),
        product("free", [], CPA),
    ],
}  # fmt: skip
FILES = catalog.read_files({"house.yaml": FILE})
assert not FILES.faults
CATALOG: Catalog = FILES.catalog
AT_MOST = {one.limit_id: one.limit.limit for one in limit_terms(CATALOG)}

HOURS = range(AGE_HOURS[-1] + 1)
LATE = [LateReports(tuple(first * 0.9**h for h in HOURS)) for first in (0.0, 0.3, 0.95)]

clicks = st.integers(0, 11).map("c{}".format)
amounts = st.none() | st.integers(0, 2_000)


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Records]:
    records = open_records(f"sqlite:///{tmp_path_factory.mktemp('limits')}/records.db")
    records.migrate()
    yield records
    records.close()


class _Undo:
    """Leaves a transaction without keeping what it wrote."""

    class Back(BaseException):
        pass

    @staticmethod
    @contextmanager
    def transaction(records: Records) -> Iterator[Tx]:
        try:
            with records.transaction() as tx:
                yield tx
                raise _Undo.Back
        except _Undo.Back:
            pass


def state(tx: Tx) -> Any:
    order = ("click_id", "limit_id")
    return tx.find("limit_units", order_by=order), tx.find(
        "limit_counters", order_by=("limit_id", "period_key")
    )


def assert_lawful(tx: Tx) -> None:
    """The counters are the sums of their units, and no limit is passed."""
    assert catalog.unequal(tx) == ()
    for row in tx.find("limit_counters"):
        assert row["reserved"] >= 0
        assert row["posted"] >= 0
        assert row["over"] >= 0
        assert not row["over"] or row["reserved"] + row["posted"] == AT_MOST[row["limit_id"]]
        assert row["reserved"] + row["posted"] <= AT_MOST[row["limit_id"]], row


class Limits(RuleBasedStateMachine):
    """Clicks come, reports come late, twice, in any order; days pass."""

    records: Records

    def __init__(self) -> None:
        super().__init__()
        self.context = _Undo.transaction(self.records)
        self.tx = self.context.__enter__()
        self.now = T0
        self.answers: dict[str, bool] = {}

    def teardown(self) -> None:
        self.context.__exit__(None, None, None)

    @rule(hours=st.sampled_from([0, 1, 7, 30, 200]))
    def time_passes(self, hours: int) -> None:
        self.now += hours * 3_600_000_000

    @rule(click=clicks, east=st.booleans(), payout=st.none() | st.integers(0, 40),
          late=st.sampled_from([None, *LATE]))  # fmt: skip
    def reserve(self, click: str, east: bool, payout: int | None, late: LateReports | None) -> None:
        name = ("a", "b", "free")[int(click[1:]) % 3]
        before = state(self.tx)
        wanted = catalog.Reservation(click, name, self.now, "east" if east else None, payout)
        decision = catalog.reserve(self.tx, CATALOG, wanted, late)
        if not decision.allowed:
            assert decision.reasons
            counted = [{**row, "at_most": 0} for row in state(self.tx)[1] if _used(row)]
            assert counted == [{**row, "at_most": 0} for row in before[1] if _used(row)]
        if click in self.answers and name != "free":
            assert decision.allowed == self.answers[click], "a retry changed the answer"
        self.answers[click] = decision.allowed

    @rule(click=clicks, stage=st.sampled_from(STAGES), amount=amounts, again=st.booleans())
    def post(self, click: str, stage: Stage, amount: int | None, again: bool) -> None:
        catalog.post(self.tx, click, stage, self.now, amount)
        if again:
            before = state(self.tx)
            catalog.post(self.tx, click, stage, self.now, amount)
            assert state(self.tx) == before

    @rule(click=clicks, stage=st.none() | st.sampled_from(STAGES))
    def void(self, click: str, stage: Stage | None) -> None:
        catalog.void(self.tx, click, self.now, stage)
        held = self.tx.find("limit_units", {"click_id": click})
        assert stage is not None or all(u["state"] != "reserved" for u in held)

    @rule()
    def expire(self) -> None:
        catalog.expire(self.tx, self.now)
        assert not [
            u for u in self.tx.find("limit_units", {"state": "reserved"})
            if u["expires_at"] <= self.now
        ]  # fmt: skip

    @invariant()
    def lawful(self) -> None:
        assert_lawful(self.tx)


def _used(row: Any) -> bool:
    return bool(row["reserved"] or row["posted"] or row["over"])


law = settings(max_examples=60, stateful_step_count=30, deadline=None,
               suppress_health_check=list(HealthCheck))  # fmt: skip


class InMemory(Limits):
    records = MemoryRecords()


TestInMemory = InMemory.TestCase
TestInMemory.settings = law


def test_a_report_on_a_refused_click_takes_what_is_free_of_each_limit() -> None:
    """Refused for its branch alone, a click that is reported takes a free unit of its product."""
    with _Undo.transaction(MemoryRecords()) as tx:
        for click, name in (("c8", "free"), ("c1", "b"), ("c0", "a")):
            wanted = catalog.Reservation(click, name, T0, "east")
            told = catalog.reserve(tx, CATALOG, wanted)
        assert not told.allowed
        catalog.post(tx, "c0", Stage.APPLICATION, T0)
        over = {row["limit_id"] for row in state(tx)[1] if row["over"]}
        assert over == {"branch:house/east:count:application:day"}


def test_the_same_holds_in_sqlite(sqlite: Records) -> None:
    """The machine that holds the law in memory holds it in SQLite."""
    from hypothesis.stateful import run_state_machine_as_test

    class InSqlite(Limits):
        records = sqlite

    run_state_machine_as_test(
        InSqlite, settings=settings(law, max_examples=15, stateful_step_count=20)
    )


steps = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), clicks, st.booleans()),
        st.tuples(st.just("post"), clicks, st.sampled_from(STAGES), amounts),
        st.tuples(st.just("void"), clicks, st.sampled_from(STAGES)),
        st.tuples(st.just("expire")),
    ),
    max_size=25,
)


def play(tx: Tx, script: list[tuple[Any, ...]]) -> Any:
    for hour, step in enumerate(script):
        now = T0 + hour * 3 * 3_600_000_000
        if step[0] == "reserve":
            name = "ab"[int(step[1][1:]) % 2]
            east = "east" if step[2] else None
            catalog.reserve(tx, CATALOG, catalog.Reservation(step[1], name, now, east, 10))
        elif step[0] == "post":
            catalog.post(tx, step[1], step[2], now, step[3])
        elif step[0] == "void":
            catalog.void(tx, step[1], now, step[2])
        else:
            catalog.expire(tx, now)
    return state(tx)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(script=steps)
def test_memory_and_sqlite_end_alike(sqlite: Records, script: list[tuple[Any, ...]]) -> None:
    """The same steps leave the same units and counters in both kinds of records."""
    with _Undo.transaction(MemoryRecords()) as tx:
        expected = play(tx, script)
    with _Undo.transaction(sqlite) as tx:
        assert play(tx, script) == expected


@settings(max_examples=60, deadline=None)
@given(script=steps.map(lambda all_: [s for s in all_ if s[0] in ("post", "void")]))
def test_many_at_once_are_the_same_as_one_by_one(script: list[tuple[Any, ...]]) -> None:
    """A tick of click-outs and reports in bulk ends as the same, one transaction each."""
    wanted = [catalog.Reservation(f"c{i}", "ab"[i % 2], T0, None, 10) for i in range(12)]
    ends = []
    for bulk in (False, True):
        with _Undo.transaction(MemoryRecords()) as tx:
            if bulk:
                told = catalog.reserve_many(tx, CATALOG, wanted)
                moves = [
                    LimitMove(ClickId(s[1]), s[2], s[0], from_us(T0 + 1), s[3] if s[3:] else None)
                    for s in script
                ]
                catalog.move(tx, moves, T0 + 1)
            else:
                told = [catalog.reserve(tx, CATALOG, one) for one in wanted]
                for s in script:
                    if s[0] == "post":
                        catalog.post(tx, s[1], s[2], T0 + 1, s[3])
                    else:
                        catalog.void(tx, s[1], T0 + 1, s[2])
            ends.append((told, state(tx)))
    assert ends[0] == ends[1]


@settings(max_examples=60, deadline=None)
@given(order=st.permutations(list(STAGES)), amount=st.integers(0, 600))
def test_reports_of_a_click_may_come_in_any_order(order: list[Stage], amount: int) -> None:
    """Application, approval and activation leave the same units whichever arrives first."""
    ends = []
    for stages in (list(STAGES), order):
        with _Undo.transaction(MemoryRecords()) as tx:
            catalog.reserve(tx, CATALOG, catalog.Reservation("c", "b", T0))
            for stage in stages:
                money = amount if stage is Stage.ACTIVATION else None
                catalog.post(tx, "c", stage, T0 + DAY_US, money)
            units, _ = state(tx)
            ends.append([(u["limit_id"], u["state"], u["posted"], u["over"]) for u in units])
    assert ends[0] == ends[1]


def test_a_late_report_takes_a_free_unit_or_is_listed() -> None:
    """After expiry a report takes what is free in its own day; what is not is over-delivered."""
    with _Undo.transaction(MemoryRecords()) as tx:
        for i in range(3):
            one = catalog.Reservation(f"old{i}", "a", T0, None, 0)
            assert catalog.reserve(tx, CATALOG, one).allowed or i == 2
        expired = catalog.expire(tx, T0 + 3 * DAY_US)
        assert expired == 2 * 4
        taken = T0 + 60_000_000
        assert catalog.reserve(tx, CATALOG, catalog.Reservation("n0", "a", taken, None, 0)).allowed
        assert catalog.reserve(tx, CATALOG, catalog.Reservation("n1", "a", taken, None, 0)).allowed
        for name in ("n0", "n1", "old0", "old1"):
            catalog.post(tx, name, Stage.APPLICATION, T0 + 4 * DAY_US)
        over = catalog.exceptions(tx)
        assert [(one.click_id, one.limit_id, one.over) for one in over] == [
            ("old1", "product:a:count:application:day", 1)
        ]
        assert catalog.over_delivered_units(tx) == 1
        assert_lawful(tx)


def test_a_report_without_a_free_unit_takes_the_next_that_comes_free() -> None:
    """What is listed as over-delivered is covered as soon as another hold of its period ends."""
    with _Undo.transaction(MemoryRecords()) as tx:
        for name in ("old", "n0", "n1"):
            catalog.reserve(tx, CATALOG, catalog.Reservation(name, "b", T0, "east", 0))
            if name == "old":
                catalog.expire(tx, T0 + 3 * DAY_US)
        catalog.post(tx, "old", Stage.APPLICATION, T0 + 1)
        assert [one.limit_id for one in catalog.exceptions(tx)] == [
            "branch:house/east:count:application:day"
        ]
        catalog.void(tx, "n0", T0 + 2)
        assert catalog.exceptions(tx) == ()
        rows = {r["limit_id"]: r for r in tx.find("limit_counters")}
        east = rows["branch:house/east:count:application:day"]
        assert (east["reserved"], east["posted"], east["over"]) == (1, 1, 0)
        assert_lawful(tx)


def _chance(rest: int, holds: int, claims: Claims) -> float:
    """Return the chance that answers and late reports exceed what is left, all terms summed."""
    answered = [
        math.comb(holds, i) * claims.open_chance**i * (1 - claims.open_chance) ** (holds - i)
        for i in range(holds + 1)
    ]
    late = [math.exp(-claims.late) * claims.late**j / math.factorial(j) for j in range(60)]
    return sum(a * b for i, a in enumerate(answered) for j, b in enumerate(late) if i + j > rest)


@settings(max_examples=300, deadline=None)
@given(
    rest=st.integers(0, 40), reserved=st.integers(0, 40), late=st.floats(0, 4),
    chance=st.floats(0, 1),
)  # fmt: skip
def test_so_much_is_kept_back_that_a_limit_is_passed_rarely(
    rest: int, reserved: int, late: float, chance: float
) -> None:
    """With what may be reserved a limit is passed rarely; with one unit more, not so rarely."""
    claims = Claims(late, 1_000, 1, chance)
    found = free_units(rest, reserved, claims)
    assert 0 <= found <= max(rest - reserved, 0)
    if found:
        assert _chance(rest, reserved + found, claims) <= RARELY * (1 + 1e-6) + 1e-9
    if found < rest - reserved:
        assert _chance(rest, reserved + found + 1, claims) > RARELY * (1 - 1e-6) - 1e-8
    assert free_units(rest, reserved, Claims(0.0, 0, 1, chance)) == max(rest - reserved, 0)


def test_what_is_said_to_be_left_is_what_is_given() -> None:
    """``left`` of the rows is the number of click-outs that then get a unit; it comes back by
    itself as the expired holds grow old.
    """
    late = LATE[1]
    file = {**FILE, "institution_id": "small", "limits": [], "branches": [],
            "products": [product("s", [{"count": 30, "period": "total"}], CPA)]}  # fmt: skip
    small = catalog.read_files({"small.yaml": file}).catalog
    told = []
    for hours in (48, 60, 96, 400):
        now = T0 + hours * 3_600_000_000
        with _Undo.transaction(MemoryRecords()) as tx:
            old = [catalog.Reservation(f"o{i}", "s", T0) for i in range(25)]
            assert all(d.allowed for d in catalog.reserve_many(tx, small, old, late))
            assert catalog.expire(tx, now) == 25
            for i in range(3):
                catalog.post(tx, f"o{i}", Stage.APPLICATION, now)
            (row,) = catalog.limit_rows(tx, small, now, late).to_pylist()
            assert row["limit"] == row["posted"] + row["reserved"] + row["kept"] + row["left"]
            new = [catalog.Reservation(f"n{i}", "s", now) for i in range(40)]
            given_ = [d.allowed for d in catalog.reserve_many(tx, small, new, late)]
            assert given_ == [True] * row["left"] + [False] * (40 - row["left"])
            told.append(row["kept"])
            assert_all_equal(tx)
    assert told == sorted(told, reverse=True)
    assert told[-1] == 0


def assert_all_equal(tx: Tx) -> None:
    """Every counter is the sum of its units."""
    assert catalog.unequal(tx) == ()


@settings(max_examples=40, deadline=None)
@given(order=st.permutations([*range(8)]), reported=st.sets(st.integers(0, 7)))
def test_expired_holds_are_counted_whatever_their_order(
    order: list[int], reported: set[int]
) -> None:
    """Holds that expire in any order, some reported later, leave the same counters."""
    ends = []
    for some in (range(8), order):
        with _Undo.transaction(MemoryRecords()) as tx:
            for i in some:
                at = T0 + i * 9 * DAY_US
                catalog.reserve(tx, CATALOG, catalog.Reservation(f"c{i}", "b", at, None, 0))
                catalog.expire(tx, at + 3 * DAY_US)
            for i in some:
                if i in reported:
                    catalog.post(tx, f"c{i}", Stage.APPLICATION, T0 + 90 * DAY_US)
            rows = state(tx)[1]
            ends.append([(r["limit_id"], r["period_key"], r["waiting"]) for r in rows])
            assert_lawful(tx)
    assert ends[0] == ends[1]


def test_a_report_without_a_unit_is_never_dropped() -> None:
    """A click that was refused and is reported all the same takes a free unit or is listed."""
    with _Undo.transaction(MemoryRecords()) as tx:
        wanted = [catalog.Reservation(f"c{i}", "a", T0, "east", 0) for i in range(3)]
        told = catalog.reserve_many(tx, CATALOG, wanted)
        assert [one.allowed for one in told] == [True, True, False]
        assert told[2].reasons[0].code == "quota_day"
        for i in range(3):
            catalog.post(tx, f"c{i}", Stage.APPLICATION, T0 + 1)
        over = {one.limit_id for one in catalog.exceptions(tx)}
        assert over == {"branch:house/east:count:application:day"}
        assert_lawful(tx)


def test_a_day_is_the_institutions_own() -> None:
    """A unit reserved before midnight in Shanghai belongs to that day, whenever it is reported."""
    before, after = T0 + 15 * 3_600_000_000, T0 + 17 * 3_600_000_000  # 23:00 and 1:00
    with _Undo.transaction(MemoryRecords()) as tx:
        catalog.reserve(tx, CATALOG, catalog.Reservation("c", "b", before, None, 0))
        catalog.post(tx, "c", Stage.ACTIVATION, after, 400)
        keys = {u["period_key"] for u in tx.find("limit_units")}
        assert keys == {"2026-03-01", "2026-W09", "total"}
        rows = {r["limit_id"]: r for r in catalog.limit_rows(tx, CATALOG, after).to_pylist()}
        assert rows["product:b:money:payout:day"]["posted"] == 0
        assert rows["product:b:count:application:total"]["posted"] == 1
        whole = rows["institution:house:money:payout:week"]  # Monday: a new week
        assert (whole["posted"], whole["reserved"], whole["kept"]) == (0, 0, headroom(200))
        assert whole["left"] == 200 - headroom(200)


def test_headroom_is_kept_for_late_reports() -> None:
    """A limit of 100 reserves 98 at once; late reports may take the last two."""
    file = {**FILE, "institution_id": "big", "limits": [], "branches": [],
            "products": [product("p", [{"count": 100, "period": "total"}], CPA)]}  # fmt: skip
    big = catalog.read_files({"big.yaml": file}).catalog
    assert [headroom(n) for n in (0, 49, 50, 100)] == [0, 0, 1, 2]
    with _Undo.transaction(MemoryRecords()) as tx:
        wanted = [catalog.Reservation(f"c{i}", "p", T0) for i in range(120)]
        told = [one.allowed for one in catalog.reserve_many(tx, big, wanted)]
        assert sum(told) == 98
        assert all(a >= b for a, b in pairwise(told))
        for i in range(118, 120):
            catalog.post(tx, f"c{i}", Stage.APPLICATION, T0)
        assert catalog.over_delivered_units(tx) == 0


def test_clients_at_once_never_pass_a_limit(records: Records) -> None:
    """Four clients taking the same units at once get exactly what the limit has, on every store."""

    def take(worker: int) -> int:
        got = 0
        for i in range(6):
            one = catalog.Reservation(f"w{worker}.{i}", "b", T0, None, 15)
            told = run_again(records, lambda tx, one=one: catalog.reserve(tx, CATALOG, one))
            got += told.allowed
        return got

    with ThreadPoolExecutor(4) as pool:
        got = sum(pool.map(take, range(4)))
    assert got == 5  # the institution's five a day; the budget of 90 would hold six
    with records.reading() as tx:
        assert_lawful(tx)
        rows = {row["limit_id"]: row["reserved"] for row in tx.find("limit_counters")}
    assert rows["institution:house:count:application:day"] == 5
    assert rows["product:b:money:payout:day"] == 75
