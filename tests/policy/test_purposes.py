"""Purposes: a feature serves only what it was declared for, and derivation never widens that."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jinqiao.domain.consent import Purpose
from jinqiao.domain.feature import Feature, FeatureDictionary
from jinqiao.errors import ConsentError, InputError, NotFound
from jinqiao.policy import check_derived, check_features, inherited_purposes


def feature(name: str, *purposes: Purpose) -> Feature:
    return Feature(name, "int", "", frozenset(), frozenset(purposes), name, name, name)


INCOME = feature("income", Purpose.PERSONALISE, Purpose.CREDIT_DECISION)
CLICKS = feature("clicks", Purpose.PERSONALISE)
WORDS = FeatureDictionary((INCOME, CLICKS))
SETS = st.frozensets(st.sampled_from(Purpose))


def test_a_job_gets_the_features_it_may_use_in_its_order() -> None:
    """Allowed names come back as features, in the order asked."""
    assert check_features(WORDS, ["clicks", "income"], Purpose.PERSONALISE) == (CLICKS, INCOME)


def test_a_forbidden_feature_is_refused_by_name() -> None:
    """A credit decision that asks for clicks is refused before it runs."""
    with pytest.raises(ConsentError, match="clicks may not be used for credit_decision"):
        check_features(WORDS, ["income", "clicks"], Purpose.CREDIT_DECISION)


def test_an_unknown_feature_is_not_found() -> None:
    """A slip in a name is NotFound, never silently dropped."""
    with pytest.raises(NotFound, match="incme"):
        check_features(WORDS, ["incme"], Purpose.PERSONALISE)


@given(sets=st.lists(SETS, min_size=1, max_size=4), declared=SETS)
def test_a_derived_feature_claims_at_most_what_all_parents_allow(
    sets: list[frozenset[Purpose]], declared: frozenset[Purpose]
) -> None:
    """Declared purposes are accepted exactly when every parent allows each of them."""
    parents = [feature(f"parent_{index}", *allowed) for index, allowed in enumerate(sets)]
    assert all(inherited_purposes(parents) <= allowed for allowed in sets)
    if all(declared <= allowed for allowed in sets):
        check_derived("ratio", declared, parents)
    else:
        with pytest.raises(ConsentError, match="ratio claims"):
            check_derived("ratio", declared, parents)


def test_a_feature_without_parents_inherits_nothing() -> None:
    """No parent is an error: an empty intersection would allow everything."""
    with pytest.raises(InputError):
        inherited_purposes([])
