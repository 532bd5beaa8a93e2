"""Compare a statement with an institution's own list, application by application, to the cent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinqiao.domain.journal import Statement
from jinqiao.settlement.their_file import BadRow, TheirRow, read_rows
from jinqiao.store.base import Tx

__all__ = ["Difference", "Reconciliation", "reconcile"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One application on which the two sides differ.

    ``kind``: missing_ours (they list it, we do not), missing_theirs, amount, duplicate (they list
    the same amount more than once), other_month (it stands on our statement of ``month``).
    """

    kind: str
    application_id: str
    ours_minor: int
    theirs_minor: int
    row_numbers: tuple[int, ...] = ()
    month: str | None = None


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Both totals, how many applications agree, and every difference and unreadable row."""

    statement_id: str
    currency: str
    matched: int
    ours_minor: int
    theirs_minor: int
    differences: tuple[Difference, ...] = ()
    bad_rows: tuple[BadRow, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether both sides say the same of everything."""
        return not self.differences and not self.bad_rows


def reconcile(
    tx: Tx, statement: Statement, theirs: Path | str | Iterable[Mapping[str, Any]]
) -> Reconciliation:
    """Return how a statement and an institution's own list differ.

    ``theirs``: a CSV or Parquet file, or rows (columns: ``their_file.read_rows``). Several rows of
    one application add up. Raises SchemaError or InputError for a file that cannot be used at all;
    a row that cannot is named in ``bad_rows``.
    """
    rows, bad = read_rows(theirs, statement.currency)
    ours = _net(statement)
    listed: dict[str, list[TheirRow]] = {}
    for row in rows:
        listed.setdefault(row.application_id, []).append(row)
    months = _other_months(tx, statement, [name for name in listed if name not in ours])
    differences = []
    for name in sorted(ours.keys() | listed.keys()):
        found = _compare(name, ours.get(name), listed.get(name, []), months)
        if found is not None:
            differences.append(found)
    return Reconciliation(
        statement.statement_id,
        statement.currency,
        len(ours.keys() | listed.keys()) - len(differences),
        statement.total_minor,
        sum(row.amount_minor for row in rows),
        tuple(differences),
        tuple(bad),
    )


def _compare(
    name: str, ours: int | None, rows: list[TheirRow], months: Mapping[str, str]
) -> Difference | None:
    theirs = sum(row.amount_minor for row in rows)
    numbers = tuple(row.row_number for row in rows)
    if not rows:
        return Difference("missing_theirs", name, ours or 0, 0) if ours else None
    if ours is None:
        kind = "other_month" if name in months else "missing_ours"
        return Difference(kind, name, 0, theirs, numbers, months.get(name))
    if theirs == ours:
        return None
    once = sum({(row.amount_minor, row.reason): row.amount_minor for row in rows}.values())
    kind = "duplicate" if len(rows) > 1 and once == ours else "amount"
    return Difference(kind, name, ours, theirs, numbers)


def _net(statement: Statement) -> dict[str, int]:
    """Return what the statement says of each application, all its lines together."""
    net: dict[str, int] = {}
    for line in statement.lines:
        net[line.application_id] = net.get(line.application_id, 0) + line.amount_minor
    return net


def _other_months(tx: Tx, statement: Statement, names: list[str]) -> dict[str, str]:
    """Return, for applications not on this statement, the month of the one they are on."""
    if not names:
        return {}
    where = {"application_id": names, "institution_id": statement.institution_id}
    rows = tx.find("payables", where, order_by=("month",))
    return {
        row["application_id"]: row["month"]
        for row in rows
        if row["posted_minor"] != 0 and row["month"] != statement.month
    }
