"""A published plan is asked what if, what its prices hold for, and what a launch would reach."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from jinqiao import catalog as catalogs
from jinqiao.domain.time import DAY_US
from jinqiao.errors import InputError, NotFound, Unavailable
from jinqiao.flow import daily, desk, forecast, kept, plan, whatif
from jinqiao.flow.segments import segments_of
from jinqiao.flow.settings import PlanSettings
from jinqiao.flow.wiring import Engine, open_engine
from jinqiao.flow.workspace import init_workspace
from playing import make_world

DRAFT = """
institution_id: harbour
name: {zh: 海港银行, en: Harbour Bank}
licence: bank
jurisdiction: CN
currency: CNY
products:
  - product_id: harbour_loan
    class: loan
    name: {zh: 海港贷, en: Harbour Loan}
    risk: R1
    cost:
      rate_bps: 420
      amount_minor: {min: 1000000, max: 20000000}
      term_days: {min: 180, max: 1095}
      example: {amount_minor: 5000000, term_days: 365}
      repayment: equal_instalment
    eligibility: ""
    payout:
      basis: CPA
      stage: approval
      tiers: [{from_count: 1, amount_minor: 9000}]
    delivery: {route: redirect, url: "https://open.harbour.example/loan", hold_hours: 48}
"""


def known(profiles: pa.Table) -> pa.Table:
    """Return profiles with an age and months of income."""
    n = profiles.num_rows
    rng = np.random.default_rng(0)
    return profiles.append_column("age", pa.array(rng.integers(18, 70, n))).append_column(
        "income_months_seen", pa.array(rng.integers(0, 12, n))
    )


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Return an engine with the plan of a small market in which limits bind."""
    world = make_world(400, seed=5, log_days=0)
    at = world.market.start_us + 28 * DAY_US
    root = init_workspace(tmp_path_factory.mktemp("asked") / "w", samples=False)
    with open_engine(workspace=root, clock=lambda: at) as opened:
        with opened.records.reading() as tx:
            limits = catalogs.limit_rows(tx, world.catalog, at)
        serving = replace(world.serving, profiles=known(world.serving.profiles))
        pairs = plan.all_pairs(serving, at)
        scored = plan.plan_pairs(serving, pairs, plan.scores_of(serving, pairs), np.full(400, 40.0))
        made = plan.solve_plan(
            scored, serving, world.catalog, limits, PlanSettings(), at_us=at, seed=1
        )
        serving = daily.with_plan(serving, made)
        daily.publish(opened, serving, made, None, scored)
        yield opened


@pytest.fixture(scope="module")
def dear(engine: Engine) -> dict:
    """Return the product limit that is dearest in the plan."""
    rows = [row for row in desk.plan_report(engine)["limits"] if row["price_minor"] > 0]
    return next(row for row in rows if row["limit"].startswith("product:"))


def words(row: dict, change: str) -> tuple[str, str]:
    scope, owner, measure, _, period = row["limit"].split("@")[0].split(":")
    assert scope == "product"
    return "quota" if measure == "count" else "budget", f"{owner}:{period}={change}"


def digest(folder: Path) -> str:
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix != ".db-shm":
            found.update(str(path).encode() + path.read_bytes())
    return found.hexdigest()


def test_a_kept_problem_is_the_one_that_was_solved(engine: Engine) -> None:
    """Read back, the plan still certifies: nearly its value, no limit passed by a millionth."""
    one = kept.read_problem(engine)
    report = desk.plan_report(engine)
    value = float(one.problem.pairs.value[one.planned.plan.chosen].sum())
    assert value == pytest.approx(report["primal_minor"], rel=1e-6)
    assert one.planned.duals == {r["limit"]: r["price_minor"] for r in report["limits"]}
    for row, used in zip(one.problem.rows, one.standing.plan.used, strict=True):
        if row.sense == "<=":
            assert used <= row.limit * (1 + 1e-9) + 1e-9


def test_less_of_a_dear_limit_costs_and_displaces(engine: Engine, dear: dict) -> None:
    """Half a quota: value falls, its product loses offers, segments and examples add up."""
    found = whatif.what_if(engine, words(dear, "-50%"))
    (change,) = found["changes"]
    assert change["now"] == round(change["was"] * 0.5)
    assert change["price_after_minor"] >= change["price_before_minor"] * 0.99
    value = found["value_minor"]
    assert value["worth"] < 0
    assert value["low"] <= value["change"] <= value["high"]
    owner = dear["limit"].split(":")[1]
    row = next(row for row in found["products"] if row["product_id"] == owner)
    assert row["applications_change"] < 0
    assert row["offers_after"] == row["offers_before"] + row["entered"] - row["left"]
    people = found["customers"]
    assert people["displaced"] + people["gaining"] <= people["moved"]
    for name in {one["segment"] for one in found["segments"]}:
        mine = [one for one in found["segments"] if one["segment"] == name]
        assert sum(one["displaced"] for one in mine) == people["displaced"]
    assert all(one["change_minor"] < 0 for one in found["examples"])
    assert found["certificate"]["violation_max"] == 0.0


def test_more_of_a_dear_limit_is_worth_at_most_its_price(engine: Engine, dear: dict) -> None:
    """A larger limit is worth something, and no more than price × units."""
    kind, word = words(dear, "+10%")
    found = whatif.what_if(engine, (kind, word))
    (change,) = found["changes"]
    units = change["plan_now"] - change["plan_was"]
    size = found["value_minor"]["before"]
    assert 0 < found["value_minor"]["worth"] <= change["price_before_minor"] * units + 1e-5 * size


def test_several_changes_are_one_question(engine: Engine, dear: dict) -> None:
    """A budget of an institution, a quota and a floor may be changed together."""
    kind, word = words(dear, "-10%")
    floors = [r["limit"] for r in desk.plan_report(engine)["limits"] if r["measure"] == "approval"]
    named = next(name for name in floors if name.startswith("approval:"))
    found = whatif.what_if(engine, (kind, word, "floor", f"{named[9:]}=0.1"))
    assert [one["unit"] for one in found["changes"]][1] == "share"
    assert len(found["changes"]) == 2


def test_the_tightest_limit_is_meant_where_none_is_named(engine: Engine, dear: dict) -> None:
    """An owner with several limits: the binding one is changed, and the others are told."""
    kind, word = words(dear, "-10%")
    owner = word.split(":")[0]
    (change,) = whatif.what_if(engine, (kind, f"{owner}=-10%"))["changes"]
    assert change["row"] == dear["limit"]
    measure = "count" if kind == "quota" else "money"
    lines = kept.read_problem(engine).limits.to_pylist()
    own = [one for one in lines if (one["product_id"], one["measure"]) == (owner, measure)]
    assert len(change["others"]) == len(own) - 1


def test_a_question_changes_nothing_durable(engine: Engine, dear: dict) -> None:
    """Not a byte of the workspace differs after what-if, prices and forecast."""
    before = digest(engine.workspace.root)
    whatif.what_if(engine, words(dear, "+20%"))
    whatif.limit_prices(engine, most=2)
    draft = engine.workspace.root.parent / "draft.yaml"
    draft.write_text(DRAFT, encoding="utf-8")
    forecast.forecast(engine, str(draft), payouts=[50.0], quotas=[20.0])
    assert digest(engine.workspace.root) == before


@pytest.mark.parametrize(
    ("asked", "record"),
    [
        (("quota", "nobody=+5"), "nobody"),
        (("quota", "{owner}=-900%"), "{owner}"),
        (("quota", "{owner}=plenty"), "{owner}"),
        (("quota", "{owner}:month=5"), "quota {owner}:month"),
        (("{owner}=5",), "{owner}=5"),
        (("quotas", "{owner}=5"), "quotas"),
        (("quota", "=5"), "=5"),
        (("quota",), "whatif"),
        (("floor", "nobody=0.3"), "nobody"),
        (("quota", "{owner}=+1", "{owner}=+2"), "quota {owner}"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_its_fix(
    engine: Engine, dear: dict, asked: tuple[str, ...], record: str
) -> None:
    """Unknown limits, less than nothing and nonsense name record, field and fix."""
    owner = dear["limit"].split(":")[1]
    with pytest.raises(InputError) as refused:
        whatif.what_if(engine, [word.format(owner=owner) for word in asked])
    assert refused.value.record == record.format(owner=owner)
    assert refused.value.field
    assert refused.value.fix


def test_prices_come_with_the_range_they_hold_in(engine: Engine) -> None:
    """The dearest limits have a range about themselves; the others keep their price alone."""
    found = whatif.limit_prices(engine, most=3)
    ranged = [row for row in found["limits"] if row["holds_from"] is not None]
    assert len(ranged) == 3
    for row in ranged:
        assert row["holds_from"] <= row["limit_units"] <= row["holds_to"]
        assert row["price_minor"] >= 0


def test_a_launch_reaches_more_for_more_quota(engine: Engine, tmp_path: Path) -> None:
    """The curve grows with the quota, stays below it, and names what is displaced."""
    draft = tmp_path / "draft.yaml"
    draft.write_text(DRAFT, encoding="utf-8")
    found = forecast.forecast(engine, str(draft), payouts=[20.0, 200.0], quotas=[5.0, 50.0])
    assert found["product_id"] == "harbour_loan"
    assert found["eligible_customers"] > 0
    assert [(p["payout"], p["quota"]) for p in found["points"]] == [
        (20.0, 5.0), (20.0, 50.0), (200.0, 5.0), (200.0, 50.0),
    ]  # fmt: skip
    for few, many in (found["points"][:2], found["points"][2:]):
        assert 0 < few["applications"]["mean"] <= 5.0 + 1e-9
        assert few["applications"]["mean"] <= many["applications"]["mean"] * 1.01 <= 51
        # Both may be the price at one kink, each told within what the gap leaves open.
        assert many["price_minor"] <= few["price_minor"] * (1 + 1e-4) + 1e-6
    last = found["points"][-1]
    assert last["impressions"]["mean"] > last["applications"]["mean"] > last["approvals"]["mean"]
    assert last["value_change_minor"] > 0
    assert last["displaced"]
    assert all(row["product_id"] != "harbour_loan" for row in last["displaced"])
    picture = forecast.curve_svg(found, "zh")
    assert picture.startswith("<svg")
    assert "<title>" in picture
    assert picture.count("<polyline") == 3


def test_a_draft_is_checked_before_it_is_asked_about(engine: Engine, tmp_path: Path) -> None:
    """A faulty file, a product on sale, nobody's product and numbers that are none."""
    bad = tmp_path / "bad.yaml"
    bad.write_text(DRAFT.replace("licence: bank", "licence: circus"), encoding="utf-8")
    ask = {"payouts": [1.0], "quotas": [1.0]}
    with pytest.raises(InputError) as refused:
        forecast.forecast(engine, str(bad), **ask)
    assert "bad.yaml:" in str(refused.value.record)
    with pytest.raises(NotFound):
        forecast.forecast(engine, "nothing", **ask)
    on_sale = tmp_path / "twice.yaml"
    name = kept.read_problem(engine).products[0]
    on_sale.write_text(DRAFT.replace("harbour_loan", name), encoding="utf-8")
    with pytest.raises(InputError):
        forecast.forecast(engine, str(on_sale), **ask)
    for text in ("", "0", "-1", "a,b", "1e99"):
        with pytest.raises(InputError):
            forecast.numbers_of(text, "payout")
    assert forecast.numbers_of("100, 200,100", "payout") == (100.0, 200.0)


def test_without_a_kept_problem_it_is_said_what_makes_one(tmp_path: Path) -> None:
    """Before a publish: Unavailable, with the command."""
    root = init_workspace(tmp_path / "empty")
    with open_engine(workspace=root) as opened, pytest.raises(Unavailable) as missing:
        kept.read_problem(opened)
    assert "jinqiao publish" in str(missing.value.fix)


def test_a_plan_begins_with_the_last_prices(engine: Engine) -> None:
    """Another plan starts from the published prices; the same one from what it started from."""
    report = desk.plan_report(engine)
    assert kept.starting_prices(engine, report["version"]) is None
    assert kept.starting_prices(engine, "tomorrow") == {
        row["limit"]: row["price_minor"] for row in report["limits"]
    }


def test_everybody_is_in_one_group_of_each_segment(engine: Engine) -> None:
    """Groups of a segmentation split the customers."""
    table = pa.table({
        "age": [17, 24, 25, 54, 55, None],
        "monthly_income_minor": [0, 299_999, 300_000, 1, None, 9],
        "income_months_seen": [0, 1, 2, 3, None, 9], "customer_kind": ["person"] * 5 + [None],
    })  # fmt: skip
    found = {one.name: one for one in segments_of(table)}
    assert set(found) == {"age", "income_minor", "file", "customer_kind"}
    assert all(one.count().sum() == 6 for one in found.values())
    assert dict(zip(found["file"].groups, found["file"].count(), strict=True)) == {
        "thin": 3, "thick": 3,
    }  # fmt: skip
