"""Who people say they are: attributes, identifiers that others may share, consents that change."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jinqiao.domain.consent import Purpose
from jinqiao.domain.tables import RAW_ATTRIBUTES
from jinqiao.domain.time import DAY_US
from jinqiao.engines.tables import arrow_schema
from jinqiao.synthetic.draws import stream
from jinqiao.synthetic.fraud import LEAD, SYNTHETIC
from jinqiao.synthetic.moments import CHANNELS
from jinqiao.synthetic.names import REGIONS
from jinqiao.synthetic.people import OCCUPATIONS, People
from jinqiao.synthetic.rows import digits, joined, words
from jinqiao.synthetic.spec import BLOCK, Spec

__all__ = ["attribute_table", "consent_table", "identifier_table", "phone_numbers", "user_table"]

EDUCATION = ("secondary", "college", "bachelor", "postgraduate")
_GRANTS = {
    Purpose.PERSONALISE: 0.93,
    Purpose.MEASURE: 0.95,
    Purpose.SHARE_WITH_INSTITUTION: 0.90,
    Purpose.PRESCREEN: 0.72,
    Purpose.CREDIT_DECISION: 0.84,
    Purpose.CONTACT: 0.55,
    Purpose.ALLIANCE: 0.48,
}
_WITHDRAWN, _AGAIN, _LATER = 0.03, 0.35, 0.25
_BACK_DAYS = (3, 21)


def region_of(people: People) -> NDArray[np.int64]:
    """Return each person's region number: large cities in the first regions more often."""
    return (people.index * 7 + people.city_tier.astype(np.int64) * 3) % len(REGIONS)


def user_table(people: People) -> pa.Table:
    """Return user_id and the public attributes, one row a person."""
    return pa.table(
        {
            "user_id": digits("u", people.index, 8),
            "kind": words(people.merchant, ("person", "merchant")),
            "birth_year": pa.array(people.birth_year.astype(np.int32)),
            "gender": words(people.female, ("male", "female")),
            "city_tier": pa.array(people.city_tier),
            "region": words(region_of(people), tuple(code for code, _, _ in REGIONS)),
            "education": words(people.education, EDUCATION),
            "occupation": words(people.occupation, OCCUPATIONS),
            "risk_tolerance": pa.array(people.risk_tolerance),
        }
    )


def attribute_table(people: People, spec: Spec, seed: int, block: int, start_us: int) -> pa.Table:
    """Return RAW_ATTRIBUTES rows: one a person and attribute, stated when they joined."""
    users = user_table(people)
    joined = _joined_us(people, start_us)
    asked = stream(seed, "attributes", block).random((2, BLOCK))[:, : len(people)]
    never = pa.array(asked[0] < 0.06)
    parts = []
    for number, name in enumerate(users.column_names[1:]):
        column = users[name].combine_chunks()
        if name in ("risk_tolerance", "education"):
            column = pc.if_else(never, pa.nulls(len(never), column.type), column)
        text = pa.types.is_string(column.type)
        table = pa.table(
            {
                "attribute_id": digits(f"a{number}-", people.index, 8),
                "user_id": users["user_id"],
                "attribute": pa.array([name] * len(people), pa.string()),
                "number": pa.nulls(len(people), pa.float64())
                if text
                else column.cast(pa.float64()),
                "text": column if text else pa.nulls(len(people), pa.string()),
                "occurred_at": _instants(joined),
                "received_at": _instants(joined + 1_000_000),
            },
            schema=arrow_schema(RAW_ATTRIBUTES),
        )
        parts.append(table.filter(column.is_valid()))
    return pa.concat_tables(parts).combine_chunks()


def _joined_us(people: People, start_us: int) -> NDArray[np.int64]:
    return (
        start_us - people.tenure_days.astype(np.int64) * DAY_US + people.index % 86_000 * 1_000_000
    )


def _instants(at_us: NDArray[np.int64]) -> pa.Array:
    return pa.array(at_us).cast(pa.timestamp("us"))


def identifier_table(people: People, seed: int, block: int) -> pa.Table:
    """Return (user_id, kind, value): a login and phone each, mail for most, one or two devices.

    An address, an account that money is paid out to, and the numbers some institutions know the
    person by. One device in eight is a neighbour's too (families), who live together more often
    still; one e-mail in fifty is noisy: another person's. Those who act together share a device, an
    address and an account; a made-up person's e-mail is another's; leads have no phone.
    """
    luck = stream(seed, "identifiers", block).random((10, BLOCK))[:, : len(people)]
    n, index = len(people), people.index
    neighbour = block * BLOCK + (index - block * BLOCK) // 2 * 2
    device = np.where(luck[0] < 0.125, neighbour, index)
    address = np.where(luck[5] < 0.35, neighbour, index)
    account, mail = index, np.where(luck[2] < 0.02, neighbour, index)
    together = people.group >= 0
    device, address, account = (
        np.where(together, 90_000_000 + people.group, own) for own in (device, address, account)
    )
    made = people.fraud == SYNTHETIC
    mail = np.where(made, block * BLOCK + (index * 37 + 11) % BLOCK, mail)
    users = digits("u", index, 8)
    everyone = np.ones(n, bool)
    parts = [
        ("login", users, everyone),
        ("phone", digits("p", phone_numbers(index), 11), (luck[1] < 0.97) & (people.fraud != LEAD)),
        ("id_card", digits("c", _scatter(index + 7), 12), luck[4] < 0.6),
        ("email", digits("e", mail, 8), (luck[2] < 0.7) | made),
        ("device", digits("d1-", device, 8), everyone),
        ("device", digits("d2-", index, 8), (luck[3] < 0.45) & ~together),
        ("address", digits("h", address, 8), luck[6] < 0.8),
        ("account", digits("b", account, 8), luck[7] < 0.85),
        ("institution", _known_as(index, luck[8]), luck[8] < 0.5),
        ("institution", _known_as(index, luck[9]), luck[9] < 0.2),
    ]
    tables = [
        pa.table(
            {"user_id": users, "kind": pa.array([kind] * n, pa.string()), "value": value}
        ).filter(pa.array(keep))
        for kind, value, keep in parts
    ]
    return pa.concat_tables(tables).combine_chunks()


def _known_as(index: NDArray[np.int64], luck: NDArray[np.float64]) -> pa.Array:
    """Return the number under which an institution, one of a hundred, knows each person."""
    house = np.floor(luck * 1e4).astype(np.int64) % 100
    return joined(digits("i", house, 3), digits("", _scatter(index * 3 + house), 11), "-")


def phone_numbers(index: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return each person's phone, as a number."""
    return _scatter(index)


def _scatter(index: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return distinct numbers below 10^10 that do not look like a count."""
    return (index * 7_919_317 + 1_234_567) % 9_999_999_967


def consent_table(people: People, spec: Spec, seed: int, block: int, start_us: int) -> pa.Table:
    """Return consent events in time order: grants when people joined, changes during the run.

    Three in a hundred withdraw, a third of them grant again within three weeks, and a quarter of
    those who did not agree at first do later. Purposes nobody asked a person for have no row; a
    refusal is the absence of a grant.
    """
    rng = stream(seed, "consents", block)
    joined, parts = _joined_us(people, start_us), []
    run = (spec.log_days + spec.plan_days) * DAY_US
    wary = rng.standard_normal(BLOCK)[: len(people)]
    for purpose, share in _GRANTS.items():
        luck, second, when, back = rng.random((4, BLOCK))[:, : len(people)]
        agrees = luck < share - 0.02 * wary
        moment = start_us + np.floor(when * run).astype(np.int64)
        days = _BACK_DAYS[0] + back / _AGAIN * (_BACK_DAYS[1] - _BACK_DAYS[0])
        again_at = moment + np.floor(days * DAY_US).astype(np.int64)
        given, taken = np.flatnonzero(agrees), np.flatnonzero(agrees & (second < _WITHDRAWN))
        again = taken[(back[taken] < _AGAIN) & (again_at[taken] < start_us + run)]
        later = np.flatnonzero(~agrees & (second < _LATER))
        parts.append((given, purpose, "grant", joined[given] + 60_000_000))
        parts.append((taken, purpose, "withdraw", moment[taken]))
        parts.append((again, purpose, "grant", again_at[again]))
        parts.append((later, purpose, "grant", moment[later]))
    tables = [_consents(people, *part) for part in parts]
    return (
        pa.concat_tables(tables)
        .combine_chunks()
        .sort_by([("occurred_at", "ascending"), ("user_id", "ascending"), ("purpose", "ascending")])
    )


def _consents(
    people: People, rows: NDArray[np.int64], purpose: Purpose, action: str, at: NDArray[np.int64]
) -> pa.Table:
    n = len(rows)
    return pa.table(
        {
            "user_id": digits("u", people.index[rows], 8),
            "purpose": pa.array([purpose.value] * n, pa.string()),
            "action": pa.array([action] * n, pa.string()),
            "text_version": pa.array([f"{purpose.value}@1"] * n, pa.string()),
            "occurred_at": _instants(at),
            "received_at": _instants(at + 500_000),
            "channel": words(people.channel[rows], CHANNELS),
        }
    )
