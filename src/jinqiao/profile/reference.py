"""The dictionary as a page: docs/reference/features.md is this text."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from jinqiao.domain.messages import render
from jinqiao.engines.sql.allowed import AGGREGATES, TYPES
from jinqiao.profile.definition import Definition, definitions
from jinqiao.profile.sources import SOURCES

__all__ = ["reference"]

_HEAD = """# Features 特征字典

Generated from `src/jinqiao/profile/definitions/`; `tests/profile/test_reference.py` holds this page
equal to it. Dictionary version `{version}`, {count} features.

A profile has one row a customer with a standing consent for the purpose, and knows only rows that
had arrived (`received_at`) and happened (`occurred_at`) by its as-of. Money is whole minor units of
one currency; what is not known is null. A sum is null where its window holds no row, and 0 where it
holds rows of another kind only; a count of nothing is 0.

## Purposes 用途

A feature serves the purposes of its set. One made of others serves those that all of them serve.

| set | serves | why |
|---|---|---|
"""


def reference() -> str:
    """Return the feature dictionary as Markdown: purposes, every feature, parts, row views."""
    found = definitions()
    shown = [d for d in found.by_name.values() if not d.hidden]
    parts = [d for d in found.by_name.values() if d.hidden]
    text = _HEAD.format(version=found.version, count=len(shown))
    for group in found.sets.values():
        serves = ", ".join(sorted(group.purposes))
        text += f"| {group.name} | {serves} | {group.why_en} {group.why_zh} |\n"
    text += "\n## Features\n"
    for family, members in groupby(sorted(shown, key=_family), key=_family):
        title = render(f"family_{family}", "en")
        text += f"\n### {title[:1].upper()}{title[1:]} {render(f'family_{family}', 'zh')}\n\n"
        text += _table(members)
    text += "\n## Parts\n\nComputed on the way, no column of a profile.\n\n" + _table(parts)
    return text + _sources() + _subset()


def _family(definition: Definition) -> str:
    return definition.feature.family


def _table(members: Iterable[Definition]) -> str:
    text = "| feature | type, unit | over | purposes | meaning | definition |\n"
    text += "|---|---|---|---|---|---|\n"
    for d in members:
        f = d.feature
        kind = ", ".join(part for part in (f.type, f.unit) if part)
        window = f" {f.window_days} days" if f.window_days else ""
        over = (f"`{d.source}`" if d.source else "other features") + window
        served = d.purpose_set or ", ".join(sorted(f.purposes))
        meaning = f"{f.en} {f.zh}"
        values = f" ({', '.join(f.values)})" if f.values else ""
        expression = f.expression.replace("|", "\\|")
        text += (
            f"| `{f.name}` | {kind} | {over} | {served} | {meaning}{values} | `{expression}` |\n"
        )
    return text


def _sources() -> str:
    text = "\n## Row views\n\nWhat expressions over a source may read.\n\n"
    text += "| view | lake table | columns |\n|---|---|---|\n"
    for source in SOURCES.values():
        columns = ", ".join(f"`{column}`" for column in source.columns)
        text += f"| `{source.name}` | `{source.table}` | {columns} |\n"
    return text


def _subset() -> str:
    aggregates = ", ".join(f"`{name.lower()}`" for name in sorted(AGGREGATES))
    types = ", ".join(f"`{name.lower()}`" for name in sorted(TYPES))
    return f"""
## The expression subset

Every expression, and the whole query made of them, passes `jinqiao.engines.sql.check`: DuckDB and
Apache Spark answer it alike. Aggregates: {aggregates}, each with `filter (where …)`.
Casts: {types}, to `bigint` only around `floor`, `ceil` or `round`. Division by anything but a
literal needs `nullif(…, 0)`; logarithms are `ln` and `log2`; `arg_max` needs
`filter (where value is not null)`. Refused: clocks, random numbers, quantiles, modes, text
functions, date differences, `limit`.
"""
