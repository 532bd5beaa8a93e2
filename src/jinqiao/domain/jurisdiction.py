"""A dated rule pack of one jurisdiction, each number with its source."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

__all__ = ["Jurisdiction", "JurisdictionRule"]


@dataclass(frozen=True, slots=True)
class JurisdictionRule:
    """One number or choice in force from a date, with regulation and article."""

    name: str
    value: object
    unit: str
    in_force_from: date
    source: str
    article: str


@dataclass(frozen=True, slots=True)
class Jurisdiction:
    code: str
    name_zh: str
    name_en: str
    rules: tuple[JurisdictionRule, ...]

    def rule(self, name: str, on: date) -> JurisdictionRule | None:
        """Return the rule of that name in force on a day: the latest that had begun."""
        begun = [r for r in self.rules if r.name == name and r.in_force_from <= on]
        return max(begun, key=lambda r: r.in_force_from, default=None)
