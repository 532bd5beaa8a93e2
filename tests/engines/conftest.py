"""Fields that rules under test may name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class RuleField:
    name: str
    type: str
    unit: str = ""
    values: tuple[str, ...] = ()
    lower: float | None = None
    upper: float | None = None


FIELDS = (
    RuleField("age", "int", "years", lower=0, upper=120),
    RuleField("city_tier", "int", "tier", lower=1, upper=5),
    RuleField("monthly_income_minor", "int", "minor"),
    RuleField("rent_monthly_minor", "int", "minor"),
    RuleField("transactions_30d", "int", "count"),
    RuleField("debt_service_ratio", "float", "ratio", lower=0),
    RuleField("savings_rate", "float", "ratio", lower=-10, upper=1),
    RuleField("occupation", "category", values=("salaried", "gig", "student")),
    RuleField("region", "category", values=("north", "o'neil")),
    RuleField("is_merchant", "bool"),
)


@pytest.fixture(scope="session")
def fields() -> Mapping[str, RuleField]:
    return {field.name: field for field in FIELDS}
