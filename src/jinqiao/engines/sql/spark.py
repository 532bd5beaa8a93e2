"""A checked query as the text Spark SQL reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinqiao.engines.sql.check import CheckedQuery
from jinqiao.errors import InputError

__all__ = ["to_spark"]


def to_spark(query: CheckedQuery, parameters: Mapping[str, object] | None = None) -> str:
    """Return the query in Spark's dialect with its parameters written in.

    Parameters are whole numbers, doubles, booleans or texts. The session's zone must be UTC.
    Raises InputError naming a parameter without a value.
    """
    import sqlglot
    from sqlglot import exp

    values = dict(parameters or {})
    missing = [name for name in query.parameters if name not in values]
    if missing:
        raise InputError("a parameter has no value", field=missing[0])

    def change(node: Any) -> Any:
        if isinstance(node, exp.Placeholder):
            return exp.convert(values[str(node.this)])
        if isinstance(node, exp.Anonymous) and str(node.name).lower() == "epoch_us":
            instant = exp.cast(node.expressions[0], "timestamp")
            return exp.func("unix_micros", instant, dialect="spark")
        if isinstance(node, exp.Anonymous) and str(node.name).lower() == "row":
            return exp.Anonymous(this="struct", expressions=node.expressions)
        if isinstance(node, exp.Literal) and not node.is_string and "." in str(node.this):
            return exp.cast(node.copy(), "double")  # a decimal there would round quotients
        return node

    tree = sqlglot.parse_one(query.text, dialect="duckdb").transform(change)
    return str(tree.sql(dialect="spark"))
