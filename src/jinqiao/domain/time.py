"""Instants: aware datetimes in single records, whole microseconds since 1970 (UTC) in stores.

Lake columns are ``timestamp[us]`` without zone and always UTC. A calendar day belongs to a zone.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from jinqiao.errors import InputError

__all__ = ["DAY_US", "from_us", "local_date", "parse_instant", "period_key", "to_us"]

DAY_US = 86_400_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_us(at: datetime) -> int:
    """Return whole microseconds since 1970 (UTC) of an aware instant."""
    if at.tzinfo is None:
        raise InputError("an instant needs a zone", field="at", fix="add Z or an offset")
    delta = at - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def from_us(us: int) -> datetime:
    """Return the aware UTC instant of microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=us)


def parse_instant(text: str) -> datetime:
    """Return the aware instant of an ISO 8601 text with zone; raise InputError otherwise."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{text!r} is not an ISO 8601 instant") from error
    if at.tzinfo is None:
        raise InputError(f"{text!r} has no zone", fix="add Z or an offset such as +08:00")
    return at


def local_date(us: int, zone: str = "Asia/Shanghai") -> date:
    """Return the calendar day of an instant in a zone."""
    return from_us(us).astimezone(ZoneInfo(zone)).date()


def period_key(us: int, period: str, zone: str = "Asia/Shanghai") -> str:
    """Return the key of the day, ISO week or whole life an instant falls in.

    >>> period_key(0, "day"), period_key(0, "week"), period_key(0, "total")
    ('1970-01-01', '1970-W01', 'total')
    """
    if period == "total":
        return "total"
    day = local_date(us, zone)
    if period == "day":
        return day.isoformat()
    if period == "week":
        year, week, _ = day.isocalendar()
        return f"{year}-W{week:02d}"
    raise InputError(f"no such period: {period!r}", fix="use day, week or total")
