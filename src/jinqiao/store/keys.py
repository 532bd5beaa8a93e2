"""Which keys a lake table holds: 64-bit digests in memory, and the file each lies in.

A digest that is not there proves that the key is new. One that is there is only a hint: the key is
then compared exactly with the keys of the files named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

__all__ = ["KeyIndex"]

Digests = npt.NDArray[np.int64]
Files = npt.NDArray[np.int32]


@dataclass(slots=True)
class KeyIndex:
    """Sorted runs whose sizes grow by at least two, so that adding n keys costs n log n in all."""

    runs: list[tuple[Digests, Files]] = field(default_factory=list)

    def add(self, digests: Digests, files: Files) -> None:
        """Add keys by digest and file number; both (n,)."""
        if not len(digests):
            return
        run = _sorted(digests, files)
        while self.runs and len(self.runs[-1][0]) < 2 * len(run[0]):
            last = self.runs.pop()
            run = _sorted(np.concatenate([last[0], run[0]]), np.concatenate([last[1], run[1]]))
        self.runs.append(run)

    def hits(self, digests: Digests) -> tuple[npt.NDArray[np.bool_], set[int]]:
        """Return, per digest (n,), whether it is there, and the files that hold any of them."""
        found = np.zeros(len(digests), dtype=np.bool_)
        files: set[int] = set()
        for kept, where in self.runs:
            left = np.searchsorted(kept, digests, side="left")
            there = kept[np.minimum(left, len(kept) - 1)] == digests
            found |= there
            if there.any():
                right = np.searchsorted(kept, digests[there], side="right")
                files.update(np.unique(where[_places(left[there], right)]).tolist())
        return found, files

    def moved(self, numbers: Mapping[int, int]) -> None:
        """Point keys at the file their file was merged into."""
        for _, where in self.runs:
            top = int(where.max(initial=0)) + 1
            new = np.arange(top, dtype=np.int32)
            for old, merged in numbers.items():
                if old < top:
                    new[old] = merged
            where[:] = new[where]


def _places(left: npt.NDArray[np.intp], right: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return every place of the spans [left, right), each (n,); most spans are one place long."""
    longest = int((right - left).max())
    steps = [left[right - left > step] + step for step in range(longest)]
    return np.concatenate(steps)


def _sorted(digests: Digests, files: Files) -> tuple[Digests, Files]:
    order = np.argsort(digests, kind="stable")
    return digests[order], files[order]
