"""Suitability: our own duty to the customer, beside the institution's rule. Hard gates.

Age, students and credit, and risk tolerance C1–C5 against product risk R1–R5. A gate whose fact is
unknown is closed. The single decision and the mask over many customers read the same gates.

n: customers; P: products.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jinqiao.domain.catalog import Product
from jinqiao.domain.decision import Decision, Reason
from jinqiao.domain.jurisdiction import Jurisdiction
from jinqiao.domain.stage import CREDIT_CLASSES, ProductClass
from jinqiao.errors import SchemaError
from jinqiao.policy.jurisdiction import LEVELS, required_rule, suitable_levels

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["suitability", "suitability_mask"]

_NO_AGE_GATE = frozenset({ProductClass.E_ACCOUNT, ProductClass.PAYMENT, ProductClass.DEPOSIT})
_MAY_CARRY_RISK = frozenset({ProductClass.DEPOSIT, ProductClass.INSURANCE})
"""Gated by risk tolerance only from R2 on: a plain deposit or policy needs no risk assessment."""


@dataclass(frozen=True, slots=True)
class _Gates:
    """What one product asks of a customer: the same for the decision and the mask."""

    merchant: bool
    minimum_age: int | None
    no_students: bool
    risk_level: int | None


@dataclass(frozen=True, slots=True)
class _Law:
    minimum_age: int
    no_students: bool
    classes: frozenset[str]
    levels: Mapping[int, frozenset[int]]


def suitability(
    product: Product, profile: Mapping[str, object], jurisdiction: Jurisdiction, on: date
) -> Decision:
    """Return whether a product may be shown to a customer, with every reason it may not.

    ``profile`` holds age, occupation, risk_tolerance (1 to 5) and customer_kind; absent, None and
    NaN are unknown. An unknown kind is a person.
    Raises SchemaError when the jurisdiction has no rule for that day.
    """
    kind, level = product.product_class, product.risk_level
    gates = _gates(kind, level, product.customer_kind, _law(jurisdiction, on))
    reasons = tuple(_reasons(gates, profile, _law(jurisdiction, on)))
    return Decision(not reasons, "suitability", reasons)


def suitability_mask(
    products: Sequence[Product] | pa.Table,
    profiles: pa.Table,
    jurisdiction: Jurisdiction,
    on: date,
) -> NDArray[np.bool_]:
    """Return which products may be shown to which customers, bool ``(n, P)``.

    ``products``: records, or a table of ``domain.tables.PRODUCTS``. ``profiles``: a table with the
    columns age, occupation, risk_tolerance and customer_kind; a missing one is unknown throughout.
    """
    law = _law(jurisdiction, on)
    all_gates = [_gates(kind, level, whom, law) for kind, level, whom in _facts(products)]
    age = _numbers(profiles, "age")
    tolerance = _numbers(profiles, "risk_tolerance")
    student = _texts_equal(profiles, "occupation", "student")
    merchant = _texts_equal(profiles, "customer_kind", "merchant")
    known: dict[_Gates, NDArray[np.bool_]] = {}
    mask = np.empty((len(all_gates), profiles.num_rows), dtype=bool)
    for index, gates in enumerate(all_gates):
        if gates not in known:
            passed = merchant == gates.merchant
            if gates.minimum_age is not None:
                passed &= age >= gates.minimum_age
            if gates.no_students:
                passed &= ~student
            if gates.risk_level is not None:
                passed &= np.isin(tolerance, _tolerances(gates.risk_level, law))
            known[gates] = passed
        mask[index] = known[gates]
    return mask.T


def _law(jurisdiction: Jurisdiction, on: date) -> _Law:
    age = required_rule(jurisdiction, "minimum_age", on).value
    students = required_rule(jurisdiction, "credit_to_students_forbidden", on).value
    classes = required_rule(jurisdiction, "suitability_classes", on).value
    assert isinstance(classes, list | tuple)
    return _Law(
        minimum_age=int(str(age)),
        no_students=bool(students),
        classes=frozenset(str(name) for name in classes),
        levels=suitable_levels(jurisdiction, on),
    )


def _gates(product_class: ProductClass, risk_level: int, customer_kind: str, law: _Law) -> _Gates:
    if risk_level not in LEVELS:
        raise SchemaError(f"a risk level is 1 to 5, not {risk_level}", field="risk_level")
    credit, merchant = product_class in CREDIT_CLASSES, customer_kind == "merchant"
    risky = product_class.value in law.classes or (
        product_class in _MAY_CARRY_RISK and risk_level > 1
    )
    aged = not merchant and product_class not in _NO_AGE_GATE
    return _Gates(
        merchant=merchant,
        minimum_age=law.minimum_age if aged else None,
        no_students=credit and law.no_students and not merchant,
        risk_level=risk_level if risky else None,
    )


def _reasons(gates: _Gates, profile: Mapping[str, object], law: _Law) -> list[Reason]:
    reasons = []
    if (profile.get("customer_kind") == "merchant") != gates.merchant:
        code = "suitability_merchants_only" if gates.merchant else "suitability_persons_only"
        reasons.append(Reason(code))
    if gates.minimum_age is not None:
        age = _number(profile.get("age"))
        if age is None:
            reasons.append(Reason("suitability_age_unknown"))
        elif age < gates.minimum_age:
            numbers = {"age": age, "minimum_age": gates.minimum_age}
            reasons.append(Reason("suitability_too_young", MappingProxyType(numbers)))
    if gates.no_students and profile.get("occupation") == "student":
        reasons.append(Reason("suitability_no_credit_to_students"))
    if gates.risk_level is not None:
        reasons.extend(_risk_reasons(gates.risk_level, _number(profile.get("risk_tolerance")), law))
    return reasons


def _risk_reasons(risk_level: int, tolerance: float | None, law: _Law) -> list[Reason]:
    if tolerance is None:
        return [Reason("suitability_risk_unknown", MappingProxyType({"risk_level": risk_level}))]
    if tolerance in _tolerances(risk_level, law):
        return []
    numbers = {"risk_level": risk_level, "risk_tolerance": tolerance}
    return [Reason("suitability_too_risky", MappingProxyType(numbers))]


def _tolerances(risk_level: int, law: _Law) -> list[float]:
    """Return the risk tolerances that may see a product of this level."""
    return [float(c) for c, levels in sorted(law.levels.items()) if risk_level in levels]


def _number(value: Any) -> float | None:
    return None if value is None or value != value else float(value)


def _facts(products: Sequence[Product] | pa.Table) -> list[tuple[ProductClass, int, str]]:
    if isinstance(products, Sequence):
        return [(p.product_class, p.risk_level, p.customer_kind) for p in products]
    names = ("product_class", "risk_level", "customer_kind")
    columns = [products.column(name).to_pylist() for name in names]
    return [(ProductClass(a), int(b), str(c)) for a, b, c in zip(*columns, strict=True)]


def _numbers(profiles: pa.Table, name: str) -> NDArray[np.float64]:
    """Return a column as doubles, NaN where unknown."""
    import pyarrow as pa

    if name not in profiles.column_names:
        return np.full(profiles.num_rows, np.nan)
    return np.asarray(profiles.column(name).cast(pa.float64()).to_numpy())


def _texts_equal(profiles: pa.Table, name: str, text: str) -> NDArray[np.bool_]:
    """Return where a text column equals a text; unknown is not equal."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if name not in profiles.column_names:
        return np.zeros(profiles.num_rows, dtype=bool)
    column = profiles.column(name)
    if pa.types.is_dictionary(column.type):
        column = column.cast(pa.string())
    return np.asarray(pc.fill_null(pc.equal(column, text), False).to_numpy(zero_copy_only=False))
