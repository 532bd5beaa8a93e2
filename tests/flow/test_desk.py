"""The desk's verbs over a fresh workspace: what stands where, and what an operator may change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from jinqiao.domain.consent import Purpose
from jinqiao.errors import InputError, NotFound, SchemaError, Unavailable
from jinqiao.flow import books, bulk, desk, keys, model_record, people, pieces, rejected, tagging
from jinqiao.flow.intake import apply_catalog, publish_consent_texts, receive_file
from jinqiao.flow.wiring import Engine, open_engine
from jinqiao.flow.workspace import init_workspace

START_US = 1_790_000_000_000_000
DAY_US = 86_400_000_000


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_us = START_US

    def __call__(self) -> int:
        self.now_us += 1_000
        return self.now_us


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with open_engine(workspace=init_workspace(tmp_path / "mine"), clock=Clock()) as opened:
        apply_catalog(opened, author="test")
        publish_consent_texts(opened)
        yield opened


def test_products_are_what_the_files_say(engine: Engine) -> None:
    """Every sample product is listed once, with its cost and its institution."""
    rows = desk.product_list(engine)
    assert len({row["product_id"] for row in rows}) == len(rows) == 10
    mine = desk.product_list(engine, institution_id="qinghe_bank")
    assert {row["institution_id"] for row in mine} == {"qinghe_bank"}
    shown = desk.product_show(engine, "qinghe_salary_loan")
    paid = sum(one["due_minor"] for one in shown["cost"]["schedule"])
    assert paid > shown["cost"]["amount_minor"]
    assert shown["all_in_bps"] == shown["cost"]["all_in_bps"]
    with pytest.raises(NotFound):
        desk.product_show(engine, "none")
    with pytest.raises(InputError):
        desk.cost_of(engine, "qinghe_salary_loan", term_days=1)


def test_a_changed_file_is_a_version_with_its_difference(engine: Engine) -> None:
    """History keeps every version; what changed can be read."""
    file = engine.workspace.institutions / "qinghe_bank.yaml"
    file.write_text(file.read_text().replace("Qinghe Salary Loan", "Qinghe Wages Loan"))
    apply_catalog(engine, author="somebody")
    versions = desk.catalog_history(engine, "qinghe_bank")
    assert [v["version"] for v in versions] == [1, 2]
    assert "+" in versions[1]["diff"]
    assert "Wages" in versions[1]["diff"]
    assert versions[1]["author"] == "somebody"
    with pytest.raises(NotFound):
        desk.catalog_history(engine, "nobody")


def test_nothing_published_is_said_so(engine: Engine) -> None:
    """Plan, model, profiles and snapshot before the first publish: absent, each with a fix."""
    assert desk.snapshot_state(engine) == {"snapshot": None, "age_s": None}
    with pytest.raises(Unavailable):
        desk.plan_report(engine)
    with pytest.raises(NotFound):
        model_record.model_show(engine)
    with pytest.raises(Unavailable):
        tagging.count_rule(engine, "age >= 30")
    assert all(tag["count"] is None for tag in tagging.tag_list(engine, "tag"))


def test_a_login_becomes_one_customer(engine: Engine) -> None:
    """The same login finds the same customer; an id finds them too; a stranger is nobody."""
    one = people.register_login(engine, "anna")
    assert people.register_login(engine, "anna") == one
    assert people.find_customer_id(engine, "anna") == one
    assert people.find_customer_id(engine, one) == one
    with engine.records.reading() as tx:
        assert people.find_login(tx, engine, "stranger") is None
    with pytest.raises(NotFound):
        people.find_customer_id(engine, "stranger")


def test_consent_said_last_stands(engine: Engine) -> None:
    """Granted, withdrawn, granted: each is what the choices say next."""
    one = people.register_login(engine, "anna")
    for granted in (True, False, True):
        people.say_consent(engine, one, Purpose.PERSONALISE, granted=granted)
        rows = {row["purpose"]: row for row in people.consent_choices(engine, one)}
        assert rows["personalise"]["granted"] is granted
        assert not rows["contact"]["granted"]


def test_an_erased_customer_is_gone_with_refused_rows(engine: Engine, tmp_path: Path) -> None:
    """After erasing, login and id find nobody, and the refused row's body is blank."""
    people.register_login(engine, "anna")
    file = tmp_path / "rows.ndjson"
    row = {"attribute_id": "a", "user_id": "anna", "attribute": "birth_year", "number": 1990,
           "occurred_at": "never"}  # fmt: skip
    file.write_text(json.dumps(row) + "\n")
    assert receive_file(engine, file, "attributes").rejected == 1
    waiting = rejected.reject_list(engine)[0]
    assert rejected.reject_show(engine, waiting["reject_id"])["body"]["user_id"] == "anna"
    done = people.erase_customer(engine, "anna", actor="test")
    assert (done["identifiers"], done["refused_rows"]) == (1, 1)
    assert rejected.reject_list(engine) == []
    with pytest.raises(NotFound):
        people.show_customer(engine, "anna")


def test_pieces_are_approved_by_their_words(engine: Engine) -> None:
    """An approval names the words; an edited piece has none."""
    listed = pieces.content_list(engine)
    assert len(listed) >= 12
    name = listed[0]["content_id"]
    assert pieces.approve_piece(engine, name, institution_id="qinghe_bank", actor="t")
    assert not pieces.approve_piece(engine, name, institution_id="qinghe_bank", actor="t")
    assert [one.content_id for one in pieces.approved_pieces(engine)] == [name]
    own = engine.workspace.content / "own.toml"
    own.write_text(
        f'content_id = "{name}"\ntopic = "other"\n'
        '[zh]\ntitle = "另"\nbody = "另一段"\n[en]\ntitle = "Other"\nbody = "Other words."\n'
    )
    assert pieces.approved_pieces(engine) == ()
    with pytest.raises(NotFound):
        pieces.approve_piece(engine, name, institution_id="nobody", actor="t")


def test_keys_of_every_role_are_listed_and_ended(engine: Engine) -> None:
    """Four roles; what ends is marked; an unknown role or house is refused."""
    made = [
        keys.key_create(engine, "operator"), keys.key_create(engine, "publishable"),
        keys.key_create(engine, "institution", institution_id="qinghe_bank"),
        keys.key_create(engine, "webhook", institution_id="qinghe_bank"),
    ]  # fmt: skip
    assert {row["role"] for row in keys.key_list(engine)} == set(keys.ROLES)
    assert len(keys.key_list(engine, "qinghe_bank")) == 2
    for one in made:
        keys.key_revoke(engine, one["key_id"])
    assert all(row["revoked_at"] for row in keys.key_list(engine))
    with pytest.raises(InputError):
        keys.key_create(engine, "king")
    with pytest.raises(InputError):
        keys.key_create(engine, "webhook")
    with pytest.raises(NotFound):
        keys.key_create(engine, "institution", institution_id="nobody")


def test_books_without_clicks_are_empty_and_sum_to_zero(engine: Engine) -> None:
    """A close of nothing posts nothing; an institution's statement is empty, a stranger's none."""
    assert books.close_books(engine).transfers == ()
    assert books.journal_state(engine) == {"journal_sum_minor": 0, "owed": []}
    made = books.statement_of(engine, "qinghe_bank", "2026-09")
    assert (made.lines, made.total_minor, made.currency) == ((), 0, "CNY")
    with pytest.raises(NotFound):
        books.statement_of(engine, "nobody", "2026-09")


@pytest.mark.parametrize(
    ("report", "field"),
    [
        ({"report_id": "r"}, "click_id"),
        ({"report_id": 3, "click_id": "c", "stage": "application"}, "report_id"),
        ({"report_id": "r", "click_id": "c", "stage": "s", "occurred_at": "soon"}, "occurred_at"),
        ({"report_id": "r", "click_id": "c", "stage": "s", "occurred_at": "2026-01-01T00:00:00Z",
          "amount_minor": 1.5}, "amount_minor"),
        ({"report_id": "r", "click_id": "c", "stage": "s", "occurred_at": "2026-01-01T00:00:00Z",
          "sequence": 2**40}, "sequence"),
        ({"report_id": "r", "click_id": "c", "stage": "s", "occurred_at": "2026-01-01T00:00:00Z",
          "extra": 1}, "extra"),
        ({"report_id": "r", "click_id": "c", "stage": "s", "institution_id": "another",
          "occurred_at": "2026-01-01T00:00:00Z"}, "institution_id"),
    ],
)  # fmt: skip
def test_a_report_that_cannot_be_read_is_named(report: dict[str, object], field: str) -> None:
    """Each fault of a report's form names its place and field."""
    with pytest.raises(SchemaError) as caught:
        bulk.report_rows([report], received_us=START_US, institution_id="mine")
    assert caught.value.field == field
    assert caught.value.record == "reports[0]"


def test_rows_of_every_kind_of_file_are_the_same(tmp_path: Path) -> None:
    """NDJSON, CSV and Parquet of the same rows are read alike; another kind is refused."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{"a": "1", "b": "x"}, {"a": "2", "b": "y"}]
    (tmp_path / "r.ndjson").write_text("".join(json.dumps(row) + "\n\n" for row in rows))
    (tmp_path / "r.csv").write_text("a,b\n1,x\n2,y\n")
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "r.parquet")
    for name in ("r.ndjson", "r.csv", "r.parquet"):
        assert list(bulk.read_rows(tmp_path / name)) == rows
    (tmp_path / "r.txt").write_text("")
    with pytest.raises(InputError):
        list(bulk.read_rows(tmp_path / "r.txt"))
    with pytest.raises(NotFound):
        list(bulk.read_rows(tmp_path / "none.csv"))
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    with pytest.raises(SchemaError):
        list(bulk.read_rows(tmp_path / "bad.parquet"))
