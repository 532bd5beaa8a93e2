"""Eligibility: one rule as a mask and as an answer with reasons, in both languages."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from catalog.conftest import NOW_US
from jinqiao import catalog
from jinqiao.domain.catalog import Catalog, Product
from jinqiao.domain.feature import FeatureDictionary
from jinqiao.domain.messages import sentence
from jinqiao.errors import SchemaError


def profiles(n: int = 400) -> pa.Table:
    rng = np.random.default_rng(7)

    def holes(values: np.ndarray) -> pa.Array:
        return pa.array(values.tolist(), mask=rng.random(n) < 0.1)

    return pa.table(
        {
            "customer_id": [f"c{i}" for i in range(n)],
            "age": holes(rng.integers(16, 75, n)),
            "monthly_income_minor": holes(rng.integers(0, 2_000_000, n)),
            "debt_service_ratio": holes(np.round(rng.random(n), 3)),
            "refusals_90d": holes(rng.integers(0, 6, n)),
            "business_income_monthly_minor": holes(rng.integers(0, 9_000_000, n)),
            "occupation": holes(rng.choice(["salaried", "gig", "student"], n)),
        }
    )


def with_rule(samples: Catalog, rule: str) -> Product:
    from dataclasses import replace

    product = samples.product("qinghe_card")
    assert product is not None
    return replace(product, eligibility=rule)


def test_the_mask_equals_the_single_answer(samples: Catalog, dictionary: FeatureDictionary) -> None:
    """For every customer and product, the mask says what the explanation says."""
    table = profiles()
    mask = catalog.eligibility_mask(samples, table, dictionary)
    assert mask.shape == (table.num_rows, 10)
    assert 0.05 < mask.mean() < 0.95
    rows = table.to_pylist()
    for column, product in enumerate(samples.products()):
        for row in range(0, table.num_rows, 7):
            decision = catalog.explain_eligibility(product, rows[row], dictionary)
            assert decision.allowed == mask[row, column]
            assert decision.step == "eligibility"
            assert bool(decision.reasons) != decision.allowed


SAID = [
    ("age between 22 and 55", {"age": 20},
     "年龄须在 22岁 至 55岁 之间；目前为 20岁，相差 2岁。",
     "Age must be from 22 years to 55 years; it is 20 years, off by 2 years."),
    ("monthly_income_minor >= 500000", {"monthly_income_minor": 420_000},
     "月收入须不低于 5,000.00 CNY；目前为 4,200.00 CNY，还差 800.00 CNY。",
     "Monthly income must be at least 5,000.00 CNY; it is 4,200.00 CNY, 800.00 CNY short."),
    ("debt_service_ratio <= 0.5", {"debt_service_ratio": 0.625},
     "还款收入比须不高于 50.0%；目前为 62.5%，超出 12.5%。",
     "Debt to income must be at most 50.0%; it is 62.5%, 12.5% over."),
    ("age >= 18", {}, "年龄未知，无法判断是否符合机构要求。",
     "Age is not known, so the institution's rule cannot be met."),
    ("occupation in ('salaried', 'gig')", {"occupation": "student"},
     "职业须为以下之一：salaried, gig；目前为 student。",
     "Occupation must be one of: salaried, gig; it is student."),
    ("refusals_90d in (0, 1)", {"refusals_90d": 4},
     "近90天被拒次数须为以下之一：0, 1；目前为 4，相差 3。",
     "Refusals in 90 days must be one of: 0, 1; it is 4, off by 3."),
    ("refusals_90d < 2", {"refusals_90d": 4}, "近90天被拒次数须低于 2；目前为 4，超出 2。",
     "Refusals in 90 days must be below 2; it is 4, 2 over."),
    ("age > 30", {"age": 30}, "年龄须高于 30岁；目前为 30岁，还差 0岁。",
     "Age must be above 30 years; it is 30 years, 0 years short."),
    ("age not between 20 and 30", {"age": 25},
     "年龄须在 20岁 至 30岁 之外；目前为 25岁，相差 5岁。",
     "Age must lie outside 20 years to 30 years; it is 25 years, off by 5 years."),
    ("occupation <> 'student'", {"occupation": "student"}, "职业不得为：student；目前为 student。",
     "Occupation must not be: student; it is student."),
    ("refusals_90d <> 4", {"refusals_90d": 4}, None, None),
    ("age is null", {"age": 3}, "该产品仅面向年龄尚无记录的客户。",
     "This product is for customers of whom Age is not known."),
    ("age is not null", {}, "机构要求年龄为已知。", "The institution asks that Age be known."),
    ("false", {}, "机构目前不接受申请。", "The institution accepts nobody at present."),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "row", "zh", "en"), SAID)
def test_a_failing_clause_is_told_in_both_languages(
    rule: str,
    row: dict[str, object],
    zh: str | None,
    en: str | None,
    samples: Catalog,
    dictionary: FeatureDictionary,
) -> None:
    """Every kind of clause says what was asked, what was found, and by how much it falls short."""
    decision = catalog.explain_eligibility(with_rule(samples, rule), row, dictionary)
    assert not decision.allowed
    (reason,) = decision.reasons
    said = sentence(reason, "zh"), sentence(reason, "en")
    if zh is not None:
        assert said == (zh, en)
    assert all(said)


def test_only_failing_clauses_are_told(samples: Catalog, dictionary: FeatureDictionary) -> None:
    """A clause that is met gives no reason; an empty rule lets everyone in."""
    rule = "age >= 18 and monthly_income_minor >= 500000"
    row = {"age": 30, "monthly_income_minor": 1}
    decision = catalog.explain_eligibility(with_rule(samples, rule), row, dictionary)
    assert [reason.numbers["clause"] for reason in decision.reasons] == [
        "monthly_income_minor >= 500000"
    ]
    assert catalog.explain_eligibility(with_rule(samples, ""), {}, dictionary).allowed


def test_a_rule_over_a_forbidden_feature_is_refused(
    samples: Catalog, dictionary: FeatureDictionary
) -> None:
    """A feature that may not serve prescreening cannot decide eligibility."""
    product = with_rule(samples, "gambling_share <= 0.5")
    with pytest.raises(SchemaError, match="qinghe_card"):
        catalog.explain_eligibility(product, {}, dictionary)


def test_rules_are_in_catalog_order(samples: Catalog, dictionary: FeatureDictionary) -> None:
    """There is one compiled rule a product, as the products stand."""
    texts = [rule.text for rule in catalog.rules(samples, dictionary)]
    assert texts == [product.eligibility for product in samples.products()]


HOUR_US = 3_600_000_000


def test_a_schedule_follows_day_hour_place_and_channel(samples: Catalog) -> None:
    """A product is offered in its days, hours, regions and channels, in its institution's zone."""
    from dataclasses import replace
    from datetime import date

    from jinqiao.domain.catalog import Schedule

    def asked(schedule: Schedule, at: int, region: str | None, channel: str | None) -> bool:
        return catalog.offered(schedule, "Asia/Shanghai", at, region, channel)

    days = Schedule(launch_on=date(2026, 3, 1), withdraw_on=date(2026, 3, 2))
    midnight = NOW_US - 8 * HOUR_US
    times = (midnight - 1, midnight, midnight + 24 * HOUR_US - 1, midnight + 24 * HOUR_US)
    assert [asked(days, at, None, None) for at in times] == [False, True, True, False]
    by_day, by_night = Schedule(hours=(8, 22)), Schedule(hours=(22, 8))
    for hour in range(24):
        at = midnight + hour * HOUR_US
        assert asked(by_day, at, None, None) == (8 <= hour < 22)
        assert asked(by_night, at, None, None) != asked(by_day, at, None, None)
    placed = Schedule(regions=("east",), channels=("app",))
    assert asked(placed, NOW_US, "east", "app")
    assert not asked(placed, NOW_US, None, "app")
    assert not asked(placed, NOW_US, "east", "web")
    mask = catalog.schedule_mask(samples, NOW_US, channel="app")
    assert mask.dtype == bool
    assert mask.shape == (10,)
    assert mask.all()
    stopped = replace(samples, stopped=frozenset({"qinghe_card"}))
    assert catalog.schedule_mask(stopped, NOW_US, channel="app").sum() == 9
    assert catalog.schedule_mask(samples, NOW_US).sum() == 8
