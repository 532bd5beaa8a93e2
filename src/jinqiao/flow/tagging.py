"""Tags and audiences at the desk: listed with their live counts, added, tried before saving."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from jinqiao.errors import Unavailable
from jinqiao.flow.wiring import Engine

if TYPE_CHECKING:
    import pyarrow as pa

    from jinqiao.store.base import Tx

__all__ = ["count_rule", "newest_profiles", "tag_add", "tag_list"]


def newest_profiles(engine: Engine) -> pa.Table:
    """Return the newest kept profiles of customers whose consent stands now.

    Raises Unavailable before any were built.
    """
    from jinqiao.flow import daily

    moments = engine.lake.feature_as_ofs(engine.dictionary.version)
    if not moments:
        raise Unavailable("no profiles were built yet", fix="run `jinqiao publish`")
    return daily.build_profiles(engine, moments[-1])


def tag_list(engine: Engine, kind: str) -> list[dict[str, Any]]:
    """Return the tags (``tag``) or audiences (``audience``) in use by name, counted where possible.

    The tags shipped with jinqiao are saved on first sight. ``count`` is None before profiles exist.
    """
    from jinqiao import profile

    def step(tx: Tx) -> Any:
        profile.install_tags(tx, now_us=engine.clock())
        return [tag for tag in profile.tags(tx) if tag.kind == kind]

    chosen: Any = engine.write(step)
    try:
        found = profile.counts(newest_profiles(engine), chosen)
    except Unavailable:
        found = {}
    return [{**asdict(tag), "count": found.get(tag.name)} for tag in chosen]


def tag_add(
    engine: Engine, name: str, rule: str, *, kind: str, zh: str, en: str, author: str
) -> dict[str, Any]:
    """Save a rule under a name; the same again changes nothing.

    Raises SchemaError for a bad one.
    """
    from jinqiao import profile

    tag = profile.Tag(name, zh or name, en or name, rule, kind)

    def step(tx: Tx) -> Any:
        return profile.save_tag(tx, tag, author=author, now_us=engine.clock())

    saved: Any = engine.write(step, durable=True)
    return asdict(saved)


def count_rule(engine: Engine, rule: str) -> dict[str, Any]:
    """Return how many customers a rule, or a saved tag's rule, holds for now."""
    from jinqiao import profile

    with engine.records.reading() as tx:
        saved = {tag.name: tag for tag in profile.tags(tx)}
    table = newest_profiles(engine)
    chosen = saved.get(rule, rule)
    text = chosen if isinstance(chosen, str) else chosen.rule
    return {"rule": text, "count": profile.count(table, chosen), "customers": table.num_rows}
