"""A typed rule language: one boolean expression, five ways to use it.

In: a text in a small subset of SQL and the fields it may name. Out: a `Rule` that is a mask over
columns, a test of one row, an explanation by how much, and bulk SQL; many rules are a `RuleIndex`
that tells in about a microsecond which of them a row passes. Always: the five agree, NULL
included; a rule that is NULL lets nobody pass; no text is ever evaluated as code. From: SQL:2016
three-valued logic, negation pushed to the leaves (Kleene 1952 §64), parsed by sqlglot.
"""

from jinqiao.engines.rules.explain import ClauseResult, Verdict
from jinqiao.engines.rules.fields import FieldLike
from jinqiao.engines.rules.index import RuleIndex
from jinqiao.engines.rules.mask import masks, prepare
from jinqiao.engines.rules.rule import Rule, parse

__all__ = ["ClauseResult", "FieldLike", "Rule", "RuleIndex", "Verdict", "masks", "parse", "prepare"]
