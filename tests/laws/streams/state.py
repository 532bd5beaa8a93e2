"""How a world ended, told in names that every world shares: users for subjects, traces for clicks.

Customers are named by the least of their users, memos by their text, applications by the trace of
their click. What a delivery's own instants decide is left out: when a message arrived, when a row
changed last.
"""

from __future__ import annotations

import json
from typing import Any

from jinqiao import conversion, customer, settlement
from jinqiao.domain.tables import LAKE_TABLES
from jinqiao.flow import daily, intake
from jinqiao.flow.wiring import Engine
from laws.streams.stream import AS_OF_US, MONTHS, USERS

__all__ = ["differences", "net", "profiles", "rows", "state"]

State = dict[str, Any]


def state(engine: Engine, as_of_us: int = AS_OF_US) -> State:
    """Return everything a stream should decide, as plain JSON."""
    names, _ = _names(engine)
    return rows(engine) | _plain({"profiles": profiles(engine, names, as_of_us)})


def rows(engine: Engine) -> State:
    """Return the same without what is only made of it, the profiles."""
    names, groups = _names(engine)
    found: State = {"people": groups}
    for schema in LAKE_TABLES:
        found[f"lake {schema.name}"] = _lake_rows(engine, schema.name, names)
    found |= _records(engine, names)
    found["batches that do not add up"] = _uncounted(engine, found)
    return _plain(found)


def _plain(found: State) -> State:
    plain: State = json.loads(json.dumps(found, default=str, ensure_ascii=False))
    return plain


def differences(one: State, other: State) -> dict[str, tuple[Any, Any]]:
    """Return what two states tell apart: part → (what only one says, what only the other says)."""
    found = {}
    for part in sorted({*one, *other}):
        a, b = one.get(part), other.get(part)
        if a != b:
            if isinstance(a, list) and isinstance(b, list):
                a, b = [x for x in a if x not in b], [x for x in b if x not in a]
            found[part] = (a, b)
    return found


def _names(engine: Engine) -> tuple[dict[str, str], list[list[str]]]:
    """Return subject id → the least user of its customer, and each customer's users."""
    subjects = intake.subjects_of(engine, list(USERS)).to_pylist()
    with engine.records.reading() as tx:
        mapped = customer.customer_map(tx).to_pydict()
    customers = dict(zip(mapped["subject_id"], mapped["customer_id"], strict=True))
    users: dict[str, list[str]] = {}
    for user, subject in zip(USERS, subjects, strict=True):
        users.setdefault(customers[subject], []).append(user)
    names = {s: min(users[c]) for s, c in customers.items() if c in users}
    return names, sorted(sorted(some) for some in users.values())


def profiles(engine: Engine, names: dict[str, str] | None, as_of_us: int) -> list[Any]:
    """Return every profile as of an instant, each customer by name."""
    names = names or _names(engine)[0]
    rows = daily.build_profiles(engine, as_of_us).to_pylist()
    return sorted([names[row.pop("customer_id")], row] for row in rows)


def _lake_rows(engine: Engine, table: str, names: dict[str, str]) -> list[Any]:
    found = engine.lake.query(f'select * from "{table}"')
    memos: list[Any] = [None] * found.num_rows
    if "memo_cipher" in found.column_names:
        with engine.records.reading() as tx:
            subjects, sealed = (
                found[name].combine_chunks() for name in ("subject_id", "memo_cipher")
            )
            memos = customer.open_memos(tx, engine.vault, subjects, sealed).to_pylist()
    told = _messages(engine)
    rows = []
    for row, memo in zip(found.to_pylist(), memos, strict=True):
        for name in ("subject_id", "customer_id"):
            if name in row:
                row[name] = names[row[name]]
        for name in ("click_id", "application_id", "outcome_id"):
            row.pop(name, None)
        if (row.get("message_id") or row.get("attribute_id")) in told:
            del row["received_at"]
        rows.append(row | ({"memo_cipher": memo} if "memo_cipher" in row else {}))
    return sorted(rows, key=repr)


_COUNTED = {"behaviour": ("behaviour", "messages"), "transactions": ("transactions",)}
"""Lake table → the kinds of batches that bring its rows."""


def _uncounted(engine: Engine, found: State) -> list[Any]:
    """Return the batches whose parts are not their whole, and kinds that miss the lake's count."""
    with engine.records.reading() as tx:
        rows = tx.find("intake_batches")
    wrong = [
        [row["batch_id"], row["state"]]
        for row in rows
        if row["received"] != row["accepted"] + row["rejected"] + row["duplicate"]
        or row["state"] != "done"
    ]
    for table, kinds in _COUNTED.items():
        accepted = sum(row["accepted"] for row in rows if row["kind"] in kinds)
        if accepted != len(found[f"lake {table}"]):
            wrong.append([table, accepted, len(found[f"lake {table}"])])
    return wrong


def _messages(engine: Engine) -> set[str]:
    """Return the ids of rows that came as messages, whose arrival is the batch's."""
    from jinqiao.domain.ids import keyed_id

    rows = engine.lake.query(
        "select message_id from behaviour where message_id like 'm-%' or message_id like 'link%'"
    )
    ids = rows["message_id"].to_pylist()
    traits = ("birth_year", "city_tier", "occupation")
    return {*ids, *(keyed_id("att", one, name) for one in ids for name in traits)}


def _records(engine: Engine, names: dict[str, str]) -> State:
    with engine.records.reading() as tx:
        clicks = {row["click_id"]: row for row in tx.find("clicks")}
        trace = {row["application_id"]: row["trace_id"] for row in clicks.values()}
        folded = [conversion.application(tx, name) for name in trace]
        stored = {row["application_id"]: row for row in tx.find("applications")}
        transfers = [_transfer(row, trace) for row in tx.find("transfers")]
        houses = sorted({row["institution_id"] for row in clicks.values()})
        return {
            "consent": _consent(tx, names),
            "clicks": sorted(
                [c["trace_id"], names[c["customer_id"]], c["reserved"], c["expired_at"] is not None]
                for c in clicks.values()
            ),
            "applications": sorted(
                ([trace[a.application_id], a.state, a.reached, a.refused_stage, a.refused_at,
                  a.reversals, bool(stored.get(a.application_id, {}).get("unsettled"))]
                 for a in folded), key=repr,
            ),
            "limits": sorted(
                [row["limit_id"], row["period_key"], row["posted"], row["over"]]
                for row in tx.find("limit_counters")
            ),
            "units": _units(tx, clicks, {a.click_id for a in folded if a.state in _SILENT}),
            "held but not counted": _miscounted(tx),
            "transfers": sorted(transfers, key=repr),
            "net": net(transfers),
            "journal sum": settlement.journal_sum(tx),
            "owed": sorted([*who, amount] for who, amount in settlement.owed(tx).items()),
            "statements": [_statement(tx, house, month, trace)
                           for house in houses for month in MONTHS],
            "refused": _refused(tx),
        }  # fmt: skip


_SILENT = ("click", "expired")


def _units(tx: Any, clicks: dict[str, Any], silent: set[str]) -> list[Any]:
    """Return what became of every unit but those of an application all retracted.

    Of such an application any order ends in nothing posted; but who had once reported it holds its
    later units for the days of an open application.
    """
    said = {row["click_id"] for row in tx.find("reports")}
    return sorted(
        [clicks[row["click_id"]]["trace_id"], row["limit_id"], row["state"], row["posted"],
         row["over"]]
        for row in tx.find("limit_units") if row["click_id"] not in said & silent
    )  # fmt: skip


def _miscounted(tx: Any) -> list[Any]:
    """Return the limits whose counter is not the sum of their units: none, ever."""
    sums: dict[tuple[str, str], int] = {}
    for row in tx.find("limit_units", {"state": "reserved"}):
        key = (row["limit_id"], row["period_key"])
        sums[key] = sums.get(key, 0) + row["held"]
    found = {(r["limit_id"], r["period_key"]): r["reserved"] for r in tx.find("limit_counters")}
    return sorted([*key] for key, held in found.items() if held != sums.get(key, 0))


def _consent(tx: Any, names: dict[str, str]) -> list[Any]:
    rows = customer.consent_state(tx, AS_OF_US).to_pylist()
    return sorted(
        [names[r["customer_id"]], r["purpose"], r["granted"], r["since"].isoformat()] for r in rows
    )


def _transfer(row: dict[str, Any], trace: dict[str, str]) -> State:
    kept = ("debit_account", "credit_account", "amount_minor", "currency", "reason", "month",
            "stage", "product_id", "occurred_at")  # fmt: skip
    return {"trace": trace[row["application_id"]], **{name: row[name] for name in kept}}


def net(transfers: list[State]) -> list[Any]:
    """Return what each application owes a month, by account; zeros left out."""
    sums: dict[tuple[str, str, str], int] = {}
    for row in transfers:
        sides = [(row["debit_account"], 1), (row["credit_account"], -1)]
        for account, sign in sides:
            key = (row["trace"], row["month"], account)
            sums[key] = sums.get(key, 0) + sign * row["amount_minor"]
    return sorted([*key, amount] for key, amount in sums.items() if amount)


def _statement(tx: Any, house: str, month: str, trace: dict[str, str]) -> list[Any]:
    made = settlement.statement(tx, house, month)
    lines = [
        [trace[x.application_id], x.product_id, x.stage, x.occurred_on, x.reason, x.amount_minor]
        for x in made.lines
    ]
    return [house, month, made.version, made.total_minor, sorted(lines, key=repr)]


def _refused(tx: Any) -> list[Any]:
    """Return each refused record once: a bad row that comes twice is kept twice."""
    rows = {
        (row["kind"], row["record_key"], row["code"], row["field"], row["status"])
        for row in tx.find("intake_rejects")
    }
    reports = {
        ("reports", row["report_id"], row["code"], row["field"], row["status"])
        for row in tx.find("report_rejects")
    }
    return sorted([list(one) for one in rows | reports], key=repr)
