"""Parse, then walk: every node is on the list and used in the one way both engines agree on."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from jinqiao.engines.sql.allowed import AGGREGATES, EXPRESSION, FIXES, QUERY, TYPES
from jinqiao.errors import SchemaError

__all__ = ["CheckedExpression", "CheckedQuery", "check", "check_expression"]

MAX_CHARACTERS = 200_000
_FUNCTIONS = frozenset({"epoch_us"})
"""Functions sqlglot does not know by class; ``to_spark`` names each on the other side."""


@dataclass(frozen=True, slots=True)
class CheckedExpression:
    """One expression of the subset: its text, the columns it reads, and whether it aggregates."""

    text: str
    names: tuple[str, ...]
    aggregates: bool


@dataclass(frozen=True, slots=True)
class CheckedQuery:
    """One query of the subset: its text and the tables it reads that it does not define."""

    text: str
    tables: tuple[str, ...]
    parameters: tuple[str, ...]


def check(sql: str) -> CheckedQuery:
    """Return a query that both engines answer alike.

    Raises SchemaError with the column and a fix for a syntax error and for anything off the list.
    """
    tree = _parse(sql, "query")
    if type(tree).__name__ not in ("Select", "Union"):
        raise _fault("only a select can be run", tree, "query", "begin with select or with")
    _walk(tree, QUERY, "query")
    defined = {cte.alias for cte in _all(tree, "CTE")}
    tables = dict.fromkeys(t.name for t in _all(tree, "Table") if t.name not in defined)
    parameters = dict.fromkeys(str(p.this) for p in _all(tree, "Placeholder"))
    return CheckedQuery(sql, tuple(tables), tuple(parameters))


def check_expression(text: str, columns: Collection[str], *, record: str) -> CheckedExpression:
    """Return one expression over known columns; it may aggregate, but reads no table.

    ``record`` names it in errors. Raises SchemaError for anything off the list, an unknown column,
    and an expression that mixes aggregates with columns outside them.
    """
    tree = _parse(text, record)
    _walk(tree, EXPRESSION, record)
    names = tuple(dict.fromkeys(column.name for column in _all(tree, "Column")))
    for column in _all(tree, "Column"):
        if column.name not in columns:
            close = get_close_matches(column.name, list(columns), n=1)
            fix = f"did you mean {close[0]}?" if close else "see the columns of its source"
            raise _fault(f"no column {column.name!r}", column, record, fix, column.name)
    aggregates = any(type(node).__name__ in AGGREGATES for node in tree.walk())
    if aggregates:
        _all_inside_aggregates(tree, record)
    return CheckedExpression(text, names, aggregates)


def _parse(sql: str, record: str) -> Any:
    import sqlglot
    from sqlglot.errors import SqlglotError

    if len(sql) > MAX_CHARACTERS:
        raise SchemaError(f"longer than {MAX_CHARACTERS} characters", record=record)
    try:
        trees = sqlglot.parse(sql, dialect="duckdb")
    except (SqlglotError, RecursionError) as error:
        found = (getattr(error, "errors", None) or [{}])[0]
        place = f", column {found['col']}" if found.get("col") else ""
        reason = str(found.get("description") or "it cannot be read").rstrip(".")
        plain = "a part is missing" if "class" in reason else reason[:1].lower() + reason[1:]
        raise SchemaError(plain, record=f"{record}{place}") from error
    if len(trees) != 1 or trees[0] is None:
        raise SchemaError("not exactly one statement", record=record, fix="write one, without ;")
    return trees[0]


def _walk(tree: Any, allowed: frozenset[str], record: str) -> None:
    for node in tree.walk():
        kind = type(node).__name__
        if kind not in allowed:
            word = _word(node)
            fix = FIXES.get(kind, "see docs/reference/features.md")
            raise _fault(f"{word} is not in the subset", node, record, fix)
        rule = _RULES.get(kind)
        if rule is not None:
            rule(node, record)


def _word(node: Any) -> str:
    name = getattr(node, "sql_name", None)
    kind = type(node).__name__
    return str(name()).lower() if callable(name) and kind != "Anonymous" else kind.lower()


def _division(node: Any, record: str) -> None:
    below = node.expression.unnest()
    kind = type(below).__name__
    literal = kind == "Literal" and not below.is_string and float(below.this) != 0
    if not literal and kind != "Nullif":
        raise _fault(
            "a division by what may be 0", node.expression, record, "write x / nullif(y, 0)"
        )


def _cast(node: Any, record: str) -> None:
    kind = str(node.to.this.name if hasattr(node.to.this, "name") else node.to.this)
    if kind not in TYPES:
        raise _fault(f"a cast to {kind.lower()}", node, record, "cast to bigint or double only")
    inner = type(node.this.unnest()).__name__
    if kind == "BIGINT" and inner not in ("Floor", "Ceil", "Round"):
        raise _fault(
            "a cast to bigint rounds on one engine and truncates on the other",
            node, record, "write cast(floor(x) as bigint) or cast(round(x) as bigint)",
        )  # fmt: skip


def _arg_max(node: Any, record: str) -> None:
    kept = node.parent.expression if type(node.parent).__name__ == "Filter" else None
    if kept is None or not any(
        type(part).__name__ == "Not"
        and type(part.this).__name__ == "Is"
        and part.this.this == node.this
        for part in kept.walk()
    ):
        raise _fault(
            "arg_max skips NULL values on one engine only", node, record,
            "add filter (where value is not null)",
        )  # fmt: skip


def _log(node: Any, record: str) -> None:
    base: Any = node.this
    if node.expression is None or type(base).__name__ != "Literal" or str(base.this) != "2":
        raise _fault("log has another base on each engine", node, record, "write ln(x) or log2(x)")


def _anonymous(node: Any, record: str) -> None:
    name = str(node.name).lower()
    if name == "row":
        if type(node.parent).__name__ != "ArgMax":
            raise _fault("a row of values outside arg_max", node, record, "name one value")
    elif name not in _FUNCTIONS or len(node.expressions) != 1:
        raise _fault(f"{name} is not in the subset", node, record, "use a function of the list")


def _extreme(node: Any, record: str) -> None:
    if node.expressions or node.args.get("count") is not None:
        raise _fault(f"{_word(node)} of several values", node, record, "write greatest or least")


def _star(node: Any, record: str) -> None:
    if any(node.args.get(key) for key in ("except", "except_", "replace", "rename")):
        raise _fault("a star with exceptions", node, record, "name the columns")


def _join(node: Any, record: str) -> None:
    kinds = {str(node.args.get(key) or "").upper() for key in ("kind", "side", "method")}
    if not kinds <= {"", "INNER", "LEFT", "CROSS"}:
        raise _fault("only inner, left and cross joins", node, record, "rewrite the join")
    if not (node.args.get("on") or node.args.get("using")) and "CROSS" not in kinds:
        raise _fault("a join without a condition", node, record, "add using (…) or on …")


def _select(node: Any, record: str) -> None:
    for key in ("limit", "offset", "sample", "qualify", "windows", "laterals", "pivots", "into"):
        if node.args.get(key):
            raise _fault(f"{key} is not in the subset", node, record, FIXES["Limit"])
    distinct = node.args.get("distinct")
    if distinct is not None and distinct.args.get("on"):
        raise _fault("distinct on", node, record, "rank with row_number() and filter")


def _identifier(node: Any, record: str) -> None:
    name = str(node.this)
    if not name.isascii() or not name.replace("_", "a").isalnum() or name != name.lower():
        raise _fault(f"the name {name!r}", node, record, "use a to z, 0 to 9 and _")


def _window(node: Any, record: str) -> None:
    if type(node.this).__name__ != "RowNumber" or node.args.get("order") is None:
        raise _fault("only row_number() over (… order by …)", node, record, "order it fully")


_RULES = {
    "Div": _division, "IntDiv": _division, "Mod": _division, "Cast": _cast, "ArgMax": _arg_max,
    "Log": _log, "Anonymous": _anonymous, "Max": _extreme, "Min": _extreme, "Star": _star,
    "Join": _join, "Select": _select, "Identifier": _identifier,
    "Window": _window,
}  # fmt: skip


def _all_inside_aggregates(tree: Any, record: str) -> None:
    """Refuse ``a + sum(b)``: a column outside the aggregates of an aggregating expression."""
    for column in _all(tree, "Column"):
        node = column
        while node is not None and type(node).__name__ not in (AGGREGATES | {"Filter"}):
            node = node.parent
        if node is None:
            raise _fault(
                f"{column.name} stands outside the aggregates", column, record,
                "aggregate it, or split the expression in two",
            )  # fmt: skip


def _all(tree: Any, kind: str) -> list[Any]:
    return [node for node in tree.walk() if type(node).__name__ == kind]


def _fault(message: str, node: Any, record: str, fix: str, field: str | None = None) -> SchemaError:
    starts = [n.meta["start"] for n in node.walk() if n.meta.get("start") is not None]
    place = f", column {min(starts) + 1}" if starts else ""
    return SchemaError(message, record=f"{record}{place}", field=field, fix=fix)
