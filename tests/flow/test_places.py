"""Time, place and branch at serving: what a schedule says, and whose limits a shelf counts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jinqiao import catalog as catalogs
from jinqiao.domain.shelf import Context
from jinqiao.domain.time import from_us, to_us
from jinqiao.errors import NotFound
from jinqiao.flow import daily
from jinqiao.flow.intake import apply_catalog
from jinqiao.flow.live import Live
from jinqiao.flow.serve import Asked, Service
from jinqiao.flow.wiring import Engine, open_engine
from jinqiao.flow.workspace import init_workspace

NOON_US = to_us(datetime(2026, 9, 28, 4, tzinfo=UTC))  # 12:00 in Shanghai


class Clock:
    """A clock that is set by hand."""

    now_us = NOON_US

    def __call__(self) -> int:
        self.now_us += 1_000
        return self.now_us


def product(name: str, kind: str, **more: Any) -> dict[str, Any]:
    return {
        "product_id": name, "class": kind, "name": {"zh": name, "en": name}, "risk": "R1",
        "cost": {"rate_bps": 150, "amount_minor": {"min": 1, "max": 10_000},
                 "term_days": {"min": 1, "max": 365}, "repayment": "bullet",
                 "example": {"amount_minor": 1_000, "term_days": 365}},
        "payout": {"basis": "CPA", "stage": "activation",
                   "tiers": [{"from_count": 1, "amount_minor": 30}]},
        "limits": [], "delivery": {"route": "redirect", "hold_hours": 48,
                                   "url": "https://bank.example/apply"}, **more,
    }  # fmt: skip


FILE = {
    "institution_id": "house", "name": {"zh": "甲", "en": "House"}, "licence": "bank",
    "jurisdiction": "CN", "currency": "CNY", "zone": "Asia/Shanghai",
    "branches": [
        {"branch_id": name, "name": {"zh": name, "en": name}, "region": region,
         "limits": [{"count": 1, "period": "day"}]}
        for name, region in (("bund", "east"), ("harbour", "south"))
    ],
    "products": [
        product("anywhere", "deposit"),
        product("eastern", "e_account", schedule={"regions": ["east"]}),
        product("morning", "payment", schedule={"hours": [8, 12]}),
    ],
}  # fmt: skip


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with open_engine(workspace=init_workspace(tmp_path / "mine", samples=False),
                     clock=Clock()) as engine:  # fmt: skip
        text = catalogs.write_text(FILE)
        (engine.workspace.institutions / "house.yaml").write_text(text, encoding="utf-8")
        apply_catalog(engine, author="test")
        yield Service(engine, live_of(engine))


def live_of(engine: Engine) -> Live:
    now = engine.clock()
    profiles = daily.build_profiles(engine, now)
    serving, catalog, _ = daily.make_serving(engine, profiles, None, as_of_us=now, seed=0)
    live = Live(engine, serving, catalog)
    live.refresh(now)
    return live


def seen(service: Service, **asked: Any) -> set[str]:
    return {str(offer.product_id) for offer in service.shelf(None, Asked(**asked)).offers}


def test_a_product_bound_to_regions_is_shown_there_alone(service: Service) -> None:
    """Asked for in the east it stands; elsewhere, or where nothing is known, it does not."""
    assert "eastern" in seen(service, region="east")
    assert "eastern" not in seen(service, region="west")
    assert "eastern" not in seen(service)
    quota = service.why(None, Asked(region="west"), "eastern")[-1]
    assert (quota.allowed, quota.reasons[0].code) == (False, "shelf_not_on_offer")
    assert service.why(None, Asked(region="east"), "eastern")[-1].allowed


def test_hours_are_the_institutions_own(service: Service) -> None:
    """From 8 to 12 in Shanghai is from midnight to 4 UTC, whatever the clock of the marketplace."""
    live = service.live
    for hour, shown in ((7, False), (8, True), (11, True), (12, False)):
        at = NOON_US + (hour - 12) * 3_600_000_000
        shelf = live.preview(None, Context(from_us(at), "s"))
        assert ("morning" in {o.product_id for o in shelf.offers}) is shown


def test_a_branchs_shelf_shows_and_reserves_its_own_limits(service: Service) -> None:
    """The one unit of a branch: taken by its shelf's click, and then its shelf shows nothing of the
    house; other branches, and shelves of no branch, go on.
    """
    live = service.live
    shelf = service.shelf(None, Asked(branch_id="bund"))
    assert shelf.context.region == "east"  # the branch's own
    assert "eastern" in {o.product_id for o in shelf.offers}
    row = service.click_row(shelf.trace_id, 1)
    assert (row["branch_id"], row["region"]) == ("bund", "east")
    out = service.click_out(row)
    assert out.decision.allowed
    assert out.click.branch_id == "bund"
    live.refresh()
    assert seen(service, branch_id="bund") == set()
    assert seen(service, branch_id="harbour") == {"anywhere"}
    assert seen(service) == {"anywhere"}
    again = service.shelf(None, Asked(region="east"))
    refused = service.click_out(service.click_row(again.trace_id, 1), branch_id="bund")
    assert [reason.code for reason in refused.decision.reasons] == ["quota_day"]
    with pytest.raises(NotFound):
        service.shelf(None, Asked(branch_id="nowhere"))


def test_the_log_knows_the_place(service: Service) -> None:
    """A logged decision carries region and branch, so that it is made again as it was."""
    from jinqiao.flow.explain import logged_rows

    trace = service.shelf(None, Asked(branch_id="bund", region="north")).trace_id
    service.flush()
    rows = logged_rows(service.engine, trace)
    assert {(row["region"], row["branch_id"]) for row in rows} == {("north", "bund")}
    quiet = service.shelf(None, Asked()).trace_id
    service.flush()
    assert {row["region"] for row in logged_rows(service.engine, quiet)} == {None}


def test_every_shelf_is_logged_the_empty_ones_with_the_reason(service: Service) -> None:
    """A shelf that holds nothing is in the log, listed and explained, and in no decision row."""
    from jinqiao.domain.messages import sentence
    from jinqiao.flow.explain import explain, recent

    for name in ("anywhere", "eastern", "morning"):
        with service.engine.writing() as tx:
            catalogs.stop(tx, name, actor="test", now_us=service.engine.clock())
    service.live.refresh()
    empty = service.shelf(None, Asked(region="east"))
    assert empty.offers == ()
    assert explain(service.engine, empty.trace_id, rows=service.decision_rows(empty.trace_id))
    with pytest.raises(NotFound):
        service.click_row(empty.trace_id, 1)
    service.flush()
    told = explain(service.engine, empty.trace_id)
    assert told.offers == ()
    assert [note.code for note in told.notes][:2] == ["explain_nothing_used", "shelf_empty_closed"]
    assert sentence(told.notes[1], "en").startswith("This shelf was empty")
    assert [(row["trace_id"], row["offers"]) for row in recent(service.engine)] == [
        (empty.trace_id, 0)
    ]
    assert service.engine.lake.query("select * from decisions").num_rows == 0
    (row,) = service.engine.lake.query("select * from empty_shelves").to_pylist()
    assert (row["region"], row["n_candidates"], row["policy"]) == ("east", 0, "plan")
