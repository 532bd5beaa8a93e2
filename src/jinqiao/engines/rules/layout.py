"""Rules laid out as tables: what one field decides about every rule, by where its value lies.

Letters: R rules, b bits, s subjects. A subject is a field, or a number made of several: a term, or
the sign of one term against another. Every part of a rule that reads one subject alone is a set of
that subject's values, so all such parts become one table a subject: which bits survive, by region
of the value. What is left is an OR over several subjects; it becomes a gate between bits: a rule's
bit stays only where one of its alternatives' bits does. So the size grows with the text of the
rules, where a disjunctive normal form may double with every OR.

Bits stand as ``np.packbits`` lays them, rules first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.rules.tree import (
    And,
    Arithmetic,
    Coalesce,
    Column,
    Compare,
    Constant,
    Flag,
    IsNull,
    Node,
    Number,
    OneOf,
    Or,
    Range,
    Term,
)

__all__ = ["Layout", "Sign", "Tables", "lay_out", "program_of"]

PUSH_FIELD, PUSH_NUMBER, ADD, SUBTRACT, MULTIPLY, DIVIDE, FIRST_KNOWN, SIGN, STORE = range(9)
_CODES = {"+": ADD, "-": SUBTRACT, "*": MULTIPLY, "/": DIVIDE}


@dataclass(frozen=True, slots=True)
class Sign:
    """One term against another: −1, 0 or 1, NULL where either is."""

    left: Term
    right: Term


Subject = Term | Sign


@dataclass(frozen=True, slots=True)
class Tables:
    """The compiled form, flat for a kernel.

    Attributes
    ----------
    breaks, break_start : (k,) float64 literals of each subject in order; (s + 1,) int64.
    rows, row_start : (·, w) uint64, of each subject 2k + 1 regions (below, at, between, …, above)
        and NULL: the bits that survive; (s + 1,) int64.
    base : (w,) uint64, the bits before anything is read.
    gates : (g, 3) int64, target bit and where its alternatives begin and end in ``sources``.
    program, numbers : (i, 2) int64, steps that make the subjects that are not fields; (·,) float64.
    depth : the deepest stack the program needs. n_fields : subjects that are fields come first.
    """

    breaks: NDArray[np.float64]
    break_start: NDArray[np.int64]
    rows: NDArray[np.uint64]
    row_start: NDArray[np.int64]
    base: NDArray[np.uint64]
    gates: NDArray[np.int64]
    sources: NDArray[np.int64]
    program: NDArray[np.int64]
    numbers: NDArray[np.float64]
    depth: int
    n_fields: int


@dataclass(slots=True)
class Layout:
    """Bits, parts and gates as they are gathered."""

    parts: dict[Subject, list[tuple[int, Node]]] = field(default_factory=dict)
    never: set[int] = field(default_factory=set)
    gates: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)
    known: dict[Node, int] = field(default_factory=dict)
    n_bits: int = 0

    def bit(self, node: Node) -> int:
        """Return the bit of an alternative; one that is known is not laid out twice."""
        if node not in self.known:
            self.known[node] = self.n_bits
            self.n_bits += 1
            self.lay(node, self.known[node])
        return self.known[node]

    def lay(self, node: Node, bit: int) -> None:
        """Lay a tree out on a bit: the bit survives where the tree is true."""
        if isinstance(node, And):
            for part in node.parts:
                self.lay(part, bit)
            return
        subjects = set(_subjects(node))
        if len(subjects) == 1:
            self.parts.setdefault(subjects.pop(), []).append((bit, node))
        elif isinstance(node, Or):
            self.gates.append((bit, tuple(self.bit(part) for part in node.parts)))
        elif isinstance(node, Constant) and not node.value:
            self.never.add(bit)


def _subjects(node: Node) -> Iterator[Subject]:
    match node:
        case And(parts) | Or(parts):
            for part in parts:
                yield from _subjects(part)
        case Compare(_, left, right, _):
            yield left if isinstance(right, Number) else Sign(left, right)
        case Range(term=term) | OneOf(term=term) | IsNull(term=term):
            yield term
        case Flag(column, _):
            yield column


def lay_out(trees: Sequence[Node], fields: Sequence[Column]) -> Tables:
    """Return the tables of R trees over the fields they read, in the order a row will have."""
    layout = Layout(n_bits=len(trees))
    for bit, tree in enumerate(trees):
        layout.lay(tree, bit)
    made = [subject for subject in layout.parts if not isinstance(subject, Column)]
    subjects: list[Subject] = [*fields, *made]
    n_words = max(-(-layout.n_bits // 64), 1)
    breaks, rows = [], []
    for subject in subjects:
        literals, table = _table(layout.parts.get(subject, []), n_words)
        breaks.append(literals)
        rows.append(table)
    place = {column.name: i for i, column in enumerate(fields)}
    program, numbers, depth = program_of(made, place)
    gates = [(bit, len(sources)) for bit, sources in layout.gates]
    ends = np.cumsum([0, *(size for _, size in gates)], dtype=np.int64)
    return Tables(
        np.concatenate([np.empty(0), *breaks]), _starts(breaks),
        np.concatenate([np.empty((0, n_words), np.uint64), *rows]), _starts(rows),
        _words([b for b in range(layout.n_bits) if b not in layout.never], n_words),
        np.array([(gates[i][0], ends[i], ends[i + 1]) for i in range(len(gates))], np.int64)
        .reshape(-1, 3),
        np.array([bit for _, some in layout.gates for bit in some], np.int64),
        program, numbers, depth, len(fields),
    )  # fmt: skip


def _starts(parts: Sequence[NDArray[np.generic]]) -> NDArray[np.int64]:
    return np.cumsum([0, *(len(part) for part in parts)], dtype=np.int64)


def _words(bits: Sequence[int], n_words: int) -> NDArray[np.uint64]:
    """Return bits as words whose bytes are what ``np.packbits`` gives."""
    flags = np.zeros(n_words * 64, np.bool_)
    flags[list(bits)] = True
    return np.packbits(flags).view("<u8").astype(np.uint64)


def _table(
    parts: Sequence[tuple[int, Node]], n_words: int
) -> tuple[NDArray[np.float64], NDArray[np.uint64]]:
    """Return one subject's literals and the bits that survive in each region of its values."""
    literals = sorted({value for _, node in parts for value in _literals(node)})
    place = {value: 2 * i + 1 for i, value in enumerate(literals)}
    regions = np.arange(2 * len(literals) + 2)
    table = np.full((len(regions), n_words * 64), True)
    for bit, node in parts:
        table[:, bit] &= _true(node, regions, place)
    rows = np.packbits(table, axis=1).view("<u8").astype(np.uint64)
    return np.asarray(literals, np.float64), rows


def _literals(node: Node) -> Iterator[float]:
    match node:
        case And(parts) | Or(parts):
            for part in parts:
                yield from _literals(part)
        case Compare(_, _, right, _):
            yield float(right.value) if isinstance(right, Number) else 0.0
        case Range(lower=lower, upper=upper):
            yield from (float(lower), float(upper))
        case OneOf(term, values, _, _):
            yield from _numbers_of(term, values)
        case Flag():
            yield from (0.0, 1.0)


def _numbers_of(term: Term, values: Sequence[float | int | str]) -> list[float]:
    """Return literals as numbers: a text is its place in its category's list."""
    if isinstance(term, Column) and term.kind == "category":
        return [float(term.values.index(str(value))) for value in values]
    return [float(value) for value in values]


def _true(node: Node, region: NDArray[np.int64], place: dict[float, int]) -> NDArray[np.bool_]:
    """Return in which regions a part is true; the last one is NULL."""
    null = region == region[-1]
    found: NDArray[np.bool_]
    match node:
        case And(parts):
            return np.asarray(np.all([_true(part, region, place) for part in parts], axis=0))
        case Or(parts):
            return np.asarray(np.any([_true(part, region, place) for part in parts], axis=0))
        case IsNull(_, negated):
            return np.asarray(null != negated)
        case Constant(value):
            return np.full(len(region), value)
        case Flag(_, negated):
            found = region == place[0.0 if negated else 1.0]
        case Compare(operator, _, right, _):
            at = place[float(right.value) if isinstance(right, Number) else 0.0]
            found = _compared(operator, region, at)
        case Range(_, lower, upper, negated, _):
            within = (region >= place[float(lower)]) & (region <= place[float(upper)])
            found = within != negated
        case OneOf(term, values, negated, _):
            some = [place[value] for value in _numbers_of(term, values)]
            found = np.isin(region, some) != negated
    return np.asarray(found & ~null)


def _compared(operator: str, region: NDArray[np.int64], at: int) -> NDArray[np.bool_]:
    tests = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal,
             "=": np.equal, "<>": np.not_equal}  # fmt: skip
    return np.asarray(tests[operator](region, at))


def program_of(
    made: Sequence[Subject], place: dict[str, int]
) -> tuple[NDArray[np.int64], NDArray[np.float64], int]:
    """Return the steps of a stack machine that make subjects from fields, and its deepest stack."""
    steps: list[tuple[int, int]] = []
    numbers: list[float] = []

    def push(term: Subject) -> int:
        match term:
            case Number(value):
                numbers.append(float(value))
                steps.append((PUSH_NUMBER, len(numbers) - 1))
                return 1
            case Column(name=name):
                steps.append((PUSH_FIELD, place[name]))
                return 1
            case Coalesce(parts):
                depth = push(parts[0])
                for part in parts[1:]:
                    depth = max(depth, 1 + push(part))
                    steps.append((FIRST_KNOWN, 0))
                return depth
            case Arithmetic(operator, left, right):
                depth = max(push(left), 1 + push(right))
                steps.append((_CODES[operator], 0))
                return depth
            case Sign(left, right):
                depth = max(push(left), 1 + push(right))
                steps.append((SIGN, 0))
                return depth

    depth = 1
    for i, subject in enumerate(made):
        depth = max(depth, push(subject))
        steps.append((STORE, len(place) + i))
    return np.array(steps, np.int64).reshape(-1, 2), np.array(numbers, np.float64), depth
