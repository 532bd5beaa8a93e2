"""Profiles: what is known of a customer as of a moment, for one purpose.

In: the lake, the customer map, the consents that stand. Out: one table, a row a customer and a
column a feature; tags and audiences as saved rules with live counts. Always: rows that arrived
after the as-of do not count; a feature serves only the purposes it declares, a derived one only
those all its parents do; without consent no row. From: point-in-time joins as in feature stores
(Orr et al., "Managing ML Pipelines: Feature Stores", VLDB 2021 §3); the features' own files.
"""

from jinqiao.profile.build import Place, build, build_at
from jinqiao.profile.definition import dictionary
from jinqiao.profile.display import Shown, explain, values
from jinqiao.profile.reference import reference
from jinqiao.profile.tag import (
    Tag,
    audience,
    count,
    counts,
    default_tags,
    install_tags,
    retire_tag,
    save_tag,
    tags,
)

__all__ = [
    "Place",
    "Shown",
    "Tag",
    "audience",
    "build",
    "build_at",
    "count",
    "counts",
    "default_tags",
    "dictionary",
    "explain",
    "install_tags",
    "reference",
    "retire_tag",
    "save_tag",
    "tags",
    "values",
]
