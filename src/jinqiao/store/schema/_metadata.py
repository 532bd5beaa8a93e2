"""The one ``MetaData`` that every topic's tables hang on."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, MetaData
from sqlalchemy.ext.compiler import compiles

__all__ = ["metadata"]

metadata = MetaData()


@compiles(JSON, "sqlite")
def _json_is_text(_type: Any, _compiler: Any, **_options: Any) -> str:
    """Return TEXT: under the name JSON, SQLite would keep the text ``1.0`` as the number 1."""
    return "TEXT"
