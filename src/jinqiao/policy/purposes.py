"""Purposes: a job may use only features that allow its purpose, and derivation never widens one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jinqiao.domain.consent import Purpose
from jinqiao.domain.feature import Feature, FeatureDictionary
from jinqiao.errors import ConsentError, InputError, NotFound

__all__ = ["check_derived", "check_features", "inherited_purposes"]


def check_features(
    dictionary: FeatureDictionary, names: Sequence[str], purpose: Purpose
) -> tuple[Feature, ...]:
    """Return the named features, in the order asked, when all may serve the purpose.

    Raises NotFound naming every unknown feature, ConsentError naming every forbidden one.
    """
    known = dictionary.by_name
    unknown = [name for name in names if name not in known]
    if unknown:
        raise NotFound(
            f"no feature {', '.join(unknown)}",
            field=unknown[0],
            fix="see `jinqiao feature list`",
        )
    forbidden = [name for name in names if purpose not in known[name].purposes]
    if forbidden:
        raise ConsentError(
            f"{', '.join(forbidden)} may not be used for {purpose.value}",
            field=forbidden[0],
            fix="drop them, or declare the purpose where they are defined",
        )
    return tuple(known[name] for name in names)


def inherited_purposes(parents: Iterable[Feature]) -> frozenset[Purpose]:
    """Return what a feature derived from these may serve: the purposes all of them allow.

    Raises InputError when there is no parent: what comes from nowhere may serve nothing.
    """
    sets = [parent.purposes for parent in parents]
    if not sets:
        raise InputError("a derived feature needs at least one parent", field="parents")
    return frozenset.intersection(*sets)


def check_derived(name: str, declared: frozenset[Purpose], parents: Sequence[Feature]) -> None:
    """Raise ConsentError when a derived feature claims a purpose that one of its parents lacks."""
    excess = declared - inherited_purposes(parents)
    for purpose in sorted(excess):
        lacking = ", ".join(p.name for p in parents if purpose not in p.purposes)
        raise ConsentError(
            f"{name} claims {purpose.value}, which {lacking} does not allow",
            field=name,
            fix="claim at most the purposes that every parent allows",
        )
