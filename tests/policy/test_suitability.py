"""Suitability: hard gates over the whole matrix, and one answer for one and for many."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jinqiao.domain.catalog import Product
from jinqiao.domain.jurisdiction import Jurisdiction
from jinqiao.domain.messages import LANGUAGES, sentence
from jinqiao.domain.stage import ProductClass
from jinqiao.errors import SchemaError
from jinqiao.policy import suitability, suitability_mask

ON = date(2025, 10, 20)
ADULT = {"age": 40, "occupation": "salaried", "customer_kind": "person"}
PROFILES = st.lists(
    st.fixed_dictionaries(
        {
            "age": st.none() | st.integers(10, 80),
            "occupation": st.none() | st.sampled_from(["student", "salaried"]),
            "risk_tolerance": st.none() | st.integers(1, 5),
            "customer_kind": st.none() | st.sampled_from(["person", "merchant"]),
        }
    ),
    min_size=1,
    max_size=12,
)
SCHEMA = pa.schema(
    [("age", pa.int32()), ("occupation", pa.string()), ("risk_tolerance", pa.int8()),
     ("customer_kind", pa.string())]
)  # fmt: skip


@pytest.mark.parametrize("tolerance", range(1, 6))
@pytest.mark.parametrize("risk", range(1, 6))
def test_no_fund_riskier_than_the_customer_bears(
    tolerance: int, risk: int, law: Jurisdiction, make_product: Callable[..., Product]
) -> None:
    """Of the twenty-five pairs, exactly those with R ≤ C may be shown."""
    profile = ADULT | {"risk_tolerance": tolerance}
    decision = suitability(make_product(risk_level=risk), profile, law, ON)
    assert decision.allowed == (risk <= tolerance)
    assert decision.step == "suitability"
    assert [reason.code for reason in decision.reasons] == (
        [] if risk <= tolerance else ["suitability_too_risky"]
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    profiles=PROFILES,
    kinds=st.lists(
        st.tuples(
            st.sampled_from(ProductClass),
            st.integers(1, 5),
            st.sampled_from(["person", "merchant"]),
        ),
        min_size=1,
        max_size=6,
    ),
)
def test_the_mask_equals_each_decision(
    profiles: list[dict[str, object]],
    kinds: list[tuple[ProductClass, int, str]],
    law: Jurisdiction,
    make_product: Callable[..., Product],
) -> None:
    """For any customers and products the mask says what the single decision says."""
    products = [
        make_product(product_class=kind, risk_level=level, customer_kind=whom)
        for kind, level, whom in kinds
    ]
    mask = suitability_mask(products, pa.Table.from_pylist(profiles, schema=SCHEMA), law, ON)
    assert mask.shape == (len(profiles), len(products))
    for row, profile in enumerate(profiles):
        for column, product in enumerate(products):
            decision = suitability(product, profile, law, ON)
            assert decision.allowed == mask[row, column]
            for reason in decision.reasons:
                assert all(sentence(reason, language) for language in LANGUAGES)


def test_what_is_unknown_closes_a_gate(
    law: Jurisdiction, make_product: Callable[..., Product]
) -> None:
    """Without a known age or risk assessment no fund is shown, and both reasons are given."""
    decision = suitability(make_product(), {}, law, ON)
    codes = [reason.code for reason in decision.reasons]
    assert codes == ["suitability_age_unknown", "suitability_risk_unknown"]


def test_students_are_shown_no_credit(
    law: Jurisdiction, make_product: Callable[..., Product]
) -> None:
    """An adult student may see a deposit, and no loan, card or instalment plan."""
    student = {"age": 20, "occupation": "student", "risk_tolerance": 3}
    for kind in ProductClass:
        decision = suitability(make_product(product_class=kind), student, law, ON)
        refused = [r.code for r in decision.reasons] == ["suitability_no_credit_to_students"]
        assert refused == (kind.value in {"loan", "credit_card", "bnpl", "supply_chain"})


def test_a_day_without_a_rule_is_an_error(
    law: Jurisdiction, make_product: Callable[..., Product]
) -> None:
    """Before the first dated value nothing is guessed; the error says when it begins."""
    with pytest.raises(SchemaError, match="2020-01-01"):
        suitability(make_product(), ADULT, law, date(2019, 12, 31))


def test_a_product_table_gives_the_same_mask(
    law: Jurisdiction, make_product: Callable[..., Product]
) -> None:
    """Products may come as records or as a table."""
    products = [make_product(risk_level=level) for level in (1, 4)]
    table = pa.table(
        {"product_class": ["fund", "fund"], "risk_level": [1, 4], "customer_kind": ["person"] * 2}
    )
    people = pa.Table.from_pylist([ADULT | {"risk_tolerance": 2}], schema=SCHEMA)
    assert suitability_mask(table, people, law, ON).tolist() == [[True, False]]
    assert suitability_mask(products, people, law, ON).tolist() == [[True, False]]
