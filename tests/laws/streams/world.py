"""A workspace that a stream is played into, over the path that a marketplace runs."""

from __future__ import annotations

import atexit
import random
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

import pyarrow as pa

from jinqiao import conversion, customer
from jinqiao.domain import tables as schemas
from jinqiao.domain.tables import TableSchema
from jinqiao.domain.time import DAY_US, from_us, to_us
from jinqiao.engines.tables import arrow_schema
from jinqiao.flow import daily, intake, rejected
from jinqiao.flow.live import Live, receive_reports
from jinqiao.flow.settings import read_settings
from jinqiao.flow.wiring import Engine, open_engine
from jinqiao.flow.workspace import Workspace, init_workspace
from jinqiao.store.memory import MemoryLake, MemoryRecords
from jinqiao.store.snapshot import open_snapshots
from laws.streams.stream import AS_OF_US, Item

__all__ = ["NOW_US", "Clock", "Delivery", "World", "chronological", "in_memory", "on_disk", "tmpfs"]

NOW_US = AS_OF_US - DAY_US
_BULK = {"behaviour": schemas.RAW_BEHAVIOUR, "transactions": schemas.RAW_TRANSACTIONS,
         "attributes": schemas.RAW_ATTRIBUTES}  # fmt: skip


@dataclass
class Clock:
    """A clock that stands where it is put."""

    now_us: int = NOW_US

    def __call__(self) -> int:
        return self.now_us


@dataclass(frozen=True)
class Delivery:
    """One way a stream may come: its order, what comes again, and where it is cut."""

    seed: int
    copies: int
    pieces: int

    def batches(self, items: Sequence[Item]) -> list[list[Item]]:
        """Return the batches; every item at least once, no report before its click was made."""
        chance = random.Random(self.seed)
        whole = [*items, *chance.choices(items, k=self.copies)]
        chance.shuffle(whole)
        ordered = _clicks_first(whole, items)
        cuts = sorted(chance.randint(0, len(ordered)) for _ in range(self.pieces - 1))
        return [ordered[a:b] for a, b in pairwise([0, *cuts, len(ordered)])]


def _clicks_first(whole: Sequence[Item], items: Sequence[Item]) -> list[Item]:
    clicks = {item.key: item for item in items if item.kind == "clicks"}
    made: dict[Item, None] = {}
    ordered = []
    for item in whole:
        name = (item.right or item.row).get("click")
        if item.kind == "reports" and clicks[name] not in made:
            ordered.append(clicks[name])
            made[clicks[name]] = None
        made[item] = None
        ordered.append(item)
    return ordered


def chronological(items: Sequence[Item], days: int) -> list[list[Item]]:
    """Return the stream in order, a batch every so many days."""
    found: dict[int, list[Item]] = {}
    for item in items:
        found.setdefault(item.at_us // (days * DAY_US), []).append(item)
    return [found[day] for day in sorted(found)]


@dataclass
class World:
    """An engine at work. ``places`` says which item each refused row was."""

    engine: Engine
    clock: Clock
    places: dict[tuple[str, int], Item] = field(default_factory=dict)
    counts: list[tuple[str, Any]] = field(default_factory=list)
    _live: Live | None = None

    @property
    def live(self) -> Live:
        if self._live is None:
            self._live = Live(self.engine, _serving(), self.engine.catalog(AS_OF_US))
        return self._live

    def play(self, batches: Iterable[Sequence[Item]]) -> World:
        """Deliver every batch, the outcomes of each into the lake, a second apart."""
        for number, batch in enumerate(batches):
            self.clock.now_us += 1_000_000
            self.deliver(f"d{number}", batch)
            daily.drain_outcomes(self.engine)
        return self

    def finish(self, as_of_us: int = AS_OF_US) -> World:
        """Close the books and hand over what the close found."""
        daily.close(self.engine, as_of_us)
        daily.drain_outcomes(self.engine)
        return self

    def deliver(self, name: str, batch: Sequence[Item]) -> None:
        """Hand in one batch, its kinds as they come in it."""
        kinds = dict.fromkeys(item.kind for item in batch)
        order = [kind for kind in kinds if kind != "reports"]
        for kind in [*order, *(["reports"] if "reports" in kinds else [])]:
            items = [item for item in batch if item.kind == kind]
            batch_id = f"{name}-{kind}"
            for place, item in enumerate(items, 1):
                self.places[batch_id, place] = item
            self._take(kind, batch_id, items)

    def mend(self) -> dict[str, dict[str, int]]:
        """Try everything that was refused once more, as it should have been."""
        with self.engine.records.reading() as tx:
            rows = tx.find("intake_rejects", {"status": ["open", "refused_again"]})
            reports = conversion.rejects(tx)
        right = {item.key: item.right for item in self.places.values() if item.kind == "reports"}
        fixed: dict[str, Any] = {
            row["reject_id"]: _told(self.places[row["batch_id"], row["row_number"]]) for row in rows
        }
        wanted = [right[row["report_id"]] or {} for row in reports]
        for row, report in zip(reports, self.reports(wanted).to_pylist(), strict=True):
            instants = {name: to_us(report[name].replace(tzinfo=UTC)) for name in _INSTANTS}
            fixed[row["reject_id"]] = report | instants
        return rejected.replay(self.engine, fixed)

    def _take(self, kind: str, batch_id: str, items: Sequence[Item]) -> None:
        engine, rows = self.engine, [item.row for item in items]
        if kind == "messages":
            got = intake.receive_messages(engine, rows, source="test", batch_id=batch_id)
            self.counts.append((kind, got))
        elif kind in _BULK:
            table = arrow(_BULK[kind], rows)
            got = intake.receive_table(engine, kind, table, source="test", batch_id=batch_id)
            self.counts.append((kind, got))
        elif kind == "identifiers":
            names = ("user_id", "kind", "value")
            columns = {name: pa.array([row[name] for row in rows]) for name in names}
            intake.receive_identifiers(engine, pa.table(columns))
        elif kind == "consents":
            intake.receive_consents(engine, _consents(rows))
        elif kind == "decisions":
            self.live.log(self._decisions(rows))
            self.live.flush()
        elif kind == "clicks":
            self.live.click_out_many(
                [
                    {**row, "clicked_us": row["at"], "product_version": 1, "customer_id": who}
                    for row, who in zip(rows, self._customers(rows), strict=True)
                ]
            )
        else:
            self.counts.append((kind, receive_reports(engine, self.reports(rows))))

    def _customers(self, rows: Sequence[dict[str, Any]]) -> list[str]:
        subjects = intake.subjects_of(self.engine, [row["user_id"] for row in rows]).to_pylist()
        with self.engine.records.reading() as tx:
            return [customer.customer_of(tx, one) for one in subjects]

    def _decisions(self, rows: Sequence[dict[str, Any]]) -> pa.Table:
        given = [
            {**_SHOWN, **row, "customer_id": who, "occurred_at": row["at"],
             "received_at": row["at"], "session_id": f"v-{row['user_id']}-0"}
            for row, who in zip(rows, self._customers(rows), strict=True)
        ]  # fmt: skip
        return arrow(schemas.DECISIONS, given)

    def reports(self, rows: Sequence[dict[str, Any]]) -> pa.Table:
        """Return a REPORTS table, its click ids as this world signed them."""
        with self.engine.records.reading() as tx:
            ids = {row["trace_id"]: row["click_id"] for row in tx.find("clicks")}
        given = [{**row, "click_id": ids.get(row["click"], "clk_nobody")} for row in rows]
        return arrow(schemas.REPORTS, given)


_INSTANTS = ("occurred_at", "received_at")


def _told(item: Item) -> dict[str, Any]:
    """Return a mended row as an operator writes it: JSON, instants as text."""
    row = dict(item.right or {})
    for name in _INSTANTS:
        if isinstance(row.get(name), int):
            row[name] = from_us(row[name]).isoformat()
    return row


_SHOWN = {
    "product_version": 1, "institution_id": "x", "policy": "plan", "personalised": True,
    "channel": "app", "scene": "home", "source": "own", "visit_cost_minor": 0, "city_tier": None,
    "p_click": 0.0, "p_application": 0.0, "p_approval": 0.0, "p_activation": 0.0,
    "value_minor": 0.0, "price_minor": 0.0, "score_minor": 0.0, "display_probability": 1.0,
    "n_candidates": 1, "feature_as_of": None, "snapshot_version": "s", "model_version": "m",
    "plan_version": "p", "catalog_version": "c", "consent_version": None,
    "region": None, "branch_id": None, "closed": None, "arms": None,
}  # fmt: skip


def arrow(schema: TableSchema, rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Return plain rows (instants µs) as a table of a schema, any column null."""
    fields = [one.with_nullable(True) for one in arrow_schema(schema)]
    return pa.table(
        [pa.array([row[one.name] for row in rows], one.type) for one in fields],
        schema=pa.schema(fields),
    )


def _consents(rows: Sequence[dict[str, Any]]) -> pa.Table:
    fields = [one for one in arrow_schema(schemas.CONSENT_EVENTS) if one.name != "subject_id"]
    users = pa.array([row["user_id"] for row in rows], pa.string())
    columns = {one.name: pa.array([row[one.name] for row in rows], one.type) for one in fields}
    return pa.table({"user_id": users, **columns})


def tmpfs() -> str | None:
    """Return a folder in memory, when there is one: a kill loses nothing the kernel has."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


@cache
def _template() -> tuple[Workspace, MemoryRecords]:
    """Return a workspace with the sample institutions applied, made once a process."""
    folder = Path(mkdtemp(prefix="jq-laws-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    workspace = init_workspace(folder / "market")
    records = MemoryRecords()
    engine = _engine(workspace, MemoryLake(), records, Clock())
    prepare(engine)
    return workspace, records


def prepare(engine: Engine) -> None:
    """Apply the sample institutions and publish the consent texts, before anything happened."""
    intake.publish_consent_texts(engine)
    intake.apply_catalog(engine, author="test")


@cache
def _serving() -> Any:
    """Return a snapshot of the sample institutions with nobody in it."""
    workspace, records = _template()
    engine = _engine(workspace, MemoryLake(), records, Clock())
    profiles = daily.build_profiles(engine, AS_OF_US)
    return daily.make_serving(engine, profiles, None, as_of_us=AS_OF_US, seed=0)[0]


def _engine(workspace: Workspace, lake: Any, records: Any, clock: Clock) -> Engine:
    from jinqiao.flow.access import Keyring

    return Engine(
        workspace, read_settings(workspace.settings_file), lake, records,
        open_snapshots(workspace.snapshots), Keyring.read(workspace.keys), clock,
    )  # fmt: skip


@contextmanager
def in_memory() -> Iterator[World]:
    """Open an empty world whose lake and records are in memory."""
    workspace, records = _template()
    fresh = MemoryRecords()
    fresh._tables = {name: table.clone() for name, table in records._tables.items()}
    with TemporaryDirectory(dir=tmpfs()) as folder:
        shutil.copytree(workspace.root, folder, dirs_exist_ok=True)
        clock = Clock()
        with _engine(Workspace(Path(folder)), MemoryLake(), fresh, clock) as engine:
            yield World(engine, clock)


def on_disk(folder: Path, records_url: str = "") -> World:
    """Open a world of SQLite (or ``records_url``) and Parquet; made when it is not there."""
    clock = Clock()
    made = (folder / "applied").exists()
    workspace = init_workspace(folder)
    if records_url and not made:
        file = workspace.settings_file
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace('records_url = ""', f'records_url = "{records_url}"'))
    engine = open_engine(workspace=workspace, clock=clock)
    if not made:
        prepare(engine)
        (folder / "applied").touch()
    return World(engine, clock)
