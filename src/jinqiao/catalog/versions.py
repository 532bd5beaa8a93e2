"""Immutable versions of institution files: written once, in force from an instant, never edited."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from jinqiao.catalog.files import CatalogFile, Files, institution_of
from jinqiao.domain.catalog import Catalog, CatalogVersion, Institution, Product
from jinqiao.domain.ids import InstitutionId, ProductId
from jinqiao.domain.time import from_us
from jinqiao.errors import Conflict, InputError, NotFound, SchemaError
from jinqiao.store.base import Row, Tx

__all__ = [
    "apply",
    "history",
    "institution_version",
    "load",
    "product_version",
    "resume",
    "stop",
    "stopped",
]

_VERSIONS = "institution_versions"


def apply(
    tx: Tx, files: Files, *, author: str, now_us: int, withdraw_missing: bool = False
) -> tuple[CatalogVersion, ...]:
    """Write each changed file as a new version in force from ``now_us``; return what changed.

    The same files again change nothing. ``withdraw_missing``: institutions without a file here are
    withdrawn (their clicks and settlements go on). Raises SchemaError when a file has a fault,
    Conflict when a product belongs to another institution or a later version is there already.
    """
    _refuse_faults(files)
    latest = _latest(tx, None)
    rows = [
        _next(latest.get(file.institution.institution_id), file, author, now_us)
        for file in files.files
        if file.institution is not None
    ]
    changed = [row for row in rows if row is not None]
    if withdraw_missing:
        present = {file.institution.institution_id for file in files.files if file.institution}
        gone = [row for name, row in latest.items() if name not in present]
        changed += [_withdrawn(row, author, now_us) for row in gone if not row["withdrawn"]]
    _own_products(tx, changed)
    tx.insert(_VERSIONS, changed)
    return tuple(_version(row) for row in changed)


def load(tx: Tx, at_us: int | None = None) -> Catalog:
    """Return the catalog in force at an instant (None: after everything written so far)."""
    standing = [row for row in _latest(tx, at_us).values() if not row["withdrawn"]]
    return Catalog(
        tuple(_institution(row) for row in standing),
        tuple((InstitutionId(row["institution_id"]), row["version"]) for row in standing),
        stopped(tx, at_us),
    )


def product_version(tx: Tx, product_id: str, version: int) -> Product:
    """Return a product as its institution's version said: what a click was made under."""
    row = tx.get(_VERSIONS, {"institution_id": _owner(tx, product_id), "version": version})
    found = None if row is None else _products(row).get(product_id)
    if found is None:
        raise NotFound(f"no version {version} of this product", record=product_id)
    return found


def institution_version(tx: Tx, product_id: str, version: int) -> Institution:
    """Return the institution of a product as that version said: its zone, currency, branches.

    Raises NotFound for a version that never was or was a withdrawal.
    """
    row = tx.get(_VERSIONS, {"institution_id": _owner(tx, product_id), "version": version})
    if row is None or row["withdrawn"]:
        raise NotFound(f"no version {version} of this product's institution", record=product_id)
    return _institution(row)


def history(tx: Tx, institution_id: str) -> tuple[CatalogVersion, ...]:
    """Return every version of an institution's file, oldest first."""
    rows = tx.find(_VERSIONS, {"institution_id": institution_id}, order_by=("version",))
    return tuple(_version(row) for row in rows)


def stop(tx: Tx, product_id: str, *, actor: str, now_us: int) -> bool:
    """Take a product off every shelf; return False when it was stopped already."""
    return _switch(tx, product_id, True, actor, now_us)


def resume(tx: Tx, product_id: str, *, actor: str, now_us: int) -> bool:
    """Put a stopped product back; return False when it was not stopped."""
    return _switch(tx, product_id, False, actor, now_us)


def stopped(tx: Tx, at_us: int | None = None) -> frozenset[ProductId]:
    """Return the products that are stopped at an instant: one small query, asked often."""
    below = None if at_us is None else {"changed_at": at_us + 1}
    rows = tx.find("product_stops", order_by=("product_id", "sequence"), below=below)
    last = {row["product_id"]: row["stopped"] for row in rows}
    return frozenset(ProductId(name) for name, is_stopped in last.items() if is_stopped)


def _refuse_faults(files: Files) -> None:
    if files.faults:
        first = files.faults[0]
        raise SchemaError(
            f"{first.message}; {len(files.faults)} faults in all",
            record=f"{first.file}:{first.line}",
            field=first.path or None,
            fix=first.fix or "run `jinqiao check`",
        )
    names = [file.institution.institution_id for file in files.files if file.institution]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise SchemaError("two files describe one institution", record=min(twice))


def _latest(tx: Tx, at_us: int | None) -> dict[str, Row]:
    """Return each institution's last version at an instant, in id order, however many there are."""
    below = None if at_us is None else {"valid_from_at": at_us + 1}
    latest: dict[str, Row] = {}
    for first in tx.find(_VERSIONS, {"version": 1}, order_by=("institution_id",)):
        where = {"institution_id": first["institution_id"]}
        for row in tx.find(_VERSIONS, where, order_by=("-version",), limit=1, below=below):
            latest[first["institution_id"]] = row
    return latest


def _next(last: Row | None, file: CatalogFile, author: str, now_us: int) -> dict[str, Any] | None:
    """Return the row of a new version, or None when nothing changed."""
    if last is not None and last["digest"] == file.digest and not last["withdrawn"]:
        return None
    assert file.institution is not None
    row = _row(last, file.institution.institution_id, file.text, file.name, now_us)
    return row | {"author": author, "digest": file.digest, "record": dict(file.record)}


def _withdrawn(last: Row, author: str, now_us: int) -> dict[str, Any]:
    row = _row(last, last["institution_id"], "", last["file"], now_us)
    return row | {"author": author, "digest": "", "record": {}, "withdrawn": True}


def _row(last: Row | None, name: str, text: str, file: str, now_us: int) -> dict[str, Any]:
    if last is not None and last["valid_from_at"] >= now_us:
        raise Conflict(
            "a version from this instant or later is there", record=name, fix="apply again later"
        )
    before, number = ("", 0) if last is None else (last["text"], last["version"])
    return {
        "institution_id": name,
        "version": number + 1,
        "valid_from_at": now_us,
        "file": file,
        "text": text,
        "diff": _diff(before, text, file),
        "withdrawn": False,
    }


def _diff(before: str, after: str, file: str) -> str:
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{file}", f"b/{file}"
    )
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def _own_products(tx: Tx, rows: Iterable[Row]) -> None:
    wanted: dict[str, str] = {}
    for row in rows:
        for name in [] if row["withdrawn"] else _names(row):
            if name in wanted:
                raise Conflict("two products have this id", record=name, field="product_id")
            wanted[name] = row["institution_id"]
    if not wanted:
        return
    pairs = [{"product_id": p, "institution_id": i} for p, i in wanted.items()]
    tx.insert_new("catalog_products", pairs)
    for row in tx.find("catalog_products", {"product_id": list(wanted)}):
        if row["institution_id"] != wanted[row["product_id"]]:
            raise Conflict(
                f"this product belongs to {row['institution_id']}",
                record=row["product_id"],
                field="product_id",
                fix="choose another id; an id is never given away",
            )


def _names(row: Row) -> list[str]:
    return [str(product["product_id"]) for product in row["record"]["products"]]


def _owner(tx: Tx, product_id: str) -> str:
    row = tx.get("catalog_products", {"product_id": product_id})
    if row is None:
        raise NotFound("no such product", record=product_id, fix="see `jinqiao product list`")
    return str(row["institution_id"])


def _version(row: Row) -> CatalogVersion:
    return CatalogVersion(
        InstitutionId(row["institution_id"]),
        row["version"],
        from_us(row["valid_from_at"]),
        row["author"],
        row["digest"],
        row["diff"],
    )


class _Kept:
    """A version's record, told apart by its digest, so that it is read once."""

    def __init__(self, digest: str, record: Mapping[str, Any]) -> None:
        self.digest = digest
        self.record = record

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Kept) and other.digest == self.digest


def _institution(row: Row) -> Institution:
    return _read(_Kept(row["digest"], row["record"]))


def _products(row: Row) -> Mapping[str, Product]:
    return {} if row["withdrawn"] else _indexed(_Kept(row["digest"], row["record"]))


@lru_cache(maxsize=4_096)
def _read(kept: _Kept) -> Institution:
    return institution_of(kept.record)


@lru_cache(maxsize=4_096)
def _indexed(kept: _Kept) -> Mapping[str, Product]:
    return {product.product_id: product for product in _read(kept).products}


def _switch(tx: Tx, product_id: str, to: bool, actor: str, now_us: int) -> bool:
    _owner(tx, product_id)
    if not actor.strip():
        raise InputError("who stops or resumes a product is recorded", field="actor")
    rows = tx.find(
        "product_stops", {"product_id": product_id}, order_by=("-sequence",), limit=1, lock=True
    )
    was = bool(rows and rows[0]["stopped"])
    if was == to:
        return False
    sequence = rows[0]["sequence"] + 1 if rows else 1
    at = max(now_us, rows[0]["changed_at"]) if rows else now_us
    row = {"product_id": product_id, "sequence": sequence, "stopped": to,
           "actor": actor, "changed_at": at}  # fmt: skip
    tx.insert("product_stops", [row])
    return True
