"""Experiments of a marketplace: arms that differ in settings the shelf really has.

An experiment is written once, when it starts, and never changed but for its stop. Who is in which
arm is a hash of its salt (``engines.split``), so nothing about it is kept by customer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from jinqiao.errors import InputError

__all__ = ["CUSTOMER", "SESSION", "Arm", "Guardrail", "Trial", "arms_in", "arms_text"]

CUSTOMER, SESSION = "customer", "session"
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,47}")
_LEAST_SHARE = 0.001


@dataclass(frozen=True, slots=True)
class Guardrail:
    """A figure that must not get worse: ``worse`` is "up" or "down", by more than ``most``."""

    metric: str
    worse: str
    most: float = 0.0

    def __post_init__(self) -> None:
        if self.worse not in ("up", "down"):
            raise InputError("'up' or 'down'", record=self.metric, field="worse")


@dataclass(frozen=True, slots=True)
class Arm:
    """``share`` of those who take part; ``changes``: setting → value, none for the control."""

    name: str
    share: float
    changes: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Trial:
    """One experiment. The first arm is the control, the first metric the one that decides.

    ``unit``: whose every shelf is of one arm, ``customer`` or ``session``. ``holdout``: share kept
    out of every arm. ``traffic``: the share of its layer that it takes; two trials of one layer
    never have a unit in common. ``layer`` "" is one of its own; ``slice`` is given at the start.
    """

    experiment_id: str
    name: str
    hypothesis: str
    metrics: tuple[str, ...]
    arms: tuple[Arm, ...]
    holdout: float = 0.0
    unit: str = CUSTOMER
    salt: str = ""
    layer: str = ""
    slice: tuple[float, float] = (0.0, 1.0)
    guardrails: tuple[Guardrail, ...] = ()
    versions: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    started_at: datetime | None = None
    started_by: str = ""
    stopped_at: datetime | None = None
    stopped_by: str = ""
    stopped_why: str = ""

    def __post_init__(self) -> None:
        for name, value in (("experiment_id", self.experiment_id), ("layer", self.layer or "-")):
            if not _ID.fullmatch(value) and value != "-":
                raise self._wrong(f"{value!r} is no id", name, "a-z, 0-9, - and _, at most 48")
        names = [arm.name for arm in self.arms]
        for name in names:
            if not _ID.fullmatch(name):
                raise self._wrong(f"{name!r} is no arm's name", "arms", "a-z, 0-9, - and _")
        if len(names) < 2 or len(set(names)) < len(names):
            raise self._wrong("two arms or more, each with its own name", "arms")
        shares = [arm.share for arm in self.arms]
        if min(shares) < _LEAST_SHARE or abs(sum(shares) - 1) > 1e-9:
            raise self._wrong("shares from 0.001 that add up to 1", "arms")
        if not 0 <= self.holdout < 1:
            raise self._wrong("a share from 0 to below 1", "holdout")
        if not 0 <= self.slice[0] < self.slice[1] <= 1 + 1e-9:
            raise self._wrong("a share above 0 and at most 1", "traffic")
        if self.unit not in (CUSTOMER, SESSION):
            raise self._wrong(f"no unit {self.unit!r}", "unit", f"{CUSTOMER} or {SESSION}")
        if not self.hypothesis.strip():
            raise self._wrong("what is expected is written down first", "hypothesis")
        if not self.metrics:
            raise self._wrong("what decides is named first", "metrics")

    def _wrong(self, message: str, name: str, fix: str | None = None) -> InputError:
        return InputError(message, record=self.experiment_id, field=name, fix=fix)

    @property
    def traffic(self) -> float:
        """The share of its layer that it takes."""
        return self.slice[1] - self.slice[0]

    @property
    def settings(self) -> frozenset[str]:
        """Every setting that one of its arms changes."""
        return frozenset(name for arm in self.arms for name in arm.changes)

    def arm(self, name: str) -> Arm | None:
        """Return an arm by its name, or None (the holdout's is "")."""
        return next((arm for arm in self.arms if arm.name == name), None)


def arms_text(places: Mapping[str, str]) -> str:
    """Return experiment → arm ("" the holdout) as the decision log keeps it.

    >>> arms_text({"b": "new", "a": ""})
    'a=;b=new'
    """
    return ";".join(f"{name}={places[name]}" for name in sorted(places))


def arms_in(text: str | None) -> dict[str, str]:
    """Return experiment → arm of a decision row.

    >>> arms_in("a=;b=new"), arms_in(None)
    ({'a': '', 'b': 'new'}, {})
    """
    if not text:
        return {}
    pairs = (part.partition("=") for part in text.split(";"))
    return {name: arm for name, _, arm in pairs}
