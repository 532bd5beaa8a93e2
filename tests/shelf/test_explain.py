"""Why this, and why not that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from jinqiao import shelf
from jinqiao.domain.decision import Decision, Reason
from jinqiao.domain.messages import LANGUAGES, sentence
from jinqiao.errors import NotFound

Serve = Callable[..., shelf.Serving]
Ask = Callable[..., shelf.Requests]
STEPS = ["eligibility", "suitability", "propensity", "price", "rank", "quota"]


def test_a_product_is_shown_exactly_when_all_six_steps_allow_it(
    make_serving: Serve, make_requests: Ask, set_rules: Serve
) -> None:
    """For every product of several shelves the six steps agree with what was shown."""
    served = set_rules(make_serving(), exploration_share=0.5, class_most=1, frequency_most=2)
    asked = make_requests(6)
    mixed = replace(asked, consent_version=pa.array(["v", None, "v", "v", "v", None]))
    seen = np.zeros((6, 12), np.int16)
    seen[:, 5] = 2
    mixed = replace(mixed, shown_before=seen)
    left = np.arange(12) % 4
    for policy in ("plan", "random"):
        found = shelf.rank(served, mixed, left=left, policy=policy)
        for i in range(6):
            stands = {served.product_ids[found.product[k]] for k in found.offers_of(i)}
            for product in served.product_ids:
                steps = shelf.explain(served, mixed, product, i=i, left=left, policy=policy)
                assert [step.step for step in steps] == STEPS
                assert all(step.allowed for step in steps) == (product in stands)


def test_every_reason_is_a_sentence_in_both_languages(
    make_serving: Serve, make_requests: Ask, set_rules: Serve
) -> None:
    """No reason of an explanation or an offer lacks its words."""
    served = set_rules(make_serving(), exploration_share=0.5)
    asked = make_requests(8)
    reasons = [
        r for i in range(8) for o in shelf.rank(served, asked).record(i).offers for r in o.reasons
    ]
    for product in served.product_ids:
        for step in shelf.explain(served, asked, product, left=np.arange(12) % 3):
            reasons += step.reasons
    for found in reasons:
        for language in LANGUAGES:
            assert sentence(found, language)
    assert len({found.code for found in reasons}) > 8


def test_the_explainers_are_asked(make_serving: Serve, make_requests: Ask) -> None:
    """A failed clause and the model's reasons come from whoever knows them."""
    served, asked = make_serving(), make_requests(1)
    no = Decision(False, "eligibility", (Reason("rule_failed"),))
    told = shelf.Explainers(
        eligibility=lambda row, product: no,
        suitability=lambda row, product: Decision(True, "suitability"),
        contributions=lambda row, product: (Reason("propensity_up"),),
    )
    hidden = served.product_ids[int(np.flatnonzero(~served.may_see(np.array([0]))[0])[0])]
    steps = shelf.explain(served, asked, hidden, explainers=told)
    assert steps[0] is no
    assert steps[1].allowed
    assert steps[2].reasons[-1].code == "propensity_up"
    assert [reason.code for reason in steps[4].reasons] == ["shelf_not_ranked"]


def test_an_outranked_product_is_told_by_how_much(make_serving: Serve, make_requests: Ask) -> None:
    """Outranked: the distance to the last offer shown, in money."""
    served = make_serving(settings=shelf.Settings(class_most=0, institution_most=0, slots=1))
    asked = make_requests(1)
    found = shelf.rank(served, asked)
    told = {}
    for product in served.product_ids:
        why = shelf.explain(served, asked, product)[4].reasons[0]
        if why.code == "shelf_outranked":
            told[product] = why.numbers["behind_minor"]
    assert told
    for product, behind in told.items():
        single = shelf.explain(served, asked, product)[3].reasons[0].numbers["value_minor"]
        assert found.top.score_minor[0] - single == pytest.approx(behind)


def test_an_unknown_product_is_not_found(make_serving: Serve, make_requests: Ask) -> None:
    """Explaining a product nobody sells is an error that names it."""
    with pytest.raises(NotFound):
        shelf.explain(make_serving(), make_requests(1), "p99")


def test_a_drawn_offer_says_so(make_serving: Serve, make_requests: Ask, set_rules: Serve) -> None:
    """An offer put there by the learning draw tells the customer that it is a random one."""
    served = set_rules(make_serving(), exploration_share=1.0)
    record = shelf.rank(served, make_requests(1)).record(0)
    assert record.offers[-1].reasons[0].code == "shelf_drawn"
    assert 0 < record.offers[-1].display_probability < 1


def test_a_plain_shelf_says_that_nothing_personal_was_used(
    make_serving: Serve, make_requests: Ask
) -> None:
    """Without consent the reasons name popularity, and the steps what would need consent."""
    served, asked = make_serving(), make_requests(1, consent=False)
    assert {r.code for o in shelf.rank(served, asked).record(0).offers for r in o.reasons} == {
        "shelf_popular"
    }
    first = shelf.explain(served, asked, "p01")[0]
    assert not first.allowed
    assert first.reasons[0].code == "shelf_needs_profile"
