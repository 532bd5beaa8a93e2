"""One application from every report on it."""

from __future__ import annotations

import itertools

import pytest

from conversion.reporting import click_out, journey, record, report
from jinqiao.conversion import fold
from jinqiao.domain.application import Application, Click, Postback
from jinqiao.domain.stage import CREDIT_CLASSES, Polarity, ProductClass, Stage
from jinqiao.store.memory import MemoryRecords

REACHED, REFUSED, REVERSED = Polarity
CHAIN = (Stage.APPLICATION, Stage.APPROVAL, Stage.ACTIVATION)
CREDIT = (*CHAIN, Stage.DISBURSEMENT, Stage.REPAYMENT)


def a_click(product_class: ProductClass = ProductClass.LOAN) -> Click:
    """Return one recorded click."""
    return record(MemoryRecords(), [click_out(0, product_class)])[0]


def stages(application: Application) -> tuple[Stage, ...]:
    """Return the stages that stand."""
    return tuple(stage for stage, _, _ in application.reached)


def folded(click: Click, *reports: Postback) -> Application:
    """Return the fold, after checking that every order gives it."""
    made = fold(click, reports)
    for order in itertools.islice(itertools.permutations(reports), 120):
        assert fold(click, order) == made
    return made


def test_without_a_report_it_is_a_click() -> None:
    """A click nobody reported on is in state click."""
    assert folded(a_click()).state == "click"


@pytest.mark.parametrize("product_class", list(ProductClass))
def test_a_whole_journey_of_each_class(product_class: ProductClass) -> None:
    """Reported stage by stage, the state is the furthest stage, and every stage stands."""
    click = a_click(product_class)
    way = CREDIT if product_class in CREDIT_CLASSES else CHAIN
    for length in range(1, len(way) + 1):
        made = folded(click, *journey(click, way[:length]))
        assert made.state == way[length - 1].value
        assert stages(made) == way[:length]


@pytest.mark.parametrize("product_class", list(ProductClass))
def test_a_journey_undone(product_class: ProductClass) -> None:
    """A reversed activation is undone: the state is reversed and the reversal is on record."""
    click = a_click(product_class)
    undone = report(click, "undo", Stage.ACTIVATION, REVERSED, days=9)
    made = folded(click, *journey(click, CHAIN), undone)
    assert made.state == "reversed"
    assert stages(made) == CHAIN[:2]
    assert [(stage, amount) for stage, _, _, amount in made.reversals] == [
        (Stage.ACTIVATION, 100_000)
    ]


def test_default_after_disbursement() -> None:
    """A default is the state whatever was repaid, and implies no repayment."""
    click = a_click()
    late = report(click, "late", Stage.DEFAULT, days=120)
    made = folded(click, *journey(click, CREDIT[:4]), late)
    assert made.state == "default"
    assert stages(made) == (*CREDIT[:4], Stage.DEFAULT)
    cured = report(click, "cured", Stage.DEFAULT, REVERSED, days=130)
    assert folded(click, *journey(click, CREDIT[:4]), late, cured).state == "disbursement"


def test_a_later_stage_implies_the_earlier() -> None:
    """Only an activation is reported: application and approval stand since then."""
    click = a_click()
    made = folded(click, report(click, "a", Stage.ACTIVATION, days=3, amount=7))
    at = made.reached[-1][1]
    assert made.reached == (
        (Stage.APPLICATION, at, None), (Stage.APPROVAL, at, None), (Stage.ACTIVATION, at, 7),
    )  # fmt: skip


def test_a_refusal_implies_an_application() -> None:
    """A refused approval means there was an application; the state is refused."""
    click = a_click()
    made = folded(click, report(click, "no", Stage.APPROVAL, REFUSED, days=2))
    assert (made.state, stages(made)) == ("refused", (Stage.APPLICATION,))
    assert (made.refused_stage, made.refused_at) == (Stage.APPROVAL, made.reached[0][1])


def test_a_refusal_that_was_overturned() -> None:
    """Refused and approved later by hand: the approval stands."""
    click = a_click()
    no = report(click, "no", Stage.APPROVAL, REFUSED, days=2)
    yes = report(click, "yes", Stage.APPROVAL, days=3)
    made = folded(click, no, yes)
    assert (made.state, made.refused_stage) == ("approval", None)


def test_an_activation_overrules_a_refusal() -> None:
    """What stands later cannot have been refused before."""
    click = a_click()
    no = report(click, "no", Stage.APPROVAL, REFUSED, days=2)
    made = folded(click, no, report(click, "act", Stage.ACTIVATION, days=4))
    assert (made.state, made.refused_stage) == ("activation", None)


def test_an_application_undone_at_every_stage() -> None:
    """When each stage is reversed in turn nothing stands: what was undone overrules nothing."""
    click = a_click()
    undone = [report(click, f"u-{stage.value}", stage, REVERSED, days=9) for stage in CHAIN[:2]]
    made = folded(click, *journey(click, CHAIN[:2]), *undone)
    assert (made.state, made.reached) == ("reversed", ())
    assert len(made.reversals) == 2


def test_a_retracted_report_never_happened() -> None:
    """A reversal that corrects a report leaves no stage and no reversal."""
    click = a_click()
    first = report(click, "r1", Stage.APPROVAL)
    wrong = report(click, "r2", Stage.APPROVAL, REVERSED, corrects="r1")
    made = folded(click, first, wrong)
    assert (made.state, made.reached, made.reversals) == ("click", (), ())


def test_a_restated_report_is_replaced() -> None:
    """A correction replaces amount and instant, even one with a lesser report id."""
    click = a_click()
    first = report(click, "r9", Stage.DISBURSEMENT, amount=100)
    better = report(click, "r10", Stage.DISBURSEMENT, days=2, amount=90, corrects="r9")
    made = folded(click, first, better)
    assert made.reached[-1] == (Stage.DISBURSEMENT, better.occurred_at, 90)


def test_a_correction_of_a_correction() -> None:
    """The end of a chain stands; a higher sequence beats the end."""
    click = a_click()
    chain = [
        report(click, "c", Stage.DISBURSEMENT, amount=1),
        report(click, "b", Stage.DISBURSEMENT, amount=2, corrects="c"),
        report(click, "a", Stage.DISBURSEMENT, amount=3, corrects="b"),
    ]
    assert folded(click, *chain).reached[-1][2] == 3
    later = report(click, "b", Stage.DISBURSEMENT, amount=2, corrects="c", sequence=5)
    assert folded(click, chain[0], later, chain[2]).reached[-1][2] == 2


def test_corrections_in_a_ring_still_have_one_answer() -> None:
    """Reports that correct each other are one chain, whatever comes first."""
    click = a_click()
    ring = [
        report(click, "a", Stage.DISBURSEMENT, amount=1, corrects="b"),
        report(click, "b", Stage.DISBURSEMENT, amount=2, corrects="a"),
    ]
    assert folded(click, *ring).reached[-1][2] == 2


def test_a_correction_of_an_unknown_report_waits() -> None:
    """A retraction alone changes nothing; with what it retracts, both are gone."""
    click = a_click()
    wrong = report(click, "r2", Stage.APPROVAL, REVERSED, corrects="r1")
    assert folded(click, wrong).state == "click"


def test_the_first_report_of_a_stage_is_its_instant() -> None:
    """Two reports of one stage: the earlier instant and its amount stand."""
    click = a_click()
    first = report(click, "z", Stage.DISBURSEMENT, days=2, amount=5)
    second = report(click, "a", Stage.DISBURSEMENT, days=3, amount=6)
    assert folded(click, second, first).reached[-1] == (Stage.DISBURSEMENT, first.occurred_at, 5)


def test_repayments_add_up() -> None:
    """Each instalment is a report of its own; a corrected one counts once."""
    click = a_click()
    made = folded(
        click,
        report(click, "i1", Stage.REPAYMENT, days=30, amount=10),
        report(click, "i2", Stage.REPAYMENT, days=60, amount=10),
        report(click, "i2b", Stage.REPAYMENT, days=60, amount=12, corrects="i2"),
    )
    assert made.reached[-1][2] == 22


def test_pre_approval_stands_alone() -> None:
    """A pre-approval implies nothing and is implied by nothing."""
    click = a_click()
    made = folded(click, report(click, "pre", Stage.PRE_APPROVAL))
    assert (made.state, stages(made)) == ("pre_approval", (Stage.PRE_APPROVAL,))
