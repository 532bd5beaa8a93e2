"""The stream: what some people did in sixty days, and what institutions said of it."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jinqiao.domain.time import DAY_US, from_us

__all__ = [
    "AS_OF_US",
    "DAYS",
    "KINDS",
    "MONTHS",
    "PEOPLE",
    "T0_US",
    "USERS",
    "Item",
    "mended",
    "stream",
]

Row = dict[str, Any]

T0_US = 1_767_571_200_000_000
"""2026-01-05, 00:00 UTC."""
DAYS = 60
AS_OF_US = T0_US + 70 * DAY_US
MONTHS = ("2026-01", "2026-02", "2026-03")
HOUR_US = DAY_US // 24
KINDS = (
    "identifiers", "messages", "behaviour", "transactions", "attributes", "consents", "decisions",
    "clicks", "reports",
)  # fmt: skip

LOGINS = tuple(f"u{number:02}" for number in range(34))
DEVICES = tuple(f"anonymous:d{number}" for number in range(6))
USERS = LOGINS + DEVICES
PEOPLE = 18
PRODUCTS = {
    "qinghe_card": ("qinghe_bank", "credit_card"),
    "qinghe_salary_loan": ("qinghe_bank", "loan"),
    "qinghe_deposit": ("qinghe_bank", "deposit"),
    "qinghe_e_account": ("qinghe_bank", "e_account"),
    "lanting_checkout": ("lanting_finance", "bnpl"),
    "lanting_reserve": ("lanting_finance", "loan"),
    "songhe_medical": ("songhe_insurance", "insurance"),
}
CREDIT = ("credit_card", "loan", "bnpl")


@dataclass(frozen=True)
class Item:
    """One thing that comes in. ``right`` is what a bad row should have said."""

    kind: str
    key: str
    at_us: int
    """When it arrives, when all goes in order."""
    row: Row
    right: Row | None = None

    def __hash__(self) -> int:
        return hash((self.kind, self.key))


def mended(items: Sequence[Item]) -> list[Item]:
    """Return the stream as it would have been without a fault."""
    return [item if item.right is None else replace(item, row=item.right) for item in items]


class _Chance(random.Random):
    """A seeded generator that also knows how many rows are bad."""

    faulty = 0.06


def stream(seed: int, people: int = PEOPLE, faulty: float = 0.06) -> list[Item]:
    """Return the stream of the first ``people`` logins, in the order of arrival.

    ``faulty``: the share of rows with a fault, each with what it should have said.
    """
    chance = _Chance(seed)
    chance.faulty = faulty
    logins = LOGINS[:people]
    items = [*_identifiers(), *_linked(), *_anonymous(chance)]
    for login in logins:
        items += _messages(chance, login)
        items += _visits(chance, login)
        items += _ledger(chance, login)
        items += _facts(chance, login)
        items += _consents(chance, login)
        items += _business(chance, login)
    return sorted(items, key=lambda item: (item.at_us, KINDS.index(item.kind), item.key))


def _when(chance: _Chance) -> int:
    return T0_US + chance.randrange(DAYS * DAY_US)


def _arrived(chance: _Chance, occurred_us: int) -> int:
    """Return an arrival: mostly soon, sometimes days late."""
    late = chance.choice((1, 1, 1, 60, 9 * 24 * 60))
    return occurred_us + late * 60_000_000 + chance.randrange(1_000_000)


def _identifiers() -> list[Item]:
    """Two pairs of logins are one person each; one pair only shares an e-mail address."""
    rows = [
        ("u00", "phone", "+86 138-0000-0000"), ("u01", "phone", "13800000000"),
        ("u02", "id_card", "digest-1"), ("u03", "id_card", "digest-1"),
        ("u04", "email", "home@example.com"), ("u05", "email", "Home@example.com"),
        ("u06", "phone", "13800000006"), ("u12", "phone", "13800000012"),
    ]  # fmt: skip
    return [
        Item("identifiers", f"i{n}", T0_US + n, {"user_id": user, "kind": kind, "value": value})
        for n, (user, kind, value) in enumerate(rows)
    ]


def _linked() -> list[Item]:
    """Messages that say who is who, by phone, by alias, by device; a device says a phone too."""
    said: list[Row] = [
        {"type": "identify", "userId": "u07", "traits": {"phone": "13800000006"}},
        {"type": "alias", "userId": "u08", "previousId": "u09"},
        {"type": "alias", "userId": "u09", "previousId": "u10"},
        {"type": "identify", "userId": "u11", "anonymousId": "d1", "traits": {"mobile": "131"}},
        {"type": "identify", "anonymousId": "d2", "traits": {"phone": "13800000012"}},
        {"type": "identify", "anonymousId": "d3", "traits": {"phone": "13800000013"}},
        {"type": "identify", "userId": "u13", "traits": {"phone": "13800000013"}},
        {"type": "track", "event": "signed_in", "userId": "u14", "anonymousId": "d1"},
    ]
    return [
        Item("messages", f"link{n}", T0_US + DAY_US + n * HOUR_US, row | {
            "messageId": f"link{n}", "timestamp": _text(T0_US + DAY_US + n * HOUR_US),
        })
        for n, row in enumerate(said)
    ]  # fmt: skip


def _text(at_us: int) -> str:
    return from_us(at_us).isoformat()


def _anonymous(chance: _Chance) -> list[Item]:
    return [_visit(chance, f"{device}-{n}", device) for device in DEVICES for n in range(2)]


def _messages(chance: _Chance, login: str) -> list[Item]:
    """An identify, a few tracks; some of them bad."""
    items = []
    for n in range(4):
        at = _when(chance)
        name = f"m-{login}-{n}"
        row: Row = {"messageId": name, "userId": login, "timestamp": _text(at)}
        if n == 0:
            traits = {"birthYear": chance.randint(1950, 2005), "cityTier": chance.randint(1, 5),
                      "occupation": chance.choice(["salaried", "gig", "retired"])}  # fmt: skip
            row |= {"type": "identify", "traits": traits}
        elif n == 1:
            row |= {"type": "page", "name": "ledger_viewed", "context": {"channel": "app"}}
        else:
            product = chance.choice(list(PRODUCTS))
            row |= {"type": "track", "event": "product_viewed",
                    "properties": {"product_id": product, "scene": "home", "note": "看",
                                   "name": "x", "session_id": f"s-{login}-{n}"}}  # fmt: skip
        bad: list[Row] = [
            {"type": "shout"}, {"timestamp": "never"}, {"userId": None}, {"traits": 7},
            {"properties": [1]}, {"messageId": ""}, {"userId": "anonymous:no"},
        ]  # fmt: skip
        if n == 0:
            bad += [{"traits": {"birth_year": None, "Not A Name!": 1}}]
        items.append(_faulty(chance, Item("messages", name, at + HOUR_US, row), bad))
    return items


def _visits(chance: _Chance, login: str) -> list[Item]:
    return [_visit(chance, f"{login}-{n}", login) for n in range(4)]


def _visit(chance: _Chance, name: str, user: str) -> Item:
    at = _when(chance)
    row = {
        "message_id": f"b-{name}",
        "type": chance.choice(["track", "page"]),
        "event": chance.choice(["offer_viewed", "product_viewed", "ledger_viewed", "content_read"]),
        "user_id": user,
        "session_id": f"v-{user}-{chance.randrange(3)}",
        "occurred_at": at,
        "received_at": _arrived(chance, at),
        "channel": chance.choice(["app", "web", None]),
        "scene": chance.choice(["home", "ledger", "checkout"]),
        "source": chance.choice(["own", "bought"]),
        "city_tier": chance.choice([1, 3, None]),
        "product_id": chance.choice([None, *PRODUCTS]),
        "amount_minor": None,
        "properties": None,
    }
    bad: list[Row] = [
        {"type": "shout"}, {"user_id": None}, {"city_tier": 9}, {"properties": "[]"},
        {"occurred_at": None}, {"occurred_at": row["received_at"] + 2 * DAY_US},
        {"event": "x" * 80},
    ]  # fmt: skip
    return _faulty(chance, Item("behaviour", f"b-{name}", row["received_at"], row), bad)


_SPENT = ("groceries", "dining", "shopping", "transport", "card_repayment", "investment_out")


def _ledger(chance: _Chance, login: str) -> list[Item]:
    """Salaries, rents and what is bought, with balances and memos; some rows bad."""
    items, balance = [], chance.randrange(100_000, 900_000)
    plan = [("salary", d) for d in (4, 35)] + [("rent", d) for d in (6, 37)]
    plan += [(chance.choice(_SPENT), chance.randrange(DAYS)) for _ in range(6)]
    for n, (category, day) in enumerate(sorted(plan, key=lambda one: one[1])):
        at = T0_US + day * DAY_US + chance.randrange(DAY_US)
        amount = chance.randrange(400_000, 900_000) if category == "salary" else -chance.randrange(
            1_000, 200_000
        )  # fmt: skip
        balance += amount
        row = {
            "transaction_id": f"t-{login}-{n}",
            "user_id": login,
            "account_id": f"a-{login}-{n % 2}",
            "occurred_at": at,
            "received_at": _arrived(chance, at),
            "amount_minor": amount,
            "currency": "CNY",
            "balance_minor": chance.choice([balance, balance, None]),
            "category": category,
            "instrument": chance.choice(["bank", "wallet"]),
            "counterparty_key": "cp_1",
            "memo": chance.choice([None, "工资 一月", f"memo {n}"]),
        }
        bad: list[Row] = [
            {"currency": "?"}, {"user_id": None}, {"amount_minor": None}, {"category": "fun"},
            {"occurred_at": AS_OF_US * 2}, {"counterparty_key": "王"}, {"amount_minor": 10**16},
            {"memo": "x" * 2_000}, {"transaction_id": ""}, {"received_at": AS_OF_US * 2},
        ]  # fmt: skip
        item = Item("transactions", str(row["transaction_id"]), int(row["received_at"]), row)
        items.append(_faulty(chance, item, bad))
    return items


def _facts(chance: _Chance, login: str) -> list[Item]:
    items = []
    for n, name in enumerate(("risk_tolerance", "city_tier")):
        at = _when(chance)
        row = {
            "attribute_id": f"f-{login}-{n}",
            "user_id": login,
            "attribute": name,
            "number": float(chance.randint(1, 5)),
            "text": None,
            "occurred_at": at,
            "received_at": _arrived(chance, at),
        }
        bad: list[Row] = [
            {"attribute": "phone"}, {"attribute": "Not a name"}, {"number": None},
            {"number": float("inf")}, {"user_id": ""},
        ]  # fmt: skip
        items.append(_faulty(chance, Item("attributes", f"f-{login}-{n}", row["received_at"], row),
                             bad))  # fmt: skip
    return items


def _consents(chance: _Chance, login: str) -> list[Item]:
    """A grant early on; some withdraw, some come again, some grants end."""
    said = [("grant", chance.randrange(3 * DAY_US))]
    if chance.random() < 0.3:
        said.append(("withdraw", chance.randrange(20 * DAY_US, 40 * DAY_US)))
    if chance.random() < 0.3:
        said.append(("grant", chance.randrange(30 * DAY_US, DAYS * DAY_US)))
    items = []
    for n, (action, after) in enumerate(said):
        at = T0_US + after
        ends = AS_OF_US - DAY_US if action == "grant" and chance.random() < 0.1 else None
        row = {
            "user_id": login,
            "purpose": "personalise",
            "action": action,
            "text_version": None,
            "occurred_at": at,
            "received_at": at + 5_000_000,
            "channel": None,
            "scope": None,
            "expires_at": ends,
        }
        items.append(Item("consents", f"c-{login}-{n}", at + 5_000_000, row))
    return items


def _business(chance: _Chance, login: str) -> list[Item]:
    """Offers that were shown, of which some are clicked, of which most are reported on."""
    items = []
    for n in range(3):
        product = chance.choice(list(PRODUCTS))
        at = T0_US + chance.randrange(DAY_US, 40 * DAY_US)
        trace = f"tr-{login}-{n}"
        row = {"trace_id": trace, "position": 1, "product_id": product, "user_id": login, "at": at}
        items.append(Item("decisions", trace, at, row))
        if n and chance.random() < 0.8:
            clicked = at + 60_000_000
            items.append(Item("clicks", trace, clicked, row | {"at": clicked}))
            if chance.random() < 0.85:
                items += _reports(chance, row | {"at": clicked})
    return items


def _reports(chance: _Chance, click: Mapping[str, Any]) -> list[Item]:
    """One application's story: reached, refused, undone, restated, retracted; some bad reports."""
    house, product_class = PRODUCTS[click["product_id"]]
    stages = ["application", "approval", "activation"]
    stages += ["disbursement", "repayment"] if product_class in CREDIT else []
    made: list[Row] = []

    def say(stage: str, days: float, polarity: str = "reached", **more: Any) -> Row:
        occurred = click["at"] + round(days * DAY_US)
        made.append({
            "report_id": f"r-{click['trace_id']}-{len(made)}",
            "institution_id": house, "click": click["trace_id"], "stage": stage,
            "polarity": polarity, "occurred_at": occurred,
            "received_at": _arrived(chance, occurred), "amount_minor": None, "currency": None,
            "corrects": None, "sequence": 0, "refusal_code": None, **more,
        })  # fmt: skip
        return made[-1]

    far = chance.randint(1, len(stages))
    for day, stage in enumerate(stages[:far]):
        if stage == "approval" and chance.random() < 0.3:
            say(stage, 1.5, "refused", refusal_code="income")
            if chance.random() < 0.3:  # they changed their mind
                say(stage, 3, sequence=1)
            break
        money = chance.randrange(1_000_000, 9_000_000)
        amount = None if stage in ("application", "approval") else money
        said = say(stage, 0.5 + day, amount_minor=amount, currency="CNY" if amount else None)
        turn = chance.random()
        if turn < 0.1:
            say(stage, 1 + day, "reversed", corrects=said["report_id"], sequence=1)
        elif turn < 0.2 and amount:
            say(stage, 0.5 + day, amount_minor=amount // 2, currency="CNY", sequence=2,
                corrects=said["report_id"])  # fmt: skip
        elif turn < 0.5 and stage == "activation":
            say(stage, 9 + day, "reversed")
    return [_report(chance, row) for row in made]


def _report(chance: _Chance, row: Row) -> Item:
    bad: list[Row] = [
        {"click": None}, {"stage": "impression"}, {"stage": "wedding"}, {"polarity": "maybe"},
        {"institution_id": "tongda_payment"}, {"occurred_at": T0_US - 90 * DAY_US},
        {"occurred_at": row["received_at"] + DAY_US}, {"currency": "USD"}, {"amount_minor": -5},
        {"corrects": row["report_id"]}, {"sequence": -1}, {"refusal_code": "x" * 90},
    ]  # fmt: skip
    return _faulty(chance, Item("reports", row["report_id"], row["received_at"], row), bad)


def _faulty(chance: _Chance, item: Item, bad: Sequence[Row]) -> Item:
    """Return an item, now and then with one of these faults."""
    if chance.random() >= chance.faulty:
        return item
    return replace(item, row=item.row | chance.choice(bad), right=item.row)
