"""What a generated market hands out."""

from __future__ import annotations

from datetime import date
from importlib import resources
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from jinqiao import catalog, profile
from jinqiao.customer.wording import shipped_texts
from jinqiao.domain.tables import RAW_ATTRIBUTES, RAW_BEHAVIOUR, RAW_TRANSACTIONS, SESSIONS
from jinqiao.domain.time import DAY_US
from jinqiao.engines.tables import check
from jinqiao.errors import InputError, NotFound
from jinqiao.synthetic import Market, market


def test_it_says_what_it_is(small: Market) -> None:
    """A market names its version, seed, size, calendar and blocks."""
    assert (small.version, small.seed, small.size) == ("standard@1", 1, 1_000)
    assert (small.log_days, small.plan_days, small.tail_days) == (28, 28, 120)
    assert list(market(2_001).blocks) == [0, 1, 2]
    assert small.start_us == 1_740_931_200_000_000  # 2025-03-03 in Shanghai


@pytest.mark.parametrize("spec", ["standard", "peak"])
def test_institution_files_have_no_fault(spec: str) -> None:
    """Every generated file is read back as the very institution, and the whole check passes."""
    made = market(5_000, 3, spec=spec)
    files = catalog.read_files({f"{k}.yaml": v for k, v in made.institution_files().items()})
    packs = catalog.read_jurisdictions(_packs())
    assert not catalog.check(files, packs, profile.dictionary(), date(2025, 3, 3))
    assert files.catalog.institutions == made.institutions
    assert tuple(p.product_id for p in files.catalog.products()) == made.goods.product_id


def _packs() -> Path:
    return Path(str(resources.files("jinqiao.catalog") / "templates" / "jurisdictions"))


def test_a_catalog_of_every_class(small: Market) -> None:
    """100 institutions sell 150 products of all nine classes, credit in the majority."""
    kinds = [p.product_class.value for p in small.products]
    assert len(small.institutions) == 100
    assert len(kinds) == 150
    assert len(set(kinds)) == 9
    assert small.goods.credit.mean() > 0.5
    assert len({i.name_zh for i in small.institutions}) == 100


def test_files_hold_public_facts_only(small: Market) -> None:
    """No number of a hidden policy stands in a file."""
    words = {"weights", "cut", "soft", "noise", "drift", "appeal", "effort", "ease", "silent"}

    def keys(node: object) -> set[str]:
        if isinstance(node, dict):
            return set(node) | set().union(*(keys(v) for v in node.values()))
        return set().union(*(keys(v) for v in node)) if isinstance(node, list) else set()

    assert not words & keys(small.institution_files())


def test_bulk_tables_pass_their_doors(small: Market) -> None:
    """Attributes, transactions, behaviour and sessions are rows of their schemas."""
    for table, schema in (
        (small.attributes(0), RAW_ATTRIBUTES),
        (small.transactions(0), RAW_TRANSACTIONS),
        (small.behaviour(3), RAW_BEHAVIOUR),
        (small.sessions(3), SESSIONS),
    ):
        check(table, schema)
        key = pa.table([table[c] for c in schema.key], list(schema.key))
        assert key.group_by(list(schema.key)).aggregate([]).num_rows == table.num_rows


def test_people_come_about_as_often_as_said() -> None:
    """A person visits 1.2 times a week in the mean."""
    made = market(5_000, 2)
    visits = sum(len(made.visits(day)) for day in range(14))
    assert 1.1 < visits / 5_000 / 2 < 1.3


def test_the_eleventh_of_november_brings_ten_times_the_visits() -> None:
    """The peak market surges tenfold on 11.11 and wants other things that day."""
    made = market(2_000, 1, spec="peak")
    usual = np.mean([len(made.visits(day)) for day in (20, 27, 34)])
    eleventh = 43
    day = np.datetime64(made.spec.day_zero, "D") + eleventh
    assert str(day) == "2025-11-11"
    assert made.log_days <= eleventh < made.log_days + made.plan_days
    assert 8 < len(made.visits(eleventh)) / usual < 12


def test_consents_use_the_shipped_words(small: Market) -> None:
    """Every consent names a purpose's exact text; most grant, some never do, some withdraw."""
    rows = small.consents(0)
    known = {text.version for text in shipped_texts()}
    assert set(rows["text_version"].to_pylist()) <= known
    personal = rows.filter(pc.equal(rows["purpose"], "personalise"))
    granted = personal.filter(pc.equal(personal["action"], "grant"))
    withdrawn = personal.filter(pc.equal(personal["action"], "withdraw"))
    assert 850 < granted.num_rows < 980
    assert 5 < withdrawn.num_rows < 80
    assert pc.min(withdrawn["occurred_at"]).cast(pa.int64()).as_py() >= small.start_us


def test_devices_are_shared_and_phones_are_not(small: Market) -> None:
    """Some devices belong to several people, and a fraud ring to one; a phone is one person's."""
    rows = small.identifiers(0)

    def owners(kind: str) -> dict[str, int]:
        part = rows.filter(pc.equal(rows["kind"], kind))
        found = part.group_by("value").aggregate([("user_id", "count_distinct")])
        return dict(
            zip(
                found["value"].to_pylist(), found["user_id_count_distinct"].to_pylist(), strict=True
            )
        )

    assert max(owners("phone").values()) == 1
    assert max(owners("login").values()) == 1
    assert sum(count > 1 for count in owners("device").values()) > 20
    counts = owners("device")
    people = small.people(0)
    for group in np.unique(people.group[people.group >= 0]):
        assert counts[f"d1-{90_000_000 + group}"] == (people.group == group).sum()


def test_a_partner_knows_part_of_the_people(small: Market) -> None:
    """A partner's rows overlap with three people in five, by phone, and hold strangers too."""
    rows = small.identifiers(0)
    phones = rows.filter(pc.equal(rows["kind"], "phone"))["value"]
    partner = small.partner(0)
    shared = pc.is_in(partner["phone"], value_set=phones.combine_chunks()).to_numpy()
    assert 0.5 * 1_000 < shared.sum() < 0.7 * 1_000
    assert (~shared).sum() > 100


def test_shops_settle_to_the_ledger(small: Market) -> None:
    """A settlement is orders less returns, and equals a business income row of the ledger."""
    rows = small.settlements(0)
    gross, back, net = (rows[f"{n}_minor"].to_numpy() for n in ("gross", "returned", "net"))
    assert (gross - back == net).all()
    assert rows["stock_minor"].to_numpy().min() >= 0
    ledger = small.transactions(0)
    income = ledger.filter(pc.equal(ledger["category"], "business_income"))
    amounts = dict(
        zip(income["transaction_id"].to_pylist(), income["amount_minor"].to_pylist(), strict=True)
    )
    booked = [amounts[name] for name in rows["transaction_id"].to_pylist()]
    assert booked == net.tolist()
    assert len(booked) == len(amounts)
    assert (pc.less(rows["ordered_until"], rows["settled_at"])).to_numpy().all()


def test_browsing_tells_of_hidden_needs(small: Market) -> None:
    """People open product pages of classes they need beyond what static facts explain."""
    people, goods = small.everyone, small.goods
    private = []
    for day in range(28):
        rows = small.behaviour(day)
        rows = rows.filter(pc.equal(rows["event"], "product_viewed"))
        person = pc.cast(pc.utf8_slice_codeunits(rows["user_id"], 1), pa.int64()).to_numpy()
        kind = goods.kind[small.product_rows(rows["product_id"])]
        private.append(people.private[person, kind])
    assert np.concatenate(private).mean() > 0.2


def test_wrong_questions_are_refused(small: Market) -> None:
    """Sizes below one, unknown specs, blocks, sessions and products are named as such."""
    with pytest.raises(InputError, match="size is 0"):
        market(0)
    with pytest.raises(InputError, match="fewer products"):
        market(10, products=5)
    with pytest.raises(NotFound, match="no market spec"):
        market(10, spec="moon")
    with pytest.raises(NotFound, match="no block 1"):
        small.people(1)
    with pytest.raises(NotFound, match="not of this market"):
        small.visit_numbers(pa.array(["elsewhere"]))
    with pytest.raises(NotFound, match="no product"):
        small.product_rows(pa.array(["nothing"]))


def test_half_a_year_of_history_comes_before_the_first_day(small: Market) -> None:
    """The ledger begins 182 days before day 0 and ends with the plan."""
    at = small.transactions(0)["occurred_at"].cast(pa.int64()).to_numpy()
    assert small.start_us - 182 * DAY_US <= at.min() < small.start_us - 180 * DAY_US
    assert at.max() < small.start_us + 56 * DAY_US


def test_consent_comes_goes_and_comes_back(small: Market) -> None:
    """Some who withdrew grant again, some grant late: the last word of a person is one of them."""
    rows = small.consents(0)
    start = small.start_us
    late = rows.filter(
        pc.and_(
            pc.equal(rows["action"], "grant"),
            pc.greater_equal(rows["occurred_at"].cast(pa.int64()), start),
        )
    )
    withdrawn = rows.filter(pc.equal(rows["action"], "withdraw"))
    keys = [set(zip(t["user_id"].to_pylist(), t["purpose"].to_pylist(), strict=True))
            for t in (late, withdrawn)]  # fmt: skip
    again = keys[0] & keys[1]
    assert len(again) > 20
    assert len(keys[0] - again) > 20
    assert pc.max(rows["occurred_at"]).cast(pa.int64()).as_py() < start + 56 * DAY_US


def test_large_wallet_payments_are_mirrored_on_the_card(small: Market) -> None:
    """A wallet payment of 2,000 yuan or more has a card row of the same instant and amount."""
    rows = small.transactions(0)
    wallet = rows.filter(pc.equal(rows["instrument"], "wallet"))
    large = wallet.filter(pc.less_equal(wallet["amount_minor"], -200_000))
    large = large.filter(pc.not_equal(large["category"], "own_transfer"))
    own = rows.filter(pc.equal(rows["category"], "own_transfer"))
    card = own.filter(pc.not_equal(own["instrument"], "wallet"))
    names = ("user_id", "occurred_at", "amount_minor")
    drawn = set(zip(*(card[n].to_pylist() for n in names), strict=True))
    assert large.num_rows > 500
    assert set(zip(*(large[n].to_pylist() for n in names), strict=True)) <= drawn


def test_people_have_several_ids(small: Market) -> None:
    """Institutions know some people by numbers of their own, no two people by the same."""
    rows = small.identifiers(0)
    known = rows.filter(pc.equal(rows["kind"], "institution"))
    assert 300 < len(set(known["user_id"].to_pylist())) < 800
    names = zip(known["user_id"].to_pylist(), known["value"].to_pylist(), strict=True)
    assert len(set(known["value"].to_pylist())) == len(set(names))
    home = rows.filter(pc.equal(rows["kind"], "address"))
    assert len(set(home["value"].to_pylist())) < 0.95 * home.num_rows


def test_shops_stock_up_before_a_festival(small: Market) -> None:
    """In the two weeks before a festival shops buy more than in the two weeks before those."""
    first = small.spec.festivals[0][0]
    rows = small.transactions(0)
    rows = rows.filter(pc.equal(rows["category"], "supplier_payment"))
    day = (rows["occurred_at"].cast(pa.int64()).to_numpy() - small.start_us) // DAY_US
    amount = -rows["amount_minor"].to_numpy()
    before = amount[(day >= first - 14) & (day < first)].sum()
    earlier = amount[(day >= first - 42) & (day < first - 14)].sum() / 2
    assert before > 1.1 * earlier
