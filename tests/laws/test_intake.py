"""Laws of what comes in: counts add up, order and repetition do not matter, nothing is lost."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events.receiving import NOW_US, Receiving, message, raw_transactions, transaction
from jinqiao import customer
from jinqiao.customer import Said, Vault
from jinqiao.domain.consent import ConsentAction, ConsentEvent, Purpose
from jinqiao.domain.identity import Identifier, IdentifierLink
from jinqiao.domain.ids import SubjectId
from jinqiao.domain.time import from_us
from jinqiao.errors import JinqiaoError, SchemaError
from jinqiao.events import accept_file, accept_messages, accept_table, refused_bodies, replay
from jinqiao.ledger import read_bill
from jinqiao.store.memory import MemoryRecords

FEW = settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])


@contextmanager
def received_somewhere() -> Iterator[Receiving]:
    with tempfile.TemporaryDirectory() as folder:
        yield Receiving(Path(folder))


CHANGES: list[dict[str, Any]] = [
    {}, {}, {}, {"currency": "?"}, {"user_id": None}, {"amount_minor": None}, {"category": "fun"},
    {"occurred_at": NOW_US * 2}, {"memo": None}, {"counterparty_key": "王"},
]  # fmt: skip
ROWS = st.lists(st.tuples(st.integers(0, 12), st.sampled_from(CHANGES)), max_size=25)


@FEW
@given(ROWS, ROWS)
def test_received_is_accepted_and_rejected_and_duplicate(
    first: list[tuple[int, dict[str, Any]]], second: list[tuple[int, dict[str, Any]]]
) -> None:
    """For random rows, good and bad, new and known: the counts add up and are the lake's."""
    with received_somewhere() as here:
        parts = []
        for name, some in (("b1", first), ("b2", second)):
            table = raw_transactions([transaction(n, **change) for n, change in some])
            parts.append(accept_table(here.door, here.batch(name), "transactions", table))
        for received, some in zip(parts, (first, second), strict=True):
            assert received.received == len(some)
            assert received.received == received.accepted + received.rejected + received.duplicate
        assert sum(part.accepted for part in parts) == len(here.rows("transactions"))
        assert sum(part.rejected for part in parts) == len(here.rejects())


def stream(draw: st.DrawFn) -> list[dict[str, Any]]:
    messages = []
    for number in range(draw(st.integers(1, 12))):
        kind = draw(st.sampled_from(["track", "identify", "alias", "page"]))
        changes: dict[str, Any] = {"type": kind, "userId": draw(st.sampled_from("abcd"))}
        if kind == "alias":
            changes["previousId"] = draw(st.sampled_from("abcd"))
        if kind == "identify":
            changes["traits"] = {
                "phone": draw(st.sampled_from(["131", "132"])),
                "birth_year": draw(st.integers(1950, 2005)),
            }
        if draw(st.booleans()):
            changes["anonymousId"] = draw(st.sampled_from("xy"))
        if draw(st.integers(0, 9)) == 0:
            changes["timestamp"] = "never"
        messages.append(message(number, **changes))
    return messages


STREAMS = st.composite(stream)()


def state(here: Receiving) -> tuple[Any, ...]:
    rows = [
        [{k: v for k, v in row.items() if k != "received_at"} for row in here.rows(table)]
        for table in ("behaviour", "attributes")
    ]
    key = lambda row: str(sorted(row.items()))  # noqa: E731
    return here.people(), *(sorted(some, key=key) for some in rows)


@FEW
@given(STREAMS, st.data())
def test_order_repetition_and_splitting_of_a_stream_change_nothing(
    messages: list[dict[str, Any]], data: st.DataObject
) -> None:
    """Messages once in order, or shuffled, repeated and split: the same rows and people."""
    with received_somewhere() as plain, received_somewhere() as mixed:
        plain.post("all", messages)
        again = data.draw(st.lists(st.sampled_from(messages), max_size=6))
        shuffled = data.draw(st.permutations(messages + again))
        cut = data.draw(st.integers(0, len(shuffled)))
        for number, part in enumerate((shuffled[:cut], shuffled[cut:])):
            mixed.now_us += 1_000_000
            mixed.post(f"part {number}", part)
        assert state(plain) == state(mixed)


STATEMENTS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from([Purpose.PERSONALISE, Purpose.CONTACT]),
        st.sampled_from(list(ConsentAction)),
        st.integers(1, 6),
        st.sampled_from([None, 7, 20]),
    ),
    min_size=1,
    max_size=10,
)


@FEW
@given(STATEMENTS, st.data())
def test_order_and_repetition_of_consent_change_nothing(
    said: list[tuple[int, Purpose, ConsentAction, int, int | None]], data: st.DataObject
) -> None:
    """Statements in any order, repeated and split, end in the same consent state."""
    records, vault = MemoryRecords(), Vault(b"k" * 32)
    with records.transaction() as tx:
        ids = customer.resolve(
            tx, "login", list("abc"), now_us=1, rng=np.random.default_rng(1), vault=vault
        ).to_pylist()
    events = [
        ConsentEvent(
            "", SubjectId(ids[who]), purpose, action, f"{purpose.value}@1", from_us(at),
            from_us(9), expires_at=None if expires is None else from_us(expires),
        )
        for who, purpose, action, at, expires in said
    ]  # fmt: skip

    def ends(order: list[ConsentEvent], cut: int) -> list[dict[str, Any]]:
        class Undo(Exception):
            pass

        found: list[dict[str, Any]] = []
        try:
            with records.transaction() as tx:
                customer.record_consents(tx, order[:cut])
                customer.record_consents(tx, order[cut:])
                found = customer.consent_state(tx, 10).to_pylist()
                raise Undo
        except Undo:
            return found

    shuffled = data.draw(st.permutations(events + data.draw(st.lists(st.sampled_from(events)))))
    cut = data.draw(st.integers(0, len(shuffled)))
    assert ends(events, len(events)) == ends(shuffled, cut)


@FEW
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.booleans()), max_size=14))
def test_a_merge_undone_restores_the_map_exactly(steps: list[tuple[int, int, bool]]) -> None:
    """After any merges and links, one more merge and its undoing leave the map as it was."""
    vault, rng = Vault(b"k" * 32), np.random.default_rng(2)
    with MemoryRecords().transaction() as tx:
        ids = customer.resolve(
            tx, "login", [f"u{i}" for i in range(6)], now_us=1, rng=rng, vault=vault
        ).to_pylist()
        maps = []
        made: list[str] = []
        for now_us, (one, other, by_key) in enumerate(steps, 2):
            if one == other:
                continue
            before = customer.customer_map(tx)
            if by_key:
                pair = IdentifierLink(
                    Identifier("login", f"u{one}"), Identifier("login", f"u{other}"), "m"
                )
                new = customer.link(tx, [pair], now_us=now_us, rng=rng, vault=vault)
            else:
                merge_id = customer.merge(tx, ids[one], ids[other], actor="op", now_us=now_us)
                new = [merge_id] if merge_id not in made else []
            made += new
            maps.append((before, new))
        for before, new in reversed(maps):
            for merge_id in new:
                customer.unmerge(tx, merge_id, actor="op", now_us=99)
            if new:
                assert customer.customer_map(tx).equals(before)
        assert customer.customer_map(tx)["customer_id"].to_pylist() == sorted(ids)


@FEW
@given(st.binary(max_size=400))
def test_random_bytes_as_a_body_are_taken_whole_or_refused_whole(body: bytes) -> None:
    """Bytes that are no batch raise SchemaError; bytes that are lose no message."""
    with received_somewhere() as here:
        try:
            received = accept_messages(here.door, here.batch("b"), body)
        except SchemaError:
            assert here.rejects() == []
            return
        assert received.received == received.accepted + received.rejected + received.duplicate


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
FIELDS = st.sampled_from(["type", "messageId", "userId", "timestamp", "properties", "traits"])


@FEW
@given(st.lists(JSON | st.dictionaries(FIELDS, JSON), max_size=6))
def test_random_json_loses_nothing(values: list[Any]) -> None:
    """Each message of random JSON is a row or a refused row whose body is what came."""
    body = json.dumps({"batch": values}, allow_nan=True)
    body = body.replace("NaN", "0").replace("-Infinity", "0").replace("Infinity", "0")
    sent = json.loads(body)["batch"]
    with received_somewhere() as here:
        received = accept_messages(here.door, here.batch("b"), body.encode())
        assert received.received == len(sent)
        kept = {row["row_number"]: row["reject_id"] for row in here.rejects()}
        bodies = refused_bodies(here.door, list(kept.values()))
        for row, reject_id in kept.items():
            assert json.loads(bodies[reject_id]) == sent[row - 1]


HEAD = ("transaction_id,user_id,account_id,occurred_at,received_at,amount_minor,currency,"
        "balance_minor,category,instrument,counterparty_key,memo\n")  # fmt: skip
GOOD = "t{0},u,a,2025-12-31T00:00:00Z,,-1,CNY,,dining,card,,x\n"
MESS = st.lists(
    st.one_of(
        st.integers(0, 9).map(lambda n: GOOD.format(n).encode()),
        st.binary(max_size=40).map(lambda b: b + b"\n"),
        st.sampled_from([b'"', b't,"\n', b",,,,,,,,,,,\n", b"\n", b"\r\n"]),
    ),
    max_size=12,
)


@FEW
@given(MESS)
def test_random_csv_loses_nothing(mess: list[bytes]) -> None:
    """A CSV with broken lines anywhere: every byte of a record is a row's or a refused row's."""
    with received_somewhere() as here:
        path = here.folder / "a.csv"
        path.write_bytes(HEAD.encode() + b"".join(mess))
        received = accept_file(here.door, here.batch("b"), "transactions", path)
        assert received.received == received.accepted + received.rejected + received.duplicate
        assert received.rejected == len(here.rejects())
        lines = [line for line in b"".join(mess).splitlines() if line.strip()]
        assert bool(lines) == bool(received.received)


@FEW
@given(st.binary(max_size=300), st.booleans())
def test_random_bytes_as_a_bill_are_read_or_refused(noise: bytes, under_header: bool) -> None:
    """Bytes are no bill, or a bill whose rows and faults are all its rows; never anything else."""
    head = (
        "交易时间,交易类型,交易对方,商品,收/支,金额(元),支付方式,当前状态,交易单号,商户单号,备注\n"
    )
    data = (head.encode() if under_header else b"") + noise
    try:
        bill = read_bill(data, digest=str)
    except JinqiaoError:
        return
    assert bill.read == bill.rows.num_rows + len(bill.faults)


@FEW
@given(ROWS)
def test_a_mended_row_gives_the_state_it_would_have_given(
    some: list[tuple[int, dict[str, Any]]],
) -> None:
    """Every refused row mended and replayed later: the lake is as if all had been good."""
    some = [(place, change) for place, (_, change) in enumerate(some)]
    good = [transaction(n) for n, _ in some]
    with received_somewhere() as plain, received_somewhere() as mended:
        accept_table(plain.door, plain.batch("b"), "transactions", raw_transactions(good))
        bad = [row | change for row, (_, change) in zip(good, some, strict=True)]
        bad = [row | {"memo": good[n]["memo"]} for n, row in enumerate(bad)]
        accept_table(mended.door, mended.batch("b"), "transactions", raw_transactions(bad))
        fixed = {}
        for row in mended.rejects():
            whole = dict(good[row["row_number"] - 1])
            whole["occurred_at"] = from_us(whole["occurred_at"]).isoformat()
            fixed[row["reject_id"]] = whole
        mended.now_us += 3_600_000_000
        replay(mended.door, now_us=mended.now_us, fixed=fixed)
        assert mended.rows("transactions") == plain.rows("transactions")


WORKER = """
import json, os, shutil, signal, sys
from pathlib import Path
import duckdb, pyarrow.compute, pyarrow.parquet
from events.receiving import Receiving, message, raw_transactions, transaction
from jinqiao.events import accept_messages, accept_table, replay
from jinqiao.store.lake import open_lake
from jinqiao.store.records import open_records

step = 0

def stepping(call, die_at):
    def stepped(*args, **kwargs):
        global step
        for when in ("before", "after"):
            step += 1
            if step == die_at:
                os.kill(os.getpid(), signal.SIGKILL)
            if when == "before":
                found = call(*args, **kwargs)
        return found
    return stepped

def intake(folder, die_at):
    folder.mkdir(exist_ok=True)
    if not (folder / "records.db").exists():
        shutil.copy(sys.argv[2], folder / "records.db")
    records = open_records(f"sqlite:///{folder}/records.db")
    lake = open_lake(folder / "lake", durable=False)
    here = Receiving(folder / "rejects", lake=lake, records=records)
    records.transaction = stepping(records.transaction, die_at)
    lake.append = stepping(lake.append, die_at)
    here.vault.seal_body = stepping(here.vault.seal_body, die_at)
    rows = [transaction(n) for n in range(6)] + [transaction(7, currency="?"), transaction(1)]
    people = [message(1, type="identify", traits={"birth_year": 1990, "phone": "138"}),
              message(2, type="?"), message(3), message(3)]
    received = [
        accept_table(here.door, here.batch("t"), "transactions", raw_transactions(rows)),
        accept_messages(here.door, here.batch("m"), people),
    ]
    steps = step
    return {
        "steps": steps,
        "counts": [[r.received, r.accepted, r.rejected, r.duplicate] for r in received],
        "rows": {t: here.rows(t) for t in ("transactions", "behaviour", "attributes")},
        "rejects": sorted([r["reject_id"], r["code"], r["status"]] for r in here.rejects()),
    }

def in_a_process(folder, die_at):
    child = os.fork()
    if child == 0:
        try:
            found = intake(folder, die_at)
            (folder / "found.json").write_text(json.dumps(found, default=str))
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status)
    assert status == 0
    return json.loads((folder / "found.json").read_text())

root = Path(sys.argv[1])
whole = in_a_process(root / "whole", 0)
ends = []
for die_at in range(1, whole["steps"] + 1):
    killed = in_a_process(root / str(die_at), die_at)
    ends.append([killed, in_a_process(root / str(die_at), 0)])
print(json.dumps([whole, ends]))
"""


def test_a_kill_at_any_step_and_a_retry_end_in_the_same_state(
    sqlite_template: Path,
) -> None:
    """kill -9 between any two steps of an intake; the same batches again give rows and counts."""
    memory = Path("/dev/shm")  # a kill loses nothing the kernel has; waiting for a disk is not it
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        done = subprocess.run(
            [sys.executable, "-c", WORKER, folder, str(sqlite_template)],
            capture_output=True,
            text=True,
            check=False,
            env={"PYTHONPATH": str(Path(__file__).parents[1]), "PATH": "/usr/bin:/bin"},
        )
    assert done.returncode == 0, done.stderr
    whole, ends = json.loads(done.stdout)
    assert whole["counts"] == [[8, 6, 1, 1], [4, 2, 1, 1]]
    assert len(ends) >= 20
    for die_at, (killed, again) in enumerate(ends, 1):
        assert killed == 9, die_at
        for part in ("counts", "rows", "rejects"):
            assert again[part] == whole[part], (die_at, part)


@pytest.mark.parametrize("said", [Said(from_us(5), from_us(6))])
def test_consent_texts_are_the_words_agreed_to(said: Said) -> None:
    """Each recorded statement carries the digest of a text that is there to be read."""
    with MemoryRecords().transaction() as tx:
        customer.publish_texts(tx, customer.shipped_texts(), 1)
        (one,) = customer.resolve(
            tx, "login", ["a"], now_us=1, rng=np.random.default_rng(1), vault=Vault(b"k" * 32)
        ).to_pylist()
        for purpose in Purpose:
            customer.grant(tx, one, purpose, said)
        digests = {row["version"]: row["digest"] for row in tx.find("consent_texts")}
        assert all(
            row["text_digest"] == digests[row["text_version"]] for row in tx.find("consents")
        )
