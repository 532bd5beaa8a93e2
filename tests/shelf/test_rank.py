"""Shelves for one request and for many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from jinqiao import shelf
from jinqiao.domain.tables import DECISIONS
from jinqiao.engines.allocation import PriceTables
from jinqiao.engines.worth import expected_applications
from jinqiao.errors import InputError

Serve = Callable[..., shelf.Serving]
Ask = Callable[..., shelf.Requests]


def shown(found: shelf.Shelves) -> list[str]:
    return found.rows()["product_id"].to_pylist()


@pytest.mark.parametrize("policy", ["plan", "random"])
def test_one_request_gets_the_shelf_it_gets_among_many(
    make_serving: Serve, make_requests: Ask, set_rules: Serve, policy: str
) -> None:
    """A batch is the same rows as its requests asked one by one, learning slot included."""
    served = set_rules(make_serving(), exploration_share=0.4)
    asked = make_requests(30)
    together = shelf.rank(served, asked, policy=policy).rows()
    single = [shelf.rank(served, asked.take(np.array([i])), policy=policy) for i in range(30)]
    assert together.equals(pa.concat_tables([one.rows() for one in single]))


def test_rows_are_decisions(make_serving: Serve, make_requests: Ask) -> None:
    """The log has exactly the columns of DECISIONS, and no null where none is allowed."""
    rows = shelf.rank(make_serving(), make_requests()).rows(received_us=7)
    assert tuple(rows.column_names) == DECISIONS.names
    for column in DECISIONS.columns:
        assert column.nullable or rows[column.name].null_count == 0, column.name
    assert rows["received_at"].cast(pa.int64()).to_pylist()[0] == 7
    assert (rows["score_minor"].to_numpy() == rows["value_minor"].to_numpy()
            - rows["price_minor"].to_numpy()).all()  # fmt: skip


def test_what_was_closed_is_logged(make_serving: Serve, make_requests: Ask) -> None:
    """From the rule's mask and what a row says was closed, its candidates come out as counted."""
    served, asked = make_serving(), make_requests(12)
    rng = np.random.default_rng(3)
    left = rng.integers(0, 2, (len(asked), served.n_products))
    off = np.arange(served.n_products) == 1
    rows = shelf.rank(served, asked, left=left, stopped=off).rows()
    whose = dict(zip(asked.trace_id.to_pylist(), asked.customer.tolist(), strict=True))
    assert rows.num_rows
    for row in rows.to_pylist():
        packed = np.frombuffer(bytes.fromhex(row["closed"]), np.uint8)
        closed = np.unpackbits(packed, count=served.n_products).astype(bool)
        may = served.may_see(np.array([whose[row["trace_id"]]]))[0]
        assert closed[1]
        assert (may & ~closed).sum() == row["n_candidates"]


def test_a_record_says_what_the_rows_say(make_serving: Serve, make_requests: Ask) -> None:
    """The record of a shelf and its rows hold the same offers in the same order."""
    found = shelf.rank(make_serving(), make_requests(5))
    rows = found.rows().to_pylist()
    for i in range(5):
        record = found.record(i)
        mine = [row for row in rows if row["trace_id"] == record.trace_id]
        told = [(o.product_id, o.position, o.score_minor, o.p_click) for o in record.offers]
        wanted = [(m["product_id"], m["position"], m["score_minor"], m["p_click"]) for m in mine]
        assert told == wanted
        assert record.personalised
        assert record.versions.consent == "v1"
        assert all(offer.reasons for offer in record.offers)


def test_the_top_offer_has_the_best_score(make_serving: Serve, make_requests: Ask) -> None:
    """Without rules of diversity the shelf is the candidates in order of value − price."""
    served = make_serving(settings=shelf.Settings(class_most=0, institution_most=0, risky_most=0))
    asked = make_requests(20)
    found = shelf.rank(served, asked)
    for i in range(20):
        scores = found.top.score_minor[found.offers_of(i)]
        assert (np.diff(scores) <= 0).all()
        allowed = served.may_see(asked.customer[[i]])[0]
        assert all(allowed[found.product[k]] for k in found.offers_of(i))


def test_costs_of_unlike_examples_are_compared_at_one(make_serving: Serve) -> None:
    """A loan at half the rate is cheaper though its example is five times as large."""
    goods = make_serving().products
    amount = np.full(12, 1_000_000)
    cost = np.full(12, 100_000)
    amount[0], cost[0] = 5_000_000, 250_000
    for name, values in (("reference_amount_minor", amount), ("all_in_cost_minor", cost)):
        place = goods.schema.get_field_index(name)
        goods = goods.set_column(place, goods.schema.field(place), pa.array(values, pa.int64()))
    served = make_serving(products=goods)
    loans = np.flatnonzero(np.array(goods["product_class"].to_pylist()) == "loan")
    assert list(loans) == [0, 6]
    dear, cheap = served.comparable_cost_minor[6], served.comparable_cost_minor[0]
    assert cheap == pytest.approx(dear / 2)
    cover = np.flatnonzero(np.array(goods["product_class"].to_pylist()) == "insurance")
    assert (served.comparable_cost_minor[cover] == served.cost_minor[cover]).all()


def test_a_price_moves_an_offer_down(make_serving: Serve, make_requests: Ask) -> None:
    """A dual price is charged by expected use, and a dear enough one takes the offer off."""
    asked = make_requests(1)
    free = shelf.rank(make_serving(), asked)
    first = int(free.product[0])
    zero = np.zeros((2, 12))
    count = zero.copy()
    count[:, first] = 10.0
    tables = PriceTables((np.arange(40) % 2).astype(np.int32), count, zero, zero)
    dear = shelf.rank(make_serving(prices=tables), asked)
    here = np.flatnonzero(dear.product == first)
    use = expected_applications(free.top.chances[:1])[0]
    if here.size:
        assert dear.top.price_minor[here[0]] == pytest.approx(10.0 * use)
    count[:, first] = 1e9
    assert first not in shelf.rank(make_serving(prices=tables), asked).product


def test_what_is_stopped_sold_out_or_not_on_offer_is_not_shown(
    make_serving: Serve, make_requests: Ask
) -> None:
    """A stop, no unit left, a closed channel, a wrong hour and a withdrawal each hide a product."""
    asked, served = make_requests(30), make_serving()
    assert "p02" in shown(shelf.rank(served, asked, policy="random"))
    left, stopped = np.full(12, 5), np.zeros(12, bool)
    left[2], stopped[3] = 0, True
    gone = shown(shelf.rank(served, asked, left=left, stopped=stopped, policy="random"))
    assert not {"p02", "p03"} & set(gone)
    goods = served.products
    at = int(asked.at_us[0])
    ended = pa.array([at] + [None] * 11, pa.int64()).cast(pa.timestamp("us"))
    goods = goods.set_column(goods.column_names.index("withdraw_at"), "withdraw_at", ended)
    hours = [None, (0, 1), (23, 13), *[None] * 9]
    channels = [(), (), (), ("web",), ("app", "web"), *[()] * 7]
    when = shelf.Schedules.of(goods, hours, channels)
    seen = set(shown(shelf.rank(make_serving(schedules=when), asked, policy="random")))
    assert not {"p00", "p01", "p03"} & seen
    assert {"p02", "p04"} <= seen


def test_without_consent_no_profile_is_read(make_serving: Serve, make_requests: Ask) -> None:
    """No consent, or nobody signed in: popular products open to all, one a class, not personal."""

    def refuse(*_: object) -> np.ndarray:
        raise AssertionError("a profile was read")

    served = make_serving(chances=refuse)
    for asked in (make_requests(4, consent=False), make_requests(4, known=False)):
        found = shelf.rank(served, asked)
        rows = found.rows()
        assert shown(found)[:4] == ["p10", "p08", "p06", *shown(found)[3:4]]
        assert not any(rows["personalised"].to_pylist())
        assert rows["consent_version"].null_count == rows["feature_as_of"].null_count == len(rows)
        goods = [served.class_code[found.product[k]] for k in found.offers_of(0)]
        assert len(set(goods)) == len(goods)
        assert found.record(0).versions.consent is None


def test_a_mixed_batch_keeps_the_order_of_its_requests(
    make_serving: Serve, make_requests: Ask
) -> None:
    """Personal and plain requests in one batch give the rows each would get alone."""
    both = make_requests(6)
    mixed = replace(both, consent_version=pa.array(["v1", None, "v1", None, None, "v2"]))
    served = make_serving()
    together = shelf.rank(served, mixed).rows()
    single = [shelf.rank(served, mixed.take(np.array([i]))).rows() for i in range(6)]
    assert together.equals(pa.concat_tables(single))
    assert together["personalised"].to_pylist().count(False) > 0


def test_the_same_customer_sees_another_shelf_at_another_hour(
    make_serving: Serve, make_requests: Ask
) -> None:
    """The context reaches the scorer: other hours, other shelves."""
    served, asked = make_serving(), make_requests(12)
    later = replace(asked, at_us=asked.at_us + 7 * 3_600_000_000)
    assert shown(shelf.rank(served, asked)) != shown(shelf.rank(served, later))


def test_a_product_seen_often_rests(
    make_serving: Serve, make_requests: Ask, set_rules: Serve
) -> None:
    """Shown as often as the cap in the window, a product leaves the shelf."""
    served, asked = set_rules(make_serving(), frequency_most=3), make_requests(8)
    before = np.zeros((8, 12), np.int16)
    first = shelf.rank(served, replace(asked, shown_before=before))
    before[np.arange(8), first.product[[first.offers_of(i)[0] for i in range(8)]]] = 3
    second = shelf.rank(served, replace(asked, shown_before=before))
    for i in range(8):
        assert first.product[first.offers_of(i)[0]] not in second.product[second.offers_of(i)]


def test_position_enters_the_logged_chances(make_serving: Serve, make_requests: Ask) -> None:
    """Chances, value and score are logged as of the position an offer stands at."""
    found = shelf.rank(make_serving(), make_requests(10))
    lower = found.placed.position > 1
    assert (found.there.chances[lower, 0] < found.top.chances[lower, 0]).all()
    assert (found.there.chances[~lower] == found.top.chances[~lower]).all()
    assert (found.there.worth_minor == found.top.worth_minor).all()


def test_before_there_is_a_model_the_base_chances_stand(
    make_serving: Serve, make_requests: Ask
) -> None:
    """A serving without a scorer still ranks and logs."""
    found = shelf.rank(make_serving(chances=None), make_requests(3), policy="random")
    assert (found.there.chances == np.float32(0.1)).all()
    assert len(found.rows())


def test_no_request_is_no_row(make_serving: Serve, make_requests: Ask) -> None:
    """An empty batch gives an empty log of the same columns."""
    nobody = make_requests(3).take(np.zeros(0, np.int64))
    rows = shelf.rank(make_serving(), nobody).rows()
    assert len(rows) == 0
    assert tuple(rows.column_names) == DECISIONS.names


def test_wrong_shapes_and_policies_are_refused(make_serving: Serve, make_requests: Ask) -> None:
    """An unknown policy, a short array and a row beyond the profiles are input errors."""
    served, asked = make_serving(), make_requests(2)
    for wrong in ({"policy": "best"}, {"left": np.ones(3)}, {"stopped": np.zeros(1, bool)}):
        with pytest.raises(InputError):
            shelf.rank(served, asked, **wrong)
    with pytest.raises(InputError):
        shelf.rank(served, replace(asked, customer=np.array([0, 400], np.int32)))
    with pytest.raises(InputError):
        replace(asked, customer=np.array([0], np.int32))
