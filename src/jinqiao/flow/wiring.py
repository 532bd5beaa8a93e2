"""The one place where concrete stores are picked and handed to what needs them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from jinqiao.domain.catalog import Catalog
from jinqiao.domain.feature import FeatureDictionary
from jinqiao.domain.jurisdiction import Jurisdiction
from jinqiao.domain.time import from_us, local_date
from jinqiao.errors import Conflict, NotFound
from jinqiao.flow.settings import Settings, read_settings
from jinqiao.flow.workspace import Workspace, find_workspace
from jinqiao.store.base import Lake, Records, SnapshotStore, Tx

if TYPE_CHECKING:
    import numpy as np

    from jinqiao.customer import Vault
    from jinqiao.flow.access import Keyring

__all__ = [
    "Chance", "Clock", "Engine", "Progress", "nothing_to_say", "open_engine", "system_chance",
    "system_clock",
]  # fmt: skip

Clock = Callable[[], int]
"""Returns the present instant, microseconds since 1970 UTC."""

Chance = Callable[[], "np.random.Generator"]
"""Returns a generator that subject ids are drawn from."""

Progress = Callable[[str, float], None]
"""Called with what is being done and the share of the whole that is done, 0 to 1."""

_RETRIES = 8
_MODELS_KEPT = 1_000_000


def system_clock() -> int:
    """Return the machine's time, µs."""
    return time.time_ns() // 1000


def system_chance() -> np.random.Generator:
    """Return a generator for subject ids: unguessable, so seeded by the system alone."""
    import secrets

    import numpy as np

    return np.random.default_rng(secrets.randbits(128))


def nothing_to_say(step: str, share: float) -> None:
    """Swallow progress."""


@dataclass
class Engine:
    """A workspace with its stores open. Close it, or use it in a ``with``."""

    workspace: Workspace
    settings: Settings
    lake: Lake
    records: Records
    snapshots: SnapshotStore
    keyring: Keyring
    clock: Clock = system_clock
    chance: Chance = system_chance
    _catalogs: dict[int, Catalog] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what can be closed."""
        for store in (self.lake, self.records):
            closing = getattr(store, "close", None)
            if closing is not None:
                closing()

    @cached_property
    def dictionary(self) -> FeatureDictionary:
        from jinqiao import profile

        return profile.dictionary()

    @cached_property
    def vault(self) -> Vault:
        from jinqiao.customer import Vault

        return Vault(self.keyring.master)

    @cached_property
    def jurisdictions(self) -> dict[str, Jurisdiction]:
        from jinqiao import catalog

        return catalog.read_jurisdictions(self.workspace.jurisdictions)

    @cached_property
    def models(self) -> SnapshotStore:
        """Model directories by id, checksummed. Which one serves, records say; all are kept."""
        from jinqiao.store.snapshot import open_snapshots

        return open_snapshots(self.workspace.models, keep=_MODELS_KEPT)

    @property
    def jurisdiction(self) -> Jurisdiction:
        """The rule pack this marketplace runs under."""
        code = self.settings.marketplace.jurisdiction
        if code not in self.jurisdictions:
            raise NotFound(
                f"no jurisdiction {code!r}",
                record="jinqiao.toml",
                field="marketplace.jurisdiction",
                fix=f"write jurisdictions/{code}.yaml",
            )
        return self.jurisdictions[code]

    def today(self, now_us: int | None = None) -> str:
        """Return the marketplace's calendar day of an instant, ISO."""
        zone = self.settings.marketplace.zone
        return local_date(self.clock() if now_us is None else now_us, zone).isoformat()

    def catalog(self, now_us: int | None = None) -> Catalog:
        """Return the catalog in force at an instant."""
        from jinqiao import catalog

        at = self.clock() if now_us is None else now_us
        with self.records.reading() as tx:
            return catalog.load(tx, at)

    @contextmanager
    def writing(self, *, durable: bool = False) -> Iterator[Tx]:
        """Open a writing transaction."""
        with self.records.transaction(durable=durable) as tx:
            yield tx

    def write(self, step: Callable[[Tx], object], *, durable: bool = False) -> object:
        """Run a step in a transaction, again when another transaction won the race."""
        for attempt in range(_RETRIES):
            try:
                with self.records.transaction(durable=durable) as tx:
                    return step(tx)
            except Conflict as lost:
                if lost.field != "transaction" or attempt == _RETRIES - 1:
                    raise
                time.sleep(0.002 * 2**attempt)
        raise AssertionError("unreachable")


def open_engine(
    root: Path | None = None,
    *,
    clock: Clock = system_clock,
    chance: Chance = system_chance,
    workspace: Workspace | None = None,
) -> Engine:
    """Return the engine of a workspace (found as ``find_workspace`` says), migrated and ready.

    A generated market hands down a ``chance`` of its own seed, so that it can be played again.

    Raises NotFound when there is no workspace, SchemaError for faulty settings, Unavailable when
    the records cannot be reached.
    """
    from jinqiao.flow.access import Keyring
    from jinqiao.store.lake import open_lake
    from jinqiao.store.records import open_records
    from jinqiao.store.snapshot import open_snapshots

    workspace = workspace or find_workspace(root)
    settings = read_settings(workspace.settings_file)
    url = settings.store.records_url or f"sqlite:///{workspace.records_file}"
    records = open_records(url)
    records.migrate()
    return Engine(
        workspace, settings, open_lake(workspace.lake), records,
        open_snapshots(workspace.snapshots), Keyring.read(workspace.keys), clock, chance,
    )  # fmt: skip


def instant(now_us: int) -> str:
    """Return an instant as ISO 8601 in UTC, for versions and reports."""
    return from_us(now_us).strftime("%Y-%m-%dT%H:%M:%SZ")
