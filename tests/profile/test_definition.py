"""Definitions: what a bad one is told, what a derived one inherits, how a version changes."""

from __future__ import annotations

import pytest

from jinqiao.domain.consent import Purpose
from jinqiao.errors import ConsentError, SchemaError
from jinqiao.profile import dictionary
from jinqiao.profile.definition import definitions, read

SETS = """
[all]
why_en = "x"
why_zh = "x"
purposes = ["personalise", "contact"]
[own]
why_en = "x"
why_zh = "x"
purposes = ["personalise"]
"""


def _one(name: str, expression: str, **more: str) -> str:
    fields = {
        "type": "float", "unit": "", "family": "income", "en": "x", "zh": "x",
        "expression": expression,
    } | more  # fmt: skip
    return f"[{name}]\n" + "\n".join(f'{key} = "{value}"' for key, value in fields.items())


def _read(ledger: str, derived: str = "") -> object:
    texts = {"purposes": SETS, "ledger": f'source = "ledger"\n{ledger}'}
    return read(texts | {"derived": f'source = ""\n{derived}'})


def test_what_the_models_and_the_policy_expect_is_there() -> None:
    """Names other rooms read are features, for personalisation."""
    wanted = {
        "monthly_income_minor", "balance_mean_30d_minor", "credit_views_30d", "wealth_views_30d",
        "insurance_views_30d", "credit_clicks_30d", "wealth_clicks_30d", "insurance_clicks_30d",
        "risk_tolerance", "payday_day", "city_tier", "age", "occupation", "customer_kind",
        "debt_service_ratio", "debt_service_monthly_minor", "balance_minor", "refusals_90d",
        "business_income_monthly_minor",
    }  # fmt: skip
    assert wanted <= set(dictionary().allowed(Purpose.PERSONALISE).names)
    assert len(dictionary()) >= 40


def test_every_feature_speaks_both_languages() -> None:
    """Each has a meaning in Chinese and English, a family and at least one purpose."""
    for feature in dictionary():
        assert feature.en.isascii(), feature.name
        assert not feature.zh.isascii(), feature.name
        assert feature.family
        assert feature.purposes


def test_what_harms_is_kept_from_the_shelf() -> None:
    """Gambling never chooses what to show; a refusal is not told on, nor used to contact."""
    known = dictionary().by_name
    assert Purpose.PERSONALISE not in known["gambling_share"].purposes
    assert not {Purpose.SHARE_WITH_INSTITUTION, Purpose.CONTACT} & known["refusals_90d"].purposes
    assert Purpose.CREDIT_DECISION not in known["risk_tolerance"].purposes


def test_a_derived_feature_inherits() -> None:
    """Its purposes are the intersection of its parents', its sources the union."""
    found = _read(
        _one("x", "sum(amount_minor)", purposes="all")
        + "\n" + _one("y", "count(*) filter (where days_ago < 3)", purposes="own"),
        _one("z", "x / nullif(y, 0)"),
    )  # fmt: skip
    feature = found.by_name["z"].feature  # type: ignore[attr-defined]
    assert feature.purposes == {Purpose.PERSONALISE}
    assert feature.sources == {"transactions"}


def test_a_derived_feature_cannot_claim_more() -> None:
    """A purpose that a parent lacks is refused when the definitions are read."""
    with pytest.raises(ConsentError, match="contact"):
        _read(_one("x", "sum(amount_minor)", purposes="own"), _one("z", "x", purposes="all"))


@pytest.mark.parametrize(
    ("ledger", "derived", "said"),
    [
        (_one("x", "sum(amount)", purposes="all"), "", "no column 'amount'"),
        (_one("x", "amount_minor + 1", purposes="all"), "", "aggregates"),
        (_one("x", "sum(amount_minor)", purposes="none"), "", "no purpose set"),
        (_one("x", "sum(amount_minor)", purposes="all", type="text"), "", "no type"),
        (_one("x", "sum(amount_minor)", purposes="all"), _one("z", "y + 1"), "no column 'y'"),
        (_one("x", "sum(amount_minor)", purposes="all"), _one("z", "sum(x)"), "aggregates"),
        (_one("x", "median(amount_minor)", purposes="all"), "", "median"),
    ],
)
def test_a_bad_definition_is_told_its_fault(ledger: str, derived: str, said: str) -> None:
    """Unknown columns, sets and types, and expressions off the subset, are named."""
    with pytest.raises(SchemaError) as refused:
        _read(ledger, derived)
    assert said in str(refused.value)


def test_the_version_follows_every_definition() -> None:
    """One changed expression gives another version; the same text gives the same."""
    first = _read(_one("x", "sum(amount_minor)", purposes="all"))
    again = _read(_one("x", "sum(amount_minor)", purposes="all"))
    other = _read(_one("x", "min(amount_minor)", purposes="all"))
    versions = [item.version for item in (first, again, other)]  # type: ignore[attr-defined]
    assert versions[0] == versions[1] != versions[2]
    assert dictionary().version == definitions().version
