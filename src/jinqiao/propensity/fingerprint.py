"""What a chain was learnt from and by, as digests: of the rows in any order, of the code.

A row is everything the chain may see of one shown offer: the customer's profile, the product, the
moment, and how each stage stands. Rows are hashed to 128 bits each (two mixed 64-bit sums), sorted,
and the sorted hashes go through SHA-256: the same rows in another order have the same digest.

Source: Steele, Lea & Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014 (the
64-bit mixer).
"""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

if TYPE_CHECKING:
    from jinqiao.propensity.training import TrainingSet

__all__ = ["code_version", "data_sha256", "rows_sha256"]

Words = NDArray[np.uint64]
_STEP = 0x9E3779B97F4A7C15


def data_sha256(rows: TrainingSet) -> str:
    """Return the digest of a training set's rows, whatever their order."""
    both = _rows(rows)
    both = both[np.lexsort((both[:, 1], both[:, 0]))]
    return _digest(rows, both)


def rows_sha256(rows: TrainingSet) -> str:
    """Return the digest of the rows in their order, with the instant and the rates of each day.

    Learning follows the order of rows, so what is kept of unfinished work goes by this one.
    """
    return _digest(rows, _rows(rows), str(rows.as_of_us).encode(), rows.rates.tobytes())


@cache
def code_version() -> str:
    """Return the package's version and a digest of the code that learns: this room and engines."""
    from jinqiao import __version__

    room = Path(__file__).parent
    digest = hashlib.sha256()
    for folder in (room, room.parent / "engines"):
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.read_bytes())
    return f"{__version__}+{digest.hexdigest()[:12]}"


def _digest(rows: TrainingSet, both: Words, *more: bytes) -> str:
    head = repr((rows.layout.names, rows.purpose.value, rows.dictionary.version, len(rows)))
    digest = hashlib.sha256(head.encode())
    digest.update(np.ascontiguousarray(both).tobytes())
    for part in more:
        digest.update(part)
    return digest.hexdigest()


_known: dict[int, tuple[weakref.ref[TrainingSet], Words]] = {}
"""The hashes of the last training set asked for: three digests are of the same ones."""


def _rows(rows: TrainingSet) -> Words:
    """Return two 64-bit hashes of every row, (n, 2)."""
    kept = _known.get(id(rows))
    if kept is None or kept[0]() is not rows:
        _known.clear()
        kept = _known[id(rows)] = (weakref.ref(rows), _hashed(rows))
    return kept[1]


def _hashed(rows: TrainingSet) -> Words:
    c = rows.context
    columns: list[NDArray[Any]] = [
        rows.shown_us, rows.position, _bits(c.at_us.astype(np.float64)), _bits(c.city_tier),
        *(_texts(column) for column in (c.channel, c.scene, c.source)),
    ]  # fmt: skip
    for stage in rows.stages:
        d = stage.delays
        for values in (d.label, d.yes_by, d.no_by, d.rate):
            spread = np.full(len(rows), -1.0)
            spread[stage.rows] = values
            columns.append(_bits(spread))
    return np.stack([_sum_of(_sides(rows, salt) + columns, salt) for salt in (1, 2)], axis=1)


def _sides(rows: TrainingSet, salt: int) -> list[NDArray[Any]]:
    """Return the hash of each row's product and of its customer's profile."""
    goods = np.zeros(rows.products.num_rows, np.uint64)
    for place, name in enumerate(sorted(rows.products.column_names)):
        goods += _mixed(_texts(rows.products[name]) + _word(place, salt))
    who = np.zeros(len(rows), np.uint64)
    for number, profile in enumerate(rows.profiles):
        here = np.flatnonzero(rows.snapshot == number)
        own, back = np.unique(rows.customer[here], return_inverse=True)
        who[here] = _matrix(profile.matrix[own], salt)[back]
    return [goods[rows.product], who]


def _matrix(matrix: NDArray[np.float32], salt: int) -> Words:
    """Return a hash of each row of a matrix, (n,)."""
    words = _bits(matrix)
    out = np.zeros(len(matrix), np.uint64)
    for column in range(words.shape[1] if words.ndim == 2 else 0):
        out += _mixed(words[:, column] + _word(column, salt))
    return out


def _sum_of(columns: Sequence[NDArray[Any]], salt: int) -> Words:
    out = np.zeros(len(columns[0]), np.uint64)
    for place, column in enumerate(columns):
        out += _mixed(column.astype(np.uint64) + _word(1_000 + place, salt))
    return _mixed(out)


def _word(place: int, salt: int) -> np.uint64:
    return np.uint64((_STEP * (place + 1 + 100_003 * salt)) % 2**64)


def _mixed(x: Words) -> Words:
    """Return the words, each mixed so that every bit depends on every bit."""
    with np.errstate(over="ignore"):
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _bits(values: NDArray[np.floating]) -> Words:
    """Return floats by their bits, one NaN for all and no negative zero."""
    wide = np.asarray(values, np.float64) + 0.0
    wide[np.isnan(wide)] = np.nan
    return np.asarray(np.ascontiguousarray(wide).view(np.uint64))


def _texts(column: pa.Array | pa.ChunkedArray) -> Words:
    """Return a 64-bit word of each value's text."""
    flat = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    coded = flat.dictionary_encode()
    words = [
        int.from_bytes(hashlib.sha256(str(value).encode()).digest()[:8], "little")
        for value in [*coded.dictionary.to_pylist(), None]
    ]
    code = coded.indices.fill_null(len(words) - 1).to_numpy(zero_copy_only=False)
    return np.asarray(np.array(words, np.uint64)[code.astype(np.int64)])
