"""What is remembered of few among very many: keys in an open hash table, values beside them.

A life remembers what each person has lately seen of each product, and which classes they hold.
Most pairs have nothing to remember, so memory follows what was shown, not how many people there
are. What has faded below ``FAINT`` counts as never seen, and its place is used again.

Letters: m keys asked, c places of the table (a power of two). Linear probing, Fibonacci hashing:
Knuth, The Art of Computer Programming, vol. 3, 6.4.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["FAINT", "HALF_LIFE_DAYS", "Marks", "Sights"]

HALF_LIFE_DAYS = 5.0
FAINT = 0.05
"""A sight fainter than this is forgotten: it would take 0.3 % off a chance of a click."""
_EMPTY = -1
_MIX = np.uint64(0x9E3779B97F4A7C15)
_LEAST_BITS = 10


class Sights:
    """How much of what keys stand for was seen, and on which day last; it fades by half in 5 days.

    A key's strength on a day is a function of its own history alone, in whatever order other keys
    were added.
    """

    def __init__(self) -> None:
        self._keys = np.full(1 << _LEAST_BITS, _EMPTY, np.int64)
        self._strength = np.zeros(len(self._keys), np.float32)
        self._day = np.zeros(len(self._keys), np.int32)
        self._used = 0

    def copy(self) -> Sights:
        """Return a copy that goes its own way."""
        other = Sights.__new__(Sights)
        other._keys, other._strength = self._keys.copy(), self._strength.copy()
        other._day, other._used = self._day.copy(), self._used
        return other

    @property
    def bytes(self) -> int:
        """The memory of the table."""
        return self._keys.nbytes + self._strength.nbytes + self._day.nbytes

    def strength(self, key: NDArray[np.int64], day: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return what is left of each key on its day, (m,) ≥ 0; nothing changes."""
        out = np.empty(len(key))
        _read(self._keys, self._strength, self._day, key, day, out)
        return out

    def add(
        self, key: NDArray[np.int64], day: NDArray[np.int32], more: NDArray[np.float32],
        owners: int,
    ) -> None:  # fmt: skip
        """Add to keys, each named once, on days that are not before their last.

        ``owners``: keys of one owner are ``owner × owners + …``; when the table is rebuilt a key is
        let go once it is faint on the latest day its owner has seen.
        """
        if 10 * (self._used + len(key)) > 6 * len(self._keys):
            self._rebuild(len(key), owners)
        self._used += _write(self._keys, self._strength, self._day, key, day, more)

    def _rebuild(self, coming: int, owners: int) -> None:
        here = np.flatnonzero(self._keys != _EMPTY)
        keys, strength, day = self._keys[here], self._strength[here], self._day[here]
        owner, place = np.unique(keys // owners, return_inverse=True)
        latest = np.full(len(owner), np.iinfo(np.int32).min, np.int32)
        np.maximum.at(latest, place, day)
        keep = _faded(strength, latest[place] - day) >= 0.999 * FAINT
        bits = _LEAST_BITS
        while 10 * (int(keep.sum()) + coming) > 4 * (1 << bits):
            bits += 1
        self._keys = np.full(1 << bits, _EMPTY, np.int64)
        self._strength = np.zeros(1 << bits, np.float32)
        self._day = np.zeros(1 << bits, np.int32)
        args = (keys[keep], day[keep], strength[keep])
        self._used = int(_write(self._keys, self._strength, self._day, *args))


class Marks:
    """One instant for each of few keys: the earliest or the latest it was given."""

    def __init__(self, nothing: int) -> None:
        self._nothing = nothing
        self._keys = np.full(1 << _LEAST_BITS, _EMPTY, np.int64)
        self._at = np.full(len(self._keys), nothing, np.int64)
        self._used = 0

    def copy(self) -> Marks:
        """Return a copy that goes its own way."""
        other = Marks.__new__(Marks)
        other._nothing, other._used = self._nothing, self._used
        other._keys, other._at = self._keys.copy(), self._at.copy()
        return other

    @property
    def bytes(self) -> int:
        """The memory of the table."""
        return self._keys.nbytes + self._at.nbytes

    def of(self, key: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the instant of each key, (m,); ``nothing`` where it has none."""
        place = _find(self._keys, key)
        return np.where(place >= 0, self._at[np.maximum(place, 0)], self._nothing)

    def keep(self, key: NDArray[np.int64], at: NDArray[np.int64], *, latest: bool) -> None:
        """Let each key have the latest, or the earliest, of its instant and the one given."""
        if 10 * (self._used + len(key)) > 6 * len(self._keys):
            self._grow(len(key))
        self._used += int(_mark(self._keys, self._at, key, at, latest))

    def _grow(self, coming: int) -> None:
        here = np.flatnonzero(self._keys != _EMPTY)
        keys, at = self._keys[here], self._at[here]
        bits = _LEAST_BITS
        while 10 * (len(here) + coming) > 4 * (1 << bits):
            bits += 1
        self._keys = np.full(1 << bits, _EMPTY, np.int64)
        self._at = np.full(1 << bits, self._nothing, np.int64)
        self._used = int(_mark(self._keys, self._at, keys, at, True))


def _faded(strength: NDArray[np.float32], days: NDArray[np.int32]) -> NDArray[np.float64]:
    out: NDArray[np.float64] = strength * 0.5 ** (np.maximum(days, 0) / HALF_LIFE_DAYS)
    return out


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _spot(keys, key):  # type: ignore[no-untyped-def]
    """Return the place of a key, or of the empty place where it would go."""
    mask = np.uint64(keys.size - 1)
    at = (np.uint64(key) * _MIX) >> np.uint64(20)
    at &= mask
    while keys[at] != _EMPTY and keys[at] != key:
        at = (at + np.uint64(1)) & mask
    return at


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _find(keys, wanted):  # type: ignore[no-untyped-def]
    out = np.empty(wanted.size, np.int64)
    for i in range(wanted.size):
        at = _spot(keys, wanted[i])
        out[i] = at if keys[at] == wanted[i] else -1
    return out


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _read(keys, strength, day, wanted, today, out):  # type: ignore[no-untyped-def]
    for i in range(wanted.size):
        at = _spot(keys, wanted[i])
        out[i] = 0.0
        if keys[at] == wanted[i]:
            gone = max(today[i] - day[at], 0)
            left = strength[at] * 0.5 ** (gone / HALF_LIFE_DAYS)
            out[i] = left if left >= FAINT else 0.0


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _write(keys, strength, day, wanted, today, more):  # type: ignore[no-untyped-def]
    """Add to keys; return how many were new."""
    new = 0
    for i in range(wanted.size):
        at = _spot(keys, wanted[i])
        if keys[at] == wanted[i]:
            gone = max(today[i] - day[at], 0)
            left = strength[at] * 0.5 ** (gone / HALF_LIFE_DAYS)
            strength[at] = np.float32((left if left >= FAINT else 0.0) + more[i])
            day[at] = max(day[at], today[i])
        else:
            keys[at] = wanted[i]
            strength[at], day[at] = more[i], today[i]
            new += 1
    return new


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _mark(keys, at, wanted, when, latest):  # type: ignore[no-untyped-def]
    """Keep the latest or earliest instant of keys; return how many were new."""
    new = 0
    for i in range(wanted.size):
        spot = _spot(keys, wanted[i])
        if keys[spot] != wanted[i]:
            keys[spot], at[spot] = wanted[i], when[i]
            new += 1
        elif latest:
            at[spot] = max(at[spot], when[i])
        else:
            at[spot] = min(at[spot], when[i])
    return new
