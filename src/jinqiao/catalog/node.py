"""YAML text to a plain tree that remembers its lines. Nothing in a file can hang or crash it.

Built from the parser's events on a stack of our own: no object is made by a tag, no alias is
followed (so no file grows by being read), and size, depth and count are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from typing import Any

from jinqiao.domain.fault import Fault

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_FAULTS",
    "MAX_LINE",
    "MAX_NODES",
    "Node",
    "node_of",
    "parse",
    "plain",
]

MAX_BYTES = 1 << 20
MAX_LINE = 10_000
"""Longest line: the parser's time for one long word grows with its square."""
MAX_DEPTH = 16
MAX_NODES = 20_000
MAX_FAULTS = 200
"""Most faults told of one file; after so many it is another kind of file."""

_WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_NUMBER = re.compile(r"[-+]?[0-9]{1,18}(\.[0-9]{1,18})?([eE][-+]?[0-9]{1,2})?")
_NO_TEXT = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_WORDS = {"true": True, "True": True, "false": False, "False": False,
          "": None, "~": None, "null": None, "Null": None}  # fmt: skip


@dataclass(slots=True)
class Node:
    """``value`` is a dict of nodes, a list of nodes, or a scalar; ``text`` a scalar as written.

    ``one_line`` says that a scalar's characters lie one after another, so columns can be counted.
    ``keys`` says where each key of a dict stands.
    """

    value: Any
    line: int = 0
    column: int = 0
    text: str = ""
    one_line: bool = False
    keys: dict[str, tuple[int, int]] = field(default_factory=dict)


def parse(text: str | bytes, file: str) -> tuple[Node | None, tuple[Fault, ...]]:
    """Return the tree of a file, or None and what is wrong; never raises for what a file holds."""
    if len(text) > MAX_BYTES:
        return None, (_whole(file, f"larger than {MAX_BYTES} bytes", "split it"),)
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            return None, (Fault(file, line, 1, "", "not UTF-8 text", "save it as UTF-8"),)
    long = re.search(rf"[^\n]{{{MAX_LINE + 1}}}", text)
    if long:
        line = text.count("\n", 0, long.start()) + 1
        said = f"a line longer than {MAX_LINE} characters"
        return None, (Fault(file, line, 1, "", said, "break it"),)
    return _built(text, file)


def plain(node: Node) -> Any:
    """Return a tree as dicts, lists and scalars; dates as ISO texts."""
    value = node.value
    if isinstance(value, dict):
        return {key: plain(child) for key, child in value.items()}
    if isinstance(value, list):
        return [plain(child) for child in value]
    return value.isoformat() if isinstance(value, date) else value


def node_of(value: Any) -> Node:
    """Return a tree of dicts, lists and scalars as nodes without lines."""
    if isinstance(value, Mapping):
        return Node({str(key): node_of(child) for key, child in value.items()})
    if isinstance(value, list | tuple):
        return Node([node_of(child) for child in value])
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, str) and _DAY.fullmatch(value):
        return Node(_day(value), text=value)
    return Node(value, text="" if value is None else str(value))


def _whole(file: str, message: str, fix: str = "") -> Fault:
    return Fault(file, 0, 0, "", message, fix)


def _built(text: str, file: str) -> tuple[Node | None, tuple[Fault, ...]]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError

    builder = _Builder(file)
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            if builder.feed(event):
                break
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = " ".join(str(error.problem or error.context or "it cannot be read").split())
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        builder.faults.append(Fault(file, line, column, "", f"not YAML: {said[:200]}", _HINT))
    except Exception as error:
        # The parser answers some malformed texts with errors of its own inner workings.
        said = " ".join(str(error).split())[:120]
        builder.faults.append(_whole(file, f"not YAML: {said or type(error).__name__}", _HINT))
    if builder.faults:
        return None, tuple(builder.faults)
    if builder.root is None or builder.root.value is None:
        return None, (_whole(file, "empty", "describe one institution"),)
    return builder.root, ()


_HINT = "mind indentation, colons and quotes"


class _Builder:
    """Takes events one by one; ``feed`` returns true when there is no point in going on."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.faults: list[Fault] = []
        self.root: Node | None = None
        self.stack: list[tuple[Node, list[Node]]] = []
        self.count = 0

    def feed(self, event: Any) -> bool:
        kind = type(event).__name__
        if kind in ("MappingEndEvent", "SequenceEndEvent"):
            self.stack.pop()
            return False
        if kind == "DocumentStartEvent" and self.root is not None:
            return self._stop(event, "more than one document", "one institution a file")
        if kind == "AliasEvent":
            return self._stop(event, "an alias", "write the value out; aliases are not followed")
        if kind not in ("ScalarEvent", "MappingStartEvent", "SequenceStartEvent"):
            return False
        if event.anchor or getattr(event, "tag", None) not in (None, "!"):
            return self._stop(event, "an anchor or a tag", "write plain values")
        if kind == "ScalarEvent" and _NO_TEXT.search(event.value):
            return self._stop(event, "a character that is no text", "remove control characters")
        self.count += 1
        if self.count > MAX_NODES:
            return self._stop(event, f"more than {MAX_NODES} values", "split the file")
        return self._place(event, kind)

    def _place(self, event: Any, kind: str) -> bool:
        node = _scalar(event) if kind == "ScalarEvent" else _container(event, kind)
        if self._attach(node, event):
            return True
        if kind != "ScalarEvent":
            self.stack.append((node, []))
            if len(self.stack) > MAX_DEPTH:
                return self._stop(event, f"nested deeper than {MAX_DEPTH}", "make it flatter")
        return False

    def _attach(self, node: Node, event: Any) -> bool:
        if not self.stack:
            self.root = node
            return False
        parent, waiting = self.stack[-1]
        if isinstance(parent.value, list):
            parent.value.append(node)
        elif waiting:
            parent.value[waiting.pop().text] = node
        elif isinstance(node.value, dict | list):
            return self._stop(event, "a key that is not a word", "write key: value")
        else:
            waiting.append(node)
            return self._key(parent, node)
        return False

    def _key(self, parent: Node, key: Node) -> bool:
        if key.text in parent.keys:
            line = parent.keys[key.text][0]
            self.faults.append(
                Fault(self.file, key.line, key.column, key.text[:80],
                      f"{key.text[:80]} is written twice (first on line {line})", "keep one")
            )  # fmt: skip
            return len(self.faults) > MAX_FAULTS
        parent.keys[key.text] = (key.line, key.column)
        return False

    def _stop(self, event: Any, message: str, fix: str) -> bool:
        mark = event.start_mark
        self.faults.append(Fault(self.file, mark.line + 1, mark.column + 1, "", message, fix))
        return True


def _container(event: Any, kind: str) -> Node:
    mark = event.start_mark
    value: Any = {} if kind == "MappingStartEvent" else []
    return Node(value, mark.line + 1, mark.column + 1)


def _scalar(event: Any) -> Node:
    start, end = event.start_mark, event.end_mark
    quoted = event.style is not None
    value = event.value if quoted else _typed(event.value)
    column = start.column + 1
    one_line = start.line == end.line and event.style not in ("|", ">")
    return Node(value, start.line + 1, column, event.value, one_line)


def _typed(text: str) -> Any:
    """Return what a word without quotes means: null, true, a number, a day, or itself."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "-+0123456789":
        return text
    if _WHOLE.fullmatch(text):
        return int(text)
    if _DAY.fullmatch(text):
        return _day(text)
    return float(text) if _NUMBER.fullmatch(text) else text


def _day(text: str) -> date | str:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return text
