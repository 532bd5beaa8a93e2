"""The workspace an import of a foreign bank works in: its own money, law, clock and catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import resources
from pathlib import Path

from jinqiao.errors import NotFound
from jinqiao.flow.wiring import Engine, open_engine
from jinqiao.flow.workspace import SETTINGS_FILE, Workspace, find_workspace, init_workspace

__all__ = ["FOLDER", "BankClock", "bank_engine", "write_catalogue"]

FOLDER = "berka"
"""The import's workspace beside, or inside, one of another money."""
_MARKET = {
    'name = "Jinqiao"': 'name = "Berka"',
    'currency = "CNY"': 'currency = "CZK"',
    'zone = "Asia/Shanghai"': 'zone = "Europe/Prague"',
    "refusal_harm_minor = 3000": "refusal_harm_minor = 10000",
    "exploration_share = 0.03": "exploration_share = 0.0",
}


class BankClock:
    """The bank's time: set by the import, read by the engine."""

    def __init__(self, now_us: int) -> None:
        self.now_us = now_us

    def __call__(self) -> int:
        return self.now_us


@contextmanager
def bank_engine(place: Engine | Path | None, clock: BankClock) -> Iterator[Engine]:
    """Yield an engine of a workspace whose money is CZK, at the bank's time.

    ``place``: an open engine or a workspace's folder; None is the workspace found from here, or
    ``berka/`` here. One of another money is left alone: the import makes ``berka/`` inside it.
    """
    if isinstance(place, Engine) and _czech(place):
        yield replace(place, clock=clock, _catalogs={})
        return
    with open_engine(workspace=_workspace(place), clock=clock) as engine:
        yield engine


def _czech(engine: Engine) -> bool:
    market = engine.settings.marketplace
    return market.currency == "CZK" and market.jurisdiction == "CZ"


def _workspace(place: Engine | Path | None) -> Workspace:
    root = place.workspace.root / FOLDER if isinstance(place, Engine) else place or _found()
    if (root / SETTINGS_FILE).is_file():
        if _says_czech(root):
            return Workspace(root.resolve())
        root = root / FOLDER
    if (root / SETTINGS_FILE).is_file():
        return Workspace(root.resolve())
    made = init_workspace(root, samples=False, jurisdiction="CZ")
    text = made.settings_file.read_text(encoding="utf-8")
    for said, wanted in _MARKET.items():
        text = text.replace(said, wanted)
    made.settings_file.write_text(text, encoding="utf-8")
    return made


def _found() -> Path:
    try:
        return find_workspace().root
    except NotFound:
        return Path.cwd() / FOLDER


def _says_czech(root: Path) -> bool:
    from jinqiao.flow.settings import read_settings

    market = read_settings(root / SETTINGS_FILE).marketplace
    return market.currency == "CZK" and market.jurisdiction == "CZ"


def write_catalogue(engine: Engine) -> tuple[str, ...]:
    """Write the small CZK catalogue's files where they are not there yet; return their names."""
    folder = resources.files("jinqiao.flow.banks") / "catalogue"
    names = sorted(item.name for item in folder.iterdir() if item.name.endswith(".yaml"))
    for name in names:
        target = engine.workspace.institutions / name
        if not target.exists():
            target.write_text((folder / name).read_text(encoding="utf-8"), encoding="utf-8")
    return tuple(names)
