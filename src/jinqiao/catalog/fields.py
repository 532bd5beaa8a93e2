"""One mapping being read: hands out checked values, and names every fault with its place.

A value that is wrong is reported and replaced by a harmless one, so that reading goes on and one
pass finds all faults.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, TypeVar

from jinqiao.catalog.node import MAX_FAULTS, Node
from jinqiao.domain.fault import Fault

__all__ = ["MAX_WHOLE", "Fields", "Place", "near"]

MAX_WHOLE = 10**15
IDENTITY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_E = TypeVar("_E", bound=StrEnum)


@dataclass(slots=True)
class Place:
    """A file being read: its faults so far, and where each field stands."""

    file: str
    faults: list[Fault] = field(default_factory=list)
    marks: dict[str, tuple[int, int]] = field(default_factory=dict)

    def fault(self, path: str, message: str, fix: str = "") -> None:
        """Add a fault at a field, or at the nearest field above it that stands in the file."""
        if len(self.faults) >= MAX_FAULTS:
            return
        line, column = self.where(path)
        self.faults.append(Fault(self.file, line, column, path, message, fix))

    def where(self, path: str) -> tuple[int, int]:
        while path and path not in self.marks:
            path = re.sub(r"(\.[^.\[]*|\[[0-9]+\]|^[^.\[]+)$", "", path)
        return self.marks.get(path, (0, 0))


_SAID = {"RMB": "CNY", "YUAN": "CNY"}
"""What people say for a word of ISO 4217."""


def near(word: str, known: tuple[str, ...]) -> str:
    """Return a fix: the known word meant, or the known words."""
    said = _SAID.get(word.upper(), word)
    close = get_close_matches(said, known, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]}?"
    return f"use one of {', '.join(known)}" if known else ""


class Fields:
    """The fields of one mapping. Call ``close`` at the end: it names the keys nobody asked for."""

    def __init__(self, node: Node | None, path: str, place: Place) -> None:
        self.path = path
        self.place = place
        self.asked: list[str] = []
        self.keys: dict[str, tuple[int, int]] = {}
        self.nodes: dict[str, Node] = {}
        if node is None:
            return
        place.marks.setdefault(path, (node.line, node.column))
        if isinstance(node.value, dict):
            self.nodes, self.keys = node.value, node.keys
        else:
            place.fault(path, f"a list of fields is needed, not {_said(node)}", "write key: value")

    def at(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def has(self, key: str) -> bool:
        node = self.nodes.get(key)
        return node is not None and node.value is not None

    def fault(self, key: str, message: str, fix: str = "") -> None:
        self.place.fault(self.at(key), message, fix)

    def node(self, key: str, needed: bool) -> Node | None:
        """Return a field's node; None when it is absent or null, a fault when it is needed."""
        self.asked.append(key)
        node = self.nodes.get(key)
        if node is not None:
            self.place.marks[self.at(key)] = (node.line, node.column)
        if node is None or node.value is None:
            if needed:
                self.fault(key, f"{key} is missing", "add it")
            return None
        return node

    def text(self, key: str, default: str | None = None, *, longest: int = 2_000) -> str:
        node = self.node(key, default is None)
        if node is None:
            return default or ""
        if isinstance(node.value, dict | list | bool):
            self.fault(key, f"a text is needed, not {_said(node)}", "put it in quotes")
            return default or ""
        if len(node.text) > longest:
            self.fault(key, f"longer than {longest} characters", "shorten it")
        return node.text.strip()

    def identity(self, key: str) -> str:
        text = self.text(key)
        if text and not IDENTITY.fullmatch(text):
            self.fault(key, f"{text[:80]!r} is no id", "use letters, digits, _ . and -, at most 64")
        return text

    def both(self, key: str, *, needed: bool = True) -> tuple[str, str]:
        """Return a pair of texts: {zh: …, en: …}."""
        if not needed and not self.has(key):
            self.asked.append(key)
            return "", ""
        part = self.part(key)
        if not self.has(key) or not part.nodes:
            return "", ""
        pair = part.text("zh"), part.text("en")
        part.close()
        for language, text in zip(("zh", "en"), pair, strict=True):
            if not text and part.has(language) and (needed or any(pair)):
                part.fault(language, f"{language} is empty", "write it")
        return pair

    def whole(
        self, key: str, lower: int = 0, upper: int = MAX_WHOLE, default: int | None = None
    ) -> int:
        node = self.node(key, default is None)
        if node is None:
            return lower if default is None else default
        if isinstance(node.value, bool) or not isinstance(node.value, int):
            fix = "amounts are whole minor units, rates whole basis points"
            self.fault(key, f"a whole number is needed, not {_said(node)}", fix)
            return lower
        if not lower <= node.value <= upper:
            self.fault(key, f"{node.value} is not from {lower} to {upper}", "mind the unit")
            return lower
        return node.value

    def share(self, key: str) -> float | None:
        """Return a ratio from 0 to 1, or None when absent."""
        node = self.node(key, False)
        if node is None:
            return None
        number = isinstance(node.value, int | float) and not isinstance(node.value, bool)
        if not number or not 0 <= node.value <= 1:
            self.fault(key, f"a ratio from 0 to 1 is needed, not {_said(node)}", "40 % is 0.4")
            return None
        return float(node.value)

    def day(self, key: str) -> date | None:
        node = self.node(key, False)
        if node is None or isinstance(node.value, date):
            return None if node is None else node.value
        if isinstance(node.value, str):
            with suppress(ValueError):
                return date.fromisoformat(node.value)
        self.fault(key, f"a day is needed, not {_said(node)}", "write it as 2026-11-11")
        return None

    def choice(self, key: str, kind: type[_E], default: _E | None = None) -> _E:
        words = tuple(member.value for member in kind)
        text = self.word(key, words, None if default is None else default.value)
        return kind(text)

    def word(self, key: str, words: tuple[str, ...], default: str | None = None) -> str:
        text = self.text(key, default)
        if text in words:
            return text
        if self.has(key) and text:
            self.fault(key, f"{key} is never {text[:80]!r}", near(text, words))
        return default or words[0]

    def words(self, key: str) -> tuple[str, ...]:
        """Return a list of texts, empty when absent."""
        texts = []
        for index, node in enumerate(self._list(key, False)):
            if isinstance(node.value, dict | list | bool) or node.value is None:
                path = f"{key}[{index}]"
                self.fault(path, f"a text is needed, not {_said(node)}", "put it in quotes")
            texts.append(node.text)
        return tuple(texts)

    def part(self, key: str, *, needed: bool = True) -> Fields:
        return Fields(self.node(key, needed), self.at(key), self.place)

    def parts(self, key: str, *, needed: bool = False) -> Iterator[Fields]:
        """Yield each mapping of a list."""
        for index, node in enumerate(self._list(key, needed)):
            yield Fields(node, self.at(f"{key}[{index}]"), self.place)

    def _list(self, key: str, needed: bool) -> list[Node]:
        node = self.node(key, needed)
        if node is None:
            return []
        if not isinstance(node.value, list):
            self.fault(key, f"a list is needed, not {_said(node)}", "start each line with -")
            return []
        for index, child in enumerate(node.value):
            self.place.marks[self.at(f"{key}[{index}]")] = (child.line, child.column)
        return node.value

    def close(self) -> None:
        for key in self.nodes:
            if key not in self.asked:
                self.place.marks[self.at(key)] = self.keys.get(key, (0, 0))
                fix = near(key, tuple(self.asked))
                self.fault(key, f"nothing is called {key[:80]!r} here", fix)


def _said(node: Node) -> str:
    value: Any = node.value
    if isinstance(value, dict):
        return "a list of fields"
    if isinstance(value, list):
        return "a list"
    return "nothing" if value is None else repr(node.text[:60])
