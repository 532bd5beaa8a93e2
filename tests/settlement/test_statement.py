"""Statements to the cent, version by version, and how they differ from the institution's list."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion.reporting import DAY_US, T0_US, report
from jinqiao import settlement
from jinqiao.domain.application import Click
from jinqiao.domain.messages import render
from jinqiao.domain.stage import Polarity, Stage
from jinqiao.errors import InputError, JinqiaoError, NotFound, SchemaError
from jinqiao.settlement import Reconciliation
from jinqiao.store.memory import MemoryRecords
from settlement.paying import clicks_on, close, fresh, hear

NOW_US = T0_US + 60 * DAY_US


def a_month(records: MemoryRecords, units: int = 3) -> list[Click]:
    """Settle a January with so many activations of 100.00 each; return the clicks."""
    clicks = clicks_on(records, ["cpa"] * units)
    hear(records, [report(c, f"a{n}", Stage.ACTIVATION, days=3) for n, c in enumerate(clicks)])
    close(records)
    return clicks


def test_a_statement_adds_up(records: MemoryRecords) -> None:
    """The total is the sum of the lines; the CSV says the same to the cent."""
    a_month(records)
    with records.reading() as tx:
        made = settlement.statement(tx, "bank", "2026-01")
    assert made.total_minor == sum(line.amount_minor for line in made.lines) == 30_000
    rows = list(csv.DictReader(io.StringIO(settlement.statement_csv(made))))
    assert [row["amount"] for row in rows] == ["100.00"] * 3
    assert sum(int(row["amount_minor"]) for row in rows) == made.total_minor


def test_a_version_never_changes_once_issued(records: MemoryRecords) -> None:
    """A later correction makes version 2: the old lines, and the lines of difference."""
    clicks = a_month(records)
    with records.transaction() as tx:
        first = settlement.issue(tx, "bank", "2026-01", now_us=NOW_US)
        assert settlement.issue(tx, "bank", "2026-01", now_us=NOW_US + 1) == first
    gone = report(clicks[0], "x", Stage.ACTIVATION, Polarity.REVERSED, corrects="a0")
    hear(records, [gone])
    close(records)
    with records.transaction() as tx:
        assert settlement.statement(tx, "bank", "2026-01").version == 2
        second = settlement.issue(tx, "bank", "2026-01", now_us=NOW_US + 2)
        assert settlement.statement(tx, "bank", "2026-01", version=1) == first
        assert len(settlement.statements_of(tx, "bank")) == 2
        with pytest.raises(NotFound):
            settlement.statement(tx, "bank", "2026-01", version=3)
    assert (first.version, second.version) == (1, 2)
    assert set(first.lines) <= set(second.lines)
    (line,) = set(second.lines) - set(first.lines)
    assert (line.reason, line.amount_minor) == ("restate", -10_000)
    assert second.total_minor == 20_000
    assert first.digest != second.digest


def test_an_institution_s_statement_is_its_own(records: MemoryRecords) -> None:
    """Another institution's month is empty."""
    a_month(records)
    with records.reading() as tx:
        other = settlement.statement(tx, "insurer", "2026-01")
    assert (other.lines, other.total_minor, other.version) == ((), 0, 1)


@pytest.mark.parametrize("month", ["", "2026", "2026-13", "2026-1", "26-01-01", "2026/01"])
def test_a_month_is_a_month(records: MemoryRecords, month: str) -> None:
    """Anything else is refused, with how to write it."""
    with records.reading() as tx, pytest.raises(InputError, match="2026-11"):
        settlement.statement(tx, "bank", month)


def compare(records: MemoryRecords, rows: Sequence[dict[str, object]]) -> Reconciliation:
    """Reconcile January with rows."""
    with records.reading() as tx:
        return settlement.reconcile(tx, settlement.statement(tx, "bank", "2026-01"), rows)


def listed(clicks: Sequence[Click], amount: str = "100.00") -> list[dict[str, object]]:
    """Return the institution's list, by click id."""
    return [{"click_id": click.click_id, "amount": amount, "currency": "CNY"} for click in clicks]


def kinds(found: Reconciliation) -> list[str]:
    """Return the kind of each difference."""
    return [item.kind for item in found.differences]


def test_a_list_that_agrees(records: MemoryRecords, tmp_path: Path) -> None:
    """Rows, CSV in UTF-8 or GB18030 with Chinese names, and Parquet all agree to the cent."""
    rows = listed(a_month(records))
    assert compare(records, rows).agrees
    header = "点击号,金额,币种\r\n"
    body = header + "".join(f"{r['click_id']},{r['amount']},CNY\r\n" for r in rows)
    for encoding in ("utf-8", "utf-8-sig", "gb18030"):
        path = tmp_path / f"{encoding}.csv"
        path.write_bytes(body.encode(encoding))
        assert compare(records, path).agrees  # type: ignore[arg-type]
    parquet = tmp_path / "list.parquet"
    pq.write_table(pa.Table.from_pylist(rows), parquet)
    found = compare(records, str(parquet))  # type: ignore[arg-type]
    assert (found.agrees, found.matched, found.theirs_minor) == (True, 3, 30_000)


def test_our_own_csv_agrees_with_us(records: MemoryRecords) -> None:
    """A statement sent out and sent back has no difference, corrections included."""
    clicks = a_month(records)
    hear(records, [report(clicks[0], "r", Stage.ACTIVATION, Polarity.REVERSED, days=5)])
    close(records)
    with records.reading() as tx:
        made = settlement.statement(tx, "bank", "2026-01")
        rows = list(csv.DictReader(io.StringIO(settlement.statement_csv(made))))
        assert len(rows) == 4
        assert settlement.reconcile(tx, made, rows).agrees


def test_every_kind_of_difference(records: MemoryRecords) -> None:
    """Missing on either side, another amount, listed twice, another month: each is named."""
    clicks = a_month(records, 4)
    late = clicks_on(records, ["cpa"] * 5)[4]
    hear(records, [report(late, "late", Stage.ACTIVATION, days=40)])
    close(records)
    rows = listed([clicks[0], clicks[0], clicks[2], late])
    rows += [{"click_id": clicks[1].click_id, "amount": "99.99"}]
    rows += [{"application_id": "app_nobody", "amount": "5"}]
    found = compare(records, rows)
    by_application = {item.application_id: item for item in found.differences}
    assert by_application[clicks[0].application_id].kind == "duplicate"
    assert by_application[clicks[0].application_id].row_numbers == (1, 2)
    assert by_application[clicks[1].application_id].kind == "amount"
    assert by_application[clicks[3].application_id].kind == "missing_theirs"
    assert by_application[late.application_id].kind == "other_month"
    assert by_application[late.application_id].month == "2026-02"
    assert by_application["app_nobody"].kind == "missing_ours"
    assert (found.matched, len(found.differences)) == (1, 5)
    for item in found.differences:
        numbers = {
            "application_id": item.application_id, "month": item.month,
            "ours_minor": item.ours_minor, "theirs_minor": item.theirs_minor,
        }  # fmt: skip
        assert all(render(f"reconcile_{item.kind}", lang, numbers) for lang in ("zh", "en"))


def test_what_was_taken_back_is_on_no_other_month(records: MemoryRecords) -> None:
    """A retracted application they still list is missing here, not on another statement."""
    clicks = a_month(records, 1)
    late = clicks_on(records, ["cpa"] * 2)[1]
    hear(records, [report(late, "late", Stage.ACTIVATION, days=40)])
    close(records)
    hear(records, [report(late, "x", Stage.ACTIVATION, Polarity.REVERSED, corrects="late")])
    close(records)
    assert kinds(compare(records, listed([*clicks, late]))) == ["missing_ours"]


def test_what_nets_to_zero_may_be_left_out(records: MemoryRecords) -> None:
    """A payout and its clawback in one month need not be listed."""
    clicks = a_month(records, 1)
    hear(records, [report(clicks[0], "r", Stage.ACTIVATION, Polarity.REVERSED, days=5)])
    close(records)
    assert compare(records, [{"click_id": "clk_x", "amount": "0"}]).differences[0].kind == (
        "missing_ours"
    )
    assert compare(records, []).agrees


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"click_id": ""}, "application_id"),
        ({"amount": "ten"}, "amount"),
        ({"amount": ""}, "amount"),
        ({"amount": "1.001"}, "amount"),
        ({"amount": "NaN"}, "amount"),
        ({"currency": "USD"}, "currency"),
    ],
)
def test_a_bad_row_is_named_and_the_rest_compared(
    records: MemoryRecords, change: dict[str, object], field: str
) -> None:
    """Row number and field are told; the other rows still match."""
    rows = listed(a_month(records))
    found = compare(records, [*rows, {**rows[0], **change}])
    assert found.matched == 3
    (bad,) = found.bad_rows
    assert (bad.row_number, bad.field) == (4, field)
    assert not found.agrees


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b""),
        ("b.csv", b"name,sum\r\n1,2\r\n"),
        ("c.csv", b'click_id,amount\r\n"open,1\r\n'),
        ("d.csv", b"\xff\xff\xff\x00"),
        ("e.parquet", b"PAR1 no"),
        ("f.csv", b"PAR1"),
    ],
)
def test_a_file_that_cannot_be_used_is_an_error(
    records: MemoryRecords, tmp_path: Path, name: str, content: bytes
) -> None:
    """It names the file; a file that is not there too."""
    a_month(records)
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SchemaError, match=name):
        compare(records, path)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="missing"):
        compare(records, tmp_path / "missing.csv")  # type: ignore[arg-type]


@given(content=st.binary(max_size=200), name=st.sampled_from(["x.csv", "x.parquet"]))
def test_random_files_never_break_it(
    content: bytes, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Any bytes are either compared or refused within the error tree."""
    path = tmp_path_factory.mktemp("theirs") / name
    path.write_bytes(content)
    with fresh().reading() as tx:
        made = settlement.statement(tx, "bank", "2026-01")
        with suppress(JinqiaoError):
            settlement.reconcile(tx, made, path)
