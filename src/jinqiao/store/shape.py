"""What a records table looks like to a transaction, and the check every value passes.

One check for memory, SQLite and PostgreSQL, so that the three refuse the same rows: SQLite would
keep a text in a number's column, and only PostgreSQL knows how long a name may be.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Float,
    Integer,
    LargeBinary,
    String,
    UniqueConstraint,
)
from sqlalchemy import Column as SqlColumn

from jinqiao.errors import SchemaError, StoreError
from jinqiao.store.base import Row
from jinqiao.store.schema import metadata

__all__ = ["Field", "Shape", "shape_of", "split_where"]

_KINDS: tuple[tuple[type, str, tuple[type, ...]], ...] = (
    (JSON, "json", ()),
    (Boolean, "bool", (bool,)),
    (Integer, "int", (int,)),
    (Float, "float", (float, int)),
    (LargeBinary, "bytes", (bytes,)),
    (String, "text", (str,)),
)


@dataclass(frozen=True, slots=True)
class Field:
    """One column; ``kind``: json, bool, int, float, bytes, text; ``size``: bits or characters."""

    table: str
    name: str
    kind: str
    types: frozenset[type]
    size: int | None
    nullable: bool
    default: Any

    def check(self, values: Sequence[Any]) -> Sequence[Any]:
        """Return the values as stored (JSON as text); raise SchemaError naming the column."""
        if self.kind == "json":
            return [self._dump(value) for value in values]
        types = set(map(type, values))
        if not types <= self.types:
            if type(None) in types and not self.nullable:
                raise self._wrong("a value is missing")
            raise self._wrong(f"wants {self.kind}, got {_names(types - self.types)}")
        if type(None) in types:
            self._check_range([value for value in values if value is not None])
        else:
            self._check_range(values)
        return values

    def _check_range(self, values: Sequence[Any]) -> None:
        if not values:
            return
        if self.kind == "int":
            bound = 1 << ((self.size or 64) - 1)
            if max(values) >= bound or min(values) < -bound:
                raise self._wrong(f"a whole number does not fit {self.size} bits")
        elif self.kind == "text":
            self._check_text(values)
        elif self.kind == "float" and any(value != value for value in values):
            raise self._wrong("not a number")

    def _check_text(self, values: Sequence[str]) -> None:
        if self.size is not None and max(map(len, values)) > self.size:
            raise self._wrong(f"a text is longer than {self.size} characters")
        joined = values[0] if len(values) == 1 else "".join(values)
        if not joined.isascii():
            self._encode(joined)
        if "\0" in joined:
            raise self._wrong("a text holds a NUL character")

    def _encode(self, text: str) -> None:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise self._wrong("a text is not Unicode (half a surrogate pair)") from error

    def _dump(self, value: Any) -> str | None:
        if value is None:
            if not self.nullable:
                raise self._wrong("a value is missing")
            return None
        try:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        except (TypeError, ValueError) as error:
            raise self._wrong(f"not JSON: {error}") from error
        self._encode(text)
        return text

    def _wrong(self, message: str) -> SchemaError:
        return SchemaError(message, record=self.table, field=self.name)


@dataclass(frozen=True, slots=True)
class Shape:
    """A records table: its fields by name, its key, and the columns that have an index."""

    name: str
    fields: dict[str, Field]
    key: tuple[str, ...]
    unique: tuple[tuple[str, ...], ...]
    indexed: frozenset[str]
    json_names: tuple[str, ...]
    bool_names: tuple[str, ...]

    def field(self, name: str) -> Field:
        try:
            return self.fields[name]
        except KeyError:
            raise SchemaError("no such column", record=self.name, field=name) from None

    def comparable(self, name: str) -> Field:
        """Return the field of a column that can be compared and sorted; JSON cannot."""
        field = self.field(name)
        if field.kind == "json":
            raise SchemaError("JSON is not compared", record=self.name, field=name)
        return field

    def one(self, name: str, value: Any) -> Any:
        """Return one checked value to compare a column with."""
        return self.comparable(name).check([value])[0]

    def whole(self, name: str) -> Field:
        """Return the field of a whole-number column."""
        field = self.field(name)
        if field.kind != "int":
            raise SchemaError("not a column of whole numbers", record=self.name, field=name)
        return field

    def columns(self, rows: Sequence[Row], names: Iterable[str]) -> list[Sequence[Any]]:
        """Return checked values by column; a column that a row leaves out takes its default."""
        if not set().union(*rows) <= self.fields.keys():
            unknown = sorted(set().union(*rows) - self.fields.keys())[0]
            raise SchemaError("no such column", record=self.name, field=unknown)
        fields = [self.field(name) for name in names]
        columns = _columns(rows, fields)
        return [field.check(column) for field, column in zip(fields, columns, strict=True)]


def _columns(rows: Sequence[Row], fields: Sequence[Field]) -> Iterable[Sequence[Any]]:
    """Return values by column; whole rows, the common case, are turned at once."""
    if len(fields) > 1 and rows:
        pick = itemgetter(*(field.name for field in fields))
        try:
            return zip(*map(pick, rows), strict=True)
        except KeyError:
            pass
    return ([row.get(field.name, field.default) for row in rows] for field in fields)


@cache
def shape_of(table: str) -> Shape:
    """Return the shape of a records table; raise StoreError when there is none of that name."""
    described = metadata.tables.get(table)
    if described is None:
        raise StoreError("no such records table", record=table, fix="see store/schema")
    unique = [
        tuple(column.name for column in index.columns)
        for index in described.indexes
        if index.unique
    ]
    unique += [
        tuple(column.name for column in constraint.columns)
        for constraint in described.constraints
        if isinstance(constraint, UniqueConstraint)
    ]
    unique += [(column.name,) for column in described.columns if column.unique]
    key = tuple(column.name for column in described.primary_key.columns)
    firsts = {names[0] for names in unique} | set(key[:1])
    firsts |= {next(iter(index.columns)).name for index in described.indexes}
    fields = {column.name: _field(table, column) for column in described.columns}
    return Shape(
        name=table,
        fields=fields,
        key=key,
        unique=tuple(sorted(set(unique))),
        indexed=frozenset(firsts),
        json_names=tuple(name for name, field in fields.items() if field.kind == "json"),
        bool_names=tuple(name for name, field in fields.items() if field.kind == "bool"),
    )


def _field(table: str, column: SqlColumn[Any]) -> Field:
    found = next((known for known in _KINDS if isinstance(column.type, known[0])), None)
    if found is None:
        raise StoreError(f"{column.type!r} is not kept", record=table, field=column.name)
    _, kind, types = found
    nullable = bool(column.nullable) and not column.primary_key
    default = getattr(column.default, "arg", None)
    return Field(
        table=table,
        name=column.name,
        kind=kind,
        types=frozenset((*types, type(None))) if nullable else frozenset(types),
        size=_size(column),
        nullable=nullable,
        default=default,
    )


def _size(column: SqlColumn[Any]) -> int | None:
    if isinstance(column.type, Integer):
        return 64 if isinstance(column.type, BigInteger) else 32
    return getattr(column.type, "length", None)


def _names(types: Iterable[type]) -> str:
    return ", ".join(sorted(kind.__name__ for kind in types))


def split_where(shape: Shape, where: Row | None) -> list[tuple[str, str, Any]]:
    """Return ``(column, kind, value)``: kind is eq, null or any (a list, tuple or set).

    A None inside a list matches nothing, as in SQL.
    """
    parts: list[tuple[str, str, Any]] = []
    for name, value in (where or {}).items():
        if value is None:
            shape.field(name)
            parts.append((name, "null", None))
        elif isinstance(value, (list, tuple, set, frozenset)):
            items = [item for item in value if item is not None]
            parts.append((name, "any", shape.comparable(name).check(items)))
        else:
            parts.append((name, "eq", shape.one(name, value)))
    return parts
