"""How likely a click that nobody has reported on yet is still to be reported, by its age."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

__all__ = ["AGE_HOURS", "LateReports"]

AGE_HOURS = (0, 1, 2, 4, 8, 12, 16, 24, 36, 48, 72, 96, 144, 192, 288, 384)
"""Ages (hours since the click) between which reports are counted; older clicks stay silent."""


@dataclass(frozen=True, slots=True)
class LateReports:
    """The chance of a report after each whole hour of age, given none before it.

    ``pool`` (``AGE_HOURS[-1] + 1`` values from 0 to 1, never rising with age in what they are
    learnt from) stands for every institution that ``by_institution`` does not name.
    """

    pool: tuple[float, ...]
    by_institution: Mapping[str, tuple[float, ...]] = field(
        default_factory=lambda: MappingProxyType({})
    )

    def of(self, institution_id: str) -> tuple[float, ...]:
        """Return the chances of one institution, by whole hours of age."""
        return self.by_institution.get(institution_id, self.pool)
