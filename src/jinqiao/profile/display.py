"""A profile in words: what each value says, and what each feature is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jinqiao.domain.feature import Feature, FeatureDictionary
from jinqiao.domain.messages import render
from jinqiao.errors import NotFound
from jinqiao.profile.definition import dictionary

__all__ = ["Shown", "explain", "values"]


@dataclass(frozen=True, slots=True)
class Shown:
    """One value for people: feature name, family and label in a language, the value as text."""

    name: str
    family: str
    label: str
    text: str
    known: bool


def values(
    row: Mapping[str, object],
    language: str,
    *,
    features: FeatureDictionary | None = None,
    currency: str = "CNY",
) -> tuple[Shown, ...]:
    """Return one profile row for display, in dictionary order; columns it lacks are left out.

    ``row`` maps a feature to its value, as ``profiles.slice(i, 1).to_pylist()[0]`` does.
    """
    known = dictionary() if features is None else features
    return tuple(
        _shown(feature, row[feature.name], language, currency)
        for feature in known
        if feature.name in row
    )


def _shown(feature: Feature, value: object, language: str, currency: str) -> Shown:
    if value is None or value != value:
        text = render("profile_unknown", language)
    elif feature.type == "category":
        text = render(f"value_{value}", language)
    else:
        numbers = {"value": value, "unit": feature.unit, "currency": currency}
        text = render("profile_value", language, numbers)
    family = render(f"family_{feature.family}", language)
    label = feature.zh if language == "zh" else feature.en
    return Shown(feature.name, family, label, text, not (value is None or value != value))


def explain(name: str, language: str) -> tuple[str, ...]:
    """Return what a feature is, in sentences: meaning, window, sources, purposes, definition.

    Raises NotFound for an unknown feature.

    >>> explain("age", "en")[0]
    'age, from the year of birth'
    """
    feature = dictionary().by_name.get(name)
    if feature is None:
        raise NotFound(f"no feature {name!r}", field=name, fix="see `jinqiao feature list`")
    said = [feature.zh if language == "zh" else feature.en]
    if feature.window_days is not None:
        said.append(render("profile_explain_window", language, {"days": feature.window_days}))
    if feature.values:
        listed = _list([render(f"value_{value}", language) for value in feature.values], language)
        said.append(render("profile_explain_values", language, {"values": listed}))
    sources = _list([render(f"table_{t}", language) for t in sorted(feature.sources)], language)
    said.append(render("profile_explain_sources", language, {"sources": sources}))
    purposes = _list([render(f"purpose_{p}", language) for p in sorted(feature.purposes)], language)
    said.append(render("profile_explain_purposes", language, {"purposes": purposes}))
    numbers = {"expression": feature.expression}
    said.append(render("profile_explain_expression", language, numbers))
    return tuple(said)


def _list(words: list[str], language: str) -> str:
    return ("、" if language == "zh" else ", ").join(words)
