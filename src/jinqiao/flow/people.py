"""Customers at the desk: found by login, shown, told what is kept, forgotten; and their consent."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from jinqiao.domain.consent import ConsentEvent, Purpose
from jinqiao.domain.time import from_us
from jinqiao.errors import NotFound
from jinqiao.flow.wiring import Engine

if TYPE_CHECKING:
    from jinqiao.store.base import Tx

__all__ = [
    "consent_choices", "consent_texts", "customer_profile", "erase_customer", "export_customer",
    "find_customer", "find_customer_id", "find_login", "merge_customers", "register_login",
    "say_consent", "show_customer", "unmerge_customers",
]  # fmt: skip


def register_login(engine: Engine, user_id: str) -> str:
    """Return the customer id of one of the operator's logins, made when it is new."""
    from jinqiao import customer
    from jinqiao.flow import intake

    subject = intake.subjects_of(engine, [user_id]).to_pylist()[0]
    with engine.records.reading() as tx:
        return customer.customer_of(tx, subject)


def find_login(tx: Tx, engine: Engine, user_id: str) -> str | None:
    """Return the customer id of a login, or None when it is unknown or was erased."""
    from jinqiao import customer

    if not user_id.strip():
        return None
    where = {"identifier_digest": engine.vault.digest("login", user_id), "kind": "login"}
    rows = tx.find("identifiers", where, order_by=("created_at", "subject_id"), limit=1)
    return customer.customer_of(tx, rows[0]["subject_id"]) if rows else None


def find_customer(tx: Tx, engine: Engine, name: str) -> str:
    """Return the customer id of a login, or of any subject id; raise NotFound for neither."""
    from jinqiao import customer

    found = find_login(tx, engine, name)
    if found is None and tx.get("subjects", {"subject_id": name}) is not None:
        found = customer.customer_of(tx, name)
    if found is None:
        raise NotFound("no such customer", record=name, fix="give a login, or an id of the lake")
    return found


def find_customer_id(engine: Engine, name: str) -> str:
    """Return the same in a transaction of its own."""
    with engine.records.reading() as tx:
        return find_customer(tx, engine, name)


def show_customer(engine: Engine, name: str) -> dict[str, Any]:
    """Return one customer: subjects, standing merges, consents, applications, profile."""
    from jinqiao import customer
    from jinqiao.flow.desk import application_row

    with engine.records.reading() as tx:
        customer_id = find_customer(tx, engine, name)
        subjects = list(customer.members(tx, customer_id))
        merges = [
            row
            for side in ("subject_id", "other_subject_id")
            for row in tx.find("customer_merges", {side: subjects, "undone_at": None})
        ]
        page = _applications(tx, subjects)
    return {
        "customer_id": customer_id,
        "subjects": subjects,
        "merges": sorted({row["merge_id"] for row in merges}),
        "consents": consent_choices(engine, customer_id),
        "applications": [application_row(one) for one in page],
        "profile": customer_profile(engine, customer_id),
    }


def _applications(tx: Tx, subjects: list[str]) -> list[Any]:
    from jinqiao import conversion

    found: list[Any] = []
    cursor = None
    while True:
        page = conversion.applications_of(tx, subjects, cursor=cursor, limit=100)
        found += page.applications
        cursor = page.cursor
        if cursor is None:
            return found


def customer_profile(engine: Engine, customer_id: str) -> dict[str, Any]:
    """Return a customer's newest kept profile by feature, {} without one.

    Only a customer whose consent to personalise stands has one.
    """
    from jinqiao import customer

    version = engine.dictionary.version
    moments = engine.lake.feature_as_ofs(version)
    with engine.records.reading() as tx:
        said = customer.consent_allows(tx, customer_id, Purpose.PERSONALISE, engine.clock())
    if not moments or not said.allowed:
        return {}
    table = engine.lake.read_features(moments[-1], version)
    if table is None:
        return {}
    import pyarrow.compute as pc

    rows = table.filter(pc.equal(table["customer_id"], customer_id)).to_pylist()
    return rows[0] if rows else {}


def export_customer(engine: Engine, name: str) -> dict[str, Any]:
    """Return everything kept of a customer as plain values; memo texts are opened."""
    from jinqiao import customer
    from jinqiao.flow.desk import application_row

    with engine.records.reading() as tx:
        customer_id = find_customer(tx, engine, name)
        found = customer.export(tx, engine.lake, customer_id, engine.vault)
        subjects = list(found["subjects"])
        clicks = tx.find("clicks", {"customer_id": subjects}, order_by=("clicked_at", "click_id"))
        page = _applications(tx, subjects)
    found["clicks"] = [_instants(row) for row in clicks]
    found["applications"] = [application_row(one) for one in page]
    found["profile"] = customer_profile(engine, customer_id)
    return found


def _instants(row: dict[str, Any]) -> dict[str, Any]:
    return {
        key: from_us(value).isoformat() if key.endswith("_at") and value is not None else value
        for key, value in row.items()
    }


def erase_customer(engine: Engine, name: str, *, actor: str) -> dict[str, Any]:
    """Destroy a customer's keys, mapping and refused rows; return what was destroyed.

    The amounts of the journal stay. The next snapshot does not have the customer, and from now on
    no session of theirs opens.
    """
    from jinqiao import customer, events
    from jinqiao.flow.intake import door

    now = engine.clock()

    def step(tx: Tx) -> Any:
        return customer.erase(tx, find_customer(tx, engine, name), actor, now)

    erased: Any = engine.write(step, durable=True)
    forgotten = events.forget(door(engine), erased.owner_digests)
    return {
        "customer_id": erased.subject_ids[0],
        "subjects": len(erased.subject_ids),
        "identifiers": erased.identifiers,
        "refused_rows": forgotten,
        "erased_at": from_us(now).isoformat(),
    }


def merge_customers(engine: Engine, one: str, other: str, *, actor: str) -> str:
    """Say by hand that two customers are one; return the id that undoes it."""
    from jinqiao import customer

    def step(tx: Tx) -> str:
        pair = (find_customer(tx, engine, one), find_customer(tx, engine, other))
        return customer.merge(tx, *pair, actor=actor, now_us=engine.clock())

    return str(engine.write(step, durable=True))


def unmerge_customers(engine: Engine, merge_id: str, *, actor: str) -> bool:
    """Undo a merge; return False when it was undone before."""
    from jinqiao import customer

    def step(tx: Tx) -> bool:
        return customer.unmerge(tx, merge_id, actor=actor, now_us=engine.clock())

    return bool(engine.write(step, durable=True))


def consent_texts() -> list[dict[str, str]]:
    """Return the exact words of the newest text of every purpose, both languages."""
    from jinqiao import customer

    newest = {text.purpose: text for text in customer.shipped_texts()}
    return [
        {"purpose": p.value, "version": t.version, "zh": t.zh, "en": t.en}
        for p, t in newest.items()
    ]


def consent_choices(engine: Engine, customer_id: str) -> list[dict[str, Any]]:
    """Return, per purpose, whether it is consented to now, since when, and by which text."""
    from jinqiao import customer

    now = engine.clock()
    rows = []
    with engine.records.reading() as tx:
        said = customer.consents(tx, customer_id)
        for purpose in Purpose:
            decision = customer.consent_allows(tx, customer_id, purpose, now)
            last = _last(said, purpose)
            rows.append(
                {
                    "purpose": purpose.value,
                    "granted": decision.allowed,
                    "reason": decision.reasons[0].code,
                    "text_version": last.text_version if last else None,
                    "said_at": last.occurred_at.isoformat() if last else None,
                    "consent_id": last.consent_id if last else None,
                }
            )
    return rows


def _last(said: tuple[ConsentEvent, ...], purpose: Purpose) -> ConsentEvent | None:
    mine = [event for event in said if event.purpose is purpose and not event.scope]
    return mine[-1] if mine else None


def say_consent(
    engine: Engine, customer_id: str, purpose: Purpose, *, granted: bool, channel: str = "web",
    text_version: str = "",
) -> dict[str, Any]:  # fmt: skip
    """Record a grant or withdrawal made now; the very next shelf follows it."""
    from jinqiao import customer

    at = from_us(engine.clock())
    said = customer.Said(at, at, channel, text_version=text_version)
    say = customer.grant if granted else customer.withdraw

    def step(tx: Tx) -> ConsentEvent:
        return say(tx, customer_id, purpose, said)

    event = engine.write(step, durable=True)
    assert isinstance(event, ConsentEvent)
    return {**asdict(event), "occurred_at": event.occurred_at.isoformat(),
            "received_at": event.received_at.isoformat()}  # fmt: skip
