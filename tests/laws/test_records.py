"""Laws of the records: memory, SQLite and PostgreSQL keep the same ones."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jinqiao.errors import Conflict, JinqiaoError, SchemaError, StoreError
from jinqiao.store.base import RETRY, Records, Tx, run_again

same_store = settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
Model = dict[str, dict[str, Any]]

IDS = ["a", "Z", "é", "中", "😀", "'", '"', "%", "\\", "", " "]
ids = st.sampled_from(IDS)
instants = st.integers(-3, 3) | st.sampled_from([2**62, -(2**62)])
subjects = st.fixed_dictionaries(
    {"subject_id": ids, "created_at": instants, "erased_at": st.none() | instants}
)
wheres = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"subject_id": ids | st.lists(ids, max_size=4)}),
    st.fixed_dictionaries({"created_at": instants | st.lists(instants, max_size=3)}),
    st.fixed_dictionaries({"erased_at": st.none() | instants, "created_at": instants}),
    st.fixed_dictionaries({"erased_at": st.none() | st.lists(instants, max_size=3)}),
)
orders = st.lists(
    st.sampled_from(["subject_id", "-subject_id", "created_at", "-created_at", "-erased_at"]),
    max_size=2,
    unique_by=lambda name: name.removeprefix("-"),
)
bounds = st.none() | st.fixed_dictionaries(
    {}, optional={"created_at": instants, "erased_at": instants, "subject_id": ids}
)
deltas = st.dictionaries(
    st.sampled_from(["created_at", "erased_at"]), st.integers(-5, 5), min_size=1
)
step = st.one_of(
    st.tuples(st.just("insert"), st.lists(subjects, max_size=3)),
    st.tuples(st.just("insert_new"), st.lists(subjects, max_size=4)),
    st.tuples(st.just("upsert"), st.lists(subjects, max_size=4)),
    st.tuples(
        st.just("update"), wheres, st.fixed_dictionaries({"erased_at": st.none() | instants})
    ),
    st.tuples(st.just("add"), wheres, deltas),
    st.tuples(st.just("delete"), wheres),
    st.tuples(st.just("find"), wheres, orders, st.none() | st.integers(0, 3), bounds, bounds),
    st.tuples(st.just("count"), wheres),
    st.tuples(st.just("total"), wheres, st.sampled_from(["created_at", "erased_at"])),
)
transactions = st.lists(st.tuples(st.lists(step, max_size=6), st.booleans()), max_size=5)


class Undone(Exception):
    """Thrown to roll back."""


def wiped(records: Records) -> None:
    with records.transaction() as tx:
        for table in ("subjects", "audit", "identifiers"):
            tx.delete(table, {})


def holds(row: dict[str, Any], where: dict[str, Any]) -> bool:
    return all(
        row[name] is not None and row[name] in wanted
        if isinstance(wanted, list)
        else row[name] == wanted
        for name, wanted in where.items()
    )


def found(model: Model, args: tuple[Any, ...]) -> list[dict[str, Any]]:
    where, order, limit, at_least, below = args
    rows = [
        row
        for row in model.values()
        if holds(row, where)
        and all(row[n] is not None and row[n] >= v for n, v in (at_least or {}).items())
        and all(row[n] is not None and row[n] < v for n, v in (below or {}).items())
    ]
    for name in reversed([*order, "subject_id"]):
        plain = name.removeprefix("-")
        rows.sort(
            key=lambda row: (row[plain] is not None, row[plain] or type(row[plain])()),
            reverse=name.startswith("-"),
        )
    return rows[:limit]


def played(model: Model, verb: str, *args: Any) -> Any:
    """What the contract says a verb does, on a plain dict."""
    if verb == "insert":
        for row in args[0]:
            if row["subject_id"] in model:
                return Conflict
            model[row["subject_id"]] = dict(row)
        return None
    if verb == "insert_new":
        return [model.setdefault(row["subject_id"], dict(row)) == row and is_new for row, is_new in
                ((row, row["subject_id"] not in model) for row in args[0])]  # fmt: skip
    if verb == "upsert":
        model.update({row["subject_id"]: dict(row) for row in args[0]})
        return None
    if verb == "find":
        return found(model, args)
    rows = [row for row in model.values() if holds(row, args[0])]
    if verb == "total":
        return sum(row[args[1]] or 0 for row in rows)
    for row in rows:
        if verb == "update":
            row.update(args[1])
        elif verb == "add":
            row.update({name: (row[name] or 0) + delta for name, delta in args[1].items()})
        elif verb == "delete":
            del model[row["subject_id"]]
    return len(rows)


def done(tx: Tx, verb: str, *args: Any) -> Any:
    if verb == "find":
        where, order, limit, at_least, below = args
        return tx.find(
            "subjects", where, order_by=order, limit=limit, at_least=at_least, below=below
        )
    if verb == "total":
        return tx.total("subjects", args[1], args[0])
    return getattr(tx, verb)("subjects", *args)


@same_store
@given(transactions)
def test_every_verb_does_what_the_contract_says(records: Records, plan: list[Any]) -> None:
    """Any transactions, kept or undone, leave what the same steps leave in a plain dict."""
    wiped(records)
    model: Model = {}
    for steps, keep in plan:
        trial = {key: dict(row) for key, row in model.items()}
        try:
            with records.transaction() as tx:
                for verb, *args in steps:
                    wanted = played(trial, verb, *args)
                    if wanted is Conflict:
                        with pytest.raises(Conflict):
                            done(tx, verb, *args)
                        raise Undone
                    assert done(tx, verb, *args) == wanted, verb
                if not keep:
                    raise Undone
            model = trial
        except Undone:
            pass
    with records.reading() as tx:
        assert tx.find("subjects") == found(model, ({}, [], None, None, None))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=8,
)  # fmt: skip


def audited(audit_id: str, details: object = None, **other: object) -> dict[str, object]:
    row = {"audit_id": audit_id, "recorded_at": 1, "actor": "a", "action": "b", "record_id": "c"}
    return {**row, "details": {} if details is None else details, **other}


@same_store
@given(json_values.filter(lambda value: value is not None))
def test_json_comes_back_as_it_went_in(records: Records, value: object) -> None:
    """A JSON column gives back the value it was given."""
    wiped(records)
    with records.transaction() as tx:
        tx.insert("audit", [audited("x", value)])
        assert tx.get("audit", {"audit_id": "x"}) == audited("x", value)


@same_store
@given(st.lists(st.tuples(ids, ids, st.binary(max_size=5)), max_size=6))
def test_a_key_of_two_columns_and_bytes(records: Records, rows: list[Any]) -> None:
    """Rows under a two-column key are told apart by both, and bytes are kept exactly."""
    wiped(records)
    named = [
        {"identifier_digest": a, "subject_id": b, "kind": "k", "sealed_value": c, "created_at": 1}
        for a, b, c in rows
    ]
    first: dict[tuple[str, str], bytes] = {}
    for a, b, c in rows:
        first.setdefault((a, b), c)
    with records.transaction() as tx:
        new = tx.insert_new("identifiers", named)
        assert sum(new) == len(first)
        kept = tx.find("identifiers")
        assert {(r["identifier_digest"], r["subject_id"]): r["sealed_value"] for r in kept} == first
        wanted = [c for _, _, c in rows[:2]]
        assert tx.count("identifiers", {"sealed_value": wanted}) == sum(
            c in wanted for c in first.values()
        )


REFUSED: list[tuple[str, Callable[[Tx], object], str]] = [
    ("a missing value", lambda tx: tx.insert("subjects", [{"subject_id": "x"}]), "created_at"),
    ("a null", lambda tx: tx.insert("audit", [audited("x", recorded_at=None)]), "recorded_at"),
    ("a text for a number", lambda tx: tx.upsert("audit", [audited("x", recorded_at="1")]),
     "recorded_at"),
    ("a truth for a number", lambda tx: tx.insert("audit", [audited("x", recorded_at=True)]),
     "recorded_at"),
    ("a fraction", lambda tx: tx.insert("audit", [audited("x", recorded_at=1.0)]), "recorded_at"),
    ("a number too large", lambda tx: tx.insert("audit", [audited("x", recorded_at=2**63)]),
     "recorded_at"),
    ("a text too long", lambda tx: tx.insert_new("audit", [audited("x" * 65)]), "audit_id"),
    ("a NUL", lambda tx: tx.insert("audit", [audited("x\0")]), "audit_id"),
    ("half a character", lambda tx: tx.insert("audit", [audited("\ud800")]), "audit_id"),
    ("not JSON", lambda tx: tx.insert("audit", [audited("x", {1j})]), "details"),
    ("not a number in JSON", lambda tx: tx.insert("audit", [audited("x", float("nan"))]),
     "details"),
    ("an unknown column", lambda tx: tx.insert("audit", [audited("x", colour=1)]), "colour"),
    ("an unknown filter", lambda tx: tx.find("audit", {"colour": 1}), "colour"),
    ("an unknown order", lambda tx: tx.find("audit", order_by=["-colour"]), "colour"),
    ("an unknown bound", lambda tx: tx.find("audit", below={"colour": 1}), "colour"),
    ("an unknown change", lambda tx: tx.update("audit", {}, {"colour": 1}), "colour"),
    ("adding to a text", lambda tx: tx.add("audit", {}, {"actor": 1}), "actor"),
    ("totalling a text", lambda tx: tx.total("audit", "actor"), "actor"),
    ("comparing JSON", lambda tx: tx.find("audit", {"details": {}}), "details"),
    ("a wrong type in a filter", lambda tx: tx.count("audit", {"recorded_at": "1"}),
     "recorded_at"),
    ("a wrong type in a list", lambda tx: tx.count("audit", {"recorded_at": ["1"]}),
     "recorded_at"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("verb", "field"), [case[1:] for case in REFUSED], ids=[c[0] for c in REFUSED]
)
def test_what_does_not_fit_is_refused(
    records: Records, verb: Callable[[Tx], object], field: str
) -> None:
    """A value that does not fit names its column, changes nothing, and the work can go on."""
    with records.transaction() as tx:
        tx.insert("audit", [audited("kept")])
        with pytest.raises(SchemaError) as caught:
            verb(tx)
        assert caught.value.field == field
        tx.insert("audit", [audited("also")])
    with records.reading() as tx:
        assert [row["audit_id"] for row in tx.find("audit")] == ["also", "kept"]


def test_a_sum_that_does_not_fit_is_refused(records: Records) -> None:
    """Adding past 64 bits is refused, never rounded, and leaves the row as it was."""
    with records.transaction() as tx:
        tx.insert("audit", [audited("x", recorded_at=2**63 - 1)])
    with pytest.raises(SchemaError), records.transaction() as tx:
        tx.add("audit", {"audit_id": "x"}, {"recorded_at": 1})
    with records.reading() as tx:
        assert tx.total("audit", "recorded_at") == 2**63 - 1


def test_a_conflict_names_the_key_and_dooms_the_transaction(records: Records) -> None:
    """The key that is there is named; a caller that passes over it cannot keep the rest."""
    with records.transaction() as tx:
        tx.insert("audit", [audited("x")])

    def passing_over() -> None:
        with records.transaction() as tx:
            tx.insert("audit", [audited("y")])
            with pytest.raises(Conflict, match="x") as caught:
                tx.insert("audit", [audited("w"), audited("x")])
            assert (caught.value.record, caught.value.field) == ("audit", "audit_id")
            with pytest.raises(StoreError, match="earlier step"):
                tx.count("audit")

    with pytest.raises(StoreError, match="cannot be kept"):
        passing_over()
    with records.reading() as tx:
        assert tx.count("audit") == 1


def test_an_unknown_table_is_named(records: Records) -> None:
    """A table that is not in the schema is refused by name."""
    with pytest.raises(StoreError, match="nowhere"), records.transaction() as tx:
        tx.count("nowhere")


def test_a_view_stays_as_it_was_opened(records: Records) -> None:
    """What others commit while a view is open does not appear in it."""
    with records.transaction() as tx:
        tx.insert("audit", [audited("x")])
    with records.reading() as view:
        with records.transaction() as tx:
            tx.insert("audit", [audited("y")])
            tx.add("audit", {"audit_id": "x"}, {"recorded_at": 5})
        assert view.count("audit") == 1
        assert view.total("audit", "recorded_at") == 1
    with records.reading() as view:
        assert view.total("audit", "recorded_at") == 7


def test_a_view_cannot_write_or_lock(records: Records) -> None:
    """A read-only view refuses every writing verb, and locks."""
    with records.reading() as view:
        for verb in (
            lambda: view.insert("audit", [audited("x")]),
            lambda: view.upsert("audit", []),
            lambda: view.add("audit", {}, {"recorded_at": 1}),
            lambda: view.delete("audit", {}),
            lambda: view.get("audit", {"audit_id": "x"}, lock=True),
        ):
            with pytest.raises(StoreError, match="read-only"):
                verb()


def test_a_thread_has_one_transaction_open(records: Records) -> None:
    """A second transaction, or a view, inside one is refused instead of waiting for ever."""
    with records.transaction():
        for opening in (records.transaction, records.reading):
            with pytest.raises(StoreError, match="open already"), opening():
                pass


def in_threads(n: int, work: Callable[[int], None]) -> None:
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


def test_no_addition_is_lost_between_threads(records: Records) -> None:
    """Additions, and reads followed by writes, by several threads all count."""
    with records.transaction() as tx:
        tx.insert("audit", [audited("x", recorded_at=0), audited("y", recorded_at=0)])

    def one(tx: Tx) -> None:
        tx.add("audit", {"audit_id": "x"}, {"recorded_at": 1})
        row = tx.get("audit", {"audit_id": "y"}, lock=True)
        assert row is not None
        tx.update("audit", {"audit_id": "y"}, {"recorded_at": row["recorded_at"] + 1})

    in_threads(4, lambda _: [run_again(records, one, attempts=200) for _ in range(10)] and None)
    with records.reading() as tx:
        assert [row["recorded_at"] for row in tx.find("audit")] == [40, 40]


def test_no_limit_is_passed_between_threads(records: Records) -> None:
    """Threads that each check what is left before taking one never take more than there is."""
    with records.transaction() as tx:
        tx.insert("audit", [audited("left", recorded_at=7)])
    taken: list[int] = []

    def take(tx: Tx) -> bool:
        row = tx.get("audit", {"audit_id": "left"})
        if row is None or row["recorded_at"] == 0:
            return False
        tx.add("audit", {"audit_id": "left"}, {"recorded_at": -1})
        return True

    def work(number: int) -> None:
        taken.extend(number for _ in range(5) if run_again(records, take, attempts=200))

    in_threads(4, work)
    with records.reading() as tx:
        assert tx.total("audit", "recorded_at") == 0
    assert len(taken) == 7


def test_a_key_is_new_to_one_thread_only(records: Records) -> None:
    """Of several threads that insert the same keys, each key is new exactly once."""
    wins: list[bool] = []

    def work(_: int) -> None:
        rows = [audited(f"k{i}") for i in range(20)]
        wins.extend(run_again(records, lambda tx: tx.insert_new("audit", rows), attempts=200))

    in_threads(4, work)
    assert sum(wins) == 20


def test_run_again_gives_up_with_the_last_conflict(records: Records) -> None:
    """A transaction that always loses ends in Conflict; another fault is not run again."""
    tries: list[str] = []

    def lose(tx: Tx, field: str) -> None:
        tries.append(field)
        raise Conflict("lost", field=field)

    with pytest.raises(Conflict):
        run_again(records, lambda tx: lose(tx, RETRY), attempts=3)
    with pytest.raises(Conflict):
        run_again(records, lambda tx: lose(tx, "audit_id"), attempts=3)
    assert tries == [RETRY, RETRY, RETRY, "audit_id"]


def test_twenty_thousand_rows_at_once(records: Records) -> None:
    """Bulk verbs do in one call what row by row would do."""
    rows = [audited(f"r{i:05d}", recorded_at=i) for i in range(20_000)]
    with records.transaction() as tx:
        tx.insert("audit", rows[:15_000])
        new = tx.insert_new("audit", rows[10_000:])
        assert (sum(new[:5_000]), sum(new[5_000:])) == (0, 5_000)
        tx.upsert("audit", [{**row, "recorded_at": 0} for row in rows[:19_000]])
        assert tx.count("audit", {"audit_id": [row["audit_id"] for row in rows]}) == 20_000
        assert tx.total("audit", "recorded_at") == sum(range(19_000, 20_000))


def test_an_upsert_keeps_what_it_does_not_name(records: Records) -> None:
    """A nullable column that an upsert leaves out keeps its value."""
    with records.transaction() as tx:
        tx.insert("subjects", [{"subject_id": "a", "created_at": 1, "erased_at": 5}])
        tx.upsert("subjects", [{"subject_id": "a", "created_at": 2},
                               {"subject_id": "b", "created_at": 3}])  # fmt: skip
        assert [(r["created_at"], r["erased_at"]) for r in tx.find("subjects")] == [
            (2, 5), (3, None),
        ]  # fmt: skip


WRITER = """
import sys
from jinqiao.store.records import open_records
records = open_records(sys.argv[1])
row = {"recorded_at": 1, "actor": "a", "action": "b", "record_id": "c", "details": {}}
for i in range(100_000):
    with records.transaction(durable=True) as tx:
        tx.insert("audit", [{**row, "audit_id": f"{i}-first"}])
        tx.insert("audit", [{**row, "audit_id": f"{i}-second"}])
    print(i, flush=True)
"""


@pytest.mark.parametrize("lines", [1, 7, 40])
def test_what_was_acknowledged_survives_a_kill(records_url: str, lines: int) -> None:
    """After kill -9 every acknowledged transaction is there whole, and none is there by half."""
    from jinqiao.store.records import open_records

    records = open_records(records_url)
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, records_url], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    acknowledged = [int(writer.stdout.readline()) for _ in range(lines)]
    writer.kill()
    acknowledged += [int(line) for line in writer.stdout if line.endswith("\n")]
    writer.wait()
    with records.reading() as tx:
        kept = {row["audit_id"] for row in tx.find("audit")}
    for i in acknowledged:
        assert {f"{i}-first", f"{i}-second"} <= kept
    halves = [audit_id.partition("-")[0] for audit_id in kept]
    assert all(halves.count(half) == 2 for half in set(halves))
    records.close()


def test_records_that_cannot_be_reached_say_so(tmp_path: Path) -> None:
    """A missing folder, a file that is no database and another kind of URL are named faults."""
    from jinqiao.store.records import open_records

    (tmp_path / "junk.db").write_text("not a database, and long enough to be looked at as one")
    for url in (f"sqlite:///{tmp_path}/none/records.db", f"sqlite:///{tmp_path}/junk.db"):
        with pytest.raises(JinqiaoError) as caught:
            open_records(url).migrate()
        assert caught.value.code == "unavailable"
    with pytest.raises(StoreError, match="mysql"):
        open_records("mysql://x/y")
    with pytest.raises(StoreError, match="file"):
        open_records("sqlite://")


def test_records_before_migrate_say_what_to_do(tmp_path: Path) -> None:
    """An empty database asks for ``migrate``."""
    from jinqiao.store.records import open_records

    records = open_records(f"sqlite:///{tmp_path}/records.db")
    with pytest.raises(StoreError, match=r"migrate\(\)"), records.reading() as tx:
        tx.count("audit")
