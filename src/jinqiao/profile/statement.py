"""One statement for a whole profile: a grouped pass a source, then what is made of others."""

from __future__ import annotations

from collections.abc import Sequence

from jinqiao.profile.definition import Definition
from jinqiao.profile.sources import CUSTOMERS_SQL, MOMENTS_SQL, SOURCES, own_moment

__all__ = ["statement"]


def statement(
    chosen: Sequence[Definition], names: Sequence[str], *, own_moments: bool = False
) -> str:
    """Return the SQL that computes ``names`` from ``chosen`` (they and what they are made of).

    It reads lake tables, ``customer_map``, ``consent_state`` and ``products``; its parameters are
    as_of_us, as_of_year, as_of_month, as_of_day, offset_us, currency and purpose. Rows are ordered
    by ``customer_id``. Only the sources needed are read, each once.

    ``own_moments``: the four as-of parameters are columns of a further table ``moments`` instead,
    one row a customer; the rest is the same text.
    """
    first = MOMENTS_SQL if own_moments else CUSTOMERS_SQL
    steps = [f"{name} as ({sql})" for name, sql in first]
    joined, columns = [], []
    for source in SOURCES.values():
        own = [d for d in chosen if d.source == source.name]
        if not own:
            continue
        views = [(n, own_moment(sql) if own_moments else sql) for n, sql in source.steps]
        steps += [f"{name} as ({sql})" for name, sql in views]
        view, group = source.steps[-1][0], f"{source.name}_features"
        steps.append(f"{group} as ({_grouped(own, view)})")
        joined.append(f"left join {group} on customers.customer_id = {group}.customer_id")
        columns += [_found(d, group) for d in own]
    listed = ", ".join(["customers.customer_id", *columns])
    steps.append(f"level_0 as (select {listed} from customers {' '.join(joined)})")
    depth = max((d.level for d in chosen), default=0)
    for level in range(1, depth + 1):
        made = [f"{d.feature.expression} as {d.feature.name}" for d in chosen if d.level == level]
        extra = "".join(f", {text}" for text in made)
        steps.append(f"level_{level} as (select *{extra} from level_{level - 1})")
    last = ", ".join(["customer_id", *names])
    return f"with {', '.join(steps)} select {last} from level_{depth} order by customer_id"


def _grouped(own: Sequence[Definition], view: str) -> str:
    made = ", ".join(f"{d.feature.expression} as {d.feature.name}" for d in own)
    return f"select customer_id, {made} from {view} group by customer_id"


def _found(definition: Definition, group: str) -> str:
    """Return the column of a grouped pass; a count of nothing is 0, also for one without rows."""
    name, feature = definition.feature.name, definition.feature
    if feature.type == "int" and feature.expression.startswith("count("):
        return f"coalesce({group}.{name}, 0) as {name}"
    return f"{group}.{name}"
