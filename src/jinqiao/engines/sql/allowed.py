"""What the subset allows, by the names of sqlglot's nodes, and what to write instead."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["AGGREGATES", "EXPRESSION", "FIXES", "QUERY", "TYPES"]

AGGREGATES = frozenset({"Sum", "Min", "Max", "Avg", "Count", "StddevSamp", "ArgMax"})

EXPRESSION = AGGREGATES | {
    "Column", "Identifier", "Literal", "Boolean", "Null", "Paren", "Placeholder",
    "And", "Or", "Not", "EQ", "NEQ", "LT", "LTE", "GT", "GTE", "Between", "In", "Is",
    "Add", "Sub", "Mul", "Div", "IntDiv", "Mod", "Neg",
    "Case", "If", "Coalesce", "Nullif", "Greatest", "Least",
    "Abs", "Floor", "Ceil", "Round", "Sqrt", "Ln", "Log", "Exp", "Pow", "Sin", "Cos",
    "Cast", "DataType", "Filter", "Where", "Distinct", "Star",
    "Day", "Month", "Year", "UnixToTime", "Anonymous",
}  # fmt: skip
"""Nodes one expression may hold."""

QUERY = EXPRESSION | {
    "Select", "From", "Join", "Table", "TableAlias", "Subquery", "With", "CTE", "Group", "Having",
    "Order", "Ordered", "Alias", "Union", "Window", "RowNumber",
}  # fmt: skip
"""Nodes a whole query may hold besides."""

TYPES = frozenset({"BIGINT", "DOUBLE"})

FIXES: Mapping[str, str] = {
    "AnyValue": "say which value: arg_max(value, key) filter (where value is not null)",
    "First": "say which value: arg_max(value, key) filter (where value is not null)",
    "Last": "say which value: arg_max(value, key) filter (where value is not null)",
    "Mode": "count each value with filter, and compare the counts",
    "Median": "keep sums and counts, or do it in a Python step",
    "Quantile": "keep sums and counts, or do it in a Python step",
    "PercentileCont": "keep sums and counts, or do it in a Python step",
    "DateDiff": "subtract epoch_us(…) and divide with //",
    "Extract": "use year(…), month(…) or day(…), or arithmetic on epoch_us(…)",
    "DayOfWeekIso": "use (epoch_us(…) // 86400000000 + 3) % 7, Monday is 0",
    "Limit": "rank with row_number() and filter",
    "DPipe": "keep texts as they are",
    "Interval": "add microseconds to epoch_us(…)",
    "TryCast": "cast what is known to be a number",
    "CurrentTimestamp": "hand the instant in as a parameter",
    "Rand": "hand random numbers in as a column",
    "Subquery": "an expression reads columns, not tables",
    "Window": "an expression reads one group of rows",
    "Stddev": "write stddev_samp",
}
