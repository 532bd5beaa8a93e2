"""The dictionary as a page and a profile in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from jinqiao.errors import NotFound
from jinqiao.profile import dictionary, explain, reference, values

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "features.md"


def test_the_page_is_the_dictionary() -> None:
    """docs/reference/features.md says exactly what the definitions say."""
    assert PAGE.read_text(encoding="utf-8") == reference(), (
        "write it again: python -c 'from jinqiao.profile import reference; "
        'open("docs/reference/features.md", "w").write(reference())\''
    )


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_feature_can_be_explained(language: str) -> None:
    """Each feature says what it means, where it comes from, what it may serve."""
    for feature in dictionary():
        said = explain(feature.name, language)
        assert len(said) >= 4
        assert said[-1].endswith(feature.expression)


def test_an_unknown_feature_is_not_explained() -> None:
    """A name that is no feature is refused."""
    with pytest.raises(NotFound):
        explain("shoe_size", "en")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_category_value_has_a_word(language: str) -> None:
    """Each value of each category can be shown in both languages."""
    for feature in dictionary():
        for value in feature.values:
            shown = values({feature.name: value}, language)[0]
            assert shown.known
            assert shown.text


def test_values_are_shown_in_their_unit() -> None:
    """Money has its currency, ratios are percentages, the unknown is said to be unknown."""
    row = {"monthly_income_minor": 800_000, "rent_ratio": 0.25, "age": None, "customer_id": "c"}
    shown = {item.name: item for item in values(row, "en", currency="CZK")}
    assert shown["monthly_income_minor"].text == "8,000.00 CZK"
    assert shown["rent_ratio"].text == "25.0%"
    assert shown["age"].text == "not known"
    assert not shown["age"].known
    assert "customer_id" not in shown
