"""The close pays what a click's own catalog version says, whatever the file says today."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from jinqiao import conversion
from jinqiao.conversion import ClickOut
from jinqiao.domain.application import Click, Postback
from jinqiao.domain.stage import Polarity, Stage
from jinqiao.domain.time import DAY_US, from_us, to_us
from jinqiao.flow import books, bulk, daily, rejected
from jinqiao.flow.intake import apply_catalog
from jinqiao.flow.live import receive_reports
from jinqiao.flow.wiring import Engine, open_engine
from jinqiao.flow.workspace import init_workspace

START_US = to_us(datetime(2026, 9, 28, tzinfo=UTC))
LATE_ON_THE_30TH_US = to_us(datetime(2026, 9, 30, 20, tzinfo=UTC))  # October in Shanghai
PRODUCT, HOUSE = "qinghe_salary_loan", "qinghe_bank"


class Clock:
    """A clock that is set by hand."""

    now_us = START_US

    def __call__(self) -> int:
        self.now_us += 1_000
        return self.now_us


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with open_engine(workspace=init_workspace(tmp_path / "mine"), clock=Clock()) as opened:
        apply_catalog(opened, author="test")
        yield opened


def moved_to(engine: Engine, zone: str) -> None:
    """Write another zone into the institution's file and apply it."""
    file = engine.workspace.institutions / f"{HOUSE}.yaml"
    text = file.read_text(encoding="utf-8")
    assert "zone: Asia/Shanghai" in text
    file.write_text(text.replace("zone: Asia/Shanghai", f"zone: {zone}"), encoding="utf-8")
    apply_catalog(engine, author="test")


def clicked(engine: Engine, number: int, version: int) -> Click:
    product = engine.catalog().product(PRODUCT)
    assert product is not None
    at = engine.clock()
    out = ClickOut(
        f"trace-{number}", 1, "cust", PRODUCT, HOUSE, version, product.product_class,
        product.currency, at, at + 48 * 3_600_000_000,
    )  # fmt: skip

    def step(tx: Any) -> Click:
        return conversion.record_click(tx, out, key=engine.keyring.click)

    made = engine.write(step)
    assert isinstance(made, Click)
    return made


def told(click: Click, stage: Stage, at_us: int) -> Postback:
    return Postback(
        f"{click.click_id}-{stage}", click.institution_id, click.click_id, stage,
        Polarity.REACHED, from_us(at_us), from_us(at_us), 1_000_000, "CNY",
    )  # fmt: skip


def test_months_and_days_go_by_the_zone_of_the_clicks_version(engine: Engine) -> None:
    """A click made under Shanghai's clock is paid in Shanghai's month, though the file moved."""
    before = clicked(engine, 1, 1)
    moved_to(engine, "Europe/London")
    after = clicked(engine, 2, 2)
    paid = Stage.DISBURSEMENT
    reports = [
        told(click, stage, LATE_ON_THE_30TH_US)
        for click in (before, after)
        for stage in (Stage.APPLICATION, Stage.APPROVAL, Stage.ACTIVATION, paid)
    ]
    now = LATE_ON_THE_30TH_US + 10 * DAY_US
    assert receive_reports(engine, reports, now_us=now).accepted == len(reports)
    settled = daily.close(engine, now)
    assert len(settled.transfers) == 2
    october = books.statement_of(engine, HOUSE, "2026-10")
    september = books.statement_of(engine, HOUSE, "2026-09")
    assert [line.occurred_on for line in october.lines] == [date(2026, 10, 1)]
    assert [line.occurred_on for line in september.lines] == [date(2026, 9, 30)]
    assert [line.product_version for line in october.lines] == [1]


def test_an_issued_statement_keeps_its_days_when_the_file_moves(engine: Engine) -> None:
    """Another zone in the file changes no line and no digest of a statement issued before."""
    click = clicked(engine, 1, 1)
    stages = (Stage.APPLICATION, Stage.APPROVAL, Stage.ACTIVATION, Stage.DISBURSEMENT)
    receive_reports(
        engine, [told(click, stage, LATE_ON_THE_30TH_US) for stage in stages],
        now_us=LATE_ON_THE_30TH_US,
    )  # fmt: skip
    daily.close(engine, LATE_ON_THE_30TH_US + DAY_US)
    issued = books.statement_of(engine, HOUSE, "2026-10", issue=True)
    assert issued.lines
    moved_to(engine, "America/Los_Angeles")
    assert books.statement_of(engine, HOUSE, "2026-10", version=1) == issued


def test_a_report_that_cannot_be_read_is_kept_and_replayed(engine: Engine, tmp_path: Path) -> None:
    """A file's unreadable rows wait with the other rejects, once each; mended, they count."""
    click = clicked(engine, 1, 1)
    good = {
        "report_id": "r1", "institution_id": HOUSE, "click_id": click.click_id,
        "stage": "application", "occurred_at": from_us(engine.clock()).isoformat(),
    }  # fmt: skip
    bad = [
        {**good, "occurred_at": "soon"},
        {**good, "report_id": "r2", "note": "x"},
        {"report_id": "r3", "institution_id": HOUSE},
    ]
    file = tmp_path / "reports.ndjson"
    file.write_text("".join(json.dumps(row) + "\n" for row in bad), encoding="utf-8")
    for _ in range(2):
        got = bulk.import_reports(engine, file)
        assert (got["received"], got["rejected"], got["accepted"]) == (3, 3, 0)
    waiting = {row["record"]: row for row in rejected.reject_list(engine)}
    assert {name: row["field"] for name, row in waiting.items()} == {
        "r1": "occurred_at", "r2": "note", "r3": "click_id",
    }  # fmt: skip
    shown = rejected.reject_show(engine, waiting["r1"]["reject_id"])
    assert shown["body"] == bad[0]
    assert "occurred_at" in shown["why"]["en"]
    again = rejected.replay(engine)["reports"]
    assert (again["received"], again["rejected"], again["accepted"]) == (3, 3, 0)
    mended = {
        waiting["r1"]["reject_id"]: {"occurred_at": good["occurred_at"]},
        waiting["r2"]["reject_id"]: {"note": None},
    }
    assert rejected.replay(engine, mended)["reports"]["accepted"] == 2
    assert [row["record"] for row in rejected.reject_list(engine)] == ["r3"]
    with engine.records.reading() as tx:
        assert conversion.applications_of(tx, "cust").applications[0].state == "application"


def test_holds_are_freed_however_many_there_are(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More holds than one transaction takes are all marked, each once, and progress is told."""
    monkeypatch.setattr(daily, "EXPIRED_AT_ONCE", 3)
    clicks = [clicked(engine, number, 1) for number in range(10)]
    later = engine.clock() + 30 * DAY_US
    steps: list[float] = []
    daily.expire_holds(engine, later, lambda step, share: steps.append(share))
    with engine.records.reading() as tx:
        marked = tx.find("clicks", {"expired_at": later})
        assert not conversion.holds_due(tx, now_us=later)
    assert {row["click_id"] for row in marked} == {click.click_id for click in clicks}
    assert len(steps) > 3
    assert steps[-1] == 1.0
    assert daily.expire_holds(engine, later + 1) == 0
