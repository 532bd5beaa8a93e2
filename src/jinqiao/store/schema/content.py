"""Records tables of the topic: content."""

from __future__ import annotations

from jinqiao.store.schema._metadata import metadata

__all__: list[str] = []

_ = metadata
