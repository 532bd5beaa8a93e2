"""Handlers of the operator's pages: the door by a key, and the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse

from jinqiao.errors import AccessError
from jinqiao.faces.web.rendering import page
from jinqiao.faces.web.visit import DESK, SESSION
from jinqiao.flow import access, pages
from jinqiao.flow.access import Role

if TYPE_CHECKING:
    from starlette.responses import Response

    from jinqiao.faces.web.visit import Visit

__all__ = ["calibration", "door", "enter", "leave", "report"]


def door(visit: Visit) -> Response:
    """Return the form an operator's key is put into."""
    return page(visit, "desk.html", refused=False)


def enter(visit: Visit) -> Response:
    """Open the desk for an hour; the key itself is not kept."""
    try:
        cookie = pages.issue_desk(visit.engine, visit.form.get("key", ""))
    except AccessError:
        return page(visit, "desk.html", status=403, refused=True)
    visit.cookies[DESK] = (cookie, 3_600)
    visit.cookies[SESSION] = ("", 0)
    return RedirectResponse("/report", status_code=303)


def leave(visit: Visit) -> Response:
    """Close the desk on this device."""
    visit.cookies[DESK] = ("", 0)
    return RedirectResponse("/desk", status_code=303)


def report(visit: Visit) -> Response:
    """Return the three families of indicators and the plan's prices."""
    if visit.principal.role == Role.NOBODY:
        return RedirectResponse("/desk", status_code=303)
    access.authorise(visit.principal, "report.read")
    asked = visit.query.get("days", "")
    days = int(asked) if asked.isdigit() and len(asked) < 4 else 28
    found = pages.operator_page(visit.engine, visit.language, window_days=days)
    return page(visit, "report.html", report=found)


def calibration(visit: Visit) -> Response:
    """Return what was said beside what came."""
    if visit.principal.role == Role.NOBODY:
        return RedirectResponse("/desk", status_code=303)
    access.authorise(visit.principal, "report.read")
    asked = visit.query.get("days", "")
    days = int(asked) if asked.isdigit() and len(asked) < 4 else 28
    found = pages.calibration_page(visit.engine, visit.language, window_days=days)
    return page(visit, "calibration.html", found=found)
