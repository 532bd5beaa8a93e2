"""What those who mean harm leave behind, and that no more than that is seen."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from jinqiao.synthetic import Market
from jinqiao.synthetic.fraud import BOT, COLLUSION, FRAUDS, LEAD, RING, SYNTHETIC
from playing import World


def of(table: pa.Table, market: Market, kind: int) -> pa.Table:
    """Return the rows of people of one kind."""
    people = market.people(0)
    users = market.users(0)["user_id"].filter(pa.array(people.fraud == kind))
    return table.filter(pc.is_in(table["user_id"], value_set=users.combine_chunks()))


def test_every_kind_is_there_in_its_share(small: Market) -> None:
    """Seventeen people in a thousand mean harm: the shares that the spec sets, in groups."""
    people, spec = small.people(0), small.spec
    counts = np.bincount(people.fraud, minlength=len(FRAUDS))
    shares = (spec.ring_share, spec.synthetic_share, spec.bot_share, spec.lead_share,
              spec.collusion_share)  # fmt: skip
    assert counts[1:].tolist() == [round(1_000 * share) for share in shares]
    assert ((people.group >= 0) == (people.fraud > 0)).all()
    shops = people.merchant[people.fraud == COLLUSION]
    assert shops.sum() == 3


def test_no_table_names_a_fraud(small: Market) -> None:
    """Labels are the truth's alone: no table handed out has a column or a word of them."""
    words = set(FRAUDS) - {"honest"}
    for table in (small.users(0), small.attributes(0), small.identifiers(0), small.consents(0),
                  small.transactions(0), small.settlements(0), small.orders(0),
                  small.sessions(3, 0), small.behaviour(3, 0)):  # fmt: skip
        assert not words & set(table.column_names)
        for name in table.column_names:
            column = table[name]
            if pa.types.is_string(column.type) and len(set(column.slice(0, 500).to_pylist())) < 99:
                assert not words & set(column.unique().to_pylist())


@pytest.mark.parametrize("kind", [RING, SYNTHETIC, LEAD, COLLUSION])
def test_groups_share_device_address_and_account(small: Market, kind: int) -> None:
    """Those who act together have one device; who names an address or account names one."""
    rows = of(small.identifiers(0), small, kind)
    groups = len(set(small.people(0).group[small.people(0).fraud == kind].tolist()))
    for name in ("device", "address", "account"):
        part = rows.filter(pc.equal(rows["kind"], name))
        assert len(set(part["value"].to_pylist())) <= groups
    device = rows.filter(pc.equal(rows["kind"], "device"))
    assert len(set(device["value"].to_pylist())) == groups


def test_made_up_people_are_thin_and_bust_out(small: Market) -> None:
    """A made-up person's ledger begins when they joined, with cash, and ends with cash taken out;
    their e-mail is another's."""
    rows = of(small.transactions(0), small, SYNTHETIC)
    honest = small.transactions(0)
    assert rows.num_rows > 50
    assert pc.min(rows["occurred_at"]).as_py() > pc.min(honest["occurred_at"]).as_py()
    people = small.people(0)
    for row in np.flatnonzero(people.fraud == SYNTHETIC):
        mine = rows.filter(pc.equal(rows["user_id"], f"u{people.index[row]:08d}"))
        bank = mine.filter(pc.not_equal(mine["instrument"], "wallet"))
        bank = bank.sort_by([("occurred_at", "ascending"), ("transaction_id", "ascending")])
        day = (bank["occurred_at"].cast(pa.int64()).to_numpy() - small.start_us) // 86_400_000_000
        assert day[0] >= -people.tenure_days[row]
        assert bank["category"][0].as_py() == "cash_in"
        assert bank["balance_minor"][0].as_py() == bank["amount_minor"][0].as_py() > 0
        own = pc.not_equal(bank["category"], "fee").to_numpy()  # the bank's, once overdrawn
        assert day[own].max() <= people.bust_day[row]
    mails = small.identifiers(0)
    mails = mails.filter(pc.equal(mails["kind"], "email"))
    own = of(mails, small, SYNTHETIC)
    assert all(f"e{user[1:]}" != value for user, value in
               zip(own["user_id"].to_pylist(), own["value"].to_pylist(), strict=True))  # fmt: skip


def test_shops_in_collusion_sell_in_a_circle(small: Market) -> None:
    """Their sham sales move no money between them, are no carrier's, and swell what they seem to
    be owed."""
    orders = small.orders(0)
    sham = orders.filter(pc.equal(orders["waybills"], 0))
    people = small.people(0)
    crooks = small.users(0)["user_id"].filter(pa.array(people.fraud == COLLUSION)).to_pylist()
    assert sham.num_rows > 20
    assert set(sham["user_id"].to_pylist()) | set(sham["buyer_id"].to_pylist()) <= set(crooks)
    rows = small.transactions(0)
    keys = pa.array([f"k{user[1:]}" for user in crooks])
    among = rows.filter(pc.is_in(rows["counterparty_key"], value_set=keys))
    assert among.num_rows > 40
    assert pc.sum(among["amount_minor"]).as_py() == 0
    books = small.settlements(0)
    owed = books["receivable_minor"].to_numpy() / books["gross_minor"].to_numpy()
    false = pc.is_in(
        books["settlement_id"], value_set=sham["settlement_id"].combine_chunks()
    ).to_numpy()
    assert np.median(owed[false]) > 2 * np.median(owed[~false])


def test_orders_add_up_to_the_settlement(small: Market) -> None:
    """The orders, money and returns of a settlement's buyers are the settlement's own."""
    names = ("orders", "gross_minor", "returned_minor")
    sums = small.orders(0).group_by("settlement_id").aggregate([(n, "sum") for n in names])
    books = small.settlements(0)
    both = books.join(sums, "settlement_id")
    assert both.num_rows == books.num_rows
    for name in names:
        assert both[name].equals(both[f"{name}_sum"])


def test_bots_come_in_bursts_at_night_and_buy_nothing(small: Market) -> None:
    """A bot comes eight times within minutes, on few days, on paid visits; it has no ledger."""
    person = small.people(0).index[small.people(0).fraud == BOT]
    days = [small.sessions(day, 0) for day in range(40)]
    mine = [t.filter(pc.is_in(t["user_id"], value_set=pa.array([f"u{person[0]:08d}"])))
            for t in days]  # fmt: skip
    counts = [t.num_rows for t in mine]
    assert set(counts) == {0, 8}
    assert 0 < counts.count(8) < 12
    burst = next(t for t in mine if t.num_rows)
    at = burst["occurred_at"].cast(pa.int64()).to_numpy()
    assert at.max() - at.min() < 600_000_000
    assert set(burst["source"].to_pylist()) == {"bought"}
    assert of(small.transactions(0), small, BOT).num_rows == 0


def test_leads_apply_and_come_to_nothing(world: World) -> None:
    """A lead is sent almost always and approved almost never; a bot clicks and applies never."""
    may = world.truth.eligible[world.market.visits(30).person]
    visits = world.market.visits(30)
    pairs = world.truth.pairs(visits, may)
    who = world.market.everyone.fraud[np.repeat(visits.person, np.diff(pairs.start))]
    chances = {kind: pairs.chances[who == kind].mean(axis=0) for kind in set(who.tolist())}
    honest = chances[0]
    for kind, found in chances.items():
        if kind == LEAD:
            assert found[1] > 0.8
            assert found[2] < 0.1
        if kind == BOT:
            assert found[0] > 2 * honest[0]
            assert found[1] < 0.01
        if kind:
            assert (pairs.value[who == kind] <= 0).all()


def test_the_truth_knows_who_is_who(world: World) -> None:
    """Every person is of exactly one kind."""
    masks = world.truth.fraud()
    assert list(masks) == list(FRAUDS)
    assert (sum(mask.astype(int) for mask in masks.values()) == 1).all()
