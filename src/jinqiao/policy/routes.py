"""Data routes: which field may leave to whom, for what, and how. What is not declared is denied.

A route is ``direct`` (to the institution itself), ``bureau`` (through a licensed credit bureau) or
``none``. In mainland China credit information about a person reaches a lender only through a
licensed credit reporting agency (Measures for the Administration of Credit Reporting Business,
PBoC Order [2021] No. 4, in force 2022-01-01), so income and debts are ``bureau``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

from jinqiao.domain.consent import Purpose, Route
from jinqiao.domain.decision import Decision, Reason

__all__ = [
    "ANYONE",
    "STANDARD_ROUTES",
    "DeclaredRoute",
    "Transfer",
    "allowed_fields",
    "check_transfer",
]

ANYONE = "*"


@dataclass(frozen=True, slots=True)
class DeclaredRoute:
    """One field may go to a receiver (a licence kind, an institution id, or ``*``) by a route."""

    field: str
    receiver: str
    purpose: Purpose
    route: Route


@dataclass(frozen=True, slots=True)
class Transfer:
    """What somebody wants to send: these fields, to this institution, for this purpose.

    ``consented``: the purposes the customer has agreed to now.
    """

    fields: tuple[str, ...]
    institution_id: str
    licence: str
    purpose: Purpose
    route: Route
    consented: frozenset[Purpose]


def _declare(fields: str, route: Route, *purposes: Purpose) -> tuple[DeclaredRoute, ...]:
    return tuple(
        DeclaredRoute(field, ANYONE, purpose, route)
        for field in fields.split()
        for purpose in purposes
    )


STANDARD_ROUTES: tuple[DeclaredRoute, ...] = (
    *_declare("click_id product_id", Route.DIRECT, Purpose.SHARE_WITH_INSTITUTION),
    *_declare("name phone email", Route.DIRECT, Purpose.SHARE_WITH_INSTITUTION, Purpose.CONTACT),
    *_declare(
        "monthly_income_minor debt_service_ratio debt_service_monthly_minor balance_minor "
        "refusals_90d business_income_monthly_minor",
        Route.BUREAU,
        Purpose.CREDIT_DECISION,
        Purpose.PRESCREEN,
    ),
)
"""What a new workspace declares. Transactions and free text have no route: they never leave."""


def check_transfer(routes: Sequence[DeclaredRoute], transfer: Transfer) -> Decision:
    """Return whether every field may leave as asked, with a reason for each that may not.

    Refused: a purpose without consent, route ``none``, and every field without a declared route to
    this receiver for this purpose by this way. Sending nothing is allowed.
    """
    if transfer.purpose not in transfer.consented:
        return _refused([Reason("route_no_consent", _numbers(purpose=transfer.purpose.value))])
    if transfer.route is Route.NONE:
        return _refused([Reason("route_none", _numbers(route=transfer.route.value))])
    allowed = set(allowed_fields(routes, transfer))
    reasons = [
        Reason(
            "route_not_declared",
            _numbers(field=f, receiver=transfer.institution_id, route=transfer.route.value),
        )
        for f in transfer.fields
        if f not in allowed
    ]
    return _refused(reasons) if reasons else Decision(True, "consent")


def allowed_fields(routes: Sequence[DeclaredRoute], transfer: Transfer) -> tuple[str, ...]:
    """Return which of a transfer's fields have a declared route; consent is not looked at."""
    receivers = {ANYONE, transfer.licence, transfer.institution_id}
    declared = {
        route.field
        for route in routes
        if route.receiver in receivers
        and route.purpose is transfer.purpose
        and route.route is transfer.route
        and route.route is not Route.NONE
    }
    return tuple(f for f in transfer.fields if f in declared)


def _refused(reasons: list[Reason]) -> Decision:
    return Decision(False, "consent", tuple(reasons))


def _numbers(**numbers: object) -> MappingProxyType[str, object]:
    return MappingProxyType(numbers)
