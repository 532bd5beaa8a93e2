"""Routes: what is not declared does not leave."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from jinqiao.domain.consent import Purpose, Route
from jinqiao.domain.messages import LANGUAGES, sentence
from jinqiao.policy import STANDARD_ROUTES, DeclaredRoute, Transfer, check_transfer

PHONE = Transfer(
    fields=("phone",),
    institution_id="bank-001",
    licence="bank",
    purpose=Purpose.SHARE_WITH_INSTITUTION,
    route=Route.DIRECT,
    consented=frozenset({Purpose.SHARE_WITH_INSTITUTION}),
)


def test_a_declared_field_leaves_with_consent() -> None:
    """A phone number goes to the institution when the customer agreed to share it."""
    assert check_transfer(STANDARD_ROUTES, PHONE).allowed


def test_nothing_leaves_without_consent_to_that_purpose() -> None:
    """Consent to personalise is no consent to share."""
    decision = check_transfer(
        STANDARD_ROUTES, replace(PHONE, consented=frozenset({Purpose.PERSONALISE}))
    )
    assert [reason.code for reason in decision.reasons] == ["route_no_consent"]


def test_credit_facts_go_through_a_bureau_only() -> None:
    """Income for a credit decision is denied directly and allowed through a licensed bureau."""
    income = Transfer(
        ("monthly_income_minor",), "bank-001", "bank", Purpose.CREDIT_DECISION, Route.DIRECT,
        frozenset({Purpose.CREDIT_DECISION}),
    )  # fmt: skip
    assert not check_transfer(STANDARD_ROUTES, income).allowed
    assert check_transfer(STANDARD_ROUTES, replace(income, route=Route.BUREAU)).allowed


@given(
    field=st.text(min_size=1, max_size=8).filter(lambda text: text.strip()),
    purpose=st.sampled_from(Purpose),
    route=st.sampled_from(Route),
)
def test_without_a_declaration_everything_is_denied(
    field: str, purpose: Purpose, route: Route
) -> None:
    """With no declared route no field leaves, for any purpose, by any route, and it is said why."""
    transfer = Transfer((field,), "x", "bank", purpose, route, frozenset(Purpose))
    decision = check_transfer((), transfer)
    assert not decision.allowed
    for reason in decision.reasons:
        assert all(sentence(reason, language) for language in LANGUAGES)


def test_a_declared_none_is_still_a_refusal() -> None:
    """Declaring route none for a field does not open it."""
    none = DeclaredRoute("phone", "*", Purpose.SHARE_WITH_INSTITUTION, Route.NONE)
    assert not check_transfer((none,), replace(PHONE, route=Route.NONE)).allowed


def test_a_route_to_one_receiver_opens_no_other() -> None:
    """A field declared for one institution stays closed to the next."""
    routes = (replace(STANDARD_ROUTES[0], field="phone", receiver="bank-001"),)
    assert check_transfer(routes, PHONE).allowed
    assert not check_transfer(routes, replace(PHONE, institution_id="bank-002")).allowed
