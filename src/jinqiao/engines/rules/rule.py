"""One rule: parsed once, then a mask, a test, an explanation and SQL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from jinqiao.engines.rules.build import MAX_DEPTH, Builder
from jinqiao.engines.rules.explain import ClauseResult, explain
from jinqiao.engines.rules.fields import FieldLike, fault
from jinqiao.engines.rules.mask import masks
from jinqiao.engines.rules.row import compile_row
from jinqiao.engines.rules.text import to_sql
from jinqiao.engines.rules.tree import Constant, Node, columns_of, show

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["MAX_CHARACTERS", "Rule", "parse"]

MAX_CHARACTERS = 4_000
MAX_TOKENS = 1_000


class Rule:
    """One checked boolean expression over named fields.

    Attributes
    ----------
    text : the rule as it was written.
    tree : its typed tree, negation at the leaves only.
    names : the fields it reads, each once, in order.
    """

    __slots__ = ("_passes", "names", "text", "tree")

    def __init__(self, text: str, tree: Node) -> None:
        self.text = text
        self.tree = tree
        self.names = tuple(dict.fromkeys(column.name for column in columns_of(tree)))
        self._passes: Callable[[Mapping[str, object]], bool] = compile_row(tree)

    def __repr__(self) -> str:
        return f"Rule({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rule) and other.tree == self.tree

    def __hash__(self) -> int:
        return hash(self.tree)

    def mask(self, columns: Mapping[str, NDArray[np.generic]] | pa.Table) -> NDArray[np.bool_]:
        """Return which rows pass, shape ``(n,)``; NULL does not pass.

        ``columns``: see `prepare`. Raises SchemaError when a column the rule reads is missing.
        """
        return masks((self,), columns)[:, 0]

    def passes(self, row: Mapping[str, object]) -> bool:
        """Return whether one row passes; a field that is absent, None or NaN is NULL."""
        return self._passes(row)

    def explain(self, row: Mapping[str, object]) -> tuple[ClauseResult, ...]:
        """Return, per clause, what was wanted, what was found, and by how much it falls short."""
        return explain(self.tree, row)

    def sql(self) -> str:
        """Return the rule as a SQL expression (true, false or NULL) for DuckDB and Spark.

        Columns hold NULL where nothing is known, never NaN.
        """
        return to_sql(self.tree)

    @property
    def normal(self) -> str:
        """The rule in its normal form: what explanations quote."""
        return show(self.tree)


def parse(text: str, fields: Mapping[str, FieldLike]) -> Rule:
    """Return the rule of a text over the fields it may name; "" is everyone.

    Raises SchemaError naming the field, the column and a fix, for unknown fields, wrong types,
    mixed units, unknown category texts, clauses nobody can meet, and anything outside the language.

    >>> from types import SimpleNamespace
    >>> age = SimpleNamespace(name="age", type="int", unit="years", values=(), lower=0, upper=120)
    >>> rule = parse("age between 22 and 55", {"age": age})
    >>> rule.passes({"age": 30}), rule.passes({"age": None})
    (True, False)
    """
    if not text.strip():
        return Rule(text, Constant(True))
    _check_size(text)
    try:
        return Rule(text, Builder(fields).node(_expression(text)))
    except RecursionError as error:
        raise fault("nested too deep", fix=f"at most {MAX_DEPTH} levels") from error


def _expression(text: str) -> object:
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        parsed = sqlglot.parse_one(text, dialect="duckdb", into=exp.Condition)
    except SqlglotError as error:
        found = (getattr(error, "errors", None) or [{}])[0]
        column = found.get("col")
        near = f" near {found['highlight']!r}" if found.get("highlight") else ""
        reason = found.get("description") or "it cannot be read"
        raise fault(
            f"{_plain(reason)}{near}", column=column, fix="see the rule language"
        ) from error
    return parsed


def _plain(reason: str) -> str:
    """Return a parser's sentence without its Python class names."""
    return "a part is missing" if "class" in reason else reason[:1].lower() + reason[1:]


def _check_size(text: str) -> None:
    """Refuse a text that is too long, too deep or holds a comment, before any parser sees it."""
    if len(text) > MAX_CHARACTERS:
        raise fault(f"longer than {MAX_CHARACTERS} characters", fix="split the rule")
    if "\x00" in text:
        raise fault("holds a NUL character", column=text.index("\x00") + 1)
    from sqlglot.dialects import DuckDB
    from sqlglot.errors import SqlglotError

    try:
        tokens = DuckDB().tokenize(text)
    except SqlglotError as error:
        raise fault("a quote is not closed or a character is unknown") from error
    if len(tokens) > MAX_TOKENS:
        raise fault(f"longer than {MAX_TOKENS} words", fix="split the rule")
    depth = 0
    for token in tokens:
        depth += (token.text == "(") - (token.text == ")")
        if depth > MAX_DEPTH:
            raise fault(f"nested deeper than {MAX_DEPTH}", column=token.start + 1)
        if token.comments:
            raise fault("a comment", column=token.start + 1, fix="write notes beside the rule")
        if token.text == ";":
            raise fault("a semicolon", column=token.start + 1, fix="one expression only")
