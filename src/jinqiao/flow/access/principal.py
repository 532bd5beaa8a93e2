"""Principals, and the one table of who may do what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from jinqiao.errors import Forbidden, NotFound, Unauthenticated

__all__ = ["ACTIONS", "NOBODY", "Principal", "Resource", "Role", "authorise", "may"]


class Role(StrEnum):
    NOBODY = "nobody"
    CUSTOMER = "customer"
    """Holds a signed session the operator's server asked for."""
    PUBLISHABLE = "publishable"
    """A key that stands in a page: it sends events and reads nothing."""
    INSTITUTION = "institution"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. ``scopes`` empty: everything the role may; else only the actions named.

    ``user_id`` is the operator's own login of a customer; ``customer_id`` is set once resolved.
    """

    role: Role
    institution_id: str | None = None
    customer_id: str | None = None
    user_id: str | None = None
    scopes: frozenset[str] = frozenset()
    key_id: str | None = None

    @property
    def name(self) -> str:
        """A name for logs, rate limits and kept answers: no secret in it."""
        who = self.institution_id or self.user_id or self.customer_id or self.key_id or ""
        return f"{self.role.value}:{who}"


NOBODY = Principal(Role.NOBODY)


@dataclass(frozen=True, slots=True)
class Resource:
    """Whose the thing is that an action touches."""

    institution_id: str | None = None
    customer_id: str | None = None


_ANY, _OWN, _OPEN = "any", "own", "open"
"""Any resource; one's own only; only what belongs to no customer."""

_N, _C, _P, _I, _O = Role.NOBODY, Role.CUSTOMER, Role.PUBLISHABLE, Role.INSTITUTION, Role.OPERATOR
_EVERYONE: Mapping[Role, str] = dict.fromkeys(Role, _ANY)
_CUSTOMER_ONLY: Mapping[Role, str] = {_C: _OWN}
_OPERATOR_ONLY: Mapping[Role, str] = {_O: _ANY}
_WITH_INSTITUTION: Mapping[Role, str] = {_O: _ANY, _I: _OWN}

ACTIONS: Mapping[str, Mapping[Role, str]] = MappingProxyType(
    {
        "health.read": _EVERYONE,
        "docs.read": _EVERYONE,
        "product.read": _EVERYONE,
        "content.read": _EVERYONE,
        "token.create": _EVERYONE,  # it carries its own secret
        "session.create": _OPERATOR_ONLY,
        "session.end": _CUSTOMER_ONLY,
        "event.send": {_P: _ANY, _O: _ANY, _C: _OWN},
        "shelf.read": {_C: _OWN, _N: _OPEN, _P: _OPEN},
        "click.create": _CUSTOMER_ONLY,
        "consent.read": {_C: _OWN, _O: _ANY},
        "consent.write": _CUSTOMER_ONLY,
        "customer.export": {_C: _OWN, _O: _ANY},
        "customer.erase": {_C: _OWN, _O: _ANY},
        "decision.explain": {_C: _OWN, _O: _ANY},
        "application.read": {_C: _OWN, _I: _OWN, _O: _ANY},
        "postback.send": {_I: _OWN},
        "postback.read_rejected": _WITH_INSTITUTION,
        "postback.replay": _OPERATOR_ONLY,
        "statement.read": _WITH_INSTITUTION,
        "statement.issue": _OPERATOR_ONLY,
        "statement.reconcile": _WITH_INSTITUTION,
        "journal.read": _OPERATOR_ONLY,
        "settlement.close": _OPERATOR_ONLY,
        "limit.read": _WITH_INSTITUTION,
        "catalog.read": _WITH_INSTITUTION,
        "catalog.apply": _OPERATOR_ONLY,
        "product.stop": _OPERATOR_ONLY,
        "audience.read": _OPERATOR_ONLY,
        "plan.read": _OPERATOR_ONLY,
        "experiment.read": _OPERATOR_ONLY,
        "experiment.manage": _OPERATOR_ONLY,
        "model.read": _OPERATOR_ONLY,
        "model.promote": _OPERATOR_ONLY,
        "report.read": _OPERATOR_ONLY,
        "reject.read": _OPERATOR_ONLY,
        "reject.replay": _OPERATOR_ONLY,
        "content.approve": _OPERATOR_ONLY,
        "metrics.read": _OPERATOR_ONLY,
        "key.manage": _OPERATOR_ONLY,
        "webhook_secret.rotate": _WITH_INSTITUTION,
    }
)
"""Action → role → which resources. A role that is not named may not."""


def authorise(principal: Principal, action: str, resource: Resource | None = None) -> None:
    """Return when a principal may do an action on a resource.

    Raises Unauthenticated when nobody asks for what somebody could do, Forbidden when the one who
    asks may not, NotFound for an action that is not in the table.
    """
    if may(principal, action, resource):
        return
    if principal.role == Role.NOBODY:
        raise Unauthenticated(
            "this needs a key or a session", record=action, fix="send Authorization: Bearer …"
        )
    raise Forbidden(f"a {principal.role.value} may not do this", record=action)


def may(principal: Principal, action: str, resource: Resource | None = None) -> bool:
    """Return whether a principal may do an action; raise NotFound for an unknown action."""
    if action not in ACTIONS:
        raise NotFound(f"no such action: {action!r}", record=action)
    reach = ACTIONS[action].get(principal.role)
    if reach is None or (principal.scopes and action not in principal.scopes):
        return False
    if reach == _ANY:
        return True
    owner = resource or Resource()
    if reach == _OPEN:
        return owner.customer_id is None
    if principal.role == Role.INSTITUTION:
        return owner.institution_id is not None and owner.institution_id == principal.institution_id
    return owner.customer_id is not None and owner.customer_id == principal.customer_id
