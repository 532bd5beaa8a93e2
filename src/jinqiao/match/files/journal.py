"""Work that outlives its process: what a pass found is kept, and found again.

The search is the same steps for the same answers, so that a run begun again goes through what it
has kept without reading, and comes out bit for bit where it would have. A file is written beside
its place and renamed into it: it is whole or not there.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.allocation.chunk import Chunk, Core, Tally
from jinqiao.engines.allocation.terms import Reference
from jinqiao.errors import Conflict

__all__ = ["Journal", "key_of", "packed_scan", "plain", "scan_key", "unpacked_scan"]

Arrays = Mapping[str, NDArray[Any]]

_TALLY = tuple(f.name for f in fields(Tally))
_CORE = tuple(f.name for f in fields(Core))
_CHUNK = tuple(f.name for f in fields(Chunk) if f.name != "who")


def key_of(*parts: object) -> str:
    """Return a short name of arrays, numbers and texts."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype}{part.shape}".encode() + part.tobytes())
        else:
            digest.update(repr(part).encode())
        digest.update(b"|")
    return digest.hexdigest()[:24]


@dataclass(frozen=True)
class Journal:
    """A folder of one problem's work, or nothing where ``folder`` is None."""

    folder: Path | None
    problem: str

    def begin(self) -> None:
        """Claim the folder. Raises Conflict when the work of another problem lies there."""
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        place = self.folder / "problem.json"
        if place.exists():
            found = json.loads(place.read_text())["problem"]
            if found != self.problem:
                raise Conflict(
                    "the work of another problem", record=str(self.folder), field="work",
                    fix="name another folder, or remove this one",
                )  # fmt: skip
            return
        _write(place, json.dumps({"problem": self.problem}).encode())

    def get(self, name: str) -> dict[str, NDArray[Any]] | None:
        """Return arrays kept under a name, or None."""
        if self.folder is None or not (self.folder / f"{name}.npz").exists():
            return None
        with np.load(self.folder / f"{name}.npz", allow_pickle=False) as kept:
            return {key: kept[key] for key in kept.files}

    def put(self, name: str, arrays: Arrays) -> None:
        """Keep arrays under a name, all or nothing."""
        if self.folder is None:
            return
        place = self.folder / f"{name}.npz"
        place.parent.mkdir(parents=True, exist_ok=True)
        beside = place.with_suffix(".part")
        with beside.open("wb") as file:
            savez: Any = np.savez
            savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, place)

    def get_scan(self, name: str) -> tuple[Tally, Core] | None:
        """Return a tally and a core kept under a name, or None."""
        kept = self.get(name)
        return None if kept is None else unpacked_scan(kept)

    def put_scan(self, name: str, tally: Tally, core: Core) -> None:
        """Keep a tally and a core."""
        self.put(name, packed_scan(tally, core))

    def get_chunk(self, name: str) -> Chunk | None:
        """Return a chunk kept under a name, or None."""
        kept = self.get(name)
        if kept is None:
            return None
        return Chunk(**plain(kept))

    def put_chunk(self, name: str, chunk: Chunk) -> None:
        """Keep a chunk of its own customers (no ``who``)."""
        self.put(name, {n: np.asarray(getattr(chunk, n)) for n in _CHUNK})


def plain(kept: Arrays) -> dict[str, Any]:
    """Return the same with arrays of no dimension as numbers."""
    return {name: array if array.ndim else array.item() for name, array in kept.items()}


def packed_scan(tally: Tally, core: Core) -> dict[str, NDArray[Any]]:
    """Return a pass's answer as arrays."""
    kept = {f"tally_{n}": np.asarray(getattr(tally, n)) for n in _TALLY}
    return kept | {f"core_{n}": getattr(core, n) for n in _CORE}


def unpacked_scan(kept: Arrays) -> tuple[Tally, Core]:
    """Return the answer that ``packed_scan`` made arrays of."""
    tally = Tally(**plain({n: kept[f"tally_{n}"] for n in _TALLY}))
    return tally, Core(**{n: kept[f"core_{n}"] for n in _CORE})


def scan_key(at: Reference) -> str:
    """Return the name of a pass at a reference."""
    return "pass-" + key_of(at.duals, at.room, at.rise, at.valueless)


def _write(place: Path, text: bytes) -> None:
    beside = place.with_suffix(place.suffix + ".part")
    with beside.open("wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, place)
