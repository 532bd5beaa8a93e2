"""A boosted forest scored for pairs: what each side decides is computed once a side.

Letters: t trees, w words, n rows of one side, m pairs, k columns.

A tree of L leaves is ⌈L / 32⌉ words of 32 bits, leaves from left to right. A test that fails clears
the leaves of its left branch; the leaf reached is the lowest bit left in the first word that is not
empty. Tests on columns of one side (a customer, a product, a context) depend on that side alone, so
their words are made once a row of the side and a pair is an AND of three words; only tests on
columns that belong to the pair itself are done a pair. The result is bit for bit what the trainer's
own prediction adds up.

Source: Lucchese et al., "QuickScorer: a Fast Algorithm to Rank Documents with Additive Ensembles of
Regression Trees", SIGIR 2015, section 3; Lucchese et al., SIGIR 2016, on trees of more leaves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from jinqiao.errors import SchemaError

__all__ = ["WORD_LEAVES", "Forest", "Pairing", "Tests", "read_forest"]

WORD_LEAVES = 32
"""Leaves of a tree that one word holds."""

_ZERO = float(np.float32(1e-35))
_DE_BRUIJN = np.uint32(0x077CB531)
_BIT = np.zeros(32, dtype=np.int64)
for _i in range(32):
    _BIT[((int(_DE_BRUIJN) << _i) & 0xFFFFFFFF) >> 27] = _i

RIGHT, LEFT, ZERO_RIGHT, ZERO_LEFT, CATEGORY = range(5)
"""How a test treats what is missing: NaN goes right or left; NaN and 0 do; or it asks for a set."""


@dataclass(frozen=True, slots=True)
class Tests:
    """The tests of one side, word by word.

    Attributes
    ----------
    start : (w + 1,) int64, where each word's tests begin.
    column : (j,) int64, column within the side. keep : (j,) uint32, leaves left when it fails.
    threshold : (j,) float64, passed when value ≤ it; of a test for a set, that set's place.
    missing : (j,) uint8, RIGHT, LEFT, ZERO_RIGHT, ZERO_LEFT, or CATEGORY.
    set_start, sets : the sets as bits, one after another: set s is ``sets[set_start[s]:…]``, and
        its bit c says whether category c passes.
    plain : whether no test asks for a set or takes zero as missing.
    """

    start: NDArray[np.int64]
    column: NDArray[np.int64]
    threshold: NDArray[np.float64]
    missing: NDArray[np.uint8]
    keep: NDArray[np.uint32]
    set_start: NDArray[np.int64]
    sets: NDArray[np.uint32]
    plain: bool = True


@dataclass(frozen=True, slots=True)
class Pairing:
    """Which rows of the three sides make each pair: three (m,) int32 arrays."""

    first: NDArray[np.int32]
    second: NDArray[np.int32]
    third: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Forest:
    """A forest cut into three sides and the pair.

    ``leaves`` is (w, 32) float64; tree i is the words ``trees[i]:trees[i + 1]``, (t + 1,) int64. A
    score is divided by ``divisor`` (1 but for an averaged forest) before it becomes a chance.
    """

    sides: tuple[Tests, Tests, Tests]
    pair: Tests
    leaves: NDArray[np.float64]
    trees: NDArray[np.int64]
    divisor: int = 1

    @property
    def n_trees(self) -> int:
        return len(self.trees) - 1

    @property
    def n_words(self) -> int:
        return int(self.leaves.shape[0])

    def words(self, side: int, rows: NDArray[np.floating]) -> NDArray[np.uint32]:
        """Return the (n, w) words of one side's rows, (n, k) float32 or float64, NaN if missing."""
        tests = self.sides[side]
        out = np.empty((rows.shape[0], self.n_words), dtype=np.uint32)
        _words(_rows(rows), *_arrays(tests), out)
        return out

    def score(
        self,
        words: Sequence[NDArray[np.uint32]],
        pairs: Pairing,
        own: NDArray[np.floating],
    ) -> NDArray[np.float64]:
        """Return the raw score of every pair, (m,) float64: the sum of its leaves in tree order.

        ``words`` are those of the three sides; ``own`` is (m, k), the pairs' own columns.
        """
        out = np.zeros(pairs.first.size, dtype=np.float64)
        if self.n_trees:
            _score(
                words[0], words[1], words[2], pairs.first, pairs.second, pairs.third, _rows(own),
                *_arrays(self.pair), self.trees, self.leaves, _BIT, out,
            )  # fmt: skip
        return out


def _rows(rows: NDArray[np.floating]) -> NDArray[np.floating]:
    wide = np.float64 if rows.dtype == np.float64 else np.float32
    return np.ascontiguousarray(rows, dtype=wide)


def _arrays(tests: Tests) -> tuple[NDArray[Any] | bool, ...]:
    return (tests.start, tests.column, tests.threshold, tests.missing, tests.keep,
            tests.set_start, tests.sets, tests.plain)  # fmt: skip


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def fails_odd(x, threshold, missing, set_start, sets):  # type: ignore[no-untyped-def]
    """Return whether a value fails a test for a set, or one where zero is missing too."""
    if missing == 4:
        return not _in_set(x, np.int64(threshold), set_start, sets)
    if np.isnan(x) or (-_ZERO <= x <= _ZERO):
        return missing == 2
    return x > threshold


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _in_set(x, place, set_start, sets):  # type: ignore[no-untyped-def]
    """Return whether a category is in a set. As a C cast does, −0.5 is 0 and 3.9 is 3."""
    if not -1.0 < x < 2147483648.0:
        return False
    category = np.int64(x)
    word = set_start[place] + (category >> 5)
    return word < set_start[place + 1] and (sets[word] >> np.uint32(category & 31)) & 1 == 1


@numba.njit(cache=True, inline="always")  # type: ignore[misc,untyped-decorator,unused-ignore]
def _word(  # type: ignore[no-untyped-def]
    row, first, last, column, threshold, missing, keep, set_start, sets, plain
):  # fmt: skip
    """Return a word after tests ``first`` … of one row."""
    word = np.uint32(0xFFFFFFFF)
    if plain:  # without a branch on the outcome: it cannot be foretold
        for j in range(first, last):
            x = np.float64(row[column[j]])
            bad = (x > threshold[j]) | ((x != x) & (missing[j] == 0))
            word &= keep[j] | (np.uint32(bad) - np.uint32(1))
        return word
    for j in range(first, last):
        x = np.float64(row[column[j]])
        if missing[j] < 2:
            bad = (x > threshold[j]) | ((x != x) & (missing[j] == 0))
        else:
            bad = fails_odd(x, threshold[j], missing[j], set_start, sets)
        if bad:
            word &= keep[j]
    return word


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _words(  # type: ignore[no-untyped-def]
    rows, start, column, threshold, missing, keep, set_start, sets, plain, out
):  # fmt: skip
    for i in range(rows.shape[0]):
        row = rows[i]
        for w in range(out.shape[1]):
            out[i, w] = _word(
                row, start[w], start[w + 1], column, threshold, missing, keep, set_start, sets,
                plain,
            )  # fmt: skip


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _score(  # type: ignore[no-untyped-def]
    first, second, third, ia, ib, ic, own,
    start, column, threshold, missing, keep, set_start, sets, plain, trees, leaves, bit, out,
):  # fmt: skip
    for i in range(out.shape[0]):
        a, b, c = ia[i], ib[i], ic[i]
        row = own[i]
        total = 0.0
        for t in range(trees.size - 1):
            for w in range(trees[t], trees[t + 1]):
                word = first[a, w] & second[b, w] & third[c, w]
                word &= _word(
                    row, start[w], start[w + 1], column, threshold, missing, keep, set_start, sets,
                    plain,
                )  # fmt: skip
                if word == 0:
                    continue
                lowest = word & (~word + np.uint32(1))
                spot = np.uint32(lowest * np.uint32(0x077CB531)) >> np.uint32(27)
                total += leaves[w, bit[spot]]
                break
        out[i] = total


def _fields(block: str) -> Mapping[str, str]:
    return dict(line.split("=", 1) for line in block.splitlines() if "=" in line)


def _numbers(fields: Mapping[str, str], name: str) -> list[float]:
    return [float(item) for item in fields.get(name, "").split()]


def _whole(fields: Mapping[str, str], name: str) -> list[int]:
    return [int(item) for item in fields.get(name, "").split()]


@dataclass(slots=True)
class _Node:
    """A test and the leaves of its left branch: ``first`` up to, not with, ``last``."""

    column: int
    threshold: float
    missing: int
    passing: tuple[int, ...] = ()
    first: int = 0
    last: int = 0

    def keeps(self) -> Iterator[tuple[int, int]]:
        """Yield each word the left branch lies in, and the bits to keep of it on a failure."""
        for word in range(self.first // WORD_LEAVES, (self.last - 1) // WORD_LEAVES + 1):
            low = max(self.first - word * WORD_LEAVES, 0)
            high = min(self.last - word * WORD_LEAVES, WORD_LEAVES)
            yield word, 0xFFFFFFFF & ~((1 << high) - (1 << low))


def _tree(fields: Mapping[str, str], name: str) -> tuple[list[_Node], list[float]]:
    """Return a tree's tests and its leaf values from left to right."""
    if fields.get("is_linear", "0").strip() not in ("", "0"):
        raise SchemaError("leaves that are linear", record=name, fix="linear_tree=false")
    values = _numbers(fields, "leaf_value")
    if len(values) == 1:
        return [], values
    left, right = _whole(fields, "left_child"), _whole(fields, "right_child")
    nodes = _nodes(fields)
    ordered: list[float] = []
    waiting = [(0, False)]
    while waiting:
        child, left_done = waiting.pop()
        if child < 0:
            ordered.append(values[~child])
        elif left_done:
            nodes[child].last = len(ordered)
            waiting.append((right[child], False))
        else:
            nodes[child].first = len(ordered)
            waiting += [(child, True), (left[child], False)]
    return nodes, ordered


def _nodes(fields: Mapping[str, str]) -> list[_Node]:
    """Return a tree's tests in the order of the text."""
    kinds, columns = _whole(fields, "decision_type"), _whole(fields, "split_feature")
    bounds, bits = _whole(fields, "cat_boundaries"), _whole(fields, "cat_threshold")
    nodes = []
    for kind, column, threshold in zip(kinds, columns, _numbers(fields, "threshold"), strict=True):
        if kind & 1:
            place = int(threshold)
            passing = tuple(bits[bounds[place] : bounds[place + 1]])
            nodes.append(_Node(column, 0.0, CATEGORY, passing))
            continue
        missing, default_left = (kind >> 2) & 3, bool(kind & 2)
        if missing == 1:
            nodes.append(_Node(column, threshold, ZERO_LEFT if default_left else ZERO_RIGHT))
            continue
        nan_left = default_left if missing == 2 else threshold >= 0.0
        nodes.append(_Node(column, _reached(threshold), LEFT if nan_left else RIGHT))
    return nodes


def _reached(threshold: float) -> float:
    """Return the threshold that sends values as LightGBM does: to it, ±1e-35 and less is 0."""
    if 0.0 <= threshold < _ZERO:
        return _ZERO
    return float(np.nextafter(-_ZERO, -np.inf)) if -_ZERO <= threshold < 0.0 else threshold


@dataclass(slots=True)
class _Part:
    """The tests of one side as they are gathered: (word, column, threshold, missing, keep)."""

    offset: int
    tests: list[tuple[int, int, float, int, int]]
    sets: list[tuple[int, ...]]

    def add(self, node: _Node, first_word: int) -> None:
        threshold = node.threshold
        if node.missing == CATEGORY:
            threshold = float(len(self.sets))
            self.sets.append(node.passing)
        for word, keep in node.keeps():
            at = (first_word + word, node.column - self.offset, threshold, node.missing, keep)
            self.tests.append(at)

    def done(self, n_words: int) -> Tests:
        rows = sorted(self.tests, key=lambda test: test[0])
        words, column, threshold, missing, keep = zip(*rows, strict=True) if rows else ((),) * 5
        sizes = [0, *(len(one) for one in self.sets)]
        return Tests(
            np.searchsorted(np.asarray(words, np.int64), np.arange(n_words + 1)).astype(np.int64),
            np.asarray(column, np.int64), np.asarray(threshold, np.float64),
            np.asarray(missing, np.uint8), np.asarray(keep, np.uint32),
            np.cumsum(sizes, dtype=np.int64),
            np.asarray([word for one in self.sets for word in one], np.uint32),
            all(way < ZERO_RIGHT for way in missing),
        )  # fmt: skip


def read_forest(model: str, widths: tuple[int, int, int, int]) -> Forest:
    """Return the forest of a LightGBM model text, cut by its columns.

    Parameters
    ----------
    model : the text of ``Booster.model_to_string()``.
    widths : how many columns belong to the first, second and third side and to the pair, in the
        order they stood at training.

    Raises
    ------
    SchemaError : trees with linear leaves, a model of several classes, or a column beyond these.
    """
    head, *blocks = model.split("\nTree=")
    _check(_fields(head))
    bounds = np.concatenate(([0], np.cumsum(widths)))
    parts = [_Part(int(offset), [], []) for offset in bounds[:4]]
    trees, leaves = [0], [np.empty((0, WORD_LEAVES))]
    for number, block in enumerate(blocks):
        nodes, values = _tree(_fields(block.split("\nend of trees")[0]), f"tree {number}")
        for node in nodes:
            part = int(np.searchsorted(bounds, node.column, side="right")) - 1
            if part > 3:
                raise SchemaError(f"column {node.column} is beyond the {bounds[-1]} known columns")
            parts[part].add(node, trees[-1])
        n_words = -(-len(values) // WORD_LEAVES)
        leaves.append(np.pad(values, (0, n_words * WORD_LEAVES - len(values))).reshape(n_words, -1))
        trees.append(trees[-1] + n_words)
    one, two, three, pair = (part.done(trees[-1]) for part in parts)
    averaged = "\naverage_output" in head and len(blocks)
    return Forest(
        (one, two, three), pair, np.concatenate(leaves), np.asarray(trees, np.int64),
        len(blocks) if averaged else 1,
    )  # fmt: skip


def _check(head: Mapping[str, str]) -> None:
    """Refuse a model that gives several scores a row."""
    if int(head.get("num_tree_per_iteration", 1)) > 1 or int(head.get("num_class", 1)) > 1:
        raise SchemaError("a model of several classes", field="num_class", fix="one model a class")
