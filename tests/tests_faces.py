"""What tests of the faces share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer

from jinqiao.flow.demo import demo_clock
from jinqiao.flow.wiring import Engine, open_engine, system_clock

__all__ = ["Lived", "Quiet", "commands"]


@dataclass(frozen=True)
class Lived:
    """A workspace, the logins of its market, and traces that were clicked in it."""

    root: Path
    logins: tuple[str, ...]
    consenting: tuple[str, ...]
    refusing: tuple[str, ...]
    traces: tuple[str, ...] = field(default=())

    def engine(self) -> Engine:
        """Open the workspace on the clock it was lived on."""
        return open_engine(self.root, clock=demo_clock(self.root) or system_clock)


def commands(app: typer.Typer) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command, groups spelt out."""
    yield from _below(typer.main.get_command(app), ())


def _below(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path
        return
    for name, one in inner.items():
        yield from _below(one, (*path, name))


class Quiet(list[dict[str, Any]]):
    """A logger that keeps what it is told and prints nothing."""

    def info(self, event: str, **told: Any) -> None:
        """Keep one line."""
        self.append({"event": event, **told})

    error = warning = info
