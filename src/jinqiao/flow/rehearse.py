"""A generated market played against the product's own path: intake, shelf, click-out, reports.

The clock is the market's. Nothing here reads the market's truth; ``evaluate`` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jinqiao import catalog as catalogs
from jinqiao import customer
from jinqiao.domain.consent import Purpose
from jinqiao.domain.identity import STRONG_KINDS
from jinqiao.domain.time import DAY_US
from jinqiao.flow import daily, intake
from jinqiao.flow.live import Live, receive_within
from jinqiao.flow.pacing import Pacer
from jinqiao.flow.plan import Planned
from jinqiao.flow.wiring import Engine, Progress, nothing_to_say

if TYPE_CHECKING:
    from jinqiao.store.base import Tx
    from jinqiao.synthetic import Life, Market

__all__ = ["Rehearsal", "SimulatedClock", "open_market"]

_TICKS = 12
_LOG_TICKS = 4
_BLOCKS_AT_ONCE = 20
_BLOCKS_A_BATCH = 5
_LOG_REBUILD_DAYS = 14
"""Profiles are made anew so often in the log, where no shelf is ranked by them yet."""
REBUILD_DAYS = 7
"""Profiles and models are made anew so often; the plan every day."""


class SimulatedClock:
    """The market's time: moved by the rehearsal, read by the engine."""

    def __init__(self, now_us: int) -> None:
        self.now_us = now_us

    def __call__(self) -> int:
        return self.now_us


@dataclass
class Rehearsal:
    """One market, one engine, one history. ``clock`` is the engine's."""

    engine: Engine
    market: Market
    life: Life
    clock: SimulatedClock
    seed: int
    customers: dict[str, str] = field(default_factory=dict)
    plans: list[Planned] = field(default_factory=list)
    ready: daily.Prepared | None = None
    _consents: dict[str, str] = field(default_factory=dict)
    _heard_us: int | None = None
    _live: Live | None = None
    _planned_day: int = -1

    def day_us(self, day: int) -> int:
        """Return the instant a market day begins."""
        return self.market.start_us + day * DAY_US

    def arrive(self, progress: Progress = nothing_to_say) -> None:
        """Take in institutions, people, consents and the ledger as it stood before day 0."""
        self.clock.now_us = self.day_us(0) - DAY_US
        _write_files(self.engine, self.market)
        intake.apply_catalog(self.engine, author="market")
        intake.publish_consent_texts(self.engine)
        blocks = list(self.market.blocks)
        for start in range(0, len(blocks), _BLOCKS_AT_ONCE):
            progress("ledger", start / len(blocks))
            self._arrive_blocks(blocks[start : start + _BLOCKS_AT_ONCE])
        self._map_customers()

    def _arrive_blocks(self, blocks: list[int]) -> None:
        """Take in some thousand people, while what comes next is generated."""
        market, begin = self.market, self.day_us(0)

        def joined(of: Callable[[int], pa.Table], some: list[int]) -> pa.Table:
            return pa.concat_tables([of(block) for block in some])

        def history(block: int) -> pa.Table:
            return market.transactions(block, None, begin)

        parts = [blocks[i : i + _BLOCKS_A_BATCH] for i in range(0, len(blocks), _BLOCKS_A_BATCH)]
        with ThreadPoolExecutor(1) as ahead:
            people = ahead.submit(joined, market.attributes, blocks)
            ledgers = [ahead.submit(joined, history, part) for part in parts]
            said = ahead.submit(joined, market.consents, blocks)
            known = ahead.submit(joined, market.identifiers, blocks)
            self._arrived("attributes", blocks, people.result())
            for part, ledger in zip(parts, ledgers, strict=True):
                self._arrived("transactions", part, ledger.result())
            intake.receive_consents(self.engine, said.result())
            strong = pc.is_in(known.result()["kind"], pa.array(sorted(STRONG_KINDS)))
            intake.receive_identifiers(self.engine, known.result().filter(strong))

    def _arrived(self, kind: str, blocks: list[int], rows: pa.Table) -> None:
        rows, name = _not_before(rows, self.clock()), f"{kind}-{blocks[0]}-{blocks[-1]}"
        intake.receive_table(self.engine, kind, rows, source="market", batch_id=name)

    def _map_customers(self) -> None:
        users = pa.concat_arrays(
            [self.market.users(b)["user_id"].combine_chunks() for b in self.market.blocks]
        )
        subjects = intake.subjects_of(self.engine, users)
        with self.engine.records.reading() as tx:
            mapped = customer.customer_map(tx)
        of = dict(
            zip(mapped["subject_id"].to_pylist(), mapped["customer_id"].to_pylist(), strict=True)
        )
        self.customers = {
            user: of[subject]
            for user, subject in zip(users.to_pylist(), subjects.to_pylist(), strict=True)
        }

    def log(self, progress: Progress = nothing_to_say) -> None:
        """Play the first days under the random policy: every learner starts from this log."""
        for day in range(self.market.log_days):
            progress(f"day {day}", day / self.market.log_days)
            if day % REBUILD_DAYS == 0:
                self._week_in(day)
            if day % _LOG_REBUILD_DAYS == 0 or self._live is None:
                self._live = self._unplanned(day)
            self.play_day(self._live, day, policy="random", ticks=_LOG_TICKS)
        self._flush()

    def _unplanned(self, day: int) -> Live:
        """Return a shelf without a model: who may see what, as of a day."""
        at = self.day_us(day)
        profiles = daily.build_profiles(self.engine, at)
        serving, catalog, _ = daily.make_serving(
            self.engine, profiles, None, as_of_us=at, seed=self.seed
        )
        return Live(self.engine, serving, catalog)

    def plan(self, day: int, progress: Progress = nothing_to_say) -> Live:
        """Return the planned shelf of a day: learnt anew each week, solved anew each day."""
        if self._live is not None and self._planned_day == day:
            return self._live
        at = self.day_us(day)
        self.clock.now_us = at
        self._flush()  # what yesterday's shelf still holds: it is put aside below
        since = day - self.market.log_days
        if self.ready is None or since % REBUILD_DAYS == 0:
            self._week_in(day)
            self.ready = daily.prepare(self.engine, at, seed=self.seed, progress=progress)
        warm = self.plans[-1].duals if self.plans else None
        planned = daily.replan(
            self.engine, self.ready, at, seed=self.seed, days=1.0, warm=_same_limits(warm)
        )
        self.plans.append(planned)
        serving = daily.with_plan(self.ready.serving, planned)
        if since % REBUILD_DAYS == 0:
            daily.publish(self.engine, serving, planned, self.ready.model, self.ready.scored)
        live = Live(self.engine, serving, self.ready.catalog, self.ready.model)
        live.pacer = Pacer.of(planned)
        self._live, self._planned_day = live, day
        return live

    def play(self, until_day: int, progress: Progress = nothing_to_say) -> None:
        """Play days under the plan, from the end of the log."""
        first = self.market.log_days
        for day in range(first, until_day):
            progress(f"day {day}", (day - first) / max(until_day - first, 1))
            self.play_day(self.plan(day), day, policy="plan")
            if (day + 1) % REBUILD_DAYS == 0:
                daily.close(self.engine, self.clock())
        self._flush()

    def wait(self, days: int, progress: Progress = nothing_to_say) -> None:
        """Let days pass without new shelves: only reports come in, and the books are closed."""
        first = (self.clock() - self.market.start_us) // DAY_US
        for day in range(first, first + days + 1, REBUILD_DAYS):
            progress(f"day {day}", (day - first) / max(days, 1))
            self.clock.now_us = self.day_us(day)
            self.reports()
            daily.close(self.engine, self.clock())
            daily.drain_outcomes(self.engine)

    def play_day(self, live: Live, day: int, *, policy: str, ticks: int = _TICKS) -> None:
        """Play one day's visits in order of time, a tick of some hours at once."""
        consents = self.consents()
        sessions = self.market.sessions(day)
        for start, part in _ticks(sessions, self.day_us(day), ticks):
            self.clock.now_us = start
            self.reports()
            live.refresh(start)
            if part.num_rows:
                self._serve(live, part, consents, policy)
        self.clock.now_us = self.day_us(day + 1)
        self.reports()

    def reports(self) -> None:
        """Take in every report that has arrived by now, and free holds that have passed."""
        now = self.clock()
        arrived = self.life.reports(now)
        if arrived.num_rows == 0:
            daily.expire_holds(self.engine, now)
            return

        def step(tx: Tx) -> int:
            receive_within(tx, arrived, now_us=now)
            return daily.expire_within(tx, now)

        self.engine.write(step, durable=True)

    def _serve(self, live: Live, sessions: pa.Table, consents: dict[str, str], policy: str) -> None:
        shelves = live.rank(live.requests(sessions, self.customers, consents), policy=policy)
        rows = shelves.rows()
        users = dict(
            zip(sessions["session_id"].to_pylist(), sessions["user_id"].to_pylist(), strict=True)
        )
        user = pa.array([users[s] for s in rows["session_id"].to_pylist()])
        wanted = ["trace_id", "session_id", "position", "product_id", "occurred_at"]
        shown = rows.select(wanted).append_column("user_id", user)
        clicks = self.life.respond(shown)
        if clicks.num_rows:
            self._click(live, clicks, rows.append_column("user_id", user))

    def _click(self, live: Live, clicks: pa.Table, rows: pa.Table) -> None:
        """Send clicks out in time order; those that got a unit go on in the market."""
        found = clicks.sort_by([("clicked_at", "ascending"), ("trace_id", "ascending")])
        places = {
            key: i
            for i, key in enumerate(
                zip(rows["trace_id"].to_pylist(), rows["position"].to_pylist(), strict=True)
            )
        }
        keys = zip(found["trace_id"].to_pylist(), found["position"].to_pylist(), strict=True)
        at = pa.array([places[key] for key in keys])
        told = rows.take(at)
        asked = told.select(
            ["trace_id", "position", "product_id", "product_version", "customer_id"]
        ).to_pylist()
        times = found["clicked_at"].cast(pa.int64()).to_pylist()
        outs = live.click_out_many(
            [{**one, "clicked_us": us} for one, us in zip(asked, times, strict=True)]
        )
        taken = np.array([out.decision.allowed for out in outs])
        ids = pa.array([out.click.click_id for out in outs])
        accepted = pa.table(
            {
                "click_id": ids,
                "trace_id": told["trace_id"],
                "position": told["position"],
                "product_id": told["product_id"],
                "user_id": told["user_id"],
                "clicked_at": found["clicked_at"],
            }
        ).filter(pa.array(taken))
        self.life.accept(accepted)

    def consents(self) -> dict[str, str]:
        """Return customer id → version of the standing consent to personalise, now."""
        now, heard = self.clock(), self._heard_us
        with self.engine.records.reading() as tx:
            state = customer.consent_state(
                tx, now, purpose=Purpose.PERSONALISE, heard_after_us=heard
            )
        self._heard_us = now
        for row in state.to_pylist():
            if row["granted"]:
                self._consents[row["customer_id"]] = row["consent_version"]
            else:
                self._consents.pop(row["customer_id"], None)
        return self._consents

    def _week_in(self, day: int) -> None:
        """Take in the week's ledger and events, all of which arrived before the day begins."""
        self.clock.now_us = self.day_us(day)
        first = max(day - REBUILD_DAYS, 0)
        if day == 0:
            return
        span = (self.day_us(first), self.day_us(day))
        rows = pa.concat_tables([self.market.transactions(b, *span) for b in self.market.blocks])
        intake.receive_table(
            self.engine, "transactions", rows, source="market", batch_id=f"week-{day}"
        )
        events = pa.concat_tables([self.market.behaviour(d) for d in range(first, day)])
        intake.receive_table(
            self.engine, "behaviour", events, source="market", batch_id=f"behaviour-{day}"
        )
        self._flush()
        daily.drain_outcomes(self.engine)
        daily.learn_late_reports(self.engine, self.clock())

    def _flush(self) -> None:
        if self._live is not None:
            self._live.flush()


def open_market(
    engine: Engine, market: Market, clock: SimulatedClock, *, seed: int = 1
) -> Rehearsal:
    """Return a rehearsal of a market on an engine whose clock is ``clock``."""
    return Rehearsal(engine, market, market.life(), clock, seed)


def _write_files(engine: Engine, market: Market) -> None:
    for stem, record in market.institution_files().items():
        path = engine.workspace.institutions / f"{stem}.yaml"
        path.write_text(catalogs.write_text(record), encoding="utf-8")


def _not_before(table: pa.Table, at_us: int) -> pa.Table:
    """Return rows as a platform that begins now receives them: the past arrives at once."""
    now = pa.scalar(at_us, pa.int64()).cast(pa.timestamp("us"))
    arrived = pc.max_element_wise(table["received_at"], now)
    place = table.schema.get_field_index("received_at")
    return table.set_column(place, table.schema.field("received_at"), arrived)


def _ticks(sessions: pa.Table, begin_us: int, ticks: int) -> Iterator[tuple[int, pa.Table]]:
    """Yield the start of each stretch of a day and the sessions in it, in time order."""
    ordered = sessions.sort_by([("occurred_at", "ascending"), ("session_id", "ascending")])
    at = ordered["occurred_at"].cast(pa.int64()).to_numpy()
    length = DAY_US // ticks
    edges = np.searchsorted(at, begin_us + np.arange(ticks + 1) * length)
    edges[0], edges[-1] = 0, len(at)
    for tick in range(ticks):
        first, last = int(edges[tick]), int(edges[tick + 1])
        yield begin_us + tick * length, ordered.slice(first, last - first)


def _same_limits(duals: Any) -> dict[str, float] | None:
    """Return yesterday's prices under today's names: a row's name ends with its period."""
    if duals is None:
        return None
    return {name: price for name, price in duals.items() if "@" not in name or "@total" in name}
