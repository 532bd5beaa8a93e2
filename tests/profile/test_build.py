"""Building profiles: purposes, consents, money, types, what is unknown."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from jinqiao.domain.consent import Purpose
from jinqiao.domain.tables import TRANSACTIONS
from jinqiao.domain.time import DAY_US
from jinqiao.errors import ConsentError, InputError, NotFound
from jinqiao.profile import Place, build, build_at, dictionary
from jinqiao.profile.build import plan
from jinqiao.store.lake import open_lake
from jinqiao.store.memory import MemoryLake
from laws.feature_world import AS_OF_US, World, at, consent, table, transaction


def _world() -> World:
    world = World(customer_of={"s1": "c1", "s2": "c2"})
    for month in range(7):
        paid = transaction(month, "s1", 30.4 * month + 2, 800_000, "salary")
        world.transactions.append(paid | {"balance_minor": 900_000})
        world.transactions.append(
            transaction(100 + month, "s1", 30.4 * month + 1, -200_000, "rent")
        )
    return world


def _build(world: World, **more: Any) -> pa.Table:
    arguments = {"as_of_us": AS_OF_US, "purpose": Purpose.PERSONALISE} | more
    return build(world.lake(), world.customer_map, world.consent_state, **arguments)


def test_a_salary_and_a_rent_are_understood() -> None:
    """Seven equal months give that income, full stability, and the rent beside it."""
    row = _build(_world()).to_pylist()[0]
    assert row["monthly_income_minor"] == 800_000
    assert row["income_stability"] == 1.0
    assert row["income_months_seen"] == 6
    assert row["rent_monthly_minor"] == 200_000
    assert row["rent_ratio"] == 0.25
    assert row["savings_rate"] == 0.75
    assert row["payday_day"] == 13


def test_a_customer_without_rows_is_there_and_unknown() -> None:
    """Money and shares are null, counts are 0."""
    row = _build(_world()).to_pylist()[1]
    assert row["customer_id"] == "c2"
    assert row["monthly_income_minor"] is None
    assert row["night_visit_share"] is None
    assert row["channel_main"] is None
    assert row["visits_30d"] == 0
    assert row["applications_180d"] == 0


def test_without_consent_there_is_no_row() -> None:
    """A consent for another purpose, and one withdrawn, leave the customer out."""
    world = _world()
    state = pa.concat_tables([
        consent(["c1"], [Purpose.CONTACT]), consent(["c2"], [Purpose.PERSONALISE], granted=False),
    ])  # fmt: skip
    built = build(
        world.lake(), world.customer_map, state, as_of_us=AS_OF_US, purpose=Purpose.PERSONALISE
    )
    assert built.num_rows == 0
    assert built.column_names[1:] == list(dictionary().allowed(Purpose.PERSONALISE).names)


class _Unread:
    """A lake that must not be asked."""

    def query(self, *_: object, **__: object) -> pa.Table:
        raise AssertionError("the lake was read")


def test_a_forbidden_feature_is_refused_before_anything_is_read() -> None:
    """A job for a purpose cannot select a feature not allowed for it."""
    world = _world()
    lake: Any = _Unread()
    with pytest.raises(ConsentError, match="gambling_share"):
        build(
            lake, world.customer_map, world.consent_state, as_of_us=AS_OF_US,
            purpose=Purpose.PERSONALISE, names=["age", "gambling_share"],
        )  # fmt: skip
    with pytest.raises(NotFound, match="shoe_size"):
        build(
            lake, world.customer_map, world.consent_state, as_of_us=AS_OF_US,
            purpose=Purpose.PERSONALISE, names=["shoe_size"],
        )  # fmt: skip


@pytest.mark.parametrize("purpose", list(Purpose))
def test_every_purpose_gets_exactly_what_it_may_use(purpose: Purpose) -> None:
    """The columns of a profile are the features that declare the purpose, typed as declared."""
    types = {"int": pa.int64(), "float": pa.float64(), "category": pa.string()}
    built = _build(_world(), purpose=purpose)
    allowed = dictionary().allowed(purpose)
    assert built.column_names == ["customer_id", *allowed.names]
    for feature in allowed:
        assert built[feature.name].type == types[feature.type], feature.name


def test_chosen_features_come_in_the_order_asked_and_read_only_their_sources() -> None:
    """Two features of the ledger read no table of visits, offers or outcomes."""
    names = ("rent_ratio", "age")
    assert _build(_world(), names=names).column_names == ["customer_id", *names]
    query, _ = plan(names)
    assert set(query.tables) == {"customer_map", "consent_state", "transactions", "attributes"}


def test_another_currency_is_left_out_of_every_sum() -> None:
    """Crowns and yuan are never added: a place names the one currency that counts."""
    world = _world()
    world.transactions = [row | {"currency": "CZK"} for row in world.transactions]
    assert _build(world)["monthly_income_minor"][0].as_py() is None
    czech = Place(currency="CZK", offset_us=3_600_000_000)
    assert _build(world, place=czech)["monthly_income_minor"][0].as_py() == 800_000


def test_without_products_what_needs_a_class_is_unknown() -> None:
    """Looks at credit are null when no product table is handed in, and counted when one is."""
    world = _world()
    world.behaviour = [{
        "message_id": "m1", "subject_id": "s1", "type": "track", "event": "product_viewed",
        "product_id": "p_loan", "session_id": "v", "occurred_at": at(1), "received_at": at(1),
    }]  # fmt: skip
    assert _build(world)["credit_views_30d"].to_pylist() == [None, None]
    assert _build(world, products=world.products)["credit_views_30d"].to_pylist() == [1, 0]
    assert _build(world)["product_views_90d"].to_pylist() == [1, 0]


def test_the_same_lake_gives_the_past_as_it_was() -> None:
    """A later as-of sees more; the earlier one still gives what it gave."""
    world = _world()
    earlier = _build(world, as_of_us=AS_OF_US - 40 * DAY_US).to_pylist()
    world.transactions.append(transaction(900, "s1", 5, -50_000, "dining"))
    assert _build(world, as_of_us=AS_OF_US - 40 * DAY_US).to_pylist() == earlier
    assert _build(world)["dining_share"][0].as_py() > 0


def test_an_empty_lake_gives_typed_empty_profiles() -> None:
    """Nobody known: no rows, every column."""
    world = World()
    built = build(
        MemoryLake(), world.customer_map, world.consent_state, as_of_us=AS_OF_US,
        purpose=Purpose.MEASURE,
    )  # fmt: skip
    assert built.num_rows == 0
    assert len(built.column_names) == 1 + len(dictionary())


def test_the_file_lake_gives_what_the_memory_lake_gives(tmp_path: Any) -> None:
    """The same rows in Parquet by day and in memory give the same profiles."""
    world = _world()
    lake = open_lake(tmp_path / "lake")
    lake.append(TRANSACTIONS, table(TRANSACTIONS, world.transactions), batch_id="b")
    found = build(
        lake, world.customer_map, world.consent_state, as_of_us=AS_OF_US,
        purpose=Purpose.PERSONALISE, products=world.products,
    )  # fmt: skip
    assert found.equals(_build(world, products=world.products))


def test_moments_are_one_a_customer() -> None:
    """Two moments of one customer, or a missing one, are refused with the field."""
    world = _world()
    for ids, moments, field in (
        (["c1", "c1"], [AS_OF_US, AS_OF_US], "customer_id"),
        (["c1", "c2"], [AS_OF_US, None], "as_of_us"),
    ):
        asked = pa.table({"customer_id": ids, "as_of_us": pa.array(moments, pa.int64())})
        with pytest.raises(InputError, match=field):
            build_at(
                world.lake(), world.customer_map, world.consent_state, asked,
                purpose=Purpose.PERSONALISE,
            )  # fmt: skip
