"""A model on record: what it was made from, how good it was, and who let it serve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

__all__ = ["Model", "ModelAction", "ModelDecision", "ModelStatus"]


class ModelStatus(StrEnum):
    CHALLENGER = "challenger"
    """Trained, and not serving: it waits, or was found worse."""
    CHAMPION = "champion"
    """The one that is published. At most one a kind."""
    RETIRED = "retired"
    """Served until a better one took over."""
    ROLLED_BACK = "rolled_back"
    """Served until somebody put the former one back."""


class ModelAction(StrEnum):
    REGISTERED = "registered"
    PROMOTED = "promoted"
    REFUSED = "refused"
    """Compared with the champion and found worse, or found broken."""
    HELD = "held"
    """Waits: too few new rows to compare by, or a rollback stands and none was promoted since."""
    ROLLED_BACK = "rolled_back"
    RESTORED = "restored"
    """Champion again, because its successor was rolled back."""


@dataclass(frozen=True, slots=True)
class Model:
    """A trained model. ``card`` is plain JSON: settings, features with purposes, metrics.

    ``data_sha256`` is of the training rows, in any order; ``files_sha256`` of its files' manifest.
    ``parent_id`` was the champion when it was trained; ``former_id`` the one it took over from.
    """

    model_id: str
    kind: str
    status: ModelStatus
    purpose: str
    trained_as_of: datetime
    data_sha256: str
    seed: int
    code_version: str
    dictionary_version: str
    files_sha256: str
    card: Mapping[str, Any]
    parent_id: str | None
    former_id: str | None
    registered_at: datetime
    registered_by: str


@dataclass(frozen=True, slots=True)
class ModelDecision:
    """One line of a kind's history. ``other_id`` is the model compared with, or taken over from.

    ``comparison`` is plain JSON, {} where nothing was compared.
    """

    number: int
    model_id: str
    action: ModelAction
    actor: str
    decided_at: datetime
    reason: str
    forced: bool
    other_id: str | None
    comparison: Mapping[str, Any]
