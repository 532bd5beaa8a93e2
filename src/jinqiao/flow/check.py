"""Every fault of a workspace's files, each with its file, line, field and fix."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from jinqiao.domain.fault import Fault
from jinqiao.domain.jurisdiction import Jurisdiction
from jinqiao.domain.money import CURRENCIES
from jinqiao.errors import JinqiaoError, NotFound, SchemaError
from jinqiao.flow.settings import Settings, read_settings
from jinqiao.flow.workspace import Workspace

__all__ = ["CheckReport", "check"]


@dataclass(frozen=True, slots=True)
class CheckReport:
    """How much was looked at, and every fault found."""

    workspace: Path
    institutions: int
    products: int
    jurisdictions: int
    pieces: int
    faults: tuple[Fault, ...] = ()

    @property
    def sound(self) -> bool:
        return not self.faults


def check(workspace: Workspace, *, on: date) -> CheckReport:
    """Return every fault of settings, jurisdictions, institutions and content as of a day."""
    from jinqiao import catalog, content, profile

    settings, faults = _settings(workspace.settings_file)
    faults += catalog.check_jurisdictions(_folder(workspace.jurisdictions))
    laws = _sound_laws(workspace.jurisdictions)
    if settings is not None:
        faults += _places(workspace.settings_file, settings, laws)
    files = catalog.read_files(_folder(workspace.institutions))
    faults += catalog.check(files, laws, profile.dictionary(), on)
    faults += content.check(workspace.content) if workspace.content.is_dir() else ()
    products = [len(f.institution.products) for f in files.files if f.institution]
    pieces = len(list(workspace.content.glob("*.toml"))) if workspace.content.is_dir() else 0
    return CheckReport(
        workspace.root, len(files.files), sum(products), len(laws), pieces, tuple(faults)
    )


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise NotFound("a folder is missing", record=str(path), fix="jinqiao init")
    return path


def _sound_laws(folder: Path) -> dict[str, Jurisdiction]:
    """Return the packs that can be read; the faults of the others were named already."""
    from jinqiao import catalog

    laws: dict[str, Jurisdiction] = {}
    for path in sorted(folder.glob("*.y*ml")):
        try:
            laws |= catalog.read_jurisdictions({path.name: path.read_text(encoding="utf-8")})
        except (JinqiaoError, UnicodeDecodeError):
            continue
    return laws


def _settings(path: Path) -> tuple[Settings | None, list[Fault]]:
    try:
        return read_settings(path), []
    except SchemaError as error:
        return None, list(_settings_faults(path, error))


def _settings_faults(path: Path, error: SchemaError) -> Iterator[Fault]:
    """Yield every fault that the reader of settings found, not the first alone."""
    found = getattr(error.__cause__, "errors", None)
    if found is None:
        yield _at(path, error.field or "", error.message, error.fix or "")
        return
    for one in found():
        field = ".".join(str(part) for part in one["loc"])
        yield _at(path, field, _lower(str(one["msg"])), _wanted(one))


def _wanted(one: Any) -> str:
    context = one.get("ctx") or {}
    return f"expected {context['expected']}" if "expected" in context else ""


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _places(path: Path, settings: Settings, laws: Iterable[str]) -> Iterator[Fault]:
    """Yield settings that name what is not there: a jurisdiction, a currency, a zone."""
    from zoneinfo import available_timezones

    market, known = settings.marketplace, sorted(laws)
    if market.jurisdiction not in known:
        yield _at(
            path, "marketplace.jurisdiction", f"no jurisdiction {market.jurisdiction!r}",
            f"use one of {', '.join(known)}" if known else "write jurisdictions/CN.yaml",
        )  # fmt: skip
    if market.currency not in CURRENCIES:
        yield _at(
            path, "marketplace.currency", f"unknown currency {market.currency!r}",
            f"use one of {', '.join(sorted(CURRENCIES))}",
        )  # fmt: skip
    if market.zone not in available_timezones():
        yield _at(
            path, "marketplace.zone", f"unknown zone {market.zone!r}",
            "use a name such as Asia/Shanghai",
        )  # fmt: skip


def _at(path: Path, field: str, message: str, fix: str) -> Fault:
    line, column = _line_of(path, field)
    return Fault(path.name, line, column, field, message, fix)


def _line_of(path: Path, field: str) -> tuple[int, int]:
    """Return line and column of ``section.name`` in a TOML file, 0 when it is not written there."""
    section, _, name = field.partition(".")
    inside = False
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return 0, 0
    for number, line in enumerate(lines, start=1):
        head = re.match(r"\s*\[([^\]]+)\]", line)
        if head:
            inside = head.group(1).strip() == section
            if inside and not name:
                return number, 1
        elif inside and name and re.match(rf"\s*{re.escape(name)}\s*=", line):
            return number, line.index(name[0]) + 1
    return 0, 0
