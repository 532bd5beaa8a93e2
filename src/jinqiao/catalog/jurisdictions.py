"""Rule packs of ``jurisdictions/*.yaml``: dated values, each with its source, checked by line."""

from __future__ import annotations

from datetime import date
from typing import Any

from jinqiao.catalog.fields import Fields, Place
from jinqiao.catalog.files import Source, contents
from jinqiao.catalog.node import Node, node_of, parse, plain
from jinqiao.domain.fault import Fault
from jinqiao.domain.jurisdiction import Jurisdiction, JurisdictionRule
from jinqiao.errors import SchemaError
from jinqiao.policy import check_pack

__all__ = ["check_jurisdictions", "read_jurisdictions"]


def read_jurisdictions(source: Source) -> dict[str, Jurisdiction]:
    """Return the packs of a directory (or of file name → text or mapping), by code.

    Raises SchemaError for the first fault; ``check_jurisdictions`` names all of them.
    """
    packs, faults = _packs(source)
    if faults:
        first = faults[0]
        raise SchemaError(
            first.message, record=f"{first.file}:{first.line}", field=first.path or None,
            fix=first.fix or None,
        )  # fmt: skip
    return packs


def check_jurisdictions(source: Source) -> tuple[Fault, ...]:
    """Return every fault of every pack, with its line and fix."""
    return _packs(source)[1]


def _packs(source: Source) -> tuple[dict[str, Jurisdiction], tuple[Fault, ...]]:
    packs: dict[str, Jurisdiction] = {}
    faults: list[Fault] = []
    for name, content in contents(source):
        node: Node | None
        if isinstance(content, str | bytes):
            node, wrong = parse(content, name)
            faults += wrong
        else:
            node = node_of(content)
        if node is None:
            continue
        place = Place(name)
        pack = _read(node, place)
        if pack.code in packs:
            place.fault("code", f"a second pack {pack.code}", "one file a jurisdiction")
        packs.setdefault(pack.code, pack)
        faults += sorted(place.faults, key=lambda fault: (fault.line, fault.column))
    return packs, tuple(faults)


def _read(node: Node, place: Place) -> Jurisdiction:
    top = Fields(node, "", place)
    code = top.identity("code")
    name_zh, name_en = top.both("name")
    rules = tuple(_rule(part) for part in top.parts("rules", needed=True))
    top.close()
    pack = Jurisdiction(code, name_zh, name_en, rules)
    if not place.faults:
        for index, message, fix in check_pack(pack):
            place.fault(f"rules[{index}]" if index >= 0 else "rules", message, fix)
    return pack


def _rule(part: Fields) -> JurisdictionRule:
    node = part.node("value", True)
    value: Any = None if node is None else plain(node)
    begun = part.day("in_force_from")
    if begun is None and not part.has("in_force_from"):
        part.fault("in_force_from", "in_force_from is missing", "add the day it began")
    rule = JurisdictionRule(
        name=part.text("name"),
        value=value,
        unit=part.text("unit", ""),
        in_force_from=begun or date.min,
        source=part.text("source"),
        article=part.text("article"),
    )
    part.close()
    return rule
