"""A small dictionary, the packs we ship, and files to break."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from jinqiao import catalog
from jinqiao.domain.catalog import Catalog
from jinqiao.domain.consent import Purpose
from jinqiao.domain.feature import Feature, FeatureDictionary
from jinqiao.domain.jurisdiction import Jurisdiction

TEMPLATES = Path(str(resources.files("jinqiao.catalog"))) / "templates"
NOW_US = 1_772_323_200_000_000  # 2026-03-01 08:00 in Shanghai


def feature(name: str, kind: str, unit: str, zh: str, en: str, **more: Any) -> Feature:
    purposes = more.pop("purposes", frozenset(Purpose))
    return Feature(name, kind, unit, frozenset(), purposes, en, zh, "", **more)


@pytest.fixture(scope="session")
def dictionary() -> FeatureDictionary:
    jobs = ("salaried", "gig", "student")
    return FeatureDictionary(
        (
            feature("age", "int", "years", "年龄", "Age", lower=0, upper=120),
            feature("monthly_income_minor", "int", "minor", "月收入", "Monthly income", lower=0),
            feature("debt_service_ratio", "float", "ratio", "还款收入比", "Debt to income"),
            feature("refusals_90d", "int", "count", "近90天被拒次数", "Refusals in 90 days"),
            feature("business_income_monthly_minor", "int", "minor", "经营收入", "Turnover"),
            feature("city_tier", "int", "tier", "城市等级", "City tier", lower=1, upper=5),
            feature("occupation", "category", "", "职业", "Occupation", values=jobs),
            feature("gambling_share", "float", "ratio", "博彩", "Gambling",
                    purposes=frozenset({Purpose.CREDIT_DECISION})),
        ),
        "test",
    )  # fmt: skip


@pytest.fixture(scope="session")
def laws() -> dict[str, Jurisdiction]:
    return catalog.read_jurisdictions(TEMPLATES / "jurisdictions")


@pytest.fixture(scope="session")
def samples() -> Catalog:
    files = catalog.read_files(TEMPLATES / "institutions")
    assert not files.faults
    return files.catalog


@pytest.fixture
def bank_text() -> str:
    return (TEMPLATES / "institutions" / "qinghe_bank.yaml").read_text(encoding="utf-8")
