"""Purposes, data routes and consent: what a customer agreed to, in which words, and when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from jinqiao.domain.ids import SubjectId

__all__ = ["ConsentAction", "ConsentEvent", "ConsentText", "Purpose", "Route"]


class Purpose(StrEnum):
    PERSONALISE = "personalise"
    PRESCREEN = "prescreen"
    SHARE_WITH_INSTITUTION = "share_with_institution"
    CREDIT_DECISION = "credit_decision"
    CONTACT = "contact"
    ALLIANCE = "alliance"
    MEASURE = "measure"


class Route(StrEnum):
    """How data may leave: to the institution itself, through a licensed bureau, or not at all."""

    DIRECT = "direct"
    BUREAU = "bureau"
    NONE = "none"


class ConsentAction(StrEnum):
    GRANT = "grant"
    WITHDRAW = "withdraw"


@dataclass(frozen=True, slots=True)
class ConsentText:
    """The exact words shown for a purpose; a version is never edited."""

    version: str
    purpose: Purpose
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class ConsentEvent:
    """One grant or withdrawal. ``expires_at`` None means until withdrawn; scope "" means all."""

    consent_id: str
    subject_id: SubjectId
    purpose: Purpose
    action: ConsentAction
    text_version: str
    occurred_at: datetime
    received_at: datetime
    channel: str = "web"
    scope: str = ""
    expires_at: datetime | None = None
