"""Features as their files define them: read once, checked, and put in an order to compute."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from jinqiao.domain.consent import Purpose
from jinqiao.domain.feature import Feature, FeatureDictionary
from jinqiao.engines.sql import check_expression
from jinqiao.errors import SchemaError
from jinqiao.policy import check_derived, inherited_purposes
from jinqiao.profile.sources import SOURCES

__all__ = ["Definition", "Definitions", "PurposeSet", "definitions", "dictionary", "read"]

_FILES = (
    "customer", "ledger", "conduct", "account", "swing", "visit", "session", "offer", "outcome",
    "derived", "conduct_derived",
)  # fmt: skip
_TYPES = frozenset({"int", "float", "bool", "category"})


@dataclass(frozen=True, slots=True)
class PurposeSet:
    """A named set of purposes and why it is so."""

    name: str
    purposes: frozenset[Purpose]
    why_en: str
    why_zh: str


@dataclass(frozen=True, slots=True)
class Definition:
    """A feature, the row view it aggregates ("" when it is made of other features), its parents.

    ``hidden`` ones are parts of others and no column of a profile. ``level`` is 0 for an aggregate,
    else one more than its deepest parent's. ``needs_class``: it, or a parent, reads the class of a
    product.
    """

    feature: Feature
    source: str
    parents: tuple[str, ...]
    purpose_set: str
    hidden: bool
    level: int
    needs_class: bool


@dataclass(frozen=True, slots=True)
class Definitions:
    """Every definition by name, in file order, and the digest of all of them."""

    by_name: Mapping[str, Definition]
    sets: Mapping[str, PurposeSet]
    version: str

    def closure(self, names: tuple[str, ...]) -> tuple[Definition, ...]:
        """Return the named definitions and everything they are made of, in file order."""
        wanted: set[str] = set()
        stack = list(names)
        while stack:
            name = stack.pop()
            if name not in wanted:
                wanted.add(name)
                stack.extend(self.by_name[name].parents)
        return tuple(self.by_name[name] for name in self.by_name if name in wanted)


@cache
def definitions() -> Definitions:
    """Return the definitions shipped with jinqiao."""
    folder = resources.files("jinqiao.profile").joinpath("definitions")
    texts = {
        name: folder.joinpath(f"{name}.toml").read_text(encoding="utf-8")
        for name in ("purposes", *_FILES)
    }
    return read(texts)


@cache
def dictionary() -> FeatureDictionary:
    """Return the features a profile has, in column order; ``version`` is a digest of all of them.

    >>> dictionary().by_name["age"].unit
    'years'
    """
    found = definitions()
    visible = tuple(d.feature for d in found.by_name.values() if not d.hidden)
    return FeatureDictionary(visible, found.version)


def read(texts: Mapping[str, str]) -> Definitions:
    """Return the definitions of some TOML files by name; "purposes" holds the purpose sets.

    Raises SchemaError naming the feature for an expression outside the two-engine subset, an
    unknown column, parent, type or purpose set, and ConsentError for a purpose no parent allows.
    """
    sets = {
        name: PurposeSet(
            name, frozenset(map(Purpose, row["purposes"])), row["why_en"], row["why_zh"]
        )
        for name, row in tomllib.loads(texts["purposes"]).items()
    }
    found: dict[str, Definition] = {}
    for file, text in texts.items():
        if file == "purposes":
            continue
        rows = tomllib.loads(text)
        source = str(rows.pop("source"))
        for name, row in rows.items():
            if name in found:
                raise SchemaError("defined twice", record=f"{file}.toml", field=name)
            found[name] = _definition(name, row, source, found, sets)
    return Definitions(MappingProxyType(found), MappingProxyType(sets), _digest(texts))


def _digest(texts: Mapping[str, str]) -> str:
    views = [[name, source.steps] for name, source in SOURCES.items()]
    parsed = [[name, tomllib.loads(text)] for name, text in texts.items()]
    whole = json.dumps([parsed, views], ensure_ascii=False)
    return "f" + hashlib.sha256(whole.encode()).hexdigest()[:12]


def _definition(
    name: str,
    row: Mapping[str, Any],
    source: str,
    found: Mapping[str, Definition],
    sets: Mapping[str, PurposeSet],
) -> Definition:
    if row["type"] not in _TYPES:
        raise SchemaError(f"no type {row['type']!r}", record=name, field="type", fix=str(_TYPES))
    columns = SOURCES[source].columns if source else tuple(found)
    expression = check_expression(row["expression"], columns, record=name)
    if expression.aggregates is not bool(source):
        fix = "aggregate the rows" if source else "combine features, or name a source"
        raise SchemaError("a feature of rows aggregates, any other does not", record=name, fix=fix)
    parents = () if source else tuple(found[parent] for parent in expression.names)
    needs_class = "product_class" in expression.names or any(p.needs_class for p in parents)
    return Definition(
        feature=_feature(name, row, source, parents, sets),
        source=source,
        parents=tuple(parent.feature.name for parent in parents),
        purpose_set=str(row.get("purposes", "")),
        hidden=bool(row.get("hidden", False)),
        level=1 + max((parent.level for parent in parents), default=-1),
        needs_class=needs_class,
    )


def _feature(
    name: str,
    row: Mapping[str, Any],
    source: str,
    parents: tuple[Definition, ...],
    sets: Mapping[str, PurposeSet],
) -> Feature:
    above = [parent.feature for parent in parents]
    named = row.get("purposes")
    if named is not None and named not in sets:
        raise SchemaError(f"no purpose set {named!r}", record=name, field="purposes")
    purposes = sets[named].purposes if named else inherited_purposes(above)
    if above:
        check_derived(name, purposes, above)
        tables = frozenset[str]().union(*(feature.sources for feature in above))
    else:
        tables = frozenset({SOURCES[source].table})
    return Feature(
        name=name, type=row["type"], unit=row["unit"], sources=tables, purposes=purposes,
        en=row["en"], zh=row["zh"], expression=row["expression"], family=row["family"],
        window_days=row.get("window_days"), values=tuple(row.get("values", ())),
        lower=row.get("lower"), upper=row.get("upper"),
    )  # fmt: skip
