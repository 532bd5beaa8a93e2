"""The one table from every error to an HTTP status and an exit code; RFC 9457 problem details."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from jinqiao import errors
from jinqiao.errors import JinqiaoError

__all__ = ["STATUS", "Status", "problem", "status_of"]


@dataclass(frozen=True, slots=True)
class Status:
    """``http``: the status of an answer; ``exit_code``: of a command; ``title``: of both."""

    http: int
    exit_code: int
    title: str


STATUS: Mapping[type[JinqiaoError], Status] = MappingProxyType(
    {
        errors.JinqiaoError: Status(500, 1, "Something went wrong"),
        errors.InputError: Status(400, 2, "What was handed in is wrong"),
        errors.SchemaError: Status(422, 3, "It does not fit its schema"),
        errors.NotFound: Status(404, 4, "No such record"),
        errors.ConsentError: Status(403, 5, "Not consented to"),
        errors.LimitError: Status(409, 6, "A limit would be passed"),
        errors.QuotaExceeded: Status(409, 6, "A quota would be passed"),
        errors.BudgetExceeded: Status(409, 6, "A budget would be passed"),
        errors.SolveError: Status(500, 7, "No plan"),
        errors.Infeasible: Status(422, 7, "The limits contradict each other"),
        errors.NotConverged: Status(500, 7, "The plan did not reach its gap"),
        errors.JournalError: Status(500, 8, "The journal refused"),
        errors.Unbalanced: Status(500, 8, "The entries do not sum to zero"),
        errors.StatementMismatch: Status(409, 8, "The statements differ"),
        errors.AccessError: Status(403, 9, "Not allowed"),
        errors.Unauthenticated: Status(401, 9, "Who asks is not known"),
        errors.Forbidden: Status(403, 9, "Not allowed"),
        errors.Overloaded: Status(429, 10, "Try again later"),
        errors.ProtocolError: Status(400, 11, "Out of protocol"),
        errors.StoreError: Status(500, 12, "A store refused"),
        errors.Conflict: Status(409, 13, "In conflict with what is kept"),
        errors.Unavailable: Status(503, 14, "Not available now"),
    }
)
"""Error class → status. A class that is not named has its parent's."""

TYPES = "https://jinqiao.readthedocs.io/errors#"


def status_of(error: JinqiaoError | type[JinqiaoError]) -> Status:
    """Return the status of an error: its own, or its nearest parent's."""
    kind = error if isinstance(error, type) else type(error)
    for parent in kind.__mro__:
        if parent in STATUS:
            return STATUS[parent]
    return STATUS[JinqiaoError]


def problem(error: JinqiaoError, trace_id: str | None = None) -> dict[str, Any]:
    """Return an error as problem details: type, title, status, detail, code, and what to mend."""
    status = status_of(error)
    body: dict[str, Any] = {
        "type": TYPES + error.code,
        "title": status.title,
        "status": status.http,
        "detail": error.message,
        "code": error.code,
    }
    more = {"record": error.record, "field": error.field, "fix": error.fix, "trace_id": trace_id}
    return body | {name: value for name, value in more.items() if value is not None}
