"""Institution files in: from a directory, from texts, or from plain mappings."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinqiao.catalog.fields import Place
from jinqiao.catalog.node import Node, node_of, parse, plain
from jinqiao.catalog.reading import read_institution
from jinqiao.catalog.writing import write_text
from jinqiao.domain.catalog import Catalog, Institution
from jinqiao.domain.fault import Fault
from jinqiao.errors import NotFound

__all__ = ["CatalogFile", "Files", "Source", "contents", "institution_of", "read_files"]

Source = Path | str | Mapping[str, "str | bytes | Mapping[str, Any]"]
"""A directory, or file name → YAML text or plain mapping."""


@dataclass(frozen=True, slots=True)
class CatalogFile:
    """One file: its text and digest, what it says, where each field stands, what is wrong.

    ``institution`` is None when the file is no YAML; with ``faults`` it holds harmless stand-ins.
    """

    name: str
    text: str
    digest: str
    record: Mapping[str, Any]
    institution: Institution | None
    faults: tuple[Fault, ...]
    marks: Mapping[str, tuple[int, int]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Files:
    """Every file read, in name order."""

    files: tuple[CatalogFile, ...]

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Every fault found while reading; ``check`` finds more."""
        return tuple(fault for file in self.files for fault in file.faults)

    @property
    def catalog(self) -> Catalog:
        """The institutions of the files without a fault, in id order, as if version 1."""
        sound = [f.institution for f in self.files if f.institution and not f.faults]
        sound.sort(key=lambda institution: institution.institution_id)
        return Catalog(tuple(sound), tuple((one.institution_id, 1) for one in sound))


def read_files(source: Source) -> Files:
    """Return every institution file of a directory (``*.yaml``, ``*.yml``) or of a mapping.

    A mapping leads from a file name to its YAML text or to the same as plain dicts and lists.
    Raises NotFound when the directory does not exist; faults in files are values.
    """
    return Files(tuple(_read(name, content) for name, content in contents(source)))


def contents(source: Source) -> Iterator[tuple[str, str | bytes | Mapping[str, Any]]]:
    """Yield each file's name and content, in name order."""
    if isinstance(source, Mapping):
        yield from sorted(source.items())
        return
    directory = Path(source)
    if not directory.is_dir():
        raise NotFound(f"no directory {directory}", fix="see `jinqiao init`")
    for path in sorted(directory.iterdir()):
        if path.suffix in (".yaml", ".yml") and path.is_file():
            yield path.name, path.read_bytes()


def _read(name: str, content: str | bytes | Mapping[str, Any]) -> CatalogFile:
    if isinstance(content, Mapping):
        return _file(name, write_text(content), node_of(content), ())
    node, faults = parse(content, name)
    text = content if isinstance(content, str) else content.decode("utf-8-sig", "replace")
    return _file(name, text, node, faults)


def _file(name: str, text: str, node: Node | None, faults: tuple[Fault, ...]) -> CatalogFile:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    if node is None:
        return CatalogFile(name, text, digest, {}, None, faults, {})
    place = Place(name)
    institution = read_institution(node, place)
    record = plain(node) if isinstance(node.value, dict) else {}
    found = (*faults, *sorted(place.faults, key=lambda fault: (fault.line, fault.column)))
    return CatalogFile(name, text, digest, record, institution, found, place.marks)


def institution_of(record: Mapping[str, Any]) -> Institution:
    """Return the institution of a kept record (the plain form of a file that was checked)."""
    return read_institution(node_of(record), Place("records"))
