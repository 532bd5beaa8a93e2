"""Consent: the last statement decides, in the very words that were shown."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from jinqiao.customer import (
    Said,
    Vault,
    consent_allows,
    consent_state,
    consents,
    grant,
    merge,
    publish_texts,
    record_consents,
    record_consents_table,
    resolve,
    shipped_texts,
    withdraw,
)
from jinqiao.customer.wording import text_digest
from jinqiao.domain.consent import ConsentText, Purpose
from jinqiao.domain.messages import sentence
from jinqiao.domain.tables import CONSENT_EVENTS
from jinqiao.domain.time import from_us
from jinqiao.engines import tables
from jinqiao.errors import Conflict, NotFound, SchemaError
from jinqiao.store.base import Tx
from jinqiao.store.memory import MemoryRecords

P = Purpose.PERSONALISE


@pytest.fixture
def tx() -> Iterator[Tx]:
    """An open transaction on empty records."""
    with MemoryRecords().transaction() as tx:
        yield tx


def subject(tx: Tx, name: str = "a", now_us: int = 1) -> str:
    rng = np.random.default_rng(len(name) + now_us)
    found = resolve(tx, "login", [name], now_us=now_us, rng=rng, vault=Vault(b"k" * 32))
    return str(found[0].as_py())


def said(at: int, received: int | None = None, **how: object) -> Said:
    return Said(from_us(at), from_us(at if received is None else received), **how)  # type: ignore[arg-type]


def granted(tx: Tx, now_us: int) -> dict[tuple[str, str], bool]:
    return {
        (row["customer_id"], row["purpose"]): row["granted"]
        for row in consent_state(tx, now_us).to_pylist()
    }


def test_a_withdrawal_that_arrives_first_still_wins(tx: Tx) -> None:
    """A grant made earlier and received later does not undo a withdrawal."""
    one = subject(tx)
    withdraw(tx, one, P, said(20))
    grant(tx, one, P, said(10, received=30))
    assert granted(tx, 40) == {(one, "personalise"): False}
    assert not consent_allows(tx, one, P, 40).allowed


def test_a_withdrawal_at_the_same_instant_wins(tx: Tx) -> None:
    """At one instant, no beats yes."""
    one = subject(tx)
    withdraw(tx, one, P, said(10))
    grant(tx, one, P, said(10))
    assert granted(tx, 40)[one, "personalise"] is False


def test_only_what_was_received_by_then_counts(tx: Tx) -> None:
    """The state as of an instant knows nothing that arrived later."""
    one = subject(tx)
    grant(tx, one, P, said(10, received=20))
    assert granted(tx, 19) == {}
    assert granted(tx, 20)[one, "personalise"] is True


def test_a_grant_dated_in_the_future_cannot_outlive_a_withdrawal(tx: Tx) -> None:
    """A statement from a fast clock counts from its arrival."""
    one = subject(tx)
    grant(tx, one, P, said(1_000, received=10))
    withdraw(tx, one, P, said(20))
    assert granted(tx, 30)[one, "personalise"] is False


def test_an_expired_grant_is_none(tx: Tx) -> None:
    """From its expiry on a grant no longer stands, and the reason says so."""
    one = subject(tx)
    grant(tx, one, P, said(10, expires_at=from_us(50)))
    assert consent_allows(tx, one, P, 49).allowed
    decision = consent_allows(tx, one, P, 50)
    assert decision.reasons[0].code == "consent_expired"
    assert sentence(decision.reasons[0], "zh")
    assert granted(tx, 50)[one, "personalise"] is False


def test_a_scope_speaks_for_itself_only(tx: Tx) -> None:
    """A grant for one institution allows that one, and is no general consent."""
    one, share = subject(tx), Purpose.SHARE_WITH_INSTITUTION
    grant(tx, one, share, said(10, scope="bank-a"))
    assert consent_allows(tx, one, share, 20, scope="bank-a").allowed
    assert not consent_allows(tx, one, share, 20, scope="bank-b").allowed
    assert granted(tx, 20) == {}
    withdraw(tx, one, share, said(15))
    assert not consent_allows(tx, one, share, 20, scope="bank-a").allowed


def test_merged_subjects_have_one_consent(tx: Tx) -> None:
    """The last statement of any merged subject decides for the customer."""
    one, two = subject(tx, "a", 1), subject(tx, "bb", 2)
    grant(tx, one, P, said(10))
    withdraw(tx, two, P, said(20))
    merge(tx, one, two, actor="op", now_us=30)
    assert granted(tx, 40) == {(one, "personalise"): False}
    assert [event.action for event in consents(tx, two)] == ["grant", "withdraw"]


def test_the_exact_words_are_kept(tx: Tx) -> None:
    """A statement carries the text's version and the digest of its words in both languages."""
    one = subject(tx)
    event = grant(tx, one, P, said(10))
    (row,) = tx.find("consents")
    text = next(t for t in shipped_texts() if t.version == event.text_version)
    assert row["text_digest"] == text_digest(text)
    (state,) = consent_state(tx, 20).to_pylist()
    assert state["consent_version"] == f"{text.version}:{event.consent_id}"


def test_every_purpose_has_words_in_both_languages() -> None:
    """Each purpose ships a text in Chinese and English."""
    assert {text.purpose for text in shipped_texts()} == set(Purpose)
    assert all(text.zh and text.en for text in shipped_texts())


def test_a_published_text_is_never_edited(tx: Tx) -> None:
    """Publishing again is harmless; other words under the same version are a conflict."""
    assert publish_texts(tx, shipped_texts(), 1) == len(shipped_texts())
    assert publish_texts(tx, shipped_texts(), 2) == 0
    with pytest.raises(Conflict):
        publish_texts(tx, (ConsentText("personalise@1", P, "别的话", "other words"),), 3)


def test_a_text_nobody_published_cannot_be_agreed_to(tx: Tx) -> None:
    """An unknown text version and an unknown subject are refused."""
    one = subject(tx)
    with pytest.raises(NotFound):
        grant(tx, one, P, said(1, text_version="personalise@99"))
    with pytest.raises(NotFound):
        grant(tx, "sub_none", P, said(1))


def test_the_same_statement_again_changes_nothing(tx: Tx) -> None:
    """A retried grant is one grant."""
    one = subject(tx)
    first = grant(tx, one, P, said(10))
    assert grant(tx, one, P, said(10)) == first
    assert record_consents(tx, [first]) == 0
    assert len(consents(tx, one)) == 1


def test_consents_are_recorded_in_bulk(tx: Tx) -> None:
    """A CONSENT_EVENTS table gives the same state as single statements; a bad word is refused."""
    one = subject(tx)
    row = {"subject_id": one, "purpose": "measure", "action": "grant", "text_version": None,
           "occurred_at": 5, "received_at": 6, "channel": None, "scope": None,
           "expires_at": None}  # fmt: skip
    table = pa.Table.from_pylist([row, row], schema=tables.arrow_schema(CONSENT_EVENTS))
    assert record_consents_table(tx, table) == 1
    assert granted(tx, 9) == {(one, "measure"): True}
    bad = pa.Table.from_pylist(
        [row | {"purpose": "fun"}], schema=tables.arrow_schema(CONSENT_EVENTS)
    )
    with pytest.raises(SchemaError):
        record_consents_table(tx, bad)
