"""A boosted forest scored for pairs: what each side decides is computed once a side.

Letters: t trees, n rows of one side, m pairs, k columns.

A tree with at most 32 leaves is a word of 32 bits, leaves from left to right. A test that fails
clears the leaves of its left branch; the leaf reached is the lowest bit left. Tests on columns of
one side (a customer, a product, a context) depend on that side alone, so their words are made once
a row of the side and a pair is an AND of three words; only tests on columns that belong to the pair
itself are done a pair. The result is bit for bit what the trainer's own prediction adds up.

Source: Lucchese et al., "QuickScorer: a Fast Algorithm to Rank Documents with Additive Ensembles of
Regression Trees", SIGIR 2015, section 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from jinqiao.errors import SchemaError

__all__ = ["MAX_LEAVES", "Forest", "Pairing", "Tests", "read_forest"]

MAX_LEAVES = 32

_ZERO = float(np.float32(1e-35))
_DE_BRUIJN = np.uint32(0x077CB531)
_BIT = np.zeros(32, dtype=np.int64)
for _i in range(32):
    _BIT[((int(_DE_BRUIJN) << _i) & 0xFFFFFFFF) >> 27] = _i


@dataclass(frozen=True, slots=True)
class Tests:
    """The tests of one side, tree by tree.

    Attributes
    ----------
    start : (t + 1,) int64, where each tree's tests begin.
    column : (j,) int64, column within the side. threshold : (j,) float64, left when value ≤ it.
    nan_left : (j,) bool, where a missing value goes. keep : (j,) uint32, leaves left when it fails.
    """

    start: NDArray[np.int64]
    column: NDArray[np.int64]
    threshold: NDArray[np.float64]
    nan_left: NDArray[np.bool_]
    keep: NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Pairing:
    """Which rows of the three sides make each pair: three (m,) int32 arrays."""

    first: NDArray[np.int32]
    second: NDArray[np.int32]
    third: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Forest:
    """A forest cut into three sides and the pair. ``leaves`` is (t, 32) float64."""

    sides: tuple[Tests, Tests, Tests]
    pair: Tests
    leaves: NDArray[np.float64]

    @property
    def n_trees(self) -> int:
        return int(self.leaves.shape[0])

    def words(self, side: int, rows: NDArray[np.float32]) -> NDArray[np.uint32]:
        """Return the (n, t) words of one side's rows, (n, k) float32 with NaN for missing."""
        tests = self.sides[side]
        out = np.empty((rows.shape[0], self.n_trees), dtype=np.uint32)
        _words(
            np.ascontiguousarray(rows, dtype=np.float32),
            tests.start, tests.column, tests.threshold, tests.nan_left, tests.keep, out,
        )  # fmt: skip
        return out

    def score(
        self,
        words: Sequence[NDArray[np.uint32]],
        pairs: Pairing,
        own: NDArray[np.float32],
    ) -> NDArray[np.float64]:
        """Return the raw score of every pair, (m,) float64.

        ``words`` are those of the three sides; ``own`` is (m, k) float32, the pairs' own columns.
        """
        out = np.empty(pairs.first.size, dtype=np.float64)
        if self.n_trees == 0:
            out[:] = 0.0
            return out
        tests = self.pair
        _score(
            words[0], words[1], words[2], pairs.first, pairs.second, pairs.third,
            np.ascontiguousarray(own, dtype=np.float32),
            tests.start, tests.column, tests.threshold, tests.nan_left, tests.keep,
            self.leaves, _BIT, out,
        )  # fmt: skip
        return out


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _words(rows, start, column, threshold, nan_left, keep, out):  # type: ignore[no-untyped-def]
    for i in range(rows.shape[0]):
        for t in range(out.shape[1]):
            word = np.uint32(0xFFFFFFFF)
            for j in range(start[t], start[t + 1]):
                x = np.float64(rows[i, column[j]])
                fails = not nan_left[j] if np.isnan(x) else x > threshold[j]
                if fails:
                    word &= keep[j]
            out[i, t] = word


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _score(  # type: ignore[no-untyped-def]
    first,
    second,
    third,
    ia,
    ib,
    ic,
    own,
    start,
    column,
    threshold,
    nan_left,
    keep,
    leaves,
    bit,
    out,
):
    n_trees = leaves.shape[0]
    for i in range(out.shape[0]):
        a, b, c = ia[i], ib[i], ic[i]
        total = 0.0
        for t in range(n_trees):
            word = first[a, t] & second[b, t] & third[c, t]
            for j in range(start[t], start[t + 1]):
                x = np.float64(own[i, column[j]])
                fails = not nan_left[j] if np.isnan(x) else x > threshold[j]
                if fails:
                    word &= keep[j]
            lowest = word & (~word + np.uint32(1))
            spot = np.uint32(lowest * np.uint32(0x077CB531)) >> np.uint32(27)
            total += leaves[t, bit[spot]]
        out[i] = total


def _fields(block: str) -> Mapping[str, str]:
    return dict(line.split("=", 1) for line in block.splitlines() if "=" in line)


def _numbers(fields: Mapping[str, str], name: str) -> list[float]:
    return [float(item) for item in fields.get(name, "").split()]


@dataclass(slots=True)
class _Node:
    tree: int
    column: int
    threshold: float
    nan_left: bool
    keep: int


def _tree(fields: Mapping[str, str], tree: int) -> tuple[list[_Node], list[float]]:
    """Return a tree's tests and its leaf values from left to right."""
    values = _numbers(fields, "leaf_value")
    if len(values) > MAX_LEAVES:
        raise SchemaError(f"{len(values)} leaves; at most {MAX_LEAVES}", record=f"tree {tree}")
    if len(values) == 1:
        return [], values
    left = [int(x) for x in _numbers(fields, "left_child")]
    right = [int(x) for x in _numbers(fields, "right_child")]
    kinds = [int(x) for x in _numbers(fields, "decision_type")]
    columns = [int(x) for x in _numbers(fields, "split_feature")]
    thresholds = _numbers(fields, "threshold")
    nodes: list[_Node] = []
    ordered: list[float] = []

    def walk(child: int) -> int:
        """Return the bits of the leaves under a child; leaves are numbered as they are met."""
        if child < 0:
            ordered.append(values[~child])
            return 1 << (len(ordered) - 1)
        if kinds[child] & 1:
            raise SchemaError(
                "a categorical test", record=f"tree {tree}", fix="use one-hot columns"
            )
        under_left = walk(left[child])
        missing = (kinds[child] >> 2) & 3
        if missing == 1:
            raise SchemaError("zero as missing", record=f"tree {tree}", fix="zero_as_missing=false")
        nan_left = bool(kinds[child] & 2) if missing == 2 else thresholds[child] >= 0.0
        keep = 0xFFFFFFFF & ~under_left
        nodes.append(_Node(tree, columns[child], _reached(thresholds[child]), nan_left, keep))
        return under_left | walk(right[child])

    walk(0)
    return nodes, ordered


def _reached(threshold: float) -> float:
    """Return the threshold that sends values as LightGBM does: to it, ±1e-35 and less is 0."""
    if 0.0 <= threshold < _ZERO:
        return _ZERO
    return float(np.nextafter(-_ZERO, -np.inf)) if -_ZERO <= threshold < 0.0 else threshold


def _tests(nodes: Sequence[_Node], n_trees: int, offset: int) -> Tests:
    trees = np.asarray([node.tree for node in nodes], dtype=np.int64)
    start = np.searchsorted(trees, np.arange(n_trees + 1)).astype(np.int64)
    return Tests(
        start,
        np.asarray([node.column - offset for node in nodes], dtype=np.int64),
        np.asarray([node.threshold for node in nodes], dtype=np.float64),
        np.asarray([node.nan_left for node in nodes], dtype=np.bool_),
        np.asarray([node.keep for node in nodes], dtype=np.uint32),
    )


def read_forest(model: str, widths: tuple[int, int, int, int]) -> Forest:
    """Return the forest of a LightGBM model text, cut by its columns.

    Parameters
    ----------
    model : the text of ``Booster.model_to_string()``.
    widths : how many columns belong to the first, second and third side and to the pair, in the
        order they stood at training.

    Raises
    ------
    SchemaError : a tree has more than 32 leaves, a categorical test, or zero as missing.
    """
    blocks = model.split("\nTree=")[1:]
    blocks = [block.split("\nend of trees")[0] for block in blocks]
    bounds = np.concatenate(([0], np.cumsum(widths)))
    cut: list[list[_Node]] = [[], [], [], []]
    leaves = np.zeros((len(blocks), MAX_LEAVES), dtype=np.float64)
    for number, block in enumerate(blocks):
        nodes, values = _tree(_fields(block), number)
        leaves[number, : len(values)] = values
        for node in nodes:
            part = int(np.searchsorted(bounds, node.column, side="right")) - 1
            if part > 3:
                raise SchemaError(f"column {node.column} is beyond the {bounds[-1]} known columns")
            cut[part].append(node)
    sides = tuple(_tests(cut[i], len(blocks), int(bounds[i])) for i in range(3))
    pair = _tests(cut[3], len(blocks), int(bounds[3]))
    return Forest((sides[0], sides[1], sides[2]), pair, leaves)
