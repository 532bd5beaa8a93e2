"""Pieces as files: one TOML file a piece, both languages, and the digest of its exact text."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from jinqiao.domain.content import Material
from jinqiao.domain.fault import Fault
from jinqiao.domain.stage import ProductClass
from jinqiao.errors import NotFound, SchemaError

__all__ = ["check", "digest_of", "load"]

MAX_BYTES = 64 << 10
_IDENTITY = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_KEYS = frozenset({"content_id", "topic", "product_class", "zh", "en"})
_TEXTS = frozenset({"title", "body"})


def load(directory: Path | str | None = None) -> tuple[Material, ...]:
    """Return every piece of a folder's ``*.toml`` files in id order; None: the pieces we ship.

    Raises NotFound when there is no such folder, SchemaError naming the file and field at fault.
    """
    pieces: dict[str, Material] = {}
    for name, content in _contents(directory):
        piece = _piece(name, content)
        if piece.content_id in pieces:
            raise SchemaError("two pieces have this id", record=name, field="content_id")
        pieces[piece.content_id] = piece
    return tuple(pieces[key] for key in sorted(pieces))


def check(directory: Path | str) -> tuple[Fault, ...]:
    """Return every fault of a folder's pieces: at most one a file, and ids used twice.

    Raises NotFound when there is no such folder.
    """
    first: dict[str, str] = {}
    faults: list[Fault] = []
    for name, content in _contents(directory):
        try:
            piece = _piece(name, content)
        except SchemaError as error:
            faults.append(Fault(name, 0, 0, error.field or "", error.message, error.fix or ""))
            continue
        if first.setdefault(piece.content_id, name) != name:
            said = f"piece {piece.content_id} is in {first[piece.content_id]} already"
            faults.append(Fault(name, 0, 0, "content_id", said, "rename it"))
    return tuple(faults)


def digest_of(topic: str, product_class: str, texts: tuple[str, str, str, str]) -> str:
    """Return the SHA-256 of a piece's exact words: what an approval names.

    ``texts``: title and body in Chinese, title and body in English.
    """
    words = "\x1f".join((topic, product_class, *texts))
    return hashlib.sha256(words.encode()).hexdigest()


def _contents(directory: Path | str | None) -> Iterator[tuple[str, bytes]]:
    if directory is None:
        for entry in sorted((resources.files(__package__) / "pieces").iterdir(), key=str):
            yield entry.name, entry.read_bytes()
        return
    folder = Path(directory)
    if not folder.is_dir():
        raise NotFound(f"no directory {folder}", fix="see `jinqiao init`")
    for path in sorted(folder.glob("*.toml")):
        yield path.name, path.read_bytes()


def _piece(name: str, content: bytes) -> Material:
    table = _table(name, content)
    unknown = sorted(set(table) - _KEYS)
    if unknown:
        raise SchemaError("no such field", record=name, field=unknown[0], fix=", ".join(_KEYS))
    content_id, topic = _text(name, table, "content_id"), _text(name, table, "topic")
    for field, value in (("content_id", content_id), ("topic", topic)):
        if not _IDENTITY.fullmatch(value):
            raise SchemaError(
                f"{value[:80]!r} is no id", record=name, field=field,
                fix="use small letters, digits, _ and -",
            )  # fmt: skip
    kind = _class(name, table)
    zh, en = _texts(name, table, "zh"), _texts(name, table, "en")
    digest = digest_of(topic, kind.value if kind else "", (*zh, *en))
    return Material(content_id, topic, kind, zh[0], en[0], zh[1], en[1], digest)


def _table(name: str, content: bytes) -> dict[str, Any]:
    if len(content) > MAX_BYTES:
        raise SchemaError(f"larger than {MAX_BYTES} bytes", record=name, fix="a piece is short")
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        said = " ".join(str(error).split())[:200]
        raise SchemaError(f"not TOML: {said}", record=name, fix="mind quotes") from error


def _class(name: str, table: Mapping[str, Any]) -> ProductClass | None:
    if "product_class" not in table:
        return None
    text = _text(name, table, "product_class")
    known = [member.value for member in ProductClass]
    if text not in known:
        raise SchemaError(
            f"no class {text[:40]!r}", record=name, field="product_class",
            fix=f"use one of {', '.join(known)}, or leave it out",
        )  # fmt: skip
    return ProductClass(text)


def _texts(name: str, table: Mapping[str, Any], language: str) -> tuple[str, str]:
    part = table.get(language)
    if not isinstance(part, Mapping) or set(part) != _TEXTS:
        raise SchemaError(
            "a title and a body are needed", record=name, field=language,
            fix=f"write [{language}] with title and body",
        )  # fmt: skip
    where = f"{name}: {language}"
    return _text(where, part, "title"), _text(where, part, "body")


def _text(name: str, table: Mapping[str, Any], field: str) -> str:
    value = table.get(field)
    if not isinstance(value, str) or not value.strip() or "\x00" in value:
        raise SchemaError("a text is needed", record=name, field=field, fix="write it")
    return value.strip()
