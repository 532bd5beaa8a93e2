"""Several forests over the same columns, scored together for one request and its candidates.

Letters: s stages (a forest each), t trees and w words of all, m candidates, P products, k columns
of a side. What customer and moment decide is one word a tree for the whole request; what a
product decides was laid down when the model was loaded. So of a tree only its tests on pairs are
left. A side's tests stand column by column in the order of their thresholds, so those that fail are
the first ones, and none that holds is looked at. Each sum grows in the order of the trees, as it
does in ``Forest.score``: the two agree bit for bit.

Source: Lucchese et al., "QuickScorer", SIGIR 2015, section 3, for the order of the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.forest import WORD_LEAVES, Forest, Pairing, Tests, fails_odd

__all__ = ["Ordered", "Stages", "join", "part"]

_SLOT = np.array([((0x077CB531 << i) & 0xFFFFFFFF) >> 27 for i in range(32)])


def join(forests: Sequence[Forest | None]) -> tuple[Forest, NDArray[np.int64]]:
    """Return one forest of all trees, and where each given one's trees begin, (s + 1,) int64.

    None is a forest without a tree.
    """
    given = [forest for forest in forests if forest is not None]
    spans = np.cumsum([0, *(0 if f is None else f.n_trees for f in forests)], dtype=np.int64)
    words = np.cumsum([0, *(f.n_words for f in given)])
    trees = [f.trees[:-1] + first for f, first in zip(given, words[:-1], strict=True)]
    leaves = [np.empty((0, WORD_LEAVES)), *(f.leaves for f in given)]
    one, two, three = (_joined([f.sides[i] for f in given]) for i in range(3))
    whole = Forest(
        (one, two, three), _joined([f.pair for f in given]), np.concatenate(leaves),
        np.concatenate([*trees, words[-1:]]).astype(np.int64),
    )  # fmt: skip
    return whole, spans


def _joined(parts: Sequence[Tests]) -> Tests:
    """Return the tests of several forests, one after another."""
    starts, thresholds, sets = [np.zeros(1, np.int64)], [np.empty(0)], [np.zeros(1, np.int64)]
    n_tests = n_sets = n_bits = 0
    for one in parts:
        moved = one.threshold.copy()
        moved[one.missing == 4] += n_sets
        thresholds.append(moved)
        starts.append(one.start[1:] + n_tests)
        sets.append(one.set_start[1:] + n_bits)
        n_tests += len(one.column)
        n_sets += len(one.set_start) - 1
        n_bits += len(one.sets)

    def whole(name: str, kind: type) -> NDArray[Any]:
        return np.concatenate([np.empty(0, kind), *(getattr(one, name) for one in parts)])

    return Tests(
        np.concatenate(starts), whole("column", np.int64),
        np.concatenate(thresholds), whole("missing", np.uint8),
        whole("keep", np.uint32), np.concatenate(sets), whole("sets", np.uint32),
        all(one.plain for one in parts),
    )  # fmt: skip


def part(tests: Tests, wanted: Callable[[int], bool]) -> Tests:
    """Return the tests on the columns wanted; the others are left out, so they clear nothing."""
    stays = np.array([wanted(int(column)) for column in tests.column], np.bool_)
    before = np.concatenate(([0], np.cumsum(stays)))
    return replace(
        tests, start=before[tests.start].astype(np.int64), column=tests.column[stays],
        threshold=tests.threshold[stays], missing=tests.missing[stays], keep=tests.keep[stays],
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Ordered:
    """One side's tests, column by column, thresholds ascending.

    Attributes
    ----------
    start : (k + 1,) int64. bound : (j,) float32, rounded down: a float32 passes either alike.
    word, keep : (j,) uint32, the word that loses leaves on a failure, and those it keeps.
    nan_start, nan_word, nan_keep : the same of the tests that NaN fails.
    odd : tests for a set, or that take zero as missing, word by word.
    """

    start: NDArray[np.int64]
    bound: NDArray[np.float32]
    word: NDArray[np.uint32]
    keep: NDArray[np.uint32]
    nan_start: NDArray[np.int64]
    nan_word: NDArray[np.uint32]
    nan_keep: NDArray[np.uint32]
    odd: tuple[NDArray[Any], ...]

    @classmethod
    def of(cls, tests: Tests, n_columns: int) -> Ordered:
        """Return a side's tests in order."""
        word = np.repeat(np.arange(len(tests.start) - 1), np.diff(tests.start)).astype(np.uint32)
        plain = tests.missing < 2
        rows = np.flatnonzero(plain)
        rows = rows[np.lexsort((tests.threshold[rows], tests.column[rows]))]
        nan = rows[tests.missing[rows] == 0]
        columns = np.arange(n_columns + 1)
        odd = (word[~plain], tests.column[~plain], tests.threshold[~plain],
               tests.missing[~plain], tests.keep[~plain], tests.set_start, tests.sets)  # fmt: skip
        return cls(
            np.searchsorted(tests.column[rows], columns), _short(tests.threshold[rows]),
            word[rows], tests.keep[rows], np.searchsorted(tests.column[nan], columns),
            word[nan], tests.keep[nan], odd,
        )  # fmt: skip

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        return (self.start, self.bound, self.word, self.keep, self.nan_start, self.nan_word,
                self.nan_keep, *self.odd)  # fmt: skip

    def words(self, row: NDArray[np.float32], words: NDArray[np.uint32]) -> None:
        """Clear from ``words``, (w,), what the tests of one row, (k,), clear."""
        _clear(row, words, *self.arrays)


def _short(threshold: NDArray[np.float64]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        short = threshold.astype(np.float32)
    above = short.astype(np.float64) > threshold
    short[above] = np.nextafter(short[above], np.float32(-np.inf))
    return short


@dataclass(frozen=True, eq=False)
class Stages:
    """A joined forest at work. ``goods`` is (P, w) uint32, the products' words."""

    forest: Forest
    spans: NDArray[np.int64]
    goods: NDArray[np.uint32]
    n_own: int

    @cached_property
    def _pair(self) -> tuple[NDArray[Any], ...]:
        return Ordered.of(self.forest.pair, self.n_own).arrays

    @cached_property
    def _sure(self) -> NDArray[np.uint32]:
        """The leaves of each word that no product here and no test on a pair can clear, (w,)."""
        tests = self.forest.pair
        sure = np.bitwise_and.reduce(self.goods, axis=0)
        word = np.repeat(np.arange(len(sure)), np.diff(tests.start))
        np.bitwise_and.at(sure, word, tests.keep)
        return np.asarray(sure, np.uint32)

    @cached_property
    def _slots(self) -> NDArray[np.float64]:
        """The leaves in the order their lowest bit hashes to."""
        slots = np.empty_like(self.forest.leaves)
        slots[:, _SLOT] = self.forest.leaves
        return slots

    def sums(
        self, words: NDArray[np.uint32], goods: NDArray[np.int32], own: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """Return the raw scores of m candidates, (m, s).

        ``words`` is (1, w), the request's, or (m, w), one's each: customer and moment. ``goods``
        (m,) places of the products; ``own`` (m, k) float32, the pairs' columns.
        """
        out = np.zeros((len(goods), len(self.spans) - 1))
        _sums(
            words, self.goods, goods, own, self._sure, self.forest.trees, self.spans, self._slots,
            out, *self._pair,
        )  # fmt: skip
        return out

    def of_runs(
        self,
        words: tuple[NDArray[np.uint32], NDArray[np.uint32]],
        pairs: Pairing,
        own: NDArray[np.float32],
    ) -> NDArray[np.float64]:
        """Return the raw scores of pairs that stand request by request, (m, s).

        ``words`` are those of customers, (n, w), and moments, (k, w). A run of pairs of the same
        two is one request.
        """
        out = np.zeros((len(own), len(self.spans) - 1))
        _runs(
            *words, pairs.first, pairs.third, self.goods, pairs.second, own, self._sure,
            self.forest.trees, self.spans, self._slots, out, *self._pair,
        )  # fmt: skip
        return out


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _clear(  # type: ignore[no-untyped-def]
    row, words, start, bound, word, keep, nan_start, nan_word, nan_keep,
    odd_word, odd_column, odd_threshold, odd_missing, odd_keep, set_start, sets,
):  # fmt: skip
    for k in range(start.size - 1):
        x = row[k]
        if np.isnan(x):
            for j in range(nan_start[k], nan_start[k + 1]):
                words[nan_word[j]] &= nan_keep[j]
            continue
        for j in range(start[k], start[k + 1]):
            if not x > bound[j]:
                break
            words[word[j]] &= keep[j]
    for j in range(odd_word.size):
        x = np.float64(row[odd_column[j]])
        if fails_odd(x, odd_threshold[j], odd_missing[j], set_start, sets):
            words[odd_word[j]] &= odd_keep[j]


@numba.njit(cache=True, nogil=True, inline="always")  # type: ignore[misc,untyped-decorator,unused-ignore]
def _leaf(word, slots):  # type: ignore[no-untyped-def]
    lowest = word & (~word + np.uint32(1))
    return slots[np.uint32(lowest * np.uint32(0x077CB531)) >> np.uint32(27)]


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _pruned(words, sure):  # type: ignore[no-untyped-def]
    """Return a request's words without what lies past a leaf sure to stay: it is never reached."""
    out = np.empty_like(words)
    for w in range(sure.size):
        stays = words[0, w] & sure[w]
        lowest = stays & (~stays + np.uint32(1))
        out[0, w] = words[0, w] & (lowest | (lowest - np.uint32(1)))
    return out


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _useful(words, start, bound, word, keep):  # type: ignore[no-untyped-def]
    """Return the tests that still can clear a leaf of these words."""
    begin = np.empty_like(start)
    bounds, places, keeps = np.empty_like(bound), np.empty_like(word), np.empty_like(keep)
    n = 0
    for k in range(start.size - 1):
        begin[k] = n
        for j in range(start[k], start[k + 1]):
            bounds[n], places[n], keeps[n] = bound[j], word[j], keep[j]
            n += 1 if words[word[j]] & ~keep[j] != 0 else 0
    begin[start.size - 1] = n
    return begin, bounds, places, keeps


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _sums(  # type: ignore[no-untyped-def]
    words, laid, goods, own, sure, trees, spans, slots, out,
    start, bound, word, keep, nan_start, nan_word, nan_keep,
    odd_word, odd_column, odd_threshold, odd_missing, odd_keep, set_start, sets,
):  # fmt: skip
    m, n_words = goods.size, laid.shape[1]
    if words.shape[0] == 1 and m > 4:
        words = _pruned(words, sure)
        start, bound, word, keep = _useful(words[0], start, bound, word, keep)
    block = np.empty((4, n_words), np.uint32)
    for first in range(0, m, 4):  # four at once: a sum waits for itself, others do not
        for q in range(4):
            i = min(first + q, m - 1)
            left, mine, given = block[q], words[0 if words.shape[0] == 1 else i], laid[goods[i]]
            for w in range(n_words):
                left[w] = mine[w] & given[w]
            _clear(
                own[i], left, start, bound, word, keep, nan_start, nan_word, nan_keep, odd_word,
                odd_column, odd_threshold, odd_missing, odd_keep, set_start, sets,
            )  # fmt: skip
        for s in range(spans.size - 1):
            if n_words == trees.size - 1:
                total = _of_four(block, spans[s], spans[s + 1], slots)
                for q in range(min(4, m - first)):
                    out[first + q, s] = total[q]
            else:
                for q in range(min(4, m - first)):
                    out[first + q, s] = _of_many(block[q], trees, spans[s], spans[s + 1], slots)


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _of_four(block, first, last, slots):  # type: ignore[no-untyped-def]
    """Return the sums of four candidates over trees of one word."""
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    for t in range(first, last):
        leaves = slots[t]
        a += _leaf(block[0, t], leaves)
        b += _leaf(block[1, t], leaves)
        c += _leaf(block[2, t], leaves)
        d += _leaf(block[3, t], leaves)
    return a, b, c, d


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _of_many(words, trees, first, last, slots):  # type: ignore[no-untyped-def]
    """Return the sum of trees of any number of words."""
    total = 0.0
    for t in range(first, last):
        for w in range(trees[t], trees[t + 1]):
            if words[w] != 0:
                total += _leaf(words[w], slots[w])
                break
    return total


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _runs(  # type: ignore[no-untyped-def]
    first, third, ia, ic, laid, goods, own, sure, trees, spans, slots, out,
    start, bound, word, keep, nan_start, nan_word, nan_keep,
    odd_word, odd_column, odd_threshold, odd_missing, odd_keep, set_start, sets,
):  # fmt: skip
    words = np.empty((1, laid.shape[1]), np.uint32)
    i = 0
    while i < goods.size:
        last = i + 1
        while last < goods.size and ia[last] == ia[i] and ic[last] == ic[i]:
            last += 1
        a, c = first[ia[i]], third[ic[i]]
        for w in range(words.shape[1]):
            words[0, w] = a[w] & c[w]
        _sums(
            words, laid, goods[i:last], own[i:last], sure, trees, spans, slots, out[i:last],
            start, bound, word, keep, nan_start, nan_word, nan_keep,
            odd_word, odd_column, odd_threshold, odd_missing, odd_keep, set_start, sets,
        )  # fmt: skip
        i = last
