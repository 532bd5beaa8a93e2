"""Every error jinqiao raises. Imports nothing of ours.

::

    JinqiaoError
    ├── InputError              what was handed in is wrong
    │   ├── SchemaError         a row, file or body does not fit its schema
    │   └── NotFound            no such record
    ├── ConsentError            a purpose without consent, or a feature not allowed for it
    ├── LimitError              a unit that is not there
    │   ├── QuotaExceeded       a count limit would be passed
    │   └── BudgetExceeded      a money limit would be passed
    ├── SolveError              no plan
    │   ├── Infeasible          the rows contradict each other
    │   └── NotConverged        the gap asked for was not reached
    ├── JournalError            the settlement journal
    │   ├── Unbalanced          entries that do not sum to zero
    │   └── StatementMismatch   our statement and the institution's differ
    ├── AccessError             who may do what
    │   ├── Unauthenticated     no valid key, token or signature
    │   └── Forbidden           a valid one, for something else
    ├── Overloaded              try again later
    ├── ProtocolError           a message out of its protocol (order, signature format, version)
    └── StoreError              lake, records or snapshot
        ├── Conflict            the same key with another body
        └── Unavailable         not reachable now, or damaged

An expected outcome (not eligible, declined, duplicate) is a value, never one of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = [
    "AccessError",
    "BudgetExceeded",
    "Conflict",
    "ConsentError",
    "Forbidden",
    "Infeasible",
    "InputError",
    "JinqiaoError",
    "JournalError",
    "LimitError",
    "NotConverged",
    "NotFound",
    "Overloaded",
    "ProtocolError",
    "QuotaExceeded",
    "SchemaError",
    "SolveError",
    "StatementMismatch",
    "StoreError",
    "Unauthenticated",
    "Unavailable",
    "Unbalanced",
]


class JinqiaoError(Exception):
    """The parent of every error jinqiao raises.

    Parameters
    ----------
    message : what is wrong, in one sentence.
    record : the record at fault (a file and line, an id, a row number), or None.
    field : the field at fault, or None.
    fix : what the reader can do about it, or None.
    """

    code = "error"

    def __init__(
        self,
        message: str,
        *,
        record: str | None = None,
        field: str | None = None,
        fix: str | None = None,
    ) -> None:
        self.message = message
        self.record = record
        self.field = field
        self.fix = fix
        super().__init__(message)

    def __str__(self) -> str:
        where = ": ".join(part for part in (self.record, self.field) if part)
        text = f"{where}: {self.message}" if where else self.message
        return f"{text} ({self.fix})" if self.fix else text


class InputError(JinqiaoError):
    code = "input"


class SchemaError(InputError):
    code = "schema"


class NotFound(InputError):
    code = "not_found"


class ConsentError(JinqiaoError):
    code = "consent"


class LimitError(JinqiaoError):
    code = "limit"


class QuotaExceeded(LimitError):
    code = "quota_exceeded"


class BudgetExceeded(LimitError):
    code = "budget_exceeded"


class SolveError(JinqiaoError):
    code = "solve"


class Infeasible(SolveError):
    """``relaxation``: by how much rows in conflict give way; ``weights``: the proof, by row."""

    code = "infeasible"
    relaxation: Mapping[str, float] = MappingProxyType({})
    weights: Mapping[str, float] = MappingProxyType({})


class NotConverged(SolveError):
    code = "not_converged"


class JournalError(JinqiaoError):
    code = "journal"


class Unbalanced(JournalError):
    code = "unbalanced"


class StatementMismatch(JournalError):
    code = "statement_mismatch"


class AccessError(JinqiaoError):
    code = "access"


class Unauthenticated(AccessError):
    code = "unauthenticated"


class Forbidden(AccessError):
    code = "forbidden"


class Overloaded(JinqiaoError):
    code = "overloaded"


class ProtocolError(JinqiaoError):
    code = "protocol"


class StoreError(JinqiaoError):
    code = "store"


class Conflict(StoreError):
    code = "conflict"


class Unavailable(StoreError):
    code = "unavailable"
