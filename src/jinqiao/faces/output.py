"""What a command says: tables for people, plain JSON for programs, progress on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from typing import Any

from jinqiao.errors import JinqiaoError

__all__ = ["Output", "money", "plain"]

Columns = Sequence[tuple[str, str]]
"""Pairs of a row's key and its heading."""


def plain(value: object) -> Any:
    """Return a value as JSON types: records by field, enums by value, instants in ISO 8601."""
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(plain(item) for item in value)
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return str(value)


def money(minor: float | None, currency: str = "CNY") -> str:
    """Return minor units as people write them, – where unknown."""
    from jinqiao.domain.money import Money

    return "–" if minor is None else str(Money(round(minor), currency))


class Output:
    """Where a command speaks. With ``json`` only ``value`` prints, and one object in all."""

    def __init__(self, *, json: bool = False, language: str = "en", debug: bool = False) -> None:
        self.json = json
        self.language = language
        self.debug = debug

    @property
    def people(self) -> bool:
        return not self.json

    def value(self, value: object, say: Callable[[], None] | None = None) -> None:
        """Print a result: as JSON, or the way ``say`` says it to people."""
        if self.json or say is None:
            sys.stdout.write(json.dumps(plain(value), ensure_ascii=False, indent=2) + "\n")
        else:
            say()

    def say(self, *lines: str) -> None:
        """Print sentences to people; nothing with ``--json``."""
        if self.people:
            for line in lines:
                sys.stdout.write(line + "\n")

    def write(self, text: str) -> None:
        """Print a text exactly as it is."""
        sys.stdout.write(text)

    def note(self, line: str) -> None:
        """Print a remark to stderr, for people."""
        if self.people:
            sys.stderr.write(line + "\n")

    def both(self, zh: str, en: str) -> str:
        """Return a text in the language asked for."""
        return zh if self.language == "zh" else en

    def table(self, rows: Sequence[Mapping[str, Any]], columns: Columns, title: str = "") -> None:
        """Print rows as a table."""
        from rich import box
        from rich.console import Console
        from rich.table import Table

        if not rows:
            self.say(self.both("（无）", "(none)"))
            return
        made = Table(title=title or None, box=box.SIMPLE_HEAD, title_justify="left")
        for key, heading in columns:
            numbers = all(isinstance(row.get(key), int | float | None) for row in rows)
            made.add_column(heading, justify="right" if numbers else "left", overflow="fold")
        for row in rows:
            made.add_row(*(_cell(row.get(key)) for key, _ in columns))
        width = None if sys.stdout.isatty() else 160
        Console(file=sys.stdout, width=width, highlight=False, markup=False).print(made)

    def pairs(self, row: Mapping[str, Any]) -> None:
        """Print one record, a field a line; lists and records are left to ``--json``."""
        width = max((len(name) for name in row), default=0)
        for name, value in row.items():
            if not isinstance(value, list | dict | tuple):
                self.say(f"{name.ljust(width)}  {_cell(value)}")

    @contextmanager
    def progress(self) -> Iterator[Callable[[str, float], None]]:
        """Yield a function that shows a step and the share done; silent off a terminal."""
        if self.json or not sys.stderr.isatty():
            yield lambda step, share: None
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(), console=Console(file=sys.stderr), transient=True,
        )  # fmt: skip
        with bar:
            task = bar.add_task("", total=1.0)

            def tell(step: str, share: float) -> None:
                bar.update(task, description=step, completed=min(max(share, 0.0), 1.0))

            yield tell

    def error(self, error: JinqiaoError) -> None:
        """Print an error in one line (or as one object) to stderr."""
        if self.json:
            from jinqiao.faces.status import problem

            sys.stderr.write(json.dumps({"error": problem(error)}, ensure_ascii=False) + "\n")
        else:
            sys.stderr.write(" ".join(f"jinqiao: {error}".split()) + "\n")


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, list | tuple):
        return ", ".join(str(one) for one in value)
    return str(value)
