"""Decisions: an expected outcome and its reasons, as codes with numbers, never as prose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

__all__ = ["Decision", "Reason"]


@dataclass(frozen=True, slots=True)
class Reason:
    """A code of the message catalogue and the numbers its sentence needs."""

    code: str
    numbers: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Decision:
    """Yes or no, with every reason in the order it was found.

    ``step`` names who decided: eligibility, suitability, consent, quota, propensity, price, rank.
    """

    allowed: bool
    step: str
    reasons: tuple[Reason, ...] = ()
