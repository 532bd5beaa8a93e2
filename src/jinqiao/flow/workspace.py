"""A workspace: one folder with a marketplace's settings, institutions, lake, records and snapshots.

::

    jinqiao.toml     settings                institutions/    one file an institution
    jurisdictions/   dated rule packs        content/         pieces, one file each
    lake/            append-only Parquet     records.db       exact rows (or PostgreSQL)
    snapshots/       what serving reads      rejects/         refused rows, sealed
    models/          trained chains          keys/            secrets, mode 0600
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from jinqiao.errors import InputError, NotFound
from jinqiao.flow.access import Keyring

__all__ = ["Workspace", "find_workspace", "init_workspace"]

SETTINGS_FILE = "jinqiao.toml"
_FOLDERS = (
    "institutions", "jurisdictions", "content", "lake", "snapshots", "rejects", "models", "keys",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Workspace:
    """The places of one workspace."""

    root: Path

    @property
    def settings_file(self) -> Path:
        return self.root / SETTINGS_FILE

    @property
    def institutions(self) -> Path:
        return self.root / "institutions"

    @property
    def jurisdictions(self) -> Path:
        return self.root / "jurisdictions"

    @property
    def content(self) -> Path:
        return self.root / "content"

    @property
    def lake(self) -> Path:
        return self.root / "lake"

    @property
    def snapshots(self) -> Path:
        return self.root / "snapshots"

    @property
    def rejects(self) -> Path:
        return self.root / "rejects"

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def records_file(self) -> Path:
        return self.root / "records.db"


def find_workspace(given: Path | None = None, *, start: Path | None = None) -> Workspace:
    """Return the workspace given, or named by JINQIAO_WORKSPACE, or found in a parent folder.

    Raises NotFound, saying how to make one.
    """
    named = given or (Path(value) if (value := os.environ.get("JINQIAO_WORKSPACE")) else None)
    if named is not None:
        if not (named / SETTINGS_FILE).is_file():
            raise NotFound(
                f"no {SETTINGS_FILE} in it", record=str(named), fix=f"jinqiao init {named}"
            )
        return Workspace(named.resolve())
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / SETTINGS_FILE).is_file():
            return Workspace(folder)
    raise NotFound(
        "no workspace here or above", record=str(here), fix="jinqiao init DIR, or --workspace DIR"
    )


def init_workspace(root: Path, *, samples: bool = True, jurisdiction: str = "CN") -> Workspace:
    """Make a workspace and return it; files that exist already are left as they are.

    ``samples`` writes a few invented institutions to start from. Raises InputError when ``root`` is
    a file, or a folder with other things in it and no workspace.
    """
    _check_empty(root)
    for name in _FOLDERS:
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "keys").chmod(0o700)
    Keyring.create(root / "keys")
    templates = resources.files("jinqiao.catalog") / "templates"
    names = ("jurisdictions", "institutions") if samples else ("jurisdictions",)
    with resources.as_file(templates) as folder:
        for name in names:
            for source in sorted((folder / name).glob("*.yaml")):
                _write_new(root / name / source.name, source)
    settings = root / SETTINGS_FILE
    if not settings.exists():
        text = _settings_text()
        if jurisdiction != "CN":
            text = text.replace('jurisdiction = "CN"', f'jurisdiction = "{jurisdiction}"')
        settings.write_text(text, encoding="utf-8")
    ignore = root / ".gitignore"
    if not ignore.exists():
        ignore.write_text("keys/\nlake/\nrecords.db*\nsnapshots/\nrejects/\nmodels/\n")
    return Workspace(root.resolve())


def _check_empty(root: Path) -> None:
    if root.is_file():
        raise InputError("a file of that name exists", record=str(root), fix="name a folder")
    if not root.is_dir() or (root / SETTINGS_FILE).exists():
        return
    others = [item.name for item in root.iterdir() if not item.name.startswith(".")]
    if others:
        raise InputError(
            f"the folder holds other things ({others[0]} …)",
            record=str(root),
            fix="name an empty or new folder",
        )


def _write_new(target: Path, source: Path) -> None:
    if not target.exists():
        shutil.copyfile(source, target)


def _settings_text() -> str:
    return (resources.files("jinqiao.flow") / "jinqiao.toml").read_text(encoding="utf-8")
