"""Who is asking, and what they may do."""

from __future__ import annotations

from pathlib import Path

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jinqiao.domain.time import from_us
from jinqiao.errors import (
    AccessError,
    Conflict,
    Forbidden,
    InputError,
    JinqiaoError,
    NotFound,
    Unauthenticated,
)
from jinqiao.flow.access import (
    ACTIONS,
    NOBODY,
    Answer,
    Keyring,
    Principal,
    RateLimits,
    Resource,
    Role,
    add_webhook_secret,
    answer_once,
    authorise,
    create_key,
    drop_answers,
    issue_session,
    issue_token,
    list_keys,
    list_webhook_secrets,
    may,
    principal_of,
    revoke_key,
    revoke_webhook_secret,
    rotate_key,
    sign_webhook,
    verify_webhook,
)
from jinqiao.store.base import Tx
from jinqiao.store.memory import MemoryRecords

NOW_US = 1_767_225_600_000_000
SECOND_US = 1_000_000
HOUR_US = 3600 * SECOND_US
DAY_US = 24 * HOUR_US
KEYRING = Keyring(b"m" * 32, b"c" * 32, b"s" * 32)
BANK = Principal(Role.INSTITUTION, institution_id="bank")
CUSTOMER = Principal(Role.CUSTOMER, customer_id="c1", user_id="u1")
OPERATOR = Principal(Role.OPERATOR, key_id="sk_1")
PUBLISHABLE = Principal(Role.PUBLISHABLE, key_id="pk_1")


@pytest.fixture
def records() -> MemoryRecords:
    """Return empty records."""
    return MemoryRecords()


def who(tx: Tx, credential: str, now_us: int = NOW_US) -> Principal:
    """Return whom a bearer credential speaks for."""
    return principal_of(tx, KEYRING, f"Bearer {credential}", now_us=now_us)


# Keyring


def test_init_makes_three_different_keys_nobody_else_may_read(tmp_path: Path) -> None:
    """Keys are written once, mode 0600, and read back the same."""
    made = Keyring.create(tmp_path / "keys")
    assert Keyring.create(tmp_path / "keys") == made == Keyring.read(tmp_path / "keys", {})
    assert len({made.master, made.click, made.session}) == 3
    files = list((tmp_path / "keys").iterdir())
    assert [path.stat().st_mode & 0o777 for path in files] == [0o600] * 3
    assert made.master.hex() not in repr(made)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_key_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    """The refusal names the file and the command that mends it."""
    Keyring.create(tmp_path)
    (tmp_path / "click.key").chmod(mode)
    with pytest.raises(Forbidden, match="chmod 600"):
        Keyring.read(tmp_path, {})


def test_the_environment_comes_before_the_folder(tmp_path: Path) -> None:
    """Keys may come from variables; a faulty one is named."""
    environ = {f"JINQIAO_KEY_{name}": letter * 64 for name, letter in
               (("MASTER", "a"), ("CLICK", "b"), ("SESSION", "c"))}  # fmt: skip
    assert Keyring.read(tmp_path, environ).click == bytes.fromhex("b" * 64)
    with pytest.raises(InputError, match="JINQIAO_KEY_CLICK"):
        Keyring.read(tmp_path, {**environ, "JINQIAO_KEY_CLICK": "short"})
    with pytest.raises(NotFound, match="jinqiao init"):
        Keyring.read(tmp_path, {})


# Keys


@pytest.mark.parametrize("role", [Role.PUBLISHABLE, Role.OPERATOR, Role.INSTITUTION])
def test_a_key_speaks_for_its_role(records: MemoryRecords, role: Role) -> None:
    """A key is known by its prefix, kept as a digest only, and listed without it."""
    bank = "bank" if role == Role.INSTITUTION else None
    with records.transaction() as tx:
        key = create_key(tx, KEYRING, role, now_us=NOW_US, institution_id=bank, label="test")
        found = who(tx, key.secret)
        (row,) = tx.find("access_keys")
        (listed,) = list_keys(tx)
    assert (found.role, found.institution_id, found.key_id) == (role, bank, key.key_id)
    assert key.secret[:3] in ("pk_", "sk_", "ik_")
    assert key.secret not in str(row)
    assert key.secret.partition(".")[2] not in str(row) + repr(key)
    assert "secret_digest" not in listed


@pytest.mark.parametrize(
    ("role", "institution_id", "scopes"),
    [
        (Role.CUSTOMER, None, ()),
        (Role.NOBODY, None, ()),
        (Role.INSTITUTION, None, ()),
        (Role.OPERATOR, "bank", ()),
        (Role.PUBLISHABLE, None, ("key.manage",)),
        (Role.INSTITUTION, "bank", ("report.read",)),
        (Role.OPERATOR, None, ("no.such",)),
    ],
)
def test_a_key_that_cannot_be_is_not_made(
    records: MemoryRecords, role: Role, institution_id: str | None, scopes: tuple[str, ...]
) -> None:
    """Wrong roles, missing institutions and scopes beyond the role are refused."""
    with records.transaction() as tx, pytest.raises(InputError):
        create_key(tx, KEYRING, role, now_us=NOW_US, institution_id=institution_id, scopes=scopes)


def test_a_revoked_key_is_dead_at_once(records: MemoryRecords) -> None:
    """Revoking ends it now; revoking again changes nothing."""
    with records.transaction() as tx:
        key = create_key(tx, KEYRING, Role.OPERATOR, now_us=NOW_US)
        revoke_key(tx, key.key_id, now_us=NOW_US + 1)
        revoke_key(tx, key.key_id, now_us=NOW_US + 99)
        with pytest.raises(Unauthenticated):
            who(tx, key.secret, NOW_US + 1)
        assert list_keys(tx)[0]["revoked_at"] == NOW_US + 1
        with pytest.raises(NotFound):
            revoke_key(tx, "sk_none", now_us=NOW_US)


def test_rotation_keeps_both_keys_alive_for_a_day(records: MemoryRecords) -> None:
    """Old and new work until the overlap ends; then only the new one, with the same scopes."""
    with records.transaction() as tx:
        old = create_key(tx, KEYRING, Role.INSTITUTION, now_us=NOW_US, institution_id="bank",
                         scopes=["application.read"])  # fmt: skip
        new = rotate_key(tx, KEYRING, old.key_id, now_us=NOW_US)
        assert who(tx, old.secret, NOW_US + DAY_US - 1).institution_id == "bank"
        assert who(tx, new.secret, NOW_US + DAY_US).scopes == {"application.read"}
        with pytest.raises(Unauthenticated):
            who(tx, old.secret, NOW_US + DAY_US)


def test_a_key_of_another_keyring_is_not_valid(records: MemoryRecords) -> None:
    """The digest is keyed: records alone are no use to a thief."""
    with records.transaction() as tx:
        key = create_key(tx, KEYRING, Role.OPERATOR, now_us=NOW_US)
        other = Keyring(b"x" * 32, KEYRING.click, KEYRING.session)
        with pytest.raises(Unauthenticated):
            principal_of(tx, other, f"Bearer {key.secret}", now_us=NOW_US)


@given(text=st.text(max_size=60))
def test_nonsense_is_nobody_s_credential(text: str) -> None:
    """Any text is refused within the error tree, or is nobody when empty."""
    with MemoryRecords().reading() as tx:
        for header in (text, f"Bearer {text}", f"Bearer sk_{text}", f"Bearer {text}.{text}.{text}"):
            try:
                found = principal_of(tx, KEYRING, header, now_us=NOW_US)
            except Unauthenticated:
                continue
            assert found == NOBODY


def test_without_a_header_one_is_nobody(records: MemoryRecords) -> None:
    """No credential is not an error; what it may do is little."""
    with records.reading() as tx:
        assert principal_of(tx, KEYRING, None, now_us=NOW_US) == NOBODY


# Sessions and tokens


def test_a_session_speaks_for_one_login_until_it_expires(records: MemoryRecords) -> None:
    """Twelve hours by the clock handed in, to the second."""
    session = issue_session(KEYRING, "login-7", now_us=NOW_US)
    with records.reading() as tx:
        assert who(tx, session.token).user_id == "login-7"
        assert who(tx, session.token).role == Role.CUSTOMER
        assert who(tx, session.token, NOW_US + 12 * HOUR_US - 1).user_id == "login-7"
        with pytest.raises(Unauthenticated, match="expired"):
            who(tx, session.token, NOW_US + 12 * HOUR_US)


@pytest.mark.parametrize(
    ("claims", "key", "algorithm"),
    [
        ({}, b"z" * 32, "HS256"),
        ({}, b"", "none"),
        ({}, KEYRING.session * 2, "HS512"),
        ({"aud": "jinqiao:operator"}, KEYRING.session, "HS256"),
        ({"iss": "somebody"}, KEYRING.session, "HS256"),
        ({"exp": None}, KEYRING.session, "HS256"),
        ({"exp": NOW_US // SECOND_US}, KEYRING.session, "HS256"),
        ({"sub": None}, KEYRING.session, "HS256"),
    ],
)
def test_a_forged_session_is_refused(
    records: MemoryRecords, claims: dict[str, object], key: bytes, algorithm: str
) -> None:
    """Another key, algorithm, audience or issuer, or a missing claim, is not valid."""
    whole = {
        "sub": "u", "iss": "jinqiao", "aud": "jinqiao:customer", "iat": NOW_US // SECOND_US,
        "exp": NOW_US // SECOND_US + 60, **claims,
    }  # fmt: skip
    kept = {name: value for name, value in whole.items() if value is not None}
    token = jwt.encode(kept, key or None, algorithm=algorithm)  # type: ignore[arg-type]
    with records.reading() as tx, pytest.raises(Unauthenticated):
        who(tx, token)


@pytest.mark.parametrize(("user_id", "scopes"), [("", ()), (" ", ()), ("u", ("key.manage",))])
def test_a_session_for_nobody_is_not_issued(user_id: str, scopes: tuple[str, ...]) -> None:
    """A login is needed, and scopes a customer can have."""
    with pytest.raises(InputError):
        issue_session(KEYRING, user_id, now_us=NOW_US, scopes=scopes)


def test_client_credentials_give_a_token_that_dies_with_its_key(records: MemoryRecords) -> None:
    """A quarter of an hour, the scopes asked for, the institution of the key."""
    with records.transaction() as tx:
        key = create_key(tx, KEYRING, Role.INSTITUTION, now_us=NOW_US, institution_id="bank")
        token = issue_token(
            tx, KEYRING, key.key_id, key.secret, now_us=NOW_US, scope="statement.read"
        )
        found = who(tx, token.token)
        assert (found.institution_id, found.scopes) == ("bank", {"statement.read"})
        assert may(found, "statement.read", Resource("bank"))
        assert not may(found, "application.read", Resource("bank"))
        with pytest.raises(Unauthenticated):
            who(tx, token.token, NOW_US + 900 * SECOND_US)
        revoke_key(tx, key.key_id, now_us=NOW_US + 1)
        with pytest.raises(Unauthenticated):
            who(tx, token.token, NOW_US + 2)


def test_a_token_is_not_given_for_less_or_more(records: MemoryRecords) -> None:
    """A wrong secret, another key's secret, an operator's key or a wider scope is refused."""
    with records.transaction() as tx:
        narrow = create_key(tx, KEYRING, Role.INSTITUTION, now_us=NOW_US, institution_id="bank",
                            scopes=["statement.read"])  # fmt: skip
        other = create_key(tx, KEYRING, Role.INSTITUTION, now_us=NOW_US, institution_id="b2")
        boss = create_key(tx, KEYRING, Role.OPERATOR, now_us=NOW_US)
        for client, secret in (
            (narrow.key_id, narrow.secret + "0"),
            (narrow.key_id, other.secret),
            (boss.key_id, boss.secret),
            ("ik_none", "ik_none.00"),
        ):
            with pytest.raises(Unauthenticated):
                issue_token(tx, KEYRING, client, secret, now_us=NOW_US)
        for scope in ("application.read", "report.read", "statement.read postback.send"):
            with pytest.raises(Forbidden):
                issue_token(tx, KEYRING, narrow.key_id, narrow.secret, now_us=NOW_US, scope=scope)


# What they may do


ALLOWED_TO_NOBODY = {
    "health.read", "docs.read", "product.read", "content.read", "token.create", "shelf.read",
}  # fmt: skip


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_nobody_may_do_little(action: str) -> None:
    """Without a credential only the public actions pass; the rest asks for one."""
    if action in ALLOWED_TO_NOBODY:
        authorise(NOBODY, action)
        return
    with pytest.raises(Unauthenticated):
        authorise(NOBODY, action)


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_one_s_own_and_no_other_s(action: str) -> None:
    """A customer and an institution never reach another's, nor a thing of nobody named."""
    for principal, other in (
        (CUSTOMER, Resource(customer_id="c2")),
        (CUSTOMER, Resource(institution_id="bank")),
        (BANK, Resource(institution_id="insurer")),
        (BANK, Resource(customer_id="c1")),
    ):
        reach = ACTIONS[action].get(principal.role)
        assert may(principal, action, other) == (reach == "any")
        assert may(principal, action) == (reach == "any")


def test_a_publishable_key_only_sends_events() -> None:
    """Beyond what everyone may, it sends events and reads a shelf that is nobody's."""
    more = {action for action in ACTIONS if may(PUBLISHABLE, action)} - ALLOWED_TO_NOBODY
    assert more == {"event.send"}
    assert not may(PUBLISHABLE, "shelf.read", Resource(customer_id="c1"))
    assert not may(NOBODY, "shelf.read", Resource(customer_id="c1"))


def test_an_institution_reaches_applications_postbacks_and_statements_of_its_own() -> None:
    """Its own: yes. Sessions, shelves, keys, reports: no."""
    own = Resource(institution_id="bank")
    reached = {action for action in ACTIONS if may(BANK, action, own)} - ALLOWED_TO_NOBODY
    assert reached == {
        "application.read", "postback.send", "postback.read_rejected", "statement.read",
        "statement.reconcile", "limit.read", "catalog.read", "webhook_secret.rotate",
    }  # fmt: skip
    with pytest.raises(Forbidden):
        authorise(BANK, "report.read", own)


def test_an_operator_cannot_act_as_a_customer_or_an_institution() -> None:
    """An operator asks for a session; it does not consent, click or report for others."""
    never = {action for action in ACTIONS if not may(OPERATOR, action, Resource("bank", "c1"))}
    assert never == {"session.end", "shelf.read", "click.create", "consent.write", "postback.send"}


def test_scopes_only_narrow() -> None:
    """A scope beyond the role gives nothing; one within leaves only itself."""
    wide = Principal(Role.PUBLISHABLE, scopes=frozenset({"event.send", "key.manage"}))
    assert not may(wide, "key.manage")
    assert not may(wide, "content.read")
    assert may(wide, "event.send")


def test_an_unknown_action_is_nobody_s(records: MemoryRecords) -> None:
    """An action that is not in the table is an error, also for an operator."""
    with pytest.raises(NotFound):
        authorise(OPERATOR, "everything.do")


def test_a_principal_s_name_holds_no_secret() -> None:
    """Names are for logs."""
    assert BANK.name == "institution:bank"
    assert OPERATOR.name == "operator:sk_1"
    assert NOBODY.name == "nobody:"


# Webhooks


BODY = '{"报告": 1}'.encode()


def test_a_signed_body_is_verified(records: MemoryRecords) -> None:
    """A signature of either live secret passes; the third secret ends the first."""
    with records.transaction() as tx:
        made = [add_webhook_secret(tx, KEYRING, "bank", now_us=NOW_US + n) for n in range(2)]
        for secret in made:
            headers = sign_webhook(secret, "msg_1", BODY, now_us=NOW_US)
            assert verify_webhook(tx, KEYRING, "bank", headers, BODY, now_us=NOW_US) == "msg_1"
        third = add_webhook_secret(tx, KEYRING, "bank", now_us=NOW_US + 9)
        for secret, good in ((made[0], False), (made[1], True), (third, True)):
            headers = sign_webhook(secret, "msg_2", BODY, now_us=NOW_US)
            if good:
                verify_webhook(tx, KEYRING, "bank", headers, BODY, now_us=NOW_US)
                continue
            with pytest.raises(Unauthenticated):
                verify_webhook(tx, KEYRING, "bank", headers, BODY, now_us=NOW_US)
        live = [row for row in list_webhook_secrets(tx, "bank") if row["revoked_at"] is None]
        assert len(live) == 2
        assert "sealed_secret" not in live[0]
        revoke_webhook_secret(tx, live[1]["secret_id"], now_us=NOW_US + 10)
        with pytest.raises(Unauthenticated):
            verify_webhook(
                tx, KEYRING, "bank", sign_webhook(third, "m", BODY, now_us=NOW_US), BODY,
                now_us=NOW_US,
            )  # fmt: skip
        with pytest.raises(NotFound):
            revoke_webhook_secret(tx, live[1]["secret_id"], now_us=NOW_US + 11)


def test_secrets_lie_sealed(records: MemoryRecords) -> None:
    """Records hold no readable secret, and one bank's cannot be moved to another."""
    with records.transaction() as tx:
        secret = add_webhook_secret(tx, KEYRING, "bank", now_us=NOW_US)
        (row,) = tx.find("webhook_secrets")
        assert secret.encode() not in bytes(row["sealed_secret"])
        tx.update("webhook_secrets", {"secret_id": row["secret_id"]}, {"institution_id": "thief"})
        headers = sign_webhook(secret, "m", BODY, now_us=NOW_US)
        with pytest.raises(JinqiaoError):
            verify_webhook(tx, KEYRING, "thief", headers, BODY, now_us=NOW_US)


@pytest.mark.parametrize(
    "spoil",
    [
        {"webhook-id": "msg_2"}, {"webhook-id": ""}, {"webhook-timestamp": "soon"},
        {"webhook-timestamp": str(NOW_US // SECOND_US + 1)}, {"webhook-timestamp": "-5"},
        {"webhook-signature": ""}, {"webhook-signature": "v1"}, {"webhook-signature": "v1,!!!"},
        {"webhook-signature": "v2,AAAA v1a,BBBB é"}, {"webhook-timestamp": "٣"},
    ],
)  # fmt: skip
def test_a_spoilt_signature_is_refused(records: MemoryRecords, spoil: dict[str, str]) -> None:
    """Any header missing, malformed or changed is no signature."""
    with records.transaction() as tx:
        secret = add_webhook_secret(tx, KEYRING, "bank", now_us=NOW_US)
        headers = {**sign_webhook(secret, "msg_1", BODY, now_us=NOW_US), **spoil}
        with pytest.raises(AccessError):
            verify_webhook(tx, KEYRING, "bank", headers, BODY, now_us=NOW_US)


@pytest.mark.parametrize(("off_s", "good"), [(0, True), (300, True), (-300, True), (301, False),
                                             (-301, False)])  # fmt: skip
def test_five_minutes_are_tolerated(records: MemoryRecords, off_s: int, good: bool) -> None:
    """A clock five minutes off either way passes; a second more does not."""
    with records.transaction() as tx:
        secret = add_webhook_secret(tx, KEYRING, "bank", now_us=NOW_US)
        headers = sign_webhook(secret, "m", BODY, now_us=NOW_US + off_s * SECOND_US)
        named = {name.title(): value for name, value in headers.items()}
        if good:
            assert verify_webhook(tx, KEYRING, "bank", named, BODY, now_us=NOW_US) == "m"
            return
        with pytest.raises(Unauthenticated, match="five minutes"):
            verify_webhook(tx, KEYRING, "bank", named, BODY, now_us=NOW_US)


def test_another_body_or_bank_is_refused(records: MemoryRecords) -> None:
    """One changed byte, bytes that are no text, or another bank's secret: refused."""
    with records.transaction() as tx:
        secret = add_webhook_secret(tx, KEYRING, "bank", now_us=NOW_US)
        add_webhook_secret(tx, KEYRING, "insurer", now_us=NOW_US)
        headers = sign_webhook(secret, "m", BODY, now_us=NOW_US)
        for name, body in (
            ("bank", BODY + b" "),
            ("bank", b"\xff"),
            ("insurer", BODY),
            ("x", BODY),
        ):
            with pytest.raises(Unauthenticated):
                verify_webhook(tx, KEYRING, name, headers, body, now_us=NOW_US)


def test_the_signature_is_the_standard_one() -> None:
    """Standard Webhooks' own library accepts what we sign."""
    from standardwebhooks import Webhook

    headers = sign_webhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg", b"{}", now_us=NOW_US)
    expected = Webhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").sign("msg", from_us(NOW_US), "{}")
    assert headers["webhook-signature"] == expected
    with pytest.raises(InputError):
        sign_webhook("whsec_", "msg", b"{}", now_us=NOW_US)


# Answers and limits on asking


def test_a_retry_gets_the_kept_answer(records: MemoryRecords) -> None:
    """Same key and request: the work is done once; another request under it is a conflict."""
    done: list[int] = []

    def work() -> Answer:
        done.append(1)
        return Answer(201, {"click_id": "c"})

    with records.transaction() as tx:
        first = answer_once(tx, BANK, "k", b"a", work, now_us=NOW_US)
        again = answer_once(tx, BANK, "k", b"a", work, now_us=NOW_US + 1)
        assert (first.repeated, again.repeated) == (False, True)
        assert (again.status, again.body) == (201, {"click_id": "c"})
        with pytest.raises(Conflict):
            answer_once(tx, BANK, "k", b"b", work, now_us=NOW_US)
        assert len(done) == 1
        answer_once(tx, OPERATOR, "k", b"b", work, now_us=NOW_US)
        answer_once(tx, BANK, "k", b"b", work, now_us=NOW_US + DAY_US)
        assert len(done) == 3
        for key in ("", "x" * 129):
            with pytest.raises(InputError):
                answer_once(tx, BANK, key, b"a", work, now_us=NOW_US)


def test_work_that_fails_keeps_no_answer(records: MemoryRecords) -> None:
    """After an error the same key may be tried again."""

    def fails() -> Answer:
        raise NotFound("no such product")

    with records.transaction() as tx:
        with pytest.raises(NotFound):
            answer_once(tx, BANK, "k", b"a", fails, now_us=NOW_US)
        assert answer_once(tx, BANK, "k", b"a", lambda: Answer(200, 1), now_us=NOW_US).status == 200


def test_kept_answers_are_dropped_after_a_day(records: MemoryRecords) -> None:
    """Only those whose day is over."""
    with records.transaction() as tx:
        for n in range(3):
            at = NOW_US + n * HOUR_US
            answer_once(tx, BANK, f"k{n}", b"a", lambda: Answer(200, None), now_us=at)
        assert drop_answers(tx, now_us=NOW_US + DAY_US + HOUR_US) == 2
        assert tx.count("kept_answers") == 1


def test_a_bucket_empties_and_refills() -> None:
    """Two at once, then one a second; the refusal says when to come back."""
    limits = RateLimits(burst=2, per_second=1.0)
    took = [limits.take("a", now_us=NOW_US) for _ in range(3)]
    assert [item.allowed for item in took] == [True, True, False]
    assert (took[0].limit, took[0].left, took[2].retry_after_s) == (2, 1, 1)
    assert limits.take("b", now_us=NOW_US).allowed
    assert limits.take("a", now_us=NOW_US + SECOND_US).allowed
    assert not limits.take("a", now_us=NOW_US + SECOND_US).allowed
    assert limits.take("a", now_us=NOW_US + DAY_US).left == 1


@given(
    steps=st.lists(st.tuples(st.integers(0, 3_000_000), st.integers(1, 3)), max_size=40),
    burst=st.integers(3, 6),
)
def test_no_more_passes_than_was_refilled(steps: list[tuple[int, int]], burst: int) -> None:
    """Over any stretch at most burst + seconds requests pass, whatever the clock does."""
    limits = RateLimits(burst=burst, per_second=1.0)
    now, passed = NOW_US, 0
    for wait, cost in steps:
        now += wait
        taken = limits.take("a", now_us=now, cost=cost)
        passed += cost if taken.allowed else 0
        assert 0 <= taken.left <= burst
        limits.take("a", now_us=now - DAY_US, cost=burst + 1)
    assert passed <= burst + (now - NOW_US) / SECOND_US


def test_buckets_do_not_grow_without_end() -> None:
    """The longest idle name is forgotten."""
    limits = RateLimits(burst=1, per_second=0.001, most_names=2)
    for name in ("a", "b", "c"):
        limits.take(name, now_us=NOW_US)
    assert limits.take("a", now_us=NOW_US).allowed
    assert not limits.take("c", now_us=NOW_US).allowed
