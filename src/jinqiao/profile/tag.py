"""Tags and audiences: saved rules over profiles, with live counts."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from jinqiao.domain.feature import Feature
from jinqiao.engines.rules import Rule, masks, parse
from jinqiao.errors import ConsentError, NotFound, SchemaError
from jinqiao.profile.definition import dictionary
from jinqiao.store.base import Tx

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "Tag",
    "audience",
    "count",
    "counts",
    "default_tags",
    "install_tags",
    "retire_tag",
    "save_tag",
    "tags",
]

_TABLE = "tags"
_KINDS = ("tag", "audience")


@dataclass(frozen=True, slots=True)
class Tag:
    """One saved rule. ``kind``: ``tag`` describes a customer, ``audience`` picks whom to address.

    ``version`` counts its changes from 1; 0 is not saved yet.
    """

    name: str
    zh: str
    en: str
    rule: str
    kind: str = "tag"
    version: int = 0


def save_tag(tx: Tx, tag: Tag, *, author: str, now_us: int) -> Tag:
    """Return the tag as saved: a new version, or the one that stands when nothing changed.

    Raises SchemaError for a bad name, an empty rule, or a rule the features do not carry.
    """
    _check(tag)
    last = _versions(tx, tag.name)[:1]
    if last and last[0]["retired_at"] is None and _tag(last[0]) == _numbered(tag, last[0]):
        return _tag(last[0])
    version = 1 + (_tag(last[0]).version if last else 0)
    row = {
        "name": tag.name, "version": version, "kind": tag.kind, "zh": tag.zh, "en": tag.en,
        "rule": tag.rule, "author": author, "created_at": now_us, "retired_at": None,
    }  # fmt: skip
    tx.insert(_TABLE, [row])
    return _tag(row)


def retire_tag(tx: Tx, name: str, *, now_us: int) -> None:
    """Take a tag out of use; its versions stay. Raises NotFound when there is none in use."""
    last = _versions(tx, name)[:1]
    if not last or last[0]["retired_at"] is not None:
        raise NotFound("no such tag in use", record=name, fix="see `jinqiao tag list`")
    tx.update(_TABLE, {"name": name, "version": last[0]["version"]}, {"retired_at": now_us})


def tags(tx: Tx) -> tuple[Tag, ...]:
    """Return the newest version of every tag in use, by name."""
    newest: dict[str, Mapping[str, object]] = {}
    for row in tx.find(_TABLE, order_by=("name", "version")):
        newest[row["name"]] = row
    return tuple(_tag(row) for row in newest.values() if row["retired_at"] is None)


def default_tags() -> tuple[Tag, ...]:
    """Return the tags shipped with jinqiao, not saved yet."""
    text = resources.files("jinqiao.profile").joinpath("tags.toml").read_text(encoding="utf-8")
    rows = tomllib.loads(text).items()
    return tuple(Tag(name, row["zh"], row["en"], row["rule"]) for name, row in rows)


def install_tags(tx: Tx, *, now_us: int) -> tuple[Tag, ...]:
    """Save the shipped tags whose name was never used; return what was saved."""
    used = {row["name"] for row in tx.find(_TABLE)}
    new = [tag for tag in default_tags() if tag.name not in used]
    return tuple(save_tag(tx, tag, author="jinqiao", now_us=now_us) for tag in new)


def count(profiles: pa.Table, rule: str | Tag) -> int:
    """Return how many profiles a rule or tag holds for; unknown does not hold.

    Raises SchemaError for a bad rule, ConsentError for a feature these profiles may not use.
    """
    return int(_rule(profiles, rule).mask(profiles).sum())


def counts(profiles: pa.Table, chosen: Sequence[Tag]) -> Mapping[str, int]:
    """Return the count of every tag by name, in one pass over the profiles."""
    rules = [_rule(profiles, tag) for tag in chosen]
    if not rules:
        return {}
    found = masks(rules, profiles).sum(axis=0)
    return {tag.name: int(n) for tag, n in zip(chosen, found, strict=True)}


def audience(profiles: pa.Table, rule: str | Tag) -> pa.ChunkedArray:
    """Return the ``customer_id`` of every profile a rule or tag holds for, in profile order."""
    import pyarrow as pa

    return profiles["customer_id"].filter(pa.array(_rule(profiles, rule).mask(profiles)))


def _rule(profiles: pa.Table, rule: str | Tag) -> Rule:
    """Return the parsed rule; refuse a feature that these profiles were not allowed to have."""
    text = rule.rule if isinstance(rule, Tag) else rule
    parsed = parse(text, dictionary().by_name)
    lacking = [name for name in parsed.names if name not in profiles.column_names]
    if lacking:
        raise ConsentError(
            f"{', '.join(lacking)} is not in these profiles",
            record=rule.name if isinstance(rule, Tag) else "rule",
            field=lacking[0],
            fix="build profiles for a purpose that may use it",
        )
    return parsed


def _check(tag: Tag) -> None:
    name = tag.name
    if not (name.isascii() and name.isidentifier() and name == name.lower() and len(name) <= 64):
        raise SchemaError(f"the name {name!r}", record="tag", field="name", fix="use a-z, 0-9, _")
    if tag.kind not in _KINDS:
        raise SchemaError(f"no kind {tag.kind!r}", record=name, field="kind", fix=str(_KINDS))
    for field in ("zh", "en", "rule"):
        if not getattr(tag, field).strip():
            raise SchemaError("is empty", record=name, field=field)
    known: Mapping[str, Feature] = dictionary().by_name
    parse(tag.rule, known)


def _versions(tx: Tx, name: str) -> list[dict[str, object]]:
    return tx.find(_TABLE, {"name": name}, order_by=("-version",))


def _numbered(tag: Tag, row: Mapping[str, object]) -> Tag:
    return Tag(tag.name, tag.zh, tag.en, tag.rule, tag.kind, int(str(row["version"])))


def _tag(row: Mapping[str, object]) -> Tag:
    name, zh, en, rule, kind = (str(row[f]) for f in ("name", "zh", "en", "rule", "kind"))
    return Tag(name, zh, en, rule, kind, int(str(row["version"])))
