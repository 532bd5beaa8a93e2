"""Berka's rows through the product's own door: catalogue, owners, consents, ledger."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jinqiao.domain.consent import Purpose
from jinqiao.domain.time import DAY_US
from jinqiao.flow import intake
from jinqiao.flow.banks.home import BankClock, write_catalogue
from jinqiao.flow.banks.ledgers import Bank, user_of
from jinqiao.flow.wiring import Engine, Progress

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["GRANTED", "Arrived", "arrive"]

GRANTED = (Purpose.PERSONALISE, Purpose.CREDIT_DECISION)
"""Purposes the import records a grant for: a shelf, and a lender's decision. Each can be withdrawn
like any other, and whoever did is in no table from then on."""
_START_US = 725_846_400_000_000 - DAY_US
"""The day before 1993-01-01, when the bank's data begin: catalogue and consent texts are of it."""


@dataclass(frozen=True)
class Arrived:
    """What became of the rows, and who is who: account → customer id."""

    received: int
    accepted: int
    rejected: int
    duplicate: int
    faults: tuple[Mapping[str, Any], ...]
    consents: int
    customer_of: Mapping[int, str]
    institutions: tuple[str, ...]


def arrive(engine: Engine, clock: BankClock, bank: Bank, progress: Progress) -> Arrived:
    """Return what became of everything: each row is accepted, known already, or refused and kept.

    Afterwards the clock stands two days after the last row. The same again changes nothing.
    """
    progress("catalogue", 0.03)
    clock.now_us = _START_US
    names = write_catalogue(engine)
    intake.apply_catalog(engine, author="import berka")
    intake.publish_consent_texts(engine)
    progress("ledger", 0.05)
    rows, end_us = _transactions(engine, bank)
    clock.now_us = end_us + 2 * DAY_US
    users = _users(bank)
    subjects = intake.subjects_of(engine, list(dict.fromkeys(users.values())))
    taken = [
        _receive(engine, "attributes", _attributes(bank, users)),
        *(_receive(engine, "transactions", part) for part in rows if part.num_rows),
    ]
    progress("consents", 0.20)
    granted = intake.receive_consents(engine, _consents(bank, users))
    faults = [fault for got in taken[1:] for fault in got.faults]
    ledger = taken[1:]
    return Arrived(
        sum(got.received for got in ledger), sum(got.accepted for got in ledger),
        sum(got.rejected for got in ledger), sum(got.duplicate for got in ledger),
        tuple(_fault(fault) for fault in faults), granted,
        _customers(engine, users, subjects), names,
    )  # fmt: skip


def _users(bank: Bank) -> dict[int, str]:
    """Return the raw user id that owns each account; an account nobody owns stands for itself."""
    return {
        account: user_of(bank.owner[account]) if account in bank.owner else f"berka-acc-{account}"
        for account in sorted(bank.opened_us)
    }


def _transactions(engine: Engine, bank: Bank) -> tuple[list[pa.Table], int]:
    """Return the rows understood and the rows that are not, and the instant of the newest."""
    import pyarrow.compute as pc

    from jinqiao import ledger

    users = _users(bank)

    def owner(account: int) -> str:
        return users.get(account, f"berka-acc-{account}")

    good, faulty = ledger.split_berka(bank.trans, user_of=owner)
    rows = ledger.berka_transactions(good, digest=engine.vault.counterparty, user_of=owner)
    # by day: a block then touches few of the lake's daily files
    rows = rows.sort_by([("occurred_at", "ascending"), ("transaction_id", "ascending")])
    newest = pc.max(rows["occurred_at"]).cast("int64").as_py() if rows.num_rows else None
    days = [newest or 0, *bank.loans.day_us.tolist(), *bank.card_us.values()]
    return [rows, faulty], max(days)


def _receive(engine: Engine, kind: str, table: pa.Table) -> Any:
    name = f"berka_{kind}_{_digest(table)}"
    return intake.receive_table(engine, kind, table, source=f"berka/{kind}", batch_id=name)


def _digest(table: pa.Table) -> str:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return hashlib.sha256(sink.getvalue()).hexdigest()[:32]


def _attributes(bank: Bank, users: Mapping[int, str]) -> pa.Table:
    """Return what is known of each owner: the year of birth, and that it is a person."""
    import pyarrow as pa

    rows = []
    for account, user in users.items():
        at = bank.opened_us[account]
        client = bank.owner.get(account)
        year = bank.birth_year.get(client) if client is not None else None
        named: list[tuple[str, float | None, str | None]] = [("kind", None, "person")]
        if year is not None:
            named.append(("birth_year", float(year), None))
        rows += [
            {"attribute_id": f"att_{user}_{account}_{name}", "user_id": user, "attribute": name,
             "number": number, "text": text, "occurred_at": at, "received_at": at}
            for name, number, text in named
        ]  # fmt: skip
    times = {name: pa.array([row[name] for row in rows], pa.timestamp("us"))
             for name in ("occurred_at", "received_at")}  # fmt: skip
    texts = {name: pa.array([row[name] for row in rows], pa.string())
             for name in ("attribute_id", "user_id", "attribute", "text")}  # fmt: skip
    numbers = {"number": pa.array([row["number"] for row in rows], pa.float64())}
    return pa.table(texts | numbers | times)


def _consents(bank: Bank, users: Mapping[int, str]) -> pa.Table:
    """Return one grant of each purpose by each owner, on the day the account was opened."""
    import pyarrow as pa

    accounts = list(users)
    purposes = [purpose.value for purpose in GRANTED for _ in accounts]
    n = len(purposes)
    at = pa.array([bank.opened_us[a] for a in accounts] * len(GRANTED), pa.timestamp("us"))
    nothing = pa.nulls(n, pa.string())
    return pa.table({
        "user_id": pa.array([users[a] for a in accounts] * len(GRANTED), pa.string()),
        "purpose": pa.array(purposes, pa.string()),
        "action": pa.array(["grant"] * n, pa.string()),
        "text_version": nothing, "occurred_at": at, "received_at": at,
        "channel": pa.array(["import"] * n, pa.string()),
        "scope": nothing, "expires_at": pa.nulls(n, pa.timestamp("us")),
    })  # fmt: skip


def _customers(engine: Engine, users: Mapping[int, str], subjects: pa.Array) -> dict[int, str]:
    from jinqiao import customer

    with engine.records.reading() as tx:
        mapped = customer.customer_map(tx)
    person = dict(
        zip(mapped["subject_id"].to_pylist(), mapped["customer_id"].to_pylist(), strict=True)
    )
    subject = dict(zip(dict.fromkeys(users.values()), subjects.to_pylist(), strict=True))
    return {a: person[subject[u]] for a, u in users.items() if subject[u] in person}


def _fault(fault: Any) -> dict[str, Any]:
    return {"row": fault.row, "record": fault.record, "field": fault.field, "code": fault.code,
            "numbers": dict(fault.numbers)}  # fmt: skip
