"""The list of files a lake table is made of: one line a commit, appended whole or not at all.

A file that no line names does not exist for a reader, so a batch over several partitions becomes
visible at once, when its line does. A line torn by a crash has no newline or a wrong checksum and
is cut off by the next writer.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinqiao.errors import Unavailable

__all__ = ["File", "Manifest"]


@dataclass(frozen=True, slots=True)
class File:
    """A committed file: its path below the table's folder, its rows, what it was merged from."""

    path: str
    rows: int
    merged: tuple[str, ...] = ()


@dataclass(slots=True)
class Manifest:
    """The commits of one table, as read so far; ``refresh`` reads what others added since."""

    folder: Path
    durable: bool = True
    files: dict[str, File] = field(default_factory=dict)
    batches: set[str] = field(default_factory=set)
    offset: int = 0
    commits: int = 0

    @property
    def path(self) -> Path:
        return self.folder / "manifest.log"

    def stale(self) -> bool:
        """Return whether the log has grown since it was read."""
        try:
            return os.stat(self.path).st_size > self.offset
        except FileNotFoundError:
            return False

    def refresh(self) -> list[File]:
        """Read the lines that came since; return the files they added, in order."""
        if not self.stale():
            return []
        added: list[File] = []
        for entry, end in self._entries():
            added += self._apply(entry)
            self.offset = end
        return added

    def commit(self, batch_id: str | None, add: Sequence[File], remove: Iterable[str] = ()) -> None:
        """Make files appear, and others disappear, at once. The writer's lock must be held."""
        entry = {
            "batch": batch_id,
            "add": [[file.path, file.rows, list(file.merged)] for file in add],
            "remove": list(remove),
        }
        line = _line(entry)
        with self.path.open("ab") as log:
            if log.tell() != self.offset:
                log.truncate(self.offset)  # a line torn by a crash
            log.write(line)
            log.flush()
            if self.durable:
                os.fsync(log.fileno())
        self.offset += len(line)
        self._apply(entry)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the table against every other writer of any process."""
        import fcntl

        with (self.folder / ".lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _entries(self) -> Iterator[tuple[Any, int]]:
        with self.path.open("rb") as log:
            log.seek(self.offset)
            text = log.read()
        end = self.offset
        lines = text.split(b"\n")
        for place, line in enumerate(lines[:-1]):
            entry = _parsed(line)
            if entry is None:
                if place < len(lines) - 2:
                    raise Unavailable(
                        "a line of the manifest is damaged",
                        record=f"{self.path} at byte {end}",
                        fix="restore the file from a copy",
                    )
                return
            end += len(line) + 1
            yield entry, end

    def _apply(self, entry: Any) -> list[File]:
        for path in entry["remove"]:
            self.files.pop(path, None)
        added = [File(path, rows, tuple(merged)) for path, rows, merged in entry["add"]]
        self.files.update((file.path, file) for file in added)
        if entry["batch"] is not None:
            self.batches.add(entry["batch"])
        self.commits += 1
        return added


def _line(entry: object) -> bytes:
    body = json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(body), body)


def _parsed(line: bytes) -> Any:
    """Return what a line says, or None when it was torn."""
    checksum, _, body = line.partition(b" ")
    if len(checksum) != 8 or checksum != b"%08x" % zlib.crc32(body):
        return None
    return json.loads(body)
