"""Laws of features: any small world, recomputed by hand, as of one moment."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jinqiao.domain.consent import Purpose
from jinqiao.domain.ledger import CATEGORIES
from jinqiao.engines.sql import check_expression
from jinqiao.profile import build, build_at, dictionary
from jinqiao.profile.build import plan
from jinqiao.profile.definition import definitions
from jinqiao.profile.sources import SOURCES
from laws.feature_world import AS_OF, AS_OF_US, CLASSES, ORACLE, Row, View, World

SUBJECTS = ("s1", "s2", "s3")
NAMES = dictionary().names
US = timedelta(microseconds=1)

who = st.sampled_from(SUBJECTS)
seconds = st.one_of(
    st.integers(-3 * 86_400, 100 * 86_400), st.integers(0, 400 * 86_400),
    st.sampled_from([30 * 86_400, 90 * 86_400, 180 * 86_400, 0]),
)  # fmt: skip
lateness = st.sampled_from([0, 0, 0, 3_600, 5 * 86_400, 200 * 86_400])
product = st.sampled_from([*CLASSES, "p_gone"])
maybe = st.none()


def _times(back: int, late: int) -> Row:
    moment = AS_OF - timedelta(seconds=back)
    return {"occurred_at": moment, "received_at": moment + timedelta(seconds=late)}


def _rows(*parts: Any, most: int) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.tuples(st.integers(0, 40), who, seconds, lateness, *parts), max_size=most)


@st.composite
def worlds(draw: Any) -> World:
    world = World(customer_of={"s1": "s1", "s2": draw(st.sampled_from(["s1", "s2"])), "s3": "s3"})
    categories = st.sampled_from([*CATEGORIES, *["salary", "rent", "business_income"] * 4])
    instrument = st.sampled_from(["bank", "card", "wallet"])
    currency = st.sampled_from(["CNY", "CNY", "CNY", "USD"])
    amount = st.integers(-2_000_000, 2_000_000)
    money = (amount, categories, instrument, currency, st.one_of(maybe, amount))
    for n, s, back, late, value, category, instrument_, currency_, left in draw(
        _rows(*money, most=25)
    ):
        world.transactions.append({
            "transaction_id": f"t{n}", "subject_id": s, "account_id": f"{s}{n % 2}",
            "amount_minor": value, "category": category, "instrument": instrument_,
            "currency": currency_, "balance_minor": left, **_times(back, late),
        })  # fmt: skip
    event = st.sampled_from(["product_viewed", "offer_viewed", "ledger_viewed", "content_read"])
    kind = st.sampled_from(["track", "track", "page", "identify"])
    visit = st.one_of(maybe, st.sampled_from(["v1", "v2", "v3"]))
    place = st.one_of(
        maybe, st.sampled_from([("app", "home"), ("web", "checkout"), ("partner", "embed")])
    )
    tier = st.one_of(maybe, st.integers(1, 5))
    for n, s, back, late, name, type_, session, where, city, item in draw(
        _rows(event, kind, visit, place, tier, product, most=12)
    ):
        world.behaviour.append({
            "message_id": f"m{n}", "subject_id": s, "event": name, "type": type_,
            "session_id": session and f"{s}{session}", "city_tier": city, "product_id": item,
            "channel": where and where[0], "scene": where and where[1],
            "source": "bought" if n % 3 == 0 else "own", **_times(back, late),
        })  # fmt: skip
    fact = st.sampled_from([
        ("birth_year", 1990, None), ("birth_year", 1800, None), ("risk_tolerance", 3, None),
        ("risk_tolerance", 9, None), ("city_tier", 2, None), ("occupation", None, "gig"),
        ("occupation", None, "astronaut"), ("kind", None, "merchant"), ("kind", None, "cat"),
    ])  # fmt: skip
    for n, s, back, late, (name, number, words) in draw(_rows(fact, most=8)):
        world.attributes.append({
            "attribute_id": f"a{n}", "subject_id": s, "attribute": name, "number": number,
            "text": words, **_times(back, late),
        })  # fmt: skip
    for n, s, back, late, item in draw(_rows(product, most=8)):
        world.decisions.append({
            "trace_id": f"x{n}", "position": 1, "customer_id": s, "product_id": item,
            **_times(back, late),
        })  # fmt: skip
    stage = st.sampled_from(["click", "application", "approval", "activation"])
    polarity = st.sampled_from(["reached", "reached", "refused", "reversed"])
    for n, s, back, late, step, said, item, turn in draw(
        _rows(stage, polarity, product, st.integers(0, 2), most=12)
    ):
        world.outcomes.append({
            "outcome_id": f"o{n}", "trace_id": f"{s}x{n % 3}", "position": 1, "customer_id": s,
            "product_id": item, "stage": step, "polarity": said, "sequence": turn,
            **_times(back, late),
        })  # fmt: skip
    return world


def _at(world: World, moments: dict[str, int]) -> dict[str, Row]:
    asked = pa.table({"customer_id": list(moments), "as_of_us": list(moments.values())})
    profiles = build_at(
        world.lake(), world.customer_map, world.consent_state, asked, purpose=Purpose.MEASURE,
        products=world.products,
    )  # fmt: skip
    return {row["customer_id"]: row for row in profiles.to_pylist()}


def _build(world: World, as_of_us: int = AS_OF_US, **more: Any) -> dict[str, Row]:
    profiles = build(
        world.lake(), world.customer_map, world.consent_state, as_of_us=as_of_us,
        purpose=Purpose.MEASURE, products=world.products, **more,
    )  # fmt: skip
    return {row["customer_id"]: row for row in profiles.to_pylist()}


def _same(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, float) and found is not None:
        return bool(found == pytest.approx(wanted, rel=1e-9, abs=1e-9))
    return bool(found == wanted)


def test_every_feature_has_an_oracle() -> None:
    """The naive recomputation knows every feature of the dictionary, and no other."""
    assert set(ORACLE) == set(NAMES)


@given(world=worlds())
@settings(max_examples=25)
def test_each_feature_equals_its_naive_recomputation(world: World) -> None:
    """Late, repeated, corrected and merged rows give what plain Python gives from rows known by
    the as-of."""
    built = _build(world)
    assert sorted(built) == sorted(set(world.customer_of.values()))
    for customer, row in built.items():
        view = View(world, customer)
        for name in NAMES:
            wanted = ORACLE[name](view)
            assert _same(row[name], wanted), f"{customer} {name}: {row[name]} is not {wanted}"


@given(world=worlds())
@settings(max_examples=12)
def test_one_moment_for_all_is_the_profile_as_of_it(world: World) -> None:
    """Built with each customer's own as-of, all of them the same, every value is ``build``'s."""
    wanted = _build(world)
    assert _at(world, dict.fromkeys(wanted, AS_OF_US)) == wanted


@given(world=worlds(), days=st.integers(1, 60))
@settings(max_examples=8)
def test_each_customer_is_built_as_of_their_own_moment(world: World, days: int) -> None:
    """Two customers at two moments have the rows that ``build`` gives at each; a third has none."""
    customers = sorted(set(world.customer_of.values()))
    moments = {customers[0]: AS_OF_US - days * 86_400_000_000, customers[-1]: AS_OF_US}
    built = _at(world, moments)
    assert sorted(built) == sorted(moments)
    for customer, moment in moments.items():
        assert built[customer] == _build(world, as_of_us=moment)[customer]


@given(world=worlds(), later=worlds())
@settings(max_examples=6)
def test_what_arrives_later_changes_nothing(world: World, later: World) -> None:
    """Rows received or occurred after the as-of leave every profile as it was."""
    before = _build(world)
    for name in ("transactions", "behaviour", "attributes", "decisions", "outcomes"):
        for row in getattr(later, name):
            key = next(iter(row))
            late = {"received_at": AS_OF + US, key: f"late{row[key]}"}
            if row["occurred_at"] > AS_OF:
                late["received_at"] = row["received_at"]
            getattr(world, name).append(row | late)
    assert _build(world) == before


@given(world=worlds(), order=st.randoms(use_true_random=False))
@settings(max_examples=6)
def test_order_and_repetition_change_nothing(world: World, order: Any) -> None:
    """Any order of arrival, with rows sent twice, gives the same profiles."""
    for name in ("transactions", "behaviour", "attributes", "decisions", "outcomes"):
        rows = getattr(world, name)
        rows[:] = list({row[next(iter(row))]: row for row in rows}.values())
    before = _build(world)
    for name in ("transactions", "behaviour", "attributes", "decisions", "outcomes"):
        rows = getattr(world, name)
        rows += rows[: len(rows) // 2]
        order.shuffle(rows)
    assert _build(world) == before


@given(world=worlds())
@settings(max_examples=6)
def test_a_merge_sums_the_rows_of_both(world: World) -> None:
    """Two subjects of one customer give the profile of one subject with the rows of both."""
    world.customer_of = {"s1": "s1", "s2": "s1", "s3": "s3"}
    merged = _build(world)
    for rows in (world.transactions, world.behaviour, world.attributes):
        for row in rows:
            row["subject_id"] = "s1" if row["subject_id"] == "s2" else row["subject_id"]
    for rows in (world.decisions, world.outcomes):
        for row in rows:
            row["customer_id"] = "s1" if row["customer_id"] == "s2" else row["customer_id"]
    world.customer_of = {"s1": "s1", "s3": "s3"}
    assert _build(world) == merged


@pytest.mark.parametrize("name", list(definitions().by_name))
def test_each_expression_is_of_the_two_engine_subset(name: str) -> None:
    """Every expression, hidden parts included, passes the check DuckDB and Spark agree on."""
    one = definitions().by_name[name]
    columns = SOURCES[one.source].columns if one.source else tuple(definitions().by_name)
    assert check_expression(one.feature.expression, columns, record=name).aggregates is bool(
        one.source
    )


def test_the_whole_query_is_of_the_subset_and_reads_each_source_once() -> None:
    """The statement of a whole profile passes the check; a lake table is read once a row view."""
    query, _ = plan(NAMES)
    for table in ("attributes", "decisions", "outcomes"):
        assert query.text.count(f"from {table} ") == 1
    assert query.text.count("from transactions ") == 2  # rows, and accounts
    assert query.text.count("from behaviour ") == 2  # events, and visits
