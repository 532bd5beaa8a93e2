"""Who an institution accepts: its rule as a mask over many, and as an answer for one, with reasons.

A rule may name only features that may serve every purpose it is used for: choosing what to show
(``personalise``) and asking whether the institution would take somebody (``prescreen``).

n: customers; P: products.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jinqiao.domain.catalog import Catalog, Product
from jinqiao.domain.consent import Purpose
from jinqiao.domain.decision import Decision, Reason
from jinqiao.domain.feature import Feature, FeatureDictionary
from jinqiao.engines.rules import ClauseResult, Rule, Verdict, masks, parse
from jinqiao.errors import SchemaError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["PURPOSES", "eligibility_mask", "explain_eligibility", "rule_fields", "rules"]

PURPOSES = (Purpose.PERSONALISE, Purpose.PRESCREEN)


def rule_fields(dictionary: FeatureDictionary) -> dict[str, Feature]:
    """Return the features an eligibility rule may name."""
    return {f.name: f for f in dictionary if all(purpose in f.purposes for purpose in PURPOSES)}


def rules(catalog: Catalog, dictionary: FeatureDictionary) -> tuple[Rule, ...]:
    """Return the compiled rule of every product, in catalog order.

    Raises SchemaError naming the product whose rule cannot be read.
    """
    return tuple(_rule(product, dictionary) for product in catalog.products())


def eligibility_mask(
    catalog: Catalog, profiles: pa.Table, dictionary: FeatureDictionary
) -> NDArray[np.bool_]:
    """Return which customers pass which product's rule, bool ``(n, P)``; unknown does not pass.

    ``profiles``: one row a customer, with the columns the rules name.
    """
    return masks(rules(catalog, dictionary), profiles)


def explain_eligibility(
    product: Product, row: Mapping[str, object], dictionary: FeatureDictionary
) -> Decision:
    """Return whether a customer passes a product's rule, with a reason for each failing clause.

    ``row``: the customer's features by name; absent, None and NaN are unknown. Each reason says
    what was asked, what was found, and by how much it falls short.
    """
    rule = _rule(product, dictionary)
    known = dictionary.by_name
    reasons = tuple(
        reason
        for clause in rule.explain(row)
        if clause.verdict is not Verdict.TRUE
        for reason in _reasons(clause, known, product.currency)
    )
    return Decision(not reasons, "eligibility", reasons)


def _rule(product: Product, dictionary: FeatureDictionary) -> Rule:
    try:
        return _parsed(product.eligibility, _Fields(dictionary))
    except SchemaError as error:
        raise SchemaError(
            error.message, record=f"product {product.product_id}", field="eligibility",
            fix=error.fix,
        ) from error  # fmt: skip


class _Fields:
    """A dictionary told apart by identity, so that each rule is parsed once for it."""

    def __init__(self, dictionary: FeatureDictionary) -> None:
        self.dictionary = dictionary

    def __hash__(self) -> int:
        return id(self.dictionary)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Fields) and other.dictionary is self.dictionary


@lru_cache(maxsize=4_096)
def _parsed(text: str, fields: _Fields) -> Rule:
    return parse(text, _allowed(fields))


@lru_cache(maxsize=8)
def _allowed(fields: _Fields) -> Mapping[str, Feature]:
    return rule_fields(fields.dictionary)


def _reasons(clause: ClauseResult, known: Mapping[str, Feature], currency: str) -> list[Reason]:
    """Return why a clause is not true: an unknown field each, or one shortfall."""
    if clause.verdict is Verdict.UNKNOWN:
        return [
            Reason("eligibility_unknown", _numbers(field=_label(name, known)))
            for name in clause.missing
        ]
    numbers: dict[str, Any] = {"field": _label(clause.field, known), "clause": clause.clause}
    if clause.branch:
        numbers["branch"] = clause.branch
    if clause.relation in ("between", "outside"):
        assert isinstance(clause.wanted, tuple)
        numbers |= {"lower": clause.wanted[0], "upper": clause.wanted[1]}
    elif isinstance(clause.wanted, tuple):
        numbers["wanted"] = ", ".join(str(one) for one in clause.wanted)
    elif clause.wanted is not None:
        numbers["wanted"] = clause.wanted
    numbers |= {"got": clause.got, "unit": clause.unit, "currency": currency}
    if clause.shortfall is not None:
        numbers["shortfall"] = clause.shortfall
    return [Reason(_code(clause), _numbers(**numbers))]


def _code(clause: ClauseResult) -> str:
    if clause.relation in ("one_of", "none_of") and clause.shortfall is not None:
        return f"eligibility_{clause.relation}_numbers"
    if clause.relation == "unknown":
        return "eligibility_unknown_wanted"
    return f"eligibility_{clause.relation}"


def _label(name: str, known: Mapping[str, Feature]) -> object:
    """Return a field in both languages; an expression stands for itself."""
    feature = known.get(name)
    if feature is None:
        return name
    return {"zh": feature.zh, "en": feature.en}


def _numbers(**numbers: object) -> Mapping[str, object]:
    return MappingProxyType(numbers)
