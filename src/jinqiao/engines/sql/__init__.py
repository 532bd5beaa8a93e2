"""A checked SQL subset that DuckDB and Apache Spark answer alike.

In: a query or one expression in DuckDB's dialect. Out: the same, checked, with the columns it
reads; or its text for Spark. Always: what is not on the list is refused, with its place and a fix;
what the two engines do differently without saying so is on no list. From: sqlglot's parser; the
rules listed in docs/reference/features.md.
"""

from jinqiao.engines.sql.check import CheckedExpression, CheckedQuery, check, check_expression
from jinqiao.engines.sql.spark import to_spark

__all__ = ["CheckedExpression", "CheckedQuery", "check", "check_expression", "to_spark"]
