"""Each of the eighteen indicators, counted by hand."""

from __future__ import annotations

from typing import Any

import pytest

from jinqiao.engines.sql import check
from jinqiao.insight import daily, queries
from jinqiao.insight.measure import NAMES
from laws.feature_world import at

Market = Any


def test_an_empty_market_has_no_ratio(market: Market) -> None:
    """Counts are 0, and what would be nothing over nothing is None, interval included."""
    market.customers = {}
    found = market.metrics()
    assert tuple(found) == NAMES
    for metric in found.values():
        counted = metric.unit == "count" or metric.name == "funded_minor"
        if counted and metric.name not in ("institutions_live", "products_live"):
            assert metric.value == 0, metric.name
        elif not counted:
            assert (metric.value, metric.lower, metric.upper) == (None, None, None), metric.name


def test_there_are_six_in_each_family(market: Market) -> None:
    """Scale, traffic and effect, in that order."""
    families = [metric.family for metric in market.metrics().values()]
    assert families == ["scale"] * 6 + ["traffic"] * 6 + ["effect"] * 6


def test_identified_customers_are_counted_after_merging(market: Market) -> None:
    """Four subjects of three customers are three, and nothing is sampled."""
    metric = market.metrics()["identified_customers"]
    assert (metric.value, metric.lower, metric.upper) == (3, 3, 3)


def test_monthly_actives_are_different_customers_of_30_days(market: Market) -> None:
    """A merged subject's visit and an offer shown count once; an older visit does not."""
    market.visit("s4", "v1", 2)
    market.show("t1", "c1", "p_loan", 3)
    market.show("t2", "c2", "p_loan", 29)
    market.visit("c3", "v2", 31)
    metric = market.metrics()["monthly_actives"]
    assert metric.value == 2
    assert metric.window_days == 30


def test_live_institutions_and_products(market: Market) -> None:
    """A withdrawn product is not live, nor is the institution that had only it."""
    found = market.metrics()
    assert found["products_live"].value == 3
    assert dict(found["products_live"].breakdown) == {"credit_card": 1, "fund": 1, "loan": 1}
    assert found["institutions_live"].value == 2


def test_applications_stand_or_do_not(market: Market) -> None:
    """A reversed one, and one before the window, are not counted; classes are split."""
    market.path("t1", "p_loan", ("click", 5), ("application", 4))
    market.path("t2", "p_card", ("click", 5), ("application", 4))
    market.path("t3", "p_loan", ("click", 5), ("application", 4))
    market.tell("t3", "p_loan", "application", 3, "reversed", sequence=1)
    market.path("t4", "p_loan", ("click", 50), ("application", 40))
    metric = market.metrics()["applications"]
    assert metric.value == 2
    assert dict(metric.breakdown) == {"credit_card": 1, "loan": 1}
    assert metric.lower < 2 < metric.upper


def test_funded_is_disbursed_credit_and_first_money_in(market: Market) -> None:
    """A loan counts when disbursed, a fund when activated; the interval is √Σx² wide."""
    market.path("t1", "p_loan", ("click", 9), ("application", 8), ("approval", 7))
    market.tell("t1", "p_loan", "activation", 6, amount_minor=99)
    market.tell("t1", "p_loan", "disbursement", 5, amount_minor=300_000)
    market.path("t2", "p_fund", ("click", 9), ("application", 8))
    market.tell("t2", "p_fund", "activation", 6, amount_minor=400_000)
    metric = market.metrics()["funded_minor"]
    assert metric.value == 700_000
    assert metric.upper == pytest.approx(700_000 + 1.959964 * 500_000, rel=1e-6)
    assert metric.lower == 0
    assert dict(metric.breakdown) == {"fund": 400_000, "loan": 300_000}


def test_impressions_are_split_by_channel_and_scene(market: Market) -> None:
    """Every offer of the window counts once in each dimension."""
    market.show("t1", "c1", "p_loan", 1)
    market.show("t2", "c1", "p_loan", 1, channel="web")
    market.show("t3", "c1", "p_loan", 29)
    metric = market.metrics()["impressions"]
    assert metric.value == 2
    assert dict(metric.breakdown) == {"channel:app": 1, "channel:web": 1, "scene:home": 2}


def test_click_rate_by_context(market: Market) -> None:
    """One click in four; a reported approval implies the click that got lost."""
    for number in range(4):
        market.show(f"t{number}", "c1", "p_loan", 1, scene="home" if number else "checkout")
    market.tell("t0", "p_loan", "approval", 0.5)
    metric = market.metrics()["click_rate"]
    assert (metric.numerator, metric.denominator, metric.value) == (1, 4, 0.25)
    assert dict(metric.breakdown)["scene:checkout"] == 1.0
    assert metric.lower == pytest.approx(0.0456, abs=1e-4)
    assert metric.upper == pytest.approx(0.6994, abs=1e-4)


def test_cost_per_visit_own_and_bought(market: Market) -> None:
    """A visit's cost counts once, however many offers it saw."""
    market.show("t1", "c1", "p_loan", 1, session_id="v1")
    market.show("t2", "c1", "p_card", 1, session_id="v1")
    market.show("t3", "c2", "p_loan", 1, session_id="v2", source="bought", visit_cost_minor=300)
    metric = market.metrics()["cost_per_visit_minor"]
    assert (metric.numerator, metric.denominator, metric.value) == (300, 2, 150)
    assert dict(metric.breakdown) == {"own": 0, "bought": 300}


def test_return_within_7_and_30_days(market: Market) -> None:
    """c1 came back after 5 days, c2 after 20, c3 never; the same visit is no return."""
    market.visit("c1", "a1", 55)
    market.visit("c1", "a1", 54.9)
    market.visit("c1", "a2", 50)
    market.visit("c2", "b1", 55)
    market.visit("c2", "b2", 35)
    market.visit("c3", "d1", 55)
    found = market.metrics(window_days=60)["return_rate"]
    assert (found.numerator, found.denominator) == (1, 3)
    assert dict(found.breakdown) == {
        "7_days": pytest.approx(1 / 3), "30_days": pytest.approx(2 / 3),
    }  # fmt: skip


def test_someone_without_the_whole_follow_up_is_not_in_the_cohort(market: Market) -> None:
    """A first visit three days ago says nothing yet about seven days."""
    market.visit("c1", "a1", 3)
    assert market.metrics()["return_rate"].value is None


def test_consent_granted_and_refused(market: Market) -> None:
    """Two of three agreed to personalisation; one of one refused contact."""
    market.consents = [
        ("c1", "personalise", True), ("c2", "personalise", True), ("c3", "personalise", False),
        ("c1", "contact", False),
    ]  # fmt: skip
    metric = market.metrics()["consent_rate"]
    assert (metric.numerator, metric.denominator) == (2, 3)
    split = dict(metric.breakdown)
    assert split["refused:personalise"] == pytest.approx(1 / 3)
    assert split["granted:contact"] == 0
    assert split["refused:contact"] == 1


def test_frequency_fatigue(market: Market) -> None:
    """Two of four clicked the first showing, one of four the fourth: half as many."""
    for who in range(4):
        for turn in range(4):
            trace = f"t{who}{turn}"
            market.show(trace, f"w{who}", "p_loan", 10 - turn)
            if (turn == 0 and who < 2) or (turn == 3 and who == 0):
                market.tell(trace, "p_loan", "click", 10 - turn)
    metric = market.metrics()["frequency_fatigue"]
    assert metric.value == 0.5
    assert metric.lower < 0.5 < metric.upper
    assert dict(metric.breakdown) == {"1": 0.5, "2": 0, "3": 0, "4_and_more": 0.25}


def test_steps_of_the_funnel(market: Market) -> None:
    """Four clicks, two applications, one approval, one activation."""
    market.path(
        "t1", "p_loan", ("click", 9), ("application", 8), ("approval", 7), ("activation", 6)
    )
    market.path("t2", "p_loan", ("click", 9), ("application", 8))
    market.tell("t2", "p_loan", "approval", 7, "refused")
    market.path("t3", "p_card", ("click", 9))
    market.path("t4", "p_card", ("click", 9))
    found = market.metrics()
    steps = ("click_to_application", "application_to_approval", "approval_to_activation")
    assert [(found[s].numerator, found[s].denominator) for s in steps] == [(2, 4), (1, 2), (1, 1)]
    assert dict(found[steps[0]].breakdown)["loan"] == 1.0
    assert dict(found[steps[0]].breakdown)["credit_card"] == 0.0


def test_a_reversed_stage_is_not_reached(market: Market) -> None:
    """An approval taken back leaves the application, and no approval."""
    market.path("t1", "p_loan", ("click", 9), ("application", 8), ("approval", 7))
    market.tell("t1", "p_loan", "approval", 6, "reversed", sequence=1)
    found = market.metrics()
    assert found["application_to_approval"].value == 0
    assert found["approval_to_activation"].value is None


def test_a_share_corrected_for_delay_is_higher_than_the_observed(market: Market) -> None:
    """One of two old clicks applied after a day; two clicks of an hour ago cannot tell yet."""
    market.path("t1", "p_loan", ("click", 20), ("application", 19))
    market.path("t2", "p_loan", ("click", 20))
    market.path("t3", "p_loan", ("click", 0.05))
    market.path("t4", "p_loan", ("click", 0.05))
    metric = market.metrics()["click_to_application"]
    assert metric.value == 0.25
    assert dict(metric.breakdown)["corrected_for_delay"] == 0.5


def test_days_to_convert(market: Market) -> None:
    """Activations after 2, 4 and 10 days have the median 4."""
    for name, days in (("t1", 2), ("t2", 4), ("t3", 10)):
        market.path(name, "p_loan", ("click", 25), ("activation", 25 - days))
    metric = market.metrics()["days_to_convert"]
    assert metric.value == pytest.approx(4)
    assert metric.lower <= 4 <= metric.upper
    assert (metric.numerator, metric.denominator) == (3, 3)


def test_those_still_on_their_way_move_the_median_later(market: Market) -> None:
    """Three fast, one slow conversion; six clicks cut off after three days weigh on the slow."""
    for name, days in (("t1", 1), ("t2", 1), ("t3", 1), ("t4", 20)):
        market.path(name, "p_loan", ("click", 25), ("activation", 25 - days))
    for number in range(6):
        market.path(f"open{number}", "p_loan", ("click", 3))
    metric = market.metrics()["days_to_convert"]
    assert dict(metric.breakdown)["observed_median"] == pytest.approx(1)
    assert metric.value == pytest.approx(20)


def test_value_per_1000_visits(market: Market) -> None:
    """Paid 500 less 100 over two visits is 200,000 per 1,000; what was expected stands beside."""
    market.show("t1", "c1", "p_loan", 1, value_minor=30.0)
    market.show("t2", "c2", "p_loan", 1, value_minor=10.0)
    market.payouts, market.clawbacks = (300, 200), (100,)
    metric = market.metrics()["value_per_1000_visits_minor"]
    assert metric.value == 200_000
    split = dict(metric.breakdown)
    assert split == {
        "paid": 250_000, "taken_back": 50_000, "value_expected_when_shown": 20_000,
    }  # fmt: skip
    assert metric.lower < metric.value < metric.upper


def test_delinquency_and_clawback(market: Market) -> None:
    """One of two loans is in default, and a tenth of what was paid was taken back."""
    for name in ("t1", "t2"):
        market.path(name, "p_loan", ("click", 150), ("activation", 140), ("disbursement", 139))
    market.tell("t1", "p_loan", "default", 20)
    market.payouts, market.clawbacks = (1_000,), (100,)
    metric = market.metrics()["delinquency_rate"]
    assert metric.value == 0.5
    assert metric.window_days == 180
    assert dict(metric.breakdown) == {"loan": 0.5, "payout_taken_back": 0.1}


def test_what_arrives_later_does_not_count(market: Market) -> None:
    """An application known only after the as-of changes no figure of it."""
    market.path("t1", "p_loan", ("click", 9))
    before = market.metrics()
    market.tell("t1", "p_loan", "application", 8, received_at=at(-1))
    assert market.metrics() == before


def test_every_interval_holds_its_value(market: Market) -> None:
    """lower ≤ value ≤ upper wherever there is an interval."""
    market.consents = [("c1", "personalise", True), ("c2", "personalise", False)]
    for number in range(6):
        market.visit("c1", f"a{number}", 30 - number * 4)
        market.path(f"t{number}", "p_loan", ("click", 20 - number), ("application", 19 - number))
    market.payouts = (100, 300)
    for metric in market.metrics().values():
        if metric.lower is not None:
            assert metric.lower <= metric.value <= metric.upper, metric.name


def test_days_are_local_and_whole_numbers(market: Market) -> None:
    """Each local day has its visits, impressions, clicks and applications."""
    market.path("t1", "p_loan", ("click", 1), ("application", 1))
    market.show("t2", "c2", "p_loan", 1)
    found = daily(market.lake(), as_of_us=int(at(0).timestamp() * 1_000_000))
    assert found.to_pylist() == [
        {"day": 20_253, "visits": 2, "impressions": 2, "clicks": 1, "applications": 1}
    ]


@pytest.mark.parametrize("name", queries.__all__)
def test_each_statement_is_of_the_two_engine_subset(name: str) -> None:
    """The statements of insight run on DuckDB and Spark alike."""
    assert check(getattr(queries, name)).tables
