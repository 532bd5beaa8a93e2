"""Who asks, whether they may, and how often: the one dependency every route has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.security import HTTPBearer

from jinqiao.errors import Overloaded
from jinqiao.flow.access import Principal, RateLimits, Resource, Role, authorise

if TYPE_CHECKING:
    from jinqiao.flow.serve import Service

__all__ = ["Asks", "admit", "language_of", "own", "service_of"]


def service_of(request: Request) -> Service:
    """Return the service behind a request."""
    found: Service = request.app.state.service
    return found


def own(principal: Principal) -> Resource:
    """Return what is the asker's own."""
    return Resource(principal.institution_id, principal.customer_id)


def admit(request: Request, principal: Principal) -> None:
    """Note who asks; raise Overloaded when they ask too often."""
    state, service = request.scope["state"], service_of(request)
    state["role"], state["key_id"] = principal.role.value, principal.key_id
    address = request.client.host if request.client else ""
    open_to_many = principal.role in (Role.NOBODY, Role.PUBLISHABLE)
    name = f"{principal.name}@{address}" if open_to_many else principal.name
    limits: RateLimits = request.app.state.limits
    taken = limits.take(name, now_us=service.engine.clock())
    state["taken"] = taken
    if not taken.allowed:
        raise Overloaded("too many requests", fix=f"wait {taken.retry_after_s} s")


class Asks(HTTPBearer):
    """Returns the principal of a request that may do ``action`` on what is its own.

    A route about somebody's record by its id asks ``authorise`` again with that very record.
    """

    def __init__(self, action: str) -> None:
        super().__init__(auto_error=False, scheme_name="bearer")
        self.action = action

    def __call__(self, request: Request) -> Principal:  # type: ignore[override]
        """Return who asks; raise Unauthenticated, Forbidden or Overloaded."""
        principal = service_of(request).principal(request.headers.get("authorization"))
        admit(request, principal)
        authorise(principal, self.action, own(principal))
        return principal


def language_of(request: Request) -> str:
    """Return zh or en: ``?lang=``, else the first of Accept-Language that we speak, else zh."""
    asked: Any = request.query_params.get("lang")
    if asked in ("zh", "en"):
        return str(asked)
    for part in request.headers.get("accept-language", "").split(","):
        word = part.split(";", 1)[0].strip().lower()[:2]
        if word in ("zh", "en"):
            return word
    return "zh"
