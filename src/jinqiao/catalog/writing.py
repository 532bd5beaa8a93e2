"""A plain mapping as a readable YAML file: what was written reads back as the same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from enum import Enum
from typing import Any

__all__ = ["write_text"]

_WIDTH = 96
_BARE = re.compile(r"[A-Za-z_\u4e00-\u9fff][A-Za-z0-9_.\u4e00-\u9fff /-]*")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_RESERVED = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def write_text(record: Mapping[str, Any]) -> str:
    """Return the YAML text of a mapping of mappings, lists and scalars.

    >>> print(write_text({"name": {"zh": "清河", "en": "Qinghe"}, "hours": [8, 22]}), end="")
    name: {zh: 清河, en: Qinghe}
    hours: [8, 22]
    """
    return "".join(f"{line}\n" for line in _mapping(record, 0))


def _mapping(record: Mapping[str, Any], indent: int) -> Iterator[str]:
    pad = " " * indent
    for key, value in record.items():
        name = _scalar(str(key))
        short = _inline(value)
        if len(pad) + len(name) + 2 + len(short) <= _WIDTH or not _nested(value):
            yield f"{pad}{name}: {short}"
        elif isinstance(value, Mapping):
            yield f"{pad}{name}:"
            yield from _mapping(value, indent + 2)
        else:
            yield f"{pad}{name}:"
            yield from _sequence(value, indent + 2)


def _sequence(values: Sequence[Any], indent: int) -> Iterator[str]:
    pad = " " * indent
    for value in values:
        short = _inline(value)
        if len(pad) + 2 + len(short) <= _WIDTH or not _nested(value):
            yield f"{pad}- {short}"
            continue
        inner = _mapping(value, indent + 2) if isinstance(value, Mapping) else None
        lines = list(inner if inner is not None else _sequence(value, indent + 2))
        yield f"{pad}- {lines[0].lstrip()}"
        yield from lines[1:]


def _nested(value: Any) -> bool:
    return isinstance(value, Mapping | list | tuple) and bool(value)


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_scalar(str(k))}: {_inline(v)}" for k, v in value.items())
        return f"{{{inside}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_inline(one) for one in value)}]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, str):
        if _DAY.fullmatch(value):
            return value
        bare = _BARE.fullmatch(value) and value.lower() not in _RESERVED and value[-1] != " "
        return value if bare else json.dumps(value, ensure_ascii=False)
    if isinstance(value, date):
        return value.isoformat()
    return json.dumps(value)
