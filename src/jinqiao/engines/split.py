"""Who goes where, by a hash: the same in every process, for ever, without a table.

Three draws, each with a key of its own, so that none says anything of another: is a unit in the
slice (a layer's key: experiments of one layer divide its units), is it held out, and which part.
A larger holdout or slice later moves nobody between parts.

Source: Tang, Agarwal, O'Brien & Meyer, "Overlapping experiment infrastructure", KDD 2010 (layers).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate

__all__ = ["HELD_OUT", "OUTSIDE", "Split", "key_of", "point"]

OUTSIDE, HELD_OUT = -2, -1
_KEY_BYTES = 64
_POINTS = 2.0**-53


def key_of(*parts: str) -> bytes:
    """Return the key of a draw: the text itself where it fits, else its digest."""
    text = "\x1f".join(parts).encode()
    return text if len(text) <= _KEY_BYTES else blake2b(text, digest_size=_KEY_BYTES).digest()


def point(key: bytes, unit: str) -> float:
    """Return a unit's place in [0, 1) under a key, one of 2⁵³."""
    digest = blake2b(unit.encode(), key=key, digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) * _POINTS


@dataclass(frozen=True, slots=True)
class Split:
    """Three draws. ``edges`` are the parts' upper ends, ``first`` ≤ layer point < ``last``."""

    key: bytes
    edges: tuple[float, ...]
    out_key: bytes
    out: float = 0.0
    layer_key: bytes = b""
    first: float = 0.0
    last: float = 1.0

    @classmethod
    def of(
        cls, salt: str, shares: Sequence[float], *, out: float = 0.0, layer: str = "",
        within: tuple[float, float] = (0.0, 1.0),
    ) -> Split:  # fmt: skip
        """Return the split of a salt into ``shares``, which add up to 1."""
        return cls(
            key_of(salt), tuple(accumulate(shares)), key_of(salt, "holdout"), out,
            key_of(layer, "layer"), *within,
        )  # fmt: skip

    def place(self, unit: str) -> int:
        """Return the part of a unit, ``HELD_OUT`` or ``OUTSIDE``."""
        whole = self.first <= 0.0 and self.last >= 1.0
        if not (whole or self.first <= point(self.layer_key, unit) < self.last):
            return OUTSIDE
        if self.out > 0.0 and point(self.out_key, unit) < self.out:
            return HELD_OUT
        return min(bisect_right(self.edges, point(self.key, unit)), len(self.edges) - 1)
