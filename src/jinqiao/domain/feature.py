"""Features as data: what a profile column means, where it comes from, what it may serve."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from jinqiao.domain.consent import Purpose
from jinqiao.errors import ConsentError, NotFound

__all__ = ["Feature", "FeatureDictionary"]


@dataclass(frozen=True, slots=True)
class Feature:
    """One named column of a profile.

    ``type`` is ``int``, ``float``, ``bool`` or ``category`` (then ``values`` lists its texts).
    ``unit`` is for example ``minor`` (money), ``years``, ``days``, ``ratio``, ``count``, ``hour``,
    ``tier``, or "" for none; two fields of different units are never compared.
    ``sources`` are lake tables; ``purposes`` what the column may be used for.
    ``expression`` is its definition in the checked SQL subset.
    """

    name: str
    type: str
    unit: str
    sources: frozenset[str]
    purposes: frozenset[Purpose]
    en: str
    zh: str
    expression: str
    family: str = ""
    window_days: int | None = None
    values: tuple[str, ...] = ()
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True, slots=True)
class FeatureDictionary:
    """The features a profile has, in column order."""

    features: tuple[Feature, ...]
    version: str = ""

    def __iter__(self) -> Iterator[Feature]:
        return iter(self.features)

    def __len__(self) -> int:
        return len(self.features)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(feature.name for feature in self.features)

    @property
    def by_name(self) -> Mapping[str, Feature]:
        return MappingProxyType({feature.name: feature for feature in self.features})

    def select(self, names: tuple[str, ...], purpose: Purpose) -> tuple[Feature, ...]:
        """Return the named features; refuse any that the purpose may not use.

        Raises NotFound for an unknown name and ConsentError for a forbidden one.
        """
        known = self.by_name
        for name in names:
            if name not in known:
                raise NotFound(f"no feature {name!r}", field=name, fix="see `jinqiao feature list`")
            if purpose not in known[name].purposes:
                raise ConsentError(
                    f"feature {name!r} may not be used for {purpose.value}",
                    field=name,
                    fix="drop the feature, or declare the purpose where it is defined",
                )
        return tuple(known[name] for name in names)

    def allowed(self, purpose: Purpose) -> FeatureDictionary:
        """Return the dictionary without the features this purpose may not use."""
        kept = tuple(feature for feature in self.features if purpose in feature.purposes)
        return FeatureDictionary(kept, self.version)
