"""An index of many rules: which of them one row passes, in about a microsecond.

n: rows; R: rules; f: fields. A row is f doubles: NaN is NULL, a bool is 0 or 1, a category is its
text's place in the field's list (``OTHER`` for one it does not list). Equal, bit for bit, to the
vectorised form of the same rules (`masks`), for whole numbers up to 2**53.

Source: Whang et al., "Indexing Boolean Expressions", VLDB 2009, for rules held by their clauses;
bits a region of a value as in Li et al., "BitWeaving", SIGMOD 2013.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.rules.explain import ClauseResult, Verdict
from jinqiao.engines.rules.layout import Tables, lay_out
from jinqiao.engines.rules.mask import OTHER, Arrays, prepare
from jinqiao.engines.rules.tree import Column, columns_of

if TYPE_CHECKING:
    import pyarrow as pa

    from jinqiao.engines.rules.rule import Rule

__all__ = ["RuleIndex"]


@dataclass(frozen=True, eq=False)
class RuleIndex:
    """Compiled rules. ``fields`` are those they read, in the order of a row."""

    rules: tuple[Rule, ...]
    fields: tuple[Column, ...]
    tables: Tables

    @classmethod
    def of(cls, rules: Sequence[Rule]) -> RuleIndex:
        """Return the index of some rules."""
        fields: dict[str, Column] = {}
        for rule in rules:
            for column in columns_of(rule.tree):
                fields.setdefault(column.name, column)
        order = tuple(fields.values())
        return cls(tuple(rules), order, lay_out([rule.tree for rule in rules], order))

    def matrix(self, columns: Arrays | pa.Table) -> NDArray[np.float64]:
        """Return rows for the index, (n, f); ``columns`` as for `prepare`."""
        arrays, n = prepare(self.fields, columns)
        out = np.empty((n, len(self.fields)))
        for j, column in enumerate(self.fields):
            out[:, j] = arrays[column.name]
            if column.kind == "category":
                out[out[:, j] == -1, j] = np.nan
        return out

    def mask(self, row: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Return the packed bits of the rules one row, (f,), passes: (⌈R/8⌉,) uint8."""
        found: NDArray[np.uint8] = self.masks(row.reshape(1, -1))[0]
        return found

    def masks(self, rows: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Return the packed bits of the rules each row passes, (n, ⌈R/8⌉) uint8.

        They are those of ``np.packbits(masks(rules, columns), axis=1)``.
        """
        t = self.tables
        out = np.empty((len(rows), len(t.base)), np.uint64)
        _masks(
            rows, t.breaks, t.break_start, t.rows, t.row_start, t.base, t.gates, t.sources,
            t.program, t.numbers, t.depth, out,
        )  # fmt: skip
        n = len(self.rules)
        found = out.view(np.uint8)[:, : (n + 7) // 8]
        if n % 8:  # bits past the last rule belong to alternatives
            found[:, -1] &= 0xFF << (8 - n % 8) & 0xFF
        return found

    def facts(self, row: NDArray[np.float64]) -> dict[str, Any]:
        """Return a row as values by name: None for NULL, "" for a text that is not listed."""
        return {
            column.name: _fact(column, float(value))
            for column, value in zip(self.fields, row, strict=True)
        }

    def failed(self, rule: int, row: NDArray[np.float64]) -> tuple[ClauseResult, ...]:
        """Return the clauses of one rule that a row does not meet, and by how much; () if none.

        Told by the rule's own explanation, so nothing is kept for it on the common path.
        """
        told = self.rules[rule].explain(self.facts(row))
        return tuple(clause for clause in told if clause.verdict is not Verdict.TRUE)


def _fact(column: Column, value: float) -> Any:
    if np.isnan(value):
        return None
    if column.kind == "category":
        return column.values[int(value)] if value != OTHER else ""
    if column.kind == "bool":
        return value == 1.0 if value in (0.0, 1.0) else value
    return int(value) if column.kind == "int" and value.is_integer() else value


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _make(row, program, numbers, stack):  # type: ignore[no-untyped-def]
    """Make the subjects that are not fields, each into its place of the row."""
    top = 0
    for i in range(program.shape[0]):
        step, at = program[i, 0], program[i, 1]
        if step == 0:
            stack[top] = row[at]
            top += 1
        elif step == 1:
            stack[top] = numbers[at]
            top += 1
        elif step == 8:
            top -= 1
            row[at] = stack[top]
        else:
            top -= 1
            a, b = stack[top - 1], stack[top]
            stack[top - 1] = _joined(step, a, b)


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[misc,untyped-decorator,unused-ignore]
def _joined(step, a, b):  # type: ignore[no-untyped-def]
    if step == 2:
        return a + b
    if step == 3:
        return a - b
    if step == 4:
        return a * b
    if step == 5:
        return np.nan if b == 0.0 else a / b
    if step == 6:
        return b if np.isnan(a) else a
    if np.isnan(a) or np.isnan(b):
        return np.nan
    return 1.0 if a > b else (-1.0 if a < b else 0.0)


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _region(x, breaks, first, last):  # type: ignore[no-untyped-def]
    """Return where a value lies among literals: 2i + 1 at one, even between them, last for NULL."""
    if np.isnan(x):
        return 2 * (last - first) + 1
    low, high = first, last
    while low < high:
        middle = (low + high) >> 1
        if breaks[middle] < x:
            low = middle + 1
        else:
            high = middle
    at = low < last and breaks[low] == x
    return 2 * (low - first) + (1 if at else 0)


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _holds(words, bit):  # type: ignore[no-untyped-def]
    shift = np.uint64((bit & 56) + 7 - (bit & 7))
    return (words[bit >> 6] >> shift) & np.uint64(1) == np.uint64(1)


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _masks(  # type: ignore[no-untyped-def]
    rows, breaks, break_start, tables, row_start, base, gates, sources, program, numbers, depth,
    out,
):  # fmt: skip
    n_fields, n_subjects, n_words = rows.shape[1], break_start.size - 1, base.size
    row, stack = np.empty(n_subjects), np.empty(depth)
    for i in range(rows.shape[0]):
        for j in range(n_fields):
            row[j] = rows[i, j]
        _make(row, program, numbers, stack)
        words = out[i]
        words[:] = base
        for j in range(n_subjects):
            at = row_start[j] + _region(row[j], breaks, break_start[j], break_start[j + 1])
            for w in range(n_words):
                words[w] &= tables[at, w]
        for g in range(gates.shape[0]):
            open_ = False
            for k in range(gates[g, 1], gates[g, 2]):
                open_ |= _holds(words, sources[k])
            if not open_:
                bit = gates[g, 0]
                shift = np.uint64((bit & 56) + 7 - (bit & 7))
                words[bit >> 6] &= ~(np.uint64(1) << shift)
