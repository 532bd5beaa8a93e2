"""Handlers of a customer's own pages: in and out, applications, data and consent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse, Response

from jinqiao.domain.consent import Purpose
from jinqiao.errors import InputError
from jinqiao.faces.web.rendering import page
from jinqiao.faces.web.visit import DESK, SESSION
from jinqiao.flow import access, pages
from jinqiao.flow.people import erase_customer, export_customer, find_login, say_consent

if TYPE_CHECKING:
    from jinqiao.faces.web.visit import Visit

__all__ = [
    "applications", "consent", "data", "enter", "erase", "erase_asked", "export", "leave",
    "switch",
]  # fmt: skip


def enter(visit: Visit) -> Response:
    """Open a customer's session from the token the operator's server was given.

    Where another customer's session is open on this device, nothing changes before they say so: a
    link alone must not put somebody into an account that is not theirs.
    """
    token = visit.query.get("token", "")
    customer_id = _customer_of(visit, token)
    if visit.customer_id not in (None, customer_id):
        return page(visit, "switch.html", token=token)
    return _opened(visit, token)


def switch(visit: Visit) -> Response:
    """Open a session in place of another customer's, as the form of that session asks."""
    token = visit.form.get("token", "")
    _customer_of(visit, token)
    return _opened(visit, token)


def _customer_of(visit: Visit, token: str) -> str:
    """Return the customer of a token. Raises Unauthenticated for one that does not hold now."""
    engine = visit.engine
    who = access.open_session(engine.keyring, token, now_us=engine.clock())
    with engine.records.reading() as tx:
        found = find_login(tx, engine, who.user_id or "")
    if found is None:
        raise InputError("this login is not known here", field="token")
    return found


def _opened(visit: Visit, token: str) -> Response:
    hours = visit.engine.settings.serve.session_hours
    visit.cookies[SESSION] = (token, hours * 3600)
    visit.cookies[DESK] = ("", 0)
    return RedirectResponse("/shelf", status_code=303)


def leave(visit: Visit) -> Response:
    """End the session on this device."""
    visit.cookies[SESSION] = ("", 0)
    return RedirectResponse("/shelf", status_code=303)


def applications(visit: Visit) -> Response:
    """Return this customer's applications."""
    customer_id = visit.customer("application.read")
    found, following = pages.application_views(
        visit.engine, customer_id, cursor=visit.query.get("cursor") or None
    )
    return page(visit, "applications.html", applications=found, following=following)


def data(visit: Visit) -> Response:
    """Return what this customer agreed to, and what is known of them."""
    customer_id = visit.customer("consent.read")
    found = pages.data_page(visit.live, customer_id, visit.language)
    said = visit.query.get("said", "")
    notice = said if said in ("granted", "withdrawn") else ""
    return page(visit, "data.html", data=found, notice=notice)


def consent(visit: Visit) -> Response:
    """Record what the customer just said about one purpose."""
    customer_id = visit.customer("consent.write")
    asked, action = visit.form.get("purpose", ""), visit.form.get("action", "")
    if asked not in list(Purpose) or action not in ("grant", "withdraw"):
        raise InputError("no such choice", field="purpose")
    granted = action == "grant"
    version = visit.form.get("version", "") if granted else ""
    say_consent(visit.engine, customer_id, Purpose(asked), granted=granted, text_version=version)
    said = "granted" if granted else "withdrawn"
    return RedirectResponse(f"/data?said={said}", status_code=303)


def export(visit: Visit) -> Response:
    """Return everything kept of this customer as one JSON file."""
    customer_id = visit.customer("customer.export")
    found = export_customer(visit.engine, customer_id)
    body = json.dumps(found, ensure_ascii=False, indent=1, default=str)
    name = {"content-disposition": 'attachment; filename="jinqiao-my-data.json"'}
    return Response(body, media_type="application/json", headers=name)


def erase_asked(visit: Visit) -> Response:
    """Return what erasing means, before it is done."""
    visit.customer("customer.erase")
    return page(visit, "erase.html", unsure=False)


def erase(visit: Visit) -> Response:
    """Erase this customer, if they said that they are sure."""
    customer_id = visit.customer("customer.erase")
    if visit.form.get("sure") != "yes":
        return page(visit, "erase.html", unsure=True)
    erase_customer(visit.engine, customer_id, actor="customer")
    visit.cookies[SESSION] = ("", 0)
    visit.customer_id, visit.principal = None, access.NOBODY
    return page(visit, "erased.html")
