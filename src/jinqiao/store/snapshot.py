"""What serving reads: immutable directories with checksums, one of them current.

::

    <root>/<version>/…              the files
    <root>/<version>/manifest.json  bytes and SHA-256 of each
    <root>/current                  the name of the current version, replaced atomically

A version is filled under a name nobody reads, checked, renamed, and pointed at last, so a crash at
any point leaves the old version current and whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jinqiao.errors import Conflict, StoreError, Unavailable

__all__ = ["DirectorySnapshots", "open_snapshots"]

MANIFEST = "manifest.json"
_POINTER = "current"
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}")
_READ = 1 << 20


def open_snapshots(root: Path | str, *, keep: int = 3) -> DirectorySnapshots:
    """Return the snapshots below a folder (made when absent); ``keep`` newest versions stay."""
    if keep < 1:
        raise StoreError("at least one version is kept", field="keep")
    return DirectorySnapshots(Path(root), keep)


class DirectorySnapshots:
    """The ``SnapshotStore`` contract in directories of one file system."""

    def __init__(self, root: Path, keep: int) -> None:
        self.root = root
        self._keep = keep
        self._lock = threading.Lock()
        self._whole: dict[Path, tuple[tuple[str, int, int], ...]] = {}

    def publish(
        self, version: str, write: Callable[[Path], None], check: Callable[[Path], None]
    ) -> Path:
        """Fill, checksum, check and make current; see ``store.base.SnapshotStore``.

        Raises Conflict when the version is kept already with other files.
        """
        target = self._path(version)
        draft = self.root / f".draft-{version}-{uuid.uuid4().hex[:12]}"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with self._lock, _locked(self.root / ".lock"):
                draft.mkdir()
                write(draft)
                _seal(draft, version)
                _verify(draft)
                check(draft)
                self._place(draft, target)
                self._point(version)
                self._prune(version)
        except OSError as error:
            raise Unavailable(f"cannot be published: {error}", record=version) from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return target

    def current(self) -> Path | None:
        """Return the current snapshot directory after verifying its manifest, or None.

        Raises Unavailable naming the file that is damaged.
        """
        version = self.current_version()
        return None if version is None else self._verified(self._path(version))

    def current_version(self) -> str | None:
        """Return the name of the current version, unverified: cheap enough to ask every second."""
        try:
            return (self.root / _POINTER).read_text(encoding="utf-8").strip() or None
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unavailable(f"cannot be read: {error}", record=str(self.root)) from error

    def version(self, version: str) -> Path | None:
        """Return a kept version's directory after verifying it, or None."""
        path = self._path(version)
        return self._verified(path) if path.is_dir() else None

    def versions(self) -> tuple[str, ...]:
        """Return the versions kept, oldest first."""
        found = [p for p in self.root.glob("*/") if (p / MANIFEST).is_file() and p.name[0] != "."]
        return tuple(p.name for p in sorted(found, key=_age))

    def make_current(self, version: str) -> Path:
        """Point at a kept version again (to go back); raise Unavailable when it is damaged."""
        path = self.version(version)
        if path is None:
            raise StoreError("no such version is kept", record=version)
        with self._lock, _locked(self.root / ".lock"):
            self._point(version)
        return path

    def _path(self, version: str) -> Path:
        if not _VERSION.fullmatch(version) or version == _POINTER:
            raise StoreError("not a version's name", record=version, field="version")
        return self.root / version

    def _verified(self, path: Path) -> Path:
        """Verify every byte once, and again only when a size or a time of change differs."""
        seen = _looks(path)
        if self._whole.get(path) != seen:
            _verify(path)
            self._whole[path] = seen
        return path

    def _place(self, draft: Path, target: Path) -> None:
        if target.exists():
            if _entries(target) != _entries(draft):
                raise Conflict(
                    "this version is kept with other files",
                    record=target.name,
                    fix="publish under a new version",
                )
            _verify(target)
            return
        os.replace(draft, target)
        _sync(self.root)

    def _point(self, version: str) -> None:
        draft = self.root / f".{_POINTER}-{uuid.uuid4().hex[:12]}"
        with draft.open("w", encoding="utf-8") as pointer:
            pointer.write(version + "\n")
            pointer.flush()
            os.fsync(pointer.fileno())
        os.replace(draft, self.root / _POINTER)
        _sync(self.root)

    def _prune(self, current: str) -> None:
        """Drop the oldest versions beyond ``keep``, and drafts that crashes left."""
        others = [version for version in self.versions() if version != current]
        for version in others[: max(len(others) - (self._keep - 1), 0)]:
            gone = self.root / f".gone-{uuid.uuid4().hex[:12]}"
            os.replace(self.root / version, gone)
            self._whole.pop(self.root / version, None)
        for left in (*self.root.glob(".gone-*"), *self.root.glob(".draft-*")):
            shutil.rmtree(left)
        for pointer in self.root.glob(f".{_POINTER}-*"):
            pointer.unlink()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a file against every other process that publishes."""
    import fcntl

    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _files(folder: Path) -> list[Path]:
    """Return every file but the manifest, in order of name."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return [path for path in found if path != folder / MANIFEST]


def _seal(folder: Path, version: str) -> None:
    """Write the manifest, and wait until every byte is on the disk."""
    files = {}
    for path in _files(folder):
        files[path.relative_to(folder).as_posix()] = [path.stat().st_size, _sha256(path)]
        _sync(path)
    manifest = folder / MANIFEST
    manifest.write_text(json.dumps({"version": version, "files": files}, indent=1) + "\n", "utf-8")
    _sync(manifest)
    for inner in sorted(path for path in folder.rglob("*") if path.is_dir()):
        _sync(inner)
    _sync(folder)


def _entries(folder: Path) -> dict[str, list[Any]]:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files: dict[str, list[Any]] = manifest["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(folder / MANIFEST, "cannot be read") from error
    return files


def _verify(folder: Path) -> None:
    """Raise Unavailable naming the first file that is missing, not listed, or not as written."""
    entries = _entries(folder)
    found = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    for name in sorted(entries.keys() ^ found.keys()):
        raise _damaged(folder / name, "is missing" if name in entries else "is not listed")
    for name, (size, digest) in entries.items():
        if found[name].stat().st_size != size or _sha256(found[name]) != digest:
            raise _damaged(found[name], "is not as it was written")


def _damaged(path: Path, what: str) -> Unavailable:
    return Unavailable(f"a snapshot's file {what}", record=str(path), fix="publish a new snapshot")


def _looks(folder: Path) -> tuple[tuple[str, int, int], ...]:
    stats = [(path, path.stat()) for path in sorted(folder.rglob("*")) if path.is_file()]
    return tuple((str(path), stat.st_size, stat.st_mtime_ns) for path, stat in stats)


def _age(folder: Path) -> tuple[int, str]:
    return (folder / MANIFEST).stat().st_mtime_ns, folder.name


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
